//! Commands on lists.

use super::*;
use crate::commands::lists;

commands! {
    /// Commands on lists, in order of name.
    LISTS:
    "lindex" 3 "readonly" (1, 1, 1) "read list slow" "list" "1.0.0"
        OneKey lists::lindex NONE
        "key index" "Get an element from a list by its index" "O(1)";
    "linsert" 5 "write denyoom" (1, 1, 1; "RW insert") "write list slow" "list" "2.2.0"
        OneKey lists::linsert NONE
        "key BEFORE|AFTER pivot element" "Insert an element before or after another element in a list" "O(N) where N is the number of elements to traverse before seeing the pivot, and to the nearer end from there";
    "llen" 2 "readonly fast" (1, 1, 1; "RO") "read list fast" "list" "1.0.0"
        OneKey lists::llen NONE
        "key" "Get the length of a list" "O(1)";
    "lmove" 5 "write denyoom" (1, 2, 1; "RW access delete", "RW insert") "write list slow" "list" "6.2.0"
        Together lists::lmove NONE
        "source destination LEFT|RIGHT LEFT|RIGHT" "Pop an element from a list, push it to another list and return it" "O(1)";
    "lmpop" -4 "write movablekeys" (0, 0, 0, 1; "RW access delete") "write list slow" "list" "7.0.0"
        Together lists::lmpop NONE
        "numkeys key [key ...] LEFT|RIGHT [COUNT count]" "Pop elements from a list" "O(N+M) where N is the number of provided keys and M is the number of elements returned";
    "lpop" -2 "write fast" (1, 1, 1; "RW access delete") "write list fast" "list" "1.0.0"
        OneKey lists::lpop NONE
        "key [count]" "Remove and get the first elements in a list" "O(N) where N is the number of elements returned";
    "lpos" -3 "readonly" (1, 1, 1) "read list slow" "list" "6.0.6"
        OneKey lists::lpos NONE
        "key element [RANK rank] [COUNT num-matches] [MAXLEN len]" "Return the index of matching elements on a list" "O(N) where N is the number of elements that are looked at";
    "lpush" -3 "write denyoom fast" (1, 1, 1; "RW insert") "write list fast" "list" "1.0.0"
        OneKey lists::lpush NONE
        "key element [element ...]" "Prepend one or multiple elements to a list" "O(N) where N is the number of elements added";
    "lpushx" -3 "write denyoom fast" (1, 1, 1; "RW insert") "write list fast" "list" "2.2.0"
        OneKey lists::lpushx NONE
        "key element [element ...]" "Prepend an element to a list, only if the list exists" "O(N) where N is the number of elements added";
    "lrange" 4 "readonly" (1, 1, 1) "read list slow" "list" "1.0.0"
        OneKey lists::lrange NONE
        "key start stop" "Get a range of elements from a list" "O(N) where N is the number of elements in the range";
    "lrem" 4 "write" (1, 1, 1; "RW delete") "write list slow" "list" "1.0.0"
        OneKey lists::lrem NONE
        "key count element" "Remove elements from a list" "O(N) where N is the length of the list";
    "lset" 4 "write denyoom" (1, 1, 1; "RW update") "write list slow" "list" "1.0.0"
        OneKey lists::lset NONE
        "key index element" "Set the value of an element in a list by its index" "O(1)";
    "ltrim" 4 "write" (1, 1, 1; "RW delete") "write list slow" "list" "1.0.0"
        OneKey lists::ltrim NONE
        "key start stop" "Trim a list to the specified range" "O(N) where N is the lesser of the numbers of elements that go and that stay";
    "rpop" -2 "write fast" (1, 1, 1; "RW access delete") "write list fast" "list" "1.0.0"
        OneKey lists::rpop NONE
        "key [count]" "Remove and get the last elements in a list" "O(N) where N is the number of elements returned";
    "rpoplpush" 3 "write denyoom" (1, 2, 1; "RW access delete", "RW insert") "write list slow" "list" "1.2.0"
        Together lists::rpoplpush NONE
        "source destination" "Remove the last element in a list, prepend it to another list and return it" "O(1)";
    "rpush" -3 "write denyoom fast" (1, 1, 1; "RW insert") "write list fast" "list" "1.0.0"
        OneKey lists::rpush NONE
        "key element [element ...]" "Append one or multiple elements to a list" "O(N) where N is the number of elements added";
    "rpushx" -3 "write denyoom fast" (1, 1, 1; "RW insert") "write list fast" "list" "2.2.0"
        OneKey lists::rpushx NONE
        "key element [element ...]" "Append an element to a list, only if the list exists" "O(N) where N is the number of elements added";
}
