//! The writer and its files, one behaviour each; what survives crashes is in `testing/`.

const std = @import("std");
const epochs = @import("epoch.zig");
const files = @import("file.zig");
const formats = @import("format.zig");
const readers = @import("reader.zig");
const sim = @import("../testing/storage_sim.zig");

const testing = std.testing;
const Batch = files.Batch;
const Disk = sim.Disk;
const Writer = files.Writer;

const database_id: [16]u8 = @splat(0x11);

fn create(disk: *Disk, epoch: u64, first_csn: u64) files.CreateError!Writer {
    return .create(disk.storage(), testing.allocator, .{
        .database_id = database_id,
        .epoch = epoch,
        .first_csn = first_csn,
        .allocate_size = 4096,
    });
}

fn append(writer: *Writer, record: []const u8) !void {
    var buffer: [1024]u8 = undefined;
    var batch: Batch = .init(&buffer);
    batch.begin(writer.next_csn);
    try batch.add(writer.next_csn, &.{record});
    try writer.append(&batch);
}

/// The log from a CSN on is these records, each a CSN further.
fn expectLog(disk: *Disk, start_csn: u64, records: []const []const u8) !readers.Report {
    var fault: ?readers.Fault = null;
    var reader = try readers.Reader.open(
        disk.storage(),
        testing.allocator,
        .{ .start_csn = start_csn },
        &fault,
    );
    defer reader.close();
    for (records, start_csn..) |record, csn| {
        const transaction = (try reader.next()).?;
        try testing.expectEqual(csn, transaction.csn);
        try testing.expectEqualStrings(record, transaction.record);
    }
    try testing.expectEqual(null, try reader.next());
    return reader.report;
}

test "wal batch: a full buffer refuses, and what is in it stays" {
    var buffer: [Batch.sizeFor(100)]u8 = undefined;
    var batch: Batch = .init(&buffer);
    batch.begin(5);
    try testing.expect(batch.isEmpty());
    try batch.add(5, &.{ "ab", "", "cd" });
    const long: [100]u8 = @splat('x');
    try testing.expectError(error.BatchFull, batch.add(6, &.{&long}));
    try testing.expectEqual(6, batch.end_csn);
    batch.begin(6);
    try batch.add(6, &.{&long});
    try batch.cover(9);
    try testing.expectEqual(9, batch.end_csn);
}

test "wal batch: what an earlier attempt wrote is passed over, and an empty batch writes nothing" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    var writer = try create(&disk, 1, 1);
    try append(&writer, "one");
    const position = writer.position;
    var buffer: [1024]u8 = undefined;
    var batch: Batch = .init(&buffer);
    batch.begin(writer.next_csn);
    try batch.add(1, &.{"one"});
    try batch.cover(1);
    try writer.append(&batch);
    try testing.expectEqual(position, writer.position);
    try batch.add(2, &.{"two"});
    try batch.cover(2);
    try writer.append(&batch);
    _ = try expectLog(&disk, 1, &.{ "one", "two" });
}

test "wal writer: a commit in a batch of many costs its record and one byte" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    var writer = try create(&disk, 1, 1);
    var buffer: [4096]u8 = undefined;
    var batch: Batch = .init(&buffer);
    batch.begin(1);
    const record: [12]u8 = @splat('r');
    for (1..65) |csn| try batch.add(csn, &.{&record});
    try writer.append(&batch);
    const size = writer.position - formats.batches_offset;
    try testing.expectEqual(formats.batch_header_size + 64 * (record.len + 1), size);
}

test "wal writer: a record larger than the batch's buffer is written from where it lies" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    var writer = try create(&disk, 1, 7);
    var buffer: [Batch.sizeFor(16)]u8 = undefined;
    var batch: Batch = .init(&buffer);
    batch.begin(7);
    try batch.cover(8);
    const long: [9_000]u8 = @splat('x');
    try testing.expectError(error.BatchFull, batch.add(8, &.{&long}));
    disk.failure = .no_space;
    disk.fail_at = disk.call_count + 2;
    try testing.expectError(error.NoSpace, writer.appendLarge(&batch, 8, &.{ &long, "tail" }));
    try writer.appendLarge(&batch, 8, &.{ &long, "tail" });
    try append(&writer, "next");

    var fault: ?readers.Fault = null;
    const options: readers.Options = .{ .start_csn = 7 };
    var reader = try readers.Reader.open(disk.storage(), testing.allocator, options, &fault);
    defer reader.close();
    const transaction = (try reader.next()).?;
    try testing.expectEqual(8, transaction.csn);
    try testing.expectEqualStrings(long ++ "tail", transaction.record);
    try testing.expectEqualStrings("next", (try reader.next()).?.record);
    try testing.expectEqual(null, try reader.next());
    try testing.expectEqual(10, reader.report.end_csn);
}

