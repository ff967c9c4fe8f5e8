//! The loops of recovery: checkpoint, log and indexes into a segment that is not published yet, in
//! slices of time, so that the state machine in TypeScript stays in charge (P28).
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
const ring = @import("../segment/ring.zig");
const checkpoint_load = @import("../checkpoint/load.zig");
const records = @import("../wal/record.zig");
const deltas = @import("../row/delta.zig");
const epochs = @import("../wal/epoch.zig");
const Timeline = @import("../segment/timeline.zig").Timeline;
const wal_reader = @import("../wal/reader.zig");
const storage_ = @import("../wal/storage.zig");
const bulk = @import("../table/bulk.zig");
const catalog = @import("../txn/catalog.zig");
const view_ = @import("../table/view.zig");
const Engine = @import("../txn/engine.zig").Engine;
const Key = @import("../table/primary_map.zig").Key;
const RowIndex = @import("../table/row_index.zig").RowIndex;
const RowCodec = @import("../row/packed.zig").RowCodec;

/// Flag of a recovery: read the files from the disk, not from the page cache.
pub const flag_distrust_cache: u32 = 1;

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

/// How the rows of one table are found.
const Finder = struct {
    /// Rows looked up in the map so far.
    count: u64 = 0,
    index: ?RowIndex = null,
};

/// Transactions that are looked at before the first of them is replayed.
const group_size = 16;
const groups_between_looks = 64;
/// Fewer lookups are not worth an index.
const finder_count_min = 4096;

