//! The FEDB operations guide, line by line: its commands, typed as it types them, against real clusters under a load of
//! reads and writes, and its tables, cell by cell.
//!
//! The guide's cluster has three tablets, .31, .32 and .33, and a table `flow` with two partitions. Here node
//! 2 is .32 as soon as it leads partition 0; ports tell the nodes apart. The guide's tables are written in the kit
//! with the hosts of the guide.

mod kit;
mod load;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use api::admin::Verdict;
use jiff::ZonedDateTime;
use jiff::civil::DateTime;

use super::SKEIN;
use super::support::{self, alone, beside_others, until, within, words};
use kit::{Guide, LOST, WHOLE, is_size, key, recovered, set, taken_over};
use load::Load;

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

#[test]
fn the_mode_is_shown_set_and_kept() {
    let _beside = beside_others();
    let guide = Guide::start();
    let shown = |value: &str| {
        format!("  key            value\n------------------------\n  auto_failover  {value:<5}\n")
    };
    let load = Load::through(&guide, [".31", ".33"]);
    load.around(|| {
        // The last column is as wide as its widest cell too.
        assert_eq!(guide.said("confget"), shown("true"));
        assert_eq!(guide.said("confset auto_failover false"), "set auto_failover ok\n");
        assert_eq!(guide.said("confget"), shown("false"));
        // Whoever leads the catalog next knows it as well.
        let leader = guide.cluster.status().leader.expect("a leader");
        guide.cluster.kill(leader);
        until("another leader", || guide.cluster.client().status().ok()?.leader);
        assert_eq!(guide.said("confget"), shown("false"));
    });
    guide.comes_to_rest_after(&load);

    let refused = "failed to set auto_failover. error msg: invalid parameter";
    assert_eq!(guide.refused("confset auto_failover sometimes"), refused);
    assert_eq!(guide.refused("confset auto_failover"), "Bad format");
}

