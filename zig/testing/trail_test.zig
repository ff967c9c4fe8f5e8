//! Batches that link along a trail beside others that link between their positions.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const limits = @import("../limits.zig");
const skiplist = @import("../index/skiplist.zig");
const Session = @import("../segment/session.zig").Session;
const harness = @import("harness.zig");
const scheduler = @import("../instrument/scheduler.zig");
const Skiplist = skiplist.Skiplist;
const Position = skiplist.Position;
const Error = skiplist.Error;
const Link = rel_ptr.Link;
const Entry = layout.Entry;

/// Two that link at a time: one along a trail, the other between its positions.
const Linker = struct {
    session: *Session,
    list: Skiplist,
    keys: []const u64,
    along: bool,
    failed: bool = false,

    fn main(context: *anyopaque) void {
        const self: *Linker = @ptrCast(@alignCast(context));
        self.link() catch {
            self.failed = true;
        };
    }

    fn link(self: *Linker) Error!void {
        _ = self.session.pinFloor(true);
        defer self.session.unpin();
        var trail: Skiplist.Trail = undefined;
        trail.begin();
        for (self.keys) |*key| {
            const position: Position = .{ .words = key[0..1], .slot = 64 };
            if (self.along) {
                try self.list.insertAlong(self.session, position, &trail);
            } else {
                try self.list.insert(self.session, position);
            }
        }
    }
};

test "skiplist: every level stays in order where others link between the positions of a trail" {
    if (!scheduler.supported) return error.SkipZigTest;
    const allocator = std.testing.allocator;
    for (0..12) |round| {
        const world = try harness.World.init(allocator, .{ .size = 16 << 20 });
        defer world.deinit();

        const first = try world.attach();
        const second = try world.attach();
        for (0..500) |seed| try expectOrder(
            &first.context.session,
            &second.context.session,
            round * 500 + seed,
        );
    }
}

fn expectOrder(first: *Session, second: *Session, seed: u64) !void {
    var index = std.mem.zeroes(layout.Index);
    try harness.makeIndex(first, &index);
    const list: Skiplist = .{ .segment = first.segment, .index = &index, .words_count = 1 };
    var one: Linker = .{ .session = first, .list = list, .keys = &.{ 10, 40, 50 }, .along = true };
    var other: Linker = .{
        .session = second,
        .list = .{ .segment = second.segment, .index = &index, .words_count = 1 },
        .keys = &.{ 30, 20 },
        .along = false,
    };
    _ = try scheduler.run(std.testing.allocator, &.{
        .{ .context = &one, .main = Linker.main },
        .{ .context = &other, .main = Linker.main },
    }, .{ .seed = seed });
    try std.testing.expect(!one.failed and !other.failed);
    const head = try list.segment.at(Entry, index.head);
    for (0..limits.skiplist_height_max) |level| {
        var ref = Link.of(head.links()[level].raw).ref;
        var before: u64 = 0;
        var count: u32 = 0;
        while (ref != rel_ptr.none) : (count += 1) {
            const entry = try list.segment.at(Entry, ref);
            const word = list.wordsOf(entry)[0];
            try std.testing.expect(word > before);
            before = word;
            ref = Link.of(entry.links()[level].raw).ref;
        }
        if (level == 0) try std.testing.expectEqual(5, count);
    }
}
