//! Limits: everything that could grow has a bound, and the bound has a name and a reason here.
//!
//! A limit that an operator may want to change is a setting (see [`crate::settings`]); what is here is
//! fixed for a release because memory arithmetic, formats or the protocol's safety rest on it.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Longest key, in bytes. ZanKV's limit; it keeps any key inside one index block.
pub const KEY_BYTES_MAX: usize = 10 * KIB;
/// Longest field of a hash, and longest member of a set or sorted set, in bytes. ZanKV's limit; fields and members
/// lie in the keys of records as keys do.
pub const MEMBER_BYTES_MAX: usize = 10 * KIB;
/// Longest value, in bytes. ZanKV's limit; an entry with one such value still fits a frame.
pub const VALUE_BYTES_MAX: usize = 8 * MIB;
/// How long what an import has begun of a large key waits for the next piece, in milliseconds: a week. A restore that
/// waits for room on a disk goes on after that long; of one that nobody repeats nothing stays behind it.
pub const UNFINISHED_IMPORT_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// Longest string that stays in one piece when its bits are changed; a longer one is cut into pages, of which
/// a changed bit writes one.
pub const BITMAP_WHOLE_BYTES_MAX: usize = 4 * KIB;
/// Bytes of a page of a bitmap, as in ZanKV: what a changed bit writes, and some thousand records for the
/// longest bitmap.
pub const BITMAP_PAGE_BYTES: usize = KIB;
/// Most pairs of bytes that `LCS` compares: about 0.1 s and 4 MiB of memory. Redis compares up to four times
/// as many, and serves nobody else in the meantime.
pub const LCS_PAIRS_MAX: usize = 32 * 1024 * 1024;
/// Most elements (keys, pairs, fields) in one command.
pub const COMMAND_ELEMENTS_MAX: usize = 1024 * 1024;
/// Longest inline command, in bytes, as in Redis.
pub const INLINE_BYTES_MAX: usize = 64 * KIB;
/// Most bytes of one command with all its arguments.
pub const COMMAND_BYTES_MAX: usize = 64 * MIB;
/// Most bytes of keys and values of one command that go to one partition at once; with its wrapping the
/// request still fits a log entry.
pub const COMMAND_PART_BYTES_MAX: usize = 12 * MIB;

/// Most bytes of a reply of one partition to one command: it must fit a frame between nodes.
pub const REPLY_PART_BYTES_MAX: usize = ENTRY_BYTES_MAX;
/// Most bytes of elements that one command moves within a collection, or sorts, each counted with
/// [`EDIT_ELEMENT_BYTES`] besides. They are in memory at once, and a commit of so much takes about a second.
pub const EDIT_BYTES_MAX: usize = 64 * MIB;
/// What holding one element costs besides its bytes.
pub const EDIT_ELEMENT_BYTES: usize = 64;

/// Most bytes of the members that a set or sorted set made of others gets, each counted with
/// [`RESULT_MEMBER_BYTES`] besides: about three million short ones. They are in memory at once.
pub const RESULT_BYTES_MAX: usize = 256 * MIB;
/// Most bytes of results that all commands of one log entry make together, counted in the same way.
pub const ENTRY_RESULT_BYTES_MAX: usize = 2 * RESULT_BYTES_MAX;
/// A write of more keys or members than this goes through the log without a look whether it would change anything.
pub const UNCHANGED_MEMBERS_MAX: usize = 16;
/// From how many staged bytes on a replica commits before it goes on to the next log entry. What it holds in memory at
/// once is this and what one entry makes.
pub const STAGED_BYTES_MAX: usize = 64 * MIB;
/// What a staged record costs in memory besides its bytes, about.
pub const STAGED_RECORD_BYTES: usize = 64;
/// What one member of a result costs besides its bytes.
pub const RESULT_MEMBER_BYTES: usize = 64;
/// Most fields or members that one command chooses by chance when repeats are wanted.
pub const CHOICES_MAX: u64 = COMMAND_ELEMENTS_MAX as u64;