test "wal writer: a full disk refuses the append, and the next one succeeds" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    var writer = try create(&disk, 1, 1);
    try append(&writer, "one");
    for ([_]sim.Failure{ .no_space, .io_error }) |failure| {
        disk.failure = failure;
        disk.fail_at = disk.call_count;
        const before = writer.position;
        try testing.expect(std.meta.isError(append(&writer, "a longer record that fails")));
        try testing.expectEqual(before, writer.position);
    }
    try append(&writer, "two");
    try writer.sync();
    _ = try expectLog(&disk, 1, &.{ "one", "two" });
}

test "wal writer: a failed sync is the end of writing" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    var writer = try create(&disk, 1, 1);
    try append(&writer, "one");
    disk.failure = .io_error;
    disk.fail_at = disk.call_count;
    try testing.expectError(error.Poisoned, writer.sync());
    try testing.expectError(error.Poisoned, writer.sync());
    try testing.expectError(error.Poisoned, append(&writer, "two"));
    _ = try expectLog(&disk, 1, &.{"one"});
}

test "wal writer: an epoch that is not above all others is superseded" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    _ = try create(&disk, 3, 1);
    try testing.expectError(error.Superseded, create(&disk, 3, 1));
    try testing.expectError(error.Superseded, create(&disk, 2, 1));
    _ = try create(&disk, 4, 1);
}

test "wal writer: what a late writer appends is not read" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    var late = try create(&disk, 1, 1);
    try append(&late, "one");
    var writer = try create(&disk, 2, late.next_csn);
    try append(&late, "never");
    try append(&late, "never");
    try append(&writer, "two");
    const report = try expectLog(&disk, 1, &.{ "one", "two" });
    try testing.expectEqual(2, report.epoch_max);
    _ = try expectLog(&disk, 2, &.{"two"});
}

test "wal files: those that recovery does not need are dropped, and only those" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    var csn: u64 = 1;
    for (1..5) |epoch| {
        var writer = try create(&disk, epoch, csn);
        if (epoch == 2) continue; // An empty file.
        try append(&writer, "a");
        try append(&writer, "b");
        csn = writer.next_csn;
    }
    const none = try files.dropBefore(disk.storage(), testing.allocator, database_id, 2);
    try testing.expectEqual(1, none.dropped_count);
    try testing.expect(disk.contents("aerostore.wal.2") == null);
    _ = try expectLog(&disk, 1, &.{ "a", "b", "a", "b", "a", "b" });
    const two = try files.dropBefore(disk.storage(), testing.allocator, database_id, 5);
    try testing.expectEqual(2, two.dropped_count);
    _ = try expectLog(&disk, 5, &.{ "a", "b" });
}

test "wal writer: a file with two names is one file, and the next writer removes the older name" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    var first = try create(&disk, 1, 1);
    try append(&first, "one");
    // A writer was killed between linking and unlinking.
    const inode = disk.find("aerostore.wal").?;
    try disk.entries.append(disk.allocator, .{ .name = .of("aerostore.wal.1"), .inode = inode });
    _ = try expectLog(&disk, 1, &.{"one"});
    var second = try create(&disk, 2, 2);
    try append(&second, "two");
    _ = try expectLog(&disk, 1, &.{ "one", "two" });
    try testing.expectEqual(inode, disk.find("aerostore.wal.1").?);
}

test "wal writer: no file of another database is synced, renamed or dropped" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    var foreign = try Writer.create(disk.storage(), testing.allocator, .{
        .database_id = @splat(0x22),
        .epoch = 1,
        .first_csn = 1,
    });
    foreign.close();
    try testing.expectError(error.WalCorrupt, create(&disk, 2, 2));
    const dropped = try files.dropBefore(disk.storage(), testing.allocator, database_id, 9);
    try testing.expectEqual(0, dropped.dropped_count);
    try testing.expect(disk.contents("aerostore.wal") != null);
}

test "wal writer: no new file once a sync has failed, though the next one succeeds" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    var first = try create(&disk, 1, 1);
    try append(&first, "one");
    var poison: u32 = 1;
    try testing.expectError(error.Poisoned, Writer.create(disk.storage(), testing.allocator, .{
        .database_id = database_id,
        .epoch = 2,
        .first_csn = 2,
        .poison = &poison,
    }));
    try testing.expectEqual(null, disk.find("aerostore.wal.1"));
}

