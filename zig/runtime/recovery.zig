//! The loops of recovery: checkpoint, log and indexes into a segment that is not published yet, in
//! slices of time,
//! so that the state machine in TypeScript stays in charge (P28).
//!
//! **Invariants**: `finish` comes last and makes the segment one whose first CSN is above
//! everything recovered.
//!
//! **Concurrency**: the handle's thread; nobody else knows the segment.
//!
//! **Memory**: owns the readers until `deinit`.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const checkpoint_load = @import("../checkpoint/load.zig");
const records = @import("../wal/record.zig");
const deltas = @import("../wal/delta.zig");
const wal_reader = @import("../wal/reader.zig");
const storage_ = @import("../wal/storage.zig");
const bulk = @import("../table/bulk.zig");
const catalog = @import("../table/catalog.zig");
const view_ = @import("../table/view.zig");
const Engine = @import("../txn/engine.zig").Engine;
const Key = @import("../table/primary_map.zig").Key;
const RowCodec = @import("../wal/row.zig").RowCodec;

pub const Phase = enum(u32) { checkpoint = 0, log = 1, indexes = 2, done = 3 };

/// Where recovery stands; doubles hold integers up to 2^53.
pub const Report = extern struct {
    phase: u32,
    tables: u32,
    rows_loaded: f64,
    records_replayed: f64,
    /// Bytes of the files in the present phase, and how many are read.
    size: f64,
    done_size: f64,
    truncated_size: f64,
    start_csn: f64,
    end_csn: f64,
    epoch: f64,
    /// Of a refusal: the reason's number, and where in which file.
    fault_reason: u32,
    fault_name_size: u32,
    fault_offset: f64,
    fault_name: [64]u8,
};

