//! The decoded schema of one table: what each column of an image is and where it lies.
//!
//! **Invariants.** A decoded `Schema` satisfies laws 1 to 6 of `docs/internals/row-image.md`:
//! `columns` lie inside `image_size`, aligned, without overlap, behind the null mask; column 0 is
//! the primary key, never nullable, never a float. The rest of the engine relies on that without
//! checking again.
//!
//! **Concurrency.** A value, immutable after `decode`.
//!
//! **Memory.** Keeps no reference to the bytes that it was decoded from.

const std = @import("std");
const assert = std.debug.assert;

/// The primary key and at most 64 others: one bit each in a column mask.
pub const columns_max = 65;
pub const image_size_max = 16_384;
pub const text_limit_max = 8_192;
/// Primary keys and indexed text: what the words of an index key hold.
pub const key_limit_max = 255;
pub const labels_max = 65_536;
pub const scale_max = 15;
pub const null_mask_size = 8;

pub const header_magic: u32 = 0x5352_4541;
pub const header_version: u16 = 2;
pub const indexes_max = 64;
pub const name_size_max = 63;
/// Columns of one index, at most.
pub const index_columns_max = 8;

/// Codes are stored: append only.
pub const Kind = enum(u8) {
    bool = 1,
    i8 = 2,
    i16 = 3,
    i32 = 4,
    i64 = 5,
    u8 = 6,
    u16 = 7,
    u32 = 8,
    u64 = 9,
    f32 = 10,
    f64 = 11,
    decimal = 12,
    timestamp = 13,
    string = 14,
    bytes = 15,
    @"enum" = 16,

    /// Bytes in the image of a kind of fixed size; null for text, whose size depends on its limit.
    pub fn fixedSize(kind: Kind) ?u32 {
        return switch (kind) {
            .bool, .i8, .u8 => 1,
            .i16, .u16, .@"enum" => 2,
            .i32, .u32, .f32 => 4,
            .i64, .u64, .f64, .decimal, .timestamp => 8,
            .string, .bytes => null,
        };
    }

    pub fn isText(kind: Kind) bool {
        return kind == .string or kind == .bytes;
    }

    pub fn isFloat(kind: Kind) bool {
        return kind == .f32 or kind == .f64;
    }

    /// Whether a column of this kind can hold degrees with a fraction.
    pub fn isDegrees(kind: Kind) bool {
        return kind.isFloat() or kind == .decimal;
    }

    /// The Zig type that holds a value of this kind in an image. Not for text.
    pub fn Value(comptime kind: Kind) type {
        return switch (kind) {
            .bool, .u8 => u8,
            .i8 => i8,
            .i16 => i16,
            .i32 => i32,
            .i64, .decimal, .timestamp => i64,
            .u16, .@"enum" => u16,
            .u32 => u32,
            .u64 => u64,
            .f32 => f32,
            .f64 => f64,
            .string, .bytes => @compileError("text has no fixed value type"),
        };
    }
};

pub const Column = struct {
    kind: Kind,
    /// Digits behind the point of a decimal, else 0.
    scale: u8,
    nullable: bool,
    indexed: bool,
    unique: bool,
    /// Position in the table: 0 is the primary key.
    position: u16,
    /// Bytes from the start of the image.
    offset: u32,
    /// Bytes in the image, the size word of text included.
    size: u32,
    /// Most bytes of text; labels of an enum; else 0.
    limit: u32,

    /// The bit of this column in null, named and dirty masks; 0 for the primary key, which has
    /// none.
    pub fn mask(column: *const Column) u64 {
        if (column.position == 0) return 0;
        return @as(u64, 1) << @intCast(column.position - 1);
    }

    pub fn isNull(column: *const Column, image: [*]align(8) const u8) bool {
        return nullMask(image) & column.mask() != 0;
    }

    /// Whether two images have the same value here.
    pub inline fn isEqual(
        column: *const Column,
        a: [*]align(8) const u8,
        b: [*]align(8) const u8,
    ) bool {
        if ((nullMask(a) ^ nullMask(b)) & column.mask() != 0) return false;
        switch (column.size) {
            inline 4, 8 => |size| {
                const Bits = std.meta.Int(.unsigned, size * 8);
                return std.mem.readInt(Bits, a[column.offset..][0..size], .little) ==
                    std.mem.readInt(Bits, b[column.offset..][0..size], .little);
            },
            else => {},
        }
        return std.mem.eql(u8, column.bytesIn(a), column.bytesIn(b));
    }

    /// The value of a column of fixed size. Zeros when null.
    pub inline fn value(
        column: *const Column,
        comptime kind: Kind,
        image: [*]const u8,
    ) Kind.Value(kind) {
        const Value = Kind.Value(kind);
        assert(column.size == @sizeOf(Value));
        return std.mem.bytesToValue(Value, image[column.offset..][0..@sizeOf(Value)]);
    }

    /// The bytes of a text column: empty when null. The size word is bounded by `limit`, because
    /// images in shared memory are not trusted.
    pub inline fn text(column: *const Column, image: [*]const u8) []const u8 {
        assert(column.kind.isText());
        const size = std.mem.readInt(u16, image[column.offset..][0..2], .little);
        return image[column.offset + 2 ..][0..@min(size, column.limit)];
    }

    /// The column's bytes as they lie in the image: the form in which a primary key is looked up.
    pub fn bytesIn(column: *const Column, image: [*]const u8) []const u8 {
        return image[column.offset..][0..column.size];
    }
};

