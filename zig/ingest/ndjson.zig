//! One JSON object on a line: keys are columns or their aliases.
//!
//! Strict RFC 8259, as `JSON.parse` is. Numbers go to numeric columns, `true` and `false` to bool,
//! strings to every kind: feeds quote their prices. A number for a string is its digits, as they
//! stand; for a bool, 1 or 0. A value under a key that is no column is checked and ignored. Two
//! keys for one column are a fault, since neither can be preferred.
//!
//! **Invariants.** Every path advances `index` or returns; nesting is bounded by `depth_max`.
//!
//! **Concurrency.** Only the plan's guesses are written, by the one parser that owns them.
//!
//! **Memory.** Strings are slices of the line, or of the scratch when they have escapes.

const std = @import("std");
const assert = std.debug.assert;
const number = @import("number.zig");
const text_module = @import("text.zig");
const field_module = @import("field.zig");
const plan_module = @import("plan.zig");
const Plan = plan_module.Plan;
const Field = plan_module.Field;
const Word = plan_module.Word;
const Target = field_module.Target;
const reject = @import("reject.zig");
const Fault = reject.Fault;
const Reason = reject.Reason;

const depth_max = 64;

const Error = error{ Malformed, LoneSurrogate };

/// Fills `target` from the line `input[start..end]`. Adds the keys that are no columns to
/// `unknown_count`.
pub fn parseLine(
    plan: *const Plan,
    input: []const u8,
    start: usize,
    end: usize,
    target: *Target,
    scratch: []u8,
    unknown_count: *u64,
) ?Fault {
    assert(start < end and end <= input.len);
    var cursor: Cursor = .{ .input = input, .index = start, .end = end };
    return parseObject(plan, &cursor, target, scratch, unknown_count) catch |err| switch (err) {
        error.Malformed => faultAt(start, cursor.index, .malformed, reject.field_none),
        error.LoneSurrogate => faultAt(start, cursor.index, .invalid_utf8, reject.field_none),
    };
}

fn parseObject(
    plan: *const Plan,
    cursor: *Cursor,
    target: *Target,
    scratch: []u8,
    unknown_count: *u64,
) Error!?Fault {
    const start = cursor.index;
    cursor.skipSpace();
    try cursor.expect('{');
    cursor.skipSpace();
    // One for each column; the key has none in the masks.
    var seen: u128 = 0;
    var guess = &plan.guesses[plan.names.len];
    if (!cursor.take('}')) while (true) {
        const key_start = cursor.index;
        try cursor.expect('"');
        const key = try decodeString(try cursor.string(), scratch);
        cursor.skipSpace();
        try cursor.expect(':');
        cursor.skipSpace();
        if (findName(plan, key, guess)) |index| {
            guess = &plan.guesses[index];
            const field = &plan.fields[plan.names[index].value];
            const bit = @as(u128, 1) << @intCast(field.position);
            if (seen & bit != 0) {
                return faultAt(start, key_start, .duplicate_field, field.position);
            }
            seen |= bit;
            const value_start = cursor.index;
            const fault = setValue(plan, field, cursor, target, scratch) catch |err| switch (err) {
                error.Malformed => return err,
                error.LoneSurrogate => .invalid_utf8,
            };
            if (fault) |reason| {
                return faultAt(start, value_start, reason, field.position);
            }
        } else {
            if (plan.flags & plan_module.flag_refuse_unknown != 0) {
                return faultAt(start, key_start, .unknown_field, reject.field_none);
            }
            unknown_count.* += 1;
            try cursor.skipValue(0);
        }
        cursor.skipSpace();
        if (cursor.take(',')) {
            cursor.skipSpace();
            continue;
        }
        try cursor.expect('}');
        break;
    };
    cursor.skipSpace();
    if (cursor.index != cursor.end) return error.Malformed;
    return null;
}