pub const Recovery = struct {
    allocator: std.mem.Allocator,
    engine: *Engine,
    storage: storage_.Storage,
    distrust: bool,
    phase: Phase = .checkpoint,
    loader: ?checkpoint_load.Loader = null,
    has_checkpoint: bool = false,
    reader: ?wal_reader.Reader = null,
    /// That of an empty database: recovered rows have the CSN below it.
    start_csn: u64 = bulk.csn_recovered + 1,
    end_csn: u64 = bulk.csn_recovered + 1,
    epoch: u64 = 0,
    /// The number of the newest timeline that is known of.
    timeline: u32 = 0,
    index_table: u32 = 0,
    image: [limits.image_size_max]u8 align(8) = undefined,
    key: [limits.key_size_max]u8 = undefined,
    group: [group_size][]const u8 = undefined,
    finders: [limits.table_count_max]Finder = @splat(.{}),
    report: Report = std.mem.zeroes(Report),

    pub fn create(
        allocator: std.mem.Allocator,
        engine: *Engine,
        storage: storage_.Storage,
        distrust: bool,
    ) !*Recovery {
        const recovery = try allocator.create(Recovery);
        errdefer allocator.destroy(recovery);
        recovery.* = .{
            .allocator = allocator,
            .engine = engine,
            .storage = storage,
            .distrust = distrust,
        };
        return recovery;
    }

    pub fn destroy(recovery: *Recovery) void {
        if (recovery.loader) |*loader| loader.close();
        if (recovery.reader) |*reader| reader.close();
        recovery.dropFinders();
        recovery.allocator.destroy(recovery);
    }

    /// Works for about `budget_ms`; the phase in the report says whether there is more to do.
    pub fn step(recovery: *Recovery, budget_ms: u32) !void {
        const deadline = os.monotonicNs() + @as(u64, budget_ms) * 1_000_000;
        while (recovery.phase != .done) {
            switch (recovery.phase) {
                .checkpoint => if (try recovery.loadSome(deadline)) try recovery.beginLog(),
                .log => try recovery.replaySome(deadline),
                .indexes => try recovery.buildOne(),
                .done => unreachable,
            }
            recovery.report.phase = @intFromEnum(recovery.phase);
            if (os.monotonicNs() >= deadline) return;
        }
    }

    fn noteTimeline(recovery: *Recovery, timeline: Timeline) void {
        // Files are input: the number after the last one stays a number.
        if (timeline.number == std.math.maxInt(u32)) return;
        recovery.timeline = @max(recovery.timeline, timeline.number);
    }

    fn databaseId(recovery: *Recovery) [16]u8 {
        return recovery.engine.context.session.segment.header.database_id;
    }

    /// Loads blocks until the deadline; returns whether the checkpoint is loaded whole.
    fn loadSome(recovery: *Recovery, deadline: u64) !bool {
        const report = &recovery.report;
        if (recovery.loader == null) {
            var fault: ?checkpoint_load.Fault = null;
            errdefer recovery.noteCheckpointFault(fault);
            recovery.loader = try checkpoint_load.Loader.open(
                recovery.storage,
                recovery.allocator,
                .{ .database_id = recovery.databaseId(), .distrust_cache = recovery.distrust },
                &fault,
            );
            if (recovery.loader == null) return true;
            recovery.start_csn = recovery.loader.?.header.snapshot_csn;
            recovery.noteTimeline(recovery.loader.?.header.timeline);
            recovery.has_checkpoint = true;
        }
        const loader = &recovery.loader.?;
        errdefer recovery.noteCheckpointFault(loader.fault);
        while (try loader.next()) |event| {
            switch (event) {
                .table => |table| recovery.createTable(
                    table.table_id,
                    table.schema_bytes,
                ) catch |err| switch (err) {
                    error.Malformed => return loader.refuse(.malformed, loader.offset),
                    else => |other| return other,
                },
                .rows => |rows| {
                    var block = rows;
                    try recovery.loadRows(loader, &block);
                },
            }
            report.size = @floatFromInt(loader.header.size);
            report.done_size = @floatFromInt(loader.readSize());
            if (os.monotonicNs() >= deadline) return false;
        }
        loader.close();
        recovery.loader = null;
        return true;
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
            _ = bulk.insert(session, table, image) catch |err| switch (err) {
                error.DuplicateKey => return loader.refuse(.malformed, block.offset),
                else => |other| return other,
            };
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
        catalog.restore(
            &recovery.engine.context.session,
            id,
            schema_bytes,
            bulk.csn_recovered,
        ) catch |err| return switch (err) {
            error.InvalidSchema, error.SchemaMismatch => error.Malformed, // no writer writes that
            else => |other| other,
        };
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
            try wal_reader.Reader.open(recovery.storage, recovery.allocator, .{
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
        const malformed = @intFromEnum(wal_reader.Fault.Reason.malformed);
        var count: u32 = 0;
        while (try recovery.nextGroup()) |group| {
            recovery.fetchRows(group);
            for (group) |record| recovery.replay(record) catch |err| switch (err) {
                error.Malformed, error.WrongBase, error.UnknownTable, error.DuplicateKey => {
                    const name = reader.files.items[reader.file_index].name;
                    recovery.noteFault(malformed, reader.batch_offset, name.slice());
                    return error.WalCorrupt;
                },
                else => |other| return other,
            };
            count += 1;
            if (count % groups_between_looks != 0) continue;
            recovery.noteLog();
            if (os.monotonicNs() >= deadline) return;
        }
        recovery.noteLog();
        recovery.end_csn = @max(recovery.start_csn, reader.report.end_csn);
        recovery.epoch = reader.report.epoch_max;
        for (reader.files.items) |*file| recovery.noteTimeline(file.header.timeline);
        if (try epochs.load(recovery.storage)) |record| {
            const is_own = std.mem.eql(u8, &record.database_id, &recovery.databaseId());
            if (is_own) recovery.noteTimeline(record.timeline);
        }
        recovery.report.truncated_size = @floatFromInt(reader.report.truncated_size);
        recovery.report.end_csn = @floatFromInt(recovery.end_csn);
        recovery.report.epoch = @floatFromInt(recovery.epoch);
        reader.close();
        recovery.reader = null;
        recovery.dropFinders();
        recovery.phase = .indexes;
    }

    /// Records of the next transactions that lie in memory together; null at the end.
    fn nextGroup(recovery: *Recovery) !?[]const []const u8 {
        const reader = &recovery.reader.?;
        const first = try reader.next() orelse return null;
        recovery.group[0] = first.record;
        var count: usize = 1;
        while (count < recovery.group.len and reader.hasMore()) : (count += 1) {
            recovery.group[count] = (try reader.next() orelse break).record;
        }
        return recovery.group[0..count];
    }

    /// Has the processor fetch the rows that a group begins with: without that, replay waits for
    /// memory most of the time. What cannot be read here is dealt with when it is replayed.
    fn fetchRows(recovery: *Recovery, group: []const []const u8) void {
        const Ahead = struct { index: *const RowIndex, table: *const view_.TableView, hash: u32 };
        var ahead: [group_size]Ahead = undefined;
        var count: usize = 0;
        for (group) |record| {
            var operations = records.Operations.init(record);
            const first = operations.next(Tables{ .engine = recovery.engine }) catch continue;
            const operation = first orelse continue;
            const packed_key = switch (operation.body) {
                .update => |update| update.key,
                .update_full => |row| row.key,
                .delete => |key| key,
                else => continue,
            };
            const finder = &recovery.finders[operation.table_id];
            const index = if (finder.index) |*index| index else continue;
            const table = recovery.engine.context.table(operation.table_id) catch continue;
            const key: Key = .init(table.codec.keyBytes(packed_key, &recovery.key));
            ahead[count] = .{ .index = index, .table = table, .hash = key.hash };
            index.fetchEntry(key.hash);
            count += 1;
        }
        for (ahead[0..count]) |row| row.index.fetchRow(row.table, row.hash);
    }

    fn dropFinders(recovery: *Recovery) void {
        for (&recovery.finders) |*finder| {
            if (finder.index) |*index| index.deinit(recovery.allocator);
            finder.index = null;
        }
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
                .time, .passed_over => continue,
                else => try recovery.engine.context.table(operation.table_id),
            };
            const image = recovery.image[0..table.schema.image_size];
            switch (operation.body) {
                .create_table, .time, .passed_over => unreachable,
                .insert => |row| {
                    try table.codec.unpack(row, image);
                    const version = try bulk.insert(session, table, image);
                    const finder = &recovery.finders[table.id];
                    const index = if (finder.index) |*index| index else continue;
                    const key: Key = .init(table.keyBytes(image.ptr));
                    try index.insert(recovery.allocator, key, version);
                },
                .update_full => |row| {
                    try table.codec.unpack(row, image);
                    const key: Key = .init(table.keyBytes(image.ptr));
                    const old = try recovery.findRow(table, key) orelse return error.WrongBase;
                    bulk.replace(table, old, image);
                },
                .update => |update| {
                    const key: Key = .init(table.codec.keyBytes(update.key, &recovery.key));
                    const old = try recovery.findRow(table, key) orelse return error.WrongBase;
                    try deltas.apply(&table.codec, &update.change, old, image);
                    bulk.replace(table, old, image);
                },
                .delete => |packed_key| {
                    const key: Key = .init(table.codec.keyBytes(packed_key, &recovery.key));
                    if (recovery.finders[table.id].index) |*index| try index.remove(table, key);
                    if (!try bulk.remove(session, table, key)) return error.WrongBase;
                },
                .change_table, .drop_table, .truncate_table => return error.Malformed,
            }
        }
    }

    /// The image of a key's row. A table that much of the log is about gets an index of its own.
    fn findRow(recovery: *Recovery, table: *const view_.TableView, key: Key) !?[]align(8) u8 {
        const finder = &recovery.finders[table.id];
        if (finder.index) |*index| return index.find(table, key);
        finder.count += 1;
        const rows: u64 = @intCast(@max(0, table.shared.row_count.load(.monotonic)));
        if (finder.count > finder_count_min and finder.count > rows / 8) {
            finder.index = try RowIndex.init(recovery.allocator, table);
        }
        return bulk.find(table, key);
    }

    /// The indexes of one table; then the end.
    fn buildOne(recovery: *Recovery) !void {
        const segment = recovery.engine.context.session.segment;
        while (recovery.index_table < limits.table_count_max) {
            const id = recovery.index_table;
            recovery.index_table += 1;
            if (try catalog.committed(segment, id) == null) continue;
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
        ring.startAt(recovery.engine.context.session.segment, next);
        header.first_csn = next;
        // What the segment before may have shown from here on never was.
        header.timeline = .{ .number = recovery.timeline + 1, .start_csn = next };
        epochs.begin(recovery.storage, header.database_id, recovery.epoch, header.timeline);
        header.checksum = header.computeChecksum();
        header.log_epoch.store(recovery.epoch, .monotonic); // nobody else is here
        header.tail.store(next, .monotonic);
        header.drained.store(ring.drainedWord(recovery.epoch, next), .monotonic);
        header.durable.store(next, .monotonic);
        header.horizon.store(next, .monotonic);
        header.checkpoint_csn.store(recovery.start_csn, .monotonic);
        recovery.engine.context.session.floor = next;
    }
};
