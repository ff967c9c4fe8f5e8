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

/// The value of which a word of `encodeFixed` is.
pub fn decodeFixed(comptime kind: Kind, word: u64) Kind.Value(kind) {
    return switch (kind) {
        .bool, .u8, .u16, .u32, .u64, .@"enum" => @truncate(word),
        .i8, .i16, .i32, .i64, .decimal, .timestamp => decodeSigned(Kind.Value(kind), word),
        .f32, .f64 => @floatCast(@as(f64, @bitCast(
            if (word & sign_bit != 0) word ^ sign_bit else ~word,
        ))),
        .string, .bytes => comptime unreachable,
    };
}

fn decodeSigned(comptime T: type, word: u64) T {
    return @truncate(@as(i64, @bitCast(word ^ sign_bit)));
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

/// What the key of an index is made of.
pub const Source = union(schema_module.IndexKind) {
    column: *const Column,
    geo: Geo,

    pub const Geo = struct { latitude: *const Column, longitude: *const Column };

    pub fn of(schema: *const schema_module.Schema, index: *const schema_module.Index) Source {
        const first = &schema.columns[index.columns[0]];
        return switch (index.kind) {
            .column => .{ .column = first },
            .geo => .{ .geo = .{
                .latitude = first,
                .longitude = &schema.columns[index.columns[1]],
            } },
        };
    }

    pub fn wordsCount(source: Source) u32 {
        return switch (source) {
            .column => |column| keyWordsCount(column),
            .geo => 1,
        };
    }

    /// Whether a tie follows the key.
    pub fn isTied(source: Source, primary: *const Column) bool {
        return switch (source) {
            .column => |column| hasTie(column, primary),
            .geo => true,
        };
    }

    /// Encodes the key of an image into the first `wordsCount` words of `out`.
    pub inline fn encode(source: *const Source, image: [*]align(8) const u8, out: []u64) void {
        switch (source.*) {
            .column => |column| encodeKey(column, image, out),
            .geo => |*geo| out[0] = encodePosition(geo, image),
        }
    }

    /// Whether `words` are the key of an image.
    pub inline fn isKeyOf(
        source: *const Source,
        image: [*]align(8) const u8,
        words: []const u64,
    ) bool {
        return switch (source.*) {
            .column => |column| isKeyOf_(column, image, words),
            .geo => |*geo| words[0] == encodePosition(geo, image),
        };
    }

    /// Whether two images have the same key.
    pub inline fn isEqual(
        source: *const Source,
        a: [*]align(8) const u8,
        b: [*]align(8) const u8,
    ) bool {
        return switch (source.*) {
            .column => |column| column.isEqual(a, b),
            .geo => |*geo| encodePosition(geo, a) == encodePosition(geo, b),
        };
    }

    /// Whether an image has no value here.
    pub fn isNull(source: *const Source, image: [*]align(8) const u8) bool {
        return switch (source.*) {
            .column => |column| column.isNull(image),
            .geo => |*geo| geo.latitude.isNull(image) or geo.longitude.isNull(image),
        };
    }
};

const isKeyOf_ = isKeyOf;

/// Bits of each axis of a position.
pub const axis_bits = 31;
const axis_end: f64 = 1 << axis_bits;

/// The cell of a coordinate on its axis, from 0: `span` degrees are cut into 2^31 cells. What lies
/// beyond the ends is in the cell at the end.
pub fn cellOf(degrees: f64, span: f64) u32 {
    const cell = (degrees + span / 2) / span * axis_end;
    if (!(cell > 0)) return 0;
    if (cell >= axis_end) return (1 << axis_bits) - 1;
    return @intFromFloat(cell);
}

/// The cells of two axes on the Z-order curve: their bits in turn, the latitude's above the
/// longitude's.
pub fn interleave(latitude: u32, longitude: u32) u64 {
    return spread(latitude) << 1 | spread(longitude);
}

/// Puts a zero before every bit.
fn spread(cell: u32) u64 {
    var word: u64 = cell;
    word = (word | word << 16) & 0x0000_FFFF_0000_FFFF;
    word = (word | word << 8) & 0x00FF_00FF_00FF_00FF;
    word = (word | word << 4) & 0x0F0F_0F0F_0F0F_0F0F;
    word = (word | word << 2) & 0x3333_3333_3333_3333;
    return (word | word << 1) & 0x5555_5555_5555_5555;
}

/// The key of a position; all ones where a coordinate is null.
fn encodePosition(geo: *const Source.Geo, image: [*]align(8) const u8) u64 {
    const latitude = degreesOf(geo.latitude, image) orelse return null_word;
    const longitude = degreesOf(geo.longitude, image) orelse return null_word;
    return interleave(cellOf(latitude, 180), cellOf(longitude, 360));
}

const powers_of_ten = blk: {
    var powers: [schema_module.scale_max + 1]f64 = undefined;
    powers[0] = 1;
    for (powers[1..], powers[0 .. powers.len - 1]) |*power, before| power.* = before * 10;
    break :blk powers;
};

/// The degrees that a column of fractions holds in an image; null where it has none.
pub fn degreesOf(column: *const Column, image: [*]align(8) const u8) ?f64 {
    if (column.nullable and column.isNull(image)) return null;
    const degrees: f64 = switch (column.kind) {
        .decimal => @as(f64, @floatFromInt(column.value(.decimal, image))) /
            powers_of_ten[column.scale],
        .f32 => column.value(.f32, image),
        .f64 => column.value(.f64, image),
        .bool, .i8, .i16, .i32, .i64, .u8, .u16, .u32, .u64 => return null,
        .timestamp, .string, .bytes, .@"enum" => return null,
    };
    return if (std.math.isNan(degrees)) null else degrees; // never stored; memory is not trusted
}

const testing = std.testing;

test "key: positions near each other share the first bits, and null is after all" {
    var latitude = testColumn(.decimal, true, 0);
    latitude.scale = 6;
    var longitude = testColumn(.f64, false, 0);
    longitude.position = 2;
    longitude.offset = 16;
    const geo: Source = .{ .geo = .{ .latitude = &latitude, .longitude = &longitude } };
    const wordOf = struct {
        fn of(source: *const Source, lat: f64, lon: f64) u64 {
            var image: [32]u8 align(8) = @splat(0);
            const scaled: i64 = @intFromFloat(@round(lat * 1e6));
            @memcpy(image[8..16], std.mem.asBytes(&scaled));
            @memcpy(image[16..24], std.mem.asBytes(&lon));
            var words: [1]u64 = undefined;
            source.encode(&image, &words);
            std.debug.assert(source.isKeyOf(&image, &words));
            return words[0];
        }
    }.of;
    try testing.expectEqual(0, wordOf(&geo, -90, -180));
    try testing.expectEqual((1 << 62) - 1, wordOf(&geo, 90, 180));
    try testing.expectEqual((1 << 62) - 1, wordOf(&geo, 1000, std.math.inf(f64)));
    try testing.expectEqual(0, wordOf(&geo, -1000, -std.math.inf(f64)));
    try testing.expectEqual(3 << 60, wordOf(&geo, 0, 0));
    const here = wordOf(&geo, 47.45, 8.55);
    try testing.expect(@clz(here ^ wordOf(&geo, 47.4501, 8.5501)) > 24);
    try testing.expect(@clz(here ^ wordOf(&geo, -47.45, 8.55)) == 2);
    var image: [32]u8 align(8) = @splat(0);
    image[0] = 1;
    var words: [1]u64 = undefined;
    geo.encode(&image, &words);
    try testing.expectEqual(null_word, words[0]);
    try testing.expect(geo.isNull(&image));
}

test "key: a cell of each axis comes back from the curve" {
    var prng = std.Random.DefaultPrng.init(0x9e0);
    const random = prng.random();
    for (0..2_000) |_| {
        const latitude = random.int(u31);
        const longitude = random.int(u31);
        const word = interleave(latitude, longitude);
        var lat: u32 = 0;
        var lon: u32 = 0;
        for (0..axis_bits) |bit| {
            lon |= @as(u32, @truncate(word >> @intCast(2 * bit) & 1)) << @intCast(bit);
            lat |= @as(u32, @truncate(word >> @intCast(2 * bit + 1) & 1)) << @intCast(bit);
        }
        try testing.expectEqual(latitude, lat);
        try testing.expectEqual(longitude, lon);
    }
    try testing.expectEqual(0, cellOf(-90, 180));
    try testing.expectEqual(1 << 30, cellOf(0, 180));
    try testing.expectEqual((1 << 31) - 1, cellOf(90, 180));
}

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
