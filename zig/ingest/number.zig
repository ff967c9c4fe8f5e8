//! Numbers out of text, exactly: what the digits say, scaled to an integer, or rounded once to a
//! float.
//!
//! **Invariants.** No value passes through a float on its way to an integer or a decimal. A value
//! that the target cannot hold is an error, never wrapped, cut or rounded; a float is the nearest
//! one to the text.
//!
//! **Concurrency.** Pure functions.
//!
//! **Memory.** None.

const std = @import("std");
const assert = std.debug.assert;

pub const Error = error{
    /// The text is no decimal number.
    NotNumber,
    /// The value is beyond what the target can hold.
    OutOfRange,
    /// The value lies between two values of the target.
    TooPrecise,
    /// The text says NaN, which is not storable.
    IsNan,
};

/// What counts as a number. `text` also allows a leading plus, leading zeros and a bare point
/// (`+007`, `.5`, `5.`), and for floats `Infinity`; `json` is RFC 8259.
pub const Grammar = enum { text, json };

/// Sign and magnitude: holds every i64 and every u64.
pub const Fixed = struct {
    negative: bool,
    magnitude: u64,

    pub fn toSigned(fixed: Fixed) Error!i64 {
        const limit: u64 = 1 << 63;
        if (fixed.negative) {
            if (fixed.magnitude > limit) return error.OutOfRange;
            return @bitCast(0 -% fixed.magnitude);
        }
        if (fixed.magnitude >= limit) return error.OutOfRange;
        return @bitCast(fixed.magnitude);
    }

    pub fn toUnsigned(fixed: Fixed) Error!u64 {
        if (fixed.negative and fixed.magnitude != 0) return error.OutOfRange;
        return fixed.magnitude;
    }
};

/// Digits that always fit a u64, and the powers of ten that do.
const digits_fast_max = 19;
const powers_of_ten = powers: {
    var powers: [digits_fast_max + 1]u64 = undefined;
    for (&powers, 0..) |*power, exponent| power.* = std.math.pow(u64, 10, exponent);
    break :powers powers;
};

/// The value of `text` times 10^`scale`, when that is an integer of at most 64 bits.
pub fn parseFixed(text: []const u8, scale: u8, comptime grammar: Grammar) Error!Fixed {
    var index: usize = 0;
    const negative = text.len > 0 and text[0] == '-';
    if (negative or (grammar == .text and text.len > 0 and text[0] == '+')) index = 1;

    // The usual field: few digits, no exponent, no more decimals than the scale.
    const whole_start = index;
    var magnitude: u64 = 0;
    while (index < text.len) : (index += 1) {
        const digit = text[index] -% '0';
        if (digit > 9) break;
        magnitude = magnitude *% 10 +% digit;
    }
    const whole_size = index - whole_start;
    if (grammar == .json and whole_size > 1 and text[whole_start] == '0') return error.NotNumber;
    if (index == text.len) {
        if (whole_size == 0) return error.NotNumber;
        if (whole_size > digits_fast_max) return parseFixedSlow(text, scale, grammar);
        return scaled(negative, magnitude, scale);
    }
    if (text[index] != '.') return parseFixedSlow(text, scale, grammar);

    index += 1;
    const fraction_start = index;
    while (index < text.len) : (index += 1) {
        const digit = text[index] -% '0';
        if (digit > 9) return parseFixedSlow(text, scale, grammar);
        magnitude = magnitude *% 10 +% digit;
    }
    const fraction_size = index - fraction_start;
    if (fraction_size == 0 or whole_size == 0) return parseFixedSlow(text, scale, grammar);
    if (fraction_size > scale) return parseFixedSlow(text, scale, grammar);
    if (whole_size + fraction_size > digits_fast_max) return parseFixedSlow(text, scale, grammar);
    return scaled(negative, magnitude, scale - @as(u8, @intCast(fraction_size)));
}

inline fn scaled(negative: bool, magnitude: u64, exponent: u8) Error!Fixed {
    assert(exponent <= digits_fast_max);
    const product, const overflow = @mulWithOverflow(magnitude, powers_of_ten[exponent]);
    if (overflow != 0) return error.OutOfRange;
    return .{ .negative = negative, .magnitude = product };
}

