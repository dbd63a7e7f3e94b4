//! Commands that make several others happen together.

use super::*;
use crate::transaction;

commands! {
    /// Commands that make several others happen together, in order of name.
    TRANSACTIONS:
    "discard" 1 "noscript loading stale fast allow_busy" (0, 0, 0) "fast transaction" "transactions" "2.0.0"
        Connection transaction::discard NONE
        "" "Discard all commands issued after MULTI" "O(N), when N is the number of queued commands";
    "exec" 1 "noscript loading stale skip_slowlog" (0, 0, 0) "slow transaction" "transactions" "1.2.0"
        Connection transaction::exec NONE
        "" "Execute all commands issued after MULTI; their keys lie in one partition" "Depends on commands in the transaction";
    "multi" 1 "noscript loading stale fast allow_busy" (0, 0, 0) "fast transaction" "transactions" "1.2.0"
        Connection transaction::multi NONE
        "" "Mark the start of a transaction block" "O(1)";
    "unwatch" 1 "noscript loading stale fast allow_busy" (0, 0, 0) "fast transaction" "transactions" "2.2.0"
        Connection transaction::unwatch NONE
        "" "Forget about all watched keys" "O(1)";
    "watch" -2 "noscript loading stale fast allow_busy" (1, -1, 1; "RO") "fast transaction" "transactions" "2.2.0"
        Together transaction::watch NONE
        "key [key ...]" "Watch the given keys to determine execution of the MULTI/EXEC block" "O(1) for every key.";
}