/// Most commands of one transaction. All of them are one log entry, and each has a reply.
pub const TRANSACTION_COMMANDS_MAX: usize = 64 * 1024;
/// Most bytes of all commands of one transaction, each argument counted with a little for its wrapping: what is
/// made of them still fits a log entry.
pub const TRANSACTION_BYTES_MAX: usize = COMMAND_PART_BYTES_MAX;
/// Most keys that one connection watches.
pub const WATCHED_KEYS_MAX: usize = 1024;

/// Most partitions of a table; 10 bits, see [`POSITION_BITS`].
pub const PARTITIONS_MAX: u32 = 1024;
/// Most replicas of a partition.
pub const REPLICAS_MAX: u32 = 7;
/// Most nodes that replicate the catalog.
pub const META_NODES_MAX: usize = 5;
/// Most nodes of a cluster.
pub const NODES_MAX: usize = 1000;
/// Most tables of a cluster.
pub const TABLES_MAX: usize = 10_000;
/// Most groups of a cluster: with [`NODES_MAX`] and [`TABLES_MAX`] reached as well, a whole copy of the
/// catalog still fits one frame.
pub const GROUPS_MAX: usize = 20_000;
/// Most labels of a node.
pub const LABELS_MAX: usize = 16;
/// Longest name or value of a label, in bytes.
pub const LABEL_BYTES_MAX: usize = 64;
/// Most options that a table remembers ...
pub const TABLE_OPTIONS_MAX: usize = 4;
/// ... and bytes of their names and values, all together: the catalog's copy has no room for more.
pub const TABLE_OPTIONS_BYTES_MAX: usize = 64;
/// Longest address (`host:port`), in bytes: a DNS name has at most 253.
pub const ADDRESS_BYTES_MAX: usize = 260;
/// Most operations that have not ended: every partition of the largest table, and room for more.
pub const OPERATIONS_AT_ONCE_MAX: usize = 4096;
/// Ended operations that are remembered; beyond it the oldest go, failed ones last.
pub const OPERATIONS_KEPT_MAX: usize = 4096;
/// Most schedules of backups.
pub const SCHEDULES_MAX: usize = 64;
/// Most tables that one of them names.
pub const SCHEDULE_TABLES_MAX: usize = 256;
/// Most backups that stand on each other, the full one among them: a restore reads all of them side by side, with a block
/// of some hundred KiB of each in memory.
pub const BACKUP_CHAIN_MAX: usize = 32;
/// Longest name of a backup.
pub const BACKUP_ID_BYTES_MAX: usize = 64;
/// Longest URL of a place for backups.
pub const BACKUP_URL_BYTES_MAX: usize = 1024;
/// Events that an operation remembers.
pub const OPERATION_EVENTS_MAX: usize = 64;
/// How long an operation waits for something that stands in its way (a node that is down, a group without a
/// leader) before it fails: a restarted machine is back by then. Copying takes as long as it takes.
pub const OPERATION_PATIENCE: Duration = Duration::from_secs(60);
/// How long a copy may show no progress at all before its operation fails.
pub const OPERATION_STALL: Duration = Duration::from_secs(900);
/// A node whose process has begun anew so often within [`FLAPPING_WINDOW`] flaps: two restarts in a row are somebody at
/// work, three are a pattern.
pub const FLAPPING_RETURNS: usize = 3;
/// See [`FLAPPING_RETURNS`]; also how long a node that flaps has to be up until it counts as steady again.
pub const FLAPPING_WINDOW: Duration = Duration::from_secs(600);
/// Longest time for which a node may be stopped under one permit.
pub const PERMIT_MAX: Duration = Duration::from_secs(3600);
/// Longest table or namespace name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Bits of a scan cursor that hold the position; with 10 bits of partition a cursor stays below 2^53.
pub const POSITION_BITS: u32 = 42;

