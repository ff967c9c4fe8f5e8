//! What the program `schedules` counts and prints, and how one schedule is run again.
const std = @import("std");
const scheduler = @import("../instrument/scheduler.zig");

/// One schedule, as it was printed: `STOPS/CHOICES`, for example `0:17,1:3/00120`.
pub const Replay = struct {
    stops: []const scheduler.Stop,
    choices: []const u8,

    /// Memory: `stops` and `choices` are the caller's.
    pub fn parse(text: []const u8, allocator: std.mem.Allocator) !Replay {
        const slash = std.mem.indexOfScalar(u8, text, '/') orelse return error.WrongReplay;
        var stops: std.ArrayList(scheduler.Stop) = .empty;
        var words = std.mem.tokenizeScalar(u8, text[0..slash], ',');
        while (words.next()) |word| {
            const colon = std.mem.indexOfScalar(u8, word, ':') orelse return error.WrongReplay;
            const stalls = std.mem.endsWith(u8, word, "s");
            const steps = word[colon + 1 .. word.len - @intFromBool(stalls)];
            try stops.append(allocator, .{
                .participant = try std.fmt.parseInt(u32, word[0..colon], 10),
                .after_steps = try std.fmt.parseInt(u64, steps, 10),
                .stalls = stalls,
            });
        }
        const choices = try allocator.dupe(u8, text[slash + 1 ..]);
        for (choices) |*choice| choice.* -%= '0';
        return .{ .stops = stops.items, .choices = choices };
    }

    pub fn print(replay: Replay) void {
        for (replay.stops, 0..) |stop, i| {
            const comma = if (i == 0) "" else ",";
            const ending = if (stop.stalls) "s" else "";
            std.debug.print("{s}{d}:{d}{s}", .{
                comma,
                stop.participant,
                stop.after_steps,
                ending,
            });
        }
        std.debug.print("/", .{});
        for (replay.choices) |choice| std.debug.print("{d}", .{choice});
    }
};

/// Sums of one case.
pub const Report = struct {
    name: []const u8,
    schedules: u64 = 0,
    steps: u64 = 0,
    stopped: u64 = 0,

    /// Says what became of the case; 1 when it failed.
    pub fn print(report: *const Report, result: anyerror!void) u8 {
        if (result) |_| {
            std.debug.print("ok   {s}: {d} schedules, {d} steps, {d} stopped\n", .{
                report.name,
                report.schedules,
                report.steps,
                report.stopped,
            });
            return 0;
        } else |err| {
            std.debug.print("FAIL {s}: {t} after {d} schedules\n", .{
                report.name,
                err,
                report.schedules,
            });
            return 1;
        }
    }

    /// Says how to run a failed schedule again.
    pub fn printReplay(report: *const Report, replay: Replay) void {
        std.debug.print("again: zig-out/bin/schedules --only '{s}' --replay ", .{report.name});
        replay.print();
        std.debug.print("\n", .{});
    }

    pub fn printSeed(report: *const Report, seed: u64) void {
        std.debug.print(
            "again: zig-out/bin/schedules --only '{s}' --seed {d} --seeds 1\n",
            .{ report.name, seed },
        );
    }
};

test "campaign: a schedule that was printed is parsed again" {
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();

    const replay = try Replay.parse("0:17,2:3s/0120", arena.allocator());
    try std.testing.expectEqual(@as(usize, 2), replay.stops.len);
    try std.testing.expectEqual(@as(u64, 17), replay.stops[0].after_steps);
    try std.testing.expect(replay.stops[1].stalls and !replay.stops[0].stalls);
    try std.testing.expectEqualSlices(u8, &.{ 0, 1, 2, 0 }, replay.choices);
}
