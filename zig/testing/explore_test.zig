//! All schedules of small cases, up to a number of preemptions; and every step as the last one of somebody.
const std = @import("std");
const history_ = @import("history.zig");
const play_ = @import("play.zig");
const scheduler = @import("scheduler.zig");
const Explorer = @import("explorer.zig").Explorer;
const Op = history_.Op;
const Stage = play_.Stage;

const Case = struct {
    stage: Stage.InitOptions = .{},
    scripts: []const []const Op,
    preemptions_max: u32,
    /// Who dies, at each of its steps in turn.
    victim: ?u32 = null,
};

fn explore(case: Case) !void {
    if (!scheduler.supported) return error.SkipZigTest;
    const stage = try Stage.init(std.testing.allocator, case.stage);
    defer stage.deinit();

    var schedules: u64 = 0;
    var after_steps: u64 = 0;
    while (true) : (after_steps += 1) {
        var explorer: Explorer = .{ .preemptions_max = case.preemptions_max };
        defer explorer.deinit();

        const stops = [_]scheduler.Stop{.{ .participant = case.victim orelse 0, .after_steps = after_steps }};
        var has_died = false;
        while (true) {
            stage.play(case.scripts, .{
                .seed = after_steps + 1,
                .stops = if (case.victim == null) &.{} else &stops,
                .choices = explorer.choices.items,
                .trace = &explorer.trace,
            }) catch |err| {
                std.debug.print("failed with {t} in schedule {d}, death after {d} steps\n", .{ err, schedules, after_steps });
                return err;
            };
            schedules += 1;
            if (stage.stopped > 0) has_died = true;
            if (!try explorer.next()) break;
        }
        if (!has_died) break; // nobody takes that many steps
    }
    if (@import("seeds.zig").isVerbose()) std.debug.print("{d} schedules\n", .{schedules});
}

test "explore: two writers of one row" {
    try explore(.{
        .stage = .{ .setup = &.{.{ .put = .{ .id = 0, .altitude = 1 } }} },
        .scripts = &.{
            &.{.{ .put = .{ .id = 0, .altitude = 2 } }},
            &.{.{ .put = .{ .id = 0, .altitude = 3 } }},
        },
        .preemptions_max = 2,
    });
}
