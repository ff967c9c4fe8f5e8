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
const deltas = @import("../row/delta.zig");
const files = @import("../wal/file.zig");
const readers = @import("../wal/reader.zig");
const records = @import("../wal/record.zig");
const rows = @import("../row/packed.zig");
const row_model = @import("row_model.zig");
const storages = @import("../wal/storage.zig");
const assert = std.debug.assert;

const Allocator = std.mem.Allocator;
const RowCodec = rows.RowCodec;
const Schema = @import("../row/schema.zig").Schema;
const Storage = storages.Storage;

pub const key_count = 4;
pub const table_id = 3;
pub const first_csn = 1;
pub const database_id: [16]u8 = @splat(0xd8);
const image_size = 8 + 4 + 4 + 8 + 2 + note_limit + 4;
const note_limit = 1498;
/// Small, so that tests meet a file that grows.
const allocate_size = 4096;

pub const columns = [_]@import("../row/schema.zig").TestColumn{
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
            .time, .passed_over => {},
            .change_table, .drop_table, .truncate_table => return error.TestUnexpectedResult,
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
        .is_expected = opened != null,
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
    /// A checkpoint beside which commits and a rotation happen.
    checkpoint_beside,
    /// The process dies and another one recovers; the machine lives.
    restart,
};

/// What several engines in turn may use.
pub const Buffers = struct {
    batch: [16 * 1024]u8 = undefined,
    block: [checkpoint_write.buffer_size]u8 = undefined,
    record: [16 * 1024]u8 = undefined,
};

pub const Engine = struct {
    allocator: Allocator,
    storage: Storage,
    writer: ?files.Writer = null,
    /// A sync has failed since the last start: nobody writes any more, and the next start does not
    /// trust the kernel's memory. The engine keeps it in the segment, which lives as long as that.
    poisoned: bool = false,
    epoch: u64 = 0,
    state: State = .{},
    next_csn: u64 = first_csn,
    durable_csn: u64 = first_csn,
    history: std.ArrayList(u64) = .empty,
    buffers: *Buffers,
    table: row_model.Table,

    pub fn init(storage: Storage, allocator: Allocator, buffers: *Buffers) !Engine {
        var engine: Engine = .{
            .allocator = allocator,
            .storage = storage,
            .buffers = buffers,
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

    /// The process is gone.
    pub fn stop(engine: *Engine) void {
        if (engine.writer) |*writer| writer.close();
        engine.writer = null;
    }

    /// Recovers, checks what was found against the history, and takes it from there.
    pub fn start(engine: *Engine) !void {
        assert(engine.writer == null);
        const found = try recover(engine.storage, engine.allocator, engine.poisoned);
        try engine.check(&found);
        engine.state = found.state;
        engine.next_csn = found.end_csn;
        engine.epoch = @max(engine.epoch, found.epoch_max);
        engine.history.shrinkRetainingCapacity(@intCast(found.end_csn + 1));
        engine.poisoned = false;
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
        engine.writer = files.Writer.create(engine.storage, engine.allocator, .{
            .database_id = database_id,
            .epoch = engine.epoch,
            .first_csn = engine.next_csn,
            .allocate_size = allocate_size,
        }) catch |err| {
            if (err == error.Poisoned) engine.poisoned = true;
            return err;
        };
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
            .checkpoint => try engine.checkpoint(&.{}),
            .checkpoint_beside => try engine.checkpoint(&.{ .append, .rotate, .append }),
            .restart => {
                engine.stop();
                try engine.start();
            },
        }
    }

    const Commit = enum { short, long, aborted };

    /// Appends a batch; its commits happen only if that succeeds.
    fn append(engine: *Engine, commits: []const Commit) !void {
        const writer = &engine.writer.?;
        var batch: files.Batch = .init(&engine.buffers.batch);
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
        const out = &engine.buffers.record;
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
        engine.writer.?.sync() catch |err| {
            engine.poisoned = true;
            return err;
        };
        engine.durable_csn = engine.next_csn;
    }

    fn rotate(engine: *Engine) !void {
        var older = engine.writer.?;
        if (engine.poisoned) return error.Poisoned;
        try engine.open();
        older.close();
    }

    /// As the engine does it: a new log file, a snapshot, its rows, the log before it dropped.
    fn checkpoint(engine: *Engine, beside: []const Step) !void {
        try engine.rotate();
        const csn = engine.next_csn;
        const snapshot = engine.state;
        var writer = try checkpoint_write.Writer.begin(
            engine.storage,
            &engine.buffers.block,
            .{ .database_id = database_id, .snapshot_csn = csn, .sync_size = 2048 },
        );
        engine.writeRows(&writer, &snapshot, beside) catch |err| {
            writer.abandon();
            return err;
        };
        _ = try writer.finish();
        engine.durable_csn = @max(engine.durable_csn, csn);
        _ = try files.dropBefore(engine.storage, engine.allocator, database_id, csn);
    }

    fn writeRows(
        engine: *Engine,
        writer: *checkpoint_write.Writer,
        snapshot: *const State,
        beside: []const Step,
    ) !void {
        if (snapshot.codec) |*codec| {
            try writer.beginTable(table_id, engine.table.bytes(), codec);
            for (&snapshot.images) |*image| {
                if (image.*) |*present| try writer.addRow(&present.bytes);
            }
        }
        for (beside) |step| switch (step) {
            .append => try engine.append(&.{.short}),
            .rotate => try engine.rotate(),
            else => unreachable,
        };
    }
};
