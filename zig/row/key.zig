//! Index keys: the order-preserving encoding of one column's value in `u64` words (law 8 of
//! `docs/internals/row-image.md`). Keys of one column have the same number of words and are
//! compared word by word, the first word first.
//!
//! **Invariants.**
//!   * Equal keys are equal values; a smaller key is a smaller value; null is after every value.
//!   * One word holds: integers widened to 64 bits with the sign bit flipped when signed (bool and
//!     enum as unsigned), floats widened to f64 and totally ordered. Widening lets a search compare
//!     an i8 with 300 and an f32 with 0.1 by their mathematical values.
//!   * No value of a nullable one-word kind encodes to all ones, which is null: widened integers
//!     stay below it, and NaN is never stored.
//!   * The size at the end of text is at most `key_limit_max`, so no text is all ones.
//!
//! **Concurrency.** Pure functions.
//!
//! **Memory.** The caller owns all buffers.

const std = @import("std");
const assert = std.debug.assert;
const schema_module = @import("schema.zig");
const Column = schema_module.Column;
const Kind = schema_module.Kind;

pub const sign_bit: u64 = 1 << 63;
pub const null_word: u64 = std.math.maxInt(u64);
/// The first of the two words of null in a nullable 64-bit column; values have 0 there.
pub const null_first_word: u64 = 1;
/// Bytes of the size at the end of a text's key.
pub const text_length_size = 2;

/// Words of the longest key: text of the largest limit and its size.
pub const words_max = wordsOfText(schema_module.key_limit_max);

fn wordsOfText(limit: u32) u32 {
    return (limit + text_length_size + 7) / 8;
}

/// Words of every key of this column.
pub fn keyWordsCount(column: *const Column) u32 {
    return switch (column.kind) {
        .string, .bytes => wordsOfText(column.limit),
        .i64, .u64, .decimal, .timestamp => if (column.nullable) 2 else 1,
        .bool, .i8, .i16, .i32, .u8, .u16, .u32, .f32, .f64, .@"enum" => 1,
    };
}

/// Whether a word of the primary key, the tie, follows the key of a column in its index: so that
/// rows with equal keys lie there as results have them. Not where keys are unique.
pub fn hasTie(column: *const Column, primary: *const Column) bool {
    return !column.unique and column.position != primary.position;
}

/// The tie of a primary key: its own key, or of a longer text the first bytes. It never contradicts
/// the order of primary keys.
pub inline fn tieOf(primary: *const Column, image: [*]align(8) const u8) u64 {
    if (isTieWhole(primary)) {
        var word: [1]u64 = undefined;
        encodeKey(primary, image, &word);
        return word[0];
    }
    const bytes = image[primary.offset..][0..primary.size];
    const first = std.mem.readInt(u64, bytes[0..8], .little) >> 16; // behind the size
    const rest: u64 = if (bytes.len < 10) bytes[8] else std.mem.readInt(u16, bytes[8..10], .little);
    return @byteSwap(first | rest << 48);
}

/// Whether no two primary keys have the same tie.
pub fn isTieWhole(primary: *const Column) bool {
    return !primary.kind.isText() or keyWordsCount(primary) == 1;
}

/// Encodes the column's value in `image` into the first `keyWordsCount(column)` words of `out`.
pub fn encodeKey(column: *const Column, image: [*]align(8) const u8, out: []u64) void {
    const count = keyWordsCount(column);
    assert(out.len >= count);
    const words = out[0..count];
    if (column.nullable and column.isNull(image)) return encodeNull(column, words);
    switch (column.kind) {
        .string, .bytes => if (column.size == @sizeOf(u64)) {
            words[0] = encodeShort(image[column.offset..][0..@sizeOf(u64)]);
        } else encodeText(column.text(image), words),
        inline else => |kind| {
            words[0] = 0;
            words[count - 1] = encodeFixed(kind, column.value(kind, image));
        },
    }
}

