//! Log records: the operations of one transaction, one after the other, with nothing around them.
//!
//! An operation is `vint(table << 3 | code)` and what the code asks for. Rows are named by their
//! primary key, never by where they lie, so that replay works whatever the addresses.
//! `docs/internals/wal.md` has the bytes.
//!
//! **Invariants.** An update that changes nothing takes no bytes (W6). What `Operations` yields has
//! been read inside the record and refers only to columns that the table has; lengths and forms are
//! checked, values when they are applied. Any bytes end in operations or an error, after at most as
//! many steps as there are bytes.
//!
//! **Concurrency.** Pure. `encode…` runs in the committing session between installing and taking
//! the CSN (P14), on images that no longer change.
//!
//! **Memory.** Encoders write to the caller's buffer, of at least the size that the `…SizeMax`
//! function gives: bytes of it behind the returned size may be used as scratch. Operations borrow
//! the record.

const std = @import("std");
const deltas = @import("../row/delta.zig");
const rows = @import("../row/packed.zig");
const vints = @import("../row/vint.zig");
const assert = std.debug.assert;

const Cursor = vints.Cursor;
const RowCodec = rows.RowCodec;

/// Stored: append only. Zero is no operation, so that zeroed bytes are none.
const Code = enum(u3) {
    insert = 1,
    update_full = 2,
    update_single = 3,
    update_delta = 4,
    delete = 5,
    create_table = 6,
    /// A second code follows, the size of the rest, and the rest: `LongCode`.
    long = 7,
};

/// Stored: append only. Changes of the catalog are numbered below `passed_over_min`: a reader that
/// does not know one refuses the log. What it may pass over has a number from there on.
const LongCode = enum(u8) {
    /// The table's schema bytes are these from here on: its columns, its indexes or its name have
    /// changed.
    change_table = 1,
    drop_table = 2,
    truncate_table = 3,
    /// When the batch was written.
    time = passed_over_min,
};

const passed_over_min = 128;

pub const Operation = struct {
    table_id: u32,
    body: Body,

    pub const Body = union(enum) {
        insert: rows.Row,
        /// The whole new row of a key that exists.
        update_full: rows.Row,
        update: Update,
        delete: rows.Key,
        /// Schema bytes as in `docs/internals/row-image.md`.
        create_table: []const u8,
        /// The table's new schema bytes.
        change_table: []const u8,
        drop_table,
        truncate_table,
        /// Milliseconds since 1970.
        time: u64,
        /// Of a later version, and of no effect on rows.
        passed_over,
    };
};

pub const Update = struct {
    key: rows.Key,
    change: deltas.Change,
};

const head_size_max = vints.size_max;

pub fn insertSizeMax(codec: *const RowCodec) u32 {
    return head_size_max + codec.row_size_max;
}

/// Logs a new row.
pub fn encodeInsert(
    codec: *const RowCodec,
    table_id: u32,
    image: []align(8) const u8,
    out: []u8,
) usize {
    assert(out.len >= insertSizeMax(codec));
    const head = writeHead(out, table_id, .insert);
    return head + codec.encode(image, out[head..]);
}

pub fn updateSizeMax(codec: *const RowCodec) u32 {
    return head_size_max + codec.key_size_max +
        @max(codec.row_size_max, deltas.changeSizeMax(codec));
}

pub const UpdateError = error{
    /// The two images are not of one row.
    KeyChanged,
};

/// Logs what differs between two images of one row, in the shortest form: 0 bytes if nothing does.
pub fn encodeUpdate(
    codec: *const RowCodec,
    table_id: u32,
    old: []align(8) const u8,
    new: []align(8) const u8,
    out: []u8,
) UpdateError!usize {
    return encodeUpdateAs(codec, table_id, old, new, .shortest, out);
}