pub inline fn nullMask(image: [*]align(8) const u8) u64 {
    return std.mem.readInt(u64, image[0..8], .little);
}

pub const SchemaHeader = extern struct {
    magic: u32 = header_magic,
    version: u16 = header_version,
    column_count: u16,
    image_size: u32,
    columns_offset: u32 = @sizeOf(SchemaHeader),
    index_count: u16,
    /// Which layout of the table's rows these columns are: 0, until columns can be added.
    layout: u16 = 0,
    indexes_offset: u32,
    name_offset: u32,
    name_size: u32,
    text_offset: u32,
    text_size: u32,
    reserved: [3]u64 = @splat(0),

    comptime {
        assert(@sizeOf(SchemaHeader) == 64);
        assert(@offsetOf(SchemaHeader, "indexes_offset") == 20);
        assert(@offsetOf(SchemaHeader, "reserved") == 40);
        assert(std.mem.eql(u8, std.mem.asBytes(&header_magic), "AERS"));
    }
};

pub const ColumnRecord = extern struct {
    kind: u8,
    flags: u8,
    scale: u8,
    reserved: u8,
    offset: u32,
    size: u32,
    limit: u32,

    comptime {
        assert(@sizeOf(ColumnRecord) == 16);
        assert(@offsetOf(ColumnRecord, "limit") == 12);
    }
};

pub const flag_primary_key: u8 = 1;
pub const flag_nullable: u8 = 2;

/// Codes are stored: append only.
pub const IndexKind = enum(u8) {
    /// Values of one column in their order.
    column = 1,
    /// Positions: a latitude and a longitude in degrees.
    geo = 2,
};

pub const index_flag_unique: u8 = 1;

pub const IndexRecord = extern struct {
    kind: u8,
    flags: u8 = 0,
    column_count: u8,
    reserved: u8 = 0,
    /// Positions of the columns; zeros after the last.
    columns: [index_columns_max]u16 = @splat(0),
    reserved_end: u32 = 0,

    comptime {
        assert(@sizeOf(IndexRecord) == 24);
        assert(@offsetOf(IndexRecord, "columns") == 4);
    }
};

/// One index of a table, as declared.
pub const Index = struct {
    kind: IndexKind,
    unique: bool,
    /// Positions of its columns; the second one only of `geo`.
    columns: [2]u16,
};

comptime {
    // Records are read from bytes in place; big-endian machines are not supported.
    assert(@import("builtin").cpu.arch.endian() == .little);
}

