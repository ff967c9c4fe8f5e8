//! What lies where in a segment: the extern structs of the shared format.
//!
//! **Invariants**: `Header.magic == magic`; regions lie in the order of `Geometry`, aligned to the
//! page, without overlap; the first block of `Header` (up to `tail`) never changes after the
//! segment is published, except `clean_shutdown`.
//!
//! **Concurrency**: each mutable word of the header has a pair of cache lines of its own. Who
//! writes what stands at the field.
const std = @import("std");
const limits = @import("../limits.zig");
const classes = @import("classes.zig");
pub const Word = @import("word.zig").Word;
const Ref = @import("rel_ptr.zig").Ref;
const Timeline = @import("timeline.zig").Timeline;

pub const magic: u32 = 0xAEB0_B007;
pub const format_version: u32 = 3;
/// Bits of a commit number (CSN) where an epoch or a state shares its word.
pub const csn_bits = 48;

pub const Geometry = @import("geometry.zig").Geometry;

/// Bytes of `Header.directory`.
pub const directory_size = 256;

pub const Header = extern struct {
    magic: u32,
    format_version: u32,
    /// Hash of the layout description: another build's structures do not attach.
    fingerprint: u64,
    database_id: [16]u8,
    boot_id: [16]u8,
    /// Of the data directory: only who holds bytes of the same lock file sees who is alive here.
    lock_file: u64,
    created_ms: u64,
    first_csn: u64,
    /// Which history of the database this segment goes on with: what its log files and checkpoints
    /// say.
    timeline: Timeline,
    timeline_reserved: u32,
    geometry: Geometry,
    /// CRC-free sum of everything above, so that a flipped bit is seen at attach.
    checksum: u64,
    /// Odd after the last session closed in order, raised to the next even number by each that
    /// opens. Told at boot; nothing else goes by it.
    /// Release when it changes; pairs with the acquire of whoever looks.
    clean_shutdown: Word(u32),
    reserved: u32,

    /// The next CSN (P5). Written by every commit.
    /// Release when it changes; pairs with the acquire of whoever looks.
    tail: Word(u64) align(limits.cache_line_size),
    /// `ring.Drained`: first CSN not yet taken by the WAL writer, and its epoch (P5, P25).
    /// Release when it changes; pairs with the acquire of whoever looks.
    drained: Word(u64) align(limits.cache_line_size),
    /// Everything below is on disk; written by the WAL writer.
    /// Release when it changes; pairs with the acquire of whoever looks.
    durable: Word(u64),
    /// Somebody waits for everything below to be on disk; only rises.
    /// Release when it changes; pairs with the acquire of whoever looks.
    durable_wanted: Word(u64),
    /// Futex: raised whenever `durable` moves.
    /// Release when it changes; pairs with the acquire of whoever looks.
    durable_signal: Word(u32),
    /// Futex: raised by committers that want the writer to run now.
    /// Release when it changes; pairs with the acquire of whoever looks.
    writer_signal: Word(u32),
    /// 1 while the writer sleeps on `writer_signal`.
    writer_sleeping: Word(u32),
    /// `log_state.Poison`: not 0 when no session may commit any more.
    /// Release when it changes; pairs with the acquire of whoever looks.
    log_poisoned: Word(u32),
    /// `log_state.Stall`: why the log cannot be written for now; commits fail meanwhile.
    /// Release when it changes; pairs with the acquire of whoever looks.
    log_stalled: Word(u32),
    /// Session index + 1 of the WAL writer, 0 none.
    /// Release when it changes; pairs with the acquire of whoever looks.
    writer_session: Word(u32),
    /// Raised by the WAL writer as long as it runs.
    /// Release when it changes; pairs with the acquire of whoever looks.
    writer_beat: Word(u32),
    /// Epoch of the newest log file, wholly; `drained` has its low bits.
    log_epoch: Word(u64),
    /// Where the WAL writer that gave the lease back has left its file, for the next one: its
    /// epoch, 0 none. The words behind it belong to the holder of the lease.
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    left_epoch: Word(u64),
    left_position: u64,
    left_next_csn: u64,
    left_file_crc: u32,
    left_previous_crc: u32,
    /// Of these words: one that was late may have written over some of them.
    left_check: u64,
    /// Raised to ask the WAL writer for a new file.
    /// Release when it changes; pairs with the acquire of whoever looks.
    rotate_wanted: Word(u32),
    /// Release when it changes; pairs with the acquire of whoever looks.
    rotate_done: Word(u32),
    /// The newest horizon that anything was reclaimed by (P6); only rises.
    /// Release when it changes; pairs with the acquire of whoever looks.
    horizon: Word(u64) align(limits.cache_line_size),
    /// Raised when commits that stand still are no longer waited for (P32); read by every commit.
    /// Sequentially consistent when it changes; pairs with the acquire of whoever looks.
    era: Word(u32) align(limits.cache_line_size),
    /// 1 while a process sleeps until something is committed; read by every commit after it is
    /// decided, and taken back by the one that wakes.
    /// Sequentially consistent when it changes; pairs with the same of who looks (`changes`).
    change_armed: Word(u32) align(limits.cache_line_size),
    /// Subscriptions need the log from here on; 0 none.
    /// Release when it changes; pairs with the acquire of whoever looks.
    retained_csn: Word(u64),
    /// Highest session slot ever used, plus one.
    /// Release when it changes; pairs with the acquire of whoever looks.
    session_limit: Word(u32) align(limits.cache_line_size),
    table_count: Word(u32),
    /// Raised by every change of the catalog.
    /// Release when it changes; pairs with the acquire of whoever looks.
    catalog_version: Word(u32),
    page_hint: Word(u32),
    pages_used: Word(u64),
    /// Release when it changes; pairs with the acquire of whoever looks.
    outcome_next: Word(u64),
    /// Configuration, shared by all sessions.
    synchronous_commit: Word(u32) align(limits.cache_line_size),
    flush_interval_ms: Word(u32),
    checkpoint_interval_secs: Word(u32),
    snapshot_age_limit_ms: Word(u32),
    log_size_limit_mb: Word(u32),
    /// Log that subscriptions need is kept up to so much beyond what recovery needs.
    log_retention_mb: Word(u32),
    /// `delta.Choice`: the forms of values that those who follow the log need; only rises.
    log_forms: Word(u32),
    /// Release when it changes; pairs with the acquire of whoever looks.
    log_enabled: Word(u32),
    /// Release when it changes; pairs with the acquire of whoever looks.
    checkpoint_csn: Word(u64),
    checkpoint_count: Word(u64),
    checkpoint_rows: Word(u64),
    /// Checkpoints that could not be written.
    checkpoint_failures: Word(u64),
    /// When the last one was finished, or the first writer came: monotonic ms; 0 neither.
    /// Release when it changes; pairs with the acquire of whoever looks.
    checkpointed_ms: Word(u64),
    /// Bytes of the log files, as the writer last saw them.
    log_size: Word(u64),
    /// Path of the data directory when the segment was made, for lists of segments; zeros after it.
    /// Written before the segment is published.
    directory: [directory_size]u8,

    pub fn computeChecksum(header: *const Header) u64 {
        const bytes: [*]const u8 = @ptrCast(header);
        return std.hash.Wyhash.hash(0x41455253, bytes[0..@offsetOf(Header, "checksum")]);
    }
};

