//! Commands as people type them: up, down, status, tables, and what is refused.

use std::net::TcpListener;

use api::admin::{DigestReport, Status, Verdict};

use super::support::{Cluster, Shape, beside_others, until, words};
use super::{SKEIN, get, set, three};

#[test]
fn a_cluster_resumes_with_its_data() {
    let _beside = beside_others();
    let cluster = three();
    for i in 0..100 {
        set(&cluster, 1 + i % 3, &format!("key:{i}"), &i.to_string());
    }
    cluster.down();
    assert!(cluster.nodes().into_iter().all(|node| !cluster.is_running(node)));
    assert_eq!(cluster.run(["status"]).status.code(), Some(20), "nobody answers");
    cluster.up();
    for i in 0..100 {
        assert_eq!(get(&cluster, 1 + (i + 1) % 3, &format!("key:{i}")), Some(i.to_string()));
    }
}

#[test]
fn up_again_says_that_it_runs_already() {
    let _beside = beside_others();
    let cluster = three();
    let pids: Vec<u32> = cluster.nodes().into_iter().map(|node| cluster.pid(node)).collect();
    let output = cluster.try_up(&[]);
    assert!(output.status.success() && words(&output).contains("running already"), "{}", words(&output));
    assert!(words(&output).contains("next: redis-cli -p"), "{}", words(&output));
    let now: Vec<u32> = cluster.nodes().into_iter().map(|node| cluster.pid(node)).collect();
    assert_eq!(pids, now);
}

#[test]
fn another_shape_is_refused() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, partitions: 1, ..Shape::default() });
    for running in [true, false] {
        for (option, value, how) in [
            ("--nodes", "3", "skein node add --dir "),
            ("--partitions", "4", "skein restore --from URL --table default --to-table NAME --partitions 4"),
            ("--base-port", "9000", "a new cluster of that shape"),
        ] {
            let output = cluster.try_up(&[option, value]);
            assert_eq!(output.status.code(), Some(3), "{}", words(&output));
            let text = words(&output);
            assert!(text.contains("topology-differs") && text.contains(how), "{text}");
        }
        if running {
            cluster.down();
        }
    }
}

#[test]
fn a_port_in_use_is_named_with_its_program() {
    let _beside = beside_others();
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let cluster = Cluster::at(SKEIN, temporary.path().join("c"), Shape { nodes: 1, ..Shape::default() });
    let base = super::support::free_base_port();
    let listener = TcpListener::bind(("127.0.0.1", base + 2)).expect("a free port");
    let output = cluster.try_up(&["--base-port", &base.to_string()]);
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
    let text = words(&output);
    assert!(text.contains(&format!("127.0.0.1:{}", base + 2)) && text.contains("port-in-use"), "{text}");
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    drop(listener);
    assert!(cluster.try_up(&["--base-port", &base.to_string()]).status.success());
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let _beside = beside_others();
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let path = temporary.path().join("c");
    let cluster = Cluster::at(SKEIN, &path, Shape { nodes: 3, ..Shape::default() });
    let base = super::support::free_base_port();
    let _listener = TcpListener::bind(("127.0.0.1", base + 12)).expect("a free port");
    for (arguments, code) in
        [(["--base-port", "65530"], 2), (["--base-port", &base.to_string()], 3), (["--listen", "0.0.0.0"], 2)]
    {
        let output = cluster.try_up(&arguments);
        assert_eq!(output.status.code(), Some(code), "{}", words(&output));
        assert!(!path.exists(), "after {arguments:?}");
    }
}

#[test]
fn wrong_usage_is_one_line_of_json_where_json_is_wanted() {
    let run =
        |arguments: &[&str]| std::process::Command::new(SKEIN).args(arguments).output().expect("the binary");
    let output = run(&["up", "--bogus", "--json"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{}", words(&output));
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    let body: api::admin::ErrorBody = serde_json::from_str(&text).expect("JSON");
    assert!(body.code == "bad-argument" && body.detail.contains("--bogus"), "{text}");
    let output = run(&["up", "--bogus"]);
    assert!(output.status.code() == Some(2) && words(&output).contains("Usage:"), "{}", words(&output));
    assert_eq!(run(&["up", "--help", "--json"]).status.code(), Some(0));
}

#[test]
fn a_running_cluster_can_be_stopped_whatever_its_file_says() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, ..Shape::default() });
    let pid = cluster.pid(1);
    let file = cluster.directory().topology_file();
    let text = std::fs::read_to_string(&file).expect("a topology");
    std::fs::write(&file, text.replace("listen =", "lis ten =")).expect("written");
    let output = cluster.run(["up"]);
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
    assert!(words(&output).contains("bad-file") && words(&output).contains("line "), "{}", words(&output));
    let output = cluster.run(["down"]);
    assert!(output.status.success() && words(&output).contains("stopped 1 node"), "{}", words(&output));
    assert!(!super::support::is_alive(pid));
    std::fs::write(&file, text).expect("written");
}

