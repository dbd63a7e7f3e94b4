//! The commands: one table of names, arguments, help and what each does.
//!
//! Dispatch, `help`, completion and the table in `docs/shell.md` come from here.

use crate::failure::Failure;
use crate::session::{Reply, Session};
use crate::{change, show};

/// A command.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// How it is typed.
    pub usage: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// It, typed.
    pub example: &'static str,
    /// How many arguments it needs at least.
    pub arguments_min: usize,
    /// How many it takes: as many as its usage has words behind its name.
    pub arguments_max: usize,
    /// What it does.
    pub does: Does,
}

/// What a command does.
#[derive(Clone, Copy)]
pub enum Does {
    /// This.
    Run(fn(&mut Session<'_>, &[&str]) -> Result<Reply, Failure>),
    /// Nothing: Skein has something else for it.
    Instead(&'static str),
}

/// The command of this name; names are case-sensitive.
pub fn named(name: &str) -> Option<&'static Command> {
    ALL.iter().find(|command| command.name == name)
}

const fn run(
    usage: &'static str,
    arguments_min: usize,
    run: fn(&mut Session<'_>, &[&str]) -> Result<Reply, Failure>,
    about: &'static str,
    example: &'static str,
) -> Command {
    let (name, arguments_max) = (first_word(usage), blanks(usage));
    Command { name, usage, about, example, arguments_min, arguments_max, does: Does::Run(run) }
}

const fn instead(usage: &'static str, about: &'static str, what: &'static str) -> Command {
    let does = Does::Instead(what);
    let (name, arguments_max) = (first_word(usage), usize::MAX);
    Command { name, usage, about, example: usage, arguments_min: 0, arguments_max, does }
}

/// The name is the first word of the usage; said once, it cannot differ.
const fn first_word(usage: &'static str) -> &'static str {
    let bytes = usage.as_bytes();
    let mut end = 0;
    while end < bytes.len() && bytes[end] != b' ' {
        end += 1;
    }
    usage.split_at(end).0
}

const fn blanks(usage: &str) -> usize {
    let bytes = usage.as_bytes();
    let (mut place, mut count) = (0, 0);
    while place < bytes.len() {
        count += (bytes[place] == b' ') as usize;
        place += 1;
    }
    count
}

const REDIS: &str = "redis-cli at the Redis port of any node; 'skein node list' shows the ports";
const NO_COLUMNS: &str = "the hashes and sorted sets of redis-cli: kv tables have no columns and no indexes";
const ONE_CLUSTER: &str = "'skein node add' to grow this cluster; it has no replica clusters";
const NO_ZOOKEEPER: &str = "'showns': the cluster needs no ZooKeeper";

/// All commands, in the order of `help`.
#[rustfmt::skip]
pub const ALL: &[Command] = &[
    run("addreplica table pid_group endpoint", 3, change::add_replica,
        "add a replica on a node", "addreplica flow 0-1 172.27.128.37:8541"),
    run("cancelop op_id", 1, change::cancel_op,
        "end an op early, and undo what it did", "cancelop 5"),
    run("changeleader table pid [endpoint|auto]", 2, change::change_leader,
        "let another replica lead a partition; without a third word only if none leads", "changeleader flow 0 auto"),
    run("confget [auto_failover]", 0, show::conf_get,
        "show a setting", "confget auto_failover"),
    run("confset auto_failover true|false", 2, change::conf_set,
        "change a setting", "confset auto_failover false"),
    run("deleteop op_id|done|failed|canceled", 1, change::delete_op,
        "forget ops that have ended", "deleteop failed"),
    run("delreplica table pid_group endpoint", 3, change::del_replica,
        "remove the replica on a node", "delreplica flow 0 172.27.128.37:8541"),
    run("drop table", 1, change::drop_table,
        "drop a table and everything in it", "drop flow"),
    run("exit", 0, quit, "leave the shell", "exit"),
    run("gettablepartition table pid", 2, show::get_table_partition,
        "write what is known of a partition to table_pid.txt", "gettablepartition flow 0"),
    run("help [cmd]", 0, help, "list the commands, or explain one", "help migrate"),
    run("info table", 1, show::info, "show a table's shape and size", "info flow"),
    run("makesnapshot table pid", 2, change::make_snapshot,
        "cut the log of a partition now", "makesnapshot flow 0"),
    run("man [cmd]", 0, help, "the same as help", "man migrate"),
    run("migrate src_endpoint table pid_group des_endpoint", 4, change::migrate,
        "move replicas, leaders too, to another node", "migrate 172.27.128.33:8541 flow 0 172.27.128.37:8541"),
    run("offlineendpoint endpoint [concurrency]", 1, change::offline_endpoint,
        "take a node, live or dead, out of service", "offlineendpoint 172.27.128.32:8541"),
    run("quit", 0, quit, "leave the shell", "quit"),
    run("recoverendpoint endpoint [need_restore] [concurrency]", 1, change::recover_endpoint,
        "bring everything on a node back into service", "recoverendpoint 172.27.128.32:8541"),
    run("recovertable table pid endpoint", 3, change::recover_table,
        "bring one replica back into service", "recovertable flow 0 172.27.128.32:8541"),
    run("showdb", 0, show::show_db, "list the databases, which are namespaces", "showdb"),
    run("showns", 0, show::show_ns, "list the nodes that keep the catalog", "showns"),
    run("showopstatus [table [pid]]", 0, show::show_op_status,
        "list the ops of the current database", "showopstatus flow 0"),
    run("showtable [table]", 0, show::show_table,
        "list the replicas of the tables of the current database", "showtable flow"),
    run("showtablet", 0, show::show_tablet, "list the nodes that hold data", "showtablet"),
    run("updatetablealive table pid|* endpoint yes|no", 4, change::update_table_alive,
        "nothing: is_alive is what was observed", "updatetablealive flow 0 172.27.128.32:8541 no"),
    run("use [db]", 0, change::use_database, "choose the database, or the default one", "use shop"),

    instead("addindex table index [cols] [ts]", "add an index", NO_COLUMNS),
    instead("addrepcluster zk zk_path alias", "add a replica cluster", ONE_CLUSTER),
    instead("addtablefield table column type", "add a column", NO_COLUMNS),
    instead("connectzk", "connect to ZooKeeper", NO_ZOOKEEPER),
    instead("count table key", "count records of a key", REDIS),
    instead("create table_meta_file", "make a table", "'skein table create NAME --namespace DB'"),
    instead("createdb db", "make a database", "'skein table create NAME --namespace DB': it makes the database too"),
    instead("delete table key", "delete records", REDIS),
    instead("deleteindex table index", "delete an index", NO_COLUMNS),
    instead("disconnectzk", "disconnect from ZooKeeper", NO_ZOOKEEPER),
    instead("dropdb db", "drop a database", "'use DB' and 'drop TABLE' for each of its tables"),
    instead("get table key", "read a value", REDIS),
    instead("preview table", "show some records", REDIS),
    instead("put table key value", "write a value", REDIS),
    instead("removerepcluster alias", "remove a replica cluster", ONE_CLUSTER),
    instead("scan table key", "read a range", REDIS),
    instead("setsdkendpoint server_name sdkendpoint", "give a node an address for clients", "the addresses in DIR/cluster.toml"),
    instead("settablepartition table file", "overwrite what is known of a partition", "'changeleader', 'migrate' and 'recovertable', which change what is the case"),
    instead("setttl table type ttl", "change how long records live", "EXPIRE in redis-cli, key by key"),
    instead("showcatalogversion", "show the catalog version of each node", "'skein status'"),
    instead("showrepcluster", "list replica clusters", ONE_CLUSTER),
    instead("showschema table", "show the columns of a table", "'info TABLE'"),
    instead("showsdkendpoint", "list the addresses for clients", "'skein node list'"),
    instead("switchmode normal|leader", "change the mode of a replica cluster", ONE_CLUSTER),
    instead("synctable table alias [pid]", "send a table to a replica cluster", ONE_CLUSTER),
];

fn quit(_: &mut Session<'_>, _: &[&str]) -> Result<Reply, Failure> {
    Ok(Reply { is_last: true, ..Reply::line("bye") })
}

fn help(_: &mut Session<'_>, arguments: &[&str]) -> Result<Reply, Failure> {
    let Some(name) = arguments.first() else {
        let works = ALL.iter().filter(|command| matches!(command.does, Does::Run(_)));
        return Ok(works
            .map(|command| format!("{} - {}\n", command.name, command.about))
            .collect::<String>()
            .into());
    };
    let Some(command) = named(name) else {
        return Err(Failure::usage(format!("unsupported cmd {name}")).note("'help' lists the commands"));
    };
    let about = match command.does {
        Does::Run(_) => command.about.to_owned(),
        Does::Instead(what) => format!("{}: not supported, use {what}", command.about),
    };
    Ok(format!("desc: {about}\nusage: {}\nexample: {}\n", command.usage, command.example).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_examples_are_of_their_command() {
        for (place, command) in ALL.iter().enumerate() {
            assert!(ALL[place + 1..].iter().all(|other| other.name != command.name), "{}", command.name);
            assert_eq!(command.example.split(' ').next(), Some(command.name));
            assert!(command.example.split(' ').count() > command.arguments_min, "{}", command.name);
        }
    }

    /// `SKEIN_REWRITE=1 cargo test -p shell` writes the table.
    #[test]
    fn the_page_has_all_commands() {
        let row = |command: &Command| {
            let usage = command.usage.replace('|', "\\|");
            match command.does {
                Does::Run(_) => format!("| `{usage}` | {} |\n", command.about),
                Does::Instead(what) => format!("| `{usage}` | not supported, use {what} |\n"),
            }
        };
        let rows: String = ALL.iter().map(row).collect();
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/shell.md");
        golden::part(&page, "commands", &format!("| command | what it does |\n|---|---|\n{rows}"));
    }
}
