//! The FEDB operations guide, line by line: its commands, typed as it types them, against real clusters, and
//! its tables, cell by cell.
//!
//! The guide's cluster has three tablets, .31, .32 and .33, and a table `flow` with two partitions. Here node
//! 2 is .32 as soon as it leads partition 0; ports tell the nodes apart. The guide's tables are written below
//! with the hosts of the guide.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api::admin::Verdict;
use types::hash::HashRule;

use super::SKEIN;
use super::support::{Cluster, Shape, alone, until, within, words};

/// What people call the cluster.
const NAME: &str = "fedb_cluster";
/// Partitions of `flow`.
const PARTITIONS: u32 = 2;
/// What comes to pass by itself comes within this time on a busy machine too.
const QUICKLY: Duration = Duration::from_secs(20);
/// The time in which a leader that died must be replaced.
const FAILOVER: Duration = Duration::from_millis(2_500);
/// The time in which everything must be well after a node has returned, or all of them.
const RETURN: Duration = Duration::from_secs(5);
/// So long nobody takes over in manual mode.
const NOBODY_TAKES_OVER: Duration = Duration::from_secs(30);

/// So long a lost replica is watched staying lost.
const STAYS_LOST: Duration = Duration::from_secs(5);

/// The guide's cluster: each node under the host that it has in the guide.
struct Guide {
    cluster: Cluster,
    /// `bin/fedb` and `bin/openmldb`.
    programs: tempfile::TempDir,
    /// `.31` and so on, by the endpoint.
    hosts: BTreeMap<String, String>,
}

impl Guide {
    /// The cluster at the guide's beginning: `flow` has its leaders on .32 and .33.
    fn start() -> Self {
        let arguments = ["--name", NAME].map(str::to_owned).to_vec();
        let cluster = Cluster::start(SKEIN, Shape { arguments, partitions: 1, ..Shape::default() });
        let output = cluster.run(["table", "create", "flow", "--partitions", "2"]);
        assert!(output.status.success(), "{}", words(&output));
        let programs = tempfile::tempdir().expect("a temporary directory");
        for name in ["fedb", "openmldb"] {
            std::os::unix::fs::symlink(SKEIN, programs.path().join(name)).expect("linked");
        }
        let mut guide = Self { cluster, programs, hosts: BTreeMap::new() };
        guide.cluster.becomes(Verdict::Healthy);
        // In the guide the rows of partition 0 are .32, .33, .31, the leader first.
        let rows = guide.rows();
        let of_first = rows.iter().filter(|row| row["pid"] == "0").map(|row| row["endpoint"].clone());
        guide.hosts = of_first.zip([".32", ".33", ".31"].map(str::to_owned)).collect();
        // There .33 leads partition 1. If it does here already, the command changes nothing.
        let moved = guide.said(&format!("changeleader flow 1 {}", guide.endpoint(".33")));
        assert_eq!(moved, "change leader ok\n");
        guide.becomes(QUICKLY, &WHOLE);
        guide
    }

    /// `bin/fedb` with the guide's flags, its trailing blank, and one command.
    fn fedb(&self, command: &str) -> Output {
        self.program("fedb", command)
    }

    fn program(&self, name: &str, command: &str) -> Output {
        let addresses: Vec<String> =
            self.cluster.nodes().into_iter().map(|node| self.cluster.addresses(node).peer).collect();
        let mut program = Command::new(self.programs.path().join(name));
        program.arg(format!("--zk_cluster={}", addresses.join(",")));
        program.arg(format!("--zk_root_path=/{NAME} ")).args(["--role=ns_client", "--interactive=false"]);
        program.arg(format!("--cmd={command}")).env("SKEIN_DIR", self.cluster.directory().path());
        program.env_remove("SKEIN_SECRET_FILE").stdin(Stdio::null()).output().expect("the program")
    }

