//! A small world for tests of the engine: a segment in private memory, one table with indexes, and
//! the check that every structure agrees with every other.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const segment_ = @import("../segment/segment.zig");
const Liveness = @import("../segment/liveness.zig").Liveness;
const schema_ = @import("../row/schema.zig");
const Skiplist = @import("../index/skiplist.zig").Skiplist;
const key_ = @import("../row/key.zig");
const classes = @import("../segment/classes.zig");
const os = @import("../os.zig");
const drain = @import("../txn/drain.zig");
const engine_ = @import("../txn/engine.zig");
const fate = @import("../txn/status.zig");
const ring = @import("../segment/ring.zig");
const write_ = @import("../txn/write.zig");
const accounting = @import("accounting.zig");
const arena = @import("../segment/arena.zig");
const Session = @import("../segment/session.zig").Session;
const Engine = engine_.Engine;
const Link = rel_ptr.Link;

const image_size = @import("history.zig").image_size;

pub const World = struct {
    allocator: std.mem.Allocator,
    memory: []align(4096) u8,
    segment: segment_.Segment,
    holders: *[limits.session_count_max]u16,
    holder_last: u16 = 0,
    engines: std.ArrayList(*Engine) = .empty,
    /// What `rewind` goes back to; the same size as `memory`.
    saved: ?[]align(4096) u8 = null,

    pub const Options = struct { size: u64 = 8 << 20, session_count: u32 =
        16,
        cell_count: u32 = 1024 };

    pub fn init(allocator: std.mem.Allocator, options: Options) !*World {
        const world = try allocator.create(World);
        errdefer allocator.destroy(world);
        const memory = try os.mapPrivate(options.size);
        const holders = try allocator.create([limits.session_count_max]u16);
        @memset(holders, 0);
        world.* = .{
            .allocator = allocator,
            .memory = memory,
            .segment = segment_.Segment.createInMemory(memory, .{
                .size = options.size,
                .session_count = options.session_count,
                .cell_count = options.cell_count,
            }).?,
            .holders = holders,
        };
        return world;
    }

    pub fn deinit(world: *World) void {
        for (world.engines.items) |engine| {
            engine.detach();
            engine.context.allocator.destroy(engine);
        }
        world.engines.deinit(world.allocator);
        os.unmap(world.memory);
        if (world.saved) |saved| os.unmap(saved);
        world.allocator.destroy(world.holders);
        world.allocator.destroy(world);
    }

    pub fn attach(world: *World) !*Engine {
        return world.attachWith(world.allocator);
    }

    pub fn attachWith(world: *World, allocator: std.mem.Allocator) !*Engine {
        const engine = try allocator.create(Engine);
        errdefer allocator.destroy(engine);
        try engine.attach(allocator, &world.segment, world.newLiveness());
        // the same in every run
        engine.context.session.random = std.hash.int(@as(u64, world.holder_last)) | 1;
        try world.engines.append(world.allocator, engine);
        return engine;
    }

    pub fn newLiveness(world: *World) Liveness {
        world.holder_last += 1;
        return .{ .simulated = .{ .holders = world.holders, .self = world.holder_last } };
    }

    /// Keeps the segment as it is now, with nobody attached, for `rewind`.
    pub fn save(world: *World) !void {
        for (world.engines.items) |engine| {
            engine.detach();
            engine.context.allocator.destroy(engine);
        }
        world.engines.clearRetainingCapacity();
        const saved = try os.mapPrivate(world.memory.len);
        @memcpy(saved, world.memory);
        world.saved = saved;
    }

    /// Goes back to what was saved. The engines attached since are forgotten: their memory is the
    /// caller's.
    pub fn rewind(world: *World) void {
        world.engines.clearRetainingCapacity();
        @memset(world.holders[0..world.segment.session_count], 0);
        world.holder_last = 0;
        var high = segment_.Segment.pageOf(world.segment.arena_ref);
        for (high..segment_.Segment.pageOf(world.segment.limit_ref)) |page| {
            if (world.segment.pages[page].raw != 0) high = @intCast(page + 1);
        }
        // Outcomes are most of what lies in front of the arena, and only tokens write them.
        const geometry = &world.segment.header.geometry;
        const outcomes_offset = geometry.outcomes_offset;
        const catalog_offset = geometry.catalog_offset;
        const size = @as(usize, high) * limits.page_size;
        @memcpy(world.memory[0..outcomes_offset], world.saved.?[0..outcomes_offset]);
        @memcpy(world.memory[catalog_offset..size], world.saved.?[catalog_offset..size]);
    }

    /// Columns: id u64 key; altitude i64 indexed; stamp u64 indexed; note u64.
    pub fn createTable(world: *World, engine: *Engine) !u32 {
        _ = world;
        var buffer: [256]u8 = undefined;
        return (try engine.createTable(schemaBytes(&buffer))).id;
    }

    pub fn pagesUsed(world: *World) u32 {
        var count: u32 = 0;
        const first = segment_.Segment.pageOf(world.segment.arena_ref);
        for (first..segment_.Segment.pageOf(world.segment.limit_ref)) |page| {
            if (world.segment.pages[page].raw != 0) count += 1;
        }
        return count;
    }

    /// Takes back everything that can be taken back: nobody may be reading. Afterwards no retired
    /// record is left.
    pub fn settle(world: *World, engine: *Engine) !void {
        const session = &engine.context.session;
        const header = world.segment.header;
        for (0..32) |_| {
            // A CSN above everything that was retired, and a floor below which nobody can read.
            const epoch = ring.epochOf(header.drained.raw);
            while (try drain.run(session, epoch, null, null) != 0) {}
            _ = ring.abort(&world.segment, ring.takeCsn(&world.segment).?);
            session.setPin(layout.pin_none);
            _ = session.refreshHorizon();
            engine.pins.enterCommit(session);
            defer engine.pins.leaveCommit(session);

            _ = try engine.reclaim(1 << 20);
            for (world.segment.sessions[0..world.segment.session_count]) |*slot| {
                if (slot.retire_taken.raw != slot.retire_added.raw) break;
            } else return;
        }
        return error.NotReclaimed;
    }

    /// Every row is in the map once, has its index entries, and entries are in order.
    pub fn verify(world: *World, engine: *Engine, table_id: u32) !void {
        _ = try world.checkRows(engine, table_id, .may_be_stale);
    }

    /// As `verify`, of a segment that is settled: there are no other entries.
    pub fn verifySettled(world: *World, engine: *Engine, table_id: u32) !void {
        const rows = try world.checkRows(engine, table_id, .exact);
        const totals = try accounting.check(engine.context.allocator, &world.segment);
        if (totals.retired != 0 or totals.tombstones != 0 or
            totals.rows != rows) return error.NotReclaimed;
    }

    fn checkRows(
        world: *World,
        engine: *Engine,
        table_id: u32,
        entries: enum { may_be_stale, exact },
    ) !u64 {
        const segment = &world.segment;
        const table = try engine.context.table(table_id);
        const session = &engine.context.session;
        const snapshot = session.openSnapshot(true);
        defer session.unpin();

        var rows: u64 = 0;
        var walk = table.map().walk();
        while (try walk.next()) |found| {
            const head = Link.of(found.slot.head.load(.seq_cst)).ref;
            const version = (try fate.visible(segment, head, snapshot)) orelse continue;
            rows += 1;
            const key = table.keyBytes(version.image());
            const again = (try table.map().find(.init(key))) orelse return error.RowNotFound;
            if (again.ref != found.ref) return error.KeyTwice;
            for (table.indexes[0..table.index_count]) |*index| {
                var room: [limits.position_words_max]u64 = undefined;
                var path: Skiplist.Path = undefined;
                const entry = try index.list.findEntry(.{
                    .words = index.encode(version.image(), &room),
                    .slot = found.ref,
                }, &path);
                if (entry == null) return error.EntryMissing;
            }
        }
        for (table.indexes[0..table.index_count]) |*index| {
            var entry = try segment.at(layout.Entry, index.list.index.head);
            var before: ?*layout.Entry = null;
            var met: u64 = 0;
            while (try index.list.after(entry)) |found| : (met += 1) {
                if (before) |b| try checkOrder(index.list, b, found.entry);
                before = found.entry;
                entry = found.entry;
            }
            if (entries == .exact and met != rows) return error.StaleEntries;
            for (1..limits.skiplist_height_max) |level| {
                try world.checkLevel(index.list, level, entries == .exact);
            }
        }
        return rows;
    }

    /// An upper level of an index: in order, and without closed entries where nobody is at work.
    fn checkLevel(world: *World, list: Skiplist, level: usize, is_settled: bool) !void {
        const segment = &world.segment;
        const head = try segment.at(layout.Entry, list.index.head);
        var before: ?*layout.Entry = null;
        var ref = Link.of(head.links()[level].load(.seq_cst)).ref;
        var steps: u64 = 0;
        while (ref != rel_ptr.none) : (steps += 1) {
            if (steps > segment.chain_steps_max) return error.EntriesOutOfOrder;
            const found = try segment.at(layout.Entry, ref);
            const link = Link.of(found.links()[level].load(.seq_cst));
            if (!link.marked) {
                if (before) |b| try checkOrder(list, b, found);
                before = found;
            } else if (is_settled) return error.StaleEntries;
            ref = link.ref;
        }
    }

    fn checkOrder(list: Skiplist, before: *layout.Entry, entry: *layout.Entry) !void {
        const order = key_.order(list.wordsOf(before), list.wordsOf(entry));
        if (order == .gt) return error.EntriesOutOfOrder;
        if (order == .eq and before.slot.raw >= entry.slot.raw) return error.EntriesOutOfOrder;
    }
};

