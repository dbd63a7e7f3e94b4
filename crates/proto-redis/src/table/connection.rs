//! Commands about the connection, the server and the table as a whole.

use super::*;
use crate::commands::{blocking, client, connection, introspection, keys, server};

commands! {
    /// Commands about the connection, the server and the table as a whole, in order of name.
    CONNECTION:
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
    "dbsize" 1 "readonly fast" (0, 0, 0) "keyspace read fast" "server" "1.0.0"
        WholeTable keys::dbsize NONE
        "" "Return the number of keys in the selected database" "O(P) where P is the number of partitions";
    "echo" 2 "loading stale fast" (0, 0, 0) "fast connection" "connection" "1.0.0"
        Connection connection::echo NONE
        "message" "Echo the given string" "O(1)";
    "flushall" -1 "write" (0, 0, 0) "keyspace write slow dangerous" "server" "1.0.0"
        WholeTable keys::flush NONE
        "[ASYNC|SYNC]" "Remove all keys" "O(N) where N is the total number of keys in all databases";
    "flushdb" -1 "write" (0, 0, 0) "keyspace write slow dangerous" "server" "1.0.0"
        WholeTable keys::flush NONE
        "[ASYNC|SYNC]" "Remove all keys" "O(N) where N is the number of keys in the selected database";
    "function" -2 "" (0, 0, 0) "slow" "scripting" "7.0.0"
        Node server::container FUNCTION
        "" "A container for function commands; there are no functions" "Depends on subcommand";
    "hello" -1 "noscript loading stale fast no_auth allow_busy" (0, 0, 0) "fast connection" "connection" "6.0.0"
        Connection connection::hello NONE
        "[protover [AUTH username password] [SETNAME clientname]]" "Handshake with Redis" "O(1)";
    "info" -1 "loading stale" (0, 0, 0) "slow dangerous" "server" "1.0.0"
        Node server::info NONE
        "[section [section ...]]" "Get information and statistics about the server" "O(1)";
    "ping" -1 "fast" (0, 0, 0) "fast connection" "connection" "1.0.0"
        Connection connection::ping NONE
        "[message]" "Ping the server" "O(1)";
    "quit" -1 "noscript loading stale fast no_auth allow_busy" (0, 0, 0) "fast connection" "connection" "1.0.0"
        Connection connection::quit NONE
        "" "Close the connection" "O(1)";
    "readonly" 1 "loading stale fast" (0, 0, 0) "fast connection" "cluster" "3.0.0"
        Connection connection::no_cluster NONE
        "" "Refused as Redis does without cluster mode" "O(1)";
    "readwrite" 1 "loading stale fast" (0, 0, 0) "fast connection" "cluster" "3.0.0"
        Connection connection::no_cluster NONE
        "" "Refused as Redis does without cluster mode" "O(1)";
    "reset" 1 "noscript loading stale fast no_auth allow_busy" (0, 0, 0) "fast connection" "connection" "6.2.0"
        Connection connection::reset NONE
        "" "Reset the connection" "O(1)";
    "select" 2 "loading stale fast" (0, 0, 0) "fast connection" "connection" "1.0.0"
        Connection connection::select NONE
        "index" "Change the selected database for the current connection" "O(1)";
    "time" 1 "loading stale fast" (0, 0, 0) "fast" "server" "2.6.0"
        Node server::time NONE
        "" "Return the current server time" "O(1)";
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
        Connection blocking::unblock NONE
        "client-id [TIMEOUT|ERROR]" "Unblock a client of the same node that is blocked in a blocking command" "O(log N) where N is the number of client connections";
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
    "command|getkeysandflags" -4 "loading stale" (0, 0, 0) "slow connection" "server" "7.0.0"
        Node introspection::getkeysandflags NONE
        "command [argument ...]" "Extract keys given a full Redis command, and tell what happens to each" "O(N) where N is the number of arguments to the command";
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

commands! {
    /// The subcommands of `FUNCTION`, in order of name: those that are true of a server without functions.
    FUNCTION:
    "function|flush" -2 "write noscript" (0, 0, 0) "write slow scripting" "scripting" "7.0.0"
        Node server::function_flush NONE
        "[ASYNC|SYNC]" "Delete all functions; there are none" "O(1)";
    "function|help" 2 "loading stale" (0, 0, 0) "slow scripting" "scripting" "7.0.0"
        Node server::help NONE
        "" "Show helpful text about the different subcommands" "O(1)";
    "function|list" -2 "noscript" (0, 0, 0) "slow scripting" "scripting" "7.0.0"
        Node server::function_list NONE
        "[LIBRARYNAME library-name-pattern] [WITHCODE]" "List information about all the functions; there are none" "O(1)";
}
