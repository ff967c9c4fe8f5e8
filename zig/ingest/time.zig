//! Times out of text: ISO 8601, or a number of a known unit, as milliseconds since 1970.
//!
//! **Invariants.** A time without a zone is UTC. A time between two milliseconds is the one in
//! which it lies. Nothing passes through a float.
//!
//! **Concurrency.** Pure functions.
//!
//! **Memory.** None.

const std = @import("std");
const number = @import("number.zig");
const TimeUnit = @import("plan.zig").TimeUnit;

pub const Error = error{ NotTime, OutOfRange, TooPrecise };

/// Milliseconds that a JavaScript number holds exactly.
const exact_max = (1 << 53) - 1;
/// The years 0 to 9999, for numbers whose unit is known: a number of another unit lies outside.
const plausible_min = -62_167_219_200_000;
const plausible_max = 253_402_300_799_999;

/// The time that `text` is.
pub fn parse(text: []const u8, unit: TimeUnit, comptime grammar: number.Grammar) Error!i64 {
    return fromNumber(text, unit, grammar) catch |err| switch (err) {
        error.NotNumber, error.IsNan => {
            if (grammar == .json) return error.NotTime;
            return parseIso(text) orelse error.NotTime;
        },
        error.OutOfRange => error.OutOfRange,
        error.TooPrecise => error.TooPrecise,
    };
}

fn fromNumber(text: []const u8, unit: TimeUnit, comptime grammar: number.Grammar) number.Error!i64 {
    const scale: u8 = if (unit == .s) 3 else 0;
    const fixed = number.parseFixed(text, scale, grammar) catch |err| switch (err) {
        error.TooPrecise => if (unit == .exact)
            return err
        else
            try number.parseRounded(text, scale, .floor, grammar),
        else => return err,
    };
    const value = try fixed.toSigned();
    const millis = switch (unit) {
        .exact, .s, .ms => value,
        .us => @divFloor(value, 1_000),
        .ns => @divFloor(value, 1_000_000),
    };
    const min: i64, const max: i64 = if (unit == .exact)
        .{ -exact_max, exact_max }
    else
        .{ plausible_min, plausible_max };
    if (millis < min or millis > max) return error.OutOfRange;
    return millis;
}

/// `2024-01-02`, with `T` or a space and `03:04`, `03:04:05`, `03:04:05.123456789` after it, and
/// then `Z`, `UTC`, `+01`, `+0100` or `+01:00`. Null when it is something else.
fn parseIso(text: []const u8) ?i64 {
    var cursor: Cursor = .{ .text = text };
    const year = cursor.digits(4) orelse return null;
    if (!cursor.take('-')) return null;
    const month = cursor.digits(2) orelse return null;
    if (!cursor.take('-')) return null;
    const day = cursor.digits(2) orelse return null;
    if (month < 1 or month > 12 or day < 1 or day > daysOf(year, month)) return null;
    var millis = daysBefore(year, month, day) * std.time.ms_per_day;
    if (cursor.index == text.len) return millis;
    if (!cursor.take('T') and !cursor.take('t') and !cursor.take(' ')) return null;
    const hour = cursor.digits(2) orelse return null;
    if (!cursor.take(':')) return null;
    const minute = cursor.digits(2) orelse return null;
    var second: i64 = 0;
    if (cursor.take(':')) {
        second = cursor.digits(2) orelse return null;
        if (cursor.take('.') or cursor.take(',')) millis += cursor.fraction() orelse return null;
    }
    if (hour > 23 or minute > 59 or second > 60) return null;
    millis += (hour * 60 + minute) * std.time.ms_per_min + second * std.time.ms_per_s;
    const offset = cursor.zone() orelse return null;
    if (cursor.index != text.len) return null;
    return millis - offset * std.time.ms_per_min;
}

const Cursor = struct {
    text: []const u8,
    index: usize = 0,

    fn take(cursor: *Cursor, byte: u8) bool {
        if (cursor.index >= cursor.text.len or cursor.text[cursor.index] != byte) return false;
        cursor.index += 1;
        return true;
    }

    fn digits(cursor: *Cursor, count: usize) ?i64 {
        if (cursor.text.len - cursor.index < count) return null;
        var value: i64 = 0;
        for (cursor.text[cursor.index..][0..count]) |byte| {
            if (!std.ascii.isDigit(byte)) return null;
            value = value * 10 + (byte - '0');
        }
        cursor.index += count;
        return value;
    }

    /// The milliseconds of a fraction of a second; further digits are passed over.
    fn fraction(cursor: *Cursor) ?i64 {
        const start = cursor.index;
        var millis: i64 = 0;
        var place: i64 = 100;
        while (cursor.index < cursor.text.len) : (cursor.index += 1) {
            const byte = cursor.text[cursor.index];
            if (!std.ascii.isDigit(byte)) break;
            millis += (byte - '0') * place;
            place = @divTrunc(place, 10);
        }
        return if (cursor.index == start) null else millis;
    }

    /// Minutes east of UTC.
    fn zone(cursor: *Cursor) ?i64 {
        _ = cursor.take(' ');
        if (cursor.index == cursor.text.len) return 0;
        if (cursor.take('Z') or cursor.take('z')) return 0;
        const rest = cursor.text[cursor.index..];
        if (std.mem.eql(u8, rest, "UTC") or std.mem.eql(u8, rest, "GMT")) {
            cursor.index = cursor.text.len;
            return 0;
        }
        const sign: i64 = if (cursor.take('-')) -1 else if (cursor.take('+')) 1 else return null;
        const hours = cursor.digits(2) orelse return null;
        var minutes: i64 = 0;
        const colon = cursor.take(':');
        if (colon or cursor.index < cursor.text.len) minutes = cursor.digits(2) orelse return null;
        if (hours > 23 or minutes > 59) return null;
        return sign * (hours * 60 + minutes);
    }
};