pub fn schemaBytes(buffer: []u8) []u8 {
    return namedSchema("T", true, buffer);
}

/// The same under another name, or with one index less.
pub fn namedSchema(name: []const u8, both_indexed: bool, buffer: []u8) []u8 {
    return schema_.encodeNamedForTest(name, &.{
        .{ .kind = .u64 },
        .{ .kind = .i64, .indexed = true },
        .{ .kind = .u64, .indexed = both_indexed },
        .{ .kind = .u64 },
    }, &.{}, buffer);
}

/// An index of one word that belongs to no table.
pub fn makeIndex(session: *Session, index: *layout.Index) !void {
    const ref = try arena.allocatePages(session.segment, session.index, .table, 1);
    Skiplist.fillHead(try session.segment.at(layout.Entry, ref));
    index.head = ref;
    index.position_words = 1;
}

pub const Row = struct {
    image: [image_size]u8 align(8),

    pub fn init(id: u64, altitude: i64, stamp: u64) Row {
        var row: Row = .{ .image = @splat(0) };
        std.mem.writeInt(u64, row.image[8..16], id, .little);
        std.mem.writeInt(i64, row.image[16..24], altitude, .little);
        std.mem.writeInt(u64, row.image[24..32], stamp, .little);
        return row;
    }

    pub fn key(row: *const Row) []const u8 {
        return row.image[8..16];
    }

    /// Named are altitude and stamp.
    pub fn write(row: *const Row, engine: *Engine, table: u32, op: write_.Op) !write_.Result {
        return engine.write(
            table,
            op,
            .{ .named = 0b11, .missing = 0, .image = &row.image },
            write_.newest_none,
        );
    }
};