/// What a session's commit is doing (P3).
pub const Phase = enum(u2) { open = 0, numbered = 1, aborted = 2, final = 3 };

/// `SessionSlot.state` (P3).
pub const State = packed struct(u64) {
    phase: Phase,
    sequence: u51,
    reserved: u11 = 0,

    pub fn raw(state: State) u64 {
        return @bitCast(state);
    }

    pub fn of(word: u64) State {
        return @bitCast(word);
    }

    pub fn with(state: State, phase: Phase) State {
        return .{ .phase = phase, .sequence = state.sequence };
    }
};

/// `SessionSlot.pin` (P6): a CSN and whether a commit stands on it, which nobody may revoke (P29).
pub const Pin = packed struct(u64) {
    committing: bool,
    csn: u63,

    pub fn raw(pin: Pin) u64 {
        return @bitCast(pin);
    }

    pub fn of(word: u64) Pin {
        return @bitCast(word);
    }
};

/// Last of the eras: a page says in 16 bits of which one it is.
pub const era_max: u32 = std.math.maxInt(u16);

pub const pin_none: u64 = std.math.maxInt(u64);
/// Set by whoever revokes a pin that is older than the limit (P29).
pub const pin_revoked: u64 = std.math.maxInt(u64) - 1;

/// Free records of one class, each linked to the next, in one word.
pub const Chain = packed struct(u64) {
    ref: Ref,
    /// About how many: it decides when a chain is given away or split, and nothing else.
    count: u32,

    pub const empty: Chain = .{ .ref = 0, .count = 0 };

    pub fn raw(chain: Chain) u64 {
        return @bitCast(chain);
    }

    pub fn of(word: u64) Chain {
        return @bitCast(word);
    }
};

