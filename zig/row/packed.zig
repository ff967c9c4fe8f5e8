//! Packed rows: the form in which a whole row stands in the log and in checkpoints.
//!
//! A `RowCodec` is a schema prepared for encoding. A packed row is `key, vint(size << 1 |
//! verbatim), body`. The body is the null mask and then each column that is not null, in column
//! order: integers as vints, text with its size and without its zero padding. An image that this
//! would not give back byte by byte (stray bytes in padding or under a null) is stored verbatim.
//! Law numbers are those of `docs/internals/wal.md`.
//!
//! **Invariants.** `unpack` of what `encode` wrote is the image that was encoded, byte by byte,
//! whatever the image held (W4). Everything decoded is input: any bytes give an image or an error.
//!
//! **Concurrency.** A codec is immutable after `init`. Images passed to `encode` must not change
//! during the call (rule P1: a pending version's image does not); if one did, the result would be
//! some image, never a fault.
//!
//! **Memory.** A codec keeps no reference to its schema. Decoded rows borrow the bytes decoded
//! from.

const std = @import("std");
const schemas = @import("schema.zig");
const vints = @import("vint.zig");
const assert = std.debug.assert;

const Schema = schemas.Schema;
const Cursor = vints.Cursor;

pub const Error = vints.Error;

/// How a column's bytes are packed; `text` covers string and bytes.
pub const Class = enum(u8) { i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, text };

pub const Field = struct {
    class: Class,
    /// Bytes from the start of the image, and bytes in it.
    offset: u16,
    size: u16,
    /// Most bytes of text.
    limit: u16,

    /// An integer column widened to 64 bits.
    pub inline fn integer(field: Field, image: [*]const u8) u64 {
        const at = image + field.offset;
        return switch (field.class) {
            .i8 => signed(i8, at),
            .i16 => signed(i16, at),
            .i32 => signed(i32, at),
            .u8 => at[0],
            .u16 => std.mem.readInt(u16, at[0..2], .little),
            .u32, .f32 => std.mem.readInt(u32, at[0..4], .little),
            .i64, .u64, .f64 => std.mem.readInt(u64, at[0..8], .little),
            .text => unreachable,
        };
    }

    inline fn signed(comptime Int: type, at: [*]const u8) u64 {
        const value = std.mem.readInt(Int, at[0..@sizeOf(Int)], .little);
        return @bitCast(@as(i64, value));
    }

    /// Stores an integer widened to 64 bits; false when the column cannot hold it.
    pub inline fn setInteger(field: Field, image: [*]u8, value: u64) bool {
        const at = image + field.offset;
        switch (field.class) {
            .i8 => std.mem.writeInt(u8, at[0..1], @truncate(value), .little),
            .i16 => std.mem.writeInt(u16, at[0..2], @truncate(value), .little),
            .i32 => std.mem.writeInt(u32, at[0..4], @truncate(value), .little),
            .u8 => at[0] = @truncate(value),
            .u16 => std.mem.writeInt(u16, at[0..2], @truncate(value), .little),
            .u32, .f32 => std.mem.writeInt(u32, at[0..4], @truncate(value), .little),
            .i64, .u64, .f64 => std.mem.writeInt(u64, at[0..8], value, .little),
            .text => unreachable,
        }
        return field.integer(image) == value;
    }

    pub inline fn isSigned(field: Field) bool {
        return switch (field.class) {
            .i8, .i16, .i32, .i64 => true,
            else => false,
        };
    }

    /// The size word as it stands in the image, which may be beyond the limit.
    pub inline fn textSize(field: Field, image: [*]const u8) usize {
        return std.mem.readInt(u16, image[field.offset..][0..2], .little);
    }

    pub inline fn text(field: Field, image: [*]const u8) []const u8 {
        const size = @min(field.textSize(image), field.limit);
        return image[field.offset + 2 ..][0..size];
    }

    /// Writes size and bytes; the rest of the column must be zero already.
    pub inline fn setText(field: Field, image: [*]u8, value: []const u8) void {
        assert(value.len <= field.limit);
        std.mem.writeInt(u16, image[field.offset..][0..2], @intCast(value.len), .little);
        @memcpy(image[field.offset + 2 ..][0..value.len], value);
    }

    pub fn bytes(field: Field, image: [*]const u8) []const u8 {
        return image[field.offset..][0..field.size];
    }

    /// True when the column, not null, can be told by its value alone: text within its limit and
    /// with nothing behind it.
    pub fn isPlain(field: Field, image: [*]const u8) bool {
        if (field.class != .text) return true;
        const size = field.textSize(image);
        if (size > field.limit) return false;
        return allZero(image[field.offset + 2 + size ..][0 .. field.limit - size]);
    }
};

