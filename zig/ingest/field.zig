//! One value into its column of a write record.
//!
//! **Invariants.** What is written keeps the laws of the row image: a null column's bytes are
//! zero, text is followed by zeros, floats are never NaN or -0. After a fault the record is
//! unusable and is not handed out.
//!
//! **Concurrency.** None: a record belongs to one parser.
//!
//! **Memory.** Writes inside the image given, at offsets that the schema has checked.

const std = @import("std");
const assert = std.debug.assert;
const number = @import("number.zig");
const time = @import("time.zig");
const text_module = @import("text.zig");
const plan_module = @import("plan.zig");
const Field = plan_module.Field;
const Word = plan_module.Word;
const Reason = @import("reject.zig").Reason;

/// A write record being filled. The masks live here until the line is done.
pub const Target = struct {
    image: [*]u8,
    named: u64,
    nulls: u64,
    has_key: bool,

    inline fn name(target: *Target, field: *const Field) void {
        target.named |= field.mask;
        target.nulls &= ~field.mask;
        if (field.position == 0) target.has_key = true;
    }

    inline fn store(target: *Target, offset: u32, comptime T: type, value: T) void {
        target.image[offset..][0..@sizeOf(T)].* = @bitCast(value);
    }
};

/// Sets a column from its text. Only the grammar of numbers depends on where the text comes from.
pub inline fn set(
    field: *const Field,
    target: *Target,
    text: []const u8,
    comptime grammar: number.Grammar,
) ?Reason {
    switch (field.kind) {
        .string => return setString(field, target, text),
        .decimal, .i64 => {
            const fixed = parseFixed(field, text, field.scale, grammar) catch |err| {
                return reasonOf(err);
            };
            const value = fixed.toSigned() catch |err| return reasonOf(err);
            target.store(field.offset, i64, value);
        },
        .timestamp => {
            const value = time.parse(text, field.time_unit, grammar) catch |err| {
                return switch (err) {
                    error.NotTime => .not_a_time,
                    error.OutOfRange => .out_of_range,
                    error.TooPrecise => .too_precise,
                };
            };
            target.store(field.offset, i64, value);
        },
        .i8 => return setSigned(i8, field, target, text, grammar),
        .i16 => return setSigned(i16, field, target, text, grammar),
        .i32 => return setSigned(i32, field, target, text, grammar),
        .u8 => return setUnsigned(u8, field, target, text, grammar),
        .u16 => return setUnsigned(u16, field, target, text, grammar),
        .u32 => return setUnsigned(u32, field, target, text, grammar),
        .u64 => return setUnsigned(u64, field, target, text, grammar),
        .f32 => return setFloat(f32, field, target, text, grammar),
        .f64 => return setFloat(f64, field, target, text, grammar),
        .bool => return setBool(field, target, text),
        .bytes => return setBytes(field, target, text),
        .@"enum" => return setEnum(field, target, text),
    }
    target.name(field);
    return null;
}

/// Sets a column to null.
pub fn setNull(field: *const Field, target: *Target) ?Reason {
    if (!field.nullable) return .not_nullable;
    const size = field.kind.fixedSize() orelse field.limit + 2;
    @memset(target.image[field.offset..][0..size], 0);
    target.named |= field.mask;
    target.nulls |= field.mask;
    return null;
}

/// Sets a column, neither string nor bytes, from an empty field: the label that is empty, else
/// null, else the default of an insert.
pub fn setEmpty(field: *const Field, target: *Target) ?Reason {
    if (Word.find(field.labels, "") != null) return setEnum(field, target, "");
    if (field.nullable) return setNull(field, target);
    return if (field.has_default) null else .empty_value;
}

inline fn parseFixed(
    field: *const Field,
    text: []const u8,
    scale: u8,
    comptime grammar: number.Grammar,
) number.Error!number.Fixed {
    return number.parseFixed(text, scale, grammar) catch |err| {
        if (err != error.TooPrecise or !field.round) return err;
        return number.parseRounded(text, scale, .half_away, grammar);
    };
}

