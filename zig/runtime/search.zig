//! Searches of a handle: programs kept by their plan's bytes, executions that may go on over
//! several calls, and what a transaction must remember of a search to validate it (P16, P24).
//!
//! **Memory**: a `Search` owns its execution; a program belongs to the cache or, inside a
//! transaction, to that.
const std = @import("std");
const io = @import("io.zig");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const word = @import("../segment/word.zig");
const plan_module = @import("../query/plan.zig");
const point_ = @import("../query/point.zig");
const executor = @import("../query/executor.zig");
const view_ = @import("../table/view.zig");
const Index = @import("../index/index.zig").Index;
const engine_ = @import("../txn/engine.zig");
const Engine = engine_.Engine;
const read_set = @import("../txn/read_set.zig");
const Pins = @import("../txn/pins.zig").Pins;
const Snapshot = @import("../txn/pins.zig").Snapshot;
const Range = @import("../query/route.zig").Range;
const estimate = @import("../index/estimate.zig");
const Source = @import("../read/source.zig").Source;
const transaction_ = @import("../txn/transaction.zig");
const Transaction = transaction_.Transaction;
const Execution = executor.Executor(Source);
const Program = executor.Program;
const Image = [*]align(8) const u8;

pub const Error = Source.Error || Program.Error || error{
    UnknownTable,
    BufferTooSmall,
    SegmentFull,
    Conflict,
    PlanStale,
};

/// Rows of each guard of a plan.
pub const Estimates = [plan_module.guards_max]f64;

/// Searches with the same bytes between two looks at the guards of their plan.
const uses_per_look = 16;

/// Compares what the plan supposes of its clauses with the indexes. The rows are in `estimates`,
/// one for each guard, where it is `PlanStale`. Pins for as long as it looks.
fn checkGuards(
    engine: *Engine,
    table: *const view_.TableView,
    program: *const Program,
    estimates: *Estimates,
) Error!void {
    const session = &engine.context.session;
    const pins = &engine.pins;
    var is_stale = false;
    for (program.guards, 0..) |*guard, i| {
        const index = table.indexOf(guard.arm.column.position) orelse return error.InvalidPlan;
        const count = while (true) { // each turn means that the pin was revoked
            pins.enterRead(session);
            defer pins.leaveRead(session);

            const count = estimateRanges(index, guard.arm.ranges);
            if (!Pins.isReadLost(session)) break try count;
        };
        estimates[i] = @floatFromInt(count);
        if (count < guard.low or count > guard.high) is_stale = true;
    }
    if (is_stale) return error.PlanStale;
}

fn estimateRanges(index: *const Index, ranges: []const Range) Error!u64 {
    const looked = ranges[0..@min(ranges.len, estimate.ranges_max)];
    if (looked.len == 0) return 0;
    var sum: u64 = 0;
    for (looked) |range| sum +|= try index.estimate(range.low, range.high);
    return sum / looked.len *| ranges.len +| sum % looked.len * ranges.len / looked.len;
}

