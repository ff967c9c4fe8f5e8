//! Filling a segment that nobody else knows yet: rows without versions behind them, indexes built
//! at the end from sorted keys. Recovery uses it.
//!
//! **Invariants**: every version carries `csn_recovered`, which is below the first CSN of the
//! segment.
//!
//! **Concurrency**: one session, no readers.
//!
//! **Who may die where**: a segment that is not published dies with its builder.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const arena = @import("../segment/arena.zig");
const classes = @import("../segment/classes.zig");
const key_ = @import("../row/key.zig");
const Appender = @import("../index/bulk_load.zig").Appender;
const primary_map = @import("primary_map.zig");
const view_ = @import("view.zig");
const Index = @import("../index/index.zig").Index;
const Session = @import("../segment/session.zig").Session;
const Key = primary_map.Key;
const Link = rel_ptr.Link;
const Ref = rel_ptr.Ref;

pub const Error = error{
    SegmentFull,
    SegmentCorrupt,
    OutOfMemory,
    /// There is a row of this key. The segment is of no more use.
    DuplicateKey,
};

/// The mark of every recovered version.
pub const csn_recovered = 1;

/// The image of a key's row, to read or to `replace`; null when there is none.
pub fn find(table: *const view_.TableView, key: Key) Error!?[]align(8) u8 {
    const found = (try table.map().find(key)) orelse return null;
    const version = try versionOf(table, found.slot);
    return table.imageSlice(version);
}

fn versionOf(table: *const view_.TableView, slot: *layout.RowSlot) Error!*layout.Version {
    // nobody else is here
    return table.segment.at(layout.Version, Link.of(slot.head.load(.monotonic)).ref);
}

/// Makes the row of a key that has none. Returns its version.
pub fn insert(
    session: *Session,
    table: *const view_.TableView,
    image: []align(8) const u8,
) Error!Ref {
    const segment = session.segment;
    const version_ref = try arena.take(
        segment,
        session.index,
        table.version_class,
        &session.slot.held_version,
    );
    const version = try segment.at(layout.Version, version_ref);
    version.mark.store(csn_recovered, .monotonic);
    version.older.store(rel_ptr.none, .monotonic);
    version.fill(table.id, false, image);
    const slot_ref = try arena.take(
        segment,
        session.index,
        classes.slot_class,
        &session.slot.held_slot,
    );
    const slot = try segment.at(layout.RowSlot, slot_ref);
    const head = Link.of(slot.head.load(.monotonic));
    slot.head.store(head.next(version_ref).raw(), .monotonic);
    if (try table.map().insert(session, slot_ref, .init(table.keyBytes(version.image()))) != null) {
        return error.DuplicateKey;
    }
    _ = table.shared.row_count.add(1, .monotonic);
    session.slot.held_version.store(0, .monotonic);
    session.slot.held_slot.store(0, .monotonic);
    return version_ref;
}

/// Changes a row that `find` gave.
pub fn replace(table: *const view_.TableView, old: []align(8) u8, image: []align(8) const u8) void {
    layout.Version.ofImage(old).fill(table.id, false, image);
}

/// False: there was no such row.
pub fn remove(session: *Session, table: *const view_.TableView, key: Key) Error!bool {
    const segment = session.segment;
    const found = (try table.map().find(key)) orelse return false;
    const head = Link.of(found.slot.head.load(.monotonic));
    found.slot.head.store(head.next(layout.closedRef(session.index)).raw(), .monotonic);
    try table.map().unlink(found.ref);
    _ = table.shared.row_count.add(-1, .monotonic);
    _ = table.shared.slot_count.add(-1, .monotonic);
    (try segment.at(layout.Version, head.ref)).mark.store(0, .monotonic);
    try arena.give(segment, session.index, table.version_class, head.ref);
    try arena.give(segment, session.index, classes.slot_class, found.ref);
    return true;
}

/// Builds one index of a table whose rows are complete.
pub fn buildIndex(
    session: *Session,
    allocator: std.mem.Allocator,
    table: *const view_.TableView,
    index: *const Index,
) Error!void {
    const count: usize = index.list.words_count;
    var keys: std.ArrayList(u64) = .empty;
    defer keys.deinit(allocator);

    const rows: usize = @intCast(@max(0, table.shared.row_count.load(.monotonic)));
    // The words of an entry, then its slot: compared one by one that is the order of the index.
    const stride = count + 1;
    try keys.ensureTotalCapacity(allocator, (rows + 1) * stride);
    var walk = table.map().walk();
    while (try walk.next()) |found| {
        const version = try versionOf(table, found.slot);
        const words = try keys.addManyAsSlice(allocator, stride);
        _ = index.encode(version.image(), words[0..count]);
        words[count] = found.ref;
    }
    const entries = keys.items.len / stride;
    const order = try allocator.alloc(u32, entries);
    defer allocator.free(order);

    for (order, 0..) |*number, i| number.* = @intCast(i);
    const Context = struct {
        keys: []const u64,
        stride: usize,

        fn before(context: @This(), a: u32, b: u32) bool {
            const x = context.keys[a * context.stride ..][0..context.stride];
            const y = context.keys[b * context.stride ..][0..context.stride];
            return key_.order(x, y) == .lt;
        }
    };
    std.mem.sortUnstable(
        u32,
        order,
        Context{ .keys = keys.items, .stride = stride },
        Context.before,
    );
    var appender = try Appender.init(index.list);
    for (order) |number| {
        const words = keys.items[number * stride ..][0..stride];
        try appender.append(session, .{ .words = words[0..count], .slot = @intCast(words[count]) });
    }
}