#[test]
fn a_listener_for_other_machines_needs_a_password() {
    let _beside = beside_others();
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let cluster = Cluster::at(SKEIN, temporary.path().join("c"), Shape { nodes: 1, ..Shape::default() });
    let output = cluster.try_up(&["--listen", "0.0.0.0"]);
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
    assert!(words(&output).contains("--requirepass"), "{}", words(&output));
}

#[test]
fn a_password_is_asked_for() {
    let _beside = beside_others();
    let arguments = vec!["--requirepass".to_owned(), "sesame".to_owned()];
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, arguments, ..Shape::default() });
    let mut connection = cluster.redis(1);
    let refused =
        redis::cmd("GET").arg("a").query::<Option<String>>(&mut connection).expect_err("no password");
    assert_eq!(refused.code(), Some("NOAUTH"), "{refused}");
    redis::cmd("AUTH").arg("sesame").query::<()>(&mut connection).expect("the password");
    redis::cmd("SET").arg("a").arg(1).query::<()>(&mut connection).expect("written");
    let listed = std::process::Command::new("ps").args(["-eo", "args"]).output().expect("ps");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(!listed.contains("sesame"), "the password stands in the list of processes: {listed}");
}

#[test]
fn only_an_empty_option_takes_the_password_away() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, partitions: 1, ..Shape::default() });
    let restarted = |options: &[&str], variable: &str| {
        cluster.down();
        let mut command = cluster.command(["up", "--detach"]);
        let output = command.args(options).env("SKEIN_REQUIREPASS", variable).output().expect("the binary");
        assert!(output.status.success(), "{}", words(&output));
        let answer = redis::cmd("GET").arg("a").query::<Option<String>>(&mut cluster.redis(1));
        answer.err().and_then(|error| error.code().map(str::to_owned))
    };
    let locked = Some("NOAUTH".to_owned());
    assert_eq!(restarted(&[], "sesame"), locked);
    assert_eq!(restarted(&[], ""), locked, "an empty variable says nothing");
    assert_eq!(restarted(&["--requirepass", ""], "sesame"), None);
}

