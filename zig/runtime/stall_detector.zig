//! Notices that the session whose pin is the lowest belongs to a process that does not run, under
//! SIGSTOP, a debugger or a frozen control group: others go on without it. A commit is overtaken
//! (P32); a snapshot is revoked (P29) once the segment is half full, long before it is too old.
//!
//! **Concurrency**: one look at a time in each process; any number of processes.
const std = @import("std");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const segment_ = @import("../segment/segment.zig");
const Segment = segment_.Segment;

/// A process that is not stopped and has used no processor time for so long is frozen, or as good
/// as that. One that only waits for a processor had better not lose its snapshot.
const idle_limit_ms = 2000;

pub const Standstill = struct {
    /// The lowest pin at the last look.
    seen: ?Seen = null,

    const Seen = struct {
        slot: *layout.SessionSlot,
        pin: u64,
        state: u64,
        since_ms: u64,
        /// Processor time of its process.
        ticks: u64,
    };

    /// What is done about the lowest pin is done when it has not changed since the look before.
    pub fn look(standstill: *Standstill, segment: *const Segment, now_ms: u64) void {
        standstill.lookBy(segment, now_ms, os.processActivity);
    }

    fn lookBy(
        standstill: *Standstill,
        segment: *const Segment,
        now_ms: u64,
        activityOf: *const fn (pid: u32) ?os.Activity,
    ) void {
        // Sequentially consistent: as the pins, before them.
        const era = segment.header.era.load(.seq_cst);
        const slot = lowest(segment, era) orelse {
            standstill.seen = null;
            return;
        };
        const process = activityOf(slot.pid) orelse return;
        const now: Seen = .{
            .slot = slot,
            .pin = slot.pin.load(.seq_cst),
            .state = slot.state.load(.seq_cst),
            .since_ms = now_ms,
            .ticks = process.ticks,
        };
        const before = standstill.seen orelse now;
        const is_same = before.slot == slot and before.pin == now.pin and
            before.state == now.state and before.ticks == now.ticks;
        if (standstill.seen == null or !is_same) {
            standstill.seen = now;
            return;
        }
        const is_idle = now_ms - before.since_ms >= idle_limit_ms;
        if (layout.Pin.of(now.pin).committing) {
            if (process.is_stopped or is_idle) _ = segment.overtake(era); // or another did
        } else if (process.is_stopped and isHalfUsed(segment)) {
            _ = slot.pin.cas(now.pin, layout.pin_revoked, .seq_cst); // or it has gone on
        }
    }
};

/// The session that holds the horizon back the most, of those that were not overtaken.
fn lowest(segment: *const Segment, era: u32) ?*layout.SessionSlot {
    // Acquire: pairs with the release in `engine.claimSlot`.
    const limit = @min(segment.header.session_limit.load(.acquire), segment.session_count);
    var found: ?*layout.SessionSlot = null;
    var csn: u64 = std.math.maxInt(u64);
    for (segment.sessions[0..limit]) |*slot| {
        const raw = slot.pin.load(.seq_cst);
        if (raw == layout.pin_none or raw == layout.pin_revoked) continue;
        const pin = layout.Pin.of(raw);
        if (pin.committing and slot.era.load(.seq_cst) < era) continue;
        if (pin.csn >= csn) continue;
        csn = pin.csn;
        found = slot;
    }
    return found;
}

fn isHalfUsed(segment: *const Segment) bool {
    const first = Segment.pageOf(segment.arena_ref);
    const end = Segment.pageOf(segment.limit_ref);
    var used: u32 = 0;
    for (segment.pages[first..end]) |*page| {
        if (page.load(.monotonic) != 0) used += 1; // a statistic
    }
    return used > (end - first) / 2;
}

const harness = @import("../testing/harness.zig");

fn running(pid: u32) ?os.Activity {
    return .{ .is_stopped = false, .ticks = pid };
}

fn stopped(pid: u32) ?os.Activity {
    return .{ .is_stopped = true, .ticks = pid };
}

fn unknown(_: u32) ?os.Activity {
    return null;
}

test "standstill: a commit is overtaken when its process is stopped, or has not run for long" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const session = &engine.context.session;
    const Case = struct { activityOf: *const fn (pid: u32) ?os.Activity, wait_ms: u64, is: bool };
    for ([_]Case{
        .{ .activityOf = stopped, .wait_ms = 1, .is = true },
        .{ .activityOf = running, .wait_ms = idle_limit_ms - 1, .is = false },
        .{ .activityOf = running, .wait_ms = idle_limit_ms, .is = true },
        .{ .activityOf = unknown, .wait_ms = 2 * idle_limit_ms, .is = false },
    }) |case| {
        var standstill: Standstill = .{};
        engine.pins.enterCommit(session);
        defer engine.pins.leaveCommit(session);

        standstill.lookBy(&world.segment, 1_000, case.activityOf);
        try std.testing.expect(!session.wasOvertaken()); // it may have begun just now
        standstill.lookBy(&world.segment, 1_000 + case.wait_ms, case.activityOf);
        try std.testing.expectEqual(case.is, session.wasOvertaken());
    }
    // One that has gone on between two looks is none that stands still.
    var standstill: Standstill = .{};
    engine.pins.enterCommit(session);
    standstill.lookBy(&world.segment, 1_000, stopped);
    engine.pins.leaveCommit(session);
    session.floor += 1;
    engine.pins.enterCommit(session);
    defer engine.pins.leaveCommit(session);
    standstill.lookBy(&world.segment, 1_100, stopped);
    try std.testing.expect(!session.wasOvertaken());
}

test "standstill: a stopped snapshot is revoked once the segment is half full" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const session = &engine.context.session;
    const snapshot = try engine.pins.open(std.testing.allocator, session);
    defer engine.pins.close(session, snapshot);
    var standstill: Standstill = .{};
    for (0..3) |_| standstill.lookBy(&world.segment, 1_000, stopped);
    try std.testing.expect(!engine.pins.isRevoked(session, snapshot));

    const first = Segment.pageOf(world.segment.arena_ref);
    const end = Segment.pageOf(world.segment.limit_ref);
    for (world.segment.pages[first..end]) |*page| page.raw |= 1;
    standstill.lookBy(&world.segment, 9_000, running);
    try std.testing.expect(!engine.pins.isRevoked(session, snapshot));
    standstill.lookBy(&world.segment, 9_000, stopped);
    try std.testing.expect(engine.pins.isRevoked(session, snapshot));
}
