//! The guide's cluster and its tables: read as scripts of the field read them, with every cell checked.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api::admin::Verdict;
use jiff::civil::DateTime;
use types::hash::HashRule;

use super::load::Load;
use super::support::{Cluster, Shape, until, words};
use super::{QUICKLY, SKEIN};

/// What people call the cluster.
const NAME: &str = "fedb_cluster";
/// Partitions of `flow`.
pub const PARTITIONS: u32 = 2;

/// The columns of the guide's tables, in their order.
const TABLE_COLUMNS: &str = "name tid pid endpoint role ttl is_alive compress_type offset record_cnt memused";
const OP_COLUMNS: &str = "op_id op_type name pid status start_time execute_time end_time cur_task";
const TABLET_COLUMNS: &str = "endpoint state age";

/// A row of a table by column.
pub type Row = BTreeMap<String, String>;

/// The guide's cluster: each node under the host that it has in the guide.
pub struct Guide {
    pub cluster: Cluster,
    /// `bin/fedb` and `bin/openmldb`.
    pub programs: tempfile::TempDir,
    /// `.31` and so on, by the endpoint.
    pub hosts: BTreeMap<String, String>,
    /// The number of `flow`; in the guide it is 4.
    tid: String,
}

impl Guide {
    /// The cluster at the guide's beginning: `flow` has its leaders on .32 and .33.
    pub fn start() -> Self {
        let arguments = ["--name", NAME].map(str::to_owned).to_vec();
        let cluster = Cluster::start(SKEIN, Shape { arguments, partitions: 1, ..Shape::default() });
        let output = cluster.run(["table", "create", "flow", "--partitions", "2"]);
        assert!(output.status.success(), "{}", words(&output));
        let programs = tempfile::tempdir().expect("a temporary directory");
        for name in ["fedb", "openmldb"] {
            std::os::unix::fs::symlink(SKEIN, programs.path().join(name)).expect("linked");
        }
        let tables = cluster.client().tables().expect("the tables");
        let tid = tables.iter().find(|table| table.name == "flow").expect("the table").tid.to_string();
        let mut guide = Self { cluster, programs, hosts: BTreeMap::new(), tid };
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
    pub fn fedb(&self, command: &str) -> Output {
        self.program("fedb", command)
    }

    pub fn program(&self, name: &str, command: &str) -> Output {
        let addresses: Vec<String> =
            self.cluster.nodes().into_iter().map(|node| self.cluster.addresses(node).peer).collect();
        let mut program = Command::new(self.programs.path().join(name));
        program.arg(format!("--zk_cluster={}", addresses.join(",")));
        program.arg(format!("--zk_root_path=/{NAME} ")).args(["--role=ns_client", "--interactive=false"]);
        program.arg(format!("--cmd={command}")).env("SKEIN_DIR", self.cluster.directory().path());
        program.env_remove("SKEIN_SECRET_FILE").stdin(Stdio::null()).output().expect("the program")
    }

    /// What a command prints behind the line that names the leader. It must succeed.
    pub fn said(&self, command: &str) -> String {
        let output = self.fedb(command);
        assert!(output.status.success(), "{command}: {}", words(&output));
        let text = String::from_utf8(output.stdout).expect("text");
        let (first, rest) = text.split_once('\n').expect("a line that names the leader");
        assert!(first.starts_with("ns leader: 127.0.0.1:"), "{first}");
        rest.to_owned()
    }

    /// A command that must fail, and what it prints.
    pub fn refused(&self, command: &str) -> String {
        let output = self.fedb(command);
        assert!(!output.status.success(), "{command}: {}", words(&output));
        let text = String::from_utf8(output.stdout).expect("text");
        text.split_once('\n').map(|(_, rest)| rest.trim_end().to_owned()).unwrap_or_default()
    }

    /// `showtable flow`: the guide's columns, and in each row what does not depend on the moment.
    pub fn rows(&self) -> Vec<Row> {
        let rows = parsed(&self.said("showtable flow"), TABLE_COLUMNS);
        for row in &rows {
            assert_eq!((&*row["name"], &row["tid"]), ("flow", &self.tid), "{row:?}");
            assert_eq!((&*row["ttl"], &*row["compress_type"]), ("0min", "kNoCompress"), "{row:?}");
            // Who leads the catalog since a moment ago has not heard of each replica yet.
            let is_cell = |column: &str, is: fn(&str) -> bool| is(&row[column]) || row[column] == "-";
            assert!(is_cell("offset", is_number) && is_cell("record_cnt", is_number), "{row:?}");
            assert!(is_cell("memused", is_size), "{row:?}");
        }
        rows
    }

    /// `showtable flow` in the words of the guide: hosts for endpoints, the columns that do not depend on
    /// what was written. Replicas stand in the guide's order; that rows keep their places is tested by itself.
    pub fn shown(&self) -> Vec<String> {
        let place = |row: &String| WHOLE.iter().position(|of_guide| of_guide[..10] == row[..10]);
        let mut shown = self.shown_as_they_stand();
        shown.sort_by_key(|row| (row.as_bytes()[5], place(row).unwrap_or(usize::MAX)));
        shown
    }

    pub fn shown_as_they_stand(&self) -> Vec<String> {
        let row =
            |row: &Row| format!("flow {} {} {} {}", row["pid"], self.host(row), row["role"], row["is_alive"]);
        self.rows().iter().map(row).collect()
    }

    fn host(&self, row: &Row) -> String {
        self.hosts.get(&row["endpoint"]).cloned().unwrap_or_else(|| row["endpoint"].clone())
    }

    /// Nothing was ever written: `showtable flow` becomes, cell by cell, what the guide shows; only the number of the
    /// table and the addresses are others.
    pub fn becomes_in_every_cell(&self, table: &[impl AsRef<str>]) {
        let wanted = |row: &str| {
            let cells: Vec<&str> = row.split(' ').collect();
            let [name, pid, host, role, is_alive] = cells[..] else { panic!("five cells: {row}") };
            let tid = &self.tid;
            format!("{name} {tid} {pid} {host} {role} 0min {is_alive} kNoCompress 0 0 0.000")
        };
        let wanted: Vec<String> = table.iter().map(|row| wanted(row.as_ref())).collect();
        let deadline = Instant::now() + QUICKLY;
        loop {
            let mut rows = self.rows();
            rows.sort_by_key(|row| {
                let begins = format!("flow {} {} ", row["pid"], self.host(row));
                table.iter().position(|of_guide| of_guide.as_ref().starts_with(&begins))
            });
            let shown: Vec<String> = rows.iter().map(|row| self.in_every_cell(row)).collect();
            if shown == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{shown:#?} is not {wanted:#?}");
        }
    }

    fn in_every_cell(&self, row: &Row) -> String {
        // What a dead one said last was 0, and who has not heard it does not know.
        let is_unheard = |column: &str| row["is_alive"] == "no" && row[column] == "-";
        let cell = |column: &str| match column {
            "endpoint" => self.host(row),
            "offset" | "record_cnt" if is_unheard(column) => "0".to_owned(),
            "memused" if is_unheard(column) => "0.000".to_owned(),
            _ => row[column].clone(),
        };
        TABLE_COLUMNS.split(' ').map(cell).collect::<Vec<_>>().join(" ")
    }

    /// Waits until `showtable` is what the guide shows.
    pub fn becomes(&self, limit: Duration, table: &[impl AsRef<str>]) {
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

    /// The load is over and all replicas are back: they come to the same writes, all that were acknowledged and at most
    /// those that failed besides. What is shown is as old as the last report of each node.
    pub fn comes_to_rest_after(&self, load: &Load) {
        for partition in 0..PARTITIONS {
            let tally = load.tally(partition);
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let (writes, keys, failed) = (count(&tally.writes), count(&tally.keys), count(&tally.failed));
            let (writes, keys) = (writes..=writes + failed, keys.saturating_sub(failed)..=keys);
            let deadline = Instant::now() + QUICKLY;
            loop {
                let mut rows = self.rows();
                rows.retain(|row| row["pid"] == partition.to_string());
                let rests = |row: &Row| {
                    let is_in = |column: &str, known: &RangeInclusive<u64>| {
                        row[column].parse().is_ok_and(|number| known.contains(&number))
                    };
                    let is_equal =
                        ["offset", "record_cnt"].iter().all(|column| row[*column] == rows[0][*column]);
                    is_equal
                        && is_in("offset", &writes)
                        && is_in("record_cnt", &keys)
                        && row["is_alive"] == "yes"
                };
                if rows.iter().all(rests) {
                    break;
                }
                assert!(Instant::now() < deadline, "{writes:?} writes, {keys:?} keys: {rows:#?}, {load}");
            }
        }
    }

    /// A node by its host in the guide.
    pub fn node(&self, host: &str) -> u64 {
        let endpoint = self.endpoint(host);
        let is = |node: &u64| self.cluster.addresses(*node).peer == endpoint;
        self.cluster.nodes().into_iter().find(is).expect("a node")
    }

    pub fn endpoint(&self, host: &str) -> String {
        let (endpoint, _) = self.hosts.iter().find(|(_, known)| *known == host).expect("a host");
        endpoint.clone()
    }

    /// A node dies, and nobody starts it again.
    pub fn dies(&self, host: &str) {
        self.cluster.kill_agent();
        self.cluster.kill(self.node(host));
    }

    /// A node that had died runs again.
    pub fn returns(&self, host: &str) {
        self.cluster.start_node(self.node(host));
        self.cluster.node_is_ready(self.node(host));
    }

    /// `showtablet`, each row with the age of its node.
    pub fn tablets(&self) -> Vec<Row> {
        let rows = parsed(&self.said("showtablet"), TABLET_COLUMNS);
        for row in &rows {
            let unit = row["age"].trim_start_matches(|digit: char| digit.is_ascii_digit());
            let has_number = unit.len() < row["age"].len();
            assert!(has_number && ["ms", "s", "m", "h", "d"].contains(&unit), "{row:?}");
        }
        rows
    }

    /// `showopstatus` with its arguments: the guide's columns, and times that go together.
    pub fn op_rows(&self, arguments: &str) -> Vec<Row> {
        let rows = parsed(&self.said(&format!("showopstatus {arguments}")), OP_COLUMNS);
        rows.iter().for_each(check_op);
        let ids: Vec<u64> = rows.iter().map(|row| row["op_id"].parse().expect("a number")).collect();
        assert!(ids.is_sorted(), "{rows:?}");
        rows
    }

    /// The states and types of the operations on `flow`, sorted.
    pub fn ops(&self) -> Vec<String> {
        let rows = self.op_rows("flow");
        let mut ops: Vec<String> =
            rows.iter().map(|row| format!("{} {} {}", row["op_type"], row["pid"], row["status"])).collect();
        ops.sort();
        ops
    }

    /// Waits until all operations have ended well.
    pub fn ops_are_done(&self) -> Vec<String> {
        until("operations that are done", || {
            let ops = self.ops();
            ops.iter().all(|op| op.ends_with("kDone")).then_some(ops)
        })
    }

    /// The replicas of every partition of `flow` have the same records.
    pub fn digests_are_equal(&self) {
        let output = self.cluster.run(["digest", "flow"]);
        assert!(output.status.success(), "{}", words(&output));
    }

    /// A connection of a client with ZanKV addressing, which reaches all tables.
    pub fn client(&self, node: u64) -> redis::Connection {
        let client = redis::Client::open(format!("redis://{}", self.cluster.addresses(node).zankv));
        let client = client.expect("an address");
        until("a connection", || client.get_connection_with_timeout(Duration::from_secs(2)).ok())
    }
}

/// An op has the times of the guide's: when it began, for how long it has run, and when it ended.
fn check_op(row: &Row) {
    assert_eq!(row["name"], "flow", "{row:?}");
    let moment = |column: &str| {
        let time = (row[column] != "-").then(|| DateTime::strptime("%Y%m%d%H%M%S", &row[column]));
        time.map(|time| time.unwrap_or_else(|error| panic!("{column} of {row:?}: {error}")))
    };
    let (start, end) = (moment("start_time"), moment("end_time"));
    let seconds = row["execute_time"].strip_suffix('s').and_then(|text| text.parse::<i64>().ok());
    match row["status"].as_str() {
        "kInited" => assert_eq!((start, end, &*row["cur_task"]), (None, None, "-"), "{row:?}"),
        "kDoing" => assert!(start.is_some() && end.is_none() && seconds.is_some(), "{row:?}"),
        _ => {
            let (start, end) = (start.expect("a start"), end.expect("an end"));
            let between = start.duration_until(end).as_secs();
            // All three are cut off to whole seconds.
            assert!(seconds.is_some_and(|ran| (ran..=ran + 1).contains(&between)), "{row:?}");
            assert_eq!(row["cur_task"], "-", "{row:?}");
        }
    }
}

/// A table as scripts of the field read it: from the line of dashes on, cells between blanks, a unit of bytes
/// with the number before it.
pub fn parsed(text: &str, columns: &str) -> Vec<Row> {
    let mut lines = text.lines();
    let heading: Vec<&str> = lines.next().expect("a heading").split_whitespace().collect();
    assert_eq!(heading.join(" "), columns);
    assert!(lines.next().is_some_and(|line| line.trim_start().starts_with("------")), "{text}");
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
            assert_eq!(cells.len(), heading.len(), "{text}");
            heading.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), cell.to_owned())).collect()
        })
        .collect()
}

