//! The smallest database that uses log and checkpoint as the engine does, for tests of what
//! survives: one table of a few rows, one writer, and the state after every CSN remembered.
//!
//! **Invariants.** `history[csn]` is the digest of the state that holds all commits below `csn`.
//! `durable_csn` has been acknowledged: no crash may lose what is below it.
//!
//! **Concurrency.** None.
//!
//! **Memory.** Borrows its buffers and the disk.

const std = @import("std");
const checkpoint_load = @import("../checkpoint/load.zig");
const checkpoint_write = @import("../checkpoint/write.zig");
const deltas = @import("../wal/delta.zig");
const files = @import("../wal/file.zig");
const readers = @import("../wal/reader.zig");
const records = @import("../wal/record.zig");
const rows = @import("../wal/row.zig");
const row_model = @import("row_model.zig");
const storages = @import("../wal/storage.zig");
const assert = std.debug.assert;

const Allocator = std.mem.Allocator;
const RowCodec = rows.RowCodec;
const Schema = @import("../table/schema.zig").Schema;
const Storage = storages.Storage;

pub const key_count = 4;
pub const table_id = 3;
pub const first_csn = 1;
pub const database_id: [16]u8 = @splat(0xd8);
const image_size = 8 + 4 + 4 + 8 + 2 + note_limit + 4;
const note_limit = 1498;
/// Small, so that tests meet a file that grows.
const allocate_size = 4096;

pub const columns = [_]@import("../table/schema.zig").TestColumn{
    .{ .kind = .u32 },
    .{ .kind = .i32, .nullable = true },
    .{ .kind = .i64 },
    .{ .kind = .string, .limit = note_limit },
};

pub const Image = struct { bytes: [image_size]u8 align(8) };

/// The one table, or none, and its rows.
pub const State = struct {
    codec: ?RowCodec = null,
    images: [key_count]?Image = @splat(null),

    pub fn find(state: *const State, id: u32) ?*const RowCodec {
        if (id != table_id) return null;
        return if (state.codec) |*codec| codec else null;
    }

    pub fn digest(state: *const State) u64 {
        var hash = std.hash.Wyhash.init(@intFromBool(state.codec != null));
        for (&state.images) |*image| {
            hash.update(&.{@intFromBool(image.* != null)});
            if (image.*) |*present| hash.update(&present.bytes);
        }
        return hash.final();
    }

    fn slot(state: *State, key: rows.Key) !*?Image {
        if (key.integer >= key_count) return error.TestUnexpectedResult;
        return &state.images[@intCast(key.integer)];
    }

    fn createTable(state: *State, schema_bytes: []const u8) !void {
        const schema = try Schema.decode(schema_bytes);
        if (state.codec != null or schema.image_size != image_size) {
            return error.TestUnexpectedResult;
        }
        state.codec = .init(&schema);
    }

    fn insert(state: *State, row: rows.Row) !void {
        const target = try state.slot(row.key);
        if (target.* != null) return error.TestUnexpectedResult;
        target.* = .{ .bytes = undefined };
        try state.codec.?.unpack(row, &target.*.?.bytes);
    }

    /// Replays one transaction, strictly: every operation must find what it was made on.
    pub fn apply(state: *State, record: []const u8) !void {
        var operations = records.Operations.init(record);
        while (try operations.next(state)) |operation| switch (operation.body) {
            .create_table => |schema_bytes| try state.createTable(schema_bytes),
            .insert => |row| try state.insert(row),
            .update_full => |row| {
                const target = try state.slot(row.key);
                if (target.* == null) return error.TestUnexpectedResult;
                try state.codec.?.unpack(row, &target.*.?.bytes);
            },
            .update => |update| {
                const target = try state.slot(update.key);
                const before = target.* orelse return error.TestUnexpectedResult;
                try deltas.apply(
                    &state.codec.?,
                    &update.change,
                    &before.bytes,
                    &target.*.?.bytes,
                );
            },
            .delete => |key| {
                const target = try state.slot(key);
                if (target.* == null) return error.TestUnexpectedResult;
                target.* = null;
            },
            .create_index, .drop_index, .drop_table => return error.TestUnexpectedResult,
        };
    }
};

pub const Recovered = struct {
    state: State,
    end_csn: u64,
    epoch_max: u64,
    truncated_size: u64,
};