pub fn altitudeOf(engine: *Engine, table: u32, id: u64) !?i64 {
    var row: Row = .init(id, 0, 0);
    var out: [image_size]u8 align(8) = undefined;
    if (!try engine.get(table, row.key(), &out)) return null;
    return std.mem.readInt(i64, out[16..24], .little);
}

pub fn countRows(engine: *Engine, table_id: u32) !usize {
    const table = try engine.context.table(table_id);
    const session = &engine.context.session;
    const snapshot = session.openSnapshot(false);
    defer session.setPin(layout.pin_none);

    var count: usize = 0;
    var walk = table.map().walk();
    while (try walk.next()) |found| {
        const head = Link.of(found.slot.head.load(.seq_cst)).ref;
        if (try fate.visible(session.segment, head, snapshot) != null) count += 1;
    }
    return count;
}

pub const Batch = struct {
    bytes: std.array_list.AlignedManaged(u8, .@"8"),
    engine: *Engine,
    table: u32,

    pub fn init(allocator: std.mem.Allocator, engine: *Engine, table: u32) Batch {
        return .{ .bytes = .init(allocator), .engine = engine, .table = table };
    }

    pub fn deinit(batch: *Batch) void {
        batch.bytes.deinit();
    }

    pub fn add(batch: *Batch, id: u64, altitude: i64, stamp: u64) !void {
        var head: [16]u8 = @splat(0);
        head[0] = 0b11;
        try batch.bytes.appendSlice(&head);
        const row: Row = .init(id, altitude, stamp);
        try batch.bytes.appendSlice(&row.image);
    }

    pub fn write(batch: *Batch, newest: []const write_.NewestGroup) !engine_.Counts {
        const count = batch.bytes.items.len / (16 + image_size);
        return batch.engine.writeMany(batch.table, batch.bytes.items, count, newest);
    }
};
