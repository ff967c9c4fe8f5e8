//! Log, checkpoint and epoch files as an adversary writes them: any structure changed, and all
//! checksums right again. What bit flips never reach, since a checksum stops them.
//!
//! **Invariants.** `Files.write` computes every checksum and chain from what stands in the
//! structures, unless a mutation says that one is to be wrong.
//!
//! **Concurrency.** None.
//!
//! **Memory.** Everything lies in the arena that the caller gives, and is never freed by itself.

const std = @import("std");
const checkpoint_formats = @import("../../checkpoint/format.zig");
const checksum = @import("../../checksum.zig");
const formats = @import("../../wal/format.zig");
const limits = @import("../../limits.zig");
const records = @import("../../wal/record.zig");
const row_model = @import("../row_model.zig");
const schemas = @import("../../row/schema.zig");
const sim = @import("../storage_sim.zig");
const vints = @import("../../row/vint.zig");
const RowCodec = @import("../../row/packed.zig").RowCodec;

const Allocator = std.mem.Allocator;
const Random = std.Random;

pub const database_id: [16]u8 = @splat(0xad);

pub const Batch = struct {
    header: formats.BatchHeader,
    payload: std.ArrayList(u8),
    /// What the header tells instead of the size of the payload.
    told_size: ?u32 = null,
};

pub const Log = struct {
    name: []const u8,
    header: formats.FileHeader,
    batches: std.ArrayList(Batch),
};

pub const Block = struct {
    header: checkpoint_formats.BlockHeader,
    payload: std.ArrayList(u8),
};

pub const Checkpoint = struct {
    header: checkpoint_formats.FileHeader,
    blocks: std.ArrayList(Block),
    /// Counts and size are those of the blocks.
    counts_right: bool = true,
};

pub const Files = struct {
    logs: std.ArrayList(Log) = .empty,
    checkpoint: ?Checkpoint = null,
    epochs: [2]formats.EpochRecord = undefined,

    /// A copy of everything that a mutation may change.
    pub fn clone(files: *const Files, arena: Allocator) !Files {
        var copy: Files = .{ .checkpoint = files.checkpoint, .epochs = files.epochs };
        for (files.logs.items) |log| {
            var batches: std.ArrayList(Batch) = .empty;
            for (log.batches.items) |batch| {
                try batches.append(arena, .{
                    .header = batch.header,
                    .payload = try batch.payload.clone(arena),
                });
            }
            try copy.logs.append(arena, .{
                .name = log.name,
                .header = log.header,
                .batches = batches,
            });
        }
        if (copy.checkpoint) |*checkpoint| {
            var blocks: std.ArrayList(Block) = .empty;
            for (checkpoint.blocks.items) |block| {
                try blocks.append(arena, .{
                    .header = block.header,
                    .payload = try block.payload.clone(arena),
                });
            }
            checkpoint.blocks = blocks;
        }
        return copy;
    }

    /// Puts the files on a disk, every checksum right.
    pub fn write(files: *Files, disk: *sim.Disk, arena: Allocator) !void {
        for (files.logs.items) |*log| {
            var bytes: std.ArrayList(u8) = .empty;
            log.header.seal();
            try bytes.appendSlice(arena, std.mem.asBytes(&log.header));
            try bytes.appendNTimes(arena, 0, formats.batches_offset - bytes.items.len);
            var previous = log.header.crc;
            for (log.batches.items) |*batch| {
                const header = &batch.header;
                header.payload_size = batch.told_size orelse @intCast(batch.payload.items.len);
                header.previous_crc = previous;
                header.seal(log.header.crc, bytes.items.len);
                header.payload_crc = checksum.update(header.header_crc, batch.payload.items);
                previous = header.payload_crc;
                try bytes.appendSlice(arena, std.mem.asBytes(header));
                try bytes.appendSlice(arena, batch.payload.items);
            }
            try put(disk, log.name, bytes.items);
        }
        if (files.checkpoint) |*checkpoint| try writeCheckpoint(checkpoint, disk, arena);
        var places: [1024]u8 = @splat(0);
        for (&files.epochs, 0..) |*record, index| {
            record.seal();
            const bytes = std.mem.asBytes(record);
            @memcpy(places[index * formats.EpochRecord.place_size ..][0..bytes.len], bytes);
        }
        try put(disk, formats.epoch_name, &places);
    }

    fn writeCheckpoint(checkpoint: *Checkpoint, disk: *sim.Disk, arena: Allocator) !void {
        const header = &checkpoint.header;
        const seed = header.blockSeed();
        var bytes: std.ArrayList(u8) = .empty;
        try bytes.appendNTimes(arena, 0, checkpoint_formats.blocks_offset);
        for (checkpoint.blocks.items) |*block| {
            block.header.payload_size = @intCast(block.payload.items.len);
            block.header.crc = block.header.checksumOf(seed, block.payload.items);
            try bytes.appendSlice(arena, std.mem.asBytes(&block.header));
            try bytes.appendSlice(arena, block.payload.items);
        }
        if (checkpoint.counts_right) {
            header.size = bytes.items.len;
            header.block_count = checkpoint.blocks.items.len;
        }
        header.seal();
        @memcpy(bytes.items[0..@sizeOf(checkpoint_formats.FileHeader)], std.mem.asBytes(header));
        try put(disk, checkpoint_formats.current_name, bytes.items);
    }
};

