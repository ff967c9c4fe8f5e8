//! All schedules of small cases, up to a number of preemptions; and every step as the last one of
//! somebody.
//!
//! **Memory**: a world per case, freed at its end.
const std = @import("std");
const campaign = @import("campaign.zig");
const history_ = @import("history.zig");
const play_ = @import("play.zig");
const scheduler = @import("../instrument/scheduler.zig");
const Explorer = @import("explorer.zig").Explorer;
const Op = history_.Op;
const Stage = play_.Stage;

pub const Case = struct {
    name: []const u8,
    stage: Stage.InitOptions = .{},
    scripts: []const []const Op,
    preemptions_max: u32,
    /// Only the first participant is preempted, each time by the next one, which runs to its end.
    is_relay: bool = false,
    /// Who is stopped for ever: at each of their steps, in all combinations.
    victims: []const u32 = &.{},
    /// They stay alive, like a process under SIGSTOP; else they die.
    stalls: bool = false,
};

const Exploration = struct {
    case: *const Case,
    stage: *Stage,
    report: *campaign.Report,
    /// Preemptions beyond those of the case.
    deeper: u32,
    stops: [2]scheduler.Stop = undefined,

    /// Every number of steps for the victims from `depth` on, until they end before it.
    fn exploreStops(exploration: *Exploration, depth: usize) !void {
        const victims = exploration.case.victims;
        if (depth == victims.len) return exploration.exploreOrders();
        const stage = exploration.stage;
        const stop = &exploration.stops[depth];
        stop.* = .{
            .participant = victims[depth],
            .after_steps = 0,
            .stalls = exploration.case.stalls,
        };
        while (true) : (stop.after_steps += 1) {
            const before = stage.has_stopped;
            stage.has_stopped = @splat(false);
            try exploration.exploreStops(depth + 1);
            const ended = !stage.has_stopped[victims[depth]];
            for (&stage.has_stopped, before) |*now, earlier| now.* = now.* or earlier;
            if (ended) return;
        }
    }

    fn exploreOrders(exploration: *Exploration) !void {
        var explorer: Explorer = .{
            .preemptions_max = exploration.case.preemptions_max + exploration.deeper,
            .relay_count = if (exploration.case.is_relay)
                @intCast(exploration.case.scripts.len)
            else
                0,
        };
        defer explorer.deinit();

        while (true) {
            try exploration.playOne(explorer.choices.items, &explorer.trace);
            if (!try explorer.next()) return;
        }
    }

    fn playOne(
        exploration: *Exploration,
        choices: []const u8,
        trace: *std.ArrayList(scheduler.Choice),
    ) !void {
        const stops = exploration.stops[0..exploration.case.victims.len];
        const report = exploration.report;
        exploration.stage.play(exploration.case.scripts, .{
            .stops = stops,
            .choices = choices,
            .trace = trace,
        }) catch |err| {
            report.printReplay(.{ .stops = stops, .choices = choices });
            return err;
        };
        report.schedules += 1;
        report.steps += exploration.stage.steps;
        report.stopped += exploration.stage.stopped;
    }
};

/// Runs all schedules of a case, or the one of `replay`.
pub fn run(
    case: *const Case,
    deeper: u32,
    replay: ?campaign.Replay,
    report: *campaign.Report,
) !void {
    const stage = try Stage.init(std.heap.c_allocator, case.stage);
    defer stage.deinit();

    var exploration: Exploration = .{
        .case = case,
        .stage = stage,
        .report = report,
        .deeper = deeper,
    };
    const only = replay orelse return exploration.exploreStops(0);
    if (only.stops.len != case.victims.len) return error.WrongReplay;
    @memcpy(exploration.stops[0..only.stops.len], only.stops);
    var trace: std.ArrayList(scheduler.Choice) = .empty;
    defer trace.deinit(std.heap.page_allocator);

    try exploration.playOne(only.choices, &trace);
}

const row_zero: []const Op = &.{.{ .put = .{ .id = 0, .altitude = 1 } }};

