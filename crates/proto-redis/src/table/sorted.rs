//! Commands on sorted sets.

use super::*;
use crate::commands::sorted;
use crate::commands::sorted::{combine, range};

commands! {
    /// Commands on sorted sets, in order of name.
    SORTED:
    "zadd" -4 "write denyoom fast" (1, 1, 1; "RW update") "write sortedset fast" "sorted-set" "1.2.0"
        OneKey sorted::zadd NONE
        "key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]" "Add one or more members to a sorted set, or update its score if it already exists" "O(log(N)) for each item added, where N is the number of elements in the sorted set.";
    "zcard" 2 "readonly fast" (1, 1, 1; "RO") "read sortedset fast" "sorted-set" "1.2.0"
        OneKey sorted::zcard NONE
        "key" "Get the number of members in a sorted set" "O(1)";
    "zcount" 4 "readonly fast" (1, 1, 1) "read sortedset fast" "sorted-set" "2.0.0"
        OneKey range::zcount NONE
        "key min max" "Count the members in a sorted set with scores within the given values" "O(log(N)) with N being the number of elements in the sorted set.";
    "zdiff" -3 "readonly movablekeys" (0, 0, 0, 1) "read sortedset slow" "sorted-set" "6.2.0"
        Together combine::zdiff NONE
        "numkeys key [key ...] [WITHSCORES]" "Subtract multiple sorted sets" "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.";
    "zdiffstore" -4 "write denyoom movablekeys" (1, 1, 1, 2; "OW update", "RO access") "write sortedset slow" "sorted-set" "6.2.0"
        Together combine::zdiffstore NONE
        "destination numkeys key [key ...]" "Subtract multiple sorted sets and store the resulting sorted set in a new key" "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.";
    "zincrby" 4 "write denyoom fast" (1, 1, 1; "RW access update") "write sortedset fast" "sorted-set" "1.2.0"
        OneKey sorted::zincrby NONE
        "key increment member" "Increment the score of a member in a sorted set" "O(log(N)) where N is the number of elements in the sorted set.";
    "zinter" -3 "readonly movablekeys" (0, 0, 0, 1) "read sortedset slow" "sorted-set" "6.2.0"
        Together combine::zinter NONE
        "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]" "Intersect multiple sorted sets" "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.";
    "zintercard" -3 "readonly movablekeys" (0, 0, 0, 1) "read sortedset slow" "sorted-set" "7.0.0"
        Together combine::zintercard NONE
        "numkeys key [key ...] [LIMIT limit]" "Intersect multiple sorted sets and return the cardinality of the result" "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.";
    "zinterstore" -4 "write denyoom movablekeys" (1, 1, 1, 2; "OW update", "RO access") "write sortedset slow" "sorted-set" "2.0.0"
        Together combine::zinterstore NONE
        "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX]" "Intersect multiple sorted sets and store the resulting sorted set in a new key" "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.";
    "zlexcount" 4 "readonly fast" (1, 1, 1) "read sortedset fast" "sorted-set" "2.8.9"
        OneKey range::zlexcount NONE
        "key min max" "Count the number of members in a sorted set between a given lexicographical range" "O(log(N)) with N being the number of elements in the sorted set.";
    "zmpop" -4 "write movablekeys" (0, 0, 0, 1; "RW access delete") "write sortedset slow" "sorted-set" "7.0.0"
        Together sorted::zmpop NONE
        "numkeys key [key ...] MIN|MAX [COUNT count]" "Remove and return members with scores in a sorted set" "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.";
    "zmscore" -3 "readonly fast" (1, 1, 1) "read sortedset fast" "sorted-set" "6.2.0"
        OneKey sorted::zmscore NONE
        "key member [member ...]" "Get the score associated with the given members in a sorted set" "O(N) where N is the number of members being requested.";
    "zpopmax" -2 "write fast" (1, 1, 1; "RW access delete") "write sortedset fast" "sorted-set" "5.0.0"
        OneKey sorted::zpopmax NONE
        "key [count]" "Remove and return members with the highest scores in a sorted set" "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.";
    "zpopmin" -2 "write fast" (1, 1, 1; "RW access delete") "write sortedset fast" "sorted-set" "5.0.0"
        OneKey sorted::zpopmin NONE
        "key [count]" "Remove and return members with the lowest scores in a sorted set" "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.";
    "zrandmember" -2 "readonly" (1, 1, 1) "read sortedset slow" "sorted-set" "6.2.0"
        OneKey sorted::zrandmember NONE
        "key [count [WITHSCORES]]" "Get one or multiple random elements from a sorted set" "O(N) where N is the number of elements returned";
    "zrange" -4 "readonly" (1, 1, 1) "read sortedset slow" "sorted-set" "1.2.0"
        OneKey range::zrange NONE
        "key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]" "Return a range of members in a sorted set" "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.";
    "zrangebylex" -4 "readonly" (1, 1, 1) "read sortedset slow" "sorted-set" "2.8.9"
        OneKey range::zrangebylex NONE
        "key min max [LIMIT offset count]" "Return a range of members in a sorted set, by lexicographical range" "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).";
    "zrangebyscore" -4 "readonly" (1, 1, 1) "read sortedset slow" "sorted-set" "1.0.5"
        OneKey range::zrangebyscore NONE
        "key min max [WITHSCORES] [LIMIT offset count]" "Return a range of members in a sorted set, by score" "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).";
    "zrangestore" -5 "write denyoom" (1, 2, 1; "OW update", "RO access") "write sortedset slow" "sorted-set" "6.2.0"
        Together range::zrangestore NONE
        "dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]" "Store a range of members from sorted set into another key" "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the destination key.";
    "zrank" -3 "readonly fast" (1, 1, 1) "read sortedset fast" "sorted-set" "2.0.0"
        OneKey sorted::zrank NONE
        "key member [WITHSCORE]" "Determine the index of a member in a sorted set" "O(log(N))";
    "zrem" -3 "write fast" (1, 1, 1; "RW delete") "write sortedset fast" "sorted-set" "1.2.0"
        OneKey sorted::zrem NONE
        "key member [member ...]" "Remove one or more members from a sorted set" "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.";
    "zremrangebylex" 4 "write" (1, 1, 1; "RW delete") "write sortedset slow" "sorted-set" "2.8.9"
        OneKey range::zremrangebylex NONE
        "key min max" "Remove all members in a sorted set between the given lexicographical range" "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.";
    "zremrangebyrank" 4 "write" (1, 1, 1; "RW delete") "write sortedset slow" "sorted-set" "2.0.0"
        OneKey range::zremrangebyrank NONE
        "key start stop" "Remove all members in a sorted set within the given indexes" "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.";
    "zremrangebyscore" 4 "write" (1, 1, 1; "RW delete") "write sortedset slow" "sorted-set" "1.2.0"
        OneKey range::zremrangebyscore NONE
        "key min max" "Remove all members in a sorted set within the given scores" "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.";
    "zrevrange" -4 "readonly" (1, 1, 1) "read sortedset slow" "sorted-set" "1.2.0"
        OneKey range::zrevrange NONE
        "key start stop [WITHSCORES]" "Return a range of members in a sorted set, by index, with scores ordered from high to low" "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.";
    "zrevrangebylex" -4 "readonly" (1, 1, 1) "read sortedset slow" "sorted-set" "2.8.9"
        OneKey range::zrevrangebylex NONE
        "key max min [LIMIT offset count]" "Return a range of members in a sorted set, by lexicographical range, ordered from higher to lower strings" "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).";
    "zrevrangebyscore" -4 "readonly" (1, 1, 1) "read sortedset slow" "sorted-set" "2.2.0"
        OneKey range::zrevrangebyscore NONE
        "key max min [WITHSCORES] [LIMIT offset count]" "Return a range of members in a sorted set, by score, with scores ordered from high to low" "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).";
    "zrevrank" -3 "readonly fast" (1, 1, 1) "read sortedset fast" "sorted-set" "2.0.0"
        OneKey sorted::zrevrank NONE
        "key member [WITHSCORE]" "Determine the index of a member in a sorted set, with scores ordered from high to low" "O(log(N))";
    "zscan" -3 "readonly" (1, 1, 1) "read sortedset slow" "sorted-set" "2.8.0"
        OneKey sorted::zscan NONE
        "key cursor [MATCH pattern] [COUNT count]" "Incrementally iterate sorted sets elements and associated scores" "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection..";
    "zscore" 3 "readonly fast" (1, 1, 1) "read sortedset fast" "sorted-set" "1.2.0"
        OneKey sorted::zscore NONE
        "key member" "Get the score associated with the given member in a sorted set" "O(1)";
    "zunion" -3 "readonly movablekeys" (0, 0, 0, 1) "read sortedset slow" "sorted-set" "6.2.0"
        Together combine::zunion NONE
        "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]" "Add multiple sorted sets" "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.";
    "zunionstore" -4 "write denyoom movablekeys" (1, 1, 1, 2; "OW update", "RO access") "write sortedset slow" "sorted-set" "2.0.0"
        Together combine::zunionstore NONE
        "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX]" "Add multiple sorted sets and store the resulting sorted set in a new key" "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.";
}