/// The free records of one class in one session: two `Chain`s (`arena.zig`, `depot.zig`).
pub const FreeList = extern struct {
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    loaded: Word(u64),
    /// Release: in program order for the repairer, whose acquire pairs with it.
    spare: Word(u64),
    /// The unused rest of the newest span.
    /// Release: in program order for the repairer, whose acquire pairs with it.
    bump: Word(u32),
    /// Release: in program order for the repairer, whose acquire pairs with it.
    bump_end: Word(u32),
};

/// A record in somebody's hand, with its class, in one word.
pub const Held = packed struct(u64) {
    ref: Ref,
    class: u32,

    pub fn raw(held: Held) u64 {
        return @bitCast(held);
    }

    pub fn of(word: u64) Held {
        return @bitCast(word);
    }
};

/// Counters of one session; it alone writes them.
pub const Counters = extern struct {
    commits: u64 = 0,
    aborts: u64 = 0,
    conflicts_row: u64 = 0,
    conflicts_absent: u64 = 0,
    conflicts_search: u64 = 0,
    retries: u64 = 0,
    escalations: u64 = 0,
    helps: u64 = 0,
    wounds: u64 = 0,
    wounded: u64 = 0,
    waits: u64 = 0,
    reads: u64 = 0,
    searches: u64 = 0,
    rows_examined: u64 = 0,
    rows_returned: u64 = 0,
    versions_reclaimed: u64 = 0,
    entries_reclaimed: u64 = 0,
    log_bytes: u64 = 0,
    log_waits: u64 = 0,
    repairs: u64 = 0,
};

/// One write of a commit in progress (P3).
pub const Intent = extern struct {
    version: Ref,
    slot: Ref,
    base: Ref,
    /// Of the row.
    table: u32,
};

