//! What an update changed: the fields that differ between two images of one row, packed, and how
//! they are put into the older image again.
//!
//! Each changed column has one of four forms. Form 0 tells the new value by the old one: the
//! difference of integers, the exclusive or of floats, the bytes of a text between a common front
//! and back. Form 1 is the value by itself, as in a packed row. Form 2 is null. Form 3 is the bytes
//! of a float as they are. The shortest is taken. `docs/internals/wal.md` has the bytes.
//!
//! **Invariants.** `apply(encode(old, new), old)` is `new`, byte by byte (W4), or `encode` has
//! refused: each byte of the images is equal in both or belongs to a changed column whose new bytes
//! follow from its value. A change applied to another row than it was made from is noticed with
//! 255/256 (W5), by a check of the changed columns' old bytes. Everything decoded is input.
//!
//! **Concurrency** and **Memory.** Pure; a decoded `Change` borrows the bytes that it was decoded
//! from.

const std = @import("std");
const checksum = @import("../checksum.zig");
const rows = @import("packed.zig");
const vints = @import("vint.zig");
const assert = std.debug.assert;

const Cursor = vints.Cursor;
const Field = rows.Field;
const RowCodec = rows.RowCodec;

pub const Form = enum(u2) { relative = 0, value = 1, null = 2, raw = 3 };

/// Which forms an encoder may choose. Not stored.
pub const Choice = enum(u32) {
    /// The shortest.
    shortest = 0,
    /// Only such as stand alone, without the old row.
    alone = 1,
    /// The whole row. For those who encode records: a change has columns.
    rows = 2,
    _,
};

pub const Difference = union(enum) {
    /// Nothing: the images are the same bytes.
    none,
    /// These columns, and nothing else.
    columns: u64,
    /// Something that only a whole row can tell: bytes of no column, or a column whose bytes do not
    /// follow from its value.
    row,
    /// The primary key, which no update may change.
    key,
};

/// Finds what differs. A changed column of a canonical image costs little, an unchanged one
/// nothing.
pub fn compare(
    codec: *const RowCodec,
    old: []align(8) const u8,
    new: []align(8) const u8,
) Difference {
    assert(old.len == codec.image_size and new.len == codec.image_size);
    const nulls_new = codec.nullMask(new.ptr);
    var changed = codec.nullMask(old.ptr) ^ nulls_new;
    if (changed & ~codec.columns_mask != 0) return .row;

    const blocks = differingBlocks(codec.block_shift, old, new);
    if (blocks == 0) return .none;
    var candidates: u64 = 0;
    var rest = blocks;
    while (rest != 0) : (rest &= rest - 1) candidates |= codec.block_columns[@ctz(rest)];
    candidates &= ~changed;
    while (candidates != 0) : (candidates &= candidates - 1) {
        const field = codec.fieldOf(@intCast(@ctz(candidates)));
        if (!std.mem.eql(u8, field.bytes(old.ptr), field.bytes(new.ptr))) {
            changed |= candidates & (0 -% candidates);
        }
    }
    if (blocks & codec.block_others != 0) {
        const key = codec.fields[0];
        if (!std.mem.eql(u8, key.bytes(old.ptr), key.bytes(new.ptr))) return .key;
        for (codec.gaps[0..codec.gap_count]) |gap| {
            const size: usize = gap.size;
            const old_bytes = old[gap.offset..][0..size];
            if (!std.mem.eql(u8, old_bytes, new[gap.offset..][0..size])) return .row;
        }
    }
    var columns = changed;
    while (columns != 0) : (columns &= columns - 1) {
        const bit: u6 = @intCast(@ctz(columns));
        const field = codec.fieldOf(bit);
        const plain = if (nulls_new >> bit & 1 != 0)
            rows.allZero(field.bytes(new.ptr))
        else
            field.isPlain(new.ptr);
        if (!plain) return .row;
    }
    return if (changed == 0) .row else .{ .columns = changed };
}

/// One bit for each block of `1 << shift` bytes that is not the same. Goes by eight blocks at a
/// time, since nearly all of them are.
fn differingBlocks(shift: u4, old: []align(8) const u8, new: []align(8) const u8) u64 {
    return switch (shift) {
        inline 3...8 => |known| differingBlocksOf(1 << known, old, new),
        else => unreachable,
    };
}