/// Programs by plan bytes: a search that was made before is not compiled again. And what searches
/// that have ended leave for the next one.
pub const Cache = struct {
    const capacity = 16;

    hashes: [capacity]u64 = @splat(0),
    /// Counts searches; the entry used longest ago makes room.
    used: [capacity]u64 = @splat(0),
    entries: [capacity]?*Entry = @splat(null),
    clock: u64 = 0,
    spare: ?*Search = null,

    const Entry = struct {
        table: u32,
        catalog_version: u32,
        /// Searches that are running it.
        users: u32,
        /// Searches since the guards were looked at.
        uses: u32 = 0,
        /// Without a place in the cache, since all were running: it ends with its search.
        is_spare: bool = false,
        program: Program,
    };

    pub fn deinit(cache: *Cache, allocator: std.mem.Allocator) void {
        for (cache.entries) |entry| if (entry) |e| destroy(allocator, e);
        if (cache.spare) |search| allocator.destroy(search);
    }

    fn get(
        cache: *Cache,
        engine: *Engine,
        table: *const view_.TableView,
        plan: []const u8,
        estimates: *Estimates,
    ) Error!*Entry {
        const hash = std.hash.Wyhash.hash(table.id, plan);
        const version = engine.context.catalog_version;
        cache.clock += 1;
        for (cache.hashes, 0..) |each, i| {
            if (each != hash) continue;
            const entry = cache.entries[i] orelse continue;
            if (entry.table != table.id or entry.catalog_version != version) continue;
            if (!std.mem.eql(u8, entry.program.bytes, plan)) continue;
            cache.used[i] = cache.clock;
            entry.uses += 1;
            if (entry.uses >= uses_per_look) {
                try checkGuards(engine, table, &entry.program, estimates);
                entry.uses = 0;
            }
            return entry;
        }
        const allocator = engine.context.allocator;
        const i = cache.place() orelse {
            const entry = try create(allocator, table);
            errdefer destroy(allocator, entry);
            entry.is_spare = true;
            try entry.program.compile(&table.schema, plan);
            try checkGuards(engine, table, &entry.program, estimates);
            return entry;
        };
        const entry = cache.entries[i] orelse blk: {
            const entry = try create(allocator, table);
            cache.entries[i] = entry;
            break :blk entry;
        };
        cache.hashes[i] = 0;
        cache.used[i] = 0;
        try entry.program.compile(&table.schema, plan);
        try checkGuards(engine, table, &entry.program, estimates);
        entry.uses = 0;
        entry.table = table.id;
        entry.catalog_version = version;
        cache.hashes[i] = hash;
        cache.used[i] = cache.clock;
        return entry;
    }

    fn create(allocator: std.mem.Allocator, table: *const view_.TableView) Error!*Entry {
        const entry = try allocator.create(Entry);
        entry.* = .{
            .table = table.id,
            .catalog_version = 0,
            .users = 0,
            .program = .empty(allocator, &table.schema),
        };
        return entry;
    }

    fn destroy(allocator: std.mem.Allocator, entry: *Entry) void {
        entry.program.deinit();
        allocator.destroy(entry);
    }

    /// A search no longer runs the program.
    fn release(engine: *Engine, entry: *Entry) void {
        entry.users -= 1;
        if (entry.is_spare) destroy(engine.context.allocator, entry);
    }

    /// Where the next program goes; null when every one is running.
    fn place(cache: *const Cache) ?usize {
        var oldest: ?usize = null;
        for (cache.entries, cache.used, 0..) |slot, used, i| {
            const entry = slot orelse return i;
            if (entry.users > 0) continue;
            if (oldest == null or used < cache.used[oldest.?]) oldest = i;
        }
        return oldest;
    }
};

/// A search for one row by its key, where the plan is that: the number of rows, which are in
/// `out` unless they are only counted. Null: it is another.
pub fn findPoint(
    engine: *Engine,
    transaction: ?*Transaction,
    table_id: u32,
    plan: []const u8,
    out: [*]align(8) u8,
) (Error || engine_.Error)!?struct { found: bool, count_only: bool } {
    const table = try engine.context.table(table_id);
    @setRuntimeSafety(false); // no pattern is written into the buffer first; `of` fills it
    var buffer: [point_.key_size_max]u8 = undefined;
    const point = point_.of(&table.schema, plan, &buffer) orelse return null;
    const key = buffer[0..point.key_size];
    const found = if (transaction) |t|
        try t.get(table_id, key, out)
    else
        try engine.get(table_id, key, out);
    countSearch(engine, @intFromBool(found), @intFromBool(found));
    return .{ .found = found, .count_only = point.count_only };
}

fn countSearch(engine: *Engine, examined: u64, returned: u64) void {
    const counters = &engine.context.session.slot.counters;
    word.bump(&counters.searches, 1);
    word.bump(&counters.rows_examined, examined);
    word.bump(&counters.rows_returned, returned);
}

