//! Commands on hashes.

use super::*;
use crate::commands::hashes;

commands! {
    /// Commands on hashes, in order of name.
    HASHES:
    "hdel" -3 "write fast" (1, 1, 1; "RW delete") "write hash fast" "hash" "2.0.0"
        OneKey hashes::hdel NONE
        "key field [field ...]" "Delete one or more hash fields" "O(N) where N is the number of fields to be removed";
    "hexists" 3 "readonly fast" (1, 1, 1; "RO") "read hash fast" "hash" "2.0.0"
        OneKey hashes::hexists NONE
        "key field" "Determine if a hash field exists" "O(1)";
    "hget" 3 "readonly fast" (1, 1, 1) "read hash fast" "hash" "2.0.0"
        OneKey hashes::hget NONE
        "key field" "Get the value of a hash field" "O(1)";
    "hgetall" 2 "readonly" (1, 1, 1) "read hash slow" "hash" "2.0.0"
        OneKey hashes::hgetall NONE
        "key" "Get all the fields and values in a hash" "O(N) where N is the size of the hash";
    "hincrby" 4 "write denyoom fast" (1, 1, 1; "RW access update") "write hash fast" "hash" "2.0.0"
        OneKey hashes::hincrby NONE
        "key field increment" "Increment the integer value of a hash field by the given number" "O(1)";
    "hincrbyfloat" 4 "write denyoom fast" (1, 1, 1; "RW access update") "write hash fast" "hash" "2.6.0"
        OneKey hashes::hincrbyfloat NONE
        "key field increment" "Increment the float value of a hash field by the given amount" "O(1)";
    "hkeys" 2 "readonly" (1, 1, 1) "read hash slow" "hash" "2.0.0"
        OneKey hashes::hkeys NONE
        "key" "Get all the fields in a hash" "O(N) where N is the size of the hash";
    "hlen" 2 "readonly fast" (1, 1, 1; "RO") "read hash fast" "hash" "2.0.0"
        OneKey hashes::hlen NONE
        "key" "Get the number of fields in a hash" "O(1)";
    "hmget" -3 "readonly fast" (1, 1, 1) "read hash fast" "hash" "2.0.0"
        OneKey hashes::hmget NONE
        "key field [field ...]" "Get the values of all the given hash fields" "O(N) where N is the number of fields being requested";
    "hmset" -4 "write denyoom fast" (1, 1, 1; "RW update") "write hash fast" "hash" "2.0.0"
        OneKey hashes::hmset NONE
        "key field value [field value ...]" "Set multiple hash fields to multiple values" "O(N) where N is the number of fields being set";
    "hrandfield" -2 "readonly" (1, 1, 1) "read hash slow" "hash" "6.2.0"
        OneKey hashes::hrandfield NONE
        "key [count [WITHVALUES]]" "Get one or multiple random fields from a hash" "O(N) where N is the number of fields returned";
    "hscan" -3 "readonly" (1, 1, 1) "read hash slow" "hash" "2.8.0"
        OneKey hashes::hscan NONE
        "key cursor [MATCH pattern] [COUNT count]" "Incrementally iterate hash fields and associated values" "O(N) where N is the count asked for";
    "hset" -4 "write denyoom fast" (1, 1, 1; "RW update") "write hash fast" "hash" "2.0.0"
        OneKey hashes::hset NONE
        "key field value [field value ...]" "Set the string value of a hash field" "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs";
    "hsetnx" 4 "write denyoom fast" (1, 1, 1; "RW insert") "write hash fast" "hash" "2.0.0"
        OneKey hashes::hsetnx NONE
        "key field value" "Set the value of a hash field, only if the field does not exist" "O(1)";
    "hstrlen" 3 "readonly fast" (1, 1, 1; "RO") "read hash fast" "hash" "3.2.0"
        OneKey hashes::hstrlen NONE
        "key field" "Get the length of the value of a hash field" "O(1)";
    "hvals" 2 "readonly" (1, 1, 1) "read hash slow" "hash" "2.0.0"
        OneKey hashes::hvals NONE
        "key" "Get all the values in a hash" "O(N) where N is the size of the hash";
}