/// What the engine does at a cold boot.
pub fn recover(storage: Storage, allocator: Allocator, distrust_cache: bool) !Recovered {
    var result: Recovered = .{
        .state = .{},
        .end_csn = first_csn,
        .epoch_max = 0,
        .truncated_size = 0,
    };
    var checkpoint_fault: ?checkpoint_load.Fault = null;
    var opened = try checkpoint_load.Loader.open(
        storage,
        allocator,
        .{ .database_id = database_id, .distrust_cache = distrust_cache },
        &checkpoint_fault,
    );
    if (opened) |*loader| {
        defer loader.close();
        result.end_csn = loader.header.snapshot_csn;
        while (try loader.next()) |event| switch (event) {
            .table => |table| try result.state.createTable(table.schema_bytes),
            .rows => |block| {
                var rest = block;
                while (try rest.next(&result.state.codec.?)) |row| try result.state.insert(row);
            },
        };
    }
    var fault: ?readers.Fault = null;
    var reader = try readers.Reader.open(storage, allocator, .{
        .start_csn = result.end_csn,
        .database_id = database_id,
        .distrust_cache = distrust_cache,
    }, &fault);
    defer reader.close();
    while (try reader.next()) |transaction| try result.state.apply(transaction.record);
    result.end_csn = reader.report.end_csn;
    result.epoch_max = reader.report.epoch_max;
    result.truncated_size = reader.report.truncated_size;
    return result;
}

pub const Step = enum {
    /// A commit, written but not synced.
    append,
    /// A commit that changes a long text: several sectors.
    append_long,
    /// Two commits with an aborted one between them, in one batch.
    append_two,
    sync,
    rotate,
    checkpoint,
    /// The process dies and another one recovers; the machine lives.
    restart,
};

/// What several engines in turn may use.
pub const Buffers = struct {
    batch: [checkpoint_write.buffer_size]u8 = undefined,
    record: [16 * 1024]u8 = undefined,
};