/// A slot of the process array and everything its session owns (P3).
///
/// **Concurrency**: `pin` is written by the owner (and revoked by others); `state` by the owner and
/// by whoever aborts or finishes it; the block from `free` on only by the owner, or by the repairer
/// of a dead owner, who holds the owner's liveness byte.
pub const SessionSlot = extern struct {
    /// Release when it changes; pairs with the acquire of whoever looks.
    pin: Word(u64) align(limits.cache_line_size),
    /// Raised by every open of the slot.
    /// Release when it changes; pairs with the acquire of whoever looks.
    generation: Word(u64),
    /// 1 while a session is attached (also of a dead one until its repair).
    /// Release when it changes; pairs with the acquire of whoever looks.
    attached: Word(u32),
    pid: u32,
    opened_ms: u64,
    /// When the oldest snapshot was taken, monotonic ms.
    /// Release when it changes; pairs with the acquire of whoever looks.
    pinned_ms: Word(u64),
    /// `Header.era` when the pin for committing was set: the session follows no link that it has
    /// read in a later one (P32).
    /// Sequentially consistent, as the pin; pairs with the same of whoever looks.
    era: Word(u32),
    /// The last era whose records the session may have in hand besides, from before it caught up;
    /// 0 none.
    /// Sequentially consistent, as the pin; pairs with the same of whoever looks.
    held_era: Word(u32),

    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    state: Word(u64) align(limits.cache_line_size),
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    csn: Word(u64),
    /// An `Age`.
    /// Release when it changes; pairs with the acquire of whoever looks.
    age: Word(u64),
    /// Outcome table entry that this commit decides, plus one; 0 none.
    /// Release: in program order for the repairer, whose acquire pairs with it.
    token: Word(u64),
    /// How many intents are valid.
    /// Release: in program order for the repairer, whose acquire pairs with it.
    intent_count: Word(u32),
    /// Intents by number: root of a `paged` array.
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    intents: Word(u32),
    /// `retire_added` when stamping or unlinking began, plus one; 0 not begun. With it a repairer
    /// knows how many of the retirements of this commit are done.
    /// Release: in program order for the repairer, whose acquire pairs with it.
    finish_start: Word(u64),
    /// Records taken from a free list and not yet reachable: `Held`.
    /// Release: in program order for the repairer, whose acquire pairs with it.
    held_version: Word(u64),
    /// Release: in program order for the repairer, whose acquire pairs with it.
    held_slot: Word(u64),
    /// Release: in program order for the repairer, whose acquire pairs with it.
    held_bucket: Word(u64),
    /// Release: in program order for the repairer, whose acquire pairs with it.
    held_entry: Word(u64),
    /// The entry that this session is about to close or has closed (P23).
    /// Release: in program order for the repairer, whose acquire pairs with it.
    vacuum_entry: Word(u64),
    /// The slot (`ref`) that this session is about to close or has closed, and its tombstone
    /// (`class`) (P21).
    /// Release: in program order for the repairer, whose acquire pairs with it.
    vacuum_slot: Word(u64),

    /// The session's log buffer: positions count bytes for ever, modulo its size.
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    log_buffer: Word(u32) align(limits.cache_line_size),
    /// Release: in program order for the repairer, whose acquire pairs with it.
    log_head: Word(u64),
    /// `log_head` before the record of the commit in progress.
    /// Release: in program order for the repairer, whose acquire pairs with it.
    log_previous: Word(u64),
    /// Release: in program order for the repairer, whose acquire pairs with it.
    log_taken: Word(u64),

    /// Retired records by number, oldest `retire_taken`: root of a `paged` array.
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    retired: Word(u32) align(limits.cache_line_size),
    /// Release when it changes; pairs with the acquire of whoever looks.
    retire_taken: Word(u64),
    /// Release when it changes; pairs with the acquire of whoever looks.
    retire_added: Word(u64),
    /// Session index + 1 of who vacuums this queue, 0 none.
    /// Acquire-release when taken, release when given back: the two pair.
    retire_latch: Word(u32),
    /// 1 while the owner may claim the pages that are kept for deletes and vacuum.
    /// Monotonic: only the owner, or its repairer, writes and reads it.
    may_use_reserve: Word(u32),
    /// Held while a retired record moves to a free list: `Held`.
    /// Release: in program order for the repairer, whose acquire pairs with it.
    reclaim_held: Word(u64),
    /// The cell of the depot that this session is about to claim or has claimed, plus one; 0 none.
    /// Release: in program order for the repairer, whose acquire pairs with it.
    depot_cell: Word(u32),
    /// The catalog entry that this session is about to claim or has claimed, plus one; 0 none.
    /// Release: in program order for the repairer, whose acquire pairs with it.
    catalog_entry: Word(u32),

    /// Of all sessions that have had this slot, so that their sums never fall.
    counters: Counters align(limits.cache_line_size),
    /// `counters.commits` when the present session took the slot.
    commits_before: u64,
    free: [classes.count]FreeList align(limits.cache_line_size),
};

/// One entry of a session's retire queue.
pub const Retired = extern struct {
    /// `{ kind: 8, csn: 56 }`: reusable when the horizon has passed the CSN (P27).
    stamp: u64,
    a: Ref,
    b: u32,

    pub const Kind = enum(u8) { version = 1, slot_candidate = 2, slot = 3, entry = 4, _ };

    pub fn init(retired_kind: Kind, csn: u64, a: Ref, b: u32) Retired {
        return .{ .stamp = @as(u64, @intFromEnum(retired_kind)) << 56 | csn, .a = a, .b = b };
    }

    pub fn kind(retired: Retired) Kind {
        return @enumFromInt(@as(u8, @truncate(retired.stamp >> 56)));
    }

    pub fn csnOf(retired: Retired) u64 {
        return retired.stamp & ((1 << 56) - 1);
    }
};

/// What became of a commit whose token was asked for.
pub const Outcome = extern struct {
    /// An `OutcomeWord`.
    /// Release when it changes; pairs with the acquire of whoever looks.
    word: Word(u64),
};

