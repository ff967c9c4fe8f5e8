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
const fault = @import("../instrument/fault.zig");
const mutant = @import("../instrument/mutant.zig");
const skiplist = @import("../index/skiplist.zig");
const schema_ = @import("../row/schema.zig");
const view_ = @import("../table/view.zig");
const fate = @import("status.zig");
const places_ = @import("radix_sort.zig");
const retire = @import("retire.zig");
const Skiplist = skiplist.Skiplist;
const Position = skiplist.Position;
const Segment = segment_.Segment;
const Place = places_.Place;
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
/// Most records that are looked at before they are taken.
const window_max = if (@import("build_options").scheduler) 64 else 1024;
/// So many at once are worth the order of the indexes.
const ordered_min = if (@import("build_options").scheduler) 2 else 16;

/// Takes up to `budget` records of `owner`'s queue that the session's horizon has passed. Returns
/// how many.
pub fn run(session: *Session, owner: *SessionSlot, tables: Tables, budget: u32) Error!u32 {
    if (owner.retire_taken.load(.monotonic) == owner.retire_added.load(.acquire)) return 0;
    if (!owner.retire_latch.cas(0, session.index + 1, .acq_rel)) return 0;
    defer owner.retire_latch.store(0, .release); // pairs with the compare-and-swap above

    // Acquire: pairs with the release in `retire.add`. What is set aside from here on is not met
    // again.
    const end = owner.retire_added.load(.acquire);

    var count: u32 = 0;
    var aside_count: u32 = 0;
    while (count + aside_count < budget) {
        // Monotonic: only the holder of the latch moves it.
        const taken = owner.retire_taken.load(.monotonic);
        const ready = try readyAt(session, owner, taken, end, budget - count - aside_count);
        if (ready.len == 0) {
            if (session.held_era == 0 or owner != session.slot) break;
            if (!try setAside(session, tables, taken, end)) break;
            aside_count += 1;
            continue;
        }
        const in_order = ready.len >= ordered_min;
        if (in_order) try closeTogether(session, tables, ready);
        for (ready, taken.., 0..) |entry, number, i| {
            fetchAhead(session.segment, ready, i);
            try takeOne(session, owner, tables, entry, number, in_order);
        }
        count += @intCast(ready.len);
    }
    return count;
}

/// Records from `taken` on, but before `end`, that may be taken back, as many as lie together.
fn readyAt(
    session: *Session,
    owner: *SessionSlot,
    taken: u64,
    end: u64,
    limit: u32,
) Error![]const Retired {
    if (end < taken) return error.SegmentCorrupt;
    if (end == taken) return &.{};
    const records = try retire.queueOf(session.segment, owner).from(taken);
    const waiting = @min(@min(limit, window_max), @min(records.len, end - taken));
    for (records[0..waiting], 0..) |record, i| {
        if (record.csnOf() >= session.horizon) return records[0..i];
        if (session.held_era != 0 and try isHeld(session, record)) return records[0..i];
    }
    return records[0..waiting];
}

/// True when a commit that the horizon has passed may have the record in hand (P32).
fn isHeld(session: *Session, record: Retired) Error!bool {
    if (record.kind() == .slot_candidate) return false; // gives nothing back itself
    return try session.segment.eraOf(record.a) <= session.held_era;
}

/// Puts a record that the horizon has passed and that is held all the same behind the others of the
/// session's own queue. False when the next record is none. In a queue of another session it stays
/// where it is: that one may add to it meanwhile.
fn setAside(session: *Session, tables: Tables, taken: u64, end: u64) Error!bool {
    if (taken == end) return false;
    const slot = session.slot;
    const entry = (try retire.queueOf(session.segment, slot).at(taken)).*;
    if (entry.csnOf() >= session.horizon or !try isHeld(session, entry)) return false;
    const class = switch (entry.kind()) {
        .version => class: {
            const version = try session.segment.at(Version, entry.a);
            const table = tables.get(tables.context, version.table()) orelse
                return error.SegmentCorrupt;
            break :class table.version_class;
        },
        .slot => classes.slot_class,
        .entry => entry.b,
        else => return error.SegmentCorrupt,
    };
    try retire.reserve(session, slot, 1);
    const held: layout.Held = .{ .ref = entry.a, .class = class };
    slot.reclaim_held.store(held.raw(), .release);
    try retire.add(session.segment, slot, entry);
    fault.point("vacuum.aside");
    try advance(session, slot, taken);
    slot.reclaim_held.store(0, .release);
    return true;
}