pub const Recovery = struct {
    allocator: std.mem.Allocator,
    engine: *Engine,
    directory: storage_.Directory,
    distrust: bool,
    phase: Phase = .checkpoint,
    loader: ?checkpoint_load.Loader = null,
    has_checkpoint: bool = false,
    reader: ?wal_reader.Reader = null,
    /// That of an empty database: recovered rows have the CSN below it.
    start_csn: u64 = bulk.csn_recovered + 1,
    end_csn: u64 = bulk.csn_recovered + 1,
    epoch: u64 = 0,
    index_table: u32 = 0,
    image: [limits.image_size_max]u8 align(8) = undefined,
    report: Report = std.mem.zeroes(Report),

    pub fn create(
        allocator: std.mem.Allocator,
        engine: *Engine,
        path: [:0]const u8,
        distrust: bool,
    ) !*Recovery {
        const recovery = try allocator.create(Recovery);
        errdefer allocator.destroy(recovery);
        recovery.* = .{
            .allocator = allocator,
            .engine = engine,
            .directory = try storage_.Directory.open(path),
            .distrust = distrust,
        };
        return recovery;
    }

    pub fn destroy(recovery: *Recovery) void {
        if (recovery.loader) |*loader| loader.close();
        if (recovery.reader) |*reader| reader.close();
        recovery.directory.close();
        recovery.allocator.destroy(recovery);
    }

    /// Works for about `budget_ms`; the phase in the report says whether there is more to do.
    pub fn step(recovery: *Recovery, budget_ms: u32) !void {
        const deadline = os.monotonicNs() + @as(u64, budget_ms) * 1_000_000;
        while (recovery.phase != .done) {
            switch (recovery.phase) {
                .checkpoint => try recovery.loadSome(deadline),
                .log => try recovery.replaySome(deadline),
                .indexes => try recovery.buildOne(),
                .done => unreachable,
            }
            recovery.report.phase = @intFromEnum(recovery.phase);
            if (os.monotonicNs() >= deadline) return;
        }
    }

    fn databaseId(recovery: *Recovery) [16]u8 {
        return recovery.engine.context.session.segment.header.database_id;
    }

    fn loadSome(recovery: *Recovery, deadline: u64) !void {
        const report = &recovery.report;
        if (recovery.loader == null) {
            var fault: ?checkpoint_load.Fault = null;
            errdefer recovery.noteCheckpointFault(fault);
            recovery.loader = try checkpoint_load.Loader.open(
                recovery.directory.storage(),
                recovery.allocator,
                .{ .database_id = recovery.databaseId(), .distrust_cache = recovery.distrust },
                &fault,
            );
            if (recovery.loader == null) return recovery.beginLog();
            recovery.start_csn = recovery.loader.?.header.snapshot_csn;
            recovery.has_checkpoint = true;
        }
        const loader = &recovery.loader.?;
        errdefer recovery.noteCheckpointFault(loader.fault);
        while (try loader.next()) |event| {
            switch (event) {
                .table => |table| try recovery.createTable(table.table_id, table.schema_bytes),
                .rows => |rows| {
                    var block = rows;
                    try recovery.loadRows(loader, &block);
                },
            }
            report.size = @floatFromInt(loader.header.size);
            report.done_size = @floatFromInt(loader.readSize());
            if (os.monotonicNs() >= deadline) return;
        }
        loader.close();
        recovery.loader = null;
        return recovery.beginLog();
    }

    fn loadRows(
        recovery: *Recovery,
        loader: *checkpoint_load.Loader,
        block: *checkpoint_load.Rows,
    ) !void {
        const table = try recovery.engine.context.table(block.table_id);
        const session = &recovery.engine.context.session;
        const image = recovery.image[0..table.schema.image_size];
        while (block.next(&table.codec) catch return loader.refuse(
            .malformed,
            block.offset,
        )) |row| {
            table.codec.unpack(row, image) catch return loader.refuse(.malformed, block.offset);
            const key: Key = .init(table.keyBytes(image.ptr));
            if (try table.map().find(key) != null) return loader.refuse(.malformed, block.offset);
            try bulk.insert(session, table, image);
            recovery.report.rows_loaded += 1;
        }
    }

    fn noteCheckpointFault(recovery: *Recovery, fault: ?checkpoint_load.Fault) void {
        const found = fault orelse return;
        recovery.noteFault(@intFromEnum(found.reason), found.offset, "occ_checkpoint.dat");
    }

    fn noteFault(recovery: *Recovery, reason: u32, offset: u64, name: []const u8) void {
        const report = &recovery.report;
        report.fault_reason = reason;
        report.fault_offset = @floatFromInt(offset);
        report.fault_name_size = @intCast(@min(name.len, report.fault_name.len));
        @memcpy(report.fault_name[0..report.fault_name_size], name[0..report.fault_name_size]);
    }

    fn createTable(recovery: *Recovery, id: u32, schema_bytes: []const u8) !void {
        _ = try catalog.create(
            &recovery.engine.context.session,
            schema_bytes,
            id,
            bulk.csn_recovered,
        );
        recovery.report.tables += 1;
    }

    fn beginLog(recovery: *Recovery) !void {
        recovery.phase = .log;
        recovery.report.start_csn = @floatFromInt(recovery.start_csn);
        var fault: ?wal_reader.Fault = null;
        errdefer if (fault) |f| recovery.noteFault(
            @intFromEnum(f.reason),
            f.offset,
            f.name.slice(),
        );
        recovery.reader =
            try wal_reader.Reader.open(recovery.directory.storage(), recovery.allocator, .{
                .start_csn = recovery.start_csn,
                .is_expected = recovery.has_checkpoint,
                .database_id = recovery.databaseId(),
                .distrust_cache = recovery.distrust,
            }, &fault);
    }

    fn replaySome(recovery: *Recovery, deadline: u64) !void {
        const reader = &recovery.reader.?;
        errdefer if (reader.fault) |f| recovery.noteFault(
            @intFromEnum(f.reason),
            f.offset,
            f.name.slice(),
        );
        var count: u32 = 0;
        while (try reader.next()) |transaction| {
            recovery.replay(transaction.record) catch |err| switch (err) {
                error.Malformed, error.WrongBase, error.UnknownTable => {
                    const name = reader.files.items[reader.file_index].name;
                    recovery.noteFault(12, reader.batch_offset, name.slice());
                    return error.WalCorrupt;
                },
                else => return err,
            };
            count += 1;
            if (count % 1024 == 0) {
                recovery.noteLog();
                if (os.monotonicNs() >= deadline) return;
            }
        }
        recovery.noteLog();
        recovery.end_csn = @max(recovery.start_csn, reader.report.end_csn);
        recovery.epoch = reader.report.epoch_max;
        recovery.report.truncated_size = @floatFromInt(reader.report.truncated_size);
        recovery.report.end_csn = @floatFromInt(recovery.end_csn);
        recovery.report.epoch = @floatFromInt(recovery.epoch);
        reader.close();
        recovery.reader = null;
        recovery.phase = .indexes;
    }

    fn noteLog(recovery: *Recovery) void {
        const reader = &recovery.reader.?;
        recovery.report.size = @floatFromInt(reader.report.size);
        recovery.report.done_size = @floatFromInt(reader.report.read_size);
    }

    const Tables = struct {
        engine: *Engine,

        pub fn find(tables: Tables, id: u32) ?*const RowCodec {
            return &(tables.engine.context.table(id) catch return null).codec;
        }
    };

    fn replay(recovery: *Recovery, record: []const u8) !void {
        const session = &recovery.engine.context.session;
        var operations = records.Operations.init(record);
        while (try operations.next(Tables{ .engine = recovery.engine })) |operation| {
            recovery.report.records_replayed += 1;
            const table = switch (operation.body) {
                .create_table => |schema_bytes| {
                    try recovery.createTable(operation.table_id, schema_bytes);
                    continue;
                },
                else => try recovery.engine.context.table(operation.table_id),
            };
            const image = recovery.image[0..table.schema.image_size];
            switch (operation.body) {
                .create_table => unreachable,
                .insert => |row| {
                    try table.codec.unpack(row, image);
                    if (try bulk.find(
                        table,
                        .init(table.keyBytes(image.ptr)),
                    ) != null) return error.WrongBase;
                    try bulk.insert(session, table, image);
                },
                .update_full => |row| {
                    try table.codec.unpack(row, image);
                    const old = (try bulk.find(
                        table,
                        .init(table.keyBytes(image.ptr)),
                    )) orelse return error.WrongBase;
                    bulk.replace(table, old, image);
                },
                .update => |update| {
                    var buffer: [limits.key_size_max]u8 = undefined;
                    const key = table.codec.keyBytes(update.key, &buffer);
                    const old = (try bulk.find(table, .init(key))) orelse return error.WrongBase;
                    try deltas.apply(&table.codec, &update.change, old, image);
                    bulk.replace(table, old, image);
                },
                .delete => |packed_key| {
                    var buffer: [limits.key_size_max]u8 = undefined;
                    const key = table.codec.keyBytes(packed_key, &buffer);
                    if (!try bulk.remove(session, table, .init(key))) return error.WrongBase;
                },
                .create_index, .drop_index, .drop_table => return error.Malformed,
            }
        }
    }

    /// The indexes of one table; then the end.
    fn buildOne(recovery: *Recovery) !void {
        const segment = recovery.engine.context.session.segment;
        while (recovery.index_table < limits.table_count_max) {
            const id = recovery.index_table;
            recovery.index_table += 1;
            if (segment.catalog[id].table.load(.acquire) == 0) continue;
            const table = try recovery.engine.context.table(id);
            for (table.indexes[0..table.index_count]) |*index| {
                try bulk.buildIndex(
                    &recovery.engine.context.session,
                    recovery.allocator,
                    table,
                    index,
                );
            }
            return;
        }
        recovery.finish();
        recovery.phase = .done;
    }

    /// The segment goes on where the log ended.
    fn finish(recovery: *Recovery) void {
        const header = recovery.engine.context.session.segment.header;
        const next = @max(recovery.end_csn, bulk.csn_recovered + 1);
        header.first_csn = next;
        header.checksum = header.computeChecksum();
        header.log_epoch.store(recovery.epoch, .monotonic); // nobody else is here
        header.tail.store(next, .monotonic);
        header.drained.store((recovery.epoch & 0xFFFF) << 48 | next, .monotonic);
        header.durable.store(next, .monotonic);
        header.horizon.store(next, .monotonic);
        header.checkpoint_csn.store(recovery.start_csn, .monotonic);
        recovery.engine.context.session.floor = next;
    }
};