/// The same in the form that those who follow the log need.
pub fn encodeUpdateAs(
    codec: *const RowCodec,
    table_id: u32,
    old: []align(8) const u8,
    new: []align(8) const u8,
    choice: deltas.Choice,
    out: []u8,
) UpdateError!usize {
    assert(out.len >= updateSizeMax(codec));
    const difference = deltas.compare(codec, old, new);
    const wanted = if (difference == .columns and choice == .rows) .row else difference;
    switch (wanted) {
        .none => return 0,
        .key => return error.KeyChanged,
        .row => {
            const head = writeHead(out, table_id, .update_full);
            return head + codec.encode(new, out[head..]);
        },
        .columns => |columns| {
            const single = columns & (columns - 1) == 0;
            const head = writeHead(out, table_id, if (single) .update_single else .update_delta);
            const start = head + codec.encodeKey(new.ptr, out[head..]);
            const rest = out[start..];
            return start + if (single)
                deltas.encodeSingle(codec, @intCast(@ctz(columns)), old.ptr, new.ptr, choice, rest)
            else
                deltas.encodeMany(codec, columns, old.ptr, new.ptr, choice, rest);
        },
    }
}

pub fn deleteSizeMax(codec: *const RowCodec) u32 {
    return head_size_max + codec.key_size_max;
}

/// Logs the end of the row that `image` is the last of.
pub fn encodeDelete(
    codec: *const RowCodec,
    table_id: u32,
    image: []align(8) const u8,
    out: []u8,
) usize {
    assert(image.len == codec.image_size);
    assert(out.len >= deleteSizeMax(codec));
    const head = writeHead(out, table_id, .delete);
    return head + codec.encodeKey(image.ptr, out[head..]);
}

pub fn createTableSizeMax(schema_size: usize) usize {
    return head_size_max + vints.size_max + schema_size;
}

pub fn encodeCreateTable(table_id: u32, schema_bytes: []const u8, out: []u8) usize {
    assert(out.len >= createTableSizeMax(schema_bytes.len));
    const head = writeHead(out, table_id, .create_table);
    return head + rows.writeText(out[head..], schema_bytes);
}

pub const time_size_max = head_size_max + 1 + 2 * vints.size_max;

/// Tells the time, in milliseconds since 1970.
pub fn encodeTime(time_ms: u64, out: []u8) usize {
    assert(out.len >= time_size_max);
    var value: [vints.size_max]u8 = undefined;
    const size = vints.write(&value, time_ms);
    var used = writeHead(out, 0, .long);
    out[used] = @intFromEnum(LongCode.time);
    used += 1;
    return used + rows.writeText(out[used..], value[0..size]);
}

inline fn writeHead(out: []u8, table_id: u32, code: Code) usize {
    return vints.write(out, @as(u64, table_id) << 3 | @intFromEnum(code));
}

pub const Error = error{
    /// The bytes say what no encoder writes.
    Malformed,
    /// An operation on a table that does not exist at this point of the log.
    UnknownTable,
};

/// Reads the operations of one record. Where one ends depends on its table's schema, so the caller
/// applies each before it asks for the next: a record may create a table and fill it.
pub const Operations = struct {
    cursor: Cursor,

    pub fn init(record: []const u8) Operations {
        return .{ .cursor = .{ .bytes = record } };
    }

    /// Bytes read so far: where the operation that failed began, after an error.
    pub fn offset(operations: *const Operations) usize {
        return operations.cursor.at;
    }

    /// `tables` has `fn find(table_id: u32) ?*const RowCodec`; the codec need not live beyond the
    /// call.
    pub fn next(operations: *Operations, tables: anytype) Error!?Operation {
        const start = operations.cursor.at;
        if (operations.cursor.done()) return null;
        errdefer operations.cursor.at = start;
        return try operations.read(tables);
    }

    inline fn read(operations: *Operations, tables: anytype) Error!Operation {
        const cursor = &operations.cursor;
        const head = try cursor.vint();
        const table_id = std.math.cast(u32, head >> 3) orelse return error.Malformed;
        const low: u3 = @truncate(head);
        const code = std.enums.fromInt(Code, low) orelse return error.Malformed;
        const body: Operation.Body = switch (code) {
            .create_table => .{ .create_table = try cursor.slice(try cursor.vint()) },
            .long => try readLong(cursor),
            else => body: {
                const codec: *const RowCodec =
                    tables.find(table_id) orelse return error.UnknownTable;
                break :body try readRow(codec, code, cursor);
            },
        };
        return .{ .table_id = table_id, .body = body };
    }

    inline fn readRow(codec: *const RowCodec, code: Code, cursor: *Cursor) Error!Operation.Body {
        return switch (code) {
            .insert => .{ .insert = try codec.decode(cursor) },
            .update_full => .{ .update_full = try codec.decode(cursor) },
            .update_single => .{ .update = .{
                .key = try codec.decodeKey(cursor),
                .change = try deltas.decodeSingle(codec, cursor),
            } },
            .update_delta => .{ .update = .{
                .key = try codec.decodeKey(cursor),
                .change = try deltas.decodeMany(codec, cursor),
            } },
            .delete => .{ .delete = try codec.decodeKey(cursor) },
            .create_table, .long => unreachable,
        };
    }

    fn readLong(cursor: *Cursor) Error!Operation.Body {
        const byte = try cursor.byte();
        const rest = try cursor.slice(try cursor.vint());
        const code = std.enums.fromInt(LongCode, byte) orelse {
            return if (byte >= passed_over_min) .passed_over else error.Malformed;
        };
        switch (code) {
            .change_table => return .{ .change_table = rest },
            .drop_table => return if (rest.len == 0) .drop_table else error.Malformed,
            .truncate_table => return if (rest.len == 0) .truncate_table else error.Malformed,
            .time => {
                var value: Cursor = .{ .bytes = rest };
                const time_ms = try value.vint();
                return if (value.done()) .{ .time = time_ms } else error.Malformed;
            },
        }
    }
};