pub const Schema = struct {
    column_count: u16,
    image_size: u32,
    index_count: u16,
    /// Only the first `column_count` are defined.
    columns: [columns_max]Column,
    /// Only the first `index_count` are defined.
    indexes: [indexes_max]Index,

    pub const DecodeError = error{
        /// The bytes are not a schema of this version, or break a law of the row image.
        InvalidSchema,
    };

    /// Checks every law; `bytes` are input. Any alignment. The text (names, labels) is not read.
    pub fn decode(bytes: []const u8) DecodeError!Schema {
        if (bytes.len < @sizeOf(SchemaHeader)) return error.InvalidSchema;
        const header = std.mem.bytesToValue(SchemaHeader, bytes[0..@sizeOf(SchemaHeader)]);
        if (header.magic != header_magic) return error.InvalidSchema;
        if (header.version != header_version) return error.InvalidSchema;
        if (!std.mem.allEqual(u64, &header.reserved, 0)) return error.InvalidSchema;
        if (header.layout != 0) return error.InvalidSchema;
        const count = header.column_count;
        if (count == 0 or count > columns_max) return error.InvalidSchema;
        if (header.columns_offset != @sizeOf(SchemaHeader)) return error.InvalidSchema;
        const records_end = @sizeOf(SchemaHeader) + @as(u32, count) * @sizeOf(ColumnRecord);
        if (header.indexes_offset != records_end) return error.InvalidSchema;
        if (header.index_count > indexes_max) return error.InvalidSchema;
        const indexes_end = records_end + @as(u32, header.index_count) * @sizeOf(IndexRecord);
        if (header.name_offset != indexes_end) return error.InvalidSchema;
        if (header.name_size == 0 or header.name_size > name_size_max) return error.InvalidSchema;
        if (header.text_offset != indexes_end + header.name_size) return error.InvalidSchema;
        if (header.text_offset > bytes.len) return error.InvalidSchema;
        if (header.text_size != bytes.len - header.text_offset) return error.InvalidSchema;
        if (header.image_size % 8 != 0) return error.InvalidSchema;
        if (header.image_size > image_size_max) return error.InvalidSchema;

        var schema: Schema = .{
            .column_count = count,
            .image_size = header.image_size,
            .index_count = 0,
            .columns = undefined,
            .indexes = undefined,
        };
        for (0..count) |position| {
            const start = @sizeOf(SchemaHeader) + position * @sizeOf(ColumnRecord);
            const record = std.mem.bytesToValue(
                ColumnRecord,
                bytes[start..][0..@sizeOf(ColumnRecord)],
            );
            schema.columns[position] =
                try decodeColumn(record, @intCast(position), header.image_size);
        }
        try checkOverlap(schema.columns[0..count]);
        for (0..header.index_count) |number| {
            const start = header.indexes_offset + number * @sizeOf(IndexRecord);
            const record = std.mem.bytesToValue(
                IndexRecord,
                bytes[start..][0..@sizeOf(IndexRecord)],
            );
            try schema.addIndex(&record);
        }
        return schema;
    }

    fn addIndex(schema: *Schema, record: *const IndexRecord) DecodeError!void {
        const kind = std.enums.fromInt(IndexKind, record.kind) orelse return error.InvalidSchema;
        if (record.flags & ~index_flag_unique != 0) return error.InvalidSchema;
        if (record.reserved != 0 or record.reserved_end != 0) return error.InvalidSchema;
        const count: u8 = switch (kind) {
            .column => 1,
            .geo => 2,
        };
        if (record.column_count != count) return error.InvalidSchema;
        for (record.columns, 0..) |position, i| {
            if (i >= count and position != 0) return error.InvalidSchema;
            if (i < count and position >= schema.column_count) return error.InvalidSchema;
        }
        const index: Index = .{
            .kind = kind,
            .unique = record.flags & index_flag_unique != 0,
            .columns = record.columns[0..2].*,
        };
        for (schema.indexes[0..schema.index_count]) |*other| {
            const same = other.kind == kind and std.mem.eql(u16, &other.columns, &index.columns);
            if (same) return error.InvalidSchema;
        }
        switch (kind) {
            .column => {
                const target = &schema.columns[index.columns[0]];
                if (target.kind.isText() and target.limit > key_limit_max) {
                    return error.InvalidSchema;
                }
                target.indexed = true;
                target.unique = index.unique;
            },
            .geo => {
                if (index.unique or index.columns[0] == index.columns[1]) {
                    return error.InvalidSchema;
                }
                for (index.columns) |position| {
                    if (!schema.columns[position].kind.isDegrees()) return error.InvalidSchema;
                }
            },
        }
        schema.indexes[schema.index_count] = index;
        schema.index_count += 1;
    }

    pub fn column(schema: *const Schema, position: u32) ?*const Column {
        if (position >= schema.column_count) return null;
        return &schema.columns[position];
    }

    /// The name in schema bytes that `decode` accepted.
    pub fn nameIn(bytes: []const u8) []const u8 {
        const header = std.mem.bytesToValue(SchemaHeader, bytes[0..@sizeOf(SchemaHeader)]);
        return bytes[header.name_offset..][0..header.name_size];
    }

    pub fn primaryKey(schema: *const Schema) *const Column {
        return &schema.columns[0];
    }

    /// The bits of the null mask that may be set: one for each nullable column.
    pub fn nullableMask(schema: *const Schema) u64 {
        var mask: u64 = 0;
        for (schema.columns[0..schema.column_count]) |*each| {
            if (each.nullable) mask |= each.mask();
        }
        return mask;
    }
};

