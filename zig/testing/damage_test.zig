//! Log and checkpoint cut at every byte and with bits flipped: the result is what was written, a
//! prefix of it that is reported as one, or a refusal that names the place; never anything else.

const std = @import("std");
const checkpoint_format = @import("../checkpoint/format.zig");
const checkpoint_load = @import("../checkpoint/load.zig");
const checkpoint_write = @import("../checkpoint/write.zig");
const files = @import("../wal/file.zig");
const formats = @import("../wal/format.zig");
const cut = @import("../wal/cut.zig");
const readers = @import("../wal/reader.zig");
const row_model = @import("row_model.zig");
const RowCodec = @import("../row/packed.zig").RowCodec;
const sim = @import("storage_sim.zig");

const testing = std.testing;
const Allocator = std.mem.Allocator;
const Disk = sim.Disk;

const database_id: [16]u8 = @splat(0xda);
const record_size_max = 400;

/// Bytes of which no two stretches are alike.
const pattern: [record_size_max + 256]u8 = bytes: {
    @setEvalBranchQuota(10_000);
    var bytes: [record_size_max + 256]u8 = undefined;
    for (&bytes, 0..) |*byte, index| byte.* = @truncate(index *% index *% 31 +% (index >> 3));
    break :bytes bytes;
};

/// The record of a CSN: told from its neighbours by size and content.
fn recordOf(csn: u64) []const u8 {
    return pattern[@intCast(csn % 251)..][0..@intCast(20 + csn * 37 % (record_size_max - 20))];
}

fn isAborted(csn: u64) bool {
    return csn % 17 == 3;
}

/// A log on a disk of its own, and where its batches lie.
const Log = struct {
    disk: Disk,
    writer: files.Writer,
    next_csn: u64 = 1,
    /// Ends of the batches of the last file, and the CSN that each ends with.
    ends: std.ArrayList(End) = .empty,

    const End = struct { offset: u64, csn: u64 };

    fn create(log: *Log, allocator: Allocator) !void {
        log.* = .{ .disk = .init(allocator), .writer = undefined };
        log.writer = try log.open(1);
    }

    fn open(log: *Log, epoch: u64) !files.Writer {
        log.ends.clearRetainingCapacity();
        return files.Writer.create(log.disk.storage(), log.disk.allocator, .{
            .database_id = database_id,
            .epoch = epoch,
            .first_csn = log.next_csn,
            .allocate_size = 4096,
        });
    }

    fn rotate(log: *Log) !void {
        log.writer = try log.open(log.writer.epoch + 1);
    }

    fn append(log: *Log, count: usize) !void {
        var buffer: [16 * 1024]u8 = undefined;
        var batch: files.Batch = .init(&buffer);
        batch.begin(log.next_csn);
        for (0..count) |_| {
            const csn = log.next_csn;
            log.next_csn += 1;
            if (isAborted(csn)) {
                try batch.cover(csn + 1);
            } else {
                try batch.add(csn, &.{recordOf(csn)});
            }
        }
        try log.writer.append(&batch);
        try log.ends.append(
            log.disk.allocator,
            .{ .offset = log.writer.position, .csn = log.next_csn },
        );
    }

    fn deinit(log: *Log) void {
        log.ends.deinit(log.disk.allocator);
        log.disk.deinit();
    }
};

const Outcome = union(enum) {
    /// Everything up to here came, as it was written.
    read: readers.Report,
    refused: readers.Fault,
};

/// Reads the whole log and compares what comes with what was written.
fn readLog(disk: *Disk, allocator: Allocator) !Outcome {
    return readSome(disk, allocator, std.math.maxInt(usize));
}