/// Whether `words` are the key of the column's value in `image`.
pub fn isKeyOf(column: *const Column, image: [*]align(8) const u8, words: []const u64) bool {
    if (words.len == 1 and !column.kind.isText()) {
        if (column.nullable and column.isNull(image)) return words[0] == null_word;
        return words[0] == switch (column.kind) {
            .string, .bytes => unreachable, // asked above
            inline else => |kind| encodeFixed(kind, column.value(kind, image)),
        };
    }
    @setRuntimeSafety(false); // no pattern is written into the buffer first; `encodeKey` checks
    var buffer: [words_max]u64 = undefined;
    encodeKey(column, image, &buffer);
    return equal(buffer[0..words.len], words);
}

/// The key of null; it is after the key of every value.
pub fn encodeNull(column: *const Column, out: []u64) void {
    const words = out[0..keyWordsCount(column)];
    assert(column.nullable);
    @memset(words, null_word);
    // A nullable 64-bit integer has its own word for null, so that all of its values fit.
    if (words.len == 2 and !column.kind.isText()) {
        words[0] = null_first_word;
        words[1] = 0;
    }
}

/// The last word of the key of a value of fixed size.
pub inline fn encodeFixed(comptime kind: Kind, value: Kind.Value(kind)) u64 {
    return switch (kind) {
        .bool, .u8, .u16, .u32, .u64, .@"enum" => value,
        .i8, .i16, .i32, .i64, .decimal, .timestamp => encodeSigned(value),
        .f32, .f64 => encodeFloat(value),
        .string, .bytes => comptime unreachable,
    };
}

fn encodeSigned(value: i64) u64 {
    return @as(u64, @bitCast(value)) ^ sign_bit;
}

/// The total order of floats: negative ones with all bits flipped, others with the sign bit.
fn encodeFloat(value: f64) u64 {
    const bits: u64 = @bitCast(value);
    return if (bits & sign_bit != 0) ~bits else bits ^ sign_bit;
}

/// The bytes, zero padded, and their size in the last two bytes. `bytes` must leave room for it.
pub fn encodeText(bytes: []const u8, words: []u64) void {
    const size_total = words.len * 8;
    assert(bytes.len + 2 <= size_total);
    @memset(words, 0);
    const out = std.mem.sliceAsBytes(words);
    @memcpy(out[0..bytes.len], bytes);
    std.mem.writeInt(u16, out[size_total - 2 ..][0..2], @intCast(bytes.len), .big);
    for (words) |*word| word.* = std.mem.bigToNative(u64, word.*);
}

/// The same for text whose column is one word in an image: its size, and the bytes zero padded.
fn encodeShort(bytes: *const [@sizeOf(u64)]u8) u64 {
    const word = std.mem.readInt(u64, bytes, .little);
    return @byteSwap(word >> 16) | (word & 0xFFFF);
}

pub inline fn order(a: []const u64, b: []const u64) std.math.Order {
    assert(a.len == b.len);
    for (a, b) |x, y| {
        if (x != y) return if (x < y) .lt else .gt;
    }
    return .eq;
}

pub inline fn equal(a: []const u64, b: []const u64) bool {
    return order(a, b) == .eq;
}

const testing = std.testing;

fn testColumn(kind: Kind, nullable: bool, limit: u32) Column {
    return .{
        .kind = kind,
        .scale = 0,
        .nullable = nullable,
        .indexed = true,
        .unique = false,
        .position = 1,
        .offset = 8,
        .size = kind.fixedSize() orelse limit + 2,
        .limit = limit,
    };
}

fn testOrder(column: *const Column, images: []const [32]u8) !void {
    for (images, 0..) |*first, i| {
        for (images, 0..) |*second, j| {
            var a: [8]u64 align(8) = undefined;
            var b: [8]u64 align(8) = undefined;
            var first_aligned: [32]u8 align(8) = first.*;
            var second_aligned: [32]u8 align(8) = second.*;
            encodeKey(column, &first_aligned, &a);
            encodeKey(column, &second_aligned, &b);
            const count = keyWordsCount(column);
            try testing.expectEqual(std.math.order(i, j), order(a[0..count], b[0..count]));
        }
    }
}

