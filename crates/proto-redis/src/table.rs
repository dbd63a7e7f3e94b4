//! The command table: what each command is called, takes, does and documents, in one place.
//!
//! Arity errors, `COMMAND` and its subcommands, `HELP` texts and the reference in `docs/redis.md` are made
//! from it. A command that is not here is answered by [`crate::unsupported`] or is unknown.

use crate::commands::{client, connection, introspection, keys, server, strings};
use crate::plan::Plan;
use crate::session::Session;
use crate::text::ErrorText;
use bytes::Bytes;

/// One command, or a subcommand such as `client|list`.
#[derive(Debug)]
pub struct Command {
    /// In lower case; a subcommand's without its container.
    pub name: &'static str,
    /// The first bytes of the name, as a number.
    prefix: u64,
    /// With the container: `client|list`.
    pub full_name: &'static str,
    /// Number of arguments with the name (for a subcommand: both names); negative: at least so many.
    pub arity: i32,
    /// As `COMMAND` shows them, with spaces between.
    pub flags: &'static str,
    /// Where keys stand.
    pub keys: KeyPositions,
    /// ACL categories without `@`, with spaces between.
    pub categories: &'static str,
    /// The chapter of the Redis manual.
    pub group: &'static str,
    /// The release of Redis that first had it.
    pub since: &'static str,
    /// How it finds partitions.
    pub addressing: Addressing,
    /// Makes a plan of it.
    pub(crate) parse: ParseFunction,
    /// For a container such as `CLIENT`.
    pub subcommands: &'static [Command],
    /// The arguments behind the name.
    pub syntax: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// How the time grows.
    pub complexity: &'static str,
}

/// Where the keys stand among the arguments; the command is argument 0. All 0: there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPositions {
    /// The first key.
    pub first: i32,
    /// The last key; −1 is the last argument.
    pub last: i32,
    /// From one key to the next.
    pub step: i32,
}

/// How a command finds the partitions that it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// By its one key.
    OneKey,
    /// By its keys, which must lie in one partition; else `CROSSSLOT`.
    Together,
    /// By each key; atomic per partition.
    Scattered,
    /// Every partition of what the listener serves.
    WholeTable,
    /// None: it is about the connection.
    Connection,
    /// None: it is about the node.
    Node,
}

/// Turns checked arguments into a plan.
pub(crate) type ParseFunction = fn(&mut Call<'_>) -> Result<Plan, ErrorText>;

/// One call of a command, after the checks that the table makes possible.
pub(crate) struct Call<'a> {
    /// With the name; at least as many as the arity says.
    pub args: &'a [Bytes],
    pub command: &'static Command,
    pub session: &'a mut Session,
}

/// The command of this name, in any case of letters.
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    find(COMMANDS, name)
}

impl Command {
    /// The subcommand of this name, in any case of letters.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Command> {
        find(self.subcommands, name)
    }

    /// Whether so many arguments, the name included, are allowed.
    pub fn accepts(&self, arguments: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { arguments >= wanted } else { arguments == wanted }
    }

    /// Whether a flag is set.
    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags.split(' ').any(|other| other == flag)
    }

    /// Whether it may change data.
    pub fn is_write(&self) -> bool {
        self.has_flag("write")
    }
}

impl KeyPositions {
    /// The indexes of the keys among so many arguments, the name included.
    pub fn indexes(self, arguments: usize) -> impl Iterator<Item = usize> {
        let last = if self.last < 0 { arguments as i32 + self.last } else { self.last };
        let end = if self.first == 0 { 0 } else { last + 1 };
        (self.first..end).step_by(self.step.max(1) as usize).map(|index| index as usize)
    }
}

/// Longest name; longer ones cannot be in the table.
const NAME_BYTES_MAX: usize = 24;

/// The first bytes of a name as a number that sorts as they do: comparing those decides nearly always.
const fn prefix(name: &[u8]) -> u64 {
    let (mut number, mut at) = (0, 0);
    while at < 8 {
        number = number << 8 | if at < name.len() { name[at] as u64 } else { 0 };
        at += 1;
    }
    number
}

