//! Commands on strings.

use super::*;
use crate::commands::strings;

commands! {
    /// Commands on strings, in order of name.
    STRINGS:
    "append" 3 "write denyoom fast" (1, 1, 1; "RW insert") "write string fast" "string" "2.0.0"
        OneKey strings::append NONE
        "key value" "Append a value to a key" "O(N) where N is the length of the string";
    "decr" 2 "write denyoom fast" (1, 1, 1; "RW access update") "write string fast" "string" "1.0.0"
        OneKey strings::decr NONE
        "key" "Decrement the integer value of a key by one" "O(1)";
    "decrby" 3 "write denyoom fast" (1, 1, 1; "RW access update") "write string fast" "string" "1.0.0"
        OneKey strings::decrby NONE
        "key decrement" "Decrement the integer value of a key by the given number" "O(1)";
    "get" 2 "readonly fast" (1, 1, 1) "read string fast" "string" "1.0.0"
        OneKey strings::get NONE
        "key" "Get the value of a key" "O(1)";
    "getdel" 2 "write fast" (1, 1, 1; "RW access delete") "write string fast" "string" "6.2.0"
        OneKey strings::getdel NONE
        "key" "Get the value of a key and delete the key" "O(1)";
    "getex" -2 "write fast" (1, 1, 1; "RW access update") "write string fast" "string" "6.2.0"
        OneKey strings::getex NONE
        "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]" "Get the value of a key and optionally set its expiration" "O(1)";
    "getrange" 4 "readonly" (1, 1, 1) "read string slow" "string" "2.4.0"
        OneKey strings::getrange NONE
        "key start end" "Get a substring of the string stored at a key" "O(N) where N is the length of the returned string";
    "getset" 3 "write denyoom fast" (1, 1, 1; "RW access update") "write string fast" "string" "1.0.0"
        OneKey strings::getset NONE
        "key value" "Set the string value of a key and return its old value" "O(1)";
    "incr" 2 "write denyoom fast" (1, 1, 1; "RW access update") "write string fast" "string" "1.0.0"
        OneKey strings::incr NONE
        "key" "Increment the integer value of a key by one" "O(1)";
    "incrby" 3 "write denyoom fast" (1, 1, 1; "RW access update") "write string fast" "string" "1.0.0"
        OneKey strings::incrby NONE
        "key increment" "Increment the integer value of a key by the given amount" "O(1)";
    "incrbyfloat" 3 "write denyoom fast" (1, 1, 1; "RW access update") "write string fast" "string" "2.6.0"
        OneKey strings::incrbyfloat NONE
        "key increment" "Increment the float value of a key by the given amount" "O(1)";
    "lcs" -3 "readonly" (1, 2, 1) "read string slow" "string" "7.0.0"
        Together strings::lcs NONE
        "key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]" "Find longest common substring" "O(N*M) where N and M are the lengths of s1 and s2, respectively";
    "mget" -2 "readonly fast" (1, -1, 1) "read string fast" "string" "1.0.0"
        Scattered strings::mget NONE
        "key [key ...]" "Get the values of all the given keys" "O(N) where N is the number of keys to retrieve";
    "mset" -3 "write denyoom" (1, -1, 2; "OW update") "write string slow" "string" "1.0.1"
        Together strings::mset NONE
        "key value [key value ...]" "Set multiple keys to multiple values" "O(N) where N is the number of keys to set";
    "msetnx" -3 "write denyoom" (1, -1, 2; "OW insert") "write string slow" "string" "1.0.1"
        Together strings::msetnx NONE
        "key value [key value ...]" "Set multiple keys to multiple values, only if none of the keys exist" "O(N) where N is the number of keys to set";
    "psetex" 4 "write denyoom" (1, 1, 1; "OW update") "write string slow" "string" "2.6.0"
        OneKey strings::psetex NONE
        "key milliseconds value" "Set the value and expiration in milliseconds of a key" "O(1)";
    "set" -3 "write denyoom" (1, 1, 1; "RW access update variable_flags") "write string slow" "string" "1.0.0"
        OneKey strings::set NONE
        "key value [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]" "Set the string value of a key" "O(1)";
    "setex" 4 "write denyoom" (1, 1, 1; "OW update") "write string slow" "string" "2.0.0"
        OneKey strings::setex NONE
        "key seconds value" "Set the value and expiration of a key" "O(1)";
    "setnx" 3 "write denyoom fast" (1, 1, 1; "OW insert") "write string fast" "string" "1.0.0"
        OneKey strings::setnx NONE
        "key value" "Set the value of a key, only if the key does not exist" "O(1)";
    "setrange" 4 "write denyoom" (1, 1, 1; "RW update") "write string slow" "string" "2.2.0"
        OneKey strings::setrange NONE
        "key offset value" "Overwrite part of a string at key starting at the specified offset" "O(N) where N is the length of the string";
    "strlen" 2 "readonly fast" (1, 1, 1; "RO") "read string fast" "string" "2.2.0"
        OneKey strings::strlen NONE
        "key" "Get the length of the value stored in a key" "O(1)";
    "substr" 4 "readonly" (1, 1, 1) "read string slow" "string" "1.0.0"
        OneKey strings::getrange NONE
        "key start end" "Get a substring of the string stored at a key" "O(N) where N is the length of the returned string";
}