fn differingBlocksOf(comptime size: usize, old: []const u8, new: []const u8) u64 {
    var blocks: u64 = 0;
    var at: usize = 0;
    while (at + 8 * size <= old.len) : (at += 8 * size) {
        if (differs(8 * size, old[at..], new[at..])) {
            inline for (0..8) |each| {
                const offset = at + each * size;
                const bit = @intFromBool(differs(size, old[offset..], new[offset..]));
                blocks |= @as(u64, bit) << @intCast(offset / size);
            }
        }
    }
    while (at < old.len) : (at += size) {
        // Images are whole words; the last block may be cut.
        var word = at;
        var bit: u1 = 0;
        while (word < @min(at + size, old.len)) : (word += 8) {
            bit |= @intFromBool(differs(8, old[word..], new[word..]));
        }
        blocks |= @as(u64, bit) << @intCast(at / size);
    }
    return blocks;
}

inline fn differs(comptime size: usize, a: []const u8, b: []const u8) bool {
    const Lane = @Vector(@min(size, 16), u8);
    const lane_size = @min(size, 16);
    var different: Lane = @splat(0);
    inline for (0..size / lane_size) |lane| {
        const start = lane * lane_size;
        const a_lane: Lane = a[start..][0..lane_size].*;
        const b_lane: Lane = b[start..][0..lane_size].*;
        different |= a_lane ^ b_lane;
    }
    return @reduce(.Or, different) != 0;
}

/// No encoded change, key not included, is larger; scratch is included.
pub fn changeSizeMax(codec: *const RowCodec) u32 {
    const forms_size = 64 / 4;
    const check_size = 1;
    return vints.size_max + forms_size + check_size + codec.body_size_max + 65 + vints.size_max;
}

/// Columns that changed, as found in the bytes. `single` says which of the two layouts it has.
pub const Change = struct {
    columns: u64,
    /// Of `single`: the form of the one column.
    form: Form,
    single: bool,
    check: u8,
    /// Two bits for each column in `columns`, in ascending order; empty for `single`.
    forms: []const u8,
    values: []const u8,

    inline fn formOf(change: *const Change, index: usize) Form {
        if (change.single) return change.form;
        return @enumFromInt(@as(u2, @truncate(change.forms[index / 4] >> @intCast(index % 4 * 2))));
    }
};

/// Writes the change of one column: `column | form << 6`, check, value. `out` has `changeSizeMax`.
pub fn encodeSingle(
    codec: *const RowCodec,
    bit: u6,
    old: [*]const u8,
    new: [*]const u8,
    choice: Choice,
    out: []u8,
) usize {
    assert(out.len >= changeSizeMax(codec));
    var used: usize = 2;
    const form = encodeValue(codec, bit, old, new, choice, out, &used);
    out[0] = @as(u8, @intFromEnum(form)) << 6 | bit;
    out[1] = @truncate(checkOf(codec, @as(u64, 1) << bit, old));
    return used;
}

/// Writes the change of any number of columns: mask, forms, check, values.
pub fn encodeMany(
    codec: *const RowCodec,
    columns: u64,
    old: [*]const u8,
    new: [*]const u8,
    choice: Choice,
    out: []u8,
) usize {
    assert(columns != 0 and columns & ~codec.columns_mask == 0);
    assert(out.len >= changeSizeMax(codec));
    const forms_start = vints.writeMask(out, columns);
    const forms_size = formsSize(columns);
    const forms = out[forms_start..][0..forms_size];
    @memset(forms, 0);
    out[forms_start + forms_size] = @truncate(checkOf(codec, columns, old));
    var used = forms_start + forms_size + 1;
    var rest = columns;
    var index: usize = 0;
    while (rest != 0) : (rest &= rest - 1) {
        const form = encodeValue(codec, @intCast(@ctz(rest)), old, new, choice, out, &used);
        forms[index / 4] |= @as(u8, @intFromEnum(form)) << @intCast(index % 4 * 2);
        index += 1;
    }
    return used;
}

fn formsSize(columns: u64) usize {
    return (@as(usize, @popCount(columns)) + 3) / 4;
}

/// A checksum of the changed columns' old bytes, in column order.
fn checkOf(codec: *const RowCodec, columns: u64, old: [*]const u8) u32 {
    var crc: u32 = 0;
    var rest = columns;
    while (rest != 0) : (rest &= rest - 1) {
        const field = codec.fieldOf(@intCast(@ctz(rest)));
        crc = if (field.class == .text)
            checksum.update(crc, field.text(old))
        else
            checksum.update(crc, field.bytes(old));
    }
    return crc;
}