/// Rows, and their end: what vacuum takes back are several chains of a kind of record.
const six_rows: []const Op = rows: {
    var ops: []const Op = &.{};
    for (0..6) |id| ops = ops ++ [1]Op{.{ .put = .{ .id = id, .altitude = 1 } }};
    break :rows ops;
};
const six_deletes: []const Op = deletes: {
    var ops: []const Op = &.{};
    for (0..6) |id| ops = ops ++ [1]Op{.{ .delete = id }};
    break :deletes ops ++ [_]Op{ .tick, .vacuum, .tick, .vacuum };
};

pub const cases = [_]Case{
    .{
        .name = "two writers of one row",
        .stage = .{ .setup = row_zero },
        .scripts = &.{
            &.{.{ .put = .{ .id = 0, .altitude = 2 } }},
            &.{.{ .put = .{ .id = 0, .altitude = 3 } }},
        },
        .preemptions_max = 1,
    },
    .{
        .name = "two first inserts of one key",
        .scripts = &.{
            &.{.{ .insert = .{ .id = 1, .altitude = 2 } }},
            &.{.{ .insert = .{ .id = 1, .altitude = 3 } }},
        },
        .preemptions_max = 1,
    },
    .{
        .name = "a delete, an insert of the same key, and vacuum",
        .stage = .{ .setup = row_zero },
        .scripts = &.{
            &.{.{ .delete = 0 }},
            &.{.{ .put = .{ .id = 0, .altitude = 2 } }},
            &.{ .tick, .vacuum, .tick, .vacuum },
        },
        .preemptions_max = 1,
    },
    .{
        .name = "a row leaves an index key and comes back beside vacuum and a search",
        .stage = .{ .setup = row_zero },
        .scripts = &.{
            &.{ .{ .put = .{ .id = 0, .altitude = 2 } }, .{ .put = .{ .id = 0, .altitude = 1 } } },
            &.{ .tick, .vacuum },
            &.{.look},
        },
        .preemptions_max = 1,
    },
    .{
        .name = "a batch and a snapshot that reads both of its rows",
        .stage = .{ .setup = &.{.{ .pair = .{ .a = 0, .b = 1, .amount = 1 } }} },
        .scripts = &.{
            &.{.{ .pair = .{ .a = 0, .b = 1, .amount = 2 } }},
            &.{.look},
        },
        .preemptions_max = 2,
    },
    .{
        .name = "two transactions that move between the same rows",
        .stage = .{ .setup = &.{.{ .pair = .{ .a = 0, .b = 1, .amount = 1 } }} },
        .scripts = &.{
            &.{.{ .move = .{ .a = 0, .b = 1 } }},
            &.{.{ .move = .{ .a = 1, .b = 0 } }},
        },
        .preemptions_max = 1,
    },
    .{
        .name = "a commit that finds the ring full, a search, and vacuum",
        .stage = .{
            .world = .{ .size = 4 << 20, .session_count = 5, .cell_count = 32 },
            .setup = row_zero ++ [1]Op{.tick} ** 40,
        },
        .scripts = &.{
            &.{.{ .put = .{ .id = 0, .altitude = 2 } }},
            &.{ .drain, .tick, .look },
            &.{ .tick, .vacuum },
        },
        .preemptions_max = 1,
    },
    .{
        .name = "a writer dies at each of its steps, beside another and a repair",
        .stage = .{ .setup = row_zero },
        .scripts = &.{
            &.{.{ .put = .{ .id = 0, .altitude = 2 } }},
            &.{.{ .put = .{ .id = 0, .altitude = 3 } }},
            &.{.sweep},
        },
        .preemptions_max = 0,
        .victims = &.{0},
    },
    .{
        .name = "an insert dies at each of its steps, beside the same insert and a repair",
        .scripts = &.{
            &.{.{ .insert = .{ .id = 1, .altitude = 2 } }},
            &.{.{ .insert = .{ .id = 1, .altitude = 3 } }},
            &.{ .sweep, .tick, .vacuum },
        },
        .preemptions_max = 0,
        .victims = &.{0},
    },
    .{
        .name = "a session dies at each step of vacuum, beside a writer and a repair",
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
    },
    .{
        .name = "a repair dies at each of its steps, and another goes on",
        .stage = .{ .setup = row_zero },
        .scripts = &.{
            &.{.sweep},
            &.{.{ .put = .{ .id = 0, .altitude = 3 } }},
            &.{ .sweep, .tick, .vacuum },
        },
        .preemptions_max = 0,
        .victims = &.{ 0, 1 },
    },
    .{
        .name = "a session dies at each step of giving chains away, beside one that takes them",
        .stage = .{ .setup = six_rows },
        .scripts = &.{
            six_deletes,
            &.{ .{ .put = .{ .id = 6 } }, .{ .put = .{ .id = 7 } } },
            &.{ .sweep, .{ .put = .{ .id = 7 } }, .tick, .vacuum },
        },
        .preemptions_max = 0,
        .victims = &.{0},
    },
    .{
        .name = "a session dies at each step of taking chains, beside one that gives them away",
        .stage = .{ .setup = six_rows ++ six_deletes },
        .scripts = &.{
            &.{ .{ .put = .{ .id = 0 } }, .{ .put = .{ .id = 1 } }, .{ .put = .{ .id = 2 } } },
            &.{ .vacuum, .tick, .vacuum, .{ .put = .{ .id = 3 } } },
            &.{ .sweep, .{ .put = .{ .id = 4 } }, .tick, .vacuum },
        },
        .preemptions_max = 0,
        .victims = &.{0},
    },
    .{
        .name = "two transactions that search a range and write into it",
        .stage = .{ .setup = row_zero },
        .scripts = &.{ &.{.{ .range = 1 }}, &.{.{ .range = 2 }} },
        .preemptions_max = 1,
    },
    .{
        .name = "two transactions that find each other's key absent and write their own",
        .scripts = &.{
            &.{.{ .rolled = .{ .a = 1, .b = 2 } }},
            &.{.{ .rolled = .{ .a = 2, .b = 1 } }},
        },
        .preemptions_max = 1,
    },
    .{
        .name = "a transaction that puts a row back as it was, and a delete of that row",
        .stage = .{ .setup = &.{.{ .put = .{ .id = 2, .altitude = history_.kept_altitude } }} },
        .scripts = &.{
            &.{.{ .kept = .{ .a = 1, .b = 2 } }},
            &.{.{ .delete = 2 }},
        },
        .preemptions_max = 1,
    },
    .{
        .name = "a transaction that reads every key, a blind write, and a snapshot",
        .stage = .{ .setup = row_zero },
        .scripts = &.{
            &.{.{ .tally = 1 }},
            &.{.{ .put = .{ .id = 2, .altitude = 1 } }},
            &.{.look},
        },
        .preemptions_max = 1,
    },
    .{
        .name = "a batch stalls alive at each of its steps, beside a writer and a snapshot",
        .stage = .{ .setup = &.{.{ .pair = .{ .a = 0, .b = 1, .amount = 1 } }} },
        .scripts = &.{
            &.{.{ .pair = .{ .a = 0, .b = 1, .amount = 2 } }},
            &.{ .{ .put = .{ .id = 1, .altitude = 3 } }, .{ .delete = 0 } },
            &.{ .look, .tick, .vacuum },
        },
        .preemptions_max = 0,
        .victims = &.{0},
        .stalls = true,
    },
    .{
        .name = "a vacuum stalls alive at each of its steps, beside writers",
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
        .stalls = true,
    },
    .{
        .name = "a commit is overtaken at each of its steps, by one that reuses what it can",
        .stage = .{ .setup = row_zero, .warm = false },
        .scripts = &.{
            &.{.{ .put = .{ .id = 0, .altitude = 2 } }},
            churn,
        },
        .preemptions_max = 1,
    },
    .{
        .name = "an insert and a delete are overtaken at each of their steps",
        .stage = .{ .setup = row_zero, .warm = false },
        .scripts = &.{
            &.{ .{ .insert = .{ .id = 1, .altitude = 3 } }, .{ .delete = 0 } },
            churn,
        },
        .preemptions_max = 1,
    },
    .{
        .name = "a vacuum is overtaken at each of its steps",
        .stage = .{ .setup = row_zero ++ &[_]Op{
            .{ .put = .{ .id = 1 } },
            .{ .delete = 1 },
            .{ .put = .{ .id = 0, .altitude = 2 } },
            .tick,
        }, .warm = false },
        .scripts = &.{ &.{ .vacuum, .tick, .vacuum }, churn },
        .preemptions_max = 1,
    },
    .{
        .name = "a transaction that searches and writes is overtaken at each of its steps",
        .stage = .{ .setup = row_zero, .warm = false },
        .scripts = &.{ &.{.{ .range = 1 }}, churn },
        .preemptions_max = 1,
    },
    .{
        .name = "a batch stalls alive, is overtaken at each of its steps, and dies",
        .stage = .{
            .setup = &.{.{ .pair = .{ .a = 0, .b = 1, .amount = 1 } }},
            .warm = false,
        },
        .scripts = &.{
            &.{.{ .pair = .{ .a = 0, .b = 1, .amount = 2 } }},
            churn,
        },
        .preemptions_max = 0,
        .victims = &.{0},
        .stalls = true,
    },
    .{
        .name = "a commit that was overtaken goes on, and stands while an entry is reused",
        .stage = .{ .setup = three_rows, .warm = false },
        .scripts = &.{ move_entry, &.{.overtake}, reuse_entry },
        .preemptions_max = 2,
        .is_relay = true,
    },
    .{
        .name = "a commit that was overtaken goes on, and dies while an entry is reused",
        .stage = .{ .setup = three_rows, .warm = false },
        .scripts = &.{ move_entry, &.{.overtake}, reuse_entry },
        .preemptions_max = 1,
        .is_relay = true,
        .victims = &.{0},
        .stalls = true,
    },
};