pub const Search = struct {
    engine: *Engine,
    cache: *Cache,
    transaction: ?*Transaction,
    entry: ?*Cache.Entry,
    snapshot: Snapshot,
    source: Source,
    execution: Execution,
    scan: ?*ScanRecord,
    room: executor.Room,
    /// In the list of its transaction while it shows own writes.
    reader: transaction_.Reader = .{ .keep = keep },
    /// The rest of the rows, read when the transaction was about to write.
    kept: ?Kept = null,

    const Kept = struct {
        images: std.ArrayList(u8) = .empty,
        /// Bytes given.
        at: usize = 0,
        failure: ?Error = null,
    };

    /// Bytes that `keep` reads at a time.
    const kept_step = 64 * 1024;

    /// Opens a search; `close` ends it. Outside a transaction it pins a snapshot of its own. With
    /// `PlanStale` the rows of the plan's guards are in `estimates`.
    pub fn open(
        engine: *Engine,
        cache: *Cache,
        transaction: ?*Transaction,
        table_id: u32,
        plan: []const u8,
        estimates: *Estimates,
    ) Error!*Search {
        const allocator = engine.context.allocator;
        const table = try engine.context.table(table_id);
        const search = cache.spare orelse try allocator.create(Search);
        cache.spare = null;
        errdefer cache.spare = search;
        search.engine = engine;
        search.cache = cache;
        search.transaction = transaction;
        search.scan = null;
        search.entry = null;
        search.reader = .{ .keep = keep };
        search.kept = null;
        const validated = transaction != null and !transaction.?.read_only;
        const program = if (validated) blk: {
            search.scan = try ScanRecord.create(transaction.?, table, plan, estimates);
            break :blk &search.scan.?.program;
        } else blk: {
            const entry = try cache.get(engine, table, plan, estimates);
            entry.users += 1;
            search.entry = entry;
            break :blk &entry.program;
        };
        errdefer if (search.entry) |entry| Cache.release(engine, entry);
        search.snapshot = if (transaction) |t| t.pinned() else try engine.pins.open(
            allocator,
            &engine.context.session,
        );
        const has_own = if (transaction) |t| t.writes.items.len > 0 else false;
        search.source = .{
            .allocator = allocator,
            .segment = engine.context.session.segment,
            .table = table,
            .snapshot = search.snapshot.csn,
            .transaction = if (has_own) transaction else null,
        };
        search.execution = .init(allocator, &search.source, program, &search.room);
        if (program.measured) search.execution.meter = .start(os.monotonicNs);
        if (has_own) transaction.?.addReader(&search.reader);
        return search;
    }

    pub fn close(search: *Search) void {
        const engine = search.engine;
        if (search.transaction) |transaction| transaction.removeReader(&search.reader);
        if (search.kept) |*kept| kept.images.deinit(engine.context.allocator);
        if (search.scan) |scan| scan.settle(search);
        countSearch(engine, search.execution.examined, search.execution.returned);
        search.execution.deinit();
        if (search.entry) |entry| Cache.release(engine, entry);
        if (search.transaction == null) engine.pins.close(&engine.context.session, search.snapshot);
        const cache = search.cache;
        if (cache.spare == null) {
            cache.spare = search;
        } else {
            engine.context.allocator.destroy(search);
        }
    }

    /// Copies the next rows into `buffer`.
    pub fn next(search: *Search, buffer: []u8) Error!executor.Batch {
        if (search.kept) |*kept| return search.nextKept(kept, buffer);
        return search.read(buffer);
    }

    fn nextKept(search: *Search, kept: *Kept, buffer: []u8) Error!executor.Batch {
        const size = search.execution.program.recordSize();
        if (buffer.len < size) return error.BufferTooSmall;
        const left = kept.images.items[kept.at..];
        const bytes = @min(buffer.len / size * size, left.len);
        @memcpy(buffer[0..bytes], left[0..bytes]);
        kept.at += bytes;
        const is_last = bytes == left.len;
        if (is_last) if (kept.failure) |failure| return failure;
        return .{ .rows = @intCast(bytes / size), .done = is_last };
    }

    /// Reads the rest: own writes are about to change.
    fn keep(reader: *transaction_.Reader) void {
        const search: *Search = @fieldParentPtr("reader", reader);
        search.kept = .{};
        const kept = &search.kept.?;
        const allocator = search.engine.context.allocator;
        const size = search.execution.program.recordSize();
        while (true) {
            const room = kept.images.addManyAsSlice(
                allocator,
                @max(kept_step, size),
            ) catch |err| return search.failKept(kept, kept.images.items.len, err);
            const start = kept.images.items.len - room.len;
            const batch = search.read(room) catch |err| return search.failKept(kept, start, err);
            kept.images.items.len = start + @as(usize, batch.rows) * size;
            if (batch.done) break;
        }
        search.scan = null; // it knows how far was read, and is not to look again
    }

    fn failKept(search: *Search, kept: *Kept, size: usize, failure: Error) void {
        kept.images.items.len = size;
        kept.failure = failure;
        search.scan = null; // protected as far as it was known
    }

    fn read(search: *Search, buffer: []u8) Error!executor.Batch {
        const outcome = if (search.scan) |scan|
            scan.next(search, buffer)
        else
            search.execution.next(buffer);
        // First: what looks damaged without a pin is only in use again.
        if (search.engine.pins.isRevoked(&search.engine.context.session, search.snapshot)) {
            return error.SnapshotTooOld;
        }
        const batch = try outcome;
        if (search.scan) |scan| scan.update(search);
        return batch;
    }

    /// Says what `next` gave, and of the whole search what it has examined, returned and measured.
    pub fn report(search: *const Search, batch: executor.Batch, out: *io.Result) void {
        const execution = &search.execution;
        out.rows = batch.rows;
        out.done = @intFromBool(batch.done);
        out.count = @floatFromInt(execution.returned);
        out.examined = @floatFromInt(execution.examined);
        const meter = if (execution.meter) |*meter| meter else return;
        out.read_ns = @floatFromInt(meter.elapsed_ns.get(.read));
        out.test_ns = @floatFromInt(meter.elapsed_ns.get(.test_rows));
        out.sort_ns = @floatFromInt(meter.elapsed_ns.get(.sort));
        out.copy_ns = @floatFromInt(meter.elapsed_ns.get(.copy));
    }
};

