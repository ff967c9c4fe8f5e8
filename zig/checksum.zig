//! CRC32C (Castagnoli), the checksum of everything that Aerostore writes to a file.
//!
//! A checksum is a plain `u32`, in the usual form: initial value and final value inverted, the
//! empty input has 0. `update(update(0, a), b)` is the checksum of `a` followed by `b`, so a
//! checksum can be carried from one record to the next as its seed.
//!
//! **Invariants.** `update` gives the same value on every machine, whatever instructions it has.
//!
//! **Concurrency** and **Memory.** Pure functions over the caller's bytes.

const std = @import("std");
const builtin = @import("builtin");

/// The reversed polynomial.
const polynomial: u32 = 0x82f6_3b78;

/// True when the target has an instruction for it, and the compiler's back end can assemble it
/// (that of debug builds cannot).
pub const has_hardware = builtin.zig_backend == .stage2_llvm and switch (builtin.cpu.arch) {
    .x86_64 => builtin.cpu.has(.x86, .sse4_2),
    .aarch64 => builtin.cpu.has(.aarch64, .crc),
    else => false,
};

/// The checksum of what `seed` is the checksum of, followed by `bytes`.
pub inline fn update(seed: u32, bytes: []const u8) u32 {
    return if (has_hardware) updateHardware(seed, bytes) else updateTable(seed, bytes);
}

/// Three independent lanes hide the latency of the instruction (3 cycles, one a cycle).
const lane_size = 512;

fn updateHardware(seed: u32, bytes: []const u8) u32 {
    var crc: u32 = ~seed;
    var rest = bytes;
    while (rest.len >= 3 * lane_size) : (rest = rest[3 * lane_size ..]) {
        var a: u64 = crc;
        var b: u64 = 0;
        var c: u64 = 0;
        var offset: usize = 0;
        while (offset < lane_size) : (offset += 8) {
            a = step8(a, rest[offset..]);
            b = step8(b, rest[lane_size + offset ..]);
            c = step8(c, rest[2 * lane_size + offset ..]);
        }
        crc = shiftLane(shiftLane(@truncate(a)) ^ @as(u32, @truncate(b))) ^
            @as(u32, @truncate(c));
    }
    var wide: u64 = crc;
    while (rest.len >= 8) : (rest = rest[8..]) wide = step8(wide, rest);
    crc = @truncate(wide);
    for (rest) |byte| crc = step1(crc, byte);
    return ~crc;
}

inline fn step8(crc: u64, bytes: []const u8) u64 {
    const word = std.mem.readInt(u64, bytes[0..8], .little);
    return switch (builtin.cpu.arch) {
        .x86_64 => asm ("crc32q %[word], %[crc]"
            : [crc] "=r" (-> u64),
            : [_] "0" (crc),
              [word] "r" (word),
        ),
        .aarch64 => asm ("crc32cx %[result:w], %[crc:w], %[word]"
            : [result] "=r" (-> u64),
            : [crc] "r" (crc),
              [word] "r" (word),
        ),
        else => unreachable,
    };
}

inline fn step1(crc: u32, byte: u8) u32 {
    return switch (builtin.cpu.arch) {
        .x86_64 => asm ("crc32b %[byte], %[crc]"
            : [crc] "=r" (-> u32),
            : [_] "0" (crc),
              [byte] "r" (byte),
        ),
        .aarch64 => asm ("crc32cb %[result:w], %[crc:w], %[byte:w]"
            : [result] "=r" (-> u32),
            : [crc] "r" (crc),
              [byte] "r" (byte),
        ),
        else => unreachable,
    };
}

/// What `lane_size` zero bytes after it make of a checksum: a linear function of its bits, so a
/// table for each of its four bytes serves.
inline fn shiftLane(crc: u32) u32 {
    return lane_tables[0][crc & 0xff] ^
        lane_tables[1][crc >> 8 & 0xff] ^
        lane_tables[2][crc >> 16 & 0xff] ^
        lane_tables[3][crc >> 24];
}

const lane_tables: [4][256]u32 = tables: {
    @setEvalBranchQuota(200_000);
    // The image of each bit, by applying a zero byte `lane_size` times; then squares of it are
    // cheaper than 512 rounds for 32 bits: 512 = 2^9 doublings of the one-byte operator.
    var operator: [32]u32 = undefined;
    for (&operator, 0..) |*column, bit| {
        const crc = @as(u32, 1) << @intCast(bit);
        column.* = byte_tables[0][crc & 0xff] ^ (crc >> 8);
    }
    var length = 1;
    while (length < lane_size) : (length *= 2) {
        var squared: [32]u32 = undefined;
        for (&squared, 0..) |*column, bit| column.* = applyOperator(&operator, operator[bit]);
        operator = squared;
    }
    var tables: [4][256]u32 = undefined;
    for (&tables, 0..) |*table, position| {
        for (table, 0..) |*entry, value| {
            entry.* = applyOperator(&operator, @as(u32, value) << (8 * position));
        }
    }
    break :tables tables;
};