/// The parts of a number that is well formed.
const Parts = struct {
    negative: bool,
    whole: []const u8,
    fraction: []const u8,
    /// Saturated far outside anything that could matter.
    exponent: i64,

    const exponent_limit = 1_000_000_000_000;

    /// Number `index` of the digits before and after the point.
    fn digitAt(parts: *const Parts, index: usize) u8 {
        const whole = parts.whole;
        return (if (index < whole.len) whole[index] else parts.fraction[index - whole.len]) - '0';
    }

    fn split(text: []const u8, comptime grammar: Grammar) Error!Parts {
        var index: usize = 0;
        const negative = text.len > 0 and text[0] == '-';
        if (negative or (grammar == .text and text.len > 0 and text[0] == '+')) index = 1;
        const whole = digitsAt(text, index);
        index += whole.len;
        var fraction: []const u8 = "";
        if (index < text.len and text[index] == '.') {
            fraction = digitsAt(text, index + 1);
            index += 1 + fraction.len;
            if (grammar == .json and fraction.len == 0) return error.NotNumber;
        }
        switch (grammar) {
            .text => if (whole.len + fraction.len == 0) return error.NotNumber,
            .json => {
                if (whole.len == 0) return error.NotNumber;
                if (whole.len > 1 and whole[0] == '0') return error.NotNumber;
            },
        }
        var exponent: i64 = 0;
        if (index < text.len and (text[index] | 0x20) == 'e') {
            index += 1;
            const sign: i64 = if (index < text.len and text[index] == '-') -1 else 1;
            if (index < text.len and (text[index] == '-' or text[index] == '+')) index += 1;
            const digits = digitsAt(text, index);
            if (digits.len == 0) return error.NotNumber;
            index += digits.len;
            for (digits) |digit| {
                exponent = @min(exponent * 10 + (digit - '0'), exponent_limit);
            }
            exponent *= sign;
        }
        if (index != text.len) return error.NotNumber;
        return .{
            .negative = negative,
            .whole = whole,
            .fraction = fraction,
            .exponent = exponent,
        };
    }
};

/// Whether `text` is a number as JSON writes it.
pub fn isJson(text: []const u8) bool {
    _ = Parts.split(text, .json) catch return false;
    return true;
}

fn digitsAt(text: []const u8, start: usize) []const u8 {
    var end = start;
    while (end < text.len and std.ascii.isDigit(text[end])) end += 1;
    return text[start..end];
}

/// Every form: exponents, surplus zeros, more digits than a u64 has.
noinline fn parseFixedSlow(text: []const u8, scale: u8, comptime grammar: Grammar) Error!Fixed {
    const parts = try Parts.split(text, grammar);
    // The significant digits: the number without its leading and trailing zeros.
    const digits_max = 38; // fit a u128
    var digits: u128 = 0;
    var digit_count: usize = 0; // without leading zeros
    var zeros: usize = 0; // at the end so far, not yet part of `digits`
    var crowded = false;
    for ([_][]const u8{ parts.whole, parts.fraction }) |run| {
        for (run) |byte| {
            if (byte == '0') {
                if (digit_count > 0) zeros += 1;
                continue;
            }
            const steps = zeros + 1;
            digit_count += steps;
            zeros = 0;
            if (digit_count > digits_max) {
                crowded = true;
                continue;
            }
            for (1..steps) |_| digits *= 10;
            digits = digits * 10 + (byte - '0');
        }
    }
    if (digit_count == 0) return .{ .negative = parts.negative, .magnitude = 0 };

    const fraction_size: i64 = @intCast(parts.fraction.len);
    const shift = parts.exponent - fraction_size + @as(i64, @intCast(zeros)) + scale;
    // The last significant digit is not zero, so nothing behind the point can be dropped.
    if (shift < 0) return error.TooPrecise;
    if (crowded) return error.OutOfRange;
    if (@as(i64, @intCast(digit_count)) + shift > 20) return error.OutOfRange;
    for (0..@intCast(shift)) |_| digits *= 10;
    if (digits > std.math.maxInt(u64)) return error.OutOfRange;
    return .{ .negative = parts.negative, .magnitude = @intCast(digits) };
}

pub const Direction = enum { half_away, floor };

/// As `parseFixed`, but a value between two integers becomes one of them. For what was refused
/// there as too precise.
pub noinline fn parseRounded(
    text: []const u8,
    scale: u8,
    direction: Direction,
    comptime grammar: Grammar,
) Error!Fixed {
    const parts = try Parts.split(text, grammar);
    const whole_size: i64 = @intCast(parts.whole.len);
    const size: i64 = @intCast(parts.whole.len + parts.fraction.len);
    // Digits before this one are the integer's.
    const point = whole_size + parts.exponent + scale;
    var magnitude: u64 = 0;
    var index: i64 = 0;
    while (index < @min(point, size)) : (index += 1) {
        magnitude = try appendDigit(magnitude, parts.digitAt(@intCast(index)));
    }
    while (index < point and magnitude != 0) : (index += 1) {
        magnitude = try appendDigit(magnitude, 0);
    }
    const up = switch (direction) {
        .half_away => point >= 0 and point < size and parts.digitAt(@intCast(point)) >= 5,
        .floor => up: {
            var rest: usize = @intCast(@max(0, @min(point, size)));
            if (!parts.negative) break :up false;
            while (rest < size) : (rest += 1) {
                if (parts.digitAt(rest) != 0) break :up true;
            }
            break :up false;
        },
    };
    if (up) magnitude = std.math.add(u64, magnitude, 1) catch return error.OutOfRange;
    return .{ .negative = parts.negative, .magnitude = magnitude };
}

