//! Commands that wait until there is something.

use super::*;
use crate::commands::blocking;

commands! {
    /// Commands that wait until there is something, in order of name.
    BLOCKING:
    "blmove" 6 "write denyoom noscript blocking" (1, 2, 1; "RW access delete", "RW insert") "write list slow blocking" "list" "6.2.0"
        Together blocking::blmove NONE
        "source destination LEFT|RIGHT LEFT|RIGHT timeout" "Pop an element from a list, push it to another list and return it; or block until one is available" "O(1)";
    "blmpop" -5 "write blocking movablekeys" (0, 0, 0, 2; "RW access delete") "write list slow blocking" "list" "7.0.0"
        Together blocking::blmpop NONE
        "timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]" "Pop elements from a list, or block until one is available" "O(N+M) where N is the number of provided keys and M is the number of elements returned.";
    "blpop" -3 "write noscript blocking" (1, -2, 1; "RW access delete") "write list slow blocking" "list" "2.0.0"
        Together blocking::blpop NONE
        "key [key ...] timeout" "Remove and get the first element in a list, or block until one is available" "O(N) where N is the number of provided keys.";
    "brpop" -3 "write noscript blocking" (1, -2, 1; "RW access delete") "write list slow blocking" "list" "2.0.0"
        Together blocking::brpop NONE
        "key [key ...] timeout" "Remove and get the last element in a list, or block until one is available" "O(N) where N is the number of provided keys.";
    "brpoplpush" 4 "write denyoom noscript blocking" (1, 2, 1; "RW access delete", "RW insert") "write list slow blocking" "list" "2.2.0"
        Together blocking::brpoplpush NONE
        "source destination timeout" "Pop an element from a list, push it to another list and return it; or block until one is available" "O(1)";
    "bzmpop" -5 "write blocking movablekeys" (0, 0, 0, 2; "RW access delete") "write sortedset slow blocking" "sorted-set" "7.0.0"
        Together blocking::bzmpop NONE
        "timeout numkeys key [key ...] MIN|MAX [COUNT count]" "Remove and return members with scores in a sorted set or block until one is available" "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.";
    "bzpopmax" -3 "write noscript blocking fast" (1, -2, 1; "RW access delete") "write sortedset fast blocking" "sorted-set" "5.0.0"
        Together blocking::bzpopmax NONE
        "key [key ...] timeout" "Remove and return the member with the highest score from one or more sorted sets, or block until one is available" "O(log(N)) with N being the number of elements in the sorted set.";
    "bzpopmin" -3 "write noscript blocking fast" (1, -2, 1; "RW access delete") "write sortedset fast blocking" "sorted-set" "5.0.0"
        Together blocking::bzpopmin NONE
        "key [key ...] timeout" "Remove and return the member with the lowest score from one or more sorted sets, or block until one is available" "O(log(N)) with N being the number of elements in the sorted set.";
}