fn decodeColumn(record: ColumnRecord, position: u16, image_size: u32) Schema.DecodeError!Column {
    const kind = std.enums.fromInt(Kind, record.kind) orelse return error.InvalidSchema;
    const flags_known = flag_primary_key | flag_nullable;
    if (record.flags & ~flags_known != 0 or record.reserved != 0) return error.InvalidSchema;
    const is_key = record.flags & flag_primary_key != 0;
    const column: Column = .{
        .kind = kind,
        .scale = record.scale,
        .nullable = record.flags & flag_nullable != 0,
        .indexed = false, // until the list of indexes names it
        .unique = false,
        .position = position,
        .offset = record.offset,
        .size = record.size,
        .limit = record.limit,
    };

    if (is_key != (position == 0)) return error.InvalidSchema;
    if (is_key and (column.nullable or kind.isFloat())) return error.InvalidSchema;
    if (column.scale > if (kind == .decimal) @as(u8, scale_max) else 0) return error.InvalidSchema;

    const size = kind.fixedSize() orelse size: {
        const limit_max: u32 = if (is_key) key_limit_max else text_limit_max;
        if (column.limit == 0 or column.limit > limit_max) return error.InvalidSchema;
        break :size column.limit + 2;
    };
    if (column.size != size) return error.InvalidSchema;
    switch (kind) {
        .string, .bytes => {},
        .@"enum" => if (column.limit == 0 or column.limit > labels_max) return error.InvalidSchema,
        else => if (column.limit != 0) return error.InvalidSchema,
    }

    const alignment = if (kind.isText()) 2 else size;
    if (column.offset % alignment != 0) return error.InvalidSchema;
    if (column.offset < null_mask_size) return error.InvalidSchema;
    if (column.offset > image_size or size > image_size - column.offset) return error.InvalidSchema;
    return column;
}

fn checkOverlap(columns: []const Column) Schema.DecodeError!void {
    assert(columns.len <= columns_max);
    for (columns, 0..) |a, index| {
        for (columns[index + 1 ..]) |b| {
            if (a.offset < b.offset + b.size and b.offset < a.offset + a.size) {
                return error.InvalidSchema;
            }
        }
    }
}

const testing = std.testing;

/// A column as a test declares it; see `encodeForTest`.
pub const TestColumn = struct {
    kind: Kind,
    nullable: bool = false,
    indexed: bool = false,
    unique: bool = false,
    scale: u8 = 0,
    limit: u32 = 0,
};

/// Bytes that `encodeForTest` writes at most.
pub const bytes_for_test_max = @sizeOf(SchemaHeader) + columns_max * @sizeOf(ColumnRecord) +
    indexes_max * @sizeOf(IndexRecord) + 1;

/// Lays columns out one after the other and writes schema bytes; for the tests of this and other
/// modules. Returns the used part of `buffer`.
pub fn encodeForTest(columns: []const TestColumn, buffer: []u8) []u8 {
    return encodeNamedForTest("T", columns, &.{}, buffer);
}

fn addRecord(buffer: []u8, end: *u32, count: *u16, record: *const IndexRecord) void {
    @memcpy(buffer[end.*..][0..@sizeOf(IndexRecord)], std.mem.asBytes(record));
    end.* += @sizeOf(IndexRecord);
    count.* += 1;
}

