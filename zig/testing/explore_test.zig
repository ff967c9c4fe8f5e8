//! All schedules of small cases, up to a number of preemptions; and every step as the last one of
//! somebody.
const std = @import("std");
const history_ = @import("history.zig");
const play_ = @import("play.zig");
const scheduler = @import("scheduler.zig");
const seeds = @import("seeds.zig");
const Explorer = @import("explorer.zig").Explorer;
const Op = history_.Op;
const Stage = play_.Stage;

const Case = struct {
    stage: Stage.InitOptions = .{},
    scripts: []const []const Op,
    preemptions_max: u32,
    /// Who dies: at each of their steps, in all combinations.
    victims: []const u32 = &.{},
};

fn explore(case: Case) !void {
    if (!scheduler.supported) return error.SkipZigTest;
    const stage = try Stage.init(std.testing.allocator, case.stage);
    defer stage.deinit();

    var schedules: u64 = 0;
    var stops: [2]scheduler.Stop = undefined;
    for (case.victims, stops[0..case.victims.len]) |victim, *stop| stop.* = .{
        .participant = victim,
        .after_steps = 0,
    };
    try exploreDeaths(stage, case, stops[0..case.victims.len], 0, &schedules);
    if (seeds.isVerbose()) std.debug.print("{d} schedules\n", .{schedules});
}

/// Every number of steps for the victims from `depth` on, until they end before it.
fn exploreDeaths(
    stage: *Stage,
    case: Case,
    stops: []scheduler.Stop,
    depth: usize,
    schedules: *u64,
) !void {
    if (depth == stops.len) return exploreOrders(stage, case, stops, schedules);
    var has_died: [scheduler.max_participants]bool = undefined;
    stops[depth].after_steps = 0;
    while (true) : (stops[depth].after_steps += 1) {
        has_died = stage.has_died;
        stage.has_died = @splat(false);
        try exploreDeaths(stage, case, stops, depth + 1, schedules);
        if (!stage.has_died[stops[depth].participant]) break;
        for (&stage.has_died, has_died) |*now, before| now.* = now.* or before;
    }
    for (&stage.has_died, has_died) |*now, before| now.* = now.* or before;
}

fn exploreOrders(stage: *Stage, case: Case, stops: []const scheduler.Stop, schedules: *u64) !void {
    var explorer: Explorer = .{ .preemptions_max = case.preemptions_max };
    defer explorer.deinit();

    while (true) {
        stage.play(case.scripts, .{
            .stops = stops,
            .choices = explorer.choices.items,
            .trace = &explorer.trace,
        }) catch |err| {
            std.debug.print(
                "failed with {t} in schedule {d} with deaths {any}\n",
                .{ err, schedules.*, stops },
            );
            return err;
        };
        schedules.* += 1;
        if (!try explorer.next()) return;
    }
}

const row_zero: []const Op = &.{.{ .put = .{ .id = 0, .altitude = 1 } }};

test "explore: two writers of one row" {
    try explore(.{
        .stage = .{ .setup = row_zero },
        .scripts = &.{
            &.{.{ .put = .{ .id = 0, .altitude = 2 } }},
            &.{.{ .put = .{ .id = 0, .altitude = 3 } }},
        },
        .preemptions_max = 1,
    });
}

test "explore: two first inserts of one key" {
    try explore(.{
        .scripts = &.{
            &.{.{ .insert = .{ .id = 1, .altitude = 2 } }},
            &.{.{ .insert = .{ .id = 1, .altitude = 3 } }},
        },
        .preemptions_max = 1,
    });
}

test "explore: a delete, an insert of the same key, and vacuum" {
    try explore(.{
        .stage = .{ .setup = row_zero },
        .scripts = &.{
            &.{.{ .delete = 0 }},
            &.{.{ .put = .{ .id = 0, .altitude = 2 } }},
            &.{ .tick, .vacuum, .tick, .vacuum },
        },
        .preemptions_max = 1,
    });
}

test "explore: a row leaves an index key and comes back beside vacuum and a search" {
    try explore(.{
        .stage = .{ .setup = row_zero },
        .scripts = &.{
            &.{ .{ .put = .{ .id = 0, .altitude = 2 } }, .{ .put = .{ .id = 0, .altitude = 1 } } },
            &.{ .tick, .vacuum },
            &.{.look},
        },
        .preemptions_max = 1,
    });
}

test "explore: a batch and a snapshot that reads both of its rows" {
    try explore(.{
        .stage = .{ .setup = &.{.{ .pair = .{ .a = 0, .b = 1, .amount = 1 } }} },
        .scripts = &.{
            &.{.{ .pair = .{ .a = 0, .b = 1, .amount = 2 } }},
            &.{.look},
        },
        .preemptions_max = 2,
    });
}

test "explore: two transactions that move between the same rows" {
    try explore(.{
        .stage = .{ .setup = &.{.{ .pair = .{ .a = 0, .b = 1, .amount = 1 } }} },
        .scripts = &.{
            &.{.{ .move = .{ .a = 0, .b = 1 } }},
            &.{.{ .move = .{ .a = 1, .b = 0 } }},
        },
        .preemptions_max = 1,
    });
}

test "explore: a commit that finds the ring full, a search, and vacuum" {
    try explore(.{
        .stage = .{
            .world = .{ .size = 4 << 20, .session_count = 5, .cell_count = 32 },
            .setup = row_zero ++ [1]Op{.tick} ** 40,
        },
        .scripts = &.{
            &.{.{ .put = .{ .id = 0, .altitude = 2 } }},
            &.{ .drain, .tick, .look },
            &.{ .tick, .vacuum },
        },
        .preemptions_max = 2,
    });
}

test "explore: a writer dies at each of its steps, beside another and a repair" {
    try explore(.{
        .stage = .{ .setup = row_zero },
        .scripts = &.{
            &.{.{ .put = .{ .id = 0, .altitude = 2 } }},
            &.{.{ .put = .{ .id = 0, .altitude = 3 } }},
            &.{.sweep},
        },
        .preemptions_max = 0,
        .victims = &.{0},
    });
}

test "explore: an insert dies at each of its steps, beside the same insert and a repair" {
    try explore(.{
        .scripts = &.{
            &.{.{ .insert = .{ .id = 1, .altitude = 2 } }},
            &.{.{ .insert = .{ .id = 1, .altitude = 3 } }},
            &.{ .sweep, .tick, .vacuum },
        },
        .preemptions_max = 0,
        .victims = &.{0},
    });
}

test "explore: a session dies at each step of vacuum, beside a writer and a repair" {
    try explore(.{
        .stage = .{ .setup = row_zero ++ &[_]Op{
            .{ .put = .{ .id = 1 } },
            .{ .delete = 1 },
            .{ .put = .{ .id = 0, .altitude = 2 } },
            .tick,
        } },
        .scripts = &.{
            &.{ .vacuum, .tick, .vacuum },
            &.{ .{ .put = .{ .id = 0, .altitude = 1 } }, .{ .put = .{ .id = 1, .altitude = 1 } } },
            &.{ .sweep, .tick, .vacuum },
        },
        .preemptions_max = 0,
        .victims = &.{0},
    });
}

test "explore: a repair dies at each of its steps, and another goes on" {
    try explore(.{
        .stage = .{ .setup = row_zero },
        .scripts = &.{
            &.{.sweep},
            &.{ .{ .put = .{ .id = 0, .altitude = 3 } }, .{ .delete = 0 } },
            &.{ .sweep, .tick, .vacuum },
        },
        .preemptions_max = 0,
        .victims = &.{ 0, 1 },
    });
}