fn put(disk: *sim.Disk, name: []const u8, bytes: []const u8) !void {
    const storage = disk.storage();
    const file = try storage.open(name, .create);
    defer storage.close(file);
    try storage.write(file, 0, bytes);
}

// A database as the engine leaves one.

const columns = [_]schemas.TestColumn{
    .{ .kind = .string, .limit = 12 },
    .{ .kind = .i32, .nullable = true, .indexed = true },
    .{ .kind = .f64 },
    .{ .kind = .string, .limit = 20, .indexed = true },
    .{ .kind = .u16, .nullable = true },
};

pub const table_id = 2;
const row_count_max = 10;
const checkpoint_csn = 20;
const second_csn = 30;
const end_csn = 50;

/// What a history of transactions has made of the table.
const Maker = struct {
    arena: Allocator,
    random: Random,
    table: row_model.Table,
    codec: RowCodec = undefined,
    rows: [row_count_max]?row_model.Image = @splat(null),

    fn record(maker: *Maker, csn: u64) ![]const u8 {
        const room = try maker.arena.alloc(u8, 16 * 1024);
        if (csn == 1) {
            return room[0..records.encodeCreateTable(table_id, maker.table.bytes(), room)];
        }
        var used: usize = 0;
        const count = maker.random.intRangeAtMost(usize, 1, 3);
        for (0..count) |turn| {
            const key = (csn + turn * 3) % row_count_max;
            used += try maker.change(key, room[used..]);
        }
        return room[0..used];
    }

    fn change(maker: *Maker, key: u64, out: []u8) !usize {
        const row = &maker.rows[key];
        var fresh: row_model.Image = .{};
        const image = maker.table.image(&fresh);
        if (row.*) |*old| {
            const before = maker.table.image(old);
            if (maker.random.uintLessThan(u8, 5) == 0) {
                defer row.* = null;
                return records.encodeDelete(&maker.codec, table_id, before, out);
            }
            @memcpy(image, before);
            maker.table.change(maker.random, image);
            defer row.* = fresh;
            return records.encodeUpdate(&maker.codec, table_id, before, image, out) catch 0;
        }
        maker.table.fill(maker.random, key, image);
        row.* = fresh;
        return records.encodeInsert(&maker.codec, table_id, image, out);
    }
};

/// Two log files and a checkpoint between, of a history that the seed chooses.
pub fn make(arena: Allocator, seed: u64) !Files {
    var prng: std.Random.DefaultPrng = .init(seed);
    var maker: Maker = .{ .arena = arena, .random = prng.random(), .table = .of(&columns) };
    maker.codec = .init(&maker.table.schema);
    var files: Files = .{};
    const parts = [_]struct { name: []const u8, epoch: u64, first: u64, end: u64 }{
        .{ .name = "aerostore.wal.1", .epoch = 1, .first = 1, .end = second_csn },
        .{ .name = formats.current_name, .epoch = 2, .first = second_csn, .end = end_csn },
    };
    for (parts) |part| {
        try files.logs.append(arena, .{
            .name = part.name,
            .header = .{
                .database_id = database_id,
                .epoch = part.epoch,
                .first_csn = part.first,
            },
            .batches = .empty,
        });
        const log = &files.logs.items[files.logs.items.len - 1];
        var csn = part.first;
        while (csn < part.end) {
            if (csn == checkpoint_csn) files.checkpoint = try makeCheckpoint(&maker);
            const limit = if (csn < checkpoint_csn) checkpoint_csn else part.end;
            const end = @min(limit, csn + maker.random.intRangeAtMost(u64, 1, 4));
            try log.batches.append(arena, try makeBatch(&maker, csn, end));
            csn = end;
        }
    }
    for (&files.epochs, 1..) |*each, epoch| {
        each.* = .{ .database_id = database_id, .epoch = epoch };
    }
    return files;
}

