//! Commands on keys of any type.

use super::*;
use crate::commands::{connection, keys, object, sort};

commands! {
    /// Commands on keys of any type, in order of name.
    GENERIC:
    "copy" -3 "write denyoom" (1, 2, 1; "RO access", "OW update") "keyspace write slow" "generic" "6.2.0"
        Together keys::copy NONE
        "source destination [DB destination-db] [REPLACE]" "Copy a key" "O(N) where N is the size of the value";
    "del" -2 "write" (1, -1, 1; "RM delete") "keyspace write slow" "generic" "1.0.0"
        Scattered keys::del NONE
        "key [key ...]" "Delete a key" "O(N) where N is the number of keys that will be removed";
    "exists" -2 "readonly fast" (1, -1, 1; "RO") "keyspace read fast" "generic" "1.0.0"
        Scattered keys::exists NONE
        "key [key ...]" "Determine if a key exists" "O(N) where N is the number of keys to check";
    "expire" -3 "write fast" (1, 1, 1; "RW update") "keyspace write fast" "generic" "1.0.0"
        OneKey keys::expire NONE
        "key seconds [NX|XX|GT|LT]" "Set a key's time to live in seconds" "O(1)";
    "expireat" -3 "write fast" (1, 1, 1; "RW update") "keyspace write fast" "generic" "1.2.0"
        OneKey keys::expireat NONE
        "key unix-time-seconds [NX|XX|GT|LT]" "Set the expiration for a key as a UNIX timestamp" "O(1)";
    "expiretime" 2 "readonly fast" (1, 1, 1) "keyspace read fast" "generic" "7.0.0"
        OneKey keys::expiretime NONE
        "key" "Get the expiration Unix timestamp for a key" "O(1)";
    "keys" 2 "readonly" (0, 0, 0) "keyspace read slow dangerous" "generic" "1.0.0"
        WholeTable keys::keys NONE
        "pattern" "Find all keys matching the given pattern" "O(N) with N being the number of keys in the database";
    "memory" -2 "" (0, 0, 0) "slow" "server" "4.0.0"
        Node object::container MEMORY
        "" "A container for memory diagnostics commands" "Depends on subcommand";
    "object" -2 "" (0, 0, 0) "slow" "generic" "2.2.3"
        Node object::container OBJECT
        "" "A container for object introspection commands" "Depends on subcommand";
    "persist" 2 "write fast" (1, 1, 1; "RW update") "keyspace write fast" "generic" "2.2.0"
        OneKey keys::persist NONE
        "key" "Remove the expiration from a key" "O(1)";
    "pexpire" -3 "write fast" (1, 1, 1; "RW update") "keyspace write fast" "generic" "2.6.0"
        OneKey keys::pexpire NONE
        "key milliseconds [NX|XX|GT|LT]" "Set a key's time to live in milliseconds" "O(1)";
    "pexpireat" -3 "write fast" (1, 1, 1; "RW update") "keyspace write fast" "generic" "2.6.0"
        OneKey keys::pexpireat NONE
        "key unix-time-milliseconds [NX|XX|GT|LT]" "Set the expiration for a key as a UNIX timestamp specified in milliseconds" "O(1)";
    "pexpiretime" 2 "readonly fast" (1, 1, 1) "keyspace read fast" "generic" "7.0.0"
        OneKey keys::pexpiretime NONE
        "key" "Get the expiration Unix timestamp for a key in milliseconds" "O(1)";
    "pttl" 2 "readonly fast" (1, 1, 1) "keyspace read fast" "generic" "2.6.0"
        OneKey keys::pttl NONE
        "key" "Get the time to live for a key in milliseconds" "O(1)";
    "randomkey" 1 "readonly" (0, 0, 0) "keyspace read slow" "generic" "1.0.0"
        WholeTable keys::randomkey NONE
        "" "Return a random key from the keyspace" "O(P) where P is the number of partitions";
    "rename" 3 "write" (1, 2, 1; "RW access delete", "OW update") "keyspace write slow" "generic" "1.0.0"
        Together keys::rename NONE
        "key newkey" "Rename a key" "O(1)";
    "renamenx" 3 "write fast" (1, 2, 1; "RW access delete", "OW insert") "keyspace write fast" "generic" "1.0.0"
        Together keys::renamenx NONE
        "key newkey" "Rename a key, only if the new key does not exist" "O(1)";
    "scan" -2 "readonly" (0, 0, 0) "keyspace read slow" "generic" "2.8.0"
        WholeTable keys::scan NONE
        "cursor [MATCH pattern] [COUNT count] [TYPE type]" "Incrementally iterate the keys space" "O(N) where N is the count asked for";
    "sort" -2 "write denyoom movablekeys" (1, 1, 1; "RO access", "OW update"; SortStore) "write set sortedset list slow dangerous" "generic" "1.0.0"
        Together sort::sort NONE
        "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC|DESC] [ALPHA] [STORE destination]" "Sort the elements in a list, set or sorted set" "O(N+M*log(M)) where N is the number of elements and M the number of returned ones; without sorting O(N)";
    "sort_ro" -2 "readonly movablekeys" (1, 1, 1; "RO access"; Patterns) "read set sortedset list slow dangerous" "generic" "7.0.0"
        Together sort::sort_ro NONE
        "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC|DESC] [ALPHA]" "Sort the elements in a list, set or sorted set. Read-only variant of SORT" "O(N+M*log(M)) where N is the number of elements and M the number of returned ones; without sorting O(N)";
    "touch" -2 "readonly fast" (1, -1, 1; "RO") "keyspace read fast" "generic" "3.2.1"
        Scattered keys::exists NONE
        "key [key ...]" "Count the existing ones of the keys; Skein keeps no access times" "O(N) where N is the number of keys that will be touched";
    "ttl" 2 "readonly fast" (1, 1, 1) "keyspace read fast" "generic" "1.0.0"
        OneKey keys::ttl NONE
        "key" "Get the time to live for a key in seconds" "O(1)";
    "type" 2 "readonly fast" (1, 1, 1; "RO") "keyspace read fast" "generic" "1.0.0"
        OneKey keys::key_type NONE
        "key" "Determine the type stored at key" "O(1)";
    "unlink" -2 "write fast" (1, -1, 1; "RM delete") "keyspace write fast" "generic" "4.0.0"
        Scattered keys::del NONE
        "key [key ...]" "Delete a key, just as DEL" "O(N) where N is the number of keys that will be removed";
    "wait" 3 "noscript" (0, 0, 0) "slow connection" "generic" "3.0.0"
        Connection connection::wait NONE
        "numreplicas timeout" "Tell how many replicas hold every write of this connection; it need not wait" "O(1)";
    "waitaof" 4 "noscript" (0, 0, 0) "slow connection" "generic" "7.2.0"
        Connection connection::waitaof NONE
        "numlocal numreplicas timeout" "Tell on how many disks every write of this connection is: 1 and those of other replicas; it need not wait" "O(1)";
}