/// Lines of one feed have their keys in one order: the guess is the name that came next last time.
inline fn findName(plan: *const Plan, key: ?[]const u8, guess: *u16) ?u16 {
    const text = key orelse return null; // longer than any name
    if (guess.* < plan.names.len and std.mem.eql(u8, plan.names[guess.*].text, text)) {
        return guess.*;
    }
    const index = Word.find(plan.names, text) orelse return null;
    guess.* = index;
    return index;
}

fn setValue(
    plan: *const Plan,
    field: *const Field,
    cursor: *Cursor,
    target: *Target,
    scratch: []u8,
) Error!?Reason {
    switch (cursor.peek()) {
        '"' => {
            cursor.index += 1;
            const raw = try cursor.string();
            const text = try decodeString(raw, scratch) orelse return .too_long;
            if (plan.null_words.len > 0 and plan.isNullWord(text)) {
                return field_module.setNull(field, target);
            }
            return field_module.set(field, target, text, .text);
        },
        '-', '0'...'9' => {
            const text = cursor.numberText();
            switch (field.kind) {
                .string, .bytes, .@"enum", .bool => {
                    if (!number.isJson(text)) return error.Malformed;
                    if (field.kind == .bytes) return .wrong_kind;
                    return field_module.set(field, target, text, .text);
                },
                else => return field_module.set(field, target, text, .json),
            }
        },
        't', 'f' => {
            const text: []const u8 = if (cursor.peek() == 't') "true" else "false";
            try cursor.literal(text);
            if (field.kind != .bool) return .wrong_kind;
            return field_module.set(field, target, text, .text);
        },
        'n' => {
            try cursor.literal("null");
            return field_module.setNull(field, target);
        },
        '{', '[' => {
            try cursor.skipValue(0);
            return .wrong_kind;
        },
        else => return error.Malformed,
    }
}

const String = struct {
    /// Between the quotes.
    raw: []const u8,
    escaped: bool,
};

const Cursor = struct {
    input: []const u8,
    index: usize,
    end: usize,

    /// The byte at the cursor, or 0, which starts nothing in JSON.
    inline fn peek(cursor: *const Cursor) u8 {
        return if (cursor.index < cursor.end) cursor.input[cursor.index] else 0;
    }

    inline fn take(cursor: *Cursor, byte: u8) bool {
        if (cursor.peek() != byte) return false;
        cursor.index += 1;
        return true;
    }

    inline fn expect(cursor: *Cursor, byte: u8) Error!void {
        if (!cursor.take(byte)) return error.Malformed;
    }

    inline fn skipSpace(cursor: *Cursor) void {
        while (cursor.index < cursor.end) : (cursor.index += 1) {
            switch (cursor.input[cursor.index]) {
                ' ', '\t', '\r', '\n' => {},
                else => return,
            }
        }
    }

    fn literal(cursor: *Cursor, text: []const u8) Error!void {
        const rest = cursor.input[cursor.index..cursor.end];
        if (!std.mem.startsWith(u8, rest, text)) return error.Malformed;
        cursor.index += text.len;
    }

    /// The longest run of what numbers are made of; the grammar is checked by who reads it.
    inline fn numberText(cursor: *Cursor) []const u8 {
        const start = cursor.index;
        while (cursor.index < cursor.end) : (cursor.index += 1) {
            switch (cursor.input[cursor.index]) {
                '0'...'9', '.', '-', '+', 'e', 'E' => {},
                else => break,
            }
        }
        return cursor.input[start..cursor.index];
    }

    /// Behind an opening quote: up to and over the closing one.
    inline fn string(cursor: *Cursor) Error!String {
        const start = cursor.index;
        const stop = text_module.findQuoteEscapeOrControl(cursor.input, start, cursor.end);
        cursor.index = stop;
        if (stop < cursor.end and cursor.input[stop] == '"') {
            cursor.index = stop + 1;
            return .{ .raw = cursor.input[start..stop], .escaped = false };
        }
        return cursor.stringEscaped(start);
    }

    noinline fn stringEscaped(cursor: *Cursor, start: usize) Error!String {
        while (cursor.index < cursor.end) {
            switch (cursor.input[cursor.index]) {
                '"' => {
                    cursor.index += 1;
                    const raw = cursor.input[start .. cursor.index - 1];
                    return .{ .raw = raw, .escaped = true };
                },
                '\\' => {
                    cursor.index += 1;
                    switch (cursor.peek()) {
                        '"', '\\', '/', 'b', 'f', 'n', 'r', 't' => cursor.index += 1,
                        'u' => {
                            if (cursor.end - cursor.index < 5) return error.Malformed;
                            const digits = cursor.input[cursor.index + 1 ..][0..4];
                            for (digits) |digit| {
                                if (!std.ascii.isHex(digit)) return error.Malformed;
                            }
                            cursor.index += 5;
                        },
                        else => return error.Malformed,
                    }
                },
                0...0x1f => return error.Malformed,
                else => cursor.index += 1,
            }
        }
        return error.Malformed;
    }

    /// Checks a value of any shape and passes over it.
    fn skipValue(cursor: *Cursor, depth: u32) Error!void {
        if (depth > depth_max) return error.Malformed;
        switch (cursor.peek()) {
            '"' => {
                cursor.index += 1;
                _ = try cursor.string();
            },
            '-', '0'...'9' => if (!number.isJson(cursor.numberText())) return error.Malformed,
            't' => try cursor.literal("true"),
            'f' => try cursor.literal("false"),
            'n' => try cursor.literal("null"),
            '[' => try cursor.skipList(']', depth),
            '{' => try cursor.skipList('}', depth),
            else => return error.Malformed,
        }
    }

    fn skipList(cursor: *Cursor, close: u8, depth: u32) Error!void {
        cursor.index += 1;
        cursor.skipSpace();
        if (cursor.take(close)) return;
        while (true) {
            if (close == '}') {
                try cursor.expect('"');
                _ = try cursor.string();
                cursor.skipSpace();
                try cursor.expect(':');
                cursor.skipSpace();
            }
            try cursor.skipValue(depth + 1);
            cursor.skipSpace();
            if (cursor.take(close)) return;
            try cursor.expect(',');
            cursor.skipSpace();
        }
    }
};

