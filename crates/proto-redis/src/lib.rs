//! Laws: the Redis protocol, bytes to requests and replies to bytes.
