//! How many schedules a test runs, and how a failing one is replayed.
//!
//!   AEROSTORE_SEED=17 zig build test -Dtest-filter='<name of the test>'     only that one
//!   AEROSTORE_SCHEDULES=20 zig build test                                  twenty times as many
//! AEROSTORE_VERBOSE=1 zig build test                                     says how many schedules a
//!   test ran
const std = @import("std");

pub const Range = struct {
    next_seed: u64,
    end: u64,

    pub fn next(range: *Range) ?u64 {
        if (range.next_seed >= range.end) return null;
        defer range.next_seed += 1;
        return range.next_seed;
    }
};

/// Seeds from 1 on, `count` of them unless the environment asks for more or for one.
pub fn of(count: u64) Range {
    if (number("AEROSTORE_SEED")) |seed| return .{ .next_seed = seed, .end = seed + 1 };
    return .{ .next_seed = 1, .end = 1 + count * (number("AEROSTORE_SCHEDULES") orelse 1) };
}

fn number(name: [*:0]const u8) ?u64 {
    const text = std.c.getenv(name) orelse return null;
    return std.fmt.parseInt(u64, std.mem.span(text), 10) catch null;
}

pub fn isVerbose() bool {
    return std.c.getenv("AEROSTORE_VERBOSE") != null;
}

pub fn failed(seed: u64, err: anyerror) void {
    std.debug.print("failed with {t}; to replay: AEROSTORE_SEED={d}\n", .{ err, seed });
}