const testing = std.testing;
const row_model = @import("../testing/row_model.zig");

const OneTable = struct {
    codec: RowCodec,

    fn find(tables: *const OneTable, table_id: u32) ?*const RowCodec {
        return if (table_id == test_table) &tables.codec else null;
    }
};

const test_table = 9;

/// Every byte of an encoding, whatever the row: inserts and updates come back exactly.
fn expectExact(
    tables: *const OneTable,
    old: []align(8) const u8,
    new: []align(8) const u8,
    out: []u8,
    image: []align(8) u8,
) !void {
    const codec = &tables.codec;
    const inserted = encodeInsert(codec, test_table, old, out);
    try testing.expect(inserted <= insertSizeMax(codec));
    var insert = Operations.init(out[0..inserted]);
    const row = (try insert.next(tables)).?.body.insert;
    try testing.expectEqual(null, try insert.next(tables));
    @memset(image, 0xaa);
    try codec.unpack(row, image);
    try testing.expectEqualSlices(u8, old, image);

    const updated = try encodeUpdate(codec, test_table, old, new, out);
    try testing.expect(updated <= updateSizeMax(codec));
    try testing.expectEqual(std.mem.eql(u8, old, new), updated == 0);
    if (updated == 0) return;
    var update = Operations.init(out[0..updated]);
    @memset(image, 0xaa);
    var key_buffer: [257]u8 = undefined;
    switch ((try update.next(tables)).?.body) {
        .update => |each| {
            const field = codec.fields[0];
            const key = codec.keyBytes(each.key, &key_buffer);
            try testing.expectEqualSlices(u8, field.bytes(old.ptr), key);
            try deltas.apply(codec, &each.change, old, image);
        },
        .update_full => |full| try codec.unpack(full, image),
        else => return error.TestUnexpectedResult,
    }
    try testing.expectEqual(null, try update.next(tables));
    try testing.expectEqualSlices(u8, new, image);
}

test "record: rows and changes of random tables come back byte by byte" {
    var prng = std.Random.DefaultPrng.init(0x4ec0_4d01);
    const random = prng.random();
    var old_buffer: row_model.Image = .{};
    var new_buffer: row_model.Image = .{};
    var image_buffer: row_model.Image = .{};
    const out = try testing.allocator.alloc(u8, 64 * 1024);
    defer testing.allocator.free(out);
    for (0..1_500) |round| {
        const table = row_model.Table.random(random);
        const tables: OneTable = .{ .codec = .init(&table.schema) };
        const old = table.image(&old_buffer);
        const new = table.image(&new_buffer);
        const image = table.image(&image_buffer);
        for (0..8) |_| {
            table.fill(random, random.int(u8), old);
            @memcpy(new, old);
            table.change(random, new);
            // Also images that no encoder should make: still exact.
            if (round % 3 == 0) damage(random, &table, old, new);
            try expectExact(&tables, old, new, out, image);
        }
    }
}