/// The same, comparing only the first `compared` bytes of each record.
fn readSome(disk: *Disk, allocator: Allocator, compared: usize) !Outcome {
    var fault: ?readers.Fault = null;
    var reader = readers.Reader.open(disk.storage(), allocator, .{
        .start_csn = 1,
        .database_id = database_id,
    }, &fault) catch |err| switch (err) {
        error.WalCorrupt => return .{ .refused = fault.? },
        else => return err,
    };
    defer reader.close();
    var csn: u64 = 1;
    while (reader.next() catch |err| switch (err) {
        error.WalCorrupt => return .{ .refused = reader.fault.? },
        else => return err,
    }) |transaction| : (csn += 1) {
        while (isAborted(csn)) csn += 1;
        if (csn != transaction.csn) return error.TestWrongCsn;
        const expected = recordOf(csn);
        if (expected.len != transaction.record.len) return error.TestWrongRecord;
        const count = @min(compared, expected.len);
        if (!std.mem.eql(u8, expected[0..count], transaction.record[0..count])) {
            return error.TestWrongRecord;
        }
    }
    while (csn < reader.report.end_csn and isAborted(csn)) csn += 1;
    try testing.expectEqual(csn, reader.report.end_csn);
    return .{ .read = reader.report };
}

test "damage: a log cut at every byte of its last 64 KiB ends with its last whole batch" {
    var arena: std.heap.ArenaAllocator = .init(std.heap.page_allocator);
    defer arena.deinit();
    var log: Log = undefined;
    try log.create(testing.allocator);
    defer log.deinit();
    try log.append(20);
    try log.rotate();
    while (log.writer.position < formats.batches_offset + 64 * 1024) {
        try log.append(1 + log.next_csn * 31 % 12);
        try log.writer.sync();
    }
    const bytes = log.disk.contents(formats.current_name).?;
    const full = log.writer.position;
    var last = log.ends.items.len;
    var size = full;
    while (size >= full - 64 * 1024) : (size -= 1) {
        bytes.items.len = @intCast(size);
        while (last > 0 and log.ends.items[last - 1].offset > size) last -= 1;
        const end: Log.End = if (last > 0)
            log.ends.items[last - 1]
        else
            .{ .offset = formats.batches_offset, .csn = 21 };
        _ = arena.reset(.retain_capacity);
        // Nearly all of these bytes are the same every time.
        const compared: usize = if (size % 64 == 0) record_size_max else 8;
        const outcome = try readSome(&log.disk, arena.allocator(), compared);
        try testing.expectEqual(end.csn, outcome.read.end_csn);
        try testing.expectEqual(end.offset, outcome.read.end_offset);
        // Zeros at the cut are no loss, and are not told from what was never written.
        const lost = outcome.read.truncated_size;
        try testing.expect(lost <= size - end.offset);
        try testing.expect(size - end.offset < 4 or lost > 0);
    }
    bytes.items.len = formats.batches_offset - 1;
    while (bytes.items.len > 0) : (bytes.items.len -= 1) {
        _ = arena.reset(.retain_capacity);
        const outcome = try readLog(&log.disk, arena.allocator());
        switch (outcome) {
            .read => |report| try testing.expectEqual(21, report.end_csn),
            .refused => |fault| try testing.expectEqual(.header_cut, fault.reason),
        }
    }
}

/// A log of three files, the last with a batch that was not synced alone, and zeros behind.
fn createThreeFiles(log: *Log) !void {
    try log.create(testing.allocator);
    errdefer log.deinit();
    for (0..3) |index| {
        if (index > 0) try log.rotate();
        for (0..6) |_| {
            try log.append(1 + log.next_csn * 31 % 7);
            try log.writer.sync();
        }
    }
    try log.append(3);
    try log.append(3);
    try log.writer.sync();
}