/// The text of a string whose escapes have been checked. Null when it is too large for `scratch`.
inline fn decodeString(string: String, scratch: []u8) Error!?[]const u8 {
    if (!string.escaped) return string.raw;
    return decodeEscapes(string.raw, scratch);
}

noinline fn decodeEscapes(raw: []const u8, scratch: []u8) Error!?[]const u8 {
    // Decoding never grows: \uXXXX is at most 3 bytes, a pair of them 4.
    if (raw.len > scratch.len) return null;
    var size: usize = 0;
    var index: usize = 0;
    while (index < raw.len) {
        if (raw[index] != '\\') {
            scratch[size] = raw[index];
            size += 1;
            index += 1;
            continue;
        }
        const letter = raw[index + 1];
        if (letter != 'u') {
            scratch[size] = switch (letter) {
                'b' => 8,
                'f' => 12,
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                else => letter,
            };
            size += 1;
            index += 2;
            continue;
        }
        var point: u21 = hexUnit(raw[index + 2 ..][0..4]);
        index += 6;
        if (point >= 0xd800 and point < 0xdc00) {
            if (raw.len - index < 6 or raw[index] != '\\' or raw[index + 1] != 'u') {
                return error.LoneSurrogate;
            }
            const low = hexUnit(raw[index + 2 ..][0..4]);
            if (low < 0xdc00 or low > 0xdfff) return error.LoneSurrogate;
            point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
            index += 6;
        }
        size += std.unicode.utf8Encode(point, scratch[size..]) catch return error.LoneSurrogate;
    }
    return scratch[0..size];
}

/// Four digits that have been checked.
fn hexUnit(digits: *const [4]u8) u16 {
    var unit: u16 = 0;
    for (digits) |digit| {
        unit = unit << 4 | (std.fmt.charToDigit(digit, 16) catch 0);
    }
    return unit;
}

fn faultAt(start: usize, index: usize, reason: Reason, field: u16) Fault {
    return .{ .reason = reason, .column = @intCast(index - start + 1), .field = field };
}
