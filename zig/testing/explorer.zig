//! All schedules of a few participants with a bounded number of preemptions (Musuvathi and Qadeer
//! 2007): a participant runs until it ends, except at so many chosen steps; who runs next is tried
//! in every way.
const std = @import("std");
const scheduler = @import("../instrument/scheduler.zig");
const Choice = scheduler.Choice;

pub const Explorer = struct {
    preemptions_max: u32,
    /// Of so many participants the first alone is preempted, each time by the next one, which runs
    /// to its end; 0: anybody is, by anybody.
    relay_count: u32 = 0,
    /// To be passed to the next schedule, with `trace`.
    choices: std.ArrayList(u8) = .empty,
    trace: std.ArrayList(Choice) = .empty,
    schedules: u64 = 0,

    const allocator = std.heap.page_allocator;

    pub fn deinit(explorer: *Explorer) void {
        explorer.choices.deinit(allocator);
        explorer.trace.deinit(allocator);
    }

    /// Goes to the next schedule after the one that was traced; false when that was the last.
    pub fn next(explorer: *Explorer) !bool {
        defer explorer.trace.clearRetainingCapacity();
        explorer.schedules += 1;
        var used: u32 = 0;
        for (explorer.trace.items) |choice| used += @intFromBool(isPreemption(choice));
        var position = explorer.trace.items.len;
        while (position > 0) {
            position -= 1;
            const choice = explorer.trace.items[position];
            used -= @intFromBool(isPreemption(choice));
            const other = alternative(choice) orelse continue;
            if (choice.current != null and used == explorer.preemptions_max) continue;
            if (explorer.relay_count != 0 and !explorer.isRelay(choice, other, used)) continue;
            explorer.choices.clearRetainingCapacity();
            for (explorer.trace.items[0..position]) |earlier| try explorer.choices.append(
                allocator,
                earlier.chosen,
            );
            try explorer.choices.append(allocator, other);
            return true;
        }
        return false;
    }

    fn isRelay(explorer: *const Explorer, choice: Choice, other: u8, used: u32) bool {
        // With fewer that could go on, the first has ended.
        const is_first = choice.current == 0 and choice.width + used >= explorer.relay_count;
        return is_first and other == 1;
    }

    fn isPreemption(choice: Choice) bool {
        return choice.current != null and choice.chosen != choice.current.?;
    }

    /// The default is tried first, then the others by number.
    fn alternative(choice: Choice) ?u8 {
        const default = choice.default();
        var other: u8 = if (choice.chosen == default) 0 else choice.chosen + 1;
        if (other == default) other += 1;
        return if (other < choice.width) other else null;
    }
};

test "explorer: every schedule of two participants with one preemption, each once" {
    if (!scheduler.supported) return error.SkipZigTest;
    const Trace = struct {
        items: [6]u8 = undefined,
        count: usize = 0,

        const Self = @This();

        fn first(context: *anyopaque) void {
            mark(context, 1);
        }

        fn second(context: *anyopaque) void {
            mark(context, 2);
        }

        fn mark(context: *anyopaque, who: u8) void {
            const trace: *Self = @ptrCast(@alignCast(context));
            for (0..3) |_| {
                scheduler.step();
                trace.items[trace.count] = who;
                trace.count += 1;
            }
        }
    };
    var seen: std.AutoHashMap([6]u8, void) = .init(std.testing.allocator);
    defer seen.deinit();

    var explorer: Explorer = .{ .preemptions_max = 1 };
    defer explorer.deinit();

    while (true) {
        var trace: Trace = .{};
        _ = try scheduler.run(std.testing.allocator, &.{
            .{ .context = &trace, .main = Trace.first },
            .{ .context = &trace, .main = Trace.second },
        }, .{ .seed = 1, .choices = explorer.choices.items, .trace = &explorer.trace });
        try seen.put(trace.items, {});
        if (!try explorer.next()) break;
    }
    // Either goes first and lets the other run to its end after 0 (as if that had gone first), 1, 2
    // or 3 marks.
    try std.testing.expectEqual(@as(u64, 8), explorer.schedules);
    try std.testing.expectEqual(@as(u32, 6), seen.count());
}
