//! ZanKV's routes: the shape of every reply to the byte, and the words for what is missing or wrong.

use std::sync::Mutex;

use api::admin::{CreateNamespace, Namespace};
use api::zankv::{
    ClusterStats, CompactStats, DataNode, DataNodes, GroupMember, Info, NodeCounts, Partition,
    PartitionCounts, PlacementDriver, PlacementDrivers, Query, RaftProgress, RaftStat, RaftStats, ScanStats,
    SlowLog, SlowLogEntry, Stats, TableStats, TableStatsOfAll, TableStatsReply, WriteStats,
};
use serve::http::{Answer, Namespaces, OptimizeWish, StatsWish, Whom, Zankv};
use types::{ErrorCode, Fault};

use super::{Dummy, Server};

/// What was asked of the dummy last, for tests that run one after another in their own servers.
static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn note(what: String) {
    ASKED.lock().unwrap().push(what);
}

fn asked(what: &str) -> bool {
    ASKED.lock().unwrap().iter().any(|asked| asked == what)
}

fn node() -> DataNode {
    DataNode {
        node_id: "1:10.0.0.1::7004:7001:datanode".into(),
        broadcast_address: "10.0.0.1".into(),
        hostname: "10.0.0.1".into(),
        redis_port: "7004".into(),
        http_port: "7001".into(),
        grpc_port: String::new(),
        version: "0.1.0".into(),
        dc_info: "east".into(),
    }
}

fn driver() -> PlacementDriver {
    PlacementDriver {
        reg_id: 1,
        id: "1:10.0.0.1::7001:pd".into(),
        node_ip: "10.0.0.1".into(),
        hostname: "10.0.0.1".into(),
        redis_port: "7004".into(),
        http_port: "7001".into(),
        rpc_port: String::new(),
        raft_transport_addr: "10.0.0.1:7000".into(),
        version: "0.1.0".into(),
        tags: [("dc".to_owned(), "east".to_owned())].into(),
        data_root: String::new(),
        rsync_module: String::new(),
        learner_role: String::new(),
    }
}

fn table(keys: u64) -> TableStats {
    TableStats { name: "t".into(), key_num: keys, disk_bytes_usage: 100, approximate_key_num: keys }
}

fn member() -> GroupMember {
    GroupMember {
        id: 1,
        node_id: 1,
        group_name: "ns-0".into(),
        group_id: 5,
        peer_urls: vec!["http://10.0.0.1:7000".into()],
    }
}

impl Namespaces for Dummy {
    fn namespaces(&self) -> Vec<Namespace> {
        vec![Namespace {
            name: "ns".into(),
            partitions: 1,
            replicas: 3,
            data_version: "value_header_v1".into(),
            expiration_policy: "wait_compact".into(),
        }]
    }
    fn create_namespace(&self, wish: CreateNamespace) -> Answer<Namespace> {
        note(format!("create {wish:?}"));
        Box::pin(async move {
            match wish.name.as_str() {
                "ns" => Err(Fault::new(ErrorCode::TableExists, "ns:_")),
                name => Ok(Namespace {
                    name: name.into(),
                    partitions: 1,
                    replicas: 1,
                    data_version: String::new(),
                    expiration_policy: String::new(),
                }),
            }
        })
    }
    fn drop_namespace(&self, name: String) -> Answer<()> {
        Box::pin(async move {
            match name.as_str() {
                "ns" => Ok(()),
                _ => Err(Fault::new(ErrorCode::UnknownNamespace, name)),
            }
        })
    }
    fn set_namespace_replicas(&self, name: String, replicas: u32) -> Answer<()> {
        note(format!("replicas {name} {replicas}"));
        Box::pin(async { Ok(()) })
    }
}