inline fn setString(field: *const Field, target: *Target, text: []const u8) ?Reason {
    if (text.len > field.limit) return .too_long;
    if (text.len == 0 and field.position == 0) return .empty_key;
    if (!text_module.isUtf8(text)) return .invalid_utf8;
    const out = target.image + field.offset;
    out[0..2].* = @bitCast(@as(u16, @intCast(text.len)));
    copyShort(out + 2, text);
    if (field.has_template_text) @memset(out[2 + text.len .. 2 + field.limit], 0);
    target.name(field);
    return null;
}

/// A call of memcpy costs more than the few bytes of an identifier.
inline fn copyShort(out: [*]u8, text: []const u8) void {
    if (text.len > 16) {
        @memcpy(out[0..text.len], text);
    } else if (text.len >= 8) {
        out[0..8].* = text[0..8].*;
        out[text.len - 8 ..][0..8].* = text[text.len - 8 ..][0..8].*;
    } else if (text.len >= 4) {
        out[0..4].* = text[0..4].*;
        out[text.len - 4 ..][0..4].* = text[text.len - 4 ..][0..4].*;
    } else {
        for (text, 0..) |byte, index| out[index] = byte;
    }
}

inline fn setSigned(
    comptime T: type,
    field: *const Field,
    target: *Target,
    text: []const u8,
    comptime grammar: number.Grammar,
) ?Reason {
    const fixed = parseFixed(field, text, 0, grammar) catch |err| return reasonOf(err);
    const wide = fixed.toSigned() catch |err| return reasonOf(err);
    target.store(field.offset, T, std.math.cast(T, wide) orelse return .out_of_range);
    target.name(field);
    return null;
}

inline fn setUnsigned(
    comptime T: type,
    field: *const Field,
    target: *Target,
    text: []const u8,
    comptime grammar: number.Grammar,
) ?Reason {
    const fixed = parseFixed(field, text, 0, grammar) catch |err| return reasonOf(err);
    const wide = fixed.toUnsigned() catch |err| return reasonOf(err);
    target.store(field.offset, T, std.math.cast(T, wide) orelse return .out_of_range);
    target.name(field);
    return null;
}

fn setFloat(
    comptime T: type,
    field: *const Field,
    target: *Target,
    text: []const u8,
    comptime grammar: number.Grammar,
) ?Reason {
    const value = number.parseFloat(T, text, grammar) catch |err| return reasonOf(err);
    target.store(field.offset, T, value);
    target.name(field);
    return null;
}

fn setBool(field: *const Field, target: *Target, text: []const u8) ?Reason {
    const words = [_]struct { []const u8, u8 }{
        .{ "true", 1 }, .{ "false", 0 },
        .{ "t", 1 },    .{ "f", 0 },
        .{ "1", 1 },    .{ "0", 0 },
        .{ "yes", 1 },  .{ "no", 0 },
        .{ "y", 1 },    .{ "n", 0 },
        .{ "on", 1 },   .{ "off", 0 },
    };
    for (words) |word| {
        if (!std.ascii.eqlIgnoreCase(text, word[0])) continue;
        target.store(field.offset, u8, word[1]);
        target.name(field);
        return null;
    }
    return .not_a_bool;
}

fn setBytes(field: *const Field, target: *Target, text: []const u8) ?Reason {
    if (text.len == 0 and field.position == 0) return .empty_key;
    const out = target.image + field.offset;
    const room = out[2 .. 2 + field.limit];
    const bytes = text_module.decodeHex(text, room) orelse {
        return if (text.len % 2 == 0 and text.len / 2 > field.limit) .too_long else .not_hex;
    };
    out[0..2].* = @bitCast(@as(u16, @intCast(bytes.len)));
    if (field.has_template_text) @memset(room[bytes.len..], 0);
    target.name(field);
    return null;
}

fn setEnum(field: *const Field, target: *Target, text: []const u8) ?Reason {
    if (text.len == 0 and field.position == 0) return .empty_key;
    const index = Word.find(field.labels, text) orelse return .unknown_label;
    target.store(field.offset, u16, field.labels[index].value);
    target.name(field);
    return null;
}

fn reasonOf(err: number.Error) Reason {
    return switch (err) {
        error.NotNumber => .not_a_number,
        error.OutOfRange => .out_of_range,
        error.TooPrecise => .too_precise,
        error.IsNan => .is_nan,
    };
}