#[test]
fn the_exit_code_of_status_is_the_verdict() {
    let _beside = beside_others();
    let cluster = three();
    cluster.becomes(Verdict::Healthy);
    let output = cluster.run(["status", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let status: Status = serde_json::from_slice(&output.stdout).expect("a status");
    assert_eq!((status.verdict, status.fault_tolerance, status.nodes.len()), (Verdict::Healthy, 1, 3));
    for node in &status.nodes {
        assert_eq!(node.pid, cluster.pid(node.id));
    }

    // Stopped by somebody else: the agent lets it be.
    cluster.signal(3, rustix::process::Signal::TERM);
    until("a node that stopped", || (!cluster.is_running(3)).then_some(()));
    settles(&cluster, Verdict::Degraded);
    cluster.signal(2, rustix::process::Signal::TERM);
    until("a node that stopped", || (!cluster.is_running(2)).then_some(()));
    settles(&cluster, Verdict::Unavailable);

    // 'up' starts what was stopped.
    cluster.up();
    settles(&cluster, Verdict::Healthy);
}

/// Waits until the command tells this verdict. Partitions elect leaders one by one, so a
/// cluster may be degraded, unavailable and degraded again: a code is held against the verdict of the same look,
/// whatever that is.
fn settles(cluster: &Cluster, verdict: Verdict) {
    until("the verdict of 'skein status'", || {
        let output = cluster.run(["status", "--json"]);
        let ended = output.status.code();
        // Where nobody answers there is no verdict of the cluster's own.
        let told = serde_json::from_slice::<Status>(&output.stdout).map(|status| status.verdict);
        let told = told.unwrap_or(Verdict::Unavailable);
        let expected = match told {
            Verdict::Healthy => 0,
            Verdict::Degraded => 10,
            Verdict::Unavailable => 20,
        };
        assert_eq!(ended, Some(expected), "{}", words(&output));
        (told == verdict).then_some(())
    });
}

#[test]
fn tables_are_made_listed_shown_and_dropped() {
    let _beside = beside_others();
    let cluster = three();
    let output = cluster.run(["table", "create", "flow", "--partitions", "2", "--namespace", "shop"]);
    assert!(output.status.success(), "{}", words(&output));
    let again = cluster.run(["table", "create", "flow", "--namespace", "shop"]);
    assert_eq!(again.status.code(), Some(3), "{}", words(&again));
    assert!(words(&again).contains("table-exists"), "{}", words(&again));
    assert!(words(&cluster.run(["table", "list"])).contains("shop"));
    let shown = cluster.run(["table", "show", "flow", "--namespace", "shop", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!((shown["partitions"].as_u64(), shown["state"].as_array().map(Vec::len)), (Some(2), Some(2)));

    // A leader is moved, and every replica has the same records.
    until("a leader that moved", || {
        let moved = cluster.run(["leader", "move", "shop:flow", "1", "--to", "2"]);
        moved.status.success().then_some(())
    });
    let digest = cluster.run(["digest", "shop:flow", "1", "--json"]);
    assert!(digest.status.success(), "{}", words(&digest));
    let digest: Vec<DigestReport> = serde_json::from_slice(&digest.stdout).expect("JSON");
    assert!(digest[0].equal && digest[0].replicas.len() == 3, "{digest:?}");

    assert!(cluster.run(["table", "drop", "flow", "--namespace", "shop"]).status.success());
    let gone = cluster.run(["table", "show", "flow", "--namespace", "shop"]);
    assert!(words(&gone).contains("unknown-table"), "{}", words(&gone));
}

#[test]
fn a_node_names_its_directory_for_everybody() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, partitions: 1, ..Shape::default() });
    cluster.down();
    // Started as people do: with a relative path.
    let path = cluster.directory().path().to_owned();
    let (parent, name) = (path.parent().expect("a parent"), path.file_name().expect("a name"));
    let mut up = std::process::Command::new(SKEIN);
    let output = up.args(["up", "--detach", "--dir"]).arg(name).current_dir(parent).output();
    let output = output.expect("the binary");
    assert!(output.status.success(), "{}", words(&output));
    let found: Vec<String> =
        redis::cmd("CONFIG").arg("GET").arg("dir").query(&mut cluster.redis(1)).expect("an answer");
    let data = cluster.directory().node_directory(1).join("data");
    let data = std::fs::canonicalize(data).expect("a directory");
    assert_eq!(found, ["dir", &data.display().to_string()]);
}

#[test]
fn the_load_generator_finds_its_cluster_as_every_command_does() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, partitions: 1, ..Shape::default() });
    let (http, redis) = (cluster.addresses(1).http, cluster.addresses(1).redis);
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let run = |arguments: &[&str], environment: Option<&str>| {
        let mut command = std::process::Command::new(SKEIN);
        command.args(["bench", "kv", "--requests", "20", "--connections", "2", "--json"]).args(arguments);
        command.env_remove("SKEIN_ADDR").env("SKEIN_SECRET_FILE", cluster.directory().secret_file());
        command.envs(environment.map(|addresses| ("SKEIN_ADDR", addresses))).current_dir(elsewhere.path());
        command.output().expect("the binary")
    };
    let dir = cluster.directory().path().display().to_string();
    for (arguments, environment) in [
        (vec!["--dir", &dir], None),
        (vec!["--addr", &http], None),
        (vec![], Some(http.as_str())),
        (vec!["--redis", &redis], Some("127.0.0.1:1")),
    ] {
        let output = run(&arguments, environment);
        assert!(output.status.success(), "{arguments:?} {environment:?}: {}", words(&output));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["answered"], 20, "{report}");
    }
    for nothing in [None, Some("")] {
        assert_eq!(run(&[], nothing).status.code(), Some(4), "nothing says where a cluster is");
    }
    let output = run(&["--redis", &http], None);
    assert_eq!(output.status.code(), Some(4), "{}", words(&output));
    assert!(words(&output).contains("does not speak the Redis protocol"), "{}", words(&output));

    // What works on a directory does not take a cluster that is named by addresses for the one beside it.
    for words_of in [&["node", "add"][..], &["node", "rebuild", "1"]] {
        let mut command = std::process::Command::new(SKEIN);
        let output = command.args(words_of).env("SKEIN_ADDR", &http).current_dir(elsewhere.path()).output();
        let output = output.expect("the binary");
        assert_eq!(output.status.code(), Some(2), "{}", words(&output));
        assert!(words(&output).contains("say which by --dir DIR"), "{}", words(&output));
    }
}

#[test]
fn a_wrong_secret_is_refused() {
    let _beside = beside_others();
    let cluster = Cluster::start(SKEIN, Shape { nodes: 1, ..Shape::default() });
    let file = cluster.directory().path().join("other-secret");
    std::fs::write(&file, "00".repeat(32)).expect("written");
    let option = format!("--secret-file={}", file.display());
    let output = cluster.run(["status", &option]);
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
    assert!(words(&output).contains("unauthorized"), "{}", words(&output));
}