/// Flips a bit, reads, flips it back.
fn checkFlip(log: *Log, bytes: []u8, is_last: bool, bit: usize, allocator: Allocator) !void {
    bytes[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
    defer bytes[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
    const outcome = try readLog(&log.disk, allocator);
    if (outcome == .refused) return;
    const report = outcome.read;
    if (report.end_csn < log.next_csn) {
        // A prefix: only where a sync was not followed by a batch that could tell of it.
        const ends = log.ends.items;
        try testing.expect(is_last);
        try testing.expect(bit / 8 >= ends[ends.len - 3].offset);
        try testing.expect(report.truncated_size > 0);
    } else {
        // Exact: a byte that means nothing.
        const in_header = bit / 8 >= @sizeOf(formats.FileHeader) and
            bit / 8 < formats.batches_offset;
        const in_tail = is_last and bit / 8 >= log.writer.position;
        const behind = !is_last and bit / 8 >= formats.batches_offset;
        try testing.expect(in_header or in_tail or behind);
        if (in_tail) try testing.expect(report.truncated_size > 0);
    }
}

test "damage: flipped bits in the log are noticed, or in bytes that mean nothing" {
    var arena: std.heap.ArenaAllocator = .init(std.heap.page_allocator);
    defer arena.deinit();
    var log: Log = undefined;
    try createThreeFiles(&log);
    defer log.deinit();
    const names = [_][]const u8{ "aerostore.wal.1", "aerostore.wal.2", "aerostore.wal" };
    for (names, 0..) |name, index| {
        const bytes = log.disk.contents(name).?.items;
        errdefer std.debug.print("{s}\n", .{name});
        // Every bit of the file header and of the first batch's header, then any bits.
        for (0..(formats.batches_offset + formats.batch_header_size) * 8) |bit| {
            if (bit >= 72 * 8 and bit < (formats.batches_offset - 8) * 8) continue;
            _ = arena.reset(.retain_capacity);
            try checkFlip(&log, bytes, index == 2, bit, arena.allocator());
        }
        var prng = std.Random.DefaultPrng.init(index);
        for (0..25_000) |_| {
            const bit = prng.random().uintLessThan(usize, bytes.len * 8);
            _ = arena.reset(.retain_capacity);
            errdefer std.debug.print("bit {d}\n", .{bit});
            try checkFlip(&log, bytes, index == 2, bit, arena.allocator());
        }
    }
}

test "damage: each fault of a log is named" {
    var log: Log = undefined;
    try createThreeFiles(&log);
    defer log.deinit();
    const allocator = testing.allocator;
    const first = log.disk.contents("aerostore.wal.1").?.items;
    const last = log.disk.contents("aerostore.wal").?.items;
    const Case = struct { bytes: []u8, at: usize, reason: readers.Fault.Reason };
    const middle: usize = @intCast(log.ends.items[2].offset + 5);
    for ([_]Case{
        .{ .bytes = first, .at = 0, .reason = .header_magic },
        .{ .bytes = first, .at = 8, .reason = .header_version },
        .{ .bytes = last, .at = 40, .reason = .header_checksum },
        .{ .bytes = first, .at = formats.batches_offset + 50, .reason = .gap },
        .{ .bytes = last, .at = middle, .reason = .damaged },
    }) |case| {
        case.bytes[case.at] ^= 1;
        defer case.bytes[case.at] ^= 1;
        const outcome = try readLog(&log.disk, allocator);
        try testing.expectEqual(case.reason, outcome.refused.reason);
        if (case.reason == .damaged) {
            try testing.expectEqual(log.ends.items[2].offset, outcome.refused.offset);
            try testing.expectEqual(log.ends.items[3].offset, outcome.refused.found);
        }
    }
    try log.disk.storage().unlink("aerostore.wal.2");
    try testing.expectEqual(.gap, (try readLog(&log.disk, allocator)).refused.reason);
    try log.disk.storage().unlink("aerostore.wal.1");
    try testing.expectEqual(.start_missing, (try readLog(&log.disk, allocator)).refused.reason);
}

test "damage: a copy of the log inside a row is not taken for the log" {
    var log: Log = undefined;
    try log.create(testing.allocator);
    defer log.deinit();
    try log.append(10);
    try log.writer.sync();
    try log.append(10);
    try log.writer.sync();
    const position: usize = @intCast(log.writer.position);
    const before = log.disk.contents("aerostore.wal").?.items[formats.batches_offset..position];
    const copy = try testing.allocator.dupe(u8, before);
    defer testing.allocator.free(copy);

    var buffer: [32 * 1024]u8 = undefined;
    var batch: files.Batch = .init(&buffer);
    batch.begin(log.next_csn);
    try batch.add(log.next_csn, &.{ copy, copy });
    try log.writer.append(&batch);
    // The last batch is torn; what is in it does not prove anything.
    const bytes = log.disk.contents("aerostore.wal").?;
    bytes.items[position + 45] ^= 1;
    const outcome = try readLog(&log.disk, testing.allocator);
    try testing.expectEqual(log.next_csn, outcome.read.end_csn);
    try testing.expect(outcome.read.truncated_size > copy.len);
}

test "damage: a log cut on order can be read up to there, and all of it is kept" {
    const allocator = testing.allocator;
    var buffer: [1000]u8 = undefined;
    const names = [_][]const u8{ "aerostore.wal.1", "aerostore.wal.2", "aerostore.wal" };
    for (names, 1..) |name, epoch| {
        for ([_]u64{ 0, formats.batches_offset, formats.batches_offset + 700 }) |offset| {
            var log: Log = undefined;
            try createThreeFiles(&log);
            defer log.deinit();
            const bytes = log.disk.contents(name).?.items;
            const before = try allocator.dupe(u8, bytes);
            defer allocator.free(before);
            bytes[@intCast(offset)] ^= 1;
            const damaged = try readLog(&log.disk, allocator);
            try testing.expectEqual(.refused, std.meta.activeTag(damaged));

            const at = damaged.refused.offset;
            const storage = log.disk.storage();
            const report = try cut.cutAt(storage, allocator, name, at, &buffer);
            const later: u64 = 3 - epoch;
            const whole = @intFromBool(offset == 0);
            try testing.expectEqual(later + whole, report.set_aside_count);
            const outcome = (try readLog(&log.disk, allocator)).read;
            try testing.expectEqual(0, outcome.truncated_size);
            try testing.expect(outcome.end_csn <= log.next_csn);
            var kept_buffer: [64]u8 = undefined;
            const kept = try std.fmt.bufPrint(&kept_buffer, "{s}.kept", .{name});
            const copy = log.disk.contents(kept).?.items;
            try testing.expectEqual(before.len, copy.len);
            // A new file follows on what remains.
            log.next_csn = outcome.end_csn;
            log.writer = try log.open(9);
            try log.append(3);
            const after = (try readLog(&log.disk, allocator)).read;
            try testing.expectEqual(log.next_csn, after.end_csn);
        }
    }
}

const row_count = 30;

/// What the checkpoint tests write: the images of two tables of one schema.
const Rows = struct {
    table: row_model.Table,
    images: []align(8) u8,

    fn create() !Rows {
        var result: Rows = .{ .table = .of(&checkpoint_table), .images = undefined };
        const size = result.table.schema.image_size;
        result.images = try testing.allocator.alignedAlloc(u8, .@"8", 2 * row_count * size);
        var prng = std.Random.DefaultPrng.init(0xc4ec);
        for (0..2 * row_count) |index| {
            result.table.fill(prng.random(), index % row_count, result.image(index));
        }
        return result;
    }

    fn destroy(self: *Rows) void {
        testing.allocator.free(self.images);
    }

    fn image(self: *const Rows, index: usize) []align(8) u8 {
        const size = self.table.schema.image_size;
        return @alignCast(self.images[index * size ..][0..size]);
    }
};

fn writeCheckpoint(disk: *Disk, written: *const Rows, buffer: []u8) !void {
    const table = &written.table;
    const codec: RowCodec = .init(&table.schema);
    var writer = try checkpoint_write.Writer.begin(
        disk.storage(),
        buffer,
        .{ .database_id = database_id, .snapshot_csn = 77 },
    );
    for (0..2) |table_id| {
        try writer.beginTable(@intCast(table_id), table.bytes(), &codec);
        for (0..row_count) |key| {
            try writer.addRow(written.image(table_id * row_count + key));
        }
    }
    const report = try writer.finish();
    try testing.expectEqual(2 * row_count, report.row_count);
}

/// Loads the whole checkpoint and compares; false if it was refused.
fn loadCheckpoint(disk: *Disk, written: *const Rows, allocator: Allocator) !bool {
    const table = &written.table;
    var fault: ?checkpoint_load.Fault = null;
    var loader = checkpoint_load.Loader.open(
        disk.storage(),
        allocator,
        .{ .database_id = database_id },
        &fault,
    ) catch |err| switch (err) {
        error.CheckpointCorrupt => return false,
        else => return err,
    } orelse return error.TestUnexpectedResult;
    defer loader.close();
    try testing.expectEqual(77, loader.header.snapshot_csn);
    const codec: RowCodec = .init(&table.schema);
    var found_buffer: row_model.Image = .{};
    const found = table.image(&found_buffer);
    var table_count: u64 = 0;
    var key: u64 = 0;
    while (loader.next() catch |err| switch (err) {
        error.CheckpointCorrupt => return false,
        else => return err,
    }) |event| switch (event) {
        .table => |begun| {
            try testing.expectEqual(table_count, begun.table_id);
            try testing.expectEqualSlices(u8, table.bytes(), begun.schema_bytes);
            table_count += 1;
            key = 0;
        },
        .rows => |block| {
            var rest = block;
            while (try rest.next(&codec)) |row| : (key += 1) {
                try codec.unpack(row, found);
                const expected = written.image(block.table_id * row_count + key);
                if (!std.mem.eql(u8, expected, found)) return error.TestWrongRow;
            }
        },
    };
    try testing.expectEqual(2, table_count);
    try testing.expectEqual(row_count, key);
    return true;
}

const checkpoint_table = [_]@import("../row/schema.zig").TestColumn{
    .{ .kind = .string, .limit = 12 },
    .{ .kind = .i32, .nullable = true },
    .{ .kind = .f64 },
    .{ .kind = .string, .limit = 30 },
};

test "damage: a checkpoint cut or with a flipped bit is refused, unless the bit means nothing" {
    var arena: std.heap.ArenaAllocator = .init(std.heap.page_allocator);
    defer arena.deinit();
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    var written: Rows = try .create();
    defer written.destroy();
    const buffer = try testing.allocator.alloc(u8, checkpoint_write.buffer_size);
    defer testing.allocator.free(buffer);
    try writeCheckpoint(&disk, &written, buffer);
    try testing.expect(try loadCheckpoint(&disk, &written, testing.allocator));

    const bytes = disk.contents(checkpoint_format.current_name).?;
    const size = bytes.items.len;
    var prng = std.Random.DefaultPrng.init(0xf11b);
    for (0..30_000) |round| {
        // Every bit of the header first.
        const header_bits = @sizeOf(checkpoint_format.FileHeader) * 8;
        const bit = if (round < header_bits)
            round
        else
            prng.random().uintLessThan(usize, size * 8);
        bytes.items[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        defer bytes.items[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        _ = arena.reset(.retain_capacity);
        const exact = try loadCheckpoint(&disk, &written, arena.allocator());
        const meaningless = bit >= header_bits and bit < checkpoint_format.blocks_offset * 8;
        try testing.expectEqual(meaningless, exact);
    }
    bytes.items.len -= 1;
    while (bytes.items.len > 0) : (bytes.items.len -= 1) {
        _ = arena.reset(.retain_capacity);
        try testing.expect(!try loadCheckpoint(&disk, &written, arena.allocator()));
    }
}

test "damage: a checkpoint never takes the place of a later one" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    var written: Rows = try .create();
    defer written.destroy();
    const buffer = try testing.allocator.alloc(u8, checkpoint_write.buffer_size);
    defer testing.allocator.free(buffer);
    try writeCheckpoint(&disk, &written, buffer);
    var older = try checkpoint_write.Writer.begin(
        disk.storage(),
        buffer,
        .{ .database_id = database_id, .snapshot_csn = 76 },
    );
    try testing.expectError(error.Superseded, older.finish());
    try testing.expect(try loadCheckpoint(&disk, &written, testing.allocator));
    try testing.expectEqual(null, disk.contents(checkpoint_format.temporary_name));
}