    /// What a command prints behind the line that names the leader. It must succeed.
    fn said(&self, command: &str) -> String {
        let output = self.fedb(command);
        assert!(output.status.success(), "{command}: {}", words(&output));
        let text = String::from_utf8(output.stdout).expect("text");
        let (first, rest) = text.split_once('\n').expect("a line that names the leader");
        assert!(first.starts_with("ns leader: 127.0.0.1:"), "{first}");
        rest.to_owned()
    }

    /// A command that must fail, and what it prints.
    fn refused(&self, command: &str) -> String {
        let output = self.fedb(command);
        assert!(!output.status.success(), "{command}: {}", words(&output));
        let text = String::from_utf8(output.stdout).expect("text");
        text.split_once('\n').map(|(_, rest)| rest.trim_end().to_owned()).unwrap_or_default()
    }

    /// Rows of a table that a command prints, by column: as scripts of the field read them.
    fn table(&self, command: &str) -> Vec<BTreeMap<String, String>> {
        parsed(&self.said(command))
    }

    fn rows(&self) -> Vec<BTreeMap<String, String>> {
        self.table("showtable flow")
    }

    /// `showtable flow` in the words of the guide: hosts for endpoints, the columns that do not depend on
    /// what was written. Replicas stand in the guide's order; that rows keep their places is tested by itself.
    fn shown(&self) -> Vec<String> {
        let place = |row: &String| WHOLE.iter().position(|of_guide| of_guide[..10] == row[..10]);
        let mut shown = self.shown_as_they_stand();
        shown.sort_by_key(|row| (row.as_bytes()[5], place(row).unwrap_or(usize::MAX)));
        shown
    }

    fn shown_as_they_stand(&self) -> Vec<String> {
        let row = |row: &BTreeMap<String, String>| {
            assert_eq!((row["ttl"].as_str(), row["compress_type"].as_str()), ("0min", "kNoCompress"));
            let host = self.hosts.get(&row["endpoint"]).cloned().unwrap_or_else(|| row["endpoint"].clone());
            format!("{} {} {host} {} {}", row["name"], row["pid"], row["role"], row["is_alive"])
        };
        self.rows().iter().map(row).collect()
    }

    /// Waits until `showtable` is what the guide shows.
    fn becomes(&self, limit: Duration, table: &[impl AsRef<str>]) {
        let table: Vec<&str> = table.iter().map(AsRef::as_ref).collect();
        let deadline = Instant::now() + limit;
        loop {
            let shown = self.shown();
            if shown == table {
                return;
            }
            assert!(Instant::now() < deadline, "after {limit:?} still {shown:#?}");
        }
    }

    /// A node by its host in the guide.
    fn node(&self, host: &str) -> u64 {
        let endpoint = self.endpoint(host);
        let is = |node: &u64| self.cluster.addresses(*node).peer == endpoint;
        self.cluster.nodes().into_iter().find(is).expect("a node")
    }

    fn endpoint(&self, host: &str) -> String {
        let (endpoint, _) = self.hosts.iter().find(|(_, known)| *known == host).expect("a host");
        endpoint.clone()
    }

    /// A node dies, and nobody starts it again.
    fn dies(&self, host: &str) {
        self.cluster.kill_agent();
        self.cluster.kill(self.node(host));
    }

    /// The states and types of the operations on `flow`, sorted.
    fn ops(&self) -> Vec<String> {
        let rows = self.table("showopstatus flow");
        let mut ops: Vec<String> =
            rows.iter().map(|row| format!("{} {} {}", row["op_type"], row["pid"], row["status"])).collect();
        ops.sort();
        ops
    }

    /// Waits until all operations have ended well.
    fn ops_are_done(&self) -> Vec<String> {
        until("operations that are done", || {
            let ops = self.ops();
            ops.iter().all(|op| op.ends_with("kDone")).then_some(ops)
        })
    }

    /// The replicas of every partition of `flow` have the same records.
    fn digests_are_equal(&self) {
        let output = self.cluster.run(["digest", "flow"]);
        assert!(output.status.success(), "{}", words(&output));
    }

    /// A connection of a client with ZanKV addressing, which reaches all tables.
    fn client(&self, node: u64) -> redis::Connection {
        let client = redis::Client::open(format!("redis://{}", self.cluster.addresses(node).zankv));
        let client = client.expect("an address");
        until("a connection", || client.get_connection_with_timeout(Duration::from_secs(2)).ok())
    }
}