/// Binary search on the name in lower case, without touching the heap.
fn find(table: &'static [Command], name: &[u8]) -> Option<&'static Command> {
    let mut lower = [0u8; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let (lower, start) = (&*lower, prefix(lower));
    let order =
        |command: &Command| command.prefix.cmp(&start).then_with(|| command.name.as_bytes().cmp(lower));
    let found = table.binary_search_by(order).ok()?;
    Some(&table[found])
}

/// The name behind the `|`, if there is one.
const fn short_name(full: &'static str) -> &'static str {
    let (bytes, mut at) = (full.as_bytes(), 0);
    while at < bytes.len() {
        if bytes[at] == b'|' {
            return full.split_at(at + 1).1;
        }
        at += 1;
    }
    full
}

const NONE: &[Command] = &[];

macro_rules! commands {
    ($(#[$doc:meta])* $table:ident:
     $($name:literal $arity:literal $flags:literal ($first:literal, $last:literal, $step:literal)
       $categories:literal $group:literal $since:literal
       $addressing:ident $module:ident::$parse:ident $subcommands:ident
       $syntax:literal $summary:literal $complexity:literal;)*) => {
        $(#[$doc])*
        pub static $table: &[Command] = &[$(Command {
            name: short_name($name),
            prefix: prefix(short_name($name).as_bytes()),
            full_name: $name,
            arity: $arity,
            flags: $flags,
            keys: KeyPositions { first: $first, last: $last, step: $step },
            categories: $categories,
            group: $group,
            since: $since,
            addressing: Addressing::$addressing,
            parse: $module::$parse,
            subcommands: $subcommands,
            syntax: $syntax,
            summary: $summary,
            complexity: $complexity,
        }),*];
    };
}

// Rows: name, arity, flags, (first key, last key, step), categories, group, since,
//       addressing, parse function, subcommands,
//       syntax, summary, complexity.
commands! {
    /// Every command, in order of name.
    COMMANDS:
    "append" 3 "write denyoom fast" (1, 1, 1) "write string fast" "string" "2.0.0"
        OneKey strings::append NONE
        "key value" "Append a value to a key" "O(N) where N is the length of the string";
    "asking" 1 "fast" (0, 0, 0) "fast connection" "cluster" "3.0.0"
        Connection connection::no_cluster NONE
        "" "Refused as Redis does without cluster mode" "O(1)";
    "auth" -2 "noscript loading stale fast no_auth allow_busy" (0, 0, 0) "fast connection" "connection" "1.0.0"
        Connection connection::auth NONE
        "[username] password" "Authenticate to the server" "O(1)";
    "client" -2 "" (0, 0, 0) "slow" "connection" "2.4.0"
        Connection client::container CLIENT
        "" "A container for client connection commands" "Depends on subcommand";
    "cluster" -2 "" (0, 0, 0) "slow" "cluster" "3.0.0"
        Connection connection::no_cluster NONE
        "" "Refused as Redis does without cluster mode" "O(1)";
    "command" -1 "loading stale" (0, 0, 0) "slow connection" "server" "2.8.13"
        Node introspection::command COMMAND
        "" "Get array of Redis command details" "O(N) where N is the total number of Redis commands";
    "config" -2 "" (0, 0, 0) "slow" "server" "2.0.0"
        Node server::container CONFIG
        "" "A container for server configuration commands" "Depends on subcommand";
    "copy" -3 "write denyoom" (1, 2, 1) "keyspace write slow" "generic" "6.2.0"
        Together keys::copy NONE
        "source destination [DB destination-db] [REPLACE]" "Copy a key" "O(N) where N is the size of the value";
    "dbsize" 1 "readonly fast" (0, 0, 0) "keyspace read fast" "server" "1.0.0"
        WholeTable keys::dbsize NONE
        "" "Return the number of keys in the selected database" "O(P) where P is the number of partitions";
    "decr" 2 "write denyoom fast" (1, 1, 1) "write string fast" "string" "1.0.0"
        OneKey strings::decr NONE
        "key" "Decrement the integer value of a key by one" "O(1)";
    "decrby" 3 "write denyoom fast" (1, 1, 1) "write string fast" "string" "1.0.0"
        OneKey strings::decrby NONE
        "key decrement" "Decrement the integer value of a key by the given number" "O(1)";
    "del" -2 "write" (1, -1, 1) "keyspace write slow" "generic" "1.0.0"
        Scattered keys::del NONE
        "key [key ...]" "Delete a key" "O(N) where N is the number of keys that will be removed";
    "echo" 2 "loading stale fast" (0, 0, 0) "fast connection" "connection" "1.0.0"
        Connection connection::echo NONE
        "message" "Echo the given string" "O(1)";
    "exists" -2 "readonly fast" (1, -1, 1) "keyspace read fast" "generic" "1.0.0"
        Scattered keys::exists NONE
        "key [key ...]" "Determine if a key exists" "O(N) where N is the number of keys to check";
    "expire" -3 "write fast" (1, 1, 1) "keyspace write fast" "generic" "1.0.0"
        OneKey keys::expire NONE
        "key seconds [NX|XX|GT|LT]" "Set a key's time to live in seconds" "O(1)";
    "expireat" -3 "write fast" (1, 1, 1) "keyspace write fast" "generic" "1.2.0"
        OneKey keys::expireat NONE
        "key unix-time-seconds [NX|XX|GT|LT]" "Set the expiration for a key as a UNIX timestamp" "O(1)";
    "expiretime" 2 "readonly fast" (1, 1, 1) "keyspace read fast" "generic" "7.0.0"
        OneKey keys::expiretime NONE
        "key" "Get the expiration Unix timestamp for a key" "O(1)";
    "flushall" -1 "write" (0, 0, 0) "keyspace write slow dangerous" "server" "1.0.0"
        WholeTable keys::flush NONE
        "[ASYNC|SYNC]" "Remove all keys" "O(N) where N is the total number of keys in all databases";
    "flushdb" -1 "write" (0, 0, 0) "keyspace write slow dangerous" "server" "1.0.0"
        WholeTable keys::flush NONE
        "[ASYNC|SYNC]" "Remove all keys" "O(N) where N is the number of keys in the selected database";
    "get" 2 "readonly fast" (1, 1, 1) "read string fast" "string" "1.0.0"
        OneKey strings::get NONE
        "key" "Get the value of a key" "O(1)";
    "getdel" 2 "write fast" (1, 1, 1) "write string fast" "string" "6.2.0"
        OneKey strings::getdel NONE
        "key" "Get the value of a key and delete the key" "O(1)";
    "getex" -2 "write fast" (1, 1, 1) "write string fast" "string" "6.2.0"
        OneKey strings::getex NONE
        "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]" "Get the value of a key and optionally set its expiration" "O(1)";
    "getrange" 4 "readonly" (1, 1, 1) "read string slow" "string" "2.4.0"
        OneKey strings::getrange NONE
        "key start end" "Get a substring of the string stored at a key" "O(N) where N is the length of the returned string";
    "getset" 3 "write denyoom fast" (1, 1, 1) "write string fast" "string" "1.0.0"
        OneKey strings::getset NONE
        "key value" "Set the string value of a key and return its old value" "O(1)";
    "hello" -1 "noscript loading stale fast no_auth allow_busy" (0, 0, 0) "fast connection" "connection" "6.0.0"
        Connection connection::hello NONE
        "[protover [AUTH username password] [SETNAME clientname]]" "Handshake with Redis" "O(1)";
    "incr" 2 "write denyoom fast" (1, 1, 1) "write string fast" "string" "1.0.0"
        OneKey strings::incr NONE
        "key" "Increment the integer value of a key by one" "O(1)";
    "incrby" 3 "write denyoom fast" (1, 1, 1) "write string fast" "string" "1.0.0"
        OneKey strings::incrby NONE
        "key increment" "Increment the integer value of a key by the given amount" "O(1)";
    "incrbyfloat" 3 "write denyoom fast" (1, 1, 1) "write string fast" "string" "2.6.0"
        OneKey strings::incrbyfloat NONE
        "key increment" "Increment the float value of a key by the given amount" "O(1)";
    "info" -1 "loading stale" (0, 0, 0) "slow dangerous" "server" "1.0.0"
        Node server::info NONE
        "[section [section ...]]" "Get information and statistics about the server" "O(1)";
    "keys" 2 "readonly" (0, 0, 0) "keyspace read slow dangerous" "generic" "1.0.0"
        WholeTable keys::keys NONE
        "pattern" "Find all keys matching the given pattern" "O(N) with N being the number of keys in the database";
    "mget" -2 "readonly fast" (1, -1, 1) "read string fast" "string" "1.0.0"
        Scattered strings::mget NONE
        "key [key ...]" "Get the values of all the given keys" "O(N) where N is the number of keys to retrieve";
    "mset" -3 "write denyoom" (1, -1, 2) "write string slow" "string" "1.0.1"
        Together strings::mset NONE
        "key value [key value ...]" "Set multiple keys to multiple values" "O(N) where N is the number of keys to set";
    "msetnx" -3 "write denyoom" (1, -1, 2) "write string slow" "string" "1.0.1"
        Together strings::msetnx NONE
        "key value [key value ...]" "Set multiple keys to multiple values, only if none of the keys exist" "O(N) where N is the number of keys to set";
    "persist" 2 "write fast" (1, 1, 1) "keyspace write fast" "generic" "2.2.0"
        OneKey keys::persist NONE
        "key" "Remove the expiration from a key" "O(1)";
    "pexpire" -3 "write fast" (1, 1, 1) "keyspace write fast" "generic" "2.6.0"
        OneKey keys::pexpire NONE
        "key milliseconds [NX|XX|GT|LT]" "Set a key's time to live in milliseconds" "O(1)";
    "pexpireat" -3 "write fast" (1, 1, 1) "keyspace write fast" "generic" "2.6.0"
        OneKey keys::pexpireat NONE
        "key unix-time-milliseconds [NX|XX|GT|LT]" "Set the expiration for a key as a UNIX timestamp specified in milliseconds" "O(1)";
    "pexpiretime" 2 "readonly fast" (1, 1, 1) "keyspace read fast" "generic" "7.0.0"
        OneKey keys::pexpiretime NONE
        "key" "Get the expiration Unix timestamp for a key in milliseconds" "O(1)";
    "ping" -1 "fast" (0, 0, 0) "fast connection" "connection" "1.0.0"
        Connection connection::ping NONE
        "[message]" "Ping the server" "O(1)";
    "psetex" 4 "write denyoom" (1, 1, 1) "write string slow" "string" "2.6.0"
        OneKey strings::psetex NONE
        "key milliseconds value" "Set the value and expiration in milliseconds of a key" "O(1)";
    "pttl" 2 "readonly fast" (1, 1, 1) "keyspace read fast" "generic" "2.6.0"
        OneKey keys::pttl NONE
        "key" "Get the time to live for a key in milliseconds" "O(1)";
    "quit" -1 "noscript loading stale fast no_auth allow_busy" (0, 0, 0) "fast connection" "connection" "1.0.0"
        Connection connection::quit NONE
        "" "Close the connection" "O(1)";
    "randomkey" 1 "readonly" (0, 0, 0) "keyspace read slow" "generic" "1.0.0"
        WholeTable keys::randomkey NONE
        "" "Return a random key from the keyspace" "O(P) where P is the number of partitions";
    "readonly" 1 "loading stale fast" (0, 0, 0) "fast connection" "cluster" "3.0.0"
        Connection connection::no_cluster NONE
        "" "Refused as Redis does without cluster mode" "O(1)";
    "readwrite" 1 "loading stale fast" (0, 0, 0) "fast connection" "cluster" "3.0.0"
        Connection connection::no_cluster NONE
        "" "Refused as Redis does without cluster mode" "O(1)";
    "rename" 3 "write" (1, 2, 1) "keyspace write slow" "generic" "1.0.0"
        Together keys::rename NONE
        "key newkey" "Rename a key" "O(1)";
    "renamenx" 3 "write fast" (1, 2, 1) "keyspace write fast" "generic" "1.0.0"
        Together keys::renamenx NONE
        "key newkey" "Rename a key, only if the new key does not exist" "O(1)";
    "reset" 1 "noscript loading stale fast no_auth allow_busy" (0, 0, 0) "fast connection" "connection" "6.2.0"
        Connection connection::reset NONE
        "" "Reset the connection" "O(1)";
    "scan" -2 "readonly" (0, 0, 0) "keyspace read slow" "generic" "2.8.0"
        WholeTable keys::scan NONE
        "cursor [MATCH pattern] [COUNT count] [TYPE type]" "Incrementally iterate the keys space" "O(N) where N is the count asked for";
    "select" 2 "loading stale fast" (0, 0, 0) "fast connection" "connection" "1.0.0"
        Connection connection::select NONE
        "index" "Change the selected database for the current connection" "O(1)";
    "set" -3 "write denyoom" (1, 1, 1) "write string slow" "string" "1.0.0"
        OneKey strings::set NONE
        "key value [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]" "Set the string value of a key" "O(1)";
    "setex" 4 "write denyoom" (1, 1, 1) "write string slow" "string" "2.0.0"
        OneKey strings::setex NONE
        "key seconds value" "Set the value and expiration of a key" "O(1)";
    "setnx" 3 "write denyoom fast" (1, 1, 1) "write string fast" "string" "1.0.0"
        OneKey strings::setnx NONE
        "key value" "Set the value of a key, only if the key does not exist" "O(1)";
    "setrange" 4 "write denyoom" (1, 1, 1) "write string slow" "string" "2.2.0"
        OneKey strings::setrange NONE
        "key offset value" "Overwrite part of a string at key starting at the specified offset" "O(N) where N is the length of the string";
    "strlen" 2 "readonly fast" (1, 1, 1) "read string fast" "string" "2.2.0"
        OneKey strings::strlen NONE
        "key" "Get the length of the value stored in a key" "O(1)";
    "substr" 4 "readonly" (1, 1, 1) "read string slow" "string" "1.0.0"
        OneKey strings::getrange NONE
        "key start end" "Get a substring of the string stored at a key" "O(N) where N is the length of the returned string";
    "time" 1 "loading stale fast" (0, 0, 0) "fast" "server" "2.6.0"
        Node server::time NONE
        "" "Return the current server time" "O(1)";
    "touch" -2 "readonly fast" (1, -1, 1) "keyspace read fast" "generic" "3.2.1"
        Scattered keys::exists NONE
        "key [key ...]" "Count the existing ones of the keys; Skein keeps no access times" "O(N) where N is the number of keys that will be touched";
    "ttl" 2 "readonly fast" (1, 1, 1) "keyspace read fast" "generic" "1.0.0"
        OneKey keys::ttl NONE
        "key" "Get the time to live for a key in seconds" "O(1)";
    "type" 2 "readonly fast" (1, 1, 1) "keyspace read fast" "generic" "1.0.0"
        OneKey keys::key_type NONE
        "key" "Determine the type stored at key" "O(1)";
    "unlink" -2 "write fast" (1, -1, 1) "keyspace write fast" "generic" "4.0.0"
        Scattered keys::del NONE
        "key [key ...]" "Delete a key, just as DEL" "O(N) where N is the number of keys that will be removed";
    "wait" 3 "noscript" (0, 0, 0) "slow connection" "generic" "3.0.0"
        Connection connection::wait NONE
        "numreplicas timeout" "Tell how many replicas hold every write of this connection; it need not wait" "O(1)";
}

commands! {
    /// The subcommands of `CLIENT`, in order of name.
    CLIENT:
    "client|caching" 3 "noscript loading stale" (0, 0, 0) "slow connection" "connection" "6.0.0"
        Connection client::caching NONE
        "YES|NO" "Instruct the server about tracking or not keys in the next request" "O(1)";
    "client|getname" 2 "noscript loading stale" (0, 0, 0) "slow connection" "connection" "2.6.9"
        Connection client::getname NONE
        "" "Get the current connection name" "O(1)";
    "client|getredir" 2 "noscript loading stale" (0, 0, 0) "slow connection" "connection" "6.0.0"
        Connection client::getredir NONE
        "" "Get tracking notifications redirection client ID if any" "O(1)";
    "client|help" 2 "loading stale" (0, 0, 0) "slow connection" "connection" "5.0.0"
        Connection client::help NONE
        "" "Show helpful text about the different subcommands" "O(1)";
    "client|id" 2 "noscript loading stale" (0, 0, 0) "slow connection" "connection" "5.0.0"
        Connection client::id NONE
        "" "Returns the client ID for the current connection" "O(1)";
    "client|info" 2 "noscript loading stale" (0, 0, 0) "slow connection" "connection" "6.2.0"
        Connection client::info NONE
        "" "Returns information about the current client connection" "O(1)";
    "client|kill" -3 "admin noscript loading stale" (0, 0, 0) "admin slow dangerous connection" "connection" "2.4.0"
        Connection client::kill NONE
        "ip:port|[ID client-id] [TYPE NORMAL|MASTER|REPLICA|PUBSUB] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME YES|NO]" "Kill the connection of a client" "O(N) where N is the number of client connections";
    "client|list" -2 "admin noscript loading stale" (0, 0, 0) "admin slow dangerous connection" "connection" "2.4.0"
        Connection client::list NONE
        "[TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID client-id [client-id ...]]" "Get the list of client connections" "O(N) where N is the number of client connections";
    "client|no-evict" 3 "admin noscript loading stale" (0, 0, 0) "admin slow dangerous connection" "connection" "7.0.0"
        Connection client::no_evict NONE
        "ON|OFF" "Accepted: clients are never evicted" "O(1)";
    "client|no-touch" 3 "noscript loading stale" (0, 0, 0) "slow connection" "connection" "7.2.0"
        Connection client::no_touch NONE
        "ON|OFF" "Accepted: Skein keeps no access times" "O(1)";
    "client|pause" -3 "admin noscript loading stale" (0, 0, 0) "admin slow dangerous connection" "connection" "2.9.50"
        Connection client::pause NONE
        "timeout [WRITE|ALL]" "Refused: clients cannot be paused" "O(1)";
    "client|reply" 3 "noscript loading stale" (0, 0, 0) "slow connection" "connection" "3.2.0"
        Connection client::reply NONE
        "ON|OFF|SKIP" "Instruct the server whether to reply to commands" "O(1)";
    "client|setinfo" 4 "noscript loading stale" (0, 0, 0) "slow connection" "connection" "7.2.0"
        Connection client::setinfo NONE
        "LIB-NAME libname|LIB-VER libver" "Set information about the client library" "O(1)";
    "client|setname" 3 "noscript loading stale" (0, 0, 0) "slow connection" "connection" "2.6.9"
        Connection client::setname NONE
        "connection-name" "Set the current connection name" "O(1)";
    "client|tracking" -3 "noscript loading stale" (0, 0, 0) "slow connection" "connection" "6.0.0"
        Connection client::tracking NONE
        "ON|OFF [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]" "OFF is accepted; ON is refused: there are no invalidation messages" "O(1)";
    "client|trackinginfo" 2 "noscript loading stale" (0, 0, 0) "slow connection" "connection" "6.2.0"
        Connection client::trackinginfo NONE
        "" "Return information about server assisted client side caching for the current connection" "O(1)";
    "client|unblock" -3 "admin noscript loading stale" (0, 0, 0) "admin slow dangerous connection" "connection" "5.0.0"
        Connection client::unblock NONE
        "client-id [TIMEOUT|ERROR]" "Answers 0: no clients are blocked" "O(log N) where N is the number of client connections";
    "client|unpause" 2 "admin noscript loading stale" (0, 0, 0) "admin slow dangerous connection" "connection" "6.2.0"
        Connection client::unpause NONE
        "" "Accepted: no clients are paused" "O(N) Where N is the number of paused clients";
}

commands! {
    /// The subcommands of `CONFIG`, in order of name.
    CONFIG:
    "config|get" -3 "admin noscript loading stale" (0, 0, 0) "admin slow dangerous" "server" "2.0.0"
        Node server::config_get NONE
        "parameter [parameter ...]" "Get the values of configuration parameters" "O(N) when N is the number of configuration parameters provided";
    "config|help" 2 "loading stale" (0, 0, 0) "slow" "server" "5.0.0"
        Node server::help NONE
        "" "Show helpful text about the different subcommands" "O(1)";
    "config|resetstat" 2 "admin noscript loading stale" (0, 0, 0) "admin slow dangerous" "server" "2.0.0"
        Node server::config_resetstat NONE
        "" "Reset the stats returned by INFO" "O(1)";
    "config|rewrite" 2 "admin noscript loading stale" (0, 0, 0) "admin slow dangerous" "server" "2.8.0"
        Node server::config_rewrite NONE
        "" "Refused: there is no configuration file to write" "O(1)";
    "config|set" -4 "admin noscript loading stale" (0, 0, 0) "admin slow dangerous" "server" "2.0.0"
        Node server::config_set NONE
        "parameter value [parameter value ...]" "Set configuration parameters to the given values" "O(N) when N is the number of configuration parameters provided";
}

commands! {
    /// The subcommands of `COMMAND`, in order of name.
    COMMAND:
    "command|count" 2 "loading stale" (0, 0, 0) "slow connection" "server" "2.8.13"
        Node introspection::count NONE
        "" "Get total number of Redis commands" "O(1)";
    "command|docs" -2 "loading stale" (0, 0, 0) "slow connection" "server" "7.0.0"
        Node introspection::docs NONE
        "[command-name [command-name ...]]" "Get array of specific Redis command documentation" "O(N) where N is the number of commands to look up";
    "command|getkeys" -4 "loading stale" (0, 0, 0) "slow connection" "server" "2.8.13"
        Node introspection::getkeys NONE
        "command [argument ...]" "Extract keys given a full Redis command" "O(N) where N is the number of arguments to the command";
    "command|help" 2 "loading stale" (0, 0, 0) "slow connection" "server" "5.0.0"
        Node introspection::help NONE
        "" "Show helpful text about the different subcommands" "O(1)";
    "command|info" -2 "loading stale" (0, 0, 0) "slow connection" "server" "2.8.13"
        Node introspection::info NONE
        "[command-name [command-name ...]]" "Get array of specific Redis command details, or all when no argument is given" "O(N) where N is the number of commands to look up";
    "command|list" -2 "loading stale" (0, 0, 0) "slow connection" "server" "7.0.0"
        Node introspection::list NONE
        "[FILTERBY MODULE module-name|ACLCAT category|PATTERN pattern]" "Get an array of Redis command names" "O(N) where N is the total number of Redis commands";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = &'static Command> {
        COMMANDS.iter().flat_map(|command| std::iter::once(command).chain(command.subcommands))
    }

    #[test]
    fn tables_are_sorted_and_found() {
        for table in [COMMANDS, CLIENT, CONFIG, COMMAND] {
            assert!(table.is_sorted_by(|a, b| a.name < b.name));
            assert!(table.iter().all(|command| command.name.len() <= NAME_BYTES_MAX));
        }
        assert_eq!(lookup(b"SeT").unwrap().full_name, "set");
        assert_eq!(lookup(b"client").unwrap().subcommand(b"NO-EVICT").unwrap().full_name, "client|no-evict");
        assert!(lookup(b"").is_none() && lookup(&[b'a'; 4096]).is_none());
    }

    #[test]
    fn keys_follow_from_addressing() {
        for command in all() {
            let has_keys = command.keys.first > 0;
            let by_keys = matches!(
                command.addressing,
                Addressing::OneKey | Addressing::Together | Addressing::Scattered
            );
            assert_eq!(has_keys, by_keys, "{}", command.full_name);
            assert!(!command.summary.is_empty() && !command.summary.ends_with('.'));
        }
    }

    #[test]
    fn key_positions_count_from_both_ends() {
        let positions = |first, last, step, arguments| {
            KeyPositions { first, last, step }.indexes(arguments).collect::<Vec<_>>()
        };
        assert_eq!(positions(1, -1, 2, 5), [1, 3]);
        assert_eq!(positions(1, 2, 1, 7), [1, 2]);
        assert_eq!(positions(0, 0, 0, 3), [0usize; 0]);
        assert_eq!(positions(1, -1, 1, 1), [0usize; 0]);
    }
}
