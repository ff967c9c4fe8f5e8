//! Where the time of an execution goes, for whoever asks (`explain` with `analyze`): each lap adds
//! the time since the one before to a step.
//!
//! **Concurrency.** Private to one execution.

const std = @import("std");

pub const Step = enum {
    /// Finding rows: entries, slots, versions. Where several threads scan, their tests, too.
    read,
    /// Residual clauses and groups.
    test_rows,
    sort,
    /// Images to the caller's buffer.
    copy,
};

pub const Meter = struct {
    /// Nanoseconds from any start.
    clock: *const fn () u64,
    last: u64,
    elapsed_ns: std.EnumArray(Step, u64) = .initFill(0),

    pub fn start(clock: *const fn () u64) Meter {
        return .{ .clock = clock, .last = clock() };
    }

    /// Passes over what happened since the last lap.
    pub fn skip(meter: *Meter) void {
        meter.last = meter.clock();
    }

    pub fn lap(meter: *Meter, step: Step) void {
        const now = meter.clock();
        meter.elapsed_ns.getPtr(step).* += now -| meter.last;
        meter.last = now;
    }
};

test "meter: a lap gives its step the time since the one before" {
    const Fake = struct {
        var now: u64 = 100;

        fn clock() u64 {
            return now;
        }
    };
    var meter: Meter = .start(Fake.clock);
    Fake.now = 107;
    meter.lap(.read);
    Fake.now = 1_000;
    meter.skip();
    Fake.now = 1_003;
    meter.lap(.read);
    Fake.now = 1_004;
    meter.lap(.sort);
    try std.testing.expectEqual(10, meter.elapsed_ns.get(.read));
    try std.testing.expectEqual(0, meter.elapsed_ns.get(.test_rows));
    try std.testing.expectEqual(1, meter.elapsed_ns.get(.sort));
}