/// What a transaction keeps of a search that it ran.
const ScanRecord = struct {
    transaction: *Transaction,
    table: *const view_.TableView,
    program: Program,
    /// What of the order is protected: all of it, up to `last`, or only the rows that were read,
    /// which are in the read set.
    reach: enum { everything, through, rows },
    last: [*]align(8) u8,

    /// In the transaction's arena, program included.
    fn create(
        transaction: *Transaction,
        table: *const view_.TableView,
        plan: []const u8,
        estimates: *Estimates,
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
        try checkGuards(transaction.engine, table, &scan.program, estimates);
        // Protected as a whole until it is known how far it read.
        try transaction.reads.addScan(.{
            .table = table,
            .context = scan,
            .covers = covers,
            .repeat = repeat,
        });
        return scan;
    }

    /// The next rows. Where no order says which rows they are, any others would do as well: each
    /// is protected by itself.
    fn next(scan: *ScanRecord, search: *Search, buffer: []u8) Error!executor.Batch {
        const program = &scan.program;
        const gives_rows = program.aggregate == null and !program.count_only;
        const any_rows = gives_rows and program.order.columns.len == 0 and
            program.offset == 0 and program.limit != std.math.maxInt(u64);
        if (!any_rows) return search.execution.next(buffer);
        const size = scan.table.schema.image_size;
        if (buffer.len < size) return error.BufferTooSmall;
        const rows_max: u32 = @intCast(@min(buffer.len / size, std.math.maxInt(u32)));
        var rows: u32 = 0;
        while (rows < rows_max) : (rows += 1) {
            const row = try search.execution.nextRow() orelse break;
            @memcpy(buffer[@as(usize, rows) * size ..][0..size], row.image[0..size]);
            if (row.slot == rel_ptr.none) continue; // an own write
            const segment = scan.transaction.engine.context.session.segment;
            const version = segment.refOf(row.image - @sizeOf(layout.Version));
            try scan.transaction.reads.addRow(row.slot, version);
        }
        return .{ .rows = rows, .done = search.execution.stage == .end };
    }

    fn update(scan: *ScanRecord, search: *Search) void {
        switch (search.execution.boundary()) {
            .everything => scan.reach = .everything,
            .through => |row| {
                scan.reach = .through;
                const size = scan.table.schema.image_size;
                @memcpy(scan.last[0..size], row.image[0..size]);
            },
            .returned => scan.reach =
                if (scan.program.limit == std.math.maxInt(u64)) .everything else .rows,
        }
    }

    /// A search that was closed before its end protects what it has read.
    fn settle(scan: *ScanRecord, search: *Search) void {
        scan.update(search);
    }

    fn covers(context: *anyopaque, image: Image) bool {
        const scan: *ScanRecord = @ptrCast(@alignCast(context));
        if (!scan.program.matches(image)) return false;
        return switch (scan.reach) {
            .everything => true,
            .through => scan.program.isThrough(image, scan.last),
            .rows => false,
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
        program.ties = .any;
        program.is_walk_exact = false;
        program.walk_start = null;
        program.aggregate = null;
        program.count_only = false;
        var source: Source = .{
            .allocator = engine.context.allocator,
            .segment = engine.context.session.segment,
            .table = scan.table,
            .snapshot = snapshot,
            .transaction = null,
        };
        var room: executor.Room = undefined;
        var execution: Execution = .init(engine.context.allocator, &source, &program, &room);
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
