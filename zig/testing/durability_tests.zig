//! What survives: power loss at every call, every call failing, every byte cut, bits flipped.
//!
//! A failing test prints the workload, the call and the choice, which together are the whole input.

const std = @import("std");
const durability = @import("durability.zig");
const sim = @import("storage_sim.zig");

const testing = std.testing;
const Allocator = std.mem.Allocator;
const Disk = sim.Disk;
const Engine = durability.Engine;
const Step = durability.Step;

const steps = std.enums.values(Step);

/// All workloads of up to `steps_max` steps, by number.
const Workload = struct {
    buffer: [3]Step = undefined,
    count: usize = 0,

    fn next(workload: *Workload) bool {
        var position: usize = 0;
        while (position < workload.count) : (position += 1) {
            const value = @intFromEnum(workload.buffer[position]) + 1;
            if (value < steps.len) {
                workload.buffer[position] = @enumFromInt(value);
                return true;
            }
            workload.buffer[position] = steps[0];
        }
        if (workload.count == workload.buffer.len) return false;
        workload.buffer[workload.count] = steps[0];
        workload.count += 1;
        return true;
    }

    fn slice(workload: *const Workload) []const Step {
        return workload.buffer[0..workload.count];
    }
};

/// Runs until the end or until the power is gone.
fn runUntilCrash(engine: *Engine, disk: *Disk, workload: []const Step) !void {
    engine.start(false) catch |err| return if (disk.hasPower()) err else {};
    for (workload) |step| {
        engine.run(step) catch |err| return if (disk.hasPower()) err else {};
    }
}

/// Recovers from what a power loss left, then goes on and loses power again.
fn checkAfterLoss(
    engine: *const Engine,
    disk: *Disk,
    allocator: Allocator,
    buffers: *durability.Buffers,
) !void {
    const found = try durability.recover(disk.storage(), allocator, false);
    try engine.check(&found);

    var second = try Engine.init(disk.storage(), allocator, buffers);
    defer second.deinit();
    second.history.clearRetainingCapacity();
    try second.history.appendSlice(allocator, engine.history.items);
    second.next_csn = engine.next_csn;
    second.durable_csn = engine.durable_csn;
    try second.start(false);
    try second.run(.append_two);
    try second.run(.sync);
    try second.run(.append);
    var after = try disk.afterPowerLoss(allocator, .{ .sectors = .none, .names = .none });
    defer after.deinit();
    const again = try durability.recover(after.storage(), allocator, false);
    try second.check(&again);
}

/// Memory of the many short lives in these tests: taken once, never looked at for leaks.
const Lives = struct {
    run: std.heap.ArenaAllocator = .init(std.heap.page_allocator),
    state: std.heap.ArenaAllocator = .init(std.heap.page_allocator),
    buffers: durability.Buffers = .{},

    fn create() !*Lives {
        const lives = try testing.allocator.create(Lives);
        lives.* = .{};
        return lives;
    }

    fn engine(lives: *Lives, disk: *Disk) !Engine {
        return .init(disk.storage(), lives.run.allocator(), &lives.buffers);
    }

    fn callsBeforeLast(lives: *Lives, workload: []const Step) !u64 {
        if (workload.len == 0) return 0;
        _ = lives.run.reset(.retain_capacity);
        var disk: Disk = .init(lives.run.allocator());
        var before = try lives.engine(&disk);
        try runUntilCrash(&before, &disk, workload[0 .. workload.len - 1]);
        return disk.call_count;
    }

    fn destroy(lives: *Lives) void {
        lives.run.deinit();
        lives.state.deinit();
        testing.allocator.destroy(lives);
    }
};

test "durability: power lost at any call of any workload of three steps leaves a prefix" {
    const lives = try Lives.create();
    defer lives.destroy();
    var workload: Workload = .{};
    var state_count: usize = 0;
    var more = true;
    while (more) : (more = workload.next()) {
        // Crashes in earlier steps belong to shorter workloads.
        var crash_call = try lives.callsBeforeLast(workload.slice());
        var crashed = true;
        var seen: u64 = 0;
        while (crashed) : (crash_call += 1) {
            _ = lives.run.reset(.retain_capacity);
            var disk: Disk = .init(lives.run.allocator());
            disk.power_until = crash_call;
            var engine = try lives.engine(&disk);
            try runUntilCrash(&engine, &disk, workload.slice());
            crashed = !disk.hasPower();
            // A call that read leaves the same disk as the one before it.
            const digest = disk.digest() ^ engine.durable_csn;
            if (digest == seen) continue;
            seen = digest;

            var choices = sim.Choices.of(&disk);
            while (choices.next()) |choice| {
                _ = lives.state.reset(.retain_capacity);
                const allocator = lives.state.allocator();
                var after = try disk.afterPowerLoss(allocator, choice);
                state_count += 1;
                checkAfterLoss(&engine, &after, allocator, &lives.buffers) catch |err| {
                    std.debug.print(
                        "{t}: {any}, power lost at call {d}, {any}\n",
                        .{ err, workload.slice(), crash_call, choice },
                    );
                    return err;
                };
            }
        }
    }
    try testing.expect(state_count >= 5_000);
    std.debug.print("{d} states\n", .{state_count});
}