fn is_number(cell: &str) -> bool {
    cell.parse::<u64>().is_ok()
}

/// Bytes as the originals print them: three digits behind the point, and a unit from 1024 on.
pub fn is_size(cell: &str) -> bool {
    let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let digits = number.split_once('.').map(|(_, digits)| digits.len());
    digits == Some(3) && number.parse::<f64>().is_ok() && ["", "K", "M", "G", "T"].contains(&unit)
}

/// Keys of `flow` that lie in a partition.
pub fn key(partition: u32, number: u64) -> String {
    let mut keys = (number * 1000..).map(|number| format!("key{number}"));
    let lies =
        |key: &String| HashRule::Tag.partition(key.as_bytes(), PARTITIONS).get() == u64::from(partition);
    keys.find(lies).expect("half of all keys")
}

pub fn set(connection: &mut redis::Connection, key: &str, value: u64) -> redis::RedisResult<()> {
    redis::cmd("SET").arg(format!("default:flow:{key}")).arg(value).query(connection)
}

/// The guide's first table, and the last one of its beginning.
pub const WHOLE: [&str; 6] = [
    "flow 0 .32 leader yes",
    "flow 0 .33 follower yes",
    "flow 0 .31 follower yes",
    "flow 1 .33 leader yes",
    "flow 1 .31 follower yes",
    "flow 1 .32 follower yes",
];

/// .32 is dead and nobody has taken over, as the guide shows it.
pub const LOST: [&str; 6] = [
    "flow 0 .32 leader no",
    "flow 0 .33 follower yes",
    "flow 0 .31 follower yes",
    "flow 1 .33 leader yes",
    "flow 1 .31 follower yes",
    "flow 1 .32 follower no",
];

/// The same with .31 or .33 as the leader of partition 0.
pub fn taken_over(leader: &str) -> Vec<String> {
    let row = |row: &&str| match row.strip_prefix("flow 0 ") {
        Some(rest) if rest.starts_with(leader) => format!("flow 0 {leader} leader yes"),
        _ => (*row).to_owned(),
    };
    LOST.iter().map(row).collect()
}

/// All is well again, and the leader of partition 0 has stayed where it is.
pub fn recovered(leader: &str) -> Vec<String> {
    let row = |row: String| row.replace("leader no", "follower yes").replace("follower no", "follower yes");
    taken_over(leader).into_iter().map(row).collect()
}