fn applyOperator(operator: *const [32]u32, crc: u32) u32 {
    var result: u32 = 0;
    var bits = crc;
    while (bits != 0) : (bits &= bits - 1) result ^= operator[@ctz(bits)];
    return result;
}

/// `byte_tables[n][b]`: the checksum register after byte `b` and `n` zero bytes.
const byte_tables: [8][256]u32 = tables: {
    @setEvalBranchQuota(50_000);
    var tables: [8][256]u32 = undefined;
    for (&tables[0], 0..) |*entry, value| {
        var crc: u32 = value;
        for (0..8) |_| crc = crc >> 1 ^ (if (crc & 1 != 0) polynomial else 0);
        entry.* = crc;
    }
    for (1..8) |n| {
        for (&tables[n], 0..) |*entry, value| {
            const before = tables[n - 1][value];
            entry.* = tables[0][before & 0xff] ^ (before >> 8);
        }
    }
    break :tables tables;
};

fn updateTable(seed: u32, bytes: []const u8) u32 {
    var crc: u32 = ~seed;
    var rest = bytes;
    while (rest.len >= 8) : (rest = rest[8..]) {
        const word = std.mem.readInt(u64, rest[0..8], .little) ^ crc;
        crc = 0;
        inline for (0..8) |position| {
            crc ^= byte_tables[7 - position][@as(u8, @truncate(word >> (8 * position)))];
        }
    }
    for (rest) |byte| crc = byte_tables[0][(crc ^ byte) & 0xff] ^ (crc >> 8);
    return ~crc;
}

const testing = std.testing;

/// The definition, bit by bit.
fn updateSlow(seed: u32, bytes: []const u8) u32 {
    var crc = ~seed;
    for (bytes) |byte| {
        crc ^= byte;
        for (0..8) |_| crc = crc >> 1 ^ (if (crc & 1 != 0) polynomial else 0);
    }
    return ~crc;
}

test "checksum: the published vectors" {
    var ascending: [32]u8 = undefined;
    for (&ascending, 0..) |*byte, index| byte.* = @intCast(index);
    const Vector = struct { bytes: []const u8, crc: u32 };
    const vectors = [_]Vector{
        .{ .bytes = "", .crc = 0 },
        .{ .bytes = "a", .crc = 0xc1d0_4330 },
        .{ .bytes = "123456789", .crc = 0xe306_9283 },
        .{ .bytes = &@as([32]u8, @splat(0)), .crc = 0x8a91_36aa },
        .{ .bytes = &@as([32]u8, @splat(0xff)), .crc = 0x62a8_ab43 },
        .{ .bytes = &ascending, .crc = 0x46dd_794e },
    };
    for (vectors) |vector| {
        try testing.expectEqual(vector.crc, update(0, vector.bytes));
        try testing.expectEqual(vector.crc, updateTable(0, vector.bytes));
        try testing.expectEqual(vector.crc, updateSlow(0, vector.bytes));
    }
}

test "checksum: instruction, table and definition agree at every length, start and seed" {
    var prng = std.Random.DefaultPrng.init(0xc5c3_2c01);
    const random = prng.random();
    var bytes: [8 * lane_size]u8 = undefined;
    random.bytes(&bytes);
    for (0..400) |round| {
        const start = random.uintLessThan(usize, 9);
        const size = if (round < 100) round else random.uintAtMost(usize, bytes.len - start);
        const seed = random.int(u32);
        const part = bytes[start..][0..size];
        const expected = updateSlow(seed, part);
        try testing.expectEqual(expected, updateTable(seed, part));
        try testing.expectEqual(expected, update(seed, part));
        const cut = random.uintAtMost(usize, size);
        try testing.expectEqual(expected, update(update(seed, part[0..cut]), part[cut..]));
    }
}

test "checksum: every flip of one bit and every burst up to 32 bits changes it" {
    var prng = std.Random.DefaultPrng.init(0xc5c3_2c02);
    const random = prng.random();
    var bytes: [256]u8 = undefined;
    random.bytes(&bytes);
    const expected = update(0, &bytes);
    for (0..bytes.len * 8) |bit| {
        bytes[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        try testing.expect(update(0, &bytes) != expected);
        bytes[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
    }
    for (0..2_000) |_| {
        const at = random.uintAtMost(usize, bytes.len - 4);
        const burst = random.int(u32) | 1;
        const word = std.mem.readInt(u32, bytes[at..][0..4], .little);
        std.mem.writeInt(u32, bytes[at..][0..4], word ^ burst, .little);
        try testing.expect(update(0, &bytes) != expected);
        std.mem.writeInt(u32, bytes[at..][0..4], word, .little);
    }
}
