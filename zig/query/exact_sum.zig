//! The exact sum of floats: a fixed-point number wide enough for every f64. So a sum does not
//! depend on the order of its values or on how many threads added them, and is rounded once.
//!
//! **Invariants.** The sum is that of `digits[i] * 2^(32 i - 1074)`. A digit takes 2^31 additions
//! before it could overflow, which is more than a segment has rows; `merge` and `round` carry.
//!
//! **Concurrency, memory.** A value; private to one thread.

const std = @import("std");

const digit_bits = 32;
/// The lowest bit is 2^-1074, the highest of a value 2^1023; one more digit for carries, one for
/// the sign.
const digit_count = (1074 + 1024) / digit_bits + 3;

pub const ExactSum = struct {
    digits: [digit_count]i64,
    /// Infinities, which have no digits.
    infinite: f64,

    pub const zero: ExactSum = .{ .digits = @splat(0), .infinite = 0 };

    pub inline fn add(sum: *ExactSum, value: f64) void {
        const bits: u64 = @bitCast(value);
        const exponent: u32 = @intCast(bits >> 52 & 0x7FF);
        if (exponent == 0x7FF) {
            sum.infinite += value;
            return;
        }
        const fraction = bits & (1 << 52) - 1;
        const mantissa = if (exponent == 0) fraction else fraction | 1 << 52;
        const shift = if (exponent == 0) 0 else exponent - 1; // the place of the lowest bit
        const index = shift / digit_bits;
        const wide = @as(u128, mantissa) << @intCast(shift % digit_bits);
        const low: i64 = @intCast(@as(u32, @truncate(wide)));
        const middle: i64 = @intCast(@as(u32, @truncate(wide >> 32)));
        const high: i64 = @intCast(@as(u32, @truncate(wide >> 64)));
        if (bits >> 63 == 0) {
            sum.digits[index] += low;
            sum.digits[index + 1] += middle;
            sum.digits[index + 2] += high;
        } else {
            sum.digits[index] -= low;
            sum.digits[index + 1] -= middle;
            sum.digits[index + 2] -= high;
        }
    }

    pub fn merge(sum: *ExactSum, other: *const ExactSum) void {
        var addend = other.*;
        addend.carry();
        sum.carry();
        for (&sum.digits, addend.digits) |*digit, each| digit.* += each;
        sum.infinite += other.infinite;
    }

    /// All digits but the last from 0 up to 2^32; the sign is that of the last.
    fn carry(sum: *ExactSum) void {
        var rest: i64 = 0;
        for (sum.digits[0 .. digit_count - 1]) |*digit| {
            const total = digit.* + rest;
            rest = total >> digit_bits;
            digit.* = total & 0xFFFF_FFFF;
        }
        sum.digits[digit_count - 1] += rest;
    }

    /// The nearest f64, ties to even.
    pub fn round(sum: *const ExactSum) f64 {
        if (sum.infinite != 0 or std.math.isNan(sum.infinite)) return sum.infinite;
        var magnitude = sum.*;
        magnitude.carry();
        const is_negative = magnitude.digits[digit_count - 1] < 0;
        if (is_negative) {
            for (&magnitude.digits) |*digit| digit.* = -digit.*;
            magnitude.carry();
        }
        var top: usize = digit_count;
        while (top > 0 and magnitude.digits[top - 1] == 0) top -= 1;
        if (top == 0) return 0;
        // The highest 96 bits, and whether anything is below.
        const start = top -| 3;
        var head: u128 = 0;
        for (start..top) |i| {
            const place: u7 = @intCast((i - start) * digit_bits);
            head |= @as(u128, @intCast(magnitude.digits[i])) << place;
        }
        const is_inexact = for (magnitude.digits[0..start]) |digit| {
            if (digit != 0) break true;
        } else false;
        const power = @as(i32, @intCast(start)) * digit_bits - 1074;
        const value = scaled(head, is_inexact, power);
        return if (is_negative) -value else value;
    }
};

/// `head * 2^power`, and a little more when it is inexact, rounded once.
fn scaled(head: u128, is_inexact: bool, power: i32) f64 {
    const bits: i32 = 128 - @as(i32, @clz(head));
    // The lowest bit of the result: 53 bits, fewer where it is subnormal.
    const lowest = @max(power + bits - 53, -1074);
    const drop = lowest - power;
    if (drop <= 0) return std.math.ldexp(@as(f64, @floatFromInt(head)), power); // exact
    const shift: u7 = @intCast(@min(drop, 127));
    var kept = head >> shift;
    const rest = head & (@as(u128, 1) << shift) - 1;
    const half = @as(u128, 1) << (shift - 1);
    const is_above = rest > half or (rest == half and (is_inexact or kept & 1 == 1));
    kept += @intFromBool(is_above);
    return std.math.ldexp(@as(f64, @floatFromInt(kept)), lowest);
}

const testing = std.testing;

fn sumOf(values: []const f64) f64 {
    var sum: ExactSum = .zero;
    for (values) |value| sum.add(value);
    return sum.round();
}

test "exact sum: is rounded once, whatever cancels, in any order" {
    try testing.expectEqual(0, sumOf(&.{}));
    try testing.expectEqual(1, sumOf(&.{ 1e308, 1, -1e308 }));
    try testing.expectEqual(2, sumOf(&.{ 1, 1e100, 1, -1e100 }));
    try testing.expectEqual(0.3, sumOf(&.{ 0.1, 0.2, 1e-300, -1e-300 }) - 5.551115123125783e-17);
    try testing.expectEqual(5e-324, sumOf(&.{ 5e-324, 1e16, -1e16 }));
    try testing.expectEqual(-1.5, sumOf(&.{ -2, 0.5 }));
    try testing.expectEqual(9007199254740992, sumOf(&.{ 9007199254740992, 1 }));
    try testing.expectEqual(9007199254740994, sumOf(&.{ 9007199254740992, 1, 5e-324 }));
    try testing.expectEqual(std.math.inf(f64), sumOf(&.{ 1e308, 1e308 }));
    try testing.expectEqual(std.math.inf(f64), sumOf(&.{ 1, std.math.inf(f64) }));

    var random_state: std.Random.DefaultPrng = .init(7);
    const random = random_state.random();
    var values: [64]f64 = undefined;
    for (0..200) |_| {
        var forward: ExactSum = .zero;
        var parts: [2]ExactSum = @splat(.zero);
        for (&values) |*value| {
            const power = random.intRangeAtMost(i32, -60, 60);
            value.* = std.math.ldexp(random.floatNorm(f64), power);
            forward.add(value.*);
            parts[random.uintLessThan(usize, 2)].add(value.*);
        }
        random.shuffle(f64, &values);
        parts[0].merge(&parts[1]);
        try testing.expectEqual(forward.round(), sumOf(&values));
        try testing.expectEqual(forward.round(), parts[0].round());
    }
}
