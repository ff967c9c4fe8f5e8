//! The deterministic scheduler: participants run as fibers of one thread, every shared step is a
//! place where the next one is chosen from a seed, and any participant can be stopped for ever at
//! any of its steps.
//!
//! **Concurrency**: one schedule at a time per thread. Outside a schedule `step` does nothing.
//!
//! **Memory**: stacks come from the allocator that is passed in.
const std = @import("std");
const builtin = @import("builtin");

pub const supported = switch (builtin.cpu.arch) {
    .x86_64, .aarch64 => true,
    else => false,
};

/// What `aerostore_fiber_switch` leaves on a stack: words, and which of them is the address to
/// return to. Where a function begins, x86-64 has rsp % 16 == 8 and arm64 sp % 16 == 0.
const frame: struct { words: usize, return_address: usize } = switch (builtin.cpu.arch) {
    .x86_64 => .{ .words = 8, .return_address = 6 },
    .aarch64 => .{ .words = 20, .return_address = 11 },
    else => .{ .words = 0, .return_address = 0 },
};

const stack_size = 256 * 1024;

pub const Participant = struct {
    context: *anyopaque,
    main: *const fn (context: *anyopaque) void,
};

pub const Stop = struct {
    participant: u32,
    /// It takes this many steps and then no more.
    after_steps: u64,
    /// It is as if stopped by a signal; else it died. For whoever is told of the stop.
    stalls: bool = false,
};

pub const Options = struct {
    seed: u64,
    stops: []const Stop = &.{},
    /// Called when a participant was stopped for ever.
    on_stop: ?*const fn (context: *anyopaque, stop: Stop) void = null,
    stop_context: *anyopaque = undefined,
    /// A schedule longer than this hangs.
    steps_max: u64 = 2_000_000,
    /// Choices to make first; after them everybody runs until it ends. For exhaustive exploration.
    choices: []const u8 = &.{},
    /// Receives every choice; then the seed decides nothing.
    trace: ?*std.ArrayList(Choice) = null,
};

/// A place where several participants could go on.
pub const Choice = struct {
    /// How many could.
    width: u8,
    /// Which one did, by number among them.
    chosen: u8,
    /// Which one was running; null when it had ended.
    current: ?u8,

    /// What is chosen when nothing else was asked for.
    pub fn default(choice: Choice) u8 {
        return choice.current orelse 0;
    }
};

pub const Report = struct { steps: u64, finished: u32, stopped: u32 };

pub const Error = error{ OutOfMemory, ScheduleTooLong };

const Fiber = struct {
    stack: []align(16) u8,
    pointer: usize,
    participant: Participant,
    steps: u64 = 0,
    state: enum { live, finished, stopped } = .live,
};

pub const max_participants = 8;

const Schedule = struct {
    options: Options,
    fibers: []Fiber,
    current: u32 = 0,
    main_pointer: usize = 0,
    random: std.Random.DefaultPrng,
    steps: u64 = 0,
    /// Chance in 1024 that a step switches; drawn per seed, from every step to once in a while.
    eagerness: u16,
    too_long: bool = false,

    fn choose(schedule: *Schedule, may_stay: bool) ?u32 {
        var live: [max_participants]u32 = undefined;
        var count: u32 = 0;
        for (schedule.fibers, 0..) |*fiber, i| {
            if (fiber.state != .live) continue;
            live[count] = @intCast(i);
            count += 1;
        }
        if (count == 0) return null;
        if (schedule.options.trace) |trace| {
            var choice: Choice = .{ .width = @intCast(count), .chosen = 0, .current = null };
            for (live[0..count], 0..) |fiber, i| {
                if (may_stay and fiber == schedule.current) choice.current = @intCast(i);
            }
            const at = trace.items.len;
            const choices = schedule.options.choices;
            choice.chosen = if (at < choices.len) choices[at] % choice.width else choice.default();
            trace.append(std.heap.page_allocator, choice) catch schedule.toMain();
            return live[choice.chosen];
        }
        if (may_stay and schedule.random.random().uintLessThan(u16, 1024) >= schedule.eagerness) {
            return schedule.current;
        }
        return live[schedule.random.random().uintLessThan(u32, count)];
    }

    fn step(schedule: *Schedule) void {
        const fiber = &schedule.fibers[schedule.current];
        schedule.steps += 1;
        if (schedule.steps > schedule.options.steps_max) {
            schedule.too_long = true;
            schedule.toMain();
        }
        for (schedule.options.stops) |stop| {
            if (stop.participant != schedule.current or fiber.steps < stop.after_steps) continue;
            fiber.state = .stopped;
            if (schedule.options.on_stop) |report| report(schedule.options.stop_context, stop);
            schedule.leave();
        }
        fiber.steps += 1;
        const next = schedule.choose(true) orelse return;
        if (next == schedule.current) return;
        schedule.current = next;
        aerostore_fiber_switch(&fiber.pointer, schedule.fibers[next].pointer);
    }

    /// The current fiber never runs again.
    fn leave(schedule: *Schedule) void {
        const fiber = &schedule.fibers[schedule.current];
        const next = schedule.choose(false) orelse {
            aerostore_fiber_switch(&fiber.pointer, schedule.main_pointer);
            unreachable; // nobody switches back
        };
        schedule.current = next;
        aerostore_fiber_switch(&fiber.pointer, schedule.fibers[next].pointer);
        unreachable; // nobody switches back
    }

    fn toMain(schedule: *Schedule) void {
        const fiber = &schedule.fibers[schedule.current];
        aerostore_fiber_switch(&fiber.pointer, schedule.main_pointer);
        unreachable; // nobody switches back
    }
};

threadlocal var active: ?*Schedule = null;

