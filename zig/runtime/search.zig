//! Searches of a handle: programs kept by their plan's bytes, executions that may go on over
//! several calls, and
//! what a transaction must remember of a search to validate it (P16, P24).
//!
//! **Memory**: a `Search` owns its execution; a program belongs to the cache or, inside a
//! transaction, to that.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const executor = @import("../query/executor.zig");
const view_ = @import("../table/view.zig");
const Engine = @import("../txn/engine.zig").Engine;
const read_set = @import("../txn/read_set.zig");
const Source = @import("../txn/source.zig").Source;
const Transaction = @import("../txn/transaction.zig").Transaction;
const Execution = executor.Executor(Source);
const Program = executor.Program;
const Image = [*]align(8) const u8;

pub const Error = Source.Error || Program.Error || error{
    UnknownTable,
    BufferTooSmall,
    SegmentFull,
    Conflict,
};

/// Programs by plan bytes: a prepared search does not compile again.
pub const Cache = struct {
    const capacity = 64;

    entries: [capacity]?*Entry = @splat(null),
    clock: u64 = 0,

    const Entry = struct {
        hash: u64,
        table: u32,
        catalog_version: u32,
        used: u64,
        /// Searches that are running it.
        users: u32,
        plan: []u8,
        program: Program,
    };

    pub fn deinit(cache: *Cache, allocator: std.mem.Allocator) void {
        for (cache.entries) |entry| if (entry) |e| drop(allocator, e);
    }

    fn drop(allocator: std.mem.Allocator, entry: *Entry) void {
        entry.program.deinit();
        allocator.free(entry.plan);
        allocator.destroy(entry);
    }

    fn get(
        cache: *Cache,
        engine: *Engine,
        table: *const view_.TableView,
        plan: []const u8,
    ) Error!*Entry {
        const allocator = engine.context.allocator;
        const hash = std.hash.Wyhash.hash(table.id, plan);
        const version = engine.context.catalog_version;
        cache.clock += 1;
        var oldest: ?usize = null;
        for (cache.entries, 0..) |slot, i| {
            const entry = slot orelse {
                oldest = i;
                continue;
            };
            if (entry.hash == hash and entry.table == table.id and
                entry.catalog_version == version and
                std.mem.eql(u8, entry.plan, plan))
            {
                entry.used = cache.clock;
                return entry;
            }
            if (entry.users > 0) continue;
            const best = if (oldest) |o| cache.entries[o] else entry;
            if (best) |b| if (oldest == null or entry.used < b.used) {
                oldest = i;
            };
        }
        const entry = try allocator.create(Entry);
        errdefer allocator.destroy(entry);
        const copy = try allocator.dupe(u8, plan);
        errdefer allocator.free(copy);
        entry.* = .{
            .hash = hash,
            .table = table.id,
            .catalog_version = version,
            .used = cache.clock,
            .users = 0,
            .plan = copy,
            .program = try Program.init(allocator, &table.schema, plan),
        };
        if (oldest) |i| {
            if (cache.entries[i]) |old| drop(allocator, old);
            cache.entries[i] = entry;
            return entry;
        }
        entry.program.deinit(); // every program of the cache is running: too many open searches
        return error.OutOfMemory;
    }
};

pub const Search = struct {
    engine: *Engine,
    transaction: ?*Transaction,
    entry: ?*Cache.Entry,
    snapshot: u64,
    source: Source,
    execution: Execution,
    scan: ?*ScanRecord,

    /// Opens a search; `close` ends it. Outside a transaction it pins a snapshot of its own.
    pub fn open(
        engine: *Engine,
        cache: *Cache,
        transaction: ?*Transaction,
        table_id: u32,
        plan: []const u8,
    ) Error!*Search {
        const allocator = engine.context.allocator;
        const table = try engine.context.table(table_id);
        const search = try allocator.create(Search);
        errdefer allocator.destroy(search);
        var scan: ?*ScanRecord = null;
        var entry: ?*Cache.Entry = null;
        const validated = transaction != null and !transaction.?.read_only;
        const program = if (validated) blk: {
            scan = try ScanRecord.create(transaction.?, table, plan);
            break :blk &scan.?.program;
        } else blk: {
            entry = try cache.get(engine, table, plan);
            entry.?.users += 1;
            break :blk &entry.?.program;
        };
        errdefer if (entry) |e| {
            e.users -= 1;
        };
        const snapshot = if (transaction) |t| t.snapshot else try engine.pins.open(
            allocator,
            &engine.context.session,
        );
        const has_own = if (transaction) |t| t.writes.items.len > 0 else false;
        search.* = .{
            .engine = engine,
            .transaction = transaction,
            .entry = entry,
            .snapshot = snapshot,
            .source = .{
                .allocator = allocator,
                .segment = engine.context.session.segment,
                .table = table,
                .snapshot = snapshot,
                .transaction = if (has_own) transaction else null,
            },
            .execution = undefined,
            .scan = scan,
        };
        search.execution = .init(allocator, &search.source, program);
        return search;
    }

    pub fn close(search: *Search) void {
        const engine = search.engine;
        if (search.scan) |scan| scan.settle(search);
        search.execution.deinit();
        if (search.entry) |entry| entry.users -= 1;
        if (search.transaction == null) engine.pins.close(&engine.context.session, search.snapshot);
        engine.context.allocator.destroy(search);
    }

    /// Copies the next rows into `buffer`.
    pub fn next(search: *Search, buffer: []u8) Error!executor.Batch {
        const batch = try search.execution.next(buffer);
        if (search.engine.pins.isRevoked(&search.engine.context.session, search.snapshot)) {
            return error.SnapshotTooOld;
        }
        if (search.scan) |scan| try scan.update(search);
        return batch;
    }

    /// The count of a count-only program.
    pub fn returned(search: *const Search) u64 {
        return search.execution.returned;
    }
};

