//! Vacuum: takes retired records whose CSN the horizon has passed back into free lists, and with
//! each old version the index entries that only it needed (P21, P23, P27).
//!
//! **Concurrency**: the caller holds a pin that cannot be revoked and the queue's `retire_latch`.
//!
//! **Who may die where**: the record on its way is named in `reclaim_held`, the entry being closed
//! in `vacuum_entry`, both of the session that vacuums; `repair.zig` goes on from there.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const classes = @import("../segment/classes.zig");
const arena = @import("../segment/arena.zig");
const paged = @import("../segment/paged.zig");
const segment_ = @import("../segment/segment.zig");
const word = @import("../segment/word.zig");
const fault = @import("../testing/fault.zig");
const mutant = @import("../testing/mutant.zig");
const key_ = @import("../index/key.zig");
const skiplist = @import("../index/skiplist.zig");
const schema_ = @import("../table/schema.zig");
const view_ = @import("../table/view.zig");
const fate = @import("fate.zig");
const retire = @import("retire.zig");
const Skiplist = skiplist.Skiplist;
const Position = skiplist.Position;
const Segment = segment_.Segment;
const Session = @import("../segment/session.zig").Session;
const SessionSlot = layout.SessionSlot;
const Version = layout.Version;
const Retired = layout.Retired;
const Ref = rel_ptr.Ref;
const Link = rel_ptr.Link;

pub const Error = error{ SegmentFull, SegmentCorrupt };

/// Gives the table of an id; null when it is gone.
pub const Tables = struct {
    context: *anyopaque,
    get: *const fn (context: *anyopaque, id: u32) ?*const view_.TableView,
};

/// A record is fetched while this many before it are taken back.
const ahead_count = 6;

/// A session that commits one row at a time computes the horizon once in so many commits.
const refresh_interval = 8;

/// Takes up to `budget` records of `owner`'s queue. Returns how many.
pub fn run(session: *Session, owner: *SessionSlot, tables: Tables, budget: u32) Error!u32 {
    if (owner.retire_taken.load(.monotonic) == owner.retire_added.load(.acquire)) return 0;
    if (!owner.retire_latch.cas(0, session.index + 1, .acq_rel)) return 0;
    defer owner.retire_latch.store(0, .release); // pairs with the compare-and-swap above

    // A horizon that lags behind makes the walks over versions long; a new one costs a look at
    // every session.
    session.ticks +%= 1;
    const is_due = budget > refresh_interval or session.ticks % refresh_interval == 0;
    if (is_due) _ = session.refreshHorizon();
    var count: u32 = 0;
    while (count < budget) : (count += 1) {
        const taken = owner.retire_taken.load(.monotonic); // only the holder of the latch moves it
        // pairs with the release in `retire.add`
        if (taken == owner.retire_added.load(.acquire)) break;
        const entry = (try retire.queueOf(session.segment, owner).at(taken)).*;
        if (entry.csnOf() >= session.horizon) break;
        try fetchAhead(session.segment, owner, taken + ahead_count);
        try takeOne(session, owner, tables, entry, taken);
    }
    return count;
}

/// Begins to fetch what a later record names. With many processes on few cores the horizon lags by
/// the time slices of those that wait for a core, and what comes back has long left the cache.
fn fetchAhead(segment: *const Segment, owner: *SessionSlot, position: u64) Error!void {
    // pairs with the release in `retire.add`
    if (position >= owner.retire_added.load(.acquire)) return;
    const entry = (try retire.queueOf(segment, owner).at(position)).*;
    segment.fetch(entry.a);
    if (entry.kind() == .version) segment.fetch(entry.b); // its row slot
}

fn takeOne(
    session: *Session,
    owner: *SessionSlot,
    tables: Tables,
    entry: Retired,
    taken: u64,
) Error!void {
    switch (entry.kind()) {
        .version => {
            const version = try session.segment.at(Version, entry.a);
            const table = tables.get(
                tables.context,
                version.table(),
            ) orelse return error.SegmentCorrupt;
            if (!version.isTombstone()) try closeEntries(session, table, version, entry.b);
            version.mark.store(0, .release); // free: whoever still meets it was not pinned (P10)
            word.bump(&session.slot.counters.versions_reclaimed, 1);
            try reclaim(session, owner, .{ .ref = entry.a, .class = table.version_class }, taken);
        },
        .slot_candidate => {
            if (tables.get(tables.context, entry.b)) |table| try closeSlot(session, table, entry.a);
            try advance(session, owner, taken);
        },
        .slot => try reclaim(
            session,
            owner,
            .{ .ref = entry.a, .class = classes.slot_class },
            taken,
        ),
        .entry => {
            if (entry.b < classes.entry_classes_start or entry.b >= classes.version_classes_start) {
                return error.SegmentCorrupt;
            }
            // A free entry is not closed: the repair tells by it whether one in hand was ever
            // linked.
            const free = layout.EntryState{ .height = 0, .closed = false, .tag = 0 };
            (try session.segment.at(layout.Entry, entry.a)).state.store(free.raw(), .release);
            word.bump(&session.slot.counters.entries_reclaimed, 1);
            try reclaim(session, owner, .{ .ref = entry.a, .class = entry.b }, taken);
        },
        _ => return error.SegmentCorrupt,
    }
}

fn reclaim(session: *Session, owner: *SessionSlot, held: layout.Held, taken: u64) Error!void {
    session.slot.reclaim_held.store(held.raw(), .release);
    try advance(session, owner, taken);
    fault.point("vacuum.taken");
    try arena.give(session.segment, session.index, held.class, held.ref);
    session.slot.reclaim_held.store(0, .release);
}