/// The same with a name, and with indexes besides those of single columns.
pub fn encodeNamedForTest(
    name: []const u8,
    columns: []const TestColumn,
    indexes: []const IndexRecord,
    buffer: []u8,
) []u8 {
    var offset: u32 = null_mask_size;
    for (columns, 0..) |column, position| {
        const size = column.kind.fixedSize() orelse column.limit + 2;
        offset = std.mem.alignForward(u32, offset, if (column.kind.isText()) 2 else size);
        var flags: u8 = if (position == 0) flag_primary_key else 0;
        if (column.nullable) flags |= flag_nullable;
        const record: ColumnRecord = .{
            .kind = @intFromEnum(column.kind),
            .flags = flags,
            .scale = column.scale,
            .reserved = 0,
            .offset = offset,
            .size = size,
            .limit = column.limit,
        };
        const start = @sizeOf(SchemaHeader) + position * @sizeOf(ColumnRecord);
        @memcpy(buffer[start..][0..@sizeOf(ColumnRecord)], std.mem.asBytes(&record));
        offset += size;
    }
    const columns_end: u32 = @intCast(@sizeOf(SchemaHeader) + columns.len * @sizeOf(ColumnRecord));
    var end = columns_end;
    var index_count: u16 = 0;
    for (columns, 0..) |column, position| {
        if (!column.indexed) continue;
        var record: IndexRecord = .{
            .kind = @intFromEnum(IndexKind.column),
            .flags = if (column.unique) index_flag_unique else 0,
            .column_count = 1,
        };
        record.columns[0] = @intCast(position);
        addRecord(buffer, &end, &index_count, &record);
    }
    for (indexes) |*record| addRecord(buffer, &end, &index_count, record);
    @memcpy(buffer[end..][0..name.len], name);
    const header: SchemaHeader = .{
        .column_count = @intCast(columns.len),
        .image_size = std.mem.alignForward(u32, offset, 8),
        .index_count = index_count,
        .indexes_offset = columns_end,
        .name_offset = end,
        .name_size = @intCast(name.len),
        .text_offset = @intCast(end + name.len),
        .text_size = 0,
    };
    end += @intCast(name.len);
    @memcpy(buffer[0..@sizeOf(SchemaHeader)], std.mem.asBytes(&header));
    return buffer[0..end];
}

const test_columns = [_]TestColumn{
    .{ .kind = .string, .limit = 24 },
    .{ .kind = .decimal, .scale = 6, .indexed = true },
    .{ .kind = .u16, .nullable = true, .indexed = true, .unique = true },
    .{ .kind = .@"enum", .limit = 3 },
    .{ .kind = .f64, .nullable = true },
};

test "schema: what was encoded is decoded" {
    var buffer: [1024]u8 = undefined;
    const schema = try Schema.decode(encodeForTest(&test_columns, &buffer));
    try testing.expectEqual(5, schema.column_count);
    try testing.expectEqual(24, schema.primaryKey().limit);
    try testing.expectEqual(8, schema.columns[0].offset);
    try testing.expectEqual(40, schema.columns[1].offset);
    try testing.expectEqual(6, schema.columns[1].scale);
    try testing.expect(schema.columns[2].nullable and schema.columns[2].unique);
    try testing.expectEqual(0b1010, schema.nullableMask());
    try testing.expectEqual(null, schema.column(5));
}

test "schema: every cut and every broken law is refused" {
    var buffer: [1024]u8 = undefined;
    const bytes = encodeForTest(&test_columns, &buffer);
    for (0..bytes.len) |size| {
        try testing.expectError(error.InvalidSchema, Schema.decode(bytes[0..size]));
    }
    const Patch = struct { at: usize, byte: u8 };
    const patches = [_]Patch{
        .{ .at = 0, .byte = 0 }, // magic
        .{ .at = 4, .byte = 1 }, // version
        .{ .at = 6, .byte = 0 }, // no column
        .{ .at = 6, .byte = 66 }, // too many columns
        .{ .at = 8, .byte = 1 }, // image size not a multiple of 8
        .{ .at = 9, .byte = 0xff }, // image too large
        .{ .at = 12, .byte = 0 }, // columns elsewhere
        .{ .at = 16, .byte = 3 }, // more indexes than there are
        .{ .at = 16, .byte = 1 }, // fewer indexes
        .{ .at = 18, .byte = 1 }, // another layout
        .{ .at = 20, .byte = 32 }, // indexes over the columns
        .{ .at = 24, .byte = 32 }, // the name over the columns
        .{ .at = 28, .byte = 0 }, // no name
        .{ .at = 28, .byte = 64 }, // a name that is too long
        .{ .at = 32, .byte = 32 }, // text over the columns
        .{ .at = 36, .byte = 1 }, // text past the end
        .{ .at = 40, .byte = 1 }, // reserved
        .{ .at = 64, .byte = 0 }, // unknown kind
        .{ .at = 64, .byte = 11 }, // a float as key
        .{ .at = 65, .byte = 0 }, // no primary key
        .{ .at = 65, .byte = 3 }, // a nullable key
        .{ .at = 65, .byte = 17 }, // unknown flag
        .{ .at = 66, .byte = 1 }, // scale of a string
        .{ .at = 67, .byte = 1 }, // reserved
        .{ .at = 68, .byte = 0 }, // over the null mask
        .{ .at = 68, .byte = 9 }, // misaligned
        .{ .at = 68, .byte = 40 }, // overlap
        .{ .at = 71, .byte = 0xff }, // far outside
        .{ .at = 72, .byte = 27 }, // size against limit
        .{ .at = 76, .byte = 0 }, // empty string limit
        .{ .at = 81, .byte = 1 }, // second primary key
        .{ .at = 81, .byte = 4 }, // unknown flag
        .{ .at = 82, .byte = 16 }, // scale
        .{ .at = 84, .byte = 41 }, // misaligned number
        .{ .at = 92, .byte = 1 }, // limit of a number
        .{ .at = 124, .byte = 0 }, // enum without labels
        .{ .at = 144, .byte = 0 }, // unknown kind of index
        .{ .at = 144, .byte = 2 }, // a position of one column
        .{ .at = 145, .byte = 2 }, // unknown flag of an index
        .{ .at = 146, .byte = 2 }, // an index of two columns
        .{ .at = 147, .byte = 1 }, // reserved
        .{ .at = 148, .byte = 5 }, // a column that is not there
        .{ .at = 148, .byte = 2 }, // the same index twice
        .{ .at = 150, .byte = 1 }, // a second column
        .{ .at = 164, .byte = 1 }, // reserved
    };
    for (patches) |patch| {
        var broken: [1024]u8 = undefined;
        @memcpy(broken[0..bytes.len], bytes);
        broken[patch.at] = patch.byte;
        try testing.expectError(error.InvalidSchema, Schema.decode(broken[0..bytes.len]));
    }
}

