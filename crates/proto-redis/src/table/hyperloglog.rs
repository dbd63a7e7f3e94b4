//! Commands on HyperLogLogs.

use super::*;
use crate::commands::hyperloglog;

commands! {
    /// Commands on HyperLogLogs, in order of name.
    HYPERLOGLOG:
    "pfadd" -2 "write denyoom fast" (1, 1, 1; "RW insert") "write hyperloglog fast" "hyperloglog" "2.8.9"
        OneKey hyperloglog::pfadd NONE
        "key [element [element ...]]" "Adds the specified elements to the specified HyperLogLog" "O(1) to add every element";
    "pfcount" -2 "readonly" (1, -1, 1; "RW access") "read hyperloglog slow" "hyperloglog" "2.8.9"
        Together hyperloglog::pfcount NONE
        "key [key ...]" "Return the approximated cardinality of the set(s) observed by the HyperLogLog at key(s)" "O(N) where N is the number of keys";
    "pfmerge" -2 "write denyoom" (1, -1, 1; "RW access insert", "RO access") "write hyperloglog slow" "hyperloglog" "2.8.9"
        Together hyperloglog::pfmerge NONE
        "destkey [sourcekey [sourcekey ...]]" "Merge N different HyperLogLogs into a single one" "O(N) to merge N HyperLogLogs";
}
