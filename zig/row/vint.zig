//! Whole numbers of variable size, and the cursor that reads them back from bytes that are not
//! trusted.
//!
//! A `vint` takes 1 to 9 bytes. The number of zero bits below the lowest set bit of the first byte
//! is the number of bytes that follow; the value is what lies above that bit, little-endian. A
//! first byte of 0 is followed by 8 bytes of value. So the size is known from the first byte and
//! neither side needs a loop. A small value is an odd byte; nothing smaller than 2^56 begins with
//! 0.
//!
//! **Invariants.** Reading never goes past `Cursor.bytes` and never faults, whatever they hold.
//!
//! **Concurrency** and **Memory.** Pure; a cursor borrows its bytes.

const std = @import("std");

pub const size_max = 9;

pub const Error = error{
    /// The bytes end inside a value, or say what no encoder writes.
    Malformed,
};

pub inline fn size(value: u64) usize {
    const bits = 64 - @as(usize, @clz(value | 1));
    return if (bits > 56) 9 else (bits + 6) / 7;
}

/// Writes `value` at the front of `out` and returns its size. May use 9 bytes of `out` as scratch
/// whatever the size, so `out` has at least 9.
pub inline fn write(out: []u8, value: u64) usize {
    const used = size(value);
    if (used == 9) {
        out[0] = 0;
        std.mem.writeInt(u64, out[1..9], value, .little);
    } else {
        const shift: u6 = @intCast(used);
        const word = (value << 1 | 1) << (shift - 1);
        std.mem.writeInt(u64, out[0..8], word, .little);
    }
    return used;
}

/// Signed to unsigned, small magnitudes first: 0, -1, 1, -2, 2 …
pub inline fn zigzag(value: i64) u64 {
    return @bitCast((value << 1) ^ (value >> 63));
}

pub inline fn unzigzag(value: u64) i64 {
    return @bitCast((value >> 1) ^ (0 -% (value & 1)));
}

/// A column mask with its zero bytes left out: a byte that says which of the eight follow.
pub inline fn writeMask(out: []u8, mask: u64) usize {
    var used: usize = 1;
    var present: u8 = 0;
    var rest = mask;
    var position: u3 = 0;
    while (rest != 0) : ({
        rest >>= 8;
        position +%= 1;
    }) {
        if (rest & 0xff == 0) continue;
        present |= @as(u8, 1) << position;
        out[used] = @truncate(rest);
        used += 1;
    }
    out[0] = present;
    return used;
}

pub const Cursor = struct {
    bytes: []const u8,
    at: usize = 0,

    pub inline fn done(cursor: *const Cursor) bool {
        return cursor.at >= cursor.bytes.len;
    }

    pub inline fn byte(cursor: *Cursor) Error!u8 {
        if (cursor.at >= cursor.bytes.len) return error.Malformed;
        defer cursor.at += 1;
        return cursor.bytes[cursor.at];
    }

    pub inline fn slice(cursor: *Cursor, count: u64) Error![]const u8 {
        if (count > cursor.bytes.len - cursor.at) return error.Malformed;
        const start = cursor.at;
        cursor.at += @intCast(count);
        return cursor.bytes[start..cursor.at];
    }

    pub inline fn vint(cursor: *Cursor) Error!u64 {
        const rest = cursor.bytes[cursor.at..];
        if (rest.len < 9) return cursor.vintAtEnd();
        const first = rest[0];
        if (first == 0) {
            cursor.at += 9;
            return std.mem.readInt(u64, rest[1..9], .little);
        }
        const extra: u6 = @intCast(@ctz(first));
        cursor.at += @as(usize, extra) + 1;
        const word = std.mem.readInt(u64, rest[0..8], .little);
        // Bytes of the value and its mark, kept; then the mark shifted out.
        return word << (56 - extra * 8) >> (56 - extra * 8) >> (extra + 1);
    }

    fn vintAtEnd(cursor: *Cursor) Error!u64 {
        const rest = cursor.bytes[cursor.at..];
        if (rest.len == 0) return error.Malformed;
        const extra: u6 = @intCast(@ctz(@as(u16, rest[0]) | 0x100));
        if (rest.len < @as(usize, extra) + 1) return error.Malformed;
        cursor.at += @as(usize, extra) + 1;
        // Fewer than 9 bytes are left, so `extra` is at most 7 and the word holds them all.
        var padded: [8]u8 = @splat(0);
        @memcpy(padded[0 .. @as(usize, extra) + 1], rest[0 .. @as(usize, extra) + 1]);
        return std.mem.readInt(u64, &padded, .little) >> (extra + 1);
    }

    pub inline fn mask(cursor: *Cursor) Error!u64 {
        var present = try cursor.byte();
        var result: u64 = 0;
        while (present != 0) : (present &= present - 1) {
            const position: u6 = @intCast(@ctz(present));
            result |= @as(u64, try cursor.byte()) << (position * 8);
        }
        return result;
    }
};

const testing = std.testing;

fn expectRoundTrip(value: u64) !void {
    var out: [16]u8 = @splat(0xaa);
    const used = write(&out, value);
    try testing.expectEqual(size(value), used);
    // With and without room for the wide load behind it.
    for ([_]usize{ used, out.len }) |available| {
        var cursor: Cursor = .{ .bytes = out[0..available] };
        try testing.expectEqual(value, try cursor.vint());
        try testing.expectEqual(used, cursor.at);
    }
    for (0..used) |available| {
        var cursor: Cursor = .{ .bytes = out[0..available] };
        try testing.expectError(error.Malformed, cursor.vint());
    }
}

test "vint: every size comes back, and a cut one is refused" {
    try testing.expectEqual(1, size(0));
    try testing.expectEqual(1, size(127));
    try testing.expectEqual(2, size(128));
    try testing.expectEqual(8, size((1 << 56) - 1));
    try testing.expectEqual(9, size(1 << 56));
    try testing.expectEqual(9, size(std.math.maxInt(u64)));
    for (0..64) |bit| {
        const power = @as(u64, 1) << @intCast(bit);
        try expectRoundTrip(power - 1);
        try expectRoundTrip(power);
        try expectRoundTrip(power | 1);
    }
    try expectRoundTrip(std.math.maxInt(u64));
    var prng = std.Random.DefaultPrng.init(0x7a11);
    const random = prng.random();
    for (0..10_000) |_| {
        try expectRoundTrip(random.int(u64) >> random.int(u6));
    }
}

test "vint: zigzag and masks come back" {
    for ([_]i64{ 0, -1, 1, -2, 2, std.math.minInt(i64), std.math.maxInt(i64) }) |value| {
        try testing.expectEqual(value, unzigzag(zigzag(value)));
    }
    try testing.expectEqual(1, zigzag(-1));
    var prng = std.Random.DefaultPrng.init(0x7a12);
    const random = prng.random();
    for (0..10_000) |_| {
        const mask = random.int(u64) & random.int(u64) & random.int(u64) & random.int(u64);
        var out: [9]u8 = undefined;
        const used = writeMask(&out, mask);
        var cursor: Cursor = .{ .bytes = out[0..used] };
        try testing.expectEqual(mask, try cursor.mask());
        try testing.expect(cursor.done());
        var cut: Cursor = .{ .bytes = out[0 .. used - 1] };
        try testing.expectError(error.Malformed, cut.mask());
    }
}