fn advance(session: *Session, owner: *SessionSlot, taken: u64) Error!void {
    owner.retire_taken.store(taken + 1, .release); // pairs with the acquire in `retire.reserve`
    if ((taken + 1) % paged.per_page == 0) {
        try retire.queueOf(session.segment, owner).drop(session.index, taken / paged.per_page);
    }
}

/// P23 for every index of the table: the entries that only `version` needed are closed and retired.
fn closeEntries(
    session: *Session,
    table: *const view_.TableView,
    version: *Version,
    slot: Ref,
) Error!void {
    var path: Skiplist.Path = undefined;
    const image = version.image();
    for (table.indexes[0..table.index_count]) |*index| {
        if (try isNeeded(session, table, index.column, slot, image)) continue;
        // Only now the entry is looked up: most updates leave most keys as they are.
        const key = session.words[0..index.key_words];
        key_.encodeKey(index.column, image, key);
        const at: Position = .{ .words = key, .slot = slot };
        const state = (try index.list.findEntry(at, &path)) orelse continue;
        if (try isNeeded(session, table, index.column, slot, image)) continue;
        try retire.reserve(session, session.slot, 1);
        const entry = path.equal;
        const class = try index.list.classOf(entry);
        session.slot.vacuum_entry.store(
            (layout.Held{ .ref = entry, .class = class }).raw(),
            .release,
        );
        fault.point("vacuum.named");
        if (try index.list.close(session, &path, state)) {
            fault.point("vacuum.unlinked");
            const tail = session.segment.header.tail.load(.seq_cst);
            try retire.add(session.segment, session.slot, Retired.init(.entry, tail, entry, class));
        }
        session.slot.vacuum_entry.store(0, .release);
    }
}

/// True when a version of the row that is undecided, at or above the horizon, or the newest below
/// it has the key.
fn isNeeded(
    session: *Session,
    table: *const view_.TableView,
    column: *const schema_.Column,
    slot: Ref,
    image: [*]align(8) const u8,
) Error!bool {
    if (mutant.is(.needed_closed)) return false;
    const row = try session.segment.at(layout.RowSlot, slot);
    const published = &session.segment.header.horizon;
    var ref = Link.of(row.head.load(.seq_cst)).ref;
    var newer: u64 = std.math.maxInt(u64);
    var steps: u64 = 0;
    while (ref != rel_ptr.none and !layout.isClosed(ref)) : (steps += 1) {
        if (steps > limits.version_steps_max) return error.SegmentCorrupt;
        const version = session.segment.at(Version, ref) catch |err| {
            return if (newer < published.load(.seq_cst)) false else err;
        };
        const what = fate.of(session.segment, version) catch |err| {
            return if (newer < published.load(.seq_cst)) false else err;
        };
        const has_key = !version.isTombstone() and version.table() == table.id and
            column.isEqual(version.image(), image);
        const older = version.older.load(.acquire); // pairs with the release that installed
        // Another's horizon may have passed the newer version and let go what is below it: then
        // that one was the newest below the horizon, and what was read here means nothing
        // (docs/decisions/vacuum-walks.md).
        if (newer < published.load(.seq_cst)) return false;
        switch (what) {
            .free => return error.SegmentCorrupt,
            .aborted => {},
            .undecided => if (has_key) return true,
            .committed => |csn| {
                if (has_key) return true;
                if (csn < session.horizon) return false;
                newer = csn;
            },
        }
        ref = older;
    }
    return false;
}

/// P21: takes a slot whose newest version is a tombstone below the horizon out of the map.
fn closeSlot(session: *Session, table: *const view_.TableView, ref: Ref) Error!void {
    const segment = session.segment;
    const slot = try segment.at(layout.RowSlot, ref);
    const head = Link.of(slot.head.load(.seq_cst));
    if (head.ref == rel_ptr.none or layout.isClosed(head.ref)) return;
    const version = try segment.at(Version, head.ref);
    if (!version.isTombstone() or version.table() != table.id) return;
    const csn = switch (layout.Mark.of(version.mark.load(.seq_cst))) {
        .csn => |csn| csn,
        else => return, // a later write of the row; its own retirement comes back here
    };
    if (csn >= session.horizon) return;
    try retire.reserve(session, session.slot, 2);
    session.slot.vacuum_slot.store((layout.Held{ .ref = ref, .class = head.ref }).raw(), .release);
    fault.point("vacuum.slot.named");
    if (slot.head.cas(head.raw(), head.next(layout.closedRef(session.index)).raw(), .seq_cst)) {
        fault.point("vacuum.slot.closed");
        try finishSlot(session, session.slot, table, ref, head.ref);
    }
    session.slot.vacuum_slot.store(0, .release);
}

/// Unlinks and retires a slot that `owner` closed, and its tombstone. Used by the repair, too.
pub fn finishSlot(
    session: *Session,
    owner: *SessionSlot,
    table: *const view_.TableView,
    ref: Ref,
    tombstone: Ref,
) Error!void {
    const segment = session.segment;
    try table.map().unlink(ref);
    _ = table.shared.slot_count.add(-1, .monotonic); // only says when to grow
    const tail = segment.header.tail.load(.seq_cst);
    try retire.add(segment, owner, Retired.init(.version, tail, tombstone, ref));
    fault.point("vacuum.slot.half");
    try retire.add(segment, owner, Retired.init(.slot, tail, ref, table.id));
}