/// True inside a schedule: nobody else runs while one waits.
pub inline fn isActive() bool {
    return @import("build_options").scheduler and active != null;
}

/// A switch point.
pub fn step() void {
    const schedule = active orelse return;
    schedule.step();
}

/// Runs the participants to their end, or to where they are stopped.
pub fn run(
    allocator: std.mem.Allocator,
    participants: []const Participant,
    options: Options,
) Error!Report {
    comptime std.debug.assert(supported);
    std.debug.assert(participants.len <= max_participants);
    var prng = std.Random.DefaultPrng.init(options.seed);
    const fibers = try allocator.alloc(Fiber, participants.len);
    defer allocator.free(fibers);

    for (fibers, participants) |*fiber, participant| {
        // Raw: the stacks of a thousand schedules a second are not worth filling.
        const pointer = allocator.rawAlloc(
            stack_size,
            .@"16",
            @returnAddress(),
        ) orelse return error.OutOfMemory;
        const stack: []align(16) u8 = @alignCast(pointer[0..stack_size]);
        const top = @intFromPtr(stack.ptr) + stack.len;
        // The first switch returns to the entry.
        const first = top - frame.words * @sizeOf(usize);
        const words: [*]usize = @ptrFromInt(first);
        @memset(words[0..frame.words], 0);
        words[frame.return_address] = @intFromPtr(&entry);
        fiber.* = .{ .stack = stack, .pointer = first, .participant = participant };
    }
    defer for (fibers) |fiber| allocator.rawFree(fiber.stack, .@"16", @returnAddress());

    var schedule: Schedule = .{
        .options = options,
        .fibers = fibers,
        .eagerness = @as(u16, 1) << prng.random().intRangeAtMost(u4, 0, 10),
        .random = prng,
    };
    schedule.current = schedule.choose(false) orelse 0;
    active = &schedule;
    aerostore_fiber_switch(&schedule.main_pointer, fibers[schedule.current].pointer);
    active = null;
    if (schedule.too_long) return error.ScheduleTooLong;
    var report: Report = .{ .steps = schedule.steps, .finished = 0, .stopped = 0 };
    for (fibers) |fiber| switch (fiber.state) {
        .finished => report.finished += 1,
        .stopped => report.stopped += 1,
        .live => unreachable, // the main fiber runs again only when none is live
    };
    return report;
}

fn entry() callconv(.c) noreturn {
    const schedule = active.?;
    const fiber = &schedule.fibers[schedule.current];
    fiber.participant.main(fiber.participant.context);
    fiber.state = .finished;
    schedule.leave();
    unreachable; // nobody switches back
}

extern fn aerostore_fiber_switch(from: *usize, to: usize) callconv(.c) void;

comptime {
    if (supported and @import("build_options").scheduler) asm (switch (builtin.cpu.arch) {
            .x86_64 =>
            \\.global aerostore_fiber_switch
            \\.type aerostore_fiber_switch, @function
            \\aerostore_fiber_switch:
            \\    pushq %rbp
            \\    pushq %rbx
            \\    pushq %r12
            \\    pushq %r13
            \\    pushq %r14
            \\    pushq %r15
            \\    movq %rsp, (%rdi)
            \\    movq %rsi, %rsp
            \\    popq %r15
            \\    popq %r14
            \\    popq %r13
            \\    popq %r12
            \\    popq %rbx
            \\    popq %rbp
            \\    retq
            ,
            // x30 is the address to return to; of the vector registers the lower halves are kept.
            .aarch64 =>
            \\.global aerostore_fiber_switch
            \\.type aerostore_fiber_switch, %function
            \\aerostore_fiber_switch:
            \\    stp x19, x20, [sp, #-160]!
            \\    stp x21, x22, [sp, #16]
            \\    stp x23, x24, [sp, #32]
            \\    stp x25, x26, [sp, #48]
            \\    stp x27, x28, [sp, #64]
            \\    stp x29, x30, [sp, #80]
            \\    stp d8, d9, [sp, #96]
            \\    stp d10, d11, [sp, #112]
            \\    stp d12, d13, [sp, #128]
            \\    stp d14, d15, [sp, #144]
            \\    mov x9, sp
            \\    str x9, [x0]
            \\    mov sp, x1
            \\    ldp x21, x22, [sp, #16]
            \\    ldp x23, x24, [sp, #32]
            \\    ldp x25, x26, [sp, #48]
            \\    ldp x27, x28, [sp, #64]
            \\    ldp x29, x30, [sp, #80]
            \\    ldp d8, d9, [sp, #96]
            \\    ldp d10, d11, [sp, #112]
            \\    ldp d12, d13, [sp, #128]
            \\    ldp d14, d15, [sp, #144]
            \\    ldp x19, x20, [sp], #160
            \\    ret
            ,
            else => unreachable,
        });
}

test "scheduler: the same seed gives the same schedule, and a stopped participant stays stopped" {
    if (!supported) return error.SkipZigTest;
    const Trace = struct {
        items: [64]u8 = undefined,
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
            for (0..10) |_| {
                step();
                trace.items[trace.count] = who;
                trace.count += 1;
            }
        }
    };
    var traces: [2]Trace = .{ .{}, .{} };
    for (&traces) |*trace| {
        const report = try run(std.testing.allocator, &.{
            .{ .context = trace, .main = Trace.first },
            .{ .context = trace, .main = Trace.second },
        }, .{ .seed = 42, .stops = &.{.{ .participant = 1, .after_steps = 4 }} });
        try std.testing.expectEqual(@as(u32, 1), report.finished);
        try std.testing.expectEqual(@as(u32, 1), report.stopped);
        try std.testing.expectEqual(@as(usize, 14), trace.count);
    }
    try std.testing.expectEqualSlices(u8, traces[0].items[0..14], traces[1].items[0..14]);
}
