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
const limits = @import("../limits.zig");
const schema_module = @import("../table/schema.zig");
const Column = schema_module.Column;
const Kind = schema_module.Kind;

const sign_bit: u64 = 1 << 63;
const null_word: u64 = std.math.maxInt(u64);

/// Words of the longest key: text of the largest limit and its size.
pub const words_max = wordsOfText(schema_module.key_limit_max);

/// Bytes of text in the longest tie.
const tie_bytes = limits.tie_words_max * @sizeOf(u64) - @sizeOf(u16);

fn wordsOfText(limit: u32) u32 {
    return (limit + 2 + 7) / 8;
}

/// Words of every key of this column.
pub fn keyWordsCount(column: *const Column) u32 {
    return switch (column.kind) {
        .string, .bytes => wordsOfText(column.limit),
        .i64, .u64, .decimal, .timestamp => if (column.nullable) 2 else 1,
        .bool, .i8, .i16, .i32, .u8, .u16, .u32, .f32, .f64, .@"enum" => 1,
    };
}

/// Words of the tie that follows the key of a column in its index: it never contradicts the order of
/// primary keys, in which results have rows with equal keys. None where keys are unique.
pub fn tieWordsCount(column: *const Column, primary: *const Column) u32 {
    if (column.unique or column.position == primary.position) return 0;
    return @min(keyWordsCount(primary), limits.tie_words_max);
}

/// Encodes the tie of a primary key: its own key, or of a longer text the first bytes, and a size
/// above all.
pub inline fn encodeTie(primary: *const Column, image: [*]align(8) const u8, out: []u64) void {
    if (isTieWhole(primary)) return encodeKey(primary, image, out);
    Start.of(primary, image).encode(out);
}

/// The first bytes of a text with a limit above 6 as they lie in an image, behind its size.
const Start = struct {
    words: [2]u64,

    inline fn of(column: *const Column, image: [*]align(8) const u8) Start {
        const bytes = image[column.offset..][0..column.size];
        const rest = if (bytes.len >= 16)
            std.mem.readInt(u64, bytes[8..16], .little)
        else // the last word of the column, without what it shares with the first
            std.mem.readInt(u64, bytes[bytes.len - 8 ..][0..8], .little) >>
                @intCast(8 * (16 - bytes.len));
        return .{ .words = .{ std.mem.readInt(u64, bytes[0..8], .little), rest } };
    }

    inline fn size(start: Start) u64 {
        const whole = start.words[0] & 0xFFFF;
        return if (whole > tie_bytes) 0xFFFF else whole;
    }

    inline fn encode(start: Start, out: []u64) void {
        comptime assert(limits.tie_words_max == 2);
        out[0] = @byteSwap(start.words[0] >> 16 | start.words[1] << 48);
        out[1] = @byteSwap(start.words[1] >> 16) | start.size();
    }
};

/// Whether no two primary keys have the same tie.
pub fn isTieWhole(primary: *const Column) bool {
    return !primary.kind.isText() or primary.limit <= tie_bytes;
}

/// Whether two primary keys have the same tie.
pub inline fn isTieEqual(
    primary: *const Column,
    a: [*]align(8) const u8,
    b: [*]align(8) const u8,
) bool {
    if (isTieWhole(primary)) return primary.isEqual(a, b);
    const x: Start = .of(primary, a);
    const y: Start = .of(primary, b);
    if (x.words[1] != y.words[1] or (x.words[0] ^ y.words[0]) >> 16 != 0) return false;
    return x.size() == y.size();
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
        } else if (count == 2) {
            Start.of(column, image).encode(words);
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
        words[0] = 1;
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
        "",                "\x00",              "a",               "aaaaaa",
        "aaaaaaaaaaaaa",   "aaaaaaaaaaaaa\x00", "aaaaaaaaaaaaaa",  "aaaaaaaaaaaaaa\x00",
        "aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa",  "aaaaaaaaaaaaaab", "b",
    };
    const indexed = testColumn(.i64, false, 0);
    for ([_]u32{ 5, 6, 7, 13, 14, 15, 20 }) |limit| {
        var primary = testColumn(.string, false, limit);
        primary.position = 0;
        const count = tieWordsCount(&indexed, &primary);
        try testing.expectEqual(@min(2, wordsOfText(limit)), count);
        var previous: ?struct { image: [40]u8 align(8), words: [2]u64 } = null;
        for (texts) |text| {
            if (text.len > limit) continue;
            var image: [40]u8 align(8) = @splat(0);
            image[8] = @intCast(text.len);
            @memcpy(image[10..][0..text.len], text);
            var words: [2]u64 = .{ 0, 0 };
            encodeTie(&primary, &image, &words);
            if (previous) |*before| {
                const is_long = before.image[8] > 14 and text.len > 14;
                const same = is_long and std.mem.eql(u8, before.image[10..24], image[10..24]);
                try testing.expectEqual(
                    if (same) std.math.Order.eq else .lt,
                    order(&before.words, &words),
                );
                try testing.expectEqual(same, isTieEqual(&primary, &before.image, &image));
            }
            previous = .{ .image = image, .words = words };
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