fn encodeValue(
    codec: *const RowCodec,
    bit: u6,
    old: [*]const u8,
    new: [*]const u8,
    choice: Choice,
    out: []u8,
    used: *usize,
) Form {
    if (codec.nullMask(new) >> bit & 1 != 0) return .null;
    const field = codec.fieldOf(bit);
    const target = out[used.*..];
    const alone = choice != .shortest;
    if (field.class == .text) {
        if (!alone) return encodeText(field.text(old), field.text(new), target, used);
        used.* += rows.writeText(target, field.text(new));
        return .value;
    }
    const before = field.integer(old);
    const after = field.integer(new);
    const value = rows.packInteger(field, after);
    const is_float = field.class == .f32 or field.class == .f64;
    const relative = if (is_float) before ^ after else vints.zigzag(@bitCast(after -% before));
    const value_size = vints.size(value);
    const relative_size = if (alone) value_size + 1 else vints.size(relative);
    if (is_float and @min(relative_size, value_size) > field.size) {
        @memcpy(target[0..field.size], field.bytes(new));
        used.* += field.size;
        return .raw;
    }
    used.* += vints.write(target, if (relative_size <= value_size) relative else value);
    return if (relative_size <= value_size) .relative else .value;
}

fn encodeText(old: []const u8, new: []const u8, out: []u8, used: *usize) Form {
    const shorter = @min(old.len, new.len);
    const front = std.mem.indexOfDiff(u8, old[0..shorter], new[0..shorter]) orelse shorter;
    const back = equalAtEnd(old, new, shorter - front);
    const middle = new[front .. new.len - back];
    const relative_size =
        vints.size(front) + vints.size(back) + vints.size(middle.len) + middle.len;
    if (relative_size >= vints.size(new.len) + new.len) {
        used.* += rows.writeText(out, new);
        return .value;
    }
    var size = vints.write(out, front);
    size += vints.write(out[size..], back);
    size += rows.writeText(out[size..], middle);
    used.* += size;
    return .relative;
}

/// How many bytes at the ends are equal, up to `limit`, which both have.
fn equalAtEnd(a: []const u8, b: []const u8, limit: usize) usize {
    var count: usize = 0;
    while (count + 8 <= limit) : (count += 8) {
        const of_a = std.mem.readInt(u64, a[a.len - count - 8 ..][0..8], .little);
        const of_b = std.mem.readInt(u64, b[b.len - count - 8 ..][0..8], .little);
        if (of_a != of_b) return count + @clz(of_a ^ of_b) / 8;
    }
    while (count < limit and a[a.len - 1 - count] == b[b.len - 1 - count]) count += 1;
    return count;
}

pub fn decodeSingle(codec: *const RowCodec, cursor: *Cursor) vints.Error!Change {
    const head = try cursor.byte();
    var change: Change = .{
        .columns = @as(u64, 1) << @truncate(head),
        .form = @enumFromInt(head >> 6),
        .single = true,
        .check = try cursor.byte(),
        .forms = &.{},
        .values = &.{},
    };
    if (change.columns & ~codec.columns_mask != 0) return error.Malformed;
    try readValues(codec, &change, cursor);
    return change;
}

pub fn decodeMany(codec: *const RowCodec, cursor: *Cursor) vints.Error!Change {
    const columns = try cursor.mask();
    if (columns == 0 or columns & ~codec.columns_mask != 0) return error.Malformed;
    const forms = try cursor.slice(formsSize(columns));
    var change: Change = .{
        .columns = columns,
        .form = .null,
        .single = false,
        .check = try cursor.byte(),
        .forms = forms,
        .values = &.{},
    };
    try readValues(codec, &change, cursor);
    return change;
}

/// Steps over the values, so that the end of the change is known.
fn readValues(codec: *const RowCodec, change: *Change, cursor: *Cursor) vints.Error!void {
    const start = cursor.at;
    var rest = change.columns;
    var index: usize = 0;
    while (rest != 0) : (rest &= rest - 1) {
        const field = codec.fieldOf(@intCast(@ctz(rest)));
        switch (change.formOf(index)) {
            .null => {},
            .raw => {
                if (field.class != .f32 and field.class != .f64) return error.Malformed;
                _ = try cursor.slice(field.size);
            },
            .value => {
                const value = try cursor.vint();
                if (field.class == .text) _ = try cursor.slice(value);
            },
            .relative => {
                _ = try cursor.vint();
                if (field.class == .text) {
                    _ = try cursor.vint();
                    _ = try cursor.slice(try cursor.vint());
                }
            },
        }
        index += 1;
    }
    change.values = cursor.bytes[start..cursor.at];
}

pub const ApplyError = error{
    /// The bytes say what no encoder writes.
    Malformed,
    /// The row is not the one that the change was made from.
    WrongBase,
};