pub const OutcomeWord = packed struct(u64) {
    state: OutcomeState,
    /// Of the owner.
    session: u12,
    /// The token less one; its upper bits are those of the number that is given out next.
    number: u50,

    pub fn of(word: u64) OutcomeWord {
        return @bitCast(word);
    }

    pub fn with(word: OutcomeWord, state: OutcomeState) OutcomeWord {
        return .{ .state = state, .session = word.session, .number = word.number };
    }

    pub fn raw(word: OutcomeWord) u64 {
        return @bitCast(word);
    }
};

pub const OutcomeState = enum(u2) { unknown = 0, pending = 1, committed = 2, aborted = 3 };

/// P17: how long others wait for an open commit.
pub const Age = packed struct(u64) {
    /// The tail at the first attempt of the transaction.
    csn: u52,
    /// Attempts that others have aborted.
    wounds: u12,

    pub const none: Age = .{ .csn = 0, .wounds = 0 };

    pub fn of(word: u64) Age {
        return @bitCast(word);
    }

    pub fn raw(age: Age) u64 {
        return @bitCast(age);
    }
};

/// One word of the page table: who has the page.
pub const PageState = packed struct(u64) {
    state: State_,
    kind: classes.PageKind,
    session: u16,
    /// Pages in the span, on its first page.
    span: u24,
    /// `Header.era` before the page was claimed: what lies in it was born then, or later (P32).
    era: u16,

    pub const State_ = enum(u3) { free = 0, claimed = 1, used = 2, tail = 3, _ };

    pub fn raw(page: PageState) u64 {
        return @bitCast(page);
    }

    pub fn of(word: u64) PageState {
        return @bitCast(word);
    }
};

/// A row (P1): where its newest version is. Buckets of the primary-key map are row slots, too.
pub const RowSlot = extern struct {
    /// `Link` to the newest version, or `closedRef`.
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    head: Word(u64),
    /// `Link` to the next slot of the map.
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    next: Word(u64),
    /// Split-order key: bit-reversed hash, lowest bit set for rows, clear for buckets.
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    order: Word(u32),
    /// Free list link while free.
    free_next: Ref,
};

/// `RowSlot.head` of a slot that is being taken out of the map (P1): `CLOSED`, with the session
/// that closed it and will retire it. Such refs lie below the arena.
pub fn closedRef(session: u32) Ref {
    return 1 + session;
}

pub fn isClosed(ref: Ref) bool {
    return ref != 0 and ref <= limits.session_count_max;
}

/// A version of a row (P2). The image follows.
pub const Version = extern struct {
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    mark: Word(u64),
    /// Older version, or the free list link while free.
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    older: Word(u32),
    /// `{ table: 8, layout: 8, sum: 15, tombstone: 1 }`; `layout` is that of the table's rows in
    /// which the image is, 0 until tables can have several.
    flags: u32,

    pub const tombstone_flag: u32 = 1 << 31;
    const sum_shift = 16;
    const sum_mask: u32 = 0x7FFF << sum_shift;

    pub fn image(version: *Version) [*]align(8) u8 {
        const bytes: [*]align(8) u8 = @ptrCast(version);
        return bytes + @sizeOf(Version);
    }

    pub fn table(version: *const Version) u32 {
        return version.flags & 0xFF;
    }

    pub fn isTombstone(version: *const Version) bool {
        return version.flags & tombstone_flag != 0;
    }

    pub fn ofImage(bytes: []align(8) u8) *Version {
        return @ptrCast(@alignCast(bytes.ptr - @sizeOf(Version)));
    }

    /// Fills a version that nobody else knows yet, for `isWhole` to compare with.
    pub fn fill(
        version: *Version,
        table_id: u32,
        is_tombstone: bool,
        bytes: []align(8) const u8,
    ) void {
        @memcpy(version.image()[0..bytes.len], bytes);
        version.flags = table_id | if (is_tombstone) tombstone_flag else 0;
        version.flags |= version.sum(bytes.len);
    }

    /// False when a bit of flags or image is not as it was filled; for `check`, not for readers.
    pub fn isWhole(version: *Version, size: usize) bool {
        return version.flags & sum_mask == version.sum(size);
    }

    /// Each bit of image and flags moves exactly one bit of it. Images are whole words.
    fn sum(version: *Version, size: usize) u32 {
        const words: [*]const u64 = @ptrCast(version.image());
        var hash: u64 = version.flags & ~sum_mask;
        for (words[0 .. size / 8]) |word| hash = std.math.rotl(u64, hash, 7) ^ word;
        hash ^= hash >> 30 ^ hash >> 60;
        return @as(u32, @truncate((hash ^ hash >> 15) & 0x7FFF)) << sum_shift;
    }
};