const three_rows: []const Op = row_zero ++ &[_]Op{
    .{ .put = .{ .id = 1, .altitude = 4, .stamp = 4 } },
    .{ .put = .{ .id = 2, .altitude = 4, .stamp = 4 } },
};
const move_entry: []const Op = &.{.{ .put = .{ .id = 0, .altitude = 2, .stamp = 2 } }};
/// The entry of another that was just linked is needed, closed, and linked elsewhere.
const reuse_entry: []const Op = &.{
    .{ .put = .{ .id = 0, .altitude = 2, .stamp = 2 } },
    .{ .put = .{ .id = 0, .altitude = 3, .stamp = 3 } },
    .tick,
    .vacuum,
    .tick,
    .vacuum,
    .{ .put = .{ .id = 2, .altitude = 5, .stamp = 7 } },
    .{ .put = .{ .id = 1, .altitude = 6, .stamp = 8 } },
    .look,
};

/// Commits that stand still are overtaken, and what is taken back is used again.
const churn: []const Op = churn: {
    var ops: []const Op = &.{.overtake};
    for ([_]i64{ 2, 3, 2, 1 }) |altitude| ops = ops ++ &[_]Op{
        .{ .put = .{ .id = 0, .altitude = altitude, .stamp = 1 } },
        .tick,
        .vacuum,
        .tick,
        .vacuum,
    };
    break :churn ops ++ &[_]Op{
        .{ .delete = 0 },                        .tick, .vacuum, .tick, .vacuum,
        .{ .put = .{ .id = 2, .altitude = 2 } }, .look,
    };
};

test "explore: a case is explored to its end" {
    if (!scheduler.supported) return error.SkipZigTest;
    const case = for (&cases) |*each| {
        if (std.mem.eql(u8, each.name, "two writers of one row")) break each;
    } else unreachable; // it is in the list above
    var report: campaign.Report = .{ .name = case.name };
    try run(case, 0, null, &report);
    try std.testing.expect(report.schedules > 100);
}
