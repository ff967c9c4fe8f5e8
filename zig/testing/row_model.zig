//! Random tables, rows and changes of rows, for property tests of whatever encodes images.
//!
//! **Memory.** A `Table` owns nothing; its schema bytes and images are arrays inside it.

const std = @import("std");
const schemas = @import("../row/schema.zig");

const Random = std.Random;

/// A schema of random kinds, and images that keep the laws of `docs/internals/row-image.md`.
pub const Table = struct {
    schema_bytes: [schemas.bytes_for_test_max]u8,
    schema_size: usize,
    schema: schemas.Schema,

    pub fn of(columns: []const schemas.TestColumn) Table {
        var table: Table = undefined;
        table.schema_size = schemas.encodeForTest(columns, &table.schema_bytes).len;
        table.schema = schemas.Schema.decode(table.bytes()) catch unreachable;
        return table;
    }

    pub fn random(source: Random) Table {
        var columns: [schemas.columns_max]schemas.TestColumn = undefined;
        const wide = source.uintLessThan(u8, 8) == 0;
        const count = 1 + source.uintLessThan(usize, if (wide) schemas.columns_max else 9);
        for (columns[0..count], 0..) |*column, position| {
            const is_key = position == 0;
            column.* = .{ .kind = randomKind(source, is_key) };
            column.nullable = !is_key and source.boolean();
            if (column.kind.isText()) {
                const short = source.uintLessThan(u8, 4) > 0;
                column.limit = 1 + source.uintLessThan(u32, if (short) 24 else 200);
            }
            if (column.kind == .@"enum") column.limit = 1 + source.uintLessThan(u32, 300);
        }
        return of(columns[0..count]);
    }

    fn randomKind(source: Random, is_key: bool) schemas.Kind {
        while (true) {
            const kind = source.enumValue(schemas.Kind);
            if (!is_key or !kind.isFloat()) return kind;
        }
    }

    pub fn bytes(table: *const Table) []const u8 {
        return table.schema_bytes[0..table.schema_size];
    }

    pub fn image(table: *const Table, buffer: *Image) []align(8) u8 {
        return buffer.bytes[0..table.schema.image_size];
    }

    /// Fills a fresh image; with `key` the same primary key for the same number.
    pub fn fill(table: *const Table, source: Random, key: u64, out: []align(8) u8) void {
        @memset(out, 0);
        for (table.schema.columns[0..table.schema.column_count]) |*column| {
            table.setRandom(source, column, out);
        }
        table.setKey(key, out);
    }

    pub fn setKey(table: *const Table, key: u64, out: []align(8) u8) void {
        const column = table.schema.primaryKey();
        const target = out[column.offset..][0..column.size];
        @memset(target, 0);
        if (column.kind.isText()) {
            var text: [24]u8 = undefined;
            const written = std.fmt.bufPrint(&text, "{d}", .{key}) catch unreachable;
            const size = @min(written.len, column.limit);
            std.mem.writeInt(u16, target[0..2], @intCast(size), .little);
            @memcpy(target[2..][0..size], written[0..size]);
        } else {
            const word = std.mem.asBytes(&key);
            @memcpy(target, word[0..target.len]);
        }
    }

    /// Changes some columns of a row, perhaps to what they were.
    pub fn change(table: *const Table, source: Random, out: []align(8) u8) void {
        const others = table.schema.columns[1..table.schema.column_count];
        if (others.len == 0) return;
        const count = switch (source.uintLessThan(u8, 4)) {
            0 => others.len,
            1 => 2,
            else => 1,
        };
        for (0..count) |_| {
            const column = &others[source.uintLessThan(usize, others.len)];
            if (source.uintLessThan(u8, 4) == 0) {
                table.setRandom(source, column, out);
            } else {
                nudge(source, column, out);
            }
        }
    }

    fn setRandom(
        table: *const Table,
        source: Random,
        column: *const schemas.Column,
        out: []align(8) u8,
    ) void {
        _ = table;
        const target = out[column.offset..][0..column.size];
        @memset(target, 0);
        const nulls = schemas.nullMask(out.ptr);
        if (column.nullable and source.uintLessThan(u8, 4) == 0) {
            std.mem.writeInt(u64, out[0..8], nulls | column.mask(), .little);
            return;
        }
        std.mem.writeInt(u64, out[0..8], nulls & ~column.mask(), .little);
        if (column.kind.isText()) {
            const limit = if (source.boolean()) column.limit else @min(column.limit, 6);
            const size = source.uintAtMost(u32, limit);
            std.mem.writeInt(u16, target[0..2], @intCast(size), .little);
            for (target[2..][0..size]) |*byte| byte.* = "abcé\x00z"[source.uintLessThan(usize, 6)];
            return;
        }
        const shift: u6 = if (source.boolean()) 0 else source.int(u6);
        const word = std.mem.toBytes(source.int(u64) >> shift);
        if (column.kind == .f64) {
            const value: f64 = @floatFromInt(source.int(i16));
            @memcpy(target, std.mem.asBytes(&if (source.boolean()) value / 3 else value));
        } else if (column.kind == .bool) {
            target[0] = word[0] & 1;
        } else if (column.kind == .@"enum") {
            const label: u16 = @intCast(source.uintLessThan(u32, column.limit));
            std.mem.writeInt(u16, target[0..2], label, .little);
        } else {
            @memcpy(target, word[0..target.len]);
        }
    }

    /// A small change of a value: what updates mostly are.
    fn nudge(source: Random, column: *const schemas.Column, out: []align(8) u8) void {
        if (column.isNull(out.ptr)) return;
        const target = out[column.offset..][0..column.size];
        if (column.kind.isText()) {
            const size = std.mem.readInt(u16, target[0..2], .little);
            if (size > 0) target[2 + source.uintLessThan(usize, size)] = 'x';
            return;
        }
        switch (column.kind) {
            .bool => target[0] ^= 1,
            .@"enum", .f32, .f64 => {},
            else => target[0] +%= source.uintLessThan(u8, 3),
        }
    }
};

/// Room for any image.
pub const Image = struct {
    bytes: [schemas.image_size_max]u8 align(8) = undefined,
};
