//! Commands that move whole values.

use super::*;
use crate::commands::dump;

commands! {
    /// Commands that move whole values, in order of name.
    DUMP:
    "dump" 2 "readonly" (1, 1, 1) "keyspace read slow" "generic" "2.6.0"
        OneKey dump::dump NONE
        "key" "Return a serialized version of the value stored at the specified key" "O(N) where N is the size of the value";
    "restore" -4 "write denyoom" (1, 1, 1; "OW update") "keyspace write slow dangerous" "generic" "2.6.0"
        OneKey dump::restore NONE
        "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]" "Create a key using the provided serialized value, previously obtained using DUMP" "O(N*log(N)) where N is the number of elements";
}
