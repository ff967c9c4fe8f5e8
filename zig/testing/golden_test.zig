//! The stored formats, byte by byte: a change of what is written shows here, and needs a new format
//! version and a reader for the old one. The bytes are explained in `docs/internals/wal.md` and
//! `docs/internals/checkpoint.md`.

const std = @import("std");
const checkpoint_write = @import("../checkpoint/write.zig");
const files = @import("../wal/file.zig");
const records = @import("../wal/record.zig");
const row_model = @import("row_model.zig");
const RowCodec = @import("../row/packed.zig").RowCodec;
const sim = @import("storage_sim.zig");

const testing = std.testing;

const columns = [_]@import("../row/schema.zig").TestColumn{
    .{ .kind = .string, .limit = 12 },
    .{ .kind = .i32, .nullable = true },
    .{ .kind = .f64 },
    .{ .kind = .string, .limit = 20 },
    .{ .kind = .u16 },
};

const Image = [64]u8;

/// A row of the table below.
fn imageOf(table: *const row_model.Table, altitude: ?i32, speed: f64, note: []const u8) Image {
    var image: Image = @splat(0);
    const all = table.schema.columns[0..table.schema.column_count];
    std.mem.writeInt(u16, image[all[0].offset..][0..2], 6, .little);
    @memcpy(image[all[0].offset + 2 ..][0..6], "UAL123");
    if (altitude) |value| {
        std.mem.writeInt(i32, image[all[1].offset..][0..4], value, .little);
    } else {
        image[0] = 1;
    }
    @memcpy(image[all[2].offset..][0..8], std.mem.asBytes(&speed));
    std.mem.writeInt(u16, image[all[3].offset..][0..2], @intCast(note.len), .little);
    @memcpy(image[all[3].offset + 2 ..][0..note.len], note);
    std.mem.writeInt(u16, image[all[4].offset..][0..2], 7, .little);
    return image;
}

fn expectBytes(comptime expected: []const u8, actual: []const u8) !void {
    var bytes: [expected.len / 2]u8 = undefined;
    try testing.expectEqualSlices(u8, try std.fmt.hexToBytes(&bytes, expected), actual);
}

test "golden: log records of version 2" {
    const table: row_model.Table = .of(&columns);
    const codec: RowCodec = .init(&table.schema);
    try testing.expectEqual(@sizeOf(Image), codec.image_size);
    var out: [1024]u8 = undefined;
    const first: Image align(8) = imageOf(&table, 31_000, 450, "on time");

    // Insert into table 2: code, key, size; nulls, altitude, speed, note, number.
    const inserted = records.encodeInsert(&codec, 2, &first, &out);
    try expectBytes("23" ++ "0d55414c313233" ++ "45" ++ "00" ++ "849107" ++ "08c40702" ++
        "0f6f6e2074696d65" ++ "0f", out[0..inserted]);

    // Altitude 25 higher: code, key, column 0 relative, check, difference.
    const climbed: Image align(8) = imageOf(&table, 31_025, 450, "on time");
    var used = try records.encodeUpdate(&codec, 2, &first, &climbed, &out);
    try expectBytes("27" ++ "0d55414c313233" ++ "00" ++ "e0" ++ "65", out[0..used]);

    // Altitude null: code, key, column 0 null, check.
    const unknown: Image align(8) = imageOf(&table, null, 450, "on time");
    used = try records.encodeUpdate(&codec, 2, &first, &unknown, &out);
    try expectBytes("27" ++ "0d55414c313233" ++ "80" ++ "e0", out[0..used]);

    // Three columns: code, key, mask, forms, check; altitude and speed by value, note relative.
    const landed: Image align(8) = imageOf(&table, 0, 451.5, "on tome");
    used = try records.encodeUpdate(&codec, 2, &first, &landed, &out);
    try expectBytes("29" ++ "0d55414c313233" ++ "0107" ++ "05" ++ "b1" ++ "01" ++ "08c48703" ++
        "0905036f", out[0..used]);

    used = records.encodeDelete(&codec, 2, &first, &out);
    try expectBytes("2b" ++ "0d55414c313233", out[0..used]);
    used = records.encodeCreateTable(2, "AB", &out);
    try expectBytes("2d" ++ "05" ++ "4142", out[0..used]);
    used = records.encodeTime(1_700_000_000_000, &out);
    try expectBytes("0f" ++ "80" ++ "0d" ++ "20005af9f362", out[0..used]);
}