/// `Version.mark` (P2).
pub const Mark = union(enum) {
    free,
    pending: struct { session: u32, sequence: u64 },
    csn: u64,

    const pending_bit: u64 = 1 << 63;

    pub fn of(word: u64) Mark {
        if (word == 0) return .free;
        if (word & pending_bit == 0) return .{ .csn = word };
        return .{ .pending = .{
            .session = @intCast(word >> 51 & 0xFFF),
            .sequence = word & ((1 << 51) - 1),
        } };
    }

    pub fn pendingWord(session: u32, sequence: u64) u64 {
        return pending_bit | @as(u64, session) << 51 | sequence;
    }
};

/// A skiplist entry (P22): links by height, then the key words follow.
pub const Entry = extern struct {
    /// `EntryState`
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    state: Word(u32),
    /// The row, or the free list link while free.
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    slot: Word(u32),

    /// Release publishes the entry; pairs with the acquire of walkers.
    pub inline fn links(entry: *Entry) [*]Word(u64) {
        @setRuntimeSafety(false); // eight bytes behind what is aligned to eight
        const bytes: [*]align(8) u8 = @ptrCast(@alignCast(entry));
        return @ptrCast(bytes + @sizeOf(Entry));
    }
};

pub const EntryState = packed struct(u32) {
    height: u4,
    closed: bool,
    /// Raised by touching (P22); once closed, the session that closed it and will retire it. Zero
    /// while free.
    tag: u27,

    pub fn raw(state: EntryState) u32 {
        return @bitCast(state);
    }

    pub fn of(word: u32) EntryState {
        return @bitCast(word);
    }
};

pub const IndexStatus = enum(u32) { none = 0, ready = 2, _ };

pub const Index = extern struct {
    /// Release when it changes; pairs with the acquire of whoever looks.
    status: Word(IndexStatus),
    /// Of an entry: its key, and the tie of its primary key, if any.
    position_words: u32,
    /// An entry of full height before all others.
    head: Ref,
    unique: u32,
    /// An `IndexKind` of `row/schema.zig`.
    kind: u32,
};

pub const bucket_levels_max = 20;

/// One table; has a span of pages of its own. The schema bytes follow.
pub const Table = extern struct {
    id: u32,
    schema_size: u32,
    image_size: u32,
    version_class: u32,
    key_offset: u32,
    schema_checksum: u64,
    /// Live rows; a death may leave it off by what was dying.
    row_count: Word(i64) align(limits.cache_line_size),
    /// Slots in the map.
    slot_count: Word(i64),
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    bucket_count: Word(u32) align(limits.cache_line_size),
    /// Bucket 0: the head of the map.
    map_head: Ref,
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    buckets: [bucket_levels_max]Word(u32),
    /// In the order of the schema's list.
    indexes: [limits.index_count_max]Index align(limits.cache_line_size),
};

/// One table of the catalog; its id is the position (`txn/catalog.zig`).
pub const CatalogEntry = extern struct {
    /// A `Mark`: who creates the table, or the CSN from which on it is there.
    /// Sequentially consistent, as a version's.
    mark: Word(u64),
    /// Of the table's name, never 0 then.
    name_hash: Word(u64),
    /// The `Table`, in a run of pages of its own.
    /// Release publishes the table; pairs with the acquire in `stateOf`.
    table: Word(u32),
    /// How many pages.
    pages: Word(u32),
};

comptime {
    const assert = std.debug.assert;
    assert(@sizeOf(Header) <= limits.page_size);
    assert(@offsetOf(Header, "tail") % limits.cache_line_size == 0);
    assert(@sizeOf(Version) == 16);
    assert(limits.table_count_max <= 1 << 8); // `Version.flags`
    assert(@sizeOf(RowSlot) == 24);
    assert(@sizeOf(Entry) == 8);
    assert(@sizeOf(Retired) == 16);
    assert(@sizeOf(Intent) == 16);
    assert(@sizeOf(Table) + 4096 <= limits.page_size);
    assert(@sizeOf(CatalogEntry) == 24);
}