/// What a transaction keeps of a search that it ran.
const ScanRecord = struct {
    transaction: *Transaction,
    table: *const view_.TableView,
    program: Program,
    reach: enum { everything, through, nothing },
    last: [*]align(8) u8,

    /// In the transaction's arena, program included.
    fn create(
        transaction: *Transaction,
        table: *const view_.TableView,
        plan: []const u8,
    ) Error!*ScanRecord {
        const allocator = transaction.arena.allocator();
        const scan = try allocator.create(ScanRecord);
        const last = try allocator.alignedAlloc(u8, .@"8", table.schema.image_size);
        scan.* = .{
            .transaction = transaction,
            .table = table,
            .program = try Program.init(allocator, &table.schema, plan),
            .reach = .everything,
            .last = last.ptr,
        };
        // Protected as a whole until it is known how far it read.
        try transaction.reads.addScan(.{
            .table = table,
            .context = scan,
            .covers = covers,
            .repeat = repeat,
        });
        return scan;
    }

    fn update(scan: *ScanRecord, search: *Search) Error!void {
        switch (search.execution.boundary()) {
            .everything => scan.reach = .everything,
            .through => |row| {
                scan.reach = .through;
                const size = scan.table.schema.image_size;
                @memcpy(scan.last[0..size], row.image[0..size]);
            },
            // Without an order any rows will do; that those are still there is all that was seen.
            // Which they
            // were is not kept here: the whole search is protected.
            .returned => scan.reach = .everything,
        }
    }

    /// A search that was closed before its end protects what it has read.
    fn settle(scan: *ScanRecord, search: *Search) void {
        scan.update(search) catch {};
    }

    fn covers(context: *anyopaque, image: Image) bool {
        const scan: *ScanRecord = @ptrCast(@alignCast(context));
        if (!scan.program.matches(image)) return false;
        return switch (scan.reach) {
            .everything => true,
            .through => scan.program.isThrough(image, scan.last),
            .nothing => false,
        };
    }

    /// The same rows in the same versions at the transaction's snapshot and at `snapshot`?
    fn repeat(context: *anyopaque, snapshot: u64) read_set.Error!bool {
        const scan: *ScanRecord = @ptrCast(@alignCast(context));
        return try scan.digest(scan.transaction.snapshot) == try scan.digest(snapshot);
    }

    fn digest(scan: *ScanRecord, snapshot: u64) read_set.Error!u128 {
        const engine = scan.transaction.engine;
        var program = scan.program;
        program.limit = std.math.maxInt(u64);
        program.offset = 0;
        program.order = .{ .columns = &.{} };
        program.walk = false;
        program.count_only = false;
        var source: Source = .{
            .allocator = engine.context.allocator,
            .segment = engine.context.session.segment,
            .table = scan.table,
            .snapshot = snapshot,
            .transaction = null,
        };
        var execution: Execution = .init(engine.context.allocator, &source, &program);
        defer execution.deinit();

        var sum: u128 = 0;
        while (execution.nextRow() catch |err| switch (err) {
            error.OutOfMemory => return error.SegmentFull,
            error.SegmentCorrupt => return error.SegmentCorrupt,
            error.SnapshotTooOld => return error.SnapshotTooOld,
        }) |row| {
            if (!covers(scan, row.image)) continue;
            // A version is known by where it lies: it cannot be reused while the snapshot is
            // pinned.
            const pair = [2]u64{ row.slot, @intFromPtr(row.image) };
            const low = std.hash.Wyhash.hash(1, std.mem.asBytes(&pair));
            const high = std.hash.Wyhash.hash(2, std.mem.asBytes(&pair));
            sum +%= @as(u128, high) << 64 | low;
        }
        return sum;
    }
};