#[test]
fn a_cluster_of_another_name_and_nobody_are_refused() {
    let _beside = beside_others();
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
fn the_tables_are_the_guides_in_every_cell() {
    let _beside = beside_others();
    let mut guide = Guide::start();
    // Nothing is written, as in the guide, whose counts are all 0.
    guide.becomes_in_every_cell(&WHOLE);
    guide.said("confset auto_failover false");
    let began = ZonedDateTime::now().datetime();
    guide.dies(".32");
    guide.becomes(FAILOVER, &LOST);
    guide.becomes_in_every_cell(&LOST);
    let dead = guide.endpoint(".32");
    assert_eq!(guide.said(&format!("offlineendpoint {dead}")), "offline endpoint ok\n");
    let (leader, follower) = if guide.shown() == taken_over(".31") { (".31", ".33") } else { (".33", ".31") };
    guide.becomes_in_every_cell(&taken_over(leader));
    guide.returns(".32");
    assert_eq!(guide.said(&format!("recoverendpoint {dead}")), "recover endpoint ok\n");
    guide.ops_are_done();
    guide.becomes_in_every_cell(&recovered(leader));

    guide.cluster.up();
    let added = guide.cluster.run(["node", "add"]);
    assert!(added.status.success(), "{}", words(&added));
    let new = guide.cluster.addresses(4).peer;
    guide.hosts.insert(new.clone(), ".37".into());
    guide.said(&format!("migrate {} flow 0 {new}", guide.endpoint(follower)));
    guide.ops_are_done();
    let moved = |row: String| match row.starts_with(&format!("flow 0 {follower}")) {
        true => row.replace(follower, ".37"),
        false => row,
    };
    guide.becomes_in_every_cell(&recovered(leader).into_iter().map(moved).collect::<Vec<_>>());

    let ops = guide.op_rows("flow");
    let names: Vec<String> = ops.iter().map(|op| format!("{} {}", op["op_type"], op["pid"])).collect();
    for wanted in
        ["kChangeLeaderOP 0", "kOfflineReplicaOP 1", "kRecoverTableOP 0", "kRecoverTableOP 1", "kMigrateOP 0"]
    {
        assert!(names.contains(&wanted.to_owned()), "{names:?}");
    }
    // The first command of the test is older than what the guide does; a cell has whole seconds.
    let last = DateTime::strptime("%Y%m%d%H%M%S", &ops.last().expect("an op")["start_time"]).expect("a time");
    assert!(began.duration_until(last).as_secs() >= 0 && last <= ZonedDateTime::now().datetime(), "{ops:?}");
}

#[test]
fn in_automatic_mode_a_loss_and_a_return_need_no_command() {
    let _alone = alone();
    let guide = Guide::start();
    let load = Load::through(&guide, [".31", ".33"]);
    load.around(|| {
        guide.dies(".32");
        let began = Instant::now();
        let leader = within(FAILOVER, "a new leader, and the old one's row", || {
            let shown = guide.shown();
            [".31", ".33"].into_iter().find(|leader| shown == taken_over(leader))
        });
        eprintln!("{leader} leads partition 0 after {:?}", began.elapsed());
        guide.returns(".32");
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
    guide.comes_to_rest_after(&load);
    guide.digests_are_equal();
}

#[test]
fn in_manual_mode_a_loss_and_a_return_go_as_the_guide_says() {
    let _beside = beside_others();
    let guide = Guide::start();
    guide.said("confset auto_failover false");
    let load = Load::through(&guide, [".31", ".33"]);
    load.around(|| {
        let leader = a_loss_in_manual_mode(&guide, &load);
        a_return_in_manual_mode(&guide, leader);
    });
    guide.comes_to_rest_after(&load);
    guide.digests_are_equal();
}

/// The host that leads partition 0 afterwards.
fn a_loss_in_manual_mode(guide: &Guide, load: &Load) -> &'static str {
    let mut connection = guide.client(guide.node(".31"));
    guide.dies(".32");
    guide.becomes(FAILOVER, &LOST);
    load.goes_on_in(1);
    let acknowledged = load.writes_in(0);
    let began = Instant::now();
    while began.elapsed() < NOBODY_TAKES_OVER {
        assert_eq!(guide.shown(), LOST, "after {:?}", began.elapsed());
        std::thread::sleep(Duration::from_secs(1));
    }
    load.goes_on_in(1);
    assert_eq!(load.writes_in(0), acknowledged, "nobody leads partition 0");
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
    load.goes_on();
    leader
}

fn a_return_in_manual_mode(guide: &Guide, leader: &str) {
    let dead = guide.endpoint(".32");
    let reason = guide.refused(&format!("recoverendpoint {dead}"));
    assert_eq!(reason, "failed to recover endpoint. error msg: tablet is not healthy");
    guide.returns(".32");
    until("three healthy tablets", || {
        guide.tablets().iter().all(|row| row["state"] == "kTabletHealthy").then_some(())
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
    let _beside = beside_others();
    let guide = Guide::start();
    guide.said("confset auto_failover false");
    let load = Load::through(&guide, [".32", ".33"]);
    load.around(|| {
        guide.dies(".31");
        let place = guide.cluster.directory().node_directory(guide.node(".31"));
        std::fs::remove_dir_all(place.join("data")).expect("removed");
        guide.returns(".31");
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
        // The others serve.
        load.goes_on();
        let lost = guide.endpoint(".31");
        assert_eq!(guide.said(&format!("recoverendpoint {lost}")), "recover endpoint ok\n");
        guide.ops_are_done();
        guide.becomes(QUICKLY, &WHOLE);
    });
    guide.comes_to_rest_after(&load);
    guide.digests_are_equal();
}

#[test]
fn a_node_that_lives_is_taken_out_and_brought_back() {
    let _beside = beside_others();
    let guide = Guide::start();
    let load = Load::through(&guide, [".31", ".33"]);
    load.around(|| {
        let endpoint = guide.endpoint(".32");
        for _ in 0..2 {
            assert_eq!(guide.said(&format!("offlineendpoint {endpoint}")), "offline endpoint ok\n");
            let leader = if guide.shown() == taken_over(".31") { ".31" } else { ".33" };
            assert_eq!(guide.shown(), taken_over(leader));
        }
        assert_eq!(guide.tablets().len(), 3);
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
        // A vote stays where it is not known yet that the others have everything.
        guide.cluster.becomes(Verdict::Healthy);
        assert_eq!(guide.said(&format!("offlineendpoint {endpoint}")), "offline endpoint ok\n");
        assert_eq!(guide.said(&format!("recoverendpoint {endpoint} true")), "recover endpoint ok\n");
        guide.ops_are_done();
        within(QUICKLY, "the first leader", || (guide.shown()[0] == WHOLE[0]).then_some(()));
    });
    load.had_no_failure();
    guide.comes_to_rest_after(&load);
    guide.digests_are_equal();
}

#[test]
fn single_partitions_are_mended_in_any_order() {
    let _beside = beside_others();
    let guide = Guide::start();
    guide.said("confset auto_failover false");
    let load = Load::through(&guide, [".31", ".33"]);
    load.around(|| {
        guide.dies(".32");
        guide.becomes(FAILOVER, &LOST);
        assert_eq!(guide.said("changeleader flow 0"), "change leader ok\n");
        let again = guide.refused("changeleader flow 0");
        assert_eq!(again, "failed to change leader. error msg: leader is alive");
        load.goes_on();
        guide.returns(".32");
        let all_yes = || guide.shown().iter().all(|row| row.ends_with("yes")).then_some(());
        within(RETURN, "six times yes", all_yes);
        what_is_well_needs_nothing(&guide);
        what_is_asked_of_one_leaves_the_other_alone(&guide);
        load.goes_on();
        assert_eq!(
            guide.said(&format!("recovertable flow 1 {}", guide.endpoint(".32"))),
            "recover table ok\n"
        );
        guide.ops_are_done();
        within(QUICKLY, "six times yes", all_yes);
    });
    guide.comes_to_rest_after(&load);
    guide.digests_are_equal();
}

fn what_is_well_needs_nothing(guide: &Guide) {
    let endpoint = guide.endpoint(".32");
    // The other tables as well, or there would be something to recover.
    guide.cluster.becomes(Verdict::Healthy);
    let before = guide.ops();
    let alive = "Fail to recover table. error msg:table is alive, need not recover";
    assert_eq!(guide.refused(&format!("recovertable flow 0 {endpoint}")), alive);
    for _ in 0..2 {
        assert_eq!(guide.said(&format!("recoverendpoint {endpoint}")), "recover endpoint ok\n");
    }
    assert_eq!(guide.ops(), before, "there was nothing to do");
}

fn what_is_asked_of_one_leaves_the_other_alone(guide: &Guide) {
    let endpoint = guide.endpoint(".32");
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
}

#[test]
fn the_whole_cluster_is_killed_and_serves_again_by_itself() {
    let _alone = alone();
    let guide = Guide::start();
    let load = Load::through(&guide, [".31", ".33"]);
    load.around(|| {
        for (mode, order) in [("true", [1, 2, 3]), ("false", [3, 1, 2])] {
            guide.said(&format!("confset auto_failover {mode}"));
            if mode == "false" {
                others_lead(&guide);
            }
            guide.cluster.kill_all();
            let began = Instant::now();
            order.into_iter().for_each(|node| guide.cluster.start_node(node));
            until("an answer", || guide.fedb("showtable flow").status.success().then_some(()));
            within(RETURN.saturating_sub(began.elapsed()), "six times yes", || {
                guide.shown().iter().all(|row| row.ends_with("yes")).then_some(())
            });
            assert!(guide.said("confget").contains(mode));
            load.goes_on();
        }
    });
    assert!(guide.ops().iter().all(|op| op.ends_with("kDone")), "{:?}", guide.ops());
    guide.comes_to_rest_after(&load);
    guide.digests_are_equal();
}

/// Other replicas lead, whether that is on record yet or not. With entries on their way as well, the leader of record may
/// come back without what its followers have.
fn others_lead(guide: &Guide) {
    for pid in ["0", "1"] {
        let rows = guide.rows();
        let follower = rows.iter().find(|row| row["pid"] == pid && row["role"] == "follower");
        let endpoint = &follower.expect("a follower")["endpoint"];
        assert_eq!(guide.said(&format!("changeleader flow {pid} {endpoint}")), "change leader ok\n");
    }
}

#[test]
fn a_node_is_added_and_takes_over_a_replica() {
    let _beside = beside_others();
    let mut guide = Guide::start();
    let load = Load::through(&guide, [".31", ".32"]);
    load.around(|| {
        let added = guide.cluster.run(["node", "add"]);
        assert!(added.status.success(), "{}", words(&added));
        let new = guide.cluster.addresses(4).peer;
        let tablets = within(Duration::from_secs(2), "four healthy tablets", || {
            let rows = guide.tablets();
            (rows.len() == 4 && rows.iter().all(|row| row["state"] == "kTabletHealthy")).then_some(rows)
        });
        assert_eq!(tablets[3]["endpoint"], new);
        guide.hosts.insert(new.clone(), ".37".into());
        a_follower_moves(&guide, &new);

        // The original cannot move a leader.
        let migrate = format!("migrate {} flow 1 {new}", guide.endpoint(".33"));
        assert_eq!(guide.said(&migrate), "partition migrate ok\n");
        guide.ops_are_done();
        let moved = guide.shown().into_iter().find(|row| row.starts_with("flow 1 .37"));
        assert_eq!(moved.as_deref(), Some("flow 1 .37 leader yes"));
    });
    load.had_no_failure();
    guide.comes_to_rest_after(&load);
    guide.digests_are_equal();

    let new = guide.endpoint(".37");
    let same = guide.refused(&format!("migrate {new} flow 0 {new}"));
    assert_eq!(same, "migrate error. src_endpoint is same as des_endpoint");
    let unknown = guide.refused(&format!("migrate {new} flow 0 127.0.0.1:1"));
    assert_eq!(unknown, "failed to migrate partition. error msg: des_endpoint does not exist or not healthy");
}

/// From .33 to the new node, as the guide moves it.
fn a_follower_moves(guide: &Guide, new: &str) {
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
}

#[test]
fn offsets_count_writes_and_are_equal_at_rest() {
    let _beside = beside_others();
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
        let mut written = rows.iter().filter(|row| row["pid"] == "0");
        written.all(|row| row["record_cnt"] == "8" && is_size(&row["memused"])).then_some(())
    });
}

#[test]
fn replicas_come_and_go_and_ops_are_forgotten() {
    let _beside = beside_others();
    let guide = Guide::start();
    let endpoint = guide.endpoint(".31");
    let load = Load::through(&guide, [".32", ".33"]);
    load.around(|| {
        assert_eq!(guide.said(&format!("delreplica flow 0-1 {endpoint}")), "DelReplica ok\n");
        guide.ops_are_done();
        let without: Vec<&str> = WHOLE.into_iter().filter(|row| !row.contains(".31")).collect();
        guide.becomes(QUICKLY, &without);
        let gone = guide.refused(&format!("recovertable flow 0 {endpoint}"));
        assert_eq!(gone, "Fail to recover table. error msg:pid does not exist");
        assert_eq!(guide.said(&format!("addreplica flow 0,1 {endpoint}")), "AddReplica ok\n");
        guide.ops_are_done();
        guide.becomes(QUICKLY, &WHOLE);
    });
    load.had_no_failure();
    let there = guide.refused(&format!("addreplica flow 1 {endpoint}"));
    assert_eq!(there, format!("Fail to addreplica. error msg:pid 1 is exist in {endpoint}"));
    guide.comes_to_rest_after(&load);
    guide.digests_are_equal();

    assert_eq!(guide.said("makesnapshot flow 0"), "MakeSnapshot ok\n");
    let ops = guide.ops_are_done();
    let types: Vec<&str> = ops.iter().filter_map(|op| op.split(' ').next()).collect();
    for op_type in ["kAddReplicaOP", "kDelReplicaOP", "kMakeSnapshotOP"] {
        assert!(types.contains(&op_type), "{ops:?}");
    }
    let last = guide.op_rows("flow 0").last().expect("a row")["op_id"].clone();
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
