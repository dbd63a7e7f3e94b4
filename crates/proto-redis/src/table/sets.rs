//! Commands on sets.

use super::*;
use crate::commands::sets;

commands! {
    /// Commands on sets, in order of name.
    SETS:
    "sadd" -3 "write denyoom fast" (1, 1, 1; "RW insert") "write set fast" "set" "1.0.0"
        OneKey sets::sadd NONE
        "key member [member ...]" "Add one or more members to a set" "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments";
    "scard" 2 "readonly fast" (1, 1, 1; "RO") "read set fast" "set" "1.0.0"
        OneKey sets::scard NONE
        "key" "Get the number of members in a set" "O(1)";
    "sdiff" -2 "readonly" (1, -1, 1) "read set slow" "set" "1.0.0"
        Together sets::sdiff NONE
        "key [key ...]" "Subtract multiple sets" "O(N) where N is the total number of elements in all given sets";
    "sdiffstore" -3 "write denyoom" (1, -1, 1; "OW update", "RO access") "write set slow" "set" "1.0.0"
        Together sets::sdiffstore NONE
        "destination key [key ...]" "Subtract multiple sets and store the resulting set in a key" "O(N) where N is the total number of elements in all given sets";
    "sinter" -2 "readonly" (1, -1, 1) "read set slow" "set" "1.0.0"
        Together sets::sinter NONE
        "key [key ...]" "Intersect multiple sets" "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets";
    "sintercard" -3 "readonly movablekeys" (0, 0, 0, 1) "read set slow" "set" "7.0.0"
        Together sets::sintercard NONE
        "numkeys key [key ...] [LIMIT limit]" "Intersect multiple sets and return the cardinality of the result" "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets";
    "sinterstore" -3 "write denyoom" (1, -1, 1; "RW update", "RO access") "write set slow" "set" "1.0.0"
        Together sets::sinterstore NONE
        "destination key [key ...]" "Intersect multiple sets and store the resulting set in a key" "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets";
    "sismember" 3 "readonly fast" (1, 1, 1; "RO") "read set fast" "set" "1.0.0"
        OneKey sets::sismember NONE
        "key member" "Determine if a given value is a member of a set" "O(1)";
    "smembers" 2 "readonly" (1, 1, 1) "read set slow" "set" "1.0.0"
        OneKey sets::smembers NONE
        "key" "Get all the members in a set" "O(N) where N is the set cardinality";
    "smismember" -3 "readonly fast" (1, 1, 1) "read set fast" "set" "6.2.0"
        OneKey sets::smismember NONE
        "key member [member ...]" "Returns the membership associated with the given elements for a set" "O(N) where N is the number of elements being checked for membership";
    "smove" 4 "write fast" (1, 2, 1; "RW access delete", "RW insert") "write set fast" "set" "1.0.0"
        Together sets::smove NONE
        "source destination member" "Move a member from one set to another" "O(1)";
    "spop" -2 "write fast" (1, 1, 1; "RW access delete") "write set fast" "set" "1.0.0"
        OneKey sets::spop NONE
        "key [count]" "Remove and return one or multiple random members from a set" "Without the count argument O(1), otherwise O(N) where N is the value of the passed count";
    "srandmember" -2 "readonly" (1, 1, 1) "read set slow" "set" "1.0.0"
        OneKey sets::srandmember NONE
        "key [count]" "Get one or multiple random members from a set" "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count";
    "srem" -3 "write fast" (1, 1, 1; "RW delete") "write set fast" "set" "1.0.0"
        OneKey sets::srem NONE
        "key member [member ...]" "Remove one or more members from a set" "O(N) where N is the number of members to be removed";
    "sscan" -3 "readonly" (1, 1, 1) "read set slow" "set" "2.8.0"
        OneKey sets::sscan NONE
        "key cursor [MATCH pattern] [COUNT count]" "Incrementally iterate Set elements" "O(N) where N is the count asked for";
    "sunion" -2 "readonly" (1, -1, 1) "read set slow" "set" "1.0.0"
        Together sets::sunion NONE
        "key [key ...]" "Add multiple sets" "O(N) where N is the total number of elements in all given sets";
    "sunionstore" -3 "write denyoom" (1, -1, 1; "OW update", "RO access") "write set slow" "set" "1.0.0"
        Together sets::sunionstore NONE
        "destination key [key ...]" "Add multiple sets and store the resulting set in a key" "O(N) where N is the total number of elements in all given sets";
}
