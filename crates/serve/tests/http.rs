//! The HTTP face over real sockets: who may ask, and what errors look like.

#![allow(clippy::unwrap_used)] // the whole file is a test

#[path = "http/zankv.rs"]
mod zankv;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use api::admin::{
    CreateTable, DigestReport, ErrorBody, Explanation, Identity, JoinNode, Joined, MoveLeader, Operation,
    OperationRequest, Permit, PermitRelease, PermitReleased, PermitRequest, Plan, SetSetting, SettingValue,
    StartOperation, Status, Table, TablePartition, Verdict,
};
use api::auth::Secret;
use api::recovery::{CatalogSurvivor, GiveUpCatalogMajority};
use serve::http::{Admin, Answer, HttpLimits, HttpServer, Operations};
use serve::listen;
use types::limits::HTTP_BODY_BYTES_MAX;
use types::metrics::{self, Metric};
use types::{ErrorCode, Fault, NodeId};

/// Knows one table, makes others, and moves no leader.
struct Dummy;

fn table(namespace: &str, name: &str) -> Table {
    Table {
        tid: 1,
        namespace: namespace.into(),
        name: name.into(),
        engine: "kv".into(),
        partitions: 8,
        replicas: 3,
        generation: 1,
        hash: "tag".into(),
        restoring: String::new(),
    }
}

impl Operations for Dummy {
    fn plan(&self, request: OperationRequest) -> Answer<Plan> {
        let plan = Plan {
            catalog_version: 5,
            summary: request.kind,
            parts: Vec::new(),
            bytes: 0,
            seconds: 0,
            lowest_fault_tolerance: 1,
            notes: Vec::new(),
            joins: None,
            idle: false,
        };
        Box::pin(async move { Ok(plan) })
    }
    fn start(&self, _: StartOperation) -> Answer<Operation> {
        Box::pin(async { Err(api::admin::elsewhere(NodeId(2), "127.0.0.1:7")) })
    }
    fn operations(&self) -> Result<Vec<Operation>, Fault> {
        Ok(Vec::new())
    }
    fn operation(&self, id: u64) -> Result<Operation, Fault> {
        Err(Fault::new(ErrorCode::UnknownOperation, format!("operation {id}")))
    }
    fn cancel(&self, id: u64) -> Answer<Operation> {
        Box::pin(async move { Err(Fault::new(ErrorCode::Unsafe, format!("operation {id}"))) })
    }
    fn forget(&self, _: u64) -> Answer<()> {
        Box::pin(async { Ok(()) })
    }
    fn explain_operation(&self, id: u64) -> Result<Explanation, Fault> {
        Ok(explanation(format!("operation {id}")))
    }
    fn explain_node(&self, node: u64) -> Result<Explanation, Fault> {
        Ok(explanation(format!("node {node}")))
    }
    fn explain_partition(&self, namespace: &str, name: &str, partition: u64) -> Result<Explanation, Fault> {
        Ok(explanation(format!("{namespace}:{name}/{partition}")))
    }
    fn permit(&self, node: u64, wish: PermitRequest) -> Answer<Permit> {
        let holder = wish.holder.unwrap_or_default();
        Box::pin(async move { Ok(Permit { node, holder, until_ms: 7, notes: Vec::new() }) })
    }
    fn release_permit(&self, _: u64, wish: PermitRelease) -> Answer<PermitReleased> {
        Box::pin(async move { Ok(PermitReleased { was_held: wish.holder.is_some() }) })
    }
    fn catalog_survivor(&self) -> Result<CatalogSurvivor, Fault> {
        Err(ErrorCode::NotMeta.into())
    }

    fn give_up_catalog_majority(&self, _: GiveUpCatalogMajority) -> Result<(), Fault> {
        Err(ErrorCode::NotMeta.into())
    }

    fn settings(&self) -> Result<Vec<SettingValue>, Fault> {
        Ok(Vec::new())
    }
    fn set(&self, name: String, wish: SetSetting) -> Answer<SettingValue> {
        Box::pin(async move { Err(Fault::new(ErrorCode::BadArgument, format!("{name}={}", wish.value))) })
    }
}

