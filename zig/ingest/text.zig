//! Searching and checking bytes of input: vectors over whole blocks, plain loops over the rest.
//!
//! **Invariants.** Nothing is read outside the slices given.
//!
//! **Concurrency.** Pure functions.
//!
//! **Memory.** None.

const std = @import("std");

const block_size = 16;
const Block = @Vector(block_size, u8);
const Bits = std.meta.Int(.unsigned, block_size);

/// The first position at or after `start` and before `end` of one of `needles`, else `end`.
/// A block may be read beyond `end`, never beyond `input`: short fields in the middle of a large
/// input cost one block each.
pub inline fn findAny(
    comptime needles: []const u8,
    input: []const u8,
    start: usize,
    end: usize,
) usize {
    var index = start;
    while (index < end) {
        if (index + block_size > input.len) return findAnyTail(needles, input, index, end);
        const block: Block = input[index..][0..block_size].*;
        var hits: Bits = 0;
        inline for (needles) |needle| {
            hits |= @bitCast(block == @as(Block, @splat(needle)));
        }
        if (hits != 0) return @min(end, index + @ctz(hits));
        index += block_size;
    }
    return end;
}

noinline fn findAnyTail(
    comptime needles: []const u8,
    input: []const u8,
    start: usize,
    end: usize,
) usize {
    for (input[start..end], start..) |byte, index| {
        inline for (needles) |needle| {
            if (byte == needle) return index;
        }
    }
    return end;
}

/// As `findAny`, for needles that are known only at run time.
pub inline fn findByte(needle: u8, input: []const u8, start: usize, end: usize) usize {
    var index = start;
    while (index < end) {
        if (index + block_size > input.len) break;
        const block: Block = input[index..][0..block_size].*;
        const hits: Bits = @bitCast(block == @as(Block, @splat(needle)));
        if (hits != 0) return @min(end, index + @ctz(hits));
        index += block_size;
    }
    if (index >= end) return end;
    for (input[index..end], index..) |byte, at| {
        if (byte == needle) return at;
    }
    return end;
}

/// As `findByte`, for either of two needles.
pub inline fn findEither(a: u8, b: u8, input: []const u8, start: usize, end: usize) usize {
    var index = start;
    while (index < end) {
        if (index + block_size > input.len) break;
        const block: Block = input[index..][0..block_size].*;
        const first: Bits = @bitCast(block == @as(Block, @splat(a)));
        const second: Bits = @bitCast(block == @as(Block, @splat(b)));
        const hits = first | second;
        if (hits != 0) return @min(end, index + @ctz(hits));
        index += block_size;
    }
    if (index >= end) return end;
    for (input[index..end], index..) |byte, at| {
        if (byte == a or byte == b) return at;
    }
    return end;
}

/// As `findAny`, for what ends the plain part of a JSON string: a quote, a backslash or a control
/// character.
pub inline fn findQuoteEscapeOrControl(input: []const u8, start: usize, end: usize) usize {
    var index = start;
    while (index + block_size <= input.len and index < end) : (index += block_size) {
        const block: Block = input[index..][0..block_size].*;
        const quotes: Bits = @bitCast(block == @as(Block, @splat('"')));
        const escapes: Bits = @bitCast(block == @as(Block, @splat('\\')));
        const controls: Bits = @bitCast(block < @as(Block, @splat(0x20)));
        const hits = quotes | escapes | controls;
        if (hits != 0) return @min(end, index + @ctz(hits));
    }
    while (index < end) : (index += 1) {
        switch (input[index]) {
            '"', '\\', 0...0x1f => return index,
            else => {},
        }
    }
    return end;
}

/// Whether all bytes are ASCII, or the whole is valid UTF-8 otherwise.
pub inline fn isUtf8(text: []const u8) bool {
    if (isAscii(text)) return true;
    return std.unicode.utf8ValidateSlice(text);
}

inline fn isAscii(text: []const u8) bool {
    var index: usize = 0;
    while (index + block_size <= text.len) : (index += block_size) {
        const block: Block = text[index..][0..block_size].*;
        if (@as(Bits, @bitCast(block >= @as(Block, @splat(0x80)))) != 0) return false;
    }
    if (index + 8 <= text.len) {
        const word = std.mem.readInt(u64, text[index..][0..8], .little);
        if (word & 0x8080_8080_8080_8080 != 0) return false;
        index += 8;
    }
    var rest: u8 = 0;
    for (text[index..]) |byte| rest |= byte;
    return rest < 0x80;
}

/// Decodes pairs of hexadecimal digits. Null when `text` is not that, or `out` is too small for it.
pub fn decodeHex(text: []const u8, out: []u8) ?[]u8 {
    if (text.len % 2 != 0 or text.len / 2 > out.len) return null;
    return std.fmt.hexToBytes(out, text) catch null;
}

const testing = std.testing;

test "text: a search finds the first needle, at every length and place" {
    var buffer: [70]u8 = undefined;
    for (0..buffer.len) |size| {
        @memset(&buffer, 'x');
        try testing.expectEqual(size, findAny("\t\n", buffer[0..size], 0, size));
        for (0..size) |place| {
            @memset(&buffer, 'x');
            buffer[place] = if (place % 2 == 0) '\t' else '\n';
            if (place + 3 < size) buffer[place + 3] = '\t';
            const input = buffer[0..size];
            try testing.expectEqual(place, findAny("\t\n", input, 0, size));
            try testing.expectEqual(place, findByte(buffer[place], input, 0, size));
            try testing.expectEqual(place, findEither('\n', '\t', input, 0, size));
            try testing.expectEqual(place, findByte('\t', input, 0, place));
            try testing.expectEqual(place, findEither('\t', '\n', input, place, size));
            try testing.expectEqual(place, findAny("\t\n", input, 0, place));
            try testing.expectEqual(place, findAny("\t\n", input, place, size));
        }
    }
}

test "text: ascii and utf-8 are told from other bytes" {
    var buffer: [40]u8 = undefined;
    for (0..buffer.len) |size| {
        @memset(&buffer, 'a');
        try testing.expect(isUtf8(buffer[0..size]));
        for (0..size) |place| {
            @memset(&buffer, 'a');
            buffer[place] = 0xff;
            try testing.expect(!isUtf8(buffer[0..size]));
        }
    }
    try testing.expect(isUtf8("Zürich ✈ 0123456789"));
    try testing.expect(!isUtf8("\xed\xa0\x80"));
    try testing.expect(!isUtf8("\xc0\xaf"));
}

test "text: hexadecimal" {
    var out: [2]u8 = undefined;
    try testing.expectEqualSlices(u8, &.{ 0xaB, 0x01 }, decodeHex("aB01", &out).?);
    try testing.expectEqual(0, decodeHex("", &out).?.len);
    for ([_][]const u8{ "a", "zz", "010203" }) |bad| {
        try testing.expectEqual(null, decodeHex(bad, &out));
    }
}