pub const Engine = struct {
    allocator: Allocator,
    storage: Storage,
    writer: ?files.Writer = null,
    epoch: u64 = 0,
    state: State = .{},
    next_csn: u64 = first_csn,
    durable_csn: u64 = first_csn,
    history: std.ArrayList(u64) = .empty,
    buffer: []u8,
    record_buffer: []u8,
    table: row_model.Table,

    pub fn init(storage: Storage, allocator: Allocator, buffers: *Buffers) !Engine {
        var engine: Engine = .{
            .allocator = allocator,
            .storage = storage,
            .buffer = &buffers.batch,
            .record_buffer = &buffers.record,
            .table = .of(&columns),
        };
        try engine.remember(first_csn);
        return engine;
    }

    pub fn deinit(engine: *Engine) void {
        engine.stop();
        engine.history.deinit(engine.allocator);
    }

    fn remember(engine: *Engine, csn: u64) !void {
        while (engine.history.items.len <= csn) {
            try engine.history.append(engine.allocator, engine.state.digest());
        }
        engine.history.items[@intCast(csn)] = engine.state.digest();
    }

    pub fn isPoisoned(engine: *const Engine) bool {
        return if (engine.writer) |*writer| writer.poisoned else false;
    }

    /// The process is gone.
    pub fn stop(engine: *Engine) void {
        if (engine.writer) |*writer| writer.close();
        engine.writer = null;
    }

    /// Recovers, checks what was found against the history, and takes it from there.
    pub fn start(engine: *Engine, distrust_cache: bool) !void {
        assert(engine.writer == null);
        const found = try recover(engine.storage, engine.allocator, distrust_cache);
        try engine.check(&found);
        engine.state = found.state;
        engine.next_csn = found.end_csn;
        engine.epoch = @max(engine.epoch, found.epoch_max);
        engine.history.shrinkRetainingCapacity(@intCast(found.end_csn + 1));
        try engine.open();
    }

    /// The one question of all these tests.
    pub fn check(engine: *const Engine, found: *const Recovered) !void {
        if (found.end_csn < engine.durable_csn) return error.TestLostCommit;
        if (found.end_csn > engine.next_csn) return error.TestUnknownCommit;
        if (found.state.digest() != engine.history.items[@intCast(found.end_csn)]) {
            return error.TestWrongState;
        }
    }

    fn open(engine: *Engine) !void {
        engine.epoch += 1;
        engine.writer = try files.Writer.create(engine.storage, engine.allocator, .{
            .database_id = database_id,
            .epoch = engine.epoch,
            .first_csn = engine.next_csn,
            .allocate_size = allocate_size,
        });
        // Everything older has been synced.
        engine.durable_csn = engine.next_csn;
    }

    pub fn run(engine: *Engine, step: Step) !void {
        switch (step) {
            .append => try engine.append(&.{.short}),
            .append_long => try engine.append(&.{.long}),
            .append_two => try engine.append(&.{ .short, .aborted, .short }),
            .sync => try engine.sync(),
            .rotate => try engine.rotate(),
            .checkpoint => try engine.checkpoint(),
            .restart => {
                engine.stop();
                try engine.start(false);
            },
        }
    }

    const Commit = enum { short, long, aborted };

    /// Appends a batch; its commits happen only if that succeeds.
    fn append(engine: *Engine, commits: []const Commit) !void {
        const writer = &engine.writer.?;
        var batch: files.Batch = .init(engine.buffer);
        batch.begin(engine.next_csn);
        const before = engine.state;
        errdefer engine.state = before;
        var csn = engine.next_csn;
        for (commits) |commit| {
            defer csn += 1;
            if (commit != .aborted) {
                const record = try engine.change(csn, commit == .long);
                try batch.add(csn, &.{record});
            } else {
                try batch.cover(csn + 1);
            }
            try engine.remember(csn + 1);
        }
        try writer.append(&batch);
        engine.next_csn = csn;
    }

    /// What the commit of a CSN does depends on the CSN and on what is there.
    fn change(engine: *Engine, csn: u64, long: bool) ![]const u8 {
        const out = engine.record_buffer;
        if (csn == first_csn) {
            const used = records.encodeCreateTable(table_id, engine.table.bytes(), out);
            try engine.state.createTable(engine.table.bytes());
            return out[0..used];
        }
        const codec = &engine.state.codec.?;
        const key = csn * 7 % key_count;
        const target = &engine.state.images[@intCast(key)];
        var prng = std.Random.DefaultPrng.init(csn);
        const random = prng.random();
        if (target.* == null) {
            target.* = .{ .bytes = undefined };
            const image = &target.*.?.bytes;
            engine.table.fill(random, key, image);
            if (long) setNote(random, image);
            return out[0..records.encodeInsert(codec, table_id, image, out)];
        }
        const image = &target.*.?.bytes;
        if (csn % 5 == 0) {
            const used = records.encodeDelete(codec, table_id, image, out);
            target.* = null;
            return out[0..used];
        }
        const before = target.*.?;
        std.mem.writeInt(u64, image[16..24], csn *% 0x9e37_79b9, .little);
        if (long) setNote(random, image);
        return out[0..try records.encodeUpdate(codec, table_id, &before.bytes, image, out)];
    }

    fn setNote(random: std.Random, image: *align(8) [image_size]u8) void {
        std.mem.writeInt(u16, image[24..26], note_limit, .little);
        for (image[26..][0..note_limit]) |*byte| byte.* = random.intRangeAtMost(u8, 'a', 'z');
    }

    fn sync(engine: *Engine) !void {
        try engine.writer.?.sync();
        engine.durable_csn = engine.next_csn;
    }

    fn rotate(engine: *Engine) !void {
        var older = engine.writer.?;
        if (older.poisoned) return error.Poisoned;
        engine.open() catch |err| {
            // As the lease holder would: after a failed sync nobody writes any more.
            if (err == error.Poisoned) engine.writer.?.poisoned = true;
            return err;
        };
        older.close();
    }

    fn checkpoint(engine: *Engine) !void {
        try engine.rotate();
        const csn = engine.next_csn;
        var writer = try checkpoint_write.Writer.begin(
            engine.storage,
            engine.buffer,
            .{ .database_id = database_id, .snapshot_csn = csn, .sync_size = 2048 },
        );
        engine.writeState(&writer) catch |err| {
            writer.abandon();
            return err;
        };
        _ = try writer.finish();
        engine.durable_csn = csn;
        _ = try files.dropBefore(engine.storage, engine.allocator, csn);
    }

    fn writeState(engine: *Engine, writer: *checkpoint_write.Writer) !void {
        const codec = if (engine.state.codec) |*codec| codec else return;
        try writer.beginTable(table_id, engine.table.bytes(), codec);
        for (&engine.state.images) |*image| {
            if (image.*) |*present| try writer.addRow(&present.bytes);
        }
    }
};