/// Real time of one Raft tick. All protocol times below are whole ticks.
pub const TICK: Duration = Duration::from_millis(50);
/// A leader sends heartbeats this often.
pub const HEARTBEAT_TICKS: usize = 2;
/// A follower may campaign this long after it last heard from its leader; also the quiet time of a
/// replica after its process started. 0.8 s: a 250 ms stall of a busy disk is no election.
pub const ELECTION_TICKS: usize = 16;
/// Election timeouts of the replicas of a group lie this far apart, in order of rank, so that
/// survivors do not collide.
pub const ELECTION_STAGGER_TICKS: usize = 3;
/// How long a confirmed heartbeat round lets a leader answer reads alone. A follower keeps its promise for
/// `ELECTION_TICKS` ticks, of which the first comes at once, and up to two more come late and then early when
/// its thread was held up: 650 ms. The rest is for clocks whose rates differ by up to 15 %.
pub const LEASE: Duration = Duration::from_millis(550);
/// A node whose clock is this far from the median of its peers gives up leadership; no stamp runs further
/// ahead of that median.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_millis(500);

/// What came this long ago counts about a third in the load of a leader: a burst of some seconds moves no leaders.
pub const LOAD_SMOOTHING: Duration = Duration::from_secs(60);
/// A leader does not say how much it is asked before it has led for so long.
pub const LOAD_SETTLES: Duration = Duration::from_secs(10);

/// Groups start here, so that a replica that joins later always needs a snapshot.
pub const FIRST_LOG_INDEX: u64 = 5;
/// Most bytes of one log entry; a request of the largest size fits.
pub const ENTRY_BYTES_MAX: usize = 16 * MIB;
/// Proposals waiting for a group are packed into one entry up to this size.
pub const ENTRY_BATCH_BYTES: usize = 512 * KIB;
/// Proposals waiting for a group are packed into one entry up to this number.
pub const ENTRY_BATCH_REQUESTS: usize = 512;
/// So many writes under way on one worker hold back none that arrive after them ...
pub const BURST_WRITES_FREE: usize = 4;
/// ... and more of them no longer than this: about an fsync and a round trip.
pub const BURST: Duration = Duration::from_millis(1);
/// Most bytes of entries in one append message (one entry always fits).
pub const APPEND_BYTES_MAX: u64 = MIB as u64;
/// Most append messages in flight to one follower: with a MiB each they fit the queue to a peer, and a
/// follower that is far behind does not keep its leader's thread reading.
pub const APPENDS_IN_FLIGHT_MAX: usize = 16;
/// Most bytes that a leader keeps proposed but not committed per group; above it writes are refused.
pub const UNCOMMITTED_BYTES_MAX: u64 = 64 * MIB as u64;
/// Most bytes of committed entries handed to apply in one turn.
pub const COMMITTED_BYTES_PER_READY_MAX: u64 = 4 * MIB as u64;
/// Bytes of committed entries that a replica hands to apply before the first of them are applied; the others wait
/// in the log.
pub const APPLY_BYTES_MAX: usize = 64 * MIB;
/// Entries that a replica may have committed but not applied before it stops accepting more work.
pub const APPLY_LAG_MAX: u64 = 16 * 1024;
/// Most proposals waiting in a group for its log; above it they are refused as overloaded.
pub const PROPOSALS_WAITING_MAX: usize = 16 * 1024;
/// Bytes of recent entries that a group keeps in memory for its followers.
pub const ENTRY_CACHE_BYTES: usize = MIB;
/// Entries kept behind the durable state for followers that are a little late, by count ...
pub const LOG_KEEP_ENTRIES: u64 = 20_000;
/// ... and by bytes, whichever is less.
pub const LOG_KEEP_BYTES: u64 = 32 * MIB as u64;
/// Most bytes that a named hold may keep in one group's log; then its holder must start over.
pub const LOG_HOLD_BYTES_MAX: u64 = 1024 * MIB as u64;