fn explanation(summary: String) -> Explanation {
    Explanation { summary, facts: Vec::new(), blockers: Vec::new(), next: Vec::new() }
}

impl Admin for Dummy {
    fn identity(&self) -> Identity {
        Identity {
            name: "skein".into(),
            cluster: "2a".into(),
            node: 1,
            boot: "7".into(),
            pid: 9,
            version: "0".into(),
            ready: false,
        }
    }
    fn ready(&self) -> Result<(), String> {
        Err("waits for a quorum".into())
    }
    fn metrics(&self) -> Vec<(&'static Metric, f64)> {
        vec![(&metrics::COMMANDS, 12.0)]
    }
    fn status(&self) -> Result<Status, Fault> {
        Ok(Status {
            verdict: Verdict::Healthy,
            summary: String::new(),
            cluster: "2a".into(),
            fault_tolerance: 1,
            tolerance_by: Default::default(),
            leader: Some(1),
            catalog_version: 5,
            nodes: Vec::new(),
            partitions: Vec::new(),
        })
    }
    fn join(&self, wish: JoinNode) -> Answer<Joined> {
        Box::pin(async move { Ok(Joined { cluster: "2a".into(), node: wish.node.max(4) }) })
    }
    fn tables(&self) -> Vec<Table> {
        vec![table("default", "default")]
    }
    fn table(&self, namespace: &str, name: &str) -> Result<Table, Fault> {
        if name == "default" {
            Ok(table(namespace, name))
        } else {
            Err(Fault::new(ErrorCode::UnknownTable, name))
        }
    }
    fn create_table(&self, wish: CreateTable) -> Answer<Table> {
        Box::pin(async move { Ok(table("default", &wish.name)) })
    }
    fn drop_table(&self, _: String, _: String) -> Answer<()> {
        Box::pin(async { Ok(()) })
    }
    fn move_leader(&self, _: MoveLeader) -> Answer<()> {
        Box::pin(async { Err(ErrorCode::NoLeader.into()) })
    }
    fn digest(&self, _: TablePartition) -> Answer<DigestReport> {
        Box::pin(async { Ok(DigestReport { index: 1, equal: true, replicas: Vec::new() }) })
    }
}

struct Server {
    address: SocketAddr,
    secret: Secret,
    _http: HttpServer,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start() -> Self {
        Self::with(HttpLimits::default())
    }

    fn with(limits: HttpLimits) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = listen::bind("127.0.0.1:0").unwrap();
        let (address, secret) = (listener.local_addr().unwrap(), Secret::new([3; 32]));
        let http = {
            let _inside = runtime.enter();
            HttpServer::start(listener, secret.clone(), Arc::new(Dummy), limits).unwrap()
        };
        Self { address, secret, _http: http, _runtime: runtime }
    }

    /// Status and body of a request.
    fn ask(&self, token: Option<&str>, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let token = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{token}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // The server may refuse in the middle of a body that is too long.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn with_token(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.ask(Some(&self.secret.admin_token()), method, path, body.as_bytes())
    }
}

fn error(body: &str) -> ErrorBody {
    serde_json::from_str(body).unwrap()
}

#[test]
fn what_needs_no_secret_is_open_and_the_rest_is_not() {
    let server = Server::start();
    assert_eq!(server.ask(None, "GET", "/health", b""), (503, "waits for a quorum\n".into()));
    let (status, text) = server.ask(None, "GET", "/metrics", b"");
    assert!(status == 200 && text.contains("\nskein_commands_total 12\n"), "{text}");
    let (status, identity) = server.ask(None, "GET", "/v1/identity", b"");
    assert!(status == 200 && serde_json::from_str::<Identity>(&identity).unwrap().pid == 9);

    for (method, path) in [
        ("GET", "/v1/status"),
        ("GET", "/v1/nodes"),
        ("POST", "/v1/nodes"),
        ("GET", "/v1/tables"),
        ("POST", "/v1/tables"),
        ("DELETE", "/v1/tables/default/default"),
        ("POST", "/v1/leader"),
        ("POST", "/v1/digest"),
        ("POST", "/v1/plan"),
        ("GET", "/v1/operations"),
        ("POST", "/v1/operations/1/cancel"),
        ("POST", "/v1/nodes/1/permit"),
        ("GET", "/v1/explain/nodes/1"),
        ("PUT", "/v1/settings/auto_failover"),
    ] {
        for token in [None, Some(""), Some("wrong")] {
            let (status, body) = server.ask(token, method, path, b"{}");
            assert_eq!(
                (status, error(&body).code.as_str()),
                (401, "unauthorized"),
                "{method} {path} {token:?}"
            );
        }
    }
}

