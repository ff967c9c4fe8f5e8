//! Random schedules of random scripts: every operation against every other, with participants that
//! die or stall.
//!
//! **Memory**: a world per case, freed at its end.
const std = @import("std");
const campaign = @import("campaign.zig");
const history_ = @import("history.zig");
const play_ = @import("play.zig");
const scheduler = @import("../instrument/scheduler.zig");
const Op = history_.Op;
const Stage = play_.Stage;

/// What a script is made of: weights by kind of operation.
const Mix = struct {
    ids: u64 = 3,
    altitudes: i64 = 3,
    stamps: u64 = 2,
    weights: []const struct { std.meta.Tag(Op), u32 },
};

fn randomOp(random: std.Random, mix: Mix) Op {
    var sum: u32 = 0;
    for (mix.weights) |each| sum += each[1];
    var left = random.uintLessThan(u32, sum);
    const kind = for (mix.weights) |each| {
        if (left < each[1]) break each[0];
        left -= each[1];
    } else unreachable;
    const row: history_.Put = .{
        .id = random.uintLessThan(u64, mix.ids),
        .altitude = random.intRangeLessThan(i64, 0, mix.altitudes),
        .stamp = random.uintLessThan(u64, mix.stamps),
    };
    const other = (row.id + 1 + random.uintLessThan(u64, mix.ids - 1)) % mix.ids;
    const two: history_.Move = .{
        .a = row.id,
        .b = other,
        .amount = 1 + random.intRangeLessThan(i64, 0, 3),
    };
    return switch (kind) {
        .put => .{ .put = row },
        .insert => .{ .insert = row },
        .update => .{ .update = row },
        .delete => .{ .delete = row.id },
        .get => .{ .get = row.id },
        .pair => .{ .pair = two },
        .move => .{ .move = two },
        .tally => .{ .tally = row.id },
        .range => .{ .range = row.id },
        .rolled => .{ .rolled = two },
        .locked => .{ .locked = two },
        .kept => .{ .kept = two },
        .half => .{ .half = row },
        .look => .look,
        .vacuum => .vacuum,
        .drain => .drain,
        .sweep => .sweep,
        .tick => .tick,
        .revoke => .revoke,
        .overtake => .overtake,
        .reattach => .reattach,
    };
}

/// A kind of plays.
pub const Case = struct {
    name: []const u8,
    stage: Stage.InitOptions,
    mix: Mix,
};

/// Two to four participants with scripts of a few operations; most schedules stop one or two of
/// them for ever, dead or alive.
fn playOne(stage: *Stage, seed: u64, mix: Mix) !void {
    var prng = std.Random.DefaultPrng.init(seed);
    const random = prng.random();
    var buffers: [4][8]Op = undefined;
    var scripts: [4][]const Op = undefined;
    const count = random.intRangeAtMost(usize, 2, @min(4, stage.world.segment.session_count - 1));
    for (buffers[0..count], scripts[0..count]) |*buffer, *script| {
        const size = random.intRangeAtMost(usize, 1, buffer.len);
        for (buffer[0..size]) |*op| op.* = randomOp(random, mix);
        script.* = buffer[0..size];
    }
    var stops: [3]scheduler.Stop = undefined;
    const stop_count = @min(random.uintLessThan(usize, 4), count - 1);
    for (stops[0..stop_count], 0..) |*stop, i| stop.* = .{
        .participant = @intCast(i),
        .after_steps = random.uintLessThan(u64, 1500),
        .stalls = random.uintLessThan(u32, 3) == 0,
    };
    try stage.play(scripts[0..count], .{ .seed = seed, .stops = stops[0..stop_count] });
}

/// Runs the plays of the seeds `[first, first + count)`.
pub fn run(case: *const Case, first: u64, count: u64, report: *campaign.Report) !void {
    const stage = try Stage.init(std.heap.c_allocator, case.stage);
    defer stage.deinit();

    for (first..first + count) |seed| {
        playOne(stage, seed, case.mix) catch |err| {
            report.printSeed(seed);
            return err;
        };
        report.schedules += 1;
        report.steps += stage.steps;
        report.stopped += stage.stopped;
    }
}