test "golden: a log file and a checkpoint of version 2" {
    var disk: sim.Disk = .init(testing.allocator);
    defer disk.deinit();
    var writer = try files.Writer.create(disk.storage(), testing.allocator, .{
        .database_id = @splat(0xab),
        .epoch = 1,
        .first_csn = 1,
        .allocate_size = 4096,
    });
    var buffer: [256]u8 = undefined;
    var batch: files.Batch = .init(&buffer);
    batch.begin(1);
    try batch.add(1, &.{"one"});
    try batch.add(4, &.{"four"});
    try batch.cover(6);
    try writer.append(&batch);
    const log = disk.contents("aerostore.wal").?.items;
    try expectBytes("4145524f57414c01" ++ "02000000" ++ "00100000" ++ "ab" ** 16 ++
        "0100000000000000" ++ "0100000000000000" ++ "0100000000000000" ++ "01000000" ++
        "172107d0", log[0..64]);
    try expectBytes("41424154" ++ "0a000000" ++ "0100000000000000" ++ "05000000" ++ "02000000" ++
        "00000000" ++ "172107d0" ++ "c9cef92a" ++ "6224c0d0", log[4096..][0..40]);
    try expectBytes("0d" ++ "6f6e65" ++ "13" ++ "05" ++ "666f7572", log[4136..][0..10]);

    const table: row_model.Table = .of(&columns);
    const codec: RowCodec = .init(&table.schema);
    const block = try testing.allocator.alloc(u8, checkpoint_write.buffer_size);
    defer testing.allocator.free(block);
    var checkpoint = try checkpoint_write.Writer.begin(disk.storage(), block, .{
        .database_id = @splat(0xab),
        .snapshot_csn = 6,
    });
    try checkpoint.beginTable(2, "AB", &codec);
    const image: Image align(8) = imageOf(&table, 31_000, 450, "on time");
    try checkpoint.addRow(&image);
    _ = try checkpoint.finish();
    const bytes = disk.contents("occ_checkpoint.dat").?.items;
    try expectBytes("4145524f434b5001" ++ "02000000" ++ "00100000" ++ "ab" ** 16, bytes[0..32]);
    try expectBytes("0600000000000000" ++ "0100000000000000" ++ "0100000000000000" ++
        "0300000000000000" ++ "8b10000000000000" ++ "0100000000000000" ++ "01000000" ++
        "00" ** 8 ++ "7af58595", bytes[32..96]);
    // The table, its row, the totals.
    try expectBytes("41424c4b" ++ "01000000" ++ "02000000" ++ "02000000" ++ "00000000" ++
        "00000000" ++ "00000000" ++ "65ff126f" ++ "4142", bytes[4096..][0..34]);
    try expectBytes("41424c4b" ++ "02000000" ++ "19000000" ++ "02000000" ++ "01000000" ++
        "01000000" ++ "00000000" ++ "3560f161" ++ "0d55414c313233" ++ "45" ++ "00" ++ "849107" ++
        "08c40702" ++ "0f6f6e2074696d65" ++ "0f", bytes[4130..][0..57]);
    try expectBytes("41424c4b" ++ "03000000" ++ "10000000" ++ "02000000" ++ "00000000" ++
        "02000000" ++ "00000000" ++ "1f0730b8" ++ "0100000000000000" ++
        "0100000000000000", bytes[4187..]);
}