/// Makes the image after the change from the one before it. The two do not overlap. On an error
/// `new` holds anything.
pub fn apply(
    codec: *const RowCodec,
    change: *const Change,
    old: []align(8) const u8,
    new: []align(8) u8,
) ApplyError!void {
    assert(old.len == codec.image_size and new.len == codec.image_size);
    const check: u8 = @truncate(checkOf(codec, change.columns, old.ptr));
    if (check != change.check) return error.WrongBase;
    @memcpy(new, old);
    var nulls = codec.nullMask(old.ptr);
    var cursor: Cursor = .{ .bytes = change.values };
    var rest = change.columns;
    var index: usize = 0;
    while (rest != 0) : (rest &= rest - 1) {
        const bit = rest & (0 -% rest);
        const field = codec.fieldOf(@intCast(@ctz(rest)));
        const form = change.formOf(index);
        if (form == .null) {
            nulls |= bit;
            @memset(new[field.offset..][0..field.size], 0);
        } else {
            nulls &= ~bit;
            try applyValue(field, form, old.ptr, new, &cursor);
        }
        index += 1;
    }
    if (!cursor.done()) return error.Malformed;
    std.mem.writeInt(u64, new[0..8], nulls, .little);
}

pub const AloneError = error{
    /// The bytes say what no encoder writes.
    Malformed,
    /// A value is told by the row before.
    NeedsRow,
};

/// Puts the changed columns into an image without the one before it; other columns stay as they
/// are. On an error `new` holds anything.
pub fn applyAlone(
    codec: *const RowCodec,
    change: *const Change,
    new: []align(8) u8,
) AloneError!void {
    assert(new.len == codec.image_size);
    var nulls = codec.nullMask(new.ptr);
    var cursor: Cursor = .{ .bytes = change.values };
    var rest = change.columns;
    var index: usize = 0;
    while (rest != 0) : (rest &= rest - 1) {
        const bit = rest & (0 -% rest);
        const field = codec.fieldOf(@intCast(@ctz(rest)));
        const form = change.formOf(index);
        nulls &= ~bit;
        switch (form) {
            .relative => return error.NeedsRow,
            .null => {
                nulls |= bit;
                @memset(new[field.offset..][0..field.size], 0);
            },
            .value, .raw => applyValue(field, form, new.ptr, new, &cursor) catch
                return error.Malformed,
        }
        index += 1;
    }
    if (!cursor.done()) return error.Malformed;
    std.mem.writeInt(u64, new[0..8], nulls, .little);
}

fn applyValue(
    field: Field,
    form: Form,
    old: [*]const u8,
    new: []u8,
    cursor: *Cursor,
) ApplyError!void {
    if (field.class == .text) return applyText(field, form, old, new, cursor);
    const before = field.integer(old);
    const after = switch (form) {
        .relative => after: {
            const relative = try cursor.vint();
            if (field.class == .f32 or field.class == .f64) break :after before ^ relative;
            break :after before +% @as(u64, @bitCast(vints.unzigzag(relative)));
        },
        .value => rows.unpackInteger(field, try cursor.vint()),
        .raw => {
            @memcpy(new[field.offset..][0..field.size], try cursor.slice(field.size));
            return;
        },
        .null => unreachable,
    };
    if (!field.setInteger(new.ptr, after)) return error.Malformed;
}

fn applyText(
    field: Field,
    form: Form,
    old: [*]const u8,
    new: []u8,
    cursor: *Cursor,
) ApplyError!void {
    const target = new[field.offset..][0..field.size];
    switch (form) {
        .value => {
            const bytes = try cursor.slice(try cursor.vint());
            if (bytes.len > field.limit) return error.Malformed;
            @memset(target, 0);
            field.setText(new.ptr, bytes);
        },
        .relative => {
            const before = field.text(old);
            const front = try sizeWithin(cursor, before.len);
            const back = try sizeWithin(cursor, before.len - front);
            const middle = try cursor.slice(try cursor.vint());
            const size = front + middle.len + back;
            if (size > field.limit) return error.Malformed;
            @memset(target, 0);
            std.mem.writeInt(u16, target[0..2], @intCast(size), .little);
            const text = target[2..][0..size];
            @memcpy(text[0..front], before[0..front]);
            @memcpy(text[front..][0..middle.len], middle);
            @memcpy(text[size - back ..], before[before.len - back ..]);
        },
        .raw, .null => return error.Malformed,
    }
}

fn sizeWithin(cursor: *Cursor, limit: usize) vints.Error!usize {
    const size = try cursor.vint();
    return if (size > limit) error.Malformed else @intCast(size);
}

test "delta: the equal bytes at two ends are counted, however many they are" {
    var a: [40]u8 = undefined;
    for (&a, 0..) |*byte, i| byte.* = @intCast(i);
    for (0..a.len + 1) |size| {
        for (0..size + 1) |equal| {
            var b = a;
            if (equal < size) b[a.len - 1 - equal] ^= 0x80;
            for (0..size + 1) |limit| {
                const found = equalAtEnd(a[a.len - size ..], b[a.len - size ..], limit);
                try std.testing.expectEqual(@min(equal, limit), found);
            }
        }
    }
}