impl Zankv for Dummy {
    fn info(&self) -> Info {
        Info {
            version: "0.1.0".into(),
            broadcast_address: "10.0.0.1".into(),
            hostname: "10.0.0.1".into(),
            http_port: 7001,
            redis_port: 7004,
            start_time: 1_700_000_000,
        }
    }
    fn query(&self, namespace: &str) -> Result<Query, Fault> {
        if namespace != "ns" {
            return Err(ErrorCode::UnknownNamespace.into());
        }
        let partition = Partition { leader: Some(node()), replicas: vec![node()] };
        Ok(Query {
            epoch: 17,
            partition_num: 1,
            replicator: 3,
            expire_policy: "wait_compact".into(),
            fsync_optimized: false,
            eng_type: "fjall".into(),
            partitions: [("0".to_owned(), partition)].into(),
        })
    }
    fn data_nodes(&self, whom: Whom) -> Answer<DataNodes> {
        note(format!("data nodes {whom:?}"));
        Box::pin(async { Ok(DataNodes { nodes: vec![node()] }) })
    }
    fn placement_drivers(&self) -> PlacementDrivers {
        PlacementDrivers { pdnodes: vec![driver()], pdleader: Some(driver()) }
    }
    fn cluster_stats(&self, _: Whom) -> Answer<ClusterStats> {
        Box::pin(async { Ok(ClusterStats { stable: true }) })
    }
    fn stats(&self, wish: StatsWish) -> Answer<Stats> {
        note(format!("{wish:?}"));
        let mut latencies = [0; 16];
        latencies[2] = 1;
        let written = WriteStats { value_size_stats: [0; 16], write_latency_stats: latencies };
        let counts = PartitionCounts {
            name: "ns-0".into(),
            table_stats: wish.table_detail.then(|| vec![table(7)]),
            db_write_stats: written,
            cluster_write_stats: WriteStats::default(),
            internal_stats: [("records".to_owned(), 7)].into(),
            db_compact_stats: CompactStats::default(),
            eng_type: "fjall".into(),
            is_leader: true,
            top_n_write_keys: Vec::new(),
            top_n_large_coll_keys: Vec::new(),
        };
        let scan_stats = ScanStats { scan_count: 2, scan_latency_stats: [0; 16] };
        let stats = NodeCounts { ns_stats: vec![counts], scan_stats };
        Box::pin(async { Ok(Stats { version: "0.1.0".into(), up_time: 60, stats }) })
    }
    fn raft_stats(&self, prefix: &str, leader_only: bool) -> Vec<RaftStats> {
        note(format!("raft '{prefix}' {leader_only}"));
        let progress = RaftProgress { matched: 9, next: 10, state: "StateReplicate".into() };
        vec![RaftStats {
            leader_info: Some(member()),
            members: vec![member()],
            learners: Vec::new(),
            raft_stat: RaftStat {
                id: 1,
                term: 3,
                vote: 1,
                commit: 9,
                lead: 1,
                raft_state: "StateLeader".into(),
                applied: 9,
                progress: [("1".to_owned(), progress)].into(),
                lead_transferee: 0,
            },
        }]
    }
    fn table_stats(&self, table_name: Option<String>, leader_only: bool) -> Answer<TableStatsReply> {
        note(format!("tables {table_name:?} {leader_only}"));
        Box::pin(async { Ok(TableStatsReply { table_stats: [("ns".to_owned(), table(7))].into() }) })
    }
    fn table_stats_of_all(&self, _: String, _: bool) -> Answer<TableStatsOfAll> {
        let of_node = [("ns".to_owned(), table(7))].into();
        let nodes = [(node().node_id, of_node)].into();
        Box::pin(async { Ok(TableStatsOfAll { total: [("ns".to_owned(), table(7))].into(), nodes }) })
    }
    fn optimize(&self, wish: OptimizeWish) -> Answer<()> {
        note(format!("{wish:?}"));
        Box::pin(async { Ok(()) })
    }
    fn slow_log(&self, count: usize) -> SlowLog {
        note(format!("slow log {count}"));
        let command = vec!["set".into(), "k".into(), "\\x00".into()];
        let client = "10.0.0.9:5000".into();
        let entry = SlowLogEntry {
            id: 3,
            time: 1_700_000_000,
            micros: 60_000,
            command,
            client,
            client_name: "a".into(),
        };
        SlowLog { slower_than_micros: 50_000, entries: vec![entry] }
    }
    fn set_slow_log(&self, slower_than_micros: i64) {
        note(format!("slower than {slower_than_micros}"));
    }
}