/// Most bytes of changes that a partition keeps for an archive that does not take them, if nothing else is said: as
/// with holds of the log, its holder must start over then.
pub const ARCHIVE_HOLD_BYTES_MAX: u64 = 1024 * MIB as u64;
/// How often changes are written to an archive if nothing else is said: how much at most is lost with a cluster.
pub const ARCHIVE_EVERY: Duration = Duration::from_secs(10);
/// What an archive has told more lately than this is never thinned out: a backup says where in the logs it lies only
/// a while after it has chosen its moment. One that takes more than half of this chooses another moment.
pub const ARCHIVE_THIN_AGE_MIN: Duration = Duration::from_secs(60);
/// How often a cluster thins out its archive, if that has a time to keep: after each tenth of it, within these.
pub const ARCHIVE_THIN_EVERY_MIN: Duration = Duration::from_secs(5);
/// See [`ARCHIVE_THIN_EVERY_MIN`].
pub const ARCHIVE_THIN_EVERY_MAX: Duration = Duration::from_secs(600);
/// A file that a writer of backups has left unfinished is swept once it was not touched for so long, and nobody has it
/// locked any more.
pub const UNFINISHED_AGE_MIN: Duration = Duration::from_secs(600);
/// Where a file system has no locks only its age tells that nobody goes on with it.
pub const UNFINISHED_AGE_WITHOUT_LOCKS: Duration = Duration::from_secs(86_400);

/// How long a replica keeps the state of a barrier that nobody asks for: the time in which an interrupted backup can
/// go on. It costs the space of what is overwritten meanwhile.
pub const HOLD_IDLE: Duration = Duration::from_secs(300);
/// Most states that a replica keeps for barriers; beyond it the oldest goes.
pub const HOLDS_MAX: usize = 2;
/// Most barriers that wait at a leader for their stamp.
pub const BARRIERS_WAITING_MAX: usize = 16;

/// Bytes of one snapshot chunk.
pub const SNAPSHOT_CHUNK_BYTES: usize = 256 * KIB;
/// Snapshot chunks that a sender may be ahead of the receiver.
pub const SNAPSHOT_WINDOW_CHUNKS: u64 = 16;
/// Most snapshots that one node sends or receives at once.
pub const SNAPSHOTS_AT_ONCE_MAX: usize = 4;

/// Sessions that a group remembers; the one idle for longest goes first. Every node is a gateway, and each
/// run of one has a session: this run of every node, and the one before, which has not been idle for an hour
/// yet. With fewer, gateways that all write to one group would crowd each other out, and retries would end
/// in doubt.
///
/// A quiet session takes some 150 bytes, all of them 300 KB; each reply that its gateway has not confirmed
/// takes 60 bytes and its length, mostly a few. So 1000 gateways whose last burst to this group was 100
/// writes leave 7 MB, in memory and in each snapshot.
pub const SESSIONS_MAX: usize = 2 * NODES_MAX;
/// A session that was idle this long is forgotten.
pub const SESSION_IDLE: Duration = Duration::from_secs(3600);
/// Most requests of one session that may be unanswered at once.
pub const SESSION_WINDOW: u64 = 4096;
/// Longest reply that a session keeps for a retry; of longer ones only the fact is kept.
pub const SESSION_REPLY_BYTES_MAX: usize = 4 * KIB;