fn makeBatch(maker: *Maker, first: u64, end: u64) !Batch {
    var payload: std.ArrayList(u8) = .empty;
    var transaction_count: u32 = 0;
    var skipped: u64 = 0;
    for (first..end) |csn| {
        if (csn > 1 and maker.random.uintLessThan(u8, 8) == 0) {
            skipped += 1;
            continue;
        }
        const record = try maker.record(csn);
        var head: [2 * vints.size_max]u8 = undefined;
        var size = vints.write(&head, record.len << 1 | @intFromBool(skipped > 0));
        if (skipped > 0) size += vints.write(head[size..], skipped);
        try payload.appendSlice(maker.arena, head[0..size]);
        try payload.appendSlice(maker.arena, record);
        transaction_count += 1;
        skipped = 0;
    }
    return .{
        .header = .{
            .payload_size = 0,
            .first_csn = first,
            .csn_count = @intCast(end - first),
            .transaction_count = transaction_count,
            .unsynced_size = 0,
            .previous_crc = 0,
        },
        .payload = payload,
    };
}

fn makeCheckpoint(maker: *Maker) !Checkpoint {
    const arena = maker.arena;
    var blocks: std.ArrayList(Block) = .empty;
    var schema: std.ArrayList(u8) = .empty;
    try schema.appendSlice(arena, maker.table.bytes());
    try blocks.append(arena, .{ .header = blockHeader(.table, 0, 0), .payload = schema });
    var rows: std.ArrayList(u8) = .empty;
    var count: u32 = 0;
    for (&maker.rows) |*each| {
        const row = if (each.*) |*row| row else continue;
        var room: [1024]u8 = undefined;
        const size = maker.codec.encode(maker.table.image(row), &room);
        try rows.appendSlice(arena, room[0..size]);
        count += 1;
    }
    try blocks.append(arena, .{ .header = blockHeader(.rows, count, 1), .payload = rows });
    const totals: checkpoint_formats.Totals = .{ .table_count = 1, .row_count = count };
    var end: std.ArrayList(u8) = .empty;
    try end.appendSlice(arena, std.mem.asBytes(&totals));
    try blocks.append(arena, .{ .header = blockHeader(.totals, 0, 2), .payload = end });
    return .{
        .header = .{
            .database_id = database_id,
            .snapshot_csn = checkpoint_csn,
            .table_count = 1,
            .row_count = count,
        },
        .blocks = blocks,
    };
}

fn blockHeader(
    kind: checkpoint_formats.BlockKind,
    row_count: u32,
    number: u32,
) checkpoint_formats.BlockHeader {
    return .{
        .kind = @intFromEnum(kind),
        .payload_size = 0,
        .table_id = table_id,
        .row_count = row_count,
        .number = number,
    };
}

// The adversary.

/// Numbers at which something ends, or a neighbour of what stood there.
pub fn edgeOf(random: Random, comptime T: type, before: T) T {
    const bits = @bitSizeOf(T);
    return switch (random.uintLessThan(u8, 6)) {
        0 => before +% 1,
        1 => before -% 1,
        2 => random.int(T),
        3 => std.math.maxInt(T) - random.uintLessThan(T, 3),
        4 => random.uintLessThan(T, 4),
        else => blk: {
            const power = @as(T, 1) << @intCast(random.uintLessThan(u16, bits));
            break :blk power +% random.uintLessThan(T, 5) -% 2;
        },
    };
}

/// The whole log far up: what a database looks like after so many commits.
pub fn lift(files: *Files, csns: u64) void {
    for (files.logs.items) |*each| {
        each.header.first_csn +%= csns;
        for (each.batches.items) |*batch| batch.header.first_csn +%= csns;
    }
    if (files.checkpoint) |*checkpoint| checkpoint.header.snapshot_csn +%= csns;
}

/// Commits before the first: about one of the numbers at which something ends.
fn csnOf(random: Random) u64 {
    const ends = [_]u64{ limits.csn_end, limits.csn_limit, 1 << 42, 1 << 43, 1 << 48, 1 << 53 };
    if (random.boolean()) return edgeOf(random, u64, 0);
    return ends[random.uintLessThan(usize, ends.len)] -% random.uintLessThan(u64, 80);
}

/// Changes one structure.
pub fn mutate(files: *Files, arena: Allocator, random: Random) !void {
    switch (random.uintLessThan(u8, 10)) {
        0 => {
            const log = &files.logs.items[random.uintLessThan(usize, files.logs.items.len)];
            mutateFields(&log.header, random, &.{ "epoch", "first_csn", "version" });
        },
        1 => mutateFields(&files.epochs[random.uintLessThan(usize, 2)], random, &.{"epoch"}),
        2, 3, 4 => try mutateBatch(files, arena, random),
        5, 6 => try mutatePayload(&pickBatch(files, random).payload, arena, random),
        else => if (files.checkpoint) |*checkpoint| {
            try mutateCheckpoint(checkpoint, arena, random);
        },
    }
}