const NODE: &str = r#"{"node_id":"1:10.0.0.1::7004:7001:datanode","broadcast_address":"10.0.0.1","hostname":"10.0.0.1","redis_port":"7004","http_port":"7001","grpc_port":"","version":"0.1.0","dc_info":"east"}"#;
const DRIVER: &str = r#"{"RegID":1,"ID":"1:10.0.0.1::7001:pd","NodeIP":"10.0.0.1","Hostname":"10.0.0.1","RedisPort":"7004","HttpPort":"7001","RpcPort":"","RaftTransportAddr":"10.0.0.1:7000","Version":"0.1.0","Tags":{"dc":"east"},"DataRoot":"","RsyncModule":"","LearnerRole":""}"#;
const ZEROS: &str = "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]";
const MEMBER: &str =
    r#"{"id":1,"node_id":1,"group_name":"ns-0","group_id":5,"peer_urls":["http://10.0.0.1:7000"]}"#;
const TABLE: &str = r#"{"name":"t","key_num":7,"disk_bytes_usage":100,"approximate_key_num":7}"#;

#[test]
fn questions_are_answered_in_zankvs_shapes() {
    let server = Server::start();
    let is = |path: &str, body: String| {
        assert_eq!(server.ask(None, "GET", path, b""), (200, body), "{path}");
    };
    is("/ping", "OK".into());
    is(
        "/info",
        r#"{"version":"0.1.0","broadcast_address":"10.0.0.1","hostname":"10.0.0.1","http_port":7001,"redis_port":7004,"start_time":1700000000}"#.into(),
    );
    is("/namespaces", r#"{"namespaces":["ns"]}"#.into());
    is("/datanodes", format!(r#"{{"nodes":[{NODE}]}}"#));
    is("/listpd", format!(r#"{{"pdnodes":[{DRIVER}],"pdleader":{DRIVER}}}"#));
    is("/cluster/stats", r#"{"stable":true}"#.into());
    let query = format!(
        r#"{{"epoch":17,"partition_num":1,"replicator":3,"expire_policy":"wait_compact","fsync_optimized":false,"eng_type":"fjall","partitions":{{"0":{{"leader":{NODE},"replicas":[{NODE}]}}}}}}"#
    );
    is("/query/ns", query.clone());
    is("/query/ns?epoch=16", query.clone());
    is("/query/ns?epoch=x", query);
    assert_eq!(server.ask(None, "GET", "/query/ns?epoch=17", b""), (304, String::new()));
    let stats = |tables: &str| {
        format!(
            r#"{{"version":"0.1.0","up_time":60,"stats":{{"ns_stats":[{{"name":"ns-0","table_stats":{tables},"db_write_stats":{{"value_size_stats":{ZEROS},"write_latency_stats":[0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0]}},"cluster_write_stats":{{"value_size_stats":{ZEROS},"write_latency_stats":{ZEROS}}},"internal_stats":{{"records":7}},"db_compact_stats":{{}},"eng_type":"fjall","is_leader":true}}],"scan_stats":{{"scan_count":2,"scan_latency_stats":{ZEROS}}}}}}}"#
        )
    };
    is("/stats", stats("null"));
    is("/stats?table_detail=true", stats(&format!("[{TABLE}]")));
    is("/stats?table_details=true&leader_only=false", stats(&format!("[{TABLE}]")));
    assert!(asked("StatsWish { leader_only: true, table_detail: false }"));
    assert!(asked("StatsWish { leader_only: false, table_detail: true }"));
    is(
        "/raft/stats?namespace=n&leader_only=true",
        format!(
            r#"[{{"leader_info":{MEMBER},"members":[{MEMBER}],"learners":[],"raft_stat":{{"id":1,"term":3,"vote":1,"commit":9,"lead":1,"raft_state":"StateLeader","applied":9,"progress":{{"1":{{"match":9,"next":10,"state":"StateReplicate"}}}},"lead_transferee":0}}}}]"#
        ),
    );
    assert!(asked("raft 'n' true"));
    is("/tablestats?table=t", format!(r#"{{"table_stats":{{"ns":{TABLE}}}}}"#));
    assert!(asked("tables Some(\"t\") true"));
    is(
        "/querytable/stats/t",
        format!(
            r#"{{"total":{{"ns":{TABLE}}},"nodes":{{"1:10.0.0.1::7004:7001:datanode":{{"ns":{TABLE}}}}}}}"#
        ),
    );
    is("/datanodes?only_here=true", format!(r#"{{"nodes":[{NODE}]}}"#));
    assert!(asked("data nodes Anybody") && asked("data nodes OnlyHere"));
    let (status, text) = server.ask(None, "GET", "/metric", b"");
    assert!(status == 200 && text.contains("skein_commands_total 12"), "as the guide calls it");
}

#[test]
fn what_changes_something_needs_the_token() {
    let server = Server::start();
    for (method, path) in [
        ("POST", "/kv/optimize"),
        ("POST", "/kv/optimize/ns/t"),
        ("POST", "/cluster/namespace/create?namespace=a&partition_num=1&replicator=1"),
        ("POST", "/cluster/namespace/meta/update?namespace=ns&replicator=1"),
        ("POST", "/slowlog/set?loglevel=2"),
        ("DELETE", "/cluster/namespace/delete?namespace=ns&partition=**"),
        ("POST", "/cluster/namespace/delete?namespace=ns&partition=**"),
    ] {
        let (status, body) = server.ask(None, method, path, b"");
        assert!(status == 401 && body.starts_with(r#"{"message":""#), "{method} {path}: {status} {body}");
        assert_eq!(server.with_token(method, path, ""), (200, String::new()), "{method} {path}");
    }
    server.with_token("POST", "/kv/optimize?wait=true", "");
    assert!(asked("OptimizeWish { namespace: None, table: None, wait: true }"));
    assert!(asked("OptimizeWish { namespace: Some(\"ns\"), table: Some(\"t\"), wait: false }"));
    assert!(asked("replicas ns 1"));
}

#[test]
fn the_slow_log_is_shown_to_those_with_the_token() {
    let server = Server::start();
    assert_eq!(server.ask(None, "GET", "/slowlog", b"").0, 401, "it holds keys and values");
    let entry = r#"{"id":3,"time":1700000000,"micros":60000,"command":["set","k","\\x00"],"client":"10.0.0.9:5000","client_name":"a"}"#;
    let all = format!(r#"{{"slower_than_micros":50000,"entries":[{entry}]}}"#);
    assert_eq!(server.with_token("GET", "/slowlog", ""), (200, all));
    assert_eq!(server.with_token("GET", "/slowlog?count=7", "").0, 200);
    assert!(asked("slow log 128") && asked("slow log 7"));
    // ZanKV's levels, and what it notes at each.
    for (level, micros) in [(-1, -1), (0, 100_000), (1, 100_000), (2, 50_000), (4, 50_000), (5, 0)] {
        let path = format!("/slowlog/set?loglevel={level}");
        assert_eq!(server.with_token("POST", &path, ""), (200, String::new()));
        assert!(asked(&format!("slower than {micros}")), "{level}");
    }
    let wrong = |path: &str, message: &str| {
        let method = if path.contains("set") { "POST" } else { "GET" };
        let body = format!(r#"{{"message":"{message}"}}"#);
        assert_eq!(server.with_token(method, path, ""), (400, body), "{path}");
    };
    wrong("/slowlog/set", "MISSING_ARG_LOGLEVEL");
    wrong("/slowlog/set?loglevel=high", "INVALID_ARG_LOGLEVEL");
    wrong("/slowlog?count=-1", "INVALID_ARG_COUNT");
}

#[test]
fn what_is_missing_or_wrong_is_told_in_zankvs_words() {
    let server = Server::start();
    let create =
        |arguments: &str| server.with_token("POST", &format!("/cluster/namespace/create?{arguments}"), "");
    let said = |(status, body): (u16, String)| {
        let message = body.strip_prefix(r#"{"message":""#).and_then(|body| body.strip_suffix(r#""}"#));
        (status, message.unwrap_or(&body).to_owned())
    };
    for (arguments, message) in [
        ("", "MISSING_ARG_NAMESPACE"),
        ("namespace=a-b", "INVALID_ARG_NAMESPACE"),
        ("namespace=a", "MISSING_ARG_PARTITION_NUM"),
        ("namespace=a&partition_num=0", "INVALID_ARG_PARTITION_NUM"),
        ("namespace=a&partition_num=1025", "INVALID_ARG_PARTITION_NUM"),
        ("namespace=a&partition_num=x", "INVALID_ARG_PARTITION_NUM"),
        ("namespace=a&partition_num=4", "MISSING_ARG_REPLICATOR"),
        ("namespace=a&partition_num=4&replicator=6", "INVALID_ARG_REPLICATOR"),
        ("namespace=a&partition_num=4&replicator=3&engtype=x", "INVALID_ARG_ENGTYPE"),
        ("namespace=a&partition_num=4&replicator=3&data_version=v9", "INVALID_ARG_DATA_VERSION"),
        ("namespace=a&partition_num=4&replicator=3&expiration_policy=x", "INVALID_ARG_EXPIRATION_POLICY"),
        (
            "namespace=a&partition_num=4&replicator=3&expiration_policy=wait_compact&data_version=default",
            "INVALID_ARG_EXPIRATION_POLICY data version must be v1 in compact ttl",
        ),
        ("namespace=%zz%", "INVALID_ARG_NAMESPACE"),
    ] {
        assert_eq!(said(create(arguments)), (400, message.to_owned()), "{arguments}");
    }
    let all = "namespace=a&partition_num=16&replicator=3&engtype=rockredis&data_version=default\
               &expiration_policy=local_deletion&tags=x,y&optimizedfsync=true";
    assert_eq!(create(all), (200, String::new()));
    assert!(asked(
        "create CreateNamespace { name: \"a\", partitions: Some(16), replicas: Some(3), \
         data_version: Some(\"default\"), expiration_policy: Some(\"local_deletion\") }"
    ));
    let (status, message) = said(create("namespace=ns&partition_num=4&replicator=3"));
    assert!(status == 409 && message.contains("ns:_"), "{message}");

    let ask = |method: &str, path: &str| said(server.with_token(method, path, ""));
    let delete = |arguments: &str| ask("DELETE", &format!("/cluster/namespace/delete?{arguments}"));
    assert_eq!(delete(""), (400, "MISSING_ARG_NAMESPACE".into()));
    assert_eq!(delete("namespace=ns"), (400, "MISSING_ARG_PARTITION".into()));
    assert_eq!(delete("namespace=ns&partition=0"), (400, "REMOVE_SINGLE_PARTITION_NOT_ALLOWED".into()));
    assert_eq!(delete("namespace=no&partition=**"), (404, "NAMESPACE not found".into()));
    let update = |arguments: &str| ask("POST", &format!("/cluster/namespace/meta/update?{arguments}"));
    assert_eq!(update("namespace=ns&snapcount=x"), (400, "INVALID_ARG_SNAP".into()));
    assert_eq!(update("namespace=no&optimizefsync=true"), (404, "NAMESPACE not found".into()));
    assert_eq!(ask("GET", "/query/no"), (404, "NAMESPACE not found".into()));
    assert_eq!(ask("POST", "/kv/optimize/a-b"), (400, "INVALID_ARG_NAMESPACE".into()));
    for (method, path) in [
        ("GET", "/kv/optimize"),
        ("POST", "/stats"),
        ("PUT", "/cluster/namespace/delete"),
        ("DELETE", "/cluster/stats"),
        ("GET", "/cluster/namespace/create"),
    ] {
        assert_eq!(ask(method, path), (405, "METHOD_NOT_ALLOWED".into()), "{method} {path}");
    }
}

#[test]
fn namespaces_are_part_of_the_admin_api() {
    let server = Server::start();
    let (status, body) = server.with_token("GET", "/v1/namespaces", "");
    let found: Vec<Namespace> = serde_json::from_str(&body).unwrap();
    assert_eq!((status, found[0].name.as_str()), (200, "ns"));
    assert_eq!(server.ask(None, "GET", "/v1/namespaces", b"").0, 401);
    assert_eq!(server.with_token("POST", "/v1/namespaces", r#"{"name":"b"}"#).0, 200);
    assert_eq!(server.with_token("DELETE", "/v1/namespaces/ns", ""), (200, "{}".into()));
    assert_eq!(server.with_token("DELETE", "/v1/namespaces/no", "").0, 404);
}