fn isLeap(year: i64) bool {
    return @mod(year, 4) == 0 and (@mod(year, 100) != 0 or @mod(year, 400) == 0);
}

fn daysOf(year: i64, month: i64) i64 {
    return switch (month) {
        2 => if (isLeap(year)) 29 else 28,
        4, 6, 9, 11 => 30,
        else => 31,
    };
}

/// Days from 1970-01-01 to a date, by years that begin in March.
fn daysBefore(year: i64, month: i64, day: i64) i64 {
    const shifted = if (month <= 2) year - 1 else year;
    const era = @divFloor(shifted, 400);
    const of_era = shifted - era * 400;
    const of_year = @divFloor(153 * @mod(month + 9, 12) + 2, 5) + day - 1;
    const days = of_era * 365 + @divFloor(of_era, 4) - @divFloor(of_era, 100) + of_year;
    return era * 146_097 + days - 719_468;
}

const testing = std.testing;

test "time: ISO 8601 with and without a zone, to the millisecond in which it lies" {
    const cases = .{
        .{ "1970-01-01", 0 },
        .{ "2024-01-02T03:04:05.123456789Z", 1_704_164_645_123 },
        .{ "2024-01-02 03:04:05", 1_704_164_645_000 },
        .{ "2024-01-02T03:04", 1_704_164_640_000 },
        .{ "2024-01-02T04:04:05+01:00", 1_704_164_645_000 },
        .{ "2024-01-02T04:04:05.5+0100", 1_704_164_645_500 },
        .{ "2024-01-01T22:04:05-05", 1_704_164_645_000 },
        .{ "2024-01-02 03:04:05 +00:00", 1_704_164_645_000 },
        .{ "2024-02-29t00:00:00z", 1_709_164_800_000 },
        .{ "2024-01-02 03:04:05 UTC", 1_704_164_645_000 },
        .{ "1969-12-31T23:59:59.999Z", -1 },
        .{ "2000-03-01", 951_868_800_000 },
        .{ "0000-01-01", -62_167_219_200_000 },
        .{ "9999-12-31T23:59:59.999", 253_402_300_799_999 },
    };
    inline for (cases) |case| {
        try testing.expectEqual(@as(i64, case[1]), try parse(case[0], .exact, .text));
    }
    for ([_][]const u8{
        "",                     "2024x",               "2024-13-01",         "2023-02-29",
        "2024-01-32",           "2024-01-02T",         "2024-01-02T03",      "2024-01-02T24:00",
        "2024-01-02T03:60",     "2024-01-02T03:04:5",  "2024-01-02x",        "24-01-02",
        "2024-01-02T03:04:05.", "2024-01-02T03:04+1",  "2024-01-02T03:04ZZ", "2024-1-2",
        "now",                  "2024-01-02T03:04:61", "2024/01/02",         "nan",
    }) |text| {
        try testing.expectError(error.NotTime, parse(text, .exact, .text));
    }
}

test "time: numbers of every unit, and what cannot be one of it" {
    try testing.expectEqual(1_700_000_000_500, try parse("1700000000.5", .s, .text));
    try testing.expectEqual(1_700_000_000_123, try parse("1700000000.1239", .s, .json));
    try testing.expectEqual(1_700_000_000_123, try parse("1700000000123", .ms, .json));
    try testing.expectEqual(1_700_000_000_123, try parse("1700000000123.9", .ms, .json));
    try testing.expectEqual(1_700_000_000_123, try parse("1700000000123999", .us, .text));
    try testing.expectEqual(1_700_000_000_123, try parse("1700000000123999999", .ns, .text));
    try testing.expectEqual(-1, try parse("-0.0001", .s, .text));
    try testing.expectEqual(1_704_164_645_000, try parse("2024-01-02T03:04:05Z", .s, .text));
    try testing.expectError(error.OutOfRange, parse("1700000000123", .s, .text));
    try testing.expectError(error.OutOfRange, parse("1700000000123456", .ms, .text));
    try testing.expectError(error.TooPrecise, parse("1.5", .exact, .text));
    try testing.expectEqual(exact_max, try parse("9007199254740991", .exact, .text));
    try testing.expectError(error.OutOfRange, parse("9007199254740992", .exact, .text));
    try testing.expectError(error.NotTime, parse("2024-01-02", .s, .json));
}