/// Begins to fetch what a later record names. With many processes on few cores the horizon lags by
/// the time slices of those that wait for a core, and what comes back has long left the cache.
fn fetchAhead(segment: *const Segment, records: []const Retired, at: usize) void {
    if (at + ahead_count >= records.len) return;
    const record = records[at + ahead_count];
    segment.fetch(record.a);
    if (record.kind() == .version) segment.fetch(record.b); // its row slot
}

/// `entries_closed`: what the version needed alone in the indexes is closed already.
fn takeOne(
    session: *Session,
    owner: *SessionSlot,
    tables: Tables,
    entry: Retired,
    taken: u64,
    entries_closed: bool,
) Error!void {
    switch (entry.kind()) {
        .version => {
            const version = try session.segment.at(Version, entry.a);
            const table = tables.get(
                tables.context,
                version.table(),
            ) orelse return error.SegmentCorrupt;
            if (!entries_closed) try closeEntries(session, table, version, entry.b);
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
    arena.settle(session.segment, session.index, held.class);
}

/// One record has left the queue.
pub fn advance(session: *Session, owner: *SessionSlot, taken: u64) Error!void {
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
    @setRuntimeSafety(false); // the trail is filled by its first step
    if (version.isTombstone()) return;
    // Only what is not needed is looked up: most updates leave most keys as they are.
    const image = version.image();
    var rest = try unneeded(session, table, slot, image, allIndexes(table));
    while (rest != 0) : (rest &= rest - 1) {
        const number: u6 = @intCast(@ctz(rest));
        const index = &table.indexes[number];
        const words = index.encode(image, &session.words);
        var trail: Skiplist.Trail = undefined;
        trail.begin();
        try closeEntry(session, table, number, image, .{ .words = words, .slot = slot }, &trail);
    }
}

/// The same for all versions among some records, in the order of their keys. Whoever begins again
/// finds those gone that are closed. Not inlined: what takes few records has a small stack.
noinline fn closeTogether(session: *Session, tables: Tables, records: []const Retired) Error!void {
    @setRuntimeSafety(false); // no pattern is written into what is filled here
    const segment = session.segment;
    var start: usize = 0;
    while (start < records.len) {
        // As far as they are of one table.
        const rest = records[start..];
        var unneeded_by: [window_max]u64 = undefined;
        var closing: u64 = 0;
        var table: ?*const view_.TableView = null;
        const count = for (rest, 0..) |record, i| {
            fetchAhead(segment, rest, i);
            unneeded_by[i] = 0;
            if (record.kind() != .version) continue;
            const version = try segment.at(Version, record.a);
            const its = table orelse tables.get(tables.context, version.table()) orelse
                return error.SegmentCorrupt;
            if (its.id != version.table()) break i;
            table = its;
            if (version.isTombstone()) continue;
            unneeded_by[i] =
                try unneeded(session, its, record.b, version.image(), allIndexes(its));
            closing |= unneeded_by[i];
        } else rest.len;
        while (closing != 0) : (closing &= closing - 1) {
            const number: u6 = @intCast(@ctz(closing));
            try closeInOrder(session, table.?, number, rest[0..count], unneeded_by[0..count]);
        }
        start += count;
    }
}

/// Closes in one index of the table the entries of those records that have its bit.
fn closeInOrder(
    session: *Session,
    table: *const view_.TableView,
    number: u6,
    records: []const Retired,
    unneeded_by: []const u64,
) Error!void {
    @setRuntimeSafety(false); // as above
    const segment = session.segment;
    const index = &table.indexes[number];
    var places: [2 * window_max]Place = undefined;
    var count: usize = 0;
    for (records, unneeded_by, 0..) |record, mask, i| {
        if (mask >> number & 1 == 0) continue;
        const version = try segment.at(Version, record.a);
        const words = index.encode(version.image(), &session.words);
        places[count] = .{ .word = words[0], .number = @intCast(i) };
        count += 1;
    }
    var trail: Skiplist.Trail = undefined;
    trail.begin();
    for (places_.sort(places[0..count], places[count..])) |place| {
        const record = records[place.number];
        const image = (try segment.at(Version, record.a)).image();
        const words = index.encode(image, &session.words);
        const position: Position = .{ .words = words, .slot = record.b };
        try closeEntry(session, table, number, image, position, &trail);
    }
}

/// Closes and retires the entry at a position if the version with `image` alone needed it.
fn closeEntry(
    session: *Session,
    table: *const view_.TableView,
    number: u6,
    image: [*]align(8) const u8,
    position: Position,
    trail: *Skiplist.Trail,
) Error!void {
    const list = &table.indexes[number].list;
    const state = (try list.findEntryAlong(position, trail)) orelse return;
    const mask = @as(u64, 1) << number;
    if (try unneeded(session, table, position.slot, image, mask) == 0) return;
    try session.segment.checkEra();
    try retire.reserve(session, session.slot, 1);
    const entry = trail.path.equal;
    const class = try list.classOf(entry);
    const held: layout.Held = .{ .ref = entry, .class = class };
    session.slot.vacuum_entry.store(held.raw(), .release);
    fault.point("vacuum.named");
    if (try list.close(session, &trail.path, state)) {
        fault.point("vacuum.unlinked");
        const tail = session.segment.header.tail.load(.seq_cst);
        try retire.add(session.segment, session.slot, Retired.init(.entry, tail, entry, class));
    }
    session.slot.vacuum_entry.store(0, .release);
}

/// One bit for each index of a table.
fn allIndexes(table: *const view_.TableView) u64 {
    if (table.index_count == 0) return 0;
    return @as(u64, std.math.maxInt(u64)) >> @intCast(64 - table.index_count);
}

/// Of the indexes of a mask those in which no version of the row that is undecided, at or above the
/// horizon, or the newest below it has the entry of `image`.
fn unneeded(
    session: *Session,
    table: *const view_.TableView,
    slot: Ref,
    image: [*]align(8) const u8,
    mask: u64,
) Error!u64 {
    if (mutant.is(.needed_closed)) return mask;
    if (mask == 0) return 0;
    const row = try session.segment.at(layout.RowSlot, slot);
    const published = &session.segment.header.horizon;
    var rest = mask;
    var ref = Link.of(row.head.load(.seq_cst)).ref;
    var newer: u64 = std.math.maxInt(u64);
    var steps: u64 = 0;
    while (ref != rel_ptr.none and !layout.isClosed(ref)) : (steps += 1) {
        if (steps > session.segment.chain_steps_max) return error.SegmentCorrupt;
        const version = session.segment.at(Version, ref) catch |err| {
            return if (newer < published.load(.seq_cst)) rest else err;
        };
        const what = fate.of(session.segment, version) catch |err| {
            return if (newer < published.load(.seq_cst)) rest else err;
        };
        const others = if (version.isTombstone() or version.table() != table.id)
            rest
        else
            withOtherEntry(table, version.image(), image, rest);
        const older = version.older.load(.acquire); // pairs with the release that installed
        // Another's horizon may have passed the newer version and let go what is below it: then
        // that one was the newest below the horizon, and what was read here means nothing
        // (docs/decisions/vacuum-walks.md).
        if (newer < published.load(.seq_cst)) return rest;
        switch (what) {
            .free => return error.SegmentCorrupt,
            .aborted => {},
            .undecided => rest = others,
            .committed => |csn| {
                rest = others;
                if (csn < session.horizon) return rest;
                newer = csn;
            },
        }
        if (rest == 0) return 0;
        ref = older;
    }
    return rest;
}

/// Of the indexes of a mask those in which two images have different entries: of another key, or of
/// a row that had the slot before.
fn withOtherEntry(
    table: *const view_.TableView,
    a: [*]align(8) const u8,
    b: [*]align(8) const u8,
    mask: u64,
) u64 {
    var others: u64 = 0;
    var each = mask;
    while (each != 0) : (each &= each - 1) {
        const number = @ctz(each);
        if (table.indexes[number].hasSameEntry(a, b)) continue;
        others |= @as(u64, 1) << @intCast(number);
    }
    return others;
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
    try segment.checkEra();
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
    while (true) { // each turn means that others have overtaken it (P32)
        table.map().unlink(ref) catch |err| if (session.catchUp()) continue else return err;
        break;
    }
    _ = table.shared.slot_count.add(-1, .monotonic); // only says when to grow
    const tail = segment.header.tail.load(.seq_cst);
    try retire.add(segment, owner, Retired.init(.version, tail, tombstone, ref));
    fault.point("vacuum.slot.half");
    try retire.add(segment, owner, Retired.init(.slot, tail, ref, table.id));
}