test "key: fixed kinds sort by value, null last" {
    inline for (comptime std.enums.values(Kind)) |kind| {
        if (comptime kind.isText()) continue;
        const T = Kind.Value(kind);
        const values: []const T = if (kind == .bool)
            &.{ 0, 1 }
        else if (comptime kind.isFloat())
            &.{ -std.math.inf(T), -1.5, -std.math.floatTrueMin(T), 0, 0.1, 7, std.math.inf(T) }
        else if (std.math.minInt(T) == 0)
            &.{ 0, 1, 7, std.math.maxInt(T) - 1, std.math.maxInt(T) }
        else
            &.{ std.math.minInt(T), -2, -1, 0, 1, std.math.maxInt(T) };
        for ([_]bool{ false, true }) |nullable| {
            const column = testColumn(kind, nullable, 0);
            var images = [_][32]u8{@splat(0)} ** 8;
            for (values, 0..) |value, i| {
                @memcpy(images[i][8..][0..@sizeOf(T)], std.mem.asBytes(&value));
            }
            images[values.len][0] = 1;
            try testOrder(&column, images[0 .. values.len + @intFromBool(nullable)]);
        }
    }
}

test "key: text sorts by byte, a prefix first, null last" {
    const texts = [_][]const u8{
        "", "\x00", "\x00\x00", "A", "A\x00", "A\x00B", "AB", "B", "\xff\xff",
    };
    for ([_]Kind{ .string, .bytes }) |kind| {
        for ([_]u32{ 5, 6, 7, 20 }) |limit| {
            const column = testColumn(kind, true, limit);
            var images = [_][32]u8{@splat(0)} ** (texts.len + 1);
            for (texts, 0..) |text, i| {
                images[i][8] = @intCast(text.len);
                @memcpy(images[i][10..][0..text.len], text);
            }
            images[texts.len][0] = 1;
            try testOrder(&column, &images);
        }
    }
}

test "key: ties never contradict the order of primary keys, and are equal for long texts only" {
    const texts = [_][]const u8{
        "",         "\x00",         "a",         "aaaaaa",   "aaaaaaa",
        "aaaaaaaa", "aaaaaaaa\x00", "aaaaaaaaa", "aaaaaaab", "b",
    };
    const indexed = testColumn(.i64, false, 0);
    for ([_]u32{ 5, 6, 7, 8, 9, 20 }) |limit| {
        var primary = testColumn(.string, false, limit);
        primary.position = 0;
        try testing.expect(hasTie(&indexed, &primary));
        var previous: ?struct { text: []const u8, tie: u64 } = null;
        for (texts) |text| {
            if (text.len > limit) continue;
            var image: [32]u8 align(8) = @splat(0);
            @memset(image[primary.offset + primary.size ..], 0xFF); // another column
            image[8] = @intCast(text.len);
            @memcpy(image[10..][0..text.len], text);
            const tie = tieOf(&primary, &image);
            if (previous) |before| {
                var padded = [_][8]u8{ @splat(0), @splat(0) };
                for (&padded, [_][]const u8{ before.text, text }) |*out, bytes| {
                    const size = @min(bytes.len, out.len);
                    @memcpy(out[0..size], bytes[0..size]);
                }
                const same = limit > 6 and std.mem.eql(u8, &padded[0], &padded[1]);
                try testing.expectEqual(same, before.tie == tie);
                try testing.expect(before.tie <= tie);
            }
            previous = .{ .text = text, .tie = tie };
        }
    }
}

test "key: the number of words is that of the law" {
    const count = struct {
        fn of(kind: Kind, nullable: bool, limit: u32) u32 {
            return keyWordsCount(&testColumn(kind, nullable, limit));
        }
    }.of;
    try testing.expectEqual(1, count(.i32, true, 0));
    try testing.expectEqual(1, count(.f64, true, 0));
    try testing.expectEqual(1, count(.decimal, false, 0));
    try testing.expectEqual(2, count(.decimal, true, 0));
    try testing.expectEqual(1, count(.string, true, 6));
    try testing.expectEqual(2, count(.string, true, 7));
    try testing.expectEqual(words_max, count(.bytes, false, schema_module.key_limit_max));
}