pub const cases = [_]Case{
    .{
        .name = "any statements on few keys, with deaths and repairs",
        .stage = .{ .setup = &.{
            .{ .put = .{ .id = 0, .altitude = 1 } },
            .{ .put = .{ .id = 1, .altitude = 2 } },
        } },
        .mix = .{ .weights = &.{
            .{ .put, 6 },   .{ .insert, 2 }, .{ .update, 1 }, .{ .delete, 4 },
            .{ .get, 2 },   .{ .pair, 3 },   .{ .look, 2 },   .{ .vacuum, 3 },
            .{ .sweep, 2 }, .{ .tick, 1 },   .{ .drain, 1 },  .{ .reattach, 1 },
            .{ .move, 2 },
        } },
    },
    .{
        .name = "two rows under transactions, batches and snapshots",
        .stage = .{ .setup = &.{
            .{ .put = .{ .id = 0, .altitude = 5 } },
            .{ .put = .{ .id = 1, .altitude = 5 } },
        } },
        .mix = .{ .ids = 2, .weights = &.{
            .{ .move, 6 }, .{ .pair, 3 },   .{ .put, 2 },  .{ .look, 6 },
            .{ .get, 2 },  .{ .vacuum, 3 }, .{ .tick, 2 },
        } },
    },
    .{
        .name = "one key inserted, deleted and moved between index keys beside vacuum",
        .stage = .{ .setup = &.{.{ .put = .{ .id = 0, .altitude = 1 } }} },
        .mix = .{ .ids = 2, .altitudes = 2, .stamps = 1, .weights = &.{
            .{ .put, 8 },    .{ .insert, 2 }, .{ .delete, 5 }, .{ .look, 3 },
            .{ .vacuum, 5 }, .{ .tick, 3 },   .{ .sweep, 1 },
        } },
    },
    .{
        .name = "transactions that write what they read: keys, absent keys, searches, rollbacks",
        .stage = .{ .setup = &.{.{ .put = .{ .id = 0, .altitude = 1 } }} },
        .mix = .{ .weights = &.{
            .{ .tally, 4 },  .{ .range, 5 }, .{ .rolled, 5 }, .{ .locked, 3 },
            .{ .kept, 3 },   .{ .half, 3 },  .{ .put, 3 },    .{ .insert, 1 },
            .{ .delete, 3 }, .{ .pair, 1 },  .{ .vacuum, 2 }, .{ .look, 1 },
            .{ .tick, 1 },
        } },
    },
    .{
        .name = "pins are revoked while keys are read, deleted and inserted again",
        .stage = .{ .setup = &.{
            .{ .put = .{ .id = 0, .altitude = 1 } },
            .{ .put = .{ .id = 1, .altitude = 2 } },
        } },
        .mix = .{ .weights = &.{
            .{ .get, 8 },    .{ .revoke, 6 }, .{ .put, 6 },  .{ .delete, 6 }, .{ .look, 4 },
            .{ .vacuum, 6 }, .{ .tick, 4 },   .{ .move, 3 }, .{ .tally, 3 },  .{ .range, 3 },
        } },
    },
    .{
        .name = "commits are overtaken while keys are written, deleted and inserted again",
        .stage = .{
            .setup = &.{
                .{ .put = .{ .id = 0, .altitude = 1 } },
                .{ .put = .{ .id = 1, .altitude = 2 } },
            },
            .warm = false,
        },
        .mix = .{ .altitudes = 2, .stamps = 1, .weights = &.{
            .{ .put, 10 },   .{ .overtake, 8 }, .{ .delete, 6 }, .{ .vacuum, 10 },
            .{ .tick, 8 },   .{ .pair, 3 },     .{ .move, 3 },   .{ .range, 3 },
            .{ .insert, 2 }, .{ .look, 3 },     .{ .sweep, 2 },  .{ .get, 1 },
        } },
    },
    .{
        .name = "commits are overtaken beside vacuums that put aside what those may hold",
        .stage = .{
            .setup = &.{
                .{ .put = .{ .id = 0, .altitude = 1 } },
                .{ .put = .{ .id = 1, .altitude = 2 } },
            },
            .warm = false,
        },
        .mix = .{ .ids = 2, .altitudes = 2, .stamps = 1, .weights = &.{
            .{ .put, 10 },    .{ .overtake, 8 }, .{ .delete, 6 },
            .{ .vacuum, 14 }, .{ .tick, 8 },     .{ .sweep, 1 },
        } },
    },
    .{
        .name = "the ring wraps around while everybody writes",
        .stage = .{
            .world = .{ .size = 4 << 20, .session_count = 4, .cell_count = 16 },
            .setup = &.{.{ .put = .{ .id = 0, .altitude = 1 } }},
        },
        .mix = .{ .weights = &.{
            .{ .put, 4 },  .{ .delete, 1 }, .{ .pair, 2 }, .{ .move, 2 },  .{ .get, 2 },
            .{ .look, 2 }, .{ .drain, 3 },  .{ .tick, 8 }, .{ .sweep, 1 }, .{ .vacuum, 1 },
        } },
    },
    .{
        .name = "sessions come and go, and slots of the dead are taken over",
        .stage = .{ .world = .{ .size = 4 << 20, .session_count = 4 } },
        .mix = .{ .weights = &.{
            .{ .put, 5 },   .{ .delete, 3 }, .{ .pair, 2 }, .{ .reattach, 4 },
            .{ .sweep, 3 }, .{ .vacuum, 2 }, .{ .tick, 1 },
        } },
    },
};

test "random play: every case is played" {
    if (!scheduler.supported) return error.SkipZigTest;
    for (&cases) |*case| {
        var report: campaign.Report = .{ .name = case.name };
        try run(case, 1, 5, &report);
        try std.testing.expectEqual(@as(u64, 5), report.schedules);
    }
}
