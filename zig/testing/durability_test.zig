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
            const value = @as(usize, @intFromEnum(workload.buffer[position])) + 1;
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
    engine.start() catch |err| return if (disk.hasPower()) err else {};
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
    try second.start();
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
}

/// What another process finds after this one died, with the machine or without it.
fn checkAfterCrash(lives: *Lives, engine: *const Engine, disk: *const Disk) !void {
    _ = lives.state.reset(.retain_capacity);
    const allocator = lives.state.allocator();
    var alive = try disk.afterProcessCrash(allocator);
    const found = try durability.recover(alive.storage(), allocator, engine.poisoned);
    try engine.check(&found);
    var lost = try disk.afterPowerLoss(allocator, .{ .sectors = .none, .names = .none });
    try checkAfterLoss(engine, &lost, allocator, &lives.buffers);
}

/// The n-th call of a step fails, for every n; returns whether one did.
fn runFailing(lives: *Lives, step: Step, failure: sim.Failure, nth: u64) !bool {
    _ = lives.run.reset(.retain_capacity);
    var disk: Disk = .init(lives.run.allocator());
    var engine = try lives.engine(&disk);
    try engine.start();
    for ([_]Step{ .append, .append_long, .sync, .append_two, .checkpoint, .append }) |before| {
        try engine.run(before);
    }
    disk.failure = failure;
    disk.fail_at = disk.call_count + nth;
    const result = engine.run(step);
    disk.fail_at = std.math.maxInt(u64);
    try checkAfterCrash(lives, &engine, &disk);
    if (failure == .interrupted) try result;

    // The next operation works: at once, or by a new process where the log is poisoned.
    if (engine.poisoned or engine.writer == null) {
        engine.stop();
        try engine.start();
    } else if (result) {} else |_| {
        if (step != .restart) try engine.run(step);
    }
    try engine.run(.append_two);
    try engine.run(.sync);
    try testing.expectEqual(engine.next_csn, engine.durable_csn);
    try checkAfterCrash(lives, &engine, &disk);
    return disk.failed;
}

test "durability: every call of every step failing in every way loses nothing acknowledged" {
    const lives = try Lives.create();
    defer lives.destroy();
    const failures = [_]sim.Failure{ .io_error, .no_space, .interrupted, .short };
    for (steps) |step| for (failures) |failure| {
        var nth: u64 = 0;
        var failed = true;
        while (failed) : (nth += 1) {
            failed = runFailing(lives, step, failure, nth) catch |err| {
                std.debug.print("{t}: {t}, call {d} is {t}\n", .{ err, step, nth, failure });
                return err;
            };
        }
        try testing.expect(nth > 1);
    };
}

test "durability: nothing leaks, whatever call fails" {
    const buffers = try testing.allocator.create(durability.Buffers);
    defer testing.allocator.destroy(buffers);
    for (0..60) |nth| {
        var disk: Disk = .init(testing.allocator);
        defer disk.deinit();
        var engine = try Engine.init(disk.storage(), testing.allocator, buffers);
        defer engine.deinit();
        disk.failure = .io_error;
        disk.fail_at = nth;
        engine.start() catch continue;
        for ([_]Step{ .append, .checkpoint, .append_long, .restart }) |step| {
            engine.run(step) catch break;
        }
    }
}

test "durability: random runs of thirty steps with crashes in between" {
    const lives = try Lives.create();
    defer lives.destroy();
    for (0..200) |seed| {
        _ = lives.run.reset(.retain_capacity);
        var prng = std.Random.DefaultPrng.init(seed);
        const random = prng.random();
        var disk: Disk = .init(lives.run.allocator());
        var engine = try lives.engine(&disk);
        errdefer std.debug.print("seed {d}\n", .{seed});
        try engine.start();
        for (0..30) |_| {
            try engine.run(random.enumValue(Step));
            if (random.uintLessThan(u8, 4) > 0) continue;
            engine.stop();
            var after = try disk.afterPowerLoss(lives.run.allocator(), .{
                .sectors = .{ .seed = random.int(u64) },
                .names = .{ .prefix = random.uintLessThan(usize, 4) },
            });
            disk = after;
            after = undefined;
            try engine.start();
        }
    }
}