/// Scribbles over padding, null mask and columns, but not over the key.
fn damage(random: std.Random, table: *const row_model.Table, old: []u8, new: []u8) void {
    const key = table.schema.primaryKey();
    for (0..3) |_| {
        const at = random.uintLessThan(usize, old.len);
        if (at >= key.offset and at < key.offset + key.size) continue;
        old[at] ^= random.int(u8);
        new[at] ^= random.int(u8);
    }
}

test "record: deletes and the catalog come back" {
    var prng = std.Random.DefaultPrng.init(0x4ec0_4d02);
    const random = prng.random();
    var buffer: row_model.Image = .{};
    var out: [4096]u8 = undefined;
    for (0..200) |_| {
        const table = row_model.Table.random(random);
        const tables: OneTable = .{ .codec = .init(&table.schema) };
        const image = table.image(&buffer);
        table.fill(random, random.int(u64), image);

        var used = encodeDelete(&tables.codec, test_table, image, &out);
        used += encodeCreateTable(77, table.bytes(), out[used..]);
        used += encodeTime(std.math.maxInt(u64) - 1, out[used..]);
        for ([_][]const u8{ "\x01\x05AB", "\x02\x01", "\x03\x01", "\xff\x07new" }) |long| {
            used += writeHead(out[used..], 77, .long);
            @memcpy(out[used..][0..long.len], long);
            used += long.len;
        }

        var operations = Operations.init(out[0..used]);
        const deleted = (try operations.next(&tables)).?;
        try testing.expectEqual(test_table, deleted.table_id);
        var key_buffer: [257]u8 = undefined;
        const key = tables.codec.keyBytes(deleted.body.delete, &key_buffer);
        try testing.expectEqualSlices(u8, tables.codec.fields[0].bytes(image.ptr), key);
        const created = (try operations.next(&tables)).?;
        try testing.expectEqual(77, created.table_id);
        try testing.expectEqualSlices(u8, table.bytes(), created.body.create_table);
        const time_ms = (try operations.next(&tables)).?.body.time;
        try testing.expectEqual(std.math.maxInt(u64) - 1, time_ms);
        const changed = (try operations.next(&tables)).?.body.change_table;
        try testing.expectEqualStrings("AB", changed);
        for ([_]std.meta.Tag(Operation.Body){ .drop_table, .truncate_table, .passed_over }) |tag| {
            const body = (try operations.next(&tables)).?.body;
            try testing.expectEqual(tag, std.meta.activeTag(body));
        }
        try testing.expectEqual(null, try operations.next(&tables));
    }
}

test "record: a change is refused on another base than its own" {
    const table = row_model.Table.of(&.{ .{ .kind = .u32 }, .{ .kind = .i64 }, .{ .kind = .i64 } });
    const tables: OneTable = .{ .codec = .init(&table.schema) };
    var prng = std.Random.DefaultPrng.init(0x4ec0_4d03);
    const random = prng.random();
    var old_buffer: row_model.Image = .{};
    var new_buffer: row_model.Image = .{};
    var out: [1024]u8 = undefined;
    const old = table.image(&old_buffer);
    const new = table.image(&new_buffer);
    var refused: usize = 0;
    for (0..2_000) |_| {
        table.fill(random, 7, old);
        @memcpy(new, old);
        new[16] +%= 1;
        const used = try encodeUpdate(&tables.codec, test_table, old, new, &out);
        var operations = Operations.init(out[0..used]);
        const update = (try operations.next(&tables)).?.body.update;
        old[17] ^= 1 + random.uintLessThan(u8, 255);
        if (deltas.apply(&tables.codec, &update.change, old, new)) {} else |err| {
            try testing.expectEqual(error.WrongBase, err);
            refused += 1;
        }
    }
    try testing.expect(refused > 1_950);
    new[8] +%= 1;
    try testing.expectError(error.KeyChanged, encodeUpdate(&tables.codec, 1, old, new, &out));
}

