//! Commands on places, which are members of sorted sets.

use super::*;
use crate::commands::geo;

commands! {
    /// Commands on places, in order of name.
    GEO:
    "geoadd" -5 "write denyoom" (1, 1, 1; "RW update") "write geo slow" "geo" "3.2.0"
        OneKey geo::geoadd NONE
        "key [NX|XX] [CH] longitude latitude member [longitude latitude member ...]" "Add one or more geospatial items in the geospatial index represented using a sorted set" "O(log(N)) for each item added, where N is the number of elements in the sorted set.";
    "geodist" -4 "readonly" (1, 1, 1) "read geo slow" "geo" "3.2.0"
        OneKey geo::geodist NONE
        "key member1 member2 [M|KM|FT|MI]" "Returns the distance between two members of a geospatial index" "O(log(N))";
    "geohash" -2 "readonly" (1, 1, 1) "read geo slow" "geo" "3.2.0"
        OneKey geo::geohash NONE
        "key member [member ...]" "Returns members of a geospatial index as standard geohash strings" "O(log(N)) for each member requested, where N is the number of elements in the sorted set.";
    "geopos" -2 "readonly" (1, 1, 1) "read geo slow" "geo" "3.2.0"
        OneKey geo::geopos NONE
        "key member [member ...]" "Returns longitude and latitude of members of a geospatial index" "O(N) where N is the number of members requested.";
    "georadius" -6 "write denyoom movablekeys" (1, 1, 1; "RO access", "OW update"; RadiusStore) "write geo slow" "geo" "3.2.0"
        Together geo::georadius NONE
        "key longitude latitude radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key] [STOREDIST key]" "Query a sorted set representing a geospatial index to fetch members matching a given maximum distance from a point" "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.";
    "georadius_ro" -6 "readonly" (1, 1, 1) "read geo slow" "geo" "3.2.10"
        OneKey geo::georadius_ro NONE
        "key longitude latitude radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]" "A read-only variant for GEORADIUS" "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.";
    "georadiusbymember" -5 "write denyoom movablekeys" (1, 1, 1; "RO access", "OW update"; MemberStore) "write geo slow" "geo" "3.2.0"
        Together geo::georadiusbymember NONE
        "key member radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key] [STOREDIST key]" "Query a sorted set representing a geospatial index to fetch members matching a given maximum distance from a member" "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.";
    "georadiusbymember_ro" -5 "readonly" (1, 1, 1) "read geo slow" "geo" "3.2.10"
        OneKey geo::georadiusbymember_ro NONE
        "key member radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]" "A read-only variant for GEORADIUSBYMEMBER" "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.";
    "geosearch" -7 "readonly" (1, 1, 1) "read geo slow" "geo" "6.2.0"
        OneKey geo::geosearch NONE
        "key FROMMEMBER member|FROMLONLAT longitude latitude BYRADIUS radius M|KM|FT|MI|BYBOX width height M|KM|FT|MI [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]" "Query a sorted set representing a geospatial index to fetch members inside an area of a box or a circle" "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape";
    "geosearchstore" -8 "write denyoom" (1, 2, 1; "OW update", "RO access") "write geo slow" "geo" "6.2.0"
        Together geo::geosearchstore NONE
        "destination source FROMMEMBER member|FROMLONLAT longitude latitude BYRADIUS radius M|KM|FT|MI|BYBOX width height M|KM|FT|MI [ASC|DESC] [COUNT count [ANY]] [STOREDIST]" "Query a sorted set representing a geospatial index to fetch members inside an area of a box or a circle, and store the result in another key" "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape";
}
