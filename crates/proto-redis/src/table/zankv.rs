//! Commands that ZanKV has and Redis has not.

use super::*;
use crate::commands::{bits, hashes, sets, sorted, strings, zankv};

commands! {
    /// Commands that ZanKV has and Redis has not, in order of name.
    ZANKV:
    "advrevscan" -3 "readonly" (0, 0, 0) "keyspace read slow" "zankv" ""
        WholeTable zankv::table_scan NONE
        "namespace:table:cursor KV|HASH|LIST|SET|ZSET [MATCH pattern] [COUNT count]" "Incrementally iterate the keys of a table, just as ADVSCAN" "O(N) where N is the count asked for";
    "advscan" -3 "readonly" (0, 0, 0) "keyspace read slow" "zankv" ""
        WholeTable zankv::table_scan NONE
        "namespace:table:cursor KV|HASH|LIST|SET|ZSET [MATCH pattern] [COUNT count]" "Incrementally iterate the keys of a table that hold one kind of value, on the ZanKV port" "O(N) where N is the count asked for";
    "bexpire" 3 "write fast" (1, 1, 1; "RW update") "write bitmap fast" "zankv" ""
        OneKey zankv::expire NONE
        "key seconds" "Set the time to live of a string or bitmap" "O(1)";
    "bitclear" 2 "write fast" (1, 1, 1; "RM delete") "write bitmap fast" "zankv" ""
        OneKey zankv::clear NONE
        "key" "Delete a string or bitmap" "O(1)";
    "bkeyexist" 2 "readonly fast" (1, 1, 1; "RO") "read bitmap fast" "zankv" ""
        OneKey zankv::keyexist NONE
        "key" "Determine if a string or bitmap of this name exists" "O(1)";
    "bpersist" 2 "write fast" (1, 1, 1; "RW update") "write bitmap fast" "zankv" ""
        OneKey zankv::persist NONE
        "key" "Remove the expiration from a string or bitmap" "O(1)";
    "bttl" 2 "readonly fast" (1, 1, 1) "read bitmap fast" "zankv" ""
        OneKey zankv::ttl NONE
        "key" "Get the time to live of a string or bitmap" "O(1)";
    "delifeq" 3 "write fast" (1, 1, 1; "RW access delete") "write string fast" "zankv" ""
        OneKey zankv::delifeq NONE
        "key oldvalue" "Delete a key, only if it has a certain value" "O(1)";
    "fullscan" -3 "readonly" (0, 0, 0) "keyspace read slow" "zankv" ""
        WholeTable zankv::table_scan NONE
        "namespace:table:cursor KV|HASH|LIST|SET|ZSET [MATCH pattern] [COUNT count]" "Incrementally iterate the keys of a table and what they hold, on the ZanKV port" "O(N) where N is the count asked for";
    "getnolock" 2 "readonly fast" (1, 1, 1) "read string fast" "zankv" ""
        OneKey strings::get NONE
        "key" "Get the value of a key, just as GET" "O(1)";
    "hclear" 2 "write fast" (1, 1, 1; "RM delete") "write hash fast" "zankv" ""
        OneKey zankv::clear NONE
        "key" "Delete a hash" "O(1)";
    "hexpire" -3 "write fast" (1, 1, 1; "RW update") "write hash fast" "zankv" ""
        OneKey zankv::hash_expiry NONE
        "key seconds" "Set the time to live of a whole hash, on the ZanKV port" "O(1)";
    "hkeyexist" 2 "readonly fast" (1, 1, 1; "RO") "read hash fast" "zankv" ""
        OneKey zankv::keyexist NONE
        "key" "Determine if a hash of this name exists" "O(1)";
    "hpersist" -2 "write fast" (1, 1, 1; "RW update") "write hash fast" "zankv" ""
        OneKey zankv::hash_expiry NONE
        "key" "Remove the expiration from a whole hash, on the ZanKV port" "O(1)";
    "hrevscan" -3 "readonly" (1, 1, 1) "read hash slow" "zankv" ""
        OneKey hashes::hscan NONE
        "key cursor [MATCH pattern] [COUNT count]" "Incrementally iterate hash fields and associated values, just as HSCAN" "O(N) where N is the count asked for";
    "httl" -2 "readonly fast" (1, 1, 1) "read hash fast" "zankv" ""
        OneKey zankv::hash_expiry NONE
        "key" "Get the time to live of a whole hash, on the ZanKV port" "O(1)";
    "lclear" 2 "write fast" (1, 1, 1; "RM delete") "write list fast" "zankv" ""
        OneKey zankv::clear NONE
        "key" "Delete a list" "O(1)";
    "lexpire" 3 "write fast" (1, 1, 1; "RW update") "write list fast" "zankv" ""
        OneKey zankv::expire NONE
        "key seconds" "Set the time to live of a list" "O(1)";
    "lkeyexist" 2 "readonly fast" (1, 1, 1; "RO") "read list fast" "zankv" ""
        OneKey zankv::keyexist NONE
        "key" "Determine if a list of this name exists" "O(1)";
    "lpersist" 2 "write fast" (1, 1, 1; "RW update") "write list fast" "zankv" ""
        OneKey zankv::persist NONE
        "key" "Remove the expiration from a list" "O(1)";
    "lttl" 2 "readonly fast" (1, 1, 1) "read list fast" "zankv" ""
        OneKey zankv::ttl NONE
        "key" "Get the time to live of a list" "O(1)";
    "revscan" -2 "readonly" (0, 0, 0) "keyspace read slow" "zankv" ""
        WholeTable zankv::revscan NONE
        "namespace:table:cursor [MATCH pattern] [COUNT count]" "Incrementally iterate the strings of a table, on the ZanKV port" "O(N) where N is the count asked for";
    "sclear" 2 "write fast" (1, 1, 1; "RM delete") "write set fast" "zankv" ""
        OneKey zankv::clear NONE
        "key" "Delete a set" "O(1)";
    "setbitv2" 4 "write denyoom" (1, 1, 1; "RW access update") "write bitmap slow" "zankv" ""
        OneKey bits::setbit NONE
        "key offset value" "Sets or clears the bit at offset, just as SETBIT" "O(1)";
    "setifeq" -4 "write denyoom fast" (1, 1, 1; "RW access update") "write string fast" "zankv" ""
        OneKey zankv::setifeq NONE
        "key oldvalue newvalue [EX seconds]" "Set the value of a key, only if it has a certain value" "O(1)";
    "sexpire" 3 "write fast" (1, 1, 1; "RW update") "write set fast" "zankv" ""
        OneKey zankv::expire NONE
        "key seconds" "Set the time to live of a set" "O(1)";
    "skeyexist" 2 "readonly fast" (1, 1, 1; "RO") "read set fast" "zankv" ""
        OneKey zankv::keyexist NONE
        "key" "Determine if a set of this name exists" "O(1)";
    "spersist" 2 "write fast" (1, 1, 1; "RW update") "write set fast" "zankv" ""
        OneKey zankv::persist NONE
        "key" "Remove the expiration from a set" "O(1)";
    "srevscan" -3 "readonly" (1, 1, 1) "read set slow" "zankv" ""
        OneKey sets::sscan NONE
        "key cursor [MATCH pattern] [COUNT count]" "Incrementally iterate Set elements, just as SSCAN" "O(N) where N is the count asked for";
    "stale.get" 2 "readonly fast" (1, 1, 1) "read string fast" "zankv" ""
        OneKey strings::get NONE
        "key" "Get the value of a key, just as GET: it is never stale" "O(1)";
    "sttl" 2 "readonly fast" (1, 1, 1) "read set fast" "zankv" ""
        OneKey zankv::ttl NONE
        "key" "Get the time to live of a set" "O(1)";
    "zclear" 2 "write fast" (1, 1, 1; "RM delete") "write sortedset fast" "zankv" ""
        OneKey zankv::clear NONE
        "key" "Delete a sorted set" "O(1)";
    "zexpire" 3 "write fast" (1, 1, 1; "RW update") "write sortedset fast" "zankv" ""
        OneKey zankv::expire NONE
        "key seconds" "Set the time to live of a sorted set" "O(1)";
    "zkeyexist" 2 "readonly fast" (1, 1, 1; "RO") "read sortedset fast" "zankv" ""
        OneKey zankv::keyexist NONE
        "key" "Determine if a sorted set of this name exists" "O(1)";
    "zpersist" 2 "write fast" (1, 1, 1; "RW update") "write sortedset fast" "zankv" ""
        OneKey zankv::persist NONE
        "key" "Remove the expiration from a sorted set" "O(1)";
    "zrevscan" -3 "readonly" (1, 1, 1) "read sortedset slow" "zankv" ""
        OneKey sorted::zscan NONE
        "key cursor [MATCH pattern] [COUNT count]" "Incrementally iterate sorted sets elements and associated scores, just as ZSCAN" "O(N) where N is the count asked for";
    "zttl" 2 "readonly fast" (1, 1, 1) "read sortedset fast" "zankv" ""
        OneKey zankv::ttl NONE
        "key" "Get the time to live of a sorted set" "O(1)";
}
