//! Commands on the bits of strings.

use super::*;
use crate::commands::bits;

commands! {
    /// Commands on the bits of strings, in order of name.
    BITMAP:
    "bitcount" -2 "readonly" (1, 1, 1) "read bitmap slow" "bitmap" "2.6.0"
        OneKey bits::bitcount NONE
        "key [start end [BYTE|BIT]]" "Count set bits in a string" "O(N)";
    "bitfield" -2 "write denyoom" (1, 1, 1; "RW access update variable_flags") "write bitmap slow" "bitmap" "3.2.0"
        OneKey bits::bitfield NONE
        "key [GET encoding offset|[OVERFLOW WRAP|SAT|FAIL] SET encoding offset value|INCRBY encoding offset increment ...]" "Perform arbitrary bitfield integer operations on strings" "O(1) for each subcommand specified";
    "bitfield_ro" -2 "readonly fast" (1, 1, 1) "read bitmap fast" "bitmap" "6.0.0"
        OneKey bits::bitfield_ro NONE
        "key [GET encoding offset [GET encoding offset ...]]" "Perform arbitrary bitfield integer operations on strings. Read-only variant of BITFIELD" "O(1) for each subcommand specified";
    "bitop" -4 "write denyoom" (2, -1, 1; "OW update", "RO access") "write bitmap slow" "bitmap" "2.6.0"
        Together bits::bitop NONE
        "operation destkey key [key ...]" "Perform bitwise operations between strings" "O(N)";
    "bitpos" -3 "readonly" (1, 1, 1) "read bitmap slow" "bitmap" "2.8.7"
        OneKey bits::bitpos NONE
        "key bit [start [end [BYTE|BIT]]]" "Find first bit set or clear in a string" "O(N)";
    "getbit" 3 "readonly fast" (1, 1, 1) "read bitmap fast" "bitmap" "2.2.0"
        OneKey bits::getbit NONE
        "key offset" "Returns the bit value at offset in the string value stored at key" "O(1)";
    "setbit" 4 "write denyoom" (1, 1, 1; "RW access update") "write bitmap slow" "bitmap" "2.2.0"
        OneKey bits::setbit NONE
        "key offset value" "Sets or clears the bit at offset in the string value stored at key" "O(1)";
}