test "record: one small column of a wide row takes few bytes" {
    var columns: [65]row_model_column = undefined;
    columns[0] = .{ .kind = .string, .limit = 24 };
    for (columns[1..], 1..) |*column, position| {
        column.* = switch (position % 4) {
            0 => .{ .kind = .string, .limit = 14 },
            1 => .{ .kind = .i64 },
            2 => .{ .kind = .f64 },
            else => .{ .kind = .timestamp },
        };
    }
    const table = row_model.Table.of(&columns);
    const tables: OneTable = .{ .codec = .init(&table.schema) };
    var old_buffer: row_model.Image = .{};
    var new_buffer: row_model.Image = .{};
    var out: [8192]u8 = undefined;
    const old = table.image(&old_buffer);
    const new = table.image(&new_buffer);
    var prng = std.Random.DefaultPrng.init(0x4ec0_4d04);
    table.fill(prng.random(), 12_345_678, old);
    // Code and table, key with its size, column, check, a difference below 64 either way.
    for (table.schema.columns[1..]) |*column| {
        if (column.kind != .i64 and column.kind != .timestamp) continue;
        @memcpy(new, old);
        const word = new[column.offset..][0..8];
        std.mem.writeInt(i64, word, std.mem.readInt(i64, word, .little) -% 60, .little);
        const used = try encodeUpdate(&tables.codec, 15, old, new, &out);
        try testing.expectEqual(1 + (1 + 8) + 1 + 1 + 1, used);
    }
}

const row_model_column = @import("../row/schema.zig").TestColumn;

/// Decodes whatever it is given as far as it goes, applying everything.
fn decodeAnything(
    tables: *const OneTable,
    bytes: []const u8,
    base: []align(8) const u8,
    image: []align(8) u8,
) void {
    var operations = Operations.init(bytes);
    var steps: usize = 0;
    while (operations.next(tables) catch null) |operation| {
        steps += 1;
        assert(steps <= bytes.len);
        switch (operation.body) {
            .insert, .update_full => |row| tables.codec.unpack(row, image) catch {},
            .update => |update| deltas.apply(&tables.codec, &update.change, base, image) catch {},
            else => {},
        }
    }
}

test "record: random and damaged bytes give operations or an error, never a fault" {
    var prng = std.Random.DefaultPrng.init(0x4ec0_4d05);
    const random = prng.random();
    var old_buffer: row_model.Image = .{};
    var new_buffer: row_model.Image = .{};
    const out = try testing.allocator.alloc(u8, 64 * 1024);
    defer testing.allocator.free(out);
    for (0..1_000) |_| {
        const table = row_model.Table.random(random);
        const tables: OneTable = .{ .codec = .init(&table.schema) };
        const old = table.image(&old_buffer);
        const new = table.image(&new_buffer);
        table.fill(random, random.int(u8), old);
        var used: usize = 0;
        for (0..4) |_| {
            @memcpy(new, old);
            table.change(random, new);
            used += try encodeUpdate(&tables.codec, test_table, old, new, out[used..]);
        }
        used += encodeInsert(&tables.codec, test_table, old, out[used..]);
        for (0..30) |_| {
            const at = random.uintLessThan(usize, used);
            const before = out[at];
            out[at] = random.int(u8);
            decodeAnything(&tables, out[0 .. used - random.uintAtMost(usize, 3)], old, new);
            out[at] = before;
        }
        var noise: [64]u8 = undefined;
        for (0..30) |_| {
            random.bytes(&noise);
            noise[0] = @truncate((test_table << 3 | random.uintLessThan(u8, 8)) << 1 | 1);
            decodeAnything(&tables, noise[0..random.uintAtMost(usize, noise.len)], old, new);
        }
    }
}

fn fuzzOne(tables: *const OneTable, smith: *testing.Smith) !void {
    var old: [256]u8 align(8) = @splat(0);
    var image: [256]u8 align(8) = undefined;
    var bytes: [512]u8 = undefined;
    const size = smith.slice(&bytes);
    const image_size = tables.codec.image_size;
    decodeAnything(tables, bytes[0..size], old[0..image_size], image[0..image_size]);
}

test "record: fuzz" {
    const table = row_model.Table.of(&.{
        .{ .kind = .string, .limit = 12 },
        .{ .kind = .i32, .nullable = true },
        .{ .kind = .f64 },
        .{ .kind = .bytes, .limit = 40, .nullable = true },
        .{ .kind = .u8 },
    });
    const tables: OneTable = .{ .codec = .init(&table.schema) };
    try testing.fuzz(&tables, fuzzOne, .{});
}