test "schema: a geo index has two different columns of degrees" {
    var buffer: [1024]u8 = undefined;
    const columns = [_]TestColumn{
        .{ .kind = .u64 },
        .{ .kind = .decimal, .scale = 6, .nullable = true },
        .{ .kind = .f32 },
        .{ .kind = .i32 },
    };
    const Case = struct { columns: [2]u16, flags: u8 = 0, is_valid: bool = false };
    for ([_]Case{
        .{ .columns = .{ 1, 2 }, .is_valid = true },
        .{ .columns = .{ 2, 1 }, .is_valid = true },
        .{ .columns = .{ 1, 2 }, .flags = index_flag_unique },
        .{ .columns = .{ 1, 1 } },
        .{ .columns = .{ 1, 3 } },
        .{ .columns = .{ 0, 1 } },
        .{ .columns = .{ 1, 4 } },
    }) |case| {
        var record: IndexRecord = .{ .kind = 2, .flags = case.flags, .column_count = 2 };
        @memcpy(record.columns[0..2], &case.columns);
        const bytes = encodeNamedForTest("Flights", &columns, &.{record}, &buffer);
        const decoded = Schema.decode(bytes);
        if (!case.is_valid) {
            try testing.expectError(error.InvalidSchema, decoded);
            continue;
        }
        const schema = try decoded;
        try testing.expectEqual(IndexKind.geo, schema.indexes[0].kind);
        try testing.expectEqual(case.columns, schema.indexes[0].columns);
        try testing.expect(!schema.columns[1].indexed);
        try testing.expectEqualStrings("Flights", Schema.nameIn(bytes));
    }
}

test "schema: random bytes never decode to a column outside the image" {
    var random_state = std.Random.DefaultPrng.init(7);
    const random = random_state.random();
    var buffer: [1024]u8 = undefined;
    const bytes = encodeForTest(&test_columns, &buffer);
    for (0..20_000) |_| {
        var broken: [1024]u8 = undefined;
        @memcpy(broken[0..bytes.len], bytes);
        for (0..random.intRangeAtMost(u32, 1, 4)) |_| {
            broken[random.uintLessThan(usize, bytes.len)] = random.int(u8);
        }
        const schema = Schema.decode(broken[0..bytes.len]) catch continue;
        for (schema.columns[0..schema.column_count]) |column| {
            try testing.expect(column.offset >= null_mask_size);
            try testing.expect(column.offset + column.size <= schema.image_size);
        }
    }
}

test "schema: indexed text has the limit of a key" {
    var buffer: [256]u8 = undefined;
    for ([_]bool{ false, true }) |indexed| {
        const bytes = encodeForTest(&.{
            .{ .kind = .u64 },
            .{ .kind = .string, .limit = key_limit_max + 1, .indexed = indexed },
        }, &buffer);
        const decoded = Schema.decode(bytes);
        if (indexed) try testing.expectError(error.InvalidSchema, decoded) else _ = try decoded;
    }
}