fn appendDigit(magnitude: u64, digit: u8) Error!u64 {
    const tens = std.math.mul(u64, magnitude, 10) catch return error.OutOfRange;
    return std.math.add(u64, tens, digit) catch return error.OutOfRange;
}

/// The float nearest to the text. -0 becomes 0, as the row image wants it.
pub fn parseFloat(comptime T: type, text: []const u8, comptime grammar: Grammar) Error!T {
    // Checked first: the standard parser also takes hexadecimal, underscores and words.
    _ = Parts.split(text, grammar) catch |err| switch (err) {
        error.NotNumber => return parseFloatWord(T, text),
        error.OutOfRange, error.TooPrecise, error.IsNan => return err,
    };
    const value = std.fmt.parseFloat(T, text) catch return error.NotNumber;
    if (std.math.isInf(value)) return error.OutOfRange;
    return if (value == 0) 0 else value;
}

fn parseFloatWord(comptime T: type, text: []const u8) Error!T {
    const negative = text.len > 0 and text[0] == '-';
    const word = if (negative or (text.len > 0 and text[0] == '+')) text[1..] else text;
    if (std.ascii.eqlIgnoreCase(word, "nan")) return error.IsNan;
    if (std.ascii.eqlIgnoreCase(word, "inf") or std.ascii.eqlIgnoreCase(word, "infinity")) {
        return if (negative) -std.math.inf(T) else std.math.inf(T);
    }
    return error.NotNumber;
}

const testing = std.testing;

fn expectFixed(expected: i128, text: []const u8, scale: u8) !void {
    const fixed = try parseFixed(text, scale, .text);
    const magnitude: i128 = fixed.magnitude;
    try testing.expectEqual(expected, if (fixed.negative) -magnitude else magnitude);
}

test "number: digits become integers and scaled decimals" {
    try expectFixed(0, "0", 0);
    try expectFixed(38000, "38000", 0);
    try expectFixed(38000, "38000.0", 0);
    try expectFixed(38000, "3.8e4", 0);
    try expectFixed(-7, "-7", 0);
    try expectFixed(7, "+007", 0);
    try expectFixed(46_679_232, "46.679232", 6);
    try expectFixed(46_600_000, "46.6", 6);
    try expectFixed(46_600_000, "46.60000000000000000000000", 6);
    try expectFixed(500_000, ".5", 6);
    try expectFixed(5_000_000, "5.", 6);
    try expectFixed(1, "0.000001", 6);
    try expectFixed(1, "1E-6", 6);
    try expectFixed(-1, "-0.000001", 6);
    try expectFixed(0, "-0", 3);
    try expectFixed(0, "0e999999999999999999999", 3);
    try expectFixed(18446744073709551615, "18446744073709551615", 0);
    try expectFixed(18446744073709551615, "1844674407370955.1615", 4);
    try expectFixed(18446744073709551615, "00000000000000000000018446744073709551615", 0);
    try expectFixed(1, "100000000000000000000000000000000000000000000000e-47", 0);
}

test "number: what does not fit is refused with the right reason" {
    const cases = .{
        .{ "", 0, error.NotNumber },
        .{ "-", 0, error.NotNumber },
        .{ "+-1", 0, error.NotNumber },
        .{ ".", 6, error.NotNumber },
        .{ "1.2.3", 6, error.NotNumber },
        .{ "1e", 6, error.NotNumber },
        .{ "1e+", 6, error.NotNumber },
        .{ "1_000", 0, error.NotNumber },
        .{ "0x10", 0, error.NotNumber },
        .{ " 1", 0, error.NotNumber },
        .{ "1 ", 0, error.NotNumber },
        .{ "nan", 0, error.NotNumber },
        .{ "438.0795", 0, error.TooPrecise },
        .{ "46.6792321", 6, error.TooPrecise },
        .{ "1e-7", 6, error.TooPrecise },
        .{ "1e-999999999999999999999", 6, error.TooPrecise },
        .{ "18446744073709551616", 0, error.OutOfRange },
        .{ "1e20", 0, error.OutOfRange },
        .{ "1e999999999999999999999", 0, error.OutOfRange },
        .{ "18446744073709552", 6, error.OutOfRange },
        .{ "111111111111111111111111111111111111111111111", 0, error.OutOfRange },
        .{ "1.11111111111111111111111111111111111111111111", 3, error.TooPrecise },
    };
    inline for (cases) |case| {
        try testing.expectError(case[2], parseFixed(case[0], case[1], .text));
    }
}