/// One of the named fields, or now and then any byte but magic and checksum.
fn mutateFields(header: anytype, random: Random, comptime names: []const []const u8) void {
    if (random.uintLessThan(u8, 8) == 0) {
        const bytes = std.mem.asBytes(header);
        bytes[8 + random.uintLessThan(usize, bytes.len - 12)] = random.int(u8);
        return;
    }
    const chosen = random.uintLessThan(usize, names.len);
    inline for (names, 0..) |name, index| {
        if (index == chosen) {
            const field = &@field(header, name);
            field.* = edgeOf(random, @TypeOf(field.*), field.*);
        }
    }
}

fn pickBatch(files: *Files, random: Random) *Batch {
    while (true) {
        const log = &files.logs.items[random.uintLessThan(usize, files.logs.items.len)];
        if (log.batches.items.len == 0) continue;
        return &log.batches.items[random.uintLessThan(usize, log.batches.items.len)];
    }
}

fn mutateBatch(files: *Files, arena: Allocator, random: Random) !void {
    const log = &files.logs.items[random.uintLessThan(usize, files.logs.items.len)];
    const batches = &log.batches;
    if (batches.items.len < 2) return;
    const at = random.uintLessThan(usize, batches.items.len);
    switch (random.uintLessThan(u8, 8)) {
        0 => _ = batches.orderedRemove(at),
        1 => {
            var copy = batches.items[at];
            copy.payload = try copy.payload.clone(arena);
            try batches.insert(arena, random.uintAtMost(usize, batches.items.len), copy);
        },
        2 => std.mem.swap(
            Batch,
            &batches.items[at],
            &batches.items[random.uintLessThan(usize, batches.items.len)],
        ),
        3 => batches.items[at].told_size = edgeOf(
            random,
            u32,
            @intCast(batches.items[at].payload.items.len),
        ),
        4 => {
            lift(files, csnOf(random));
        },
        5 => {
            // One batch longer, and all that follow on behind it.
            const more = edgeOf(random, u32, 0);
            batches.items[at].header.csn_count +%= more;
            for (batches.items[at + 1 ..]) |*batch| batch.header.first_csn +%= more;
        },
        else => mutateFields(
            &batches.items[at].header,
            random,
            &.{ "first_csn", "csn_count", "transaction_count", "unsynced_size" },
        ),
    }
}

fn mutatePayload(payload: *std.ArrayList(u8), arena: Allocator, random: Random) !void {
    if (payload.items.len == 0) return payload.append(arena, random.int(u8));
    const at = random.uintLessThan(usize, payload.items.len);
    const size = random.uintAtMost(usize, @min(12, payload.items.len - at));
    switch (random.uintLessThan(u8, 7)) {
        0 => payload.items[at] ^= @as(u8, 1) << random.int(u3),
        1 => payload.items[at] = random.int(u8),
        2 => payload.items[at] = ([_]u8{ 0, 1, 0x7f, 0x80, 0xff })[random.uintLessThan(usize, 5)],
        3 => try payload.replaceRange(arena, at, size, &.{}),
        4 => {
            var copy: [12]u8 = undefined;
            @memcpy(copy[0..size], payload.items[at..][0..size]);
            const to = random.uintAtMost(usize, payload.items.len);
            try payload.insertSlice(arena, to, copy[0..size]);
        },
        5 => payload.shrinkRetainingCapacity(at),
        else => {
            var bytes: [8]u8 = undefined;
            random.bytes(&bytes);
            try payload.insertSlice(arena, at, bytes[0 .. 1 + random.uintLessThan(usize, 8)]);
        },
    }
}

fn mutateCheckpoint(checkpoint: *Checkpoint, arena: Allocator, random: Random) !void {
    const blocks = &checkpoint.blocks;
    if (blocks.items.len == 0) return;
    const block = &blocks.items[random.uintLessThan(usize, blocks.items.len)];
    switch (random.uintLessThan(u8, 8)) {
        0, 1 => {
            checkpoint.counts_right = random.boolean();
            mutateFields(&checkpoint.header, random, &.{
                "snapshot_csn", "table_count", "row_count", "block_count", "size", "version",
            });
        },
        2 => mutateFields(&block.header, random, &.{ "kind", "table_id", "row_count", "number" }),
        3 => {
            var copy = block.*;
            copy.payload = try copy.payload.clone(arena);
            try blocks.insert(arena, random.uintAtMost(usize, blocks.items.len), copy);
            renumber(blocks.items);
        },
        4 => {
            _ = blocks.orderedRemove(random.uintLessThan(usize, blocks.items.len));
            renumber(blocks.items);
        },
        else => try mutatePayload(&block.payload, arena, random),
    }
}

fn renumber(blocks: []Block) void {
    for (blocks, 0..) |*block, index| block.header.number = @intCast(index);
}