/// A table as scripts of the field read it: from the line of dashes on, cells between blanks, a unit of bytes
/// with the number before it.
fn parsed(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = text.lines();
    let heading: Vec<&str> = lines.next().expect("a heading").split_whitespace().collect();
    assert!(lines.next().is_some_and(|line| line.trim_start().starts_with("------")), "{text}");
    lines
        .map(|line| {
            let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
            heading.iter().map(ToString::to_string).zip(cells.map(str::to_owned)).collect()
        })
        .collect()
}

/// Keys of `flow` that lie in a partition.
fn key(partition: u32, number: u64) -> String {
    let mut keys = (number * 1000..).map(|number| format!("key{number}"));
    let lies =
        |key: &String| HashRule::Tag.partition(key.as_bytes(), PARTITIONS).get() == u64::from(partition);
    keys.find(lies).expect("half of all keys")
}

fn set(connection: &mut redis::Connection, key: &str, value: u64) -> redis::RedisResult<()> {
    redis::cmd("SET").arg(format!("default:flow:{key}")).arg(value).query(connection)
}

/// Writes of one client to both partitions until it is told to stop: what was acknowledged must be there.
struct Load {
    over: AtomicBool,
    acknowledged: AtomicU64,
    failed: AtomicU64,
}

impl Load {
    fn new() -> Self {
        Self { over: AtomicBool::new(false), acknowledged: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }

    /// Runs `work` while a client writes at `node`; then everything acknowledged is looked up.
    fn around(&self, guide: &Guide, node: u64, work: impl FnOnce()) {
        let written = std::thread::scope(|scope| {
            let writer = scope.spawn(|| self.write(guide, node));
            // Ends the writer even if the work panics.
            let over = Over(&self.over);
            until("a first write", || (self.acknowledged.load(Ordering::Relaxed) > 0).then_some(()));
            work();
            drop(over);
            writer.join().expect("no panic")
        });
        let mut connection = guide.client(node);
        for (key, value) in written {
            let found: Option<u64> = redis::cmd("GET")
                .arg(format!("default:flow:{key}"))
                .query(&mut connection)
                .expect("an answer");
            assert!(
                found.is_some_and(|found| found >= value),
                "{key} is {found:?}, {value} was acknowledged"
            );
        }
    }

    fn write(&self, guide: &Guide, node: u64) -> BTreeMap<String, u64> {
        let mut written = BTreeMap::new();
        let mut connection = guide.client(node);
        for number in 0.. {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let key = key((number % 2) as u32, number % 100);
            match set(&mut connection, &key, number) {
                Ok(()) => {
                    written.insert(key, number);
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        written
    }
}

/// Says that it is over when it goes.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The guide's first table, and the last one of its beginning.
const WHOLE: [&str; 6] = [
    "flow 0 .32 leader yes",
    "flow 0 .33 follower yes",
    "flow 0 .31 follower yes",
    "flow 1 .33 leader yes",
    "flow 1 .31 follower yes",
    "flow 1 .32 follower yes",
];

/// .32 is dead and nobody has taken over, as the guide shows it.
const LOST: [&str; 6] = [
    "flow 0 .32 leader no",
    "flow 0 .33 follower yes",
    "flow 0 .31 follower yes",
    "flow 1 .33 leader yes",
    "flow 1 .31 follower yes",
    "flow 1 .32 follower no",
];

/// The same with .31 or .33 as the leader of partition 0.
fn taken_over(leader: &str) -> Vec<String> {
    let row = |row: &&str| match row.strip_prefix("flow 0 ") {
        Some(rest) if rest.starts_with(leader) => format!("flow 0 {leader} leader yes"),
        _ => (*row).to_owned(),
    };
    LOST.iter().map(row).collect()
}

/// All is well again, and the leader of partition 0 has stayed where it is.
fn recovered(leader: &str) -> Vec<String> {
    let row = |row: String| row.replace("leader no", "follower yes").replace("follower no", "follower yes");
    taken_over(leader).into_iter().map(row).collect()
}

#[test]
fn the_mode_is_shown_set_and_kept() {
    let _alone = alone();
    let guide = Guide::start();
    let shown = |value: &str| {
        format!("  key            value\n------------------------\n  auto_failover  {value:<5}\n")
    };
    // The last column is as wide as its widest cell too.
    assert_eq!(guide.said("confget"), shown("true"));
    assert_eq!(guide.said("confset auto_failover false"), "set auto_failover ok\n");
    assert_eq!(guide.said("confget"), shown("false"));
    // Whoever leads the catalog next knows it as well.
    let leader = guide.cluster.status().leader.expect("a leader");
    guide.cluster.kill(leader);
    until("another leader", || guide.cluster.client().status().ok()?.leader);
    assert_eq!(guide.said("confget"), shown("false"));

    let refused = "failed to set auto_failover. error msg: invalid parameter";
    assert_eq!(guide.refused("confset auto_failover sometimes"), refused);
    assert_eq!(guide.refused("confset auto_failover"), "Bad format");
}

#[test]
fn a_cluster_of_another_name_and_nobody_are_refused() {
    let _alone = alone();
    let guide = Guide::start();
    let program = |flags: &[&str]| {
        let mut command = Command::new(guide.programs.path().join("fedb"));
        command.args(flags).env("SKEIN_DIR", guide.cluster.directory().path()).stdin(Stdio::null());
        command.output().expect("the program")
    };
    let address = format!("--zk_cluster={}", guide.endpoint(".31"));
    let other = program(&[&address, "--zk_root_path=/rtidb_cluster", "--role=ns_client"]);
    assert_eq!((other.status.code(), other.stdout.as_slice()), (Some(3), &b"get children failed\n"[..]));
    assert!(words(&other).contains("is called 'fedb_cluster', not 'rtidb_cluster'"), "{}", words(&other));
    let nobody = program(&["--zk_cluster=127.0.0.1:1", "--role=ns_client"]);
    assert_eq!((nobody.status.code(), nobody.stdout.as_slice()), (Some(4), &b"zk client init failed\n"[..]));
    let sql = program(&[&address, "--role=sql_client"]);
    assert!(!sql.status.success() && words(&sql).contains("not supported, use "), "{}", words(&sql));
    let unset = program(&["--role=ns_client"]);
    assert!(words(&unset).contains("Start failed! not set endpoint or zk_cluster"), "{}", words(&unset));
    // By one node's endpoint, as 'showns' prints it, there is no line that names the leader.
    let endpoint = format!("--endpoint={}", guide.endpoint(".33"));
    let one = program(&[&endpoint, "--role=ns_client", "--interactive=false", "--cmd=showns"]);
    assert!(one.status.success() && one.stdout.starts_with(b"  endpoint "), "{}", words(&one));
}

#[test]
fn in_automatic_mode_a_loss_and_a_return_need_no_command() {
    let _alone = alone();
    let guide = Guide::start();
    guide.becomes(QUICKLY, &WHOLE);
    let writer = guide.node(".31");
    Load::new().around(&guide, writer, || {
        guide.dies(".32");
        let began = Instant::now();
        let leader = within(FAILOVER, "a new leader, and the old one's row", || {
            let shown = guide.shown();
            [".31", ".33"].into_iter().find(|leader| shown == taken_over(leader))
        });
        eprintln!("{leader} leads partition 0 after {:?}", began.elapsed());
        guide.cluster.start_node(guide.node(".32"));
        guide.cluster.node_is_ready(guide.node(".32"));
        within(RETURN, "six times yes", || {
            let shown = guide.shown();
            shown.iter().all(|row| row.ends_with("yes")).then_some(())
        });
    });
    assert_eq!(
        guide.ops_are_done().iter().filter(|op| op.contains("kOffline")).count(),
        0,
        "nothing was typed"
    );
    guide.digests_are_equal();
}

#[test]
fn in_manual_mode_a_loss_and_a_return_go_as_the_guide_says() {
    let _alone = alone();
    let guide = Guide::start();
    guide.said("confset auto_failover false");
    guide.dies(".32");
    guide.becomes(FAILOVER, &LOST);
    let mut connection = guide.client(guide.node(".31"));
    set(&mut connection, &key(1, 1), 1).expect("partition 1 serves");
    let began = Instant::now();
    while began.elapsed() < NOBODY_TAKES_OVER {
        assert_eq!(guide.shown(), LOST, "after {:?}", began.elapsed());
        std::thread::sleep(Duration::from_secs(1));
    }
    let asked = Instant::now();
    let refused = set(&mut connection, &key(0, 1), 1).expect_err("nobody leads partition 0");
    assert!(asked.elapsed() < Duration::from_secs(1), "after {:?}: {refused}", asked.elapsed());
    assert!(refused.to_string().contains("offlineendpoint"), "{refused}");

    let dead = guide.endpoint(".32");
    assert_eq!(guide.said(&format!("offlineendpoint {dead}")), "offline endpoint ok\n");
    let leader = if guide.shown() == taken_over(".31") { ".31" } else { ".33" };
    assert_eq!(guide.shown(), taken_over(leader));
    let ops = guide.ops_are_done();
    assert!(ops.contains(&"kChangeLeaderOP 0 kDone".to_owned()), "{ops:?}");
    assert!(ops.contains(&"kOfflineReplicaOP 1 kDone".to_owned()), "{ops:?}");
    set(&mut connection, &key(0, 1), 1).expect("partition 0 serves");

    let reason = guide.refused(&format!("recoverendpoint {dead}"));
    assert_eq!(reason, "failed to recover endpoint. error msg: tablet is not healthy");
    guide.cluster.start_node(guide.node(".32"));
    guide.cluster.node_is_ready(guide.node(".32"));
    until("three healthy tablets", || {
        guide.table("showtablet").iter().all(|row| row["state"] == "kTabletHealthy").then_some(())
    });
    assert_eq!(guide.shown(), taken_over(leader), "nobody has asked for it");
    // Who types it again, while it goes on or when it is at its end, joins it.
    let ops = loop {
        assert_eq!(guide.said(&format!("recoverendpoint {dead}")), "recover endpoint ok\n");
        let ops = guide.ops();
        if ops.iter().all(|op| op.ends_with("kDone")) {
            break ops;
        }
    };
    let count = |op_type: &str| ops.iter().filter(|op| op.starts_with(op_type)).count();
    assert_eq!((count("kRecoverTableOP"), count("kReAddReplica")), (2, 2), "{ops:?}");
    assert_eq!(guide.shown(), recovered(leader));
    guide.digests_are_equal();
    // A second run of both finds nothing to do.
    assert_eq!(guide.said(&format!("recoverendpoint {dead}")), "recover endpoint ok\n");
    assert_eq!(guide.ops(), ops);
    assert_eq!(guide.shown(), recovered(leader));
}

#[test]
fn in_manual_mode_a_lost_disk_is_replaced_by_command_only() {
    let _alone = alone();
    let guide = Guide::start();
    guide.said("confset auto_failover false");
    let mut connection = guide.client(guide.node(".32"));
    for number in 0..20 {
        set(&mut connection, &key(number % 2, u64::from(number)), 1).expect("served");
    }
    guide.dies(".31");
    let node = guide.node(".31");
    let place = guide.cluster.directory().node_directory(node);
    std::fs::remove_dir_all(place.join("data")).expect("removed");
    guide.cluster.start_node(node);
    guide.cluster.node_is_ready(node);
    let without: Vec<String> = WHOLE
        .iter()
        .map(|row| if row.contains(".31") { row.replace("yes", "no") } else { (*row).to_owned() })
        .collect();
    guide.becomes(QUICKLY, &without);
    let began = Instant::now();
    while began.elapsed() < STAYS_LOST {
        assert_eq!(guide.shown(), without, "after {:?}", began.elapsed());
        std::thread::sleep(Duration::from_millis(500));
    }
    set(&mut connection, &key(0, 1), 2).expect("the others serve");
    assert_eq!(guide.said(&format!("recoverendpoint {}", guide.endpoint(".31"))), "recover endpoint ok\n");
    guide.ops_are_done();
    guide.becomes(QUICKLY, &WHOLE);
    guide.digests_are_equal();
}

#[test]
fn a_node_that_lives_is_taken_out_and_brought_back() {
    let _alone = alone();
    let guide = Guide::start();
    let writer = guide.node(".31");
    let load = Load::new();
    load.around(&guide, writer, || {
        let endpoint = guide.endpoint(".32");
        for _ in 0..2 {
            assert_eq!(guide.said(&format!("offlineendpoint {endpoint}")), "offline endpoint ok\n");
            let leader = if guide.shown() == taken_over(".31") { ".31" } else { ".33" };
            assert_eq!(guide.shown(), taken_over(leader));
        }
        assert_eq!(guide.table("showtablet").len(), 3);
        assert!(words(&guide.cluster.run(["status"])).contains("offline"), "status says so");
        assert_eq!(guide.said(&format!("recoverendpoint {endpoint}")), "recover endpoint ok\n");
        guide.ops_are_done();
        within(RETURN, "six times yes", || {
            guide.shown().iter().all(|row| row.ends_with("yes")).then_some(())
        });
        // Leadership comes back with the node, if that is asked for.
        assert!(!guide.shown().contains(&WHOLE[0].to_owned()), "another one leads");
        assert_eq!(guide.said(&format!("changeleader flow 0 {endpoint}")), "change leader ok\n");
        within(RETURN, "the first leader again", || (guide.shown()[0] == WHOLE[0]).then_some(()));
        assert_eq!(guide.said(&format!("offlineendpoint {endpoint}")), "offline endpoint ok\n");
        assert_eq!(guide.said(&format!("recoverendpoint {endpoint} true")), "recover endpoint ok\n");
        guide.ops_are_done();
        within(QUICKLY, "the first leader", || (guide.shown()[0] == WHOLE[0]).then_some(()));
    });
    assert_eq!(load.failed.load(Ordering::Relaxed), 0, "no request failed");
    guide.digests_are_equal();
}

#[test]
fn single_partitions_are_mended_in_any_order() {
    let _alone = alone();
    let guide = Guide::start();
    guide.said("confset auto_failover false");
    guide.dies(".32");
    guide.becomes(FAILOVER, &LOST);
    assert_eq!(guide.said("changeleader flow 0"), "change leader ok\n");
    let again = guide.refused("changeleader flow 0");
    assert_eq!(again, "failed to change leader. error msg: leader is alive");
    guide.cluster.start_node(guide.node(".32"));
    guide.cluster.node_is_ready(guide.node(".32"));
    let endpoint = guide.endpoint(".32");
    within(RETURN, "six times yes", || guide.shown().iter().all(|row| row.ends_with("yes")).then_some(()));
    // The other tables as well, or there would be something to recover.
    guide.cluster.becomes(Verdict::Healthy);
    let before = guide.ops();
    let alive = "Fail to recover table. error msg:table is alive, need not recover";
    assert_eq!(guide.refused(&format!("recovertable flow 0 {endpoint}")), alive);
    for _ in 0..2 {
        assert_eq!(guide.said(&format!("recoverendpoint {endpoint}")), "recover endpoint ok\n");
    }
    assert_eq!(guide.ops(), before, "there was nothing to do");

    // What is asked of one partition leaves the other alone.
    guide.said(&format!("offlineendpoint {endpoint}"));
    assert_eq!(guide.said(&format!("recovertable flow 0 {endpoint}")), "recover table ok\n");
    guide.ops_are_done();
    let row = |pid: &str| {
        guide.shown().into_iter().find(|row| row.starts_with(&format!("flow {pid} .32"))).expect("a row")
    };
    assert_eq!((row("0").as_str(), row("1").as_str()), ("flow 0 .32 follower yes", "flow 1 .32 follower no"));

    let pid = "failed to change leader. error msg: pid does not exist";
    assert_eq!(guide.refused("changeleader flow 9"), pid);
    assert_eq!(guide.refused("changeleader flow x"), "Invalid args. pid should be uint32_t");
    let unknown = "endpoint does not exist";
    for command in
        ["offlineendpoint 127.0.0.1:1", "recoverendpoint 127.0.0.1:1", "recovertable flow 1 127.0.0.1:1"]
    {
        assert!(guide.refused(command).ends_with(unknown), "{command}");
    }
    guide.digests_are_equal();
}

#[test]
fn the_whole_cluster_is_killed_and_serves_again_by_itself() {
    let _alone = alone();
    let guide = Guide::start();
    for (mode, order) in [("true", [1, 2, 3]), ("false", [3, 1, 2])] {
        guide.said(&format!("confset auto_failover {mode}"));
        guide.cluster.kill_all();
        let began = Instant::now();
        order.into_iter().for_each(|node| guide.cluster.start_node(node));
        until("an answer", || guide.fedb("showtable flow").status.success().then_some(()));
        within(RETURN.saturating_sub(began.elapsed()), "six times yes", || {
            guide.shown().iter().all(|row| row.ends_with("yes")).then_some(())
        });
        assert!(guide.said("confget").contains(mode));
        let mut connection = guide.client(1);
        set(&mut connection, &key(0, 7), 7)
            .and_then(|()| set(&mut connection, &key(1, 7), 7))
            .expect("served");
    }
    assert!(guide.ops().iter().all(|op| op.ends_with("kDone")), "{:?}", guide.ops());
}

#[test]
fn a_node_is_added_and_takes_over_a_replica() {
    let _alone = alone();
    let mut guide = Guide::start();
    let added = guide.cluster.run(["node", "add"]);
    assert!(added.status.success(), "{}", words(&added));
    let new = guide.cluster.addresses(4).peer;
    let tablets = within(Duration::from_secs(2), "four healthy tablets", || {
        let rows = guide.table("showtablet");
        (rows.len() == 4 && rows.iter().all(|row| row["state"] == "kTabletHealthy")).then_some(rows)
    });
    assert_eq!(tablets[3]["endpoint"], new);
    guide.hosts.insert(new.clone(), ".37".into());
    let before = guide.shown_as_they_stand();

    let migrate = format!("migrate {} flow 0 {new}", guide.endpoint(".33"));
    assert_eq!(guide.said(&migrate), "partition migrate ok\n");
    let ops = guide.ops_are_done();
    assert_eq!(ops.iter().filter(|op| op.contains("kMigrateOP")).collect::<Vec<_>>(), ["kMigrateOP 0 kDone"]);
    let row =
        |row: &String| if row.starts_with("flow 0 .33") { row.replace(".33", ".37") } else { row.clone() };
    assert_eq!(
        guide.shown_as_they_stand(),
        before.iter().map(row).collect::<Vec<_>>(),
        "it has the other's row"
    );
    guide.digests_are_equal();
    let again = guide.refused(&migrate);
    assert!(again.contains("partition[0] is already in des_endpoint"), "{again}");

    // The original cannot move a leader.
    let load = Load::new();
    load.around(&guide, 1, || {
        assert_eq!(
            guide.said(&format!("migrate {} flow 1 {new}", guide.endpoint(".33"))),
            "partition migrate ok\n"
        );
        guide.ops_are_done();
    });
    let moved = guide.shown().into_iter().find(|row| row.starts_with("flow 1 .37"));
    assert_eq!(moved.as_deref(), Some("flow 1 .37 leader yes"));
    assert_eq!(load.failed.load(Ordering::Relaxed), 0, "no request failed");
    guide.digests_are_equal();

    let same = guide.refused(&format!("migrate {new} flow 0 {new}"));
    assert_eq!(same, "migrate error. src_endpoint is same as des_endpoint");
    let unknown = guide.refused(&format!("migrate {new} flow 0 127.0.0.1:1"));
    assert_eq!(unknown, "failed to migrate partition. error msg: des_endpoint does not exist or not healthy");
}

#[test]
fn offsets_count_writes_and_are_equal_at_rest() {
    let _alone = alone();
    let guide = Guide::start();
    let offsets = |pid: &str| -> Vec<String> {
        guide.rows().iter().filter(|row| row["pid"] == pid).map(|row| row["offset"].clone()).collect()
    };
    assert_eq!((offsets("0"), offsets("1")), (vec!["0".to_owned(); 3], vec!["0".to_owned(); 3]));
    let mut connection = guide.client(2);
    for number in 0..8 {
        set(&mut connection, &key(0, number), number).expect("written");
    }
    // An election and a digest are no writes.
    guide.said(&format!("changeleader flow 0 {}", guide.endpoint(".31")));
    guide.digests_are_equal();
    until("equal offsets", || (offsets("0") == vec!["8".to_owned(); 3]).then_some(()));
    assert_eq!(offsets("1"), vec!["0".to_owned(); 3]);
    let openmldb = guide.program("openmldb", "showtable flow");
    let text = String::from_utf8(openmldb.stdout).expect("text");
    let columns = "name tid pid endpoint role is_alive offset record_cnt memused diskused";
    let heading = text.lines().nth(1).expect("a heading");
    assert_eq!(heading.split_whitespace().collect::<Vec<_>>(), columns.split(' ').collect::<Vec<_>>());
    until("records in every row", || {
        let rows = guide.rows();
        rows.iter().filter(|row| row["pid"] == "0").all(|row| row["record_cnt"] == "8").then_some(())
    });
}

#[test]
fn replicas_come_and_go_and_ops_are_forgotten() {
    let _alone = alone();
    let guide = Guide::start();
    let endpoint = guide.endpoint(".31");
    assert_eq!(guide.said(&format!("delreplica flow 0-1 {endpoint}")), "DelReplica ok\n");
    guide.ops_are_done();
    let without: Vec<&str> = WHOLE.into_iter().filter(|row| !row.contains(".31")).collect();
    guide.becomes(QUICKLY, &without);
    let gone = guide.refused(&format!("recovertable flow 0 {endpoint}"));
    assert_eq!(gone, "Fail to recover table. error msg:pid does not exist");
    assert_eq!(guide.said(&format!("addreplica flow 0,1 {endpoint}")), "AddReplica ok\n");
    guide.ops_are_done();
    guide.becomes(QUICKLY, &WHOLE);
    let there = guide.refused(&format!("addreplica flow 1 {endpoint}"));
    assert_eq!(there, format!("Fail to addreplica. error msg:pid 1 is exist in {endpoint}"));
    guide.digests_are_equal();

    assert_eq!(guide.said("makesnapshot flow 0"), "MakeSnapshot ok\n");
    let ops = guide.ops_are_done();
    let types: Vec<&str> = ops.iter().filter_map(|op| op.split(' ').next()).collect();
    for op_type in ["kAddReplicaOP", "kDelReplicaOP", "kMakeSnapshotOP"] {
        assert!(types.contains(&op_type), "{ops:?}");
    }
    let last = guide.table("showopstatus flow 0").last().expect("a row")["op_id"].clone();
    let ended = "Cancel op failed, error msg: op status is not kDoing or kInited";
    assert_eq!(guide.refused(&format!("cancelop {last}")), ended);
    assert_eq!(guide.said(&format!("deleteop {last}")), "Delete op ok\n");
    let unknown = "Delete op failed, error msg: op id does not exist";
    assert_eq!(guide.refused(&format!("deleteop {last}")), unknown);
    assert_eq!(guide.said("deleteop done"), "Delete op ok\n");
    assert!(guide.ops().is_empty(), "{:?}", guide.ops());

    // What the field's tools look for, and nothing else.
    let output = guide.fedb(&format!("updatetablealive flow * {endpoint} no"));
    assert!(output.status.success() && output.stdout.ends_with(b"\nupdate ok\n"), "{}", words(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was changed"), "{}", words(&output));
    assert_eq!(guide.shown(), WHOLE);
}
