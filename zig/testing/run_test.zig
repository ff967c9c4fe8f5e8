//! Runs of index entries that are read backwards.
const std = @import("std");
const ahead = @import("../index/ahead.zig");
const layout = @import("../segment/layout.zig");
const skiplist = @import("../index/skiplist.zig");
const harness = @import("harness.zig");
const Skiplist = skiplist.Skiplist;
const Entry = layout.Entry;

const entry_count = 1_000;
const row_slot = 64;

test "skiplist: a run has the entries before a position, the nearest first, and none is left out" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const session = &(try world.attach()).context.session;
    _ = session.pinFloor(true);
    defer session.setPin(layout.pin_none);
    var index = std.mem.zeroes(layout.Index);
    try Skiplist.create(session.segment, session, &index, 1);
    const list: Skiplist = .{ .segment = session.segment, .index = &index };
    for (0..entry_count) |i| {
        const key: u64 = i * 7 % entry_count;
        try list.insert(session, .{ .words = &.{key}, .slot = row_slot });
    }
    var random_state: std.Random.DefaultPrng = .init(1);
    const random = random_state.random();
    var room: [ahead.entries_max]*Entry = undefined;
    for (0..5_000) |_| {
        const key = random.uintAtMost(u64, entry_count);
        const size = random.intRangeAtMost(usize, 1, room.len);
        const count = try list.runBefore(.{ .words = &.{key}, .slot = row_slot }, room[0..size]);
        try std.testing.expectEqual(key == 0, count == 0);
        try std.testing.expect(count <= @min(size, key));
        for (room[0..count], 1..) |entry, distance| {
            try std.testing.expectEqual(key - distance, list.keyOf(entry)[0]);
        }
    }
}