pub const Span = struct { offset: u16, size: u16 };

/// A primary key as decoded: the widened integer, or the bytes of a text.
pub const Key = union(enum) {
    integer: u64,
    text: []const u8,
};

/// A packed row as found in the bytes; `RowCodec.unpack` makes an image of it.
pub const Row = struct {
    key: Key,
    verbatim: bool,
    body: []const u8,
};

pub const RowCodec = struct {
    image_size: u32,
    column_count: u16,
    gap_count: u16,
    /// Bits of the columns that exist.
    columns_mask: u64,
    /// Blocks of `1 << block_shift` bytes cover the image; at most 64 of them.
    block_shift: u4,
    /// For each block the columns with bytes in it, and whether bytes of no column are in it
    /// (padding, and the key, which an update does not change). For finding changes.
    block_columns: [64]u64,
    block_others: u64,
    fields: [schemas.columns_max]Field,
    /// Bytes of the image that belong to no column.
    gaps: [schemas.columns_max + 1]Span,
    /// No encoded key, body or row is larger; scratch is included in that of the row.
    key_size_max: u32,
    body_size_max: u32,
    row_size_max: u32,

    pub fn init(schema: *const Schema) RowCodec {
        assert(schema.column_count > 0 and schema.column_count <= schemas.columns_max);
        assert(schema.image_size <= schemas.image_size_max);
        var codec: RowCodec = .{
            .image_size = schema.image_size,
            .column_count = schema.column_count,
            .gap_count = 0,
            .columns_mask = 0,
            .block_shift = 3,
            .block_columns = @splat(0),
            .block_others = 0,
            .fields = undefined,
            .gaps = undefined,
            .key_size_max = 0,
            .body_size_max = 0,
            .row_size_max = 0,
        };
        while (schema.image_size > @as(u32, 64) << codec.block_shift) codec.block_shift += 1;

        var body_size_max: u32 = vints.size_max;
        for (schema.columns[0..schema.column_count], 0..) |*column, position| {
            codec.fields[position] = .{
                .class = classOf(column.kind),
                .offset = @intCast(column.offset),
                .size = @intCast(column.size),
                .limit = if (column.kind.isText()) @intCast(column.limit) else 0,
            };
            codec.columns_mask |= column.mask();
            if (position > 0) body_size_max += column.size + 1;
        }
        codec.key_size_max = vints.size_max + codec.fields[0].limit;
        // Slack for the 9 bytes of scratch that a vint may use.
        codec.body_size_max = @max(body_size_max, schema.image_size);
        codec.row_size_max = codec.key_size_max + codec.body_size_max + 2 * vints.size_max;
        codec.findGaps();
        codec.mapBlocks();
        return codec;
    }

    fn classOf(kind: schemas.Kind) Class {
        return switch (kind) {
            .bool, .u8 => .u8,
            .@"enum", .u16 => .u16,
            .u32 => .u32,
            .u64 => .u64,
            .i8 => .i8,
            .i16 => .i16,
            .i32 => .i32,
            .i64, .decimal, .timestamp => .i64,
            .f32 => .f32,
            .f64 => .f64,
            .string, .bytes => .text,
        };
    }

    /// What lies between the columns, in the order of the image.
    fn findGaps(codec: *RowCodec) void {
        var end: u32 = schemas.null_mask_size;
        while (end < codec.image_size) {
            // The next column at or behind `end`; a schema's columns do not overlap.
            var next: ?Field = null;
            for (codec.fields[0..codec.column_count]) |field| {
                if (field.offset < end) continue;
                if (next == null or field.offset < next.?.offset) next = field;
            }
            const start: u32 = if (next) |field| field.offset else codec.image_size;
            if (start > end) {
                codec.gaps[codec.gap_count] =
                    .{ .offset = @intCast(end), .size = @intCast(start - end) };
                codec.gap_count += 1;
            }
            end = if (next) |field| @as(u32, field.offset) + field.size else start;
        }
    }

    fn mapBlocks(codec: *RowCodec) void {
        for (codec.fields[1..codec.column_count], 0..) |field, bit| {
            const first = field.offset >> codec.block_shift;
            const last = (field.offset + field.size - 1) >> codec.block_shift;
            for (first..@as(usize, last) + 1) |block| {
                codec.block_columns[block] |= @as(u64, 1) << @intCast(bit);
            }
        }
        const key = codec.fields[0];
        codec.markOthers(key.offset, key.size);
        for (codec.gaps[0..codec.gap_count]) |gap| codec.markOthers(gap.offset, gap.size);
    }

    fn markOthers(codec: *RowCodec, offset: u16, size: u16) void {
        const first = offset >> codec.block_shift;
        const last = (offset + size - 1) >> codec.block_shift;
        for (first..@as(usize, last) + 1) |block| {
            codec.block_others |= @as(u64, 1) << @intCast(block);
        }
    }

    /// The field of bit `bit` of a column mask.
    pub inline fn fieldOf(codec: *const RowCodec, bit: u6) Field {
        return codec.fields[@as(usize, bit) + 1];
    }

    pub inline fn nullMask(codec: *const RowCodec, image: [*]const u8) u64 {
        _ = codec;
        return std.mem.readInt(u64, image[0..8], .little);
    }

    // Keys.

    /// Writes the primary key of `image`. `out` has `key_size_max` bytes.
    pub inline fn encodeKey(codec: *const RowCodec, image: [*]const u8, out: []u8) usize {
        const field = codec.fields[0];
        if (field.class == .text) return writeText(out, field.text(image));
        return vints.write(out, packInteger(field, field.integer(image)));
    }

    pub inline fn decodeKey(codec: *const RowCodec, cursor: *Cursor) Error!Key {
        const field = codec.fields[0];
        if (field.class == .text) {
            const size = try cursor.vint();
            if (size > field.limit) return error.Malformed;
            return .{ .text = try cursor.slice(size) };
        }
        const value = unpackInteger(field, try cursor.vint());
        var scratch: [8]u8 = undefined;
        const at_start: Field = .{ .class = field.class, .offset = 0, .size = 8, .limit = 0 };
        if (!at_start.setInteger(&scratch, value)) return error.Malformed;
        return .{ .integer = value };
    }

    /// The key as it lies in an image's key column: the form in which it is looked up. Returns the
    /// used part of `out`, which has at least `size` bytes of the key column (257 do for any).
    pub fn keyBytes(codec: *const RowCodec, key: Key, out: []u8) []u8 {
        const field = codec.fields[0];
        const at_start: Field =
            .{ .class = field.class, .offset = 0, .size = field.size, .limit = field.limit };
        const used = out[0..field.size];
        @memset(used, 0);
        switch (key) {
            .integer => |value| _ = at_start.setInteger(used.ptr, value),
            .text => |bytes| at_start.setText(used.ptr, bytes),
        }
        return used;
    }

    fn hasKey(codec: *const RowCodec, image: [*]const u8, key: Key) bool {
        const field = codec.fields[0];
        return switch (key) {
            .integer => |value| field.integer(image) == value,
            .text => |bytes| std.mem.eql(u8, field.text(image), bytes),
        };
    }

    fn setKey(codec: *const RowCodec, key: Key, image: [*]u8) void {
        switch (key) {
            .integer => |value| _ = codec.fields[0].setInteger(image, value),
            .text => |bytes| codec.fields[0].setText(image, bytes),
        }
    }

    // Rows.

    /// Writes the packed row of `image`. `out` has `row_size_max` bytes, more of which may be used
    /// than the size returned.
    pub fn encode(codec: *const RowCodec, image: []align(8) const u8, out: []u8) usize {
        assert(image.len == codec.image_size);
        assert(out.len >= codec.row_size_max);
        const key_size = codec.encodeKey(image.ptr, out);
        // The body goes where it belongs if its size takes as many bytes as the largest would.
        const mark_room = vints.size(@as(u64, codec.body_size_max) << 1);
        const body = out[key_size + mark_room ..];
        const packed_size = codec.packBody(image.ptr, body);
        if (packed_size == null) @memcpy(body[0..image.len], image);
        const body_size = packed_size orelse image.len;

        var mark: [vints.size_max]u8 = undefined;
        const verbatim = packed_size == null;
        const mark_size = vints.write(&mark, body_size << 1 | @intFromBool(verbatim));
        assert(mark_size <= mark_room);
        const target = out[key_size + mark_size ..];
        if (mark_size < mark_room) std.mem.copyForwards(u8, target, body[0..body_size]);
        @memcpy(out[key_size..][0..mark_size], mark[0..mark_size]);
        return key_size + mark_size + body_size;
    }

    /// Null when the image would not come back exactly.
    fn packBody(codec: *const RowCodec, image: [*]const u8, out: []u8) ?usize {
        const nulls = codec.nullMask(image);
        if (nulls & ~codec.columns_mask != 0) return null;
        if (!codec.fields[0].isPlain(image)) return null;
        for (codec.gaps[0..codec.gap_count]) |gap| {
            if (!allZero(image[gap.offset..][0..gap.size])) return null;
        }
        var used = vints.writeMask(out, nulls);
        for (codec.fields[1..codec.column_count], 0..) |field, bit| {
            if (nulls >> @intCast(bit) & 1 != 0) {
                if (!allZero(field.bytes(image))) return null;
                continue;
            }
            if (field.class == .text) {
                if (!field.isPlain(image)) return null;
                used += writeText(out[used..], field.text(image));
            } else {
                used += vints.write(out[used..], packInteger(field, field.integer(image)));
            }
        }
        return used;
    }

    pub inline fn decode(codec: *const RowCodec, cursor: *Cursor) Error!Row {
        const key = try codec.decodeKey(cursor);
        const mark = try cursor.vint();
        return .{
            .key = key,
            .verbatim = mark & 1 != 0,
            .body = try cursor.slice(mark >> 1),
        };
    }

    /// Makes the image of a row. On an error `image` holds anything.
    pub fn unpack(codec: *const RowCodec, row: Row, image: []align(8) u8) Error!void {
        assert(image.len == codec.image_size);
        if (row.verbatim) {
            if (row.body.len != image.len) return error.Malformed;
            @memcpy(image, row.body);
            // The key stands twice then; what is looked up must be what is stored.
            if (!codec.hasKey(image.ptr, row.key)) return error.Malformed;
            return;
        }
        clearImage(image);
        codec.setKey(row.key, image.ptr);
        var cursor: Cursor = .{ .bytes = row.body };
        const nulls = try cursor.mask();
        if (nulls & ~codec.columns_mask != 0) return error.Malformed;
        std.mem.writeInt(u64, image[0..8], nulls, .little);
        for (codec.fields[1..codec.column_count], 0..) |field, bit| {
            if (nulls >> @intCast(bit) & 1 != 0) continue;
            if (field.class == .text) {
                const size = try cursor.vint();
                if (size > field.limit) return error.Malformed;
                field.setText(image.ptr, try cursor.slice(size));
            } else {
                const value = unpackInteger(field, try cursor.vint());
                if (!field.setInteger(image.ptr, value)) return error.Malformed;
            }
        }
        if (!cursor.done()) return error.Malformed;
    }
};

