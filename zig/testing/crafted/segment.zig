//! Segments as an adversary writes them: words of the header, of the process array and of records
//! changed, the header's checksum right again. What attaches is used; every call returns.
//!
//! **Concurrency.** None: the segment is private memory, and drains itself.
//!
//! **Memory.** A `Target` owns its world; the engine of a mutant is given back, whatever happened.

const std = @import("std");
const harness = @import("../harness.zig");
const layout = @import("../../segment/layout.zig");
const limits = @import("../../limits.zig");
const os = @import("../../os.zig");
const edges = @import("files.zig");
const Engine = @import("../../txn/engine.zig").Engine;
const Segment = @import("../../segment/segment.zig").Segment;
const Tally = @import("recovery.zig").Tally;
const Outcome = @import("recovery.zig").Outcome;

const row_count = 40;

pub const Target = struct {
    world: *harness.World,
    saved: []align(4096) u8,
    table: u32,
    /// Bytes from the start in which anything lies.
    used: usize,

    pub fn init(allocator: std.mem.Allocator) !Target {
        const world = try harness.World.init(allocator, .{ .size = 4 << 20, .session_count = 4 });
        errdefer world.deinit();
        const engine = try world.attach();
        const table = try world.createTable(engine);
        for (0..row_count) |id| {
            const row: harness.Row = .init(id, @intCast(id % 7), id);
            _ = try row.write(engine, table, .upsert);
        }
        engine.detach();
        allocator.destroy(engine);
        world.engines.clearRetainingCapacity();
        world.segment.header.checksum = world.segment.header.computeChecksum();
        const saved = try os.mapPrivate(world.memory.len);
        @memcpy(saved, world.memory);
        return .{
            .world = world,
            .saved = saved,
            .table = table,
            .used = usedOf(world),
        };
    }

    fn usedOf(world: *harness.World) usize {
        var high: usize = 0;
        for (0..world.memory.len / limits.page_size) |page| {
            if (world.segment.pages[page].raw != 0) high = page + 1;
        }
        return high * limits.page_size;
    }

    pub fn deinit(target: *Target) void {
        @memcpy(target.world.memory, target.saved);
        os.unmap(target.saved);
        target.world.deinit();
    }

    /// Makes mutant number `seed`, and uses it.
    pub fn run(target: *Target, seed: u64) !Outcome {
        const world = target.world;
        @memcpy(world.memory, target.saved);
        @memset(world.holders, 0);
        world.holder_last = 0;
        var prng: std.Random.DefaultPrng = .init(seed);
        const random = prng.random();
        for (0..1 + random.uintLessThan(usize, 3)) |_| target.mutate(random);
        const header: *layout.Header = @ptrCast(world.memory.ptr);
        // Here is no writer that would drain the ring.
        header.log_enabled.raw = 0;
        header.checksum = header.computeChecksum();
        world.segment = Segment.attachMemory(world.memory, -1, 0) catch return .refused;
        target.use() catch |err| switch (err) {
            error.OutOfMemory => return err,
            error.NumbersUsedUp => return .used_up,
            else => return .refused,
        };
        return .opened;
    }

    fn mutate(target: *Target, random: std.Random) void {
        const limit = if (random.uintLessThan(u8, 4) > 0) @sizeOf(layout.Header) else target.used;
        const memory = target.world.memory;
        if (random.boolean()) {
            const words: []u32 = @ptrCast(memory[0..limit]);
            const word = &words[random.uintLessThan(usize, words.len)];
            word.* = edges.edgeOf(random, u32, word.*);
        } else {
            const words: []u64 = @ptrCast(memory[0..limit]);
            const word = &words[random.uintLessThan(usize, words.len)];
            word.* = edges.edgeOf(random, u64, word.*);
        }
    }

    fn use(target: *Target) !void {
        const world = target.world;
        const allocator = world.allocator;
        const engine = try allocator.create(Engine);
        defer allocator.destroy(engine);
        try engine.attach(allocator, &world.segment, world.newLiveness());
        defer engine.detach();
        var failure: ?anyerror = null;
        for (0..8) |id| {
            const row: harness.Row = .init(id * 9, 3, id);
            _ = row.write(engine, target.table, .upsert) catch |err| {
                failure = err;
            };
            _ = harness.altitudeOf(engine, target.table, id) catch |err| {
                failure = err;
            };
        }
        _ = harness.countRows(engine, target.table) catch |err| {
            failure = err;
        };
        world.verify(engine, target.table) catch |err| {
            failure = err;
        };
        if (failure) |err| return err;
    }
};

test "crafted: segments with a right checksum are used, or refused" {
    var target: Target = try .init(std.testing.allocator);
    defer target.deinit();
    var tally: Tally = .{};
    for (0..1_500) |seed| {
        errdefer std.debug.print("mutant {d}\n", .{seed});
        tally.add(try target.run(seed));
    }
    try std.testing.expect(tally.opened > 100 and tally.refused > 100);
}