#[test]
fn routes_translate_to_the_admin_and_back() {
    let server = Server::start();
    let (status, body) = server.with_token("GET", "/v1/status", "");
    assert!(status == 200 && serde_json::from_str::<Status>(&body).unwrap().catalog_version == 5);
    let (_, body) = server.with_token("GET", "/v1/tables", "");
    assert_eq!(serde_json::from_str::<Vec<Table>>(&body).unwrap(), [table("default", "default")]);
    let (status, body) = server.with_token("POST", "/v1/tables", r#"{"name":"orders"}"#);
    assert!(status == 200 && serde_json::from_str::<Table>(&body).unwrap().name == "orders");
    assert_eq!(server.with_token("DELETE", "/v1/tables/default/orders", ""), (200, "{}".into()));
    let node = r#"{"node":0,"boot":"7","endpoint":"a:1","redis":"","zankv":"","http":"","version":"0",
        "feature_level":1,"store":"0"}"#;
    let (status, body) = server.with_token("POST", "/v1/nodes", node);
    assert!(status == 200 && serde_json::from_str::<Joined>(&body).unwrap().node == 4, "{body}");
    let (status, body) = server.with_token("POST", "/v1/nodes", r#"{"node":0}"#);
    assert!(status == 400 && error(&body).code == "bad-argument", "{body}");
    let (status, body) = server.with_token("POST", "/v1/digest", r#"{"table":"default","partition":0}"#);
    assert!(status == 200 && serde_json::from_str::<DigestReport>(&body).unwrap().equal);
}

#[test]
fn routes_of_operations_translate_to_the_admin_and_back() {
    let server = Server::start();
    let (status, body) = server.with_token("POST", "/v1/plan", r#"{"kind":"drain","node":2}"#);
    assert!(status == 200 && serde_json::from_str::<Plan>(&body).unwrap().summary == "drain", "{body}");
    assert_eq!(server.with_token("GET", "/v1/operations", ""), (200, "[]".into()));
    assert_eq!(server.with_token("DELETE", "/v1/operations/3", ""), (200, "{}".into()));
    for (path, about) in [
        ("/v1/operations/3/explain", "operation 3"),
        ("/v1/explain/nodes/4", "node 4"),
        ("/v1/explain/partitions/default/default/5", "default:default/5"),
    ] {
        let (status, body) = server.with_token("GET", path, "");
        assert_eq!(
            (status, serde_json::from_str::<Explanation>(&body).unwrap().summary),
            (200, about.into())
        );
    }
    let (status, body) = server.with_token("POST", "/v1/nodes/2/permit", r#"{"holder":"me"}"#);
    let permit: Permit = serde_json::from_str(&body).unwrap();
    assert_eq!((status, permit.node, permit.holder), (200, 2, "me".into()));
    let given_back = server.with_token("DELETE", "/v1/nodes/2/permit", r#"{"holder":"me"}"#);
    assert_eq!(given_back, (200, r#"{"was_held":true}"#.into()));
    // Without a body it is about whoever holds it when nobody is named.
    let (status, body) = server.with_token("POST", "/v1/nodes/2/permit", "");
    let permit: Permit = serde_json::from_str(&body).unwrap();
    assert_eq!((status, permit.node, permit.holder), (200, 2, String::new()));
    let given_back = server.with_token("DELETE", "/v1/nodes/2/permit", "");
    assert_eq!(given_back, (200, r#"{"was_held":false}"#.into()));
    assert_eq!(server.with_token("GET", "/v1/settings", ""), (200, "[]".into()));
    // A node that does not lead the catalog says which one does.
    let (status, body) = server.with_token("POST", "/v1/operations", r#"{"request":{"kind":"balance"}}"#);
    let named = api::admin::address_elsewhere(&Fault::from(&error(&body))).map(str::to_owned);
    assert_eq!((status, named), (503, Some("127.0.0.1:7".into())));
}

#[test]
fn every_error_is_json_with_a_code() {
    let server = Server::start();
    let moved = r#"{"table":"default","partition":0,"to":2}"#;
    for (method, path, body, status, code) in [
        ("GET", "/v1/tables/default/no", "", 404, "unknown-table"),
        ("POST", "/v1/leader", moved, 503, "no-leader"),
        ("POST", "/v1/leader", "{", 400, "bad-argument"),
        ("POST", "/v1/leader", "{}", 400, "bad-argument"),
        ("GET", "/v1/tables/%ff/x", "", 400, "bad-argument"),
        ("GET", "/nothing", "", 404, "bad-argument"),
        ("GET", "/v1/nothing", "", 404, "bad-argument"),
        ("DELETE", "/health", "", 405, "bad-argument"),
        ("PUT", "/v1/tables", "{}", 405, "bad-argument"),
        ("GET", "/v1/operations/9", "", 404, "unknown-operation"),
        ("GET", "/v1/operations/first", "", 400, "bad-argument"),
        ("POST", "/v1/operations/9/cancel", "", 409, "unsafe"),
        ("POST", "/v1/plan", r#"{"kind":"drain","nodes":2}"#, 400, "bad-argument"),
        ("PUT", "/v1/settings/auto_failover", r#"{"value":"no"}"#, 400, "bad-argument"),
    ] {
        let (got, text) = server.with_token(method, path, body);
        assert_eq!((got, error(&text).code.as_str()), (status, code), "{method} {path}: {text}");
        assert!(!error(&text).hint.is_empty());
    }
    let large = " ".repeat(HTTP_BODY_BYTES_MAX + 1);
    let (status, text) = server.with_token("POST", "/v1/tables", &large);
    assert_eq!((status, error(&text).code.as_str()), (413, "request-too-large"));
}

/// What the server says to these bytes until it closes the connection; `None` if it does not.
fn last_words(mut stream: TcpStream, said: &str) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(said.as_bytes()).unwrap();
    let mut words = Vec::new();
    stream.read_to_end(&mut words).ok()?;
    Some(String::from_utf8(words).unwrap())
}

#[test]
fn who_says_half_a_request_is_not_waited_for() {
    let short = Duration::from_millis(50);
    let server = Server::with(HttpLimits { header: short, body: short, ..HttpLimits::default() });
    let say = |said: &str| last_words(TcpStream::connect(server.address).unwrap(), said);
    assert_eq!(say("").as_deref(), Some(""), "nothing");
    assert!(say("GET /health HTTP/1.1\r\nHos").is_some(), "half a header");
    // After an answer the same time counts again.
    let answered = say("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").expect("closed");
    assert!(answered.starts_with("HTTP/1.1 503"), "{answered}");
    let head = format!(
        "POST /v1/tables HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        server.secret.admin_token()
    );
    let answered = say(&head).expect("closed");
    assert!(answered.starts_with("HTTP/1.1 400") && answered.contains("did not come within"), "{answered}");
}

#[test]
fn more_connections_than_allowed_wait_for_their_turn() {
    let limits = HttpLimits { header: Duration::from_millis(300), connections: 2, ..HttpLimits::default() };
    let server = Server::with(limits);
    let silent: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    let begun = std::time::Instant::now();
    // Not before one of the silent ones has lost its place.
    assert_eq!(server.ask(None, "GET", "/health", b"").0, 503);
    assert!(begun.elapsed() > Duration::from_millis(200), "{:?}", begun.elapsed());
    drop(silent);
}