/// Another session takes over while this one is making its file.
const Takeover = struct {
    disk: *Disk,
    writer: ?Writer = null,
    drop: bool,

    fn run(context: *anyopaque) void {
        const takeover: *Takeover = @ptrCast(@alignCast(context));
        takeover.act() catch |err| std.debug.panic("takeover: {t}", .{err});
    }

    fn act(takeover: *Takeover) !void {
        var writer = try create(takeover.disk, 3, 2);
        try append(&writer, "two");
        if (takeover.drop) {
            _ = try files.dropBefore(takeover.disk.storage(), testing.allocator, database_id, 2);
        }
        takeover.writer = writer;
    }
};

test "wal writer: a takeover between any two calls of another one loses nothing" {
    for ([_]bool{ false, true }) |drop| {
        var call: u64 = 0;
        var interrupted = true;
        while (interrupted) : (call += 1) {
            var disk: Disk = .init(testing.allocator);
            defer disk.deinit();
            var first = try create(&disk, 1, 1);
            try append(&first, "one");

            var takeover: Takeover = .{ .disk = &disk, .drop = drop };
            disk.interlude_at = disk.call_count + call;
            disk.interlude = .{ .context = &takeover, .run = Takeover.run };
            var second: ?Writer = create(&disk, 2, 2) catch |err| switch (err) {
                error.Superseded => null,
                else => return err,
            };
            interrupted = disk.interlude == null;
            if (!interrupted) break;
            // Before it looked at the drained word, which has another epoch.
            if (second) |*late| try append(late, "never");
            try append(&takeover.writer.?, "three");

            errdefer std.debug.print("call {d}, dropping {}\n", .{ call, drop });
            if (!drop) _ = try expectLog(&disk, 1, &.{ "one", "two", "three" });
            _ = try expectLog(&disk, 2, &.{ "two", "three" });
            _ = try create(&disk, 4, 4);
            _ = try expectLog(&disk, 2, &.{ "two", "three" });
        }
        try testing.expect(call > 8);
    }
}

test "wal epoch: the newest of two places counts, and a torn one does not" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    const storage = disk.storage();
    try testing.expectEqual(null, try epochs.load(storage));
    for ([_]u64{ 3, 4, 9, 7 }) |epoch| epochs.store(storage, database_id, epoch, .{});
    try testing.expectEqual(9, (try epochs.load(storage)).?.epoch);
    const bytes = disk.contents(formats.epoch_name).?.items;
    for (0..@sizeOf(formats.EpochRecord) * 8) |bit| {
        const place: usize = if (bytes[24] == 9) 0 else formats.EpochRecord.place_size;
        const at = place + bit / 8;
        bytes[at] ^= @as(u8, 1) << @intCast(bit % 8);
        defer bytes[at] ^= @as(u8, 1) << @intCast(bit % 8);
        try testing.expectEqual(4, (try epochs.load(storage)).?.epoch);
    }
    try testing.expect(try epochs.forget(storage));
    try testing.expectEqual(null, try epochs.load(storage));
}

test "wal writer: the next one goes on where one has left its file, and only there" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    var first = try create(&disk, 1, 1);
    try append(&first, "one");
    try testing.expectEqual(null, first.placeOf());
    try first.sync();
    const place = first.placeOf().?;
    first.close();
    var second = try Writer.reopen(disk.storage(), place);
    try append(&second, "two");
    try second.sync();
    _ = try expectLog(&disk, 1, &.{ "one", "two" });
    second.close();
    var other = place;
    other.epoch += 1;
    try testing.expect(place.check() != other.check());
    try testing.expectError(error.Superseded, Writer.reopen(disk.storage(), other));
    _ = try create(&disk, 2, 3);
    try testing.expectError(error.Superseded, Writer.reopen(disk.storage(), place));
}

test "wal epoch: where earlier timelines ended is kept with the epoch, the latest first" {
    var disk: sim.Disk = .init(testing.allocator);
    defer disk.deinit();
    const storage = disk.storage();
    const id: formats.DatabaseId = @splat(7);
    for (1..70) |number| {
        const timeline: formats.Timeline = .{
            .number = @intCast(number),
            .start_csn = number * 10,
        };
        for (0..2) |term| epochs.store(storage, id, number * 2 + term, timeline);
    }
    const record = (try epochs.load(storage)).?;
    try testing.expectEqual(69, record.timeline.number);
    try testing.expectEqual(690, record.timeline.start_csn);
    try testing.expectEqual(formats.EpochRecord.ends_max, record.end_count);
    for (record.ends, 0..) |end, i| try testing.expectEqual((69 - i) * 10, end);
}
