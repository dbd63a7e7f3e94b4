//! `SLOWLOG` and its subcommands.

use super::*;
use crate::commands::slow_log;

commands! {
    /// The container alone.
    SLOW_LOG:
    "slowlog" -2 "" (0, 0, 0) "slow" "server" "2.2.12"
        Node slow_log::container SUBCOMMANDS
        "" "A container for slow log commands" "Depends on subcommand";
}

commands! {
    /// The subcommands of `SLOWLOG`, in order of name.
    SUBCOMMANDS:
    "slowlog|get" -2 "admin loading stale" (0, 0, 0) "admin slow dangerous" "server" "2.2.12"
        Node slow_log::get NONE
        "[count]" "Get the slow log's entries" "O(N) where N is the number of entries returned";
    "slowlog|help" 2 "loading stale" (0, 0, 0) "slow" "server" "6.2.0"
        Node slow_log::help NONE
        "" "Show helpful text about the different subcommands" "O(1)";
    "slowlog|len" 2 "admin loading stale" (0, 0, 0) "admin slow dangerous" "server" "2.2.12"
        Node slow_log::len NONE
        "" "Get the slow log's length" "O(1)";
    "slowlog|reset" 2 "admin loading stale" (0, 0, 0) "admin slow dangerous" "server" "2.2.12"
        Node slow_log::reset NONE
        "" "Clear all entries from the slow log" "O(N) where N is the number of entries in the slowlog";
}