/// The integer that is written for a column's widened value: small for what is usual. Floats turn
/// their bytes round, because round numbers end in zero bits.
pub inline fn packInteger(field: Field, value: u64) u64 {
    return switch (field.class) {
        .i8, .i16, .i32, .i64 => vints.zigzag(@bitCast(value)),
        .u8, .u16, .u32, .u64 => value,
        .f32 => @byteSwap(@as(u32, @truncate(value))),
        .f64 => @byteSwap(value),
        .text => unreachable,
    };
}

/// The reverse of `packInteger`; the result may be more than the column can hold.
pub inline fn unpackInteger(field: Field, value: u64) u64 {
    return switch (field.class) {
        .i8, .i16, .i32, .i64 => @bitCast(vints.unzigzag(value)),
        .u8, .u16, .u32, .u64 => value,
        .f32 => @byteSwap(value << 32) | (value >> 32 << 32),
        .f64 => @byteSwap(value),
        .text => unreachable,
    };
}

pub inline fn writeText(out: []u8, bytes: []const u8) usize {
    const used = vints.write(out, bytes.len);
    @memcpy(out[used..][0..bytes.len], bytes);
    return used + bytes.len;
}

/// Zeroes a whole image: two words at a time, where the runtime's `memset` goes by less.
inline fn clearImage(image: []align(8) u8) void {
    assert(image.len % 8 == 0);
    const Pair = @Vector(2, u64);
    var at: usize = 0;
    // Volatile, or the compiler would make a call of `memset` of it again.
    while (at + 16 <= image.len) : (at += 16) {
        const pair: *align(8) volatile Pair = @ptrCast(@alignCast(image[at..][0..16]));
        pair.* = @splat(0);
    }
    if (at < image.len) @memset(image[at..][0..8], 0);
}

pub fn allZero(bytes: []const u8) bool {
    var rest = bytes;
    while (rest.len >= 8) : (rest = rest[8..]) {
        if (std.mem.readInt(u64, rest[0..8], .little) != 0) return false;
    }
    for (rest) |byte| if (byte != 0) return false;
    return true;
}
