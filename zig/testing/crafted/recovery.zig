//! Crafted files recovered by the engine: a database that works, or a refusal; never an abort, a
//! hang, or a database whose structures disagree.
//!
//! **Concurrency.** None.
//!
//! **Memory.** A mutant's files lie in an arena; the engine's memory is the caller's allocator's.

const std = @import("std");
const files_ = @import("files.zig");
const harness = @import("../harness.zig");
const layout = @import("../../segment/layout.zig");
const limits = @import("../../limits.zig");
const schemas = @import("../../row/schema.zig");
const sim = @import("../storage_sim.zig");
const Link = @import("../../segment/rel_ptr.zig").Link;
const Recovery = @import("../../runtime/recovery.zig").Recovery;
const status = @import("../../txn/status.zig");

const Allocator = std.mem.Allocator;

pub const Tally = struct {
    opened: u64 = 0,
    refused: u64 = 0,
    /// Opened, and no CSN is left for a commit.
    used_up: u64 = 0,

    pub fn add(tally: *Tally, outcome: Outcome) void {
        switch (outcome) {
            .opened => tally.opened += 1,
            .refused => tally.refused += 1,
            .used_up => tally.used_up += 1,
        }
    }
};

pub const Outcome = enum { opened, refused, used_up };

/// Makes mutant number `seed`, and opens it.
pub fn run(allocator: Allocator, arena: Allocator, base: *const files_.Files, seed: u64) !Outcome {
    var prng: std.Random.DefaultPrng = .init(seed);
    const random = prng.random();
    var files = try base.clone(arena);
    if (seed != 0) {
        if (random.uintLessThan(u8, 4) == 0) files.checkpoint = null;
        const count = ([_]usize{ 1, 1, 1, 2, 3 })[random.uintLessThan(usize, 5)];
        for (0..count) |_| try files_.mutate(&files, arena, random);
    }
    var disk: sim.Disk = .init(arena);
    try files.write(&disk, arena);
    return open(allocator, &disk);
}

/// Recovers what a disk has, looks at all of it, and commits.
pub fn open(allocator: Allocator, disk: *sim.Disk) !Outcome {
    const world = try harness.World.init(allocator, .{ .size = 4 << 20, .session_count = 4 });
    defer world.deinit();
    world.segment.header.database_id = files_.database_id;
    world.segment.header.checksum = world.segment.header.computeChecksum();
    const engine = try world.attach();
    {
        const recovery = try Recovery.create(allocator, engine, disk.storage(), false);
        defer recovery.destroy();
        while (recovery.phase != .done) recovery.step(10_000) catch |err| switch (err) {
            error.OutOfMemory => return err,
            else => return .refused,
        };
    }
    for (0..limits.table_count_max) |id| {
        if (world.segment.catalog[id].table.raw == 0) continue;
        try world.verify(engine, @intCast(id));
        deleteOne(engine, @intCast(id)) catch |err| switch (err) {
            error.NumbersUsedUp => return .used_up,
            else => return err,
        };
    }
    var buffer: [256]u8 = undefined;
    const bytes = schemas.encodeNamedForTest("New", &.{.{ .kind = .u64 }}, &.{}, &buffer);
    _ = engine.createTable(bytes) catch |err| switch (err) {
        error.NumbersUsedUp => return .used_up,
        error.TooManyTables, error.SchemaMismatch => {},
        else => return err,
    };
    return .opened;
}

/// Deletes the first row of a table, if it has one: a commit.
fn deleteOne(engine: anytype, id: u32) !void {
    const table = try engine.context.table(id);
    const session = &engine.context.session;
    var key: [limits.key_size_max]u8 = undefined;
    var size: usize = 0;
    {
        const snapshot = session.openSnapshot(true);
        defer session.unpin();
        var walk = table.map().walk();
        while (try walk.next()) |found| {
            const head = Link.of(found.slot.head.load(.seq_cst)).ref;
            const version = try status.visible(session.segment, head, snapshot) orelse continue;
            const bytes = table.keyBytes(version.image());
            size = bytes.len;
            @memcpy(key[0..size], bytes);
            break;
        } else return;
    }
    if (!try engine.delete(id, key[0..size])) return error.RowNotFound;
}

test "crafted: files without a change open, and have their rows" {
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();
    for (1..20) |history| {
        const base = try files_.make(arena.allocator(), history);
        try std.testing.expectEqual(.opened, try run(
            std.testing.allocator,
            arena.allocator(),
            &base,
            0,
        ));
    }
}

test "crafted: files with right checksums open or are refused" {
    var kept: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer kept.deinit();
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();
    var tally: Tally = .{};
    const base = try files_.make(kept.allocator(), 1);
    for (1..2_000) |seed| {
        errdefer std.debug.print("mutant {d}\n", .{seed});
        _ = arena.reset(.retain_capacity);
        tally.add(try run(std.testing.allocator, arena.allocator(), &base, seed));
    }
    try std.testing.expect(tally.opened > 100 and tally.refused > 100);
}
