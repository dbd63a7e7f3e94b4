//! The admin API's JSON.