test "number: json takes only the json grammar" {
    for ([_][]const u8{ "+1", "007", "-01", ".5", "5.", "5.e1", "-", "", "1e", "inf" }) |text| {
        try testing.expectError(error.NotNumber, parseFixed(text, 6, .json));
    }
    for ([_][]const u8{ "0", "-0", "0.5", "10", "1e3", "1E+3", "0.0" }) |text| {
        _ = try parseFixed(text, 6, .json);
    }
}

test "number: signed and unsigned limits" {
    const min = try parseFixed("-9223372036854775808", 0, .text);
    try testing.expectEqual(std.math.minInt(i64), try min.toSigned());
    try testing.expectError(error.OutOfRange, min.toUnsigned());
    const over = try parseFixed("9223372036854775808", 0, .text);
    try testing.expectError(error.OutOfRange, over.toSigned());
    const below = try parseFixed("-9223372036854775809", 0, .text);
    try testing.expectError(error.OutOfRange, below.toSigned());
    const zero = try parseFixed("-0", 0, .text);
    try testing.expectEqual(0, try zero.toUnsigned());
    try testing.expectEqual(0, try zero.toSigned());
}

test "number: the fast and the slow way agree" {
    var state = std.Random.DefaultPrng.init(11);
    const random = state.random();
    var buffer: [64]u8 = undefined;
    for (0..50_000) |_| {
        const alphabet = "0123456789000.-e+";
        const size = random.intRangeAtMost(usize, 1, 24);
        for (buffer[0..size]) |*byte| {
            byte.* = alphabet[random.uintLessThan(usize, alphabet.len)];
        }
        const scale = random.uintLessThan(u8, 16);
        inline for (.{ Grammar.text, Grammar.json }) |grammar| {
            const fast = parseFixed(buffer[0..size], scale, grammar);
            const slow = parseFixedSlow(buffer[0..size], scale, grammar);
            if (slow) |value| {
                try testing.expectEqual(value.magnitude, (try fast).magnitude);
                try testing.expectEqual(value.negative, (try fast).negative);
            } else |err| {
                try testing.expectError(err, fast);
            }
        }
    }
}

test "number: rounding half away from zero, and down" {
    const cases = .{
        .{ "438.5", 0, 439, 438 },
        .{ "438.4999999999999999999999999999999999999999999", 0, 438, 438 },
        .{ "-438.5", 0, -439, -439 },
        .{ "-438.4", 0, -438, -439 },
        .{ "46.6792325", 6, 46_679_233, 46_679_232 },
        .{ "0.5", 0, 1, 0 },
        .{ "0.05", 0, 0, 0 },
        .{ "-0.05", 0, 0, -1 },
        .{ "5e-1", 0, 1, 0 },
        .{ "49e-2", 0, 0, 0 },
        .{ "1e-999999999999", 2, 0, 0 },
        .{ "1.5e3", 0, 1500, 1500 },
        .{ "9.99", 1, 100, 99 },
        .{ "0.000000000000000000000000000000000000000001e42", 0, 1, 1 },
    };
    inline for (cases) |case| {
        const Pair = struct { Direction, i128 };
        const both = [_]Pair{ .{ .half_away, case[2] }, .{ .floor, case[3] } };
        for (both) |each| {
            const direction, const expected = each;
            const fixed = try parseRounded(case[0], case[1], direction, .text);
            const magnitude: i128 = fixed.magnitude;
            try testing.expectEqual(expected, if (fixed.negative) -magnitude else magnitude);
        }
    }
    const over = "18446744073709551615.5";
    try testing.expectError(error.OutOfRange, parseRounded(over, 0, .half_away, .text));
    try testing.expectError(error.OutOfRange, parseRounded("1e99999", 0, .half_away, .text));
    try testing.expectError(error.NotNumber, parseRounded("x", 0, .half_away, .text));
}

test "number: floats are rounded once, and never NaN" {
    try testing.expectEqual(@as(f64, 0.1), try parseFloat(f64, "0.1", .text));
    try testing.expectEqual(@as(f32, 0.1), try parseFloat(f32, "0.1", .json));
    try testing.expectEqual(@as(f64, 5e-324), try parseFloat(f64, "5e-324", .json));
    try testing.expectEqual(@as(u64, 0), @as(u64, @bitCast(try parseFloat(f64, "-0.0", .json))));
    try testing.expectEqual(-std.math.inf(f64), try parseFloat(f64, "-Infinity", .text));
    try testing.expectError(error.OutOfRange, parseFloat(f64, "1e999", .text));
    try testing.expectError(error.OutOfRange, parseFloat(f32, "1e39", .text));
    try testing.expectError(error.IsNan, parseFloat(f64, "NaN", .text));
    for ([_][]const u8{ "", "0x1p3", "1_0", "e5", "1e5x", "+" }) |text| {
        try testing.expectError(error.NotNumber, parseFloat(f64, text, .text));
    }
}