commands! {
    /// The subcommands of `MEMORY` that make sense for records on disk, in order of name.
    MEMORY:
    "memory|help" 2 "loading stale" (0, 0, 0) "slow" "server" "4.0.0"
        Node object::help NONE
        "" "Show helpful text about the different subcommands" "O(1)";
    "memory|usage" -3 "readonly" (2, 2, 1; "RO") "read slow" "server" "4.0.0"
        OneKey object::usage NONE
        "key [SAMPLES count]" "Estimate the bytes of a key's records" "O(N) where N is the number of samples";
}

commands! {
    /// The subcommands of `OBJECT`, in order of name.
    OBJECT:
    "object|encoding" 3 "readonly" (2, 2, 1; "RO") "keyspace read slow" "generic" "2.2.3"
        OneKey object::encoding NONE
        "key" "Tell how Redis would keep such a value" "O(N) where N is the number of elements, at most some hundreds";
    "object|freq" 3 "readonly" (2, 2, 1; "RO") "keyspace read slow" "generic" "4.0.0"
        OneKey object::freq NONE
        "key" "Refused: frequencies of access are not tracked" "O(1)";
    "object|help" 2 "loading stale" (0, 0, 0) "keyspace slow" "generic" "6.2.0"
        Node object::help NONE
        "" "Show helpful text about the different subcommands" "O(1)";
    "object|idletime" 3 "readonly" (2, 2, 1; "RO") "keyspace read slow" "generic" "2.2.3"
        OneKey object::idletime NONE
        "key" "Tell how many seconds ago a key was changed last; reads leave no trace" "O(1)";
    "object|refcount" 3 "readonly" (2, 2, 1; "RO") "keyspace read slow" "generic" "2.2.3"
        OneKey object::refcount NONE
        "key" "Answer 1: values are not shared" "O(1)";
}