/// Most bytes of one frame between nodes: the largest entry and its wrapping.
pub const FRAME_BYTES_MAX: usize = ENTRY_BYTES_MAX + MIB;
/// Most frames waiting for one peer on one channel; above it they are dropped (Raft repeats) or
/// refused (requests).
pub const FRAMES_WAITING_MAX: usize = 16 * 1024;
/// Most bytes waiting for one peer on one channel, with the same consequences.
pub const PEER_QUEUE_BYTES_MAX: usize = 32 * MIB;
/// Frames waiting for a peer are written together, up to about this many bytes at once.
pub const PEER_WRITE_BYTES: usize = MIB;
/// Most bytes of one frame of a handshake: a caller that has proved nothing costs no more memory.
pub const HANDSHAKE_BYTES_MAX: usize = KIB;
/// How long a handshake may take, connecting included.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);
/// Most connections in the middle of a handshake; more are closed at once.
pub const HANDSHAKES_PENDING_MAX: usize = 128;
/// How long a silent connection between nodes is believed in while the other host acknowledges nothing.
/// A paused process does not count: its kernel acknowledges.
pub const PEER_SILENCE_MAX: Duration = Duration::from_secs(4);
/// After the first retry, which is immediate, a peer is called again after this long ...
pub const PEER_RETRY_MIN: Duration = Duration::from_millis(50);
/// ... then twice as long each time, up to this long.
pub const PEER_RETRY_MAX: Duration = Duration::from_secs(1);
/// How long a node's earlier run may take to vanish before its next run is called a duplicate: the
/// kernel has closed a dead run's connections already, this process has just not looked yet.
pub const HANGUP_GRACE: Duration = Duration::from_millis(250);
/// How long a starting node asks its peers for another live run of itself.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Most requests that a gateway has in flight; above it new ones are refused as overloaded.
pub const GATEWAY_IN_FLIGHT_MAX: usize = 64 * 1024;
/// How long a gateway looks for a leader before it tells the client.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How long it looks for one that nobody but a person can replace, because automatic failover is off.
pub const MANUAL_DEADLINE: Duration = Duration::from_millis(800);
/// How long a leader keeps the request of a client that waits for an element before it says that there is
/// nothing yet. The gateway asks again; so it learns within this time of a leader that is silent.
pub const WAIT_PARK: Duration = Duration::from_secs(4);
/// How long a place in line is kept for a gateway that was told something and has not come back.
pub const WAIT_RETURN: Duration = Duration::from_secs(1);
/// Most clients that wait for elements of one partition.
pub const WAITS_PER_PARTITION_MAX: usize = 16 * 1024;
/// Most clients of all nodes that wait at the leaders of one node ...
pub const WAITS_PER_NODE_MAX: usize = 64 * 1024;
/// ... and most bytes of the keys that they wait for.
pub const WAITS_BYTES_MAX: usize = 64 * MIB;
/// Most keys that one client waits for at once.
pub const WAIT_KEYS_MAX: usize = 1024;
/// Most Redis connections of one node.
pub const CLIENT_CONNECTIONS_MAX: usize = 10_000;
/// Most bytes of replies waiting for one slow client; then it is disconnected.
pub const CLIENT_OUTPUT_BYTES_MAX: usize = 64 * MIB;
/// A client with this many bytes of replies waiting is not read from until it has read some of them.
pub const CLIENT_OUTPUT_PAUSE_BYTES: usize = MIB;
/// Most commands of one client that are in flight at once; further ones are not read yet.
pub const CLIENT_COMMANDS_OPEN_MAX: usize = 1024;
/// Commands that the slow log of a node keeps when nothing is said, as in Redis.
pub const SLOW_LOG_ENTRIES_DEFAULT: u64 = 128;
/// Most commands that it may keep: at their longest they take some 50 MB.
pub const SLOW_LOG_ENTRIES_MAX: u64 = 10_000;
/// Commands that take so long are noted in it when nothing is said, in microseconds, as in Redis.
pub const SLOW_LOG_MICROS_DEFAULT: i64 = 10_000;
/// Bytes asked of a client's socket at once; enough for many small commands.
pub const CLIENT_READ_BYTES: usize = 16 * KIB;
/// Bytes asked of a client's socket at once in the middle of a large value.
pub const CLIENT_READ_BYTES_MAX: usize = MIB;
/// How long an HTTP client may take from its connection, or its last answer, to the end of its next header.
/// Longer than clients keep a connection that they do not use, so that they do not find it closed.
pub const HTTP_HEADER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take for a body, from the end of the header.
pub const HTTP_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Most HTTP connections of one node; more wait to be accepted.
pub const HTTP_CONNECTIONS_MAX: usize = 256;
/// On a disk that is small for its reserve, the reserve is the n-th part of the disk.
pub const DISK_RESERVE_PART: u64 = 8;
/// A log batch with up to this many bytes of entries may use three quarters of the disk's reserve: elections, the
/// catalog, expired keys. Larger ones, which were accepted before the disk was full, may use half of it.
pub const SMALL_BATCH_BYTES: usize = 64 * KIB;
/// Most bytes of one HTTP request body.
pub const HTTP_BODY_BYTES_MAX: usize = 4 * MIB;
