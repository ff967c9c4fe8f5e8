//! One table at one snapshot, with a transaction's own writes, as the query executor reads it.
//!
//! **Invariants**: a row is given once, at the key of the image that is visible (P24); own writes
//! hide what they
//! replace.
//!
//! **Concurrency**: reads shared memory under the pin of its snapshot.
//!
//! **Memory**: cursors over own writes allocate from `allocator`; `deinit` gives it back.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const executor = @import("../query/executor.zig");
const primary_map = @import("../table/primary_map.zig");
const slot_scan = @import("../table/slot_scan.zig");
const view_ = @import("../table/view.zig");
const key_ = @import("../index/key.zig");
const skiplist = @import("../index/skiplist.zig");
const fate = @import("fate.zig");
const Segment = @import("../segment/segment.zig").Segment;
const Transaction = @import("transaction.zig").Transaction;
const Link = rel_ptr.Link;
const Key = primary_map.Key;
const Row = executor.Row;
const Image = [*]align(8) const u8;

pub const Source = struct {
    allocator: std.mem.Allocator,
    segment: *const Segment,
    table: *const view_.TableView,
    snapshot: u64,
    /// Null where the transaction has written nothing to this table, or there is none.
    transaction: ?*const Transaction,

    pub const Error = error{ SegmentCorrupt, SnapshotTooOld, OutOfMemory };

    pub fn find(source: *Source, key_bytes: []const u8) Error!?Row {
        const key = Key.init(key_bytes);
        if (source.transaction) |transaction| {
            if (transaction.ownWrite(source.table.id, key)) |own| {
                return if (own.image) |image| .{ .slot = rel_ptr.none, .image = image } else null;
            }
        }
        const found = (try source.table.map().find(key)) orelse return null;
        return source.rowOf(found.ref, found.slot);
    }

    fn rowOf(source: *const Source, ref: rel_ptr.Ref, slot: *layout.RowSlot) Error!?Row {
        const head = Link.of(slot.head.load(.seq_cst)).ref;
        const version = (try fate.visible(
            source.segment,
            head,
            source.snapshot,
        )) orelse return null;
        if (version.table() != source.table.id) return null;
        return .{ .slot = ref, .image = version.image() };
    }

    fn isHidden(source: *const Source, image: Image) bool {
        const transaction = source.transaction orelse return false;
        return transaction.ownWrite(source.table.id, .init(source.table.keyBytes(image))) != null;
    }

    pub fn scan(source: *Source) Scan {
        const rows = source.table.shared.slot_count.load(.monotonic); // only chooses the way
        return .{ .source = source, .order = if (rows >= slot_scan.rows_min)
            .{ .memory = .init(source.segment) }
        else
            .{ .map = source.table.map().walk() } };
    }

    pub const Scan = struct {
        source: *Source,
        order: union(enum) { map: primary_map.Map.Walk, memory: slot_scan.SlotScan },
        own_index: usize = 0,

        pub fn next(self: *Scan) Error!?Row {
            switch (self.order) {
                inline else => |*order| while (try order.next()) |found| {
                    const row = (try self.source.rowOf(found.ref, found.slot)) orelse continue;
                    if (!self.source.isHidden(row.image)) return row;
                },
            }
            const transaction = self.source.transaction orelse return null;
            while (self.own_index < transaction.writes.items.len) {
                const own = &transaction.writes.items[self.own_index];
                self.own_index += 1;
                if (own.table.id != self.source.table.id) continue;
                if (own.image) |image| return .{ .slot = rel_ptr.none, .image = image };
            }
            return null;
        }
    };

    pub fn seek(
        source: *Source,
        column: u32,
        bound: []const u64,
        direction: executor.Direction,
    ) Error!Cursor {
        const index = source.table.indexOf(column) orelse return error.SegmentCorrupt;
        var cursor: Cursor = .{
            .source = source,
            .index = index,
            .direction = direction,
            .at = null,
        };
        const list = index.list;
        switch (direction) {
            .forward => cursor.at = if (try list.seek(.{
                .words = bound,
                .slot = 0,
            })) |found| found.entry else null,
            .backward => {
                const end = std.math.maxInt(rel_ptr.Ref);
                cursor.at = try list.lastBefore(.{ .words = bound, .slot = end });
            },
        }
        if (source.transaction != null) try cursor.collectOwn(bound);
        return cursor;
    }

    const Own = struct { words: [limits.index_key_words_max]u64, image: Image };

    pub const Cursor = struct {
        source: *Source,
        index: *const view_.IndexView,
        direction: executor.Direction,
        /// The entry to look at next.
        at: ?*layout.Entry,
        own: std.ArrayList(Own) = .empty,
        own_index: usize = 0,
        /// The row of the index that waits behind own ones.
        waiting: ?Row = null,
        words: [limits.index_key_words_max]u64 = @splat(0),

        pub fn deinit(cursor: *Cursor) void {
            cursor.own.deinit(cursor.source.allocator);
        }

        pub fn next(cursor: *Cursor) Error!?Row {
            if (cursor.own.items.len == 0) return cursor.nextShared();
            if (cursor.waiting == null) cursor.waiting = try cursor.nextShared();
            if (cursor.own_index == cursor.own.items.len) return cursor.takeWaiting();
            const own = &cursor.own.items[cursor.own_index];
            if (cursor.waiting) |row| {
                var words: [limits.index_key_words_max]u64 = undefined;
                const count = cursor.index.key_words;
                key_.encodeKey(cursor.index.column, row.image, &words);
                const order = key_.order(words[0..count], own.words[0..count]);
                const shared_first =
                    if (cursor.direction == .forward) order == .lt else order == .gt;
                if (shared_first) return cursor.takeWaiting();
            }
            cursor.own_index += 1;
            return .{ .slot = rel_ptr.none, .image = own.image };
        }

        fn takeWaiting(cursor: *Cursor) ?Row {
            defer cursor.waiting = null;
            return cursor.waiting;
        }

        fn nextShared(cursor: *Cursor) Error!?Row {
            const list = cursor.index.list;
            while (cursor.at) |entry| {
                switch (cursor.direction) {
                    .forward => cursor.at =
                        if (try list.after(entry)) |found| found.entry else null,
                    .backward => cursor.at = try list.lastBefore(.{
                        .words = list.keyOf(entry),
                        .slot = entry.slot.load(.monotonic), // never changes while linked
                    }),
                }
                if (try cursor.rowAt(entry)) |row| return row;
            }
            return null;
        }

        /// P24: the row of an entry, if the version visible to the snapshot has its key.
        fn rowAt(cursor: *Cursor, entry: *layout.Entry) Error!?Row {
            const source = cursor.source;
            const ref = entry.slot.load(.monotonic); // never changes while linked
            const slot = try source.segment.at(layout.RowSlot, ref);
            const row = (try source.rowOf(ref, slot)) orelse return null;
            const count = cursor.index.key_words;
            key_.encodeKey(cursor.index.column, row.image, &cursor.words);
            if (!key_.equal(cursor.words[0..count], cursor.index.list.keyOf(entry))) return null;
            return if (source.isHidden(row.image)) null else row;
        }

        fn collectOwn(cursor: *Cursor, bound: []const u64) Error!void {
            const source = cursor.source;
            const count = cursor.index.key_words;
            for (source.transaction.?.writes.items) |*own| {
                if (own.table.id != source.table.id) continue;
                const image = own.image orelse continue;
                var each: Own = .{ .words = undefined, .image = image };
                key_.encodeKey(cursor.index.column, image, &each.words);
                const order = key_.order(each.words[0..count], bound);
                const reached = if (cursor.direction == .forward) order != .lt else order != .gt;
                if (reached) try cursor.own.append(source.allocator, each);
            }
            std.sort.pdq(Own, cursor.own.items, cursor.*, lessOwn);
        }

        fn lessOwn(cursor: Cursor, a: Own, b: Own) bool {
            const count = cursor.index.key_words;
            const order = key_.order(a.words[0..count], b.words[0..count]);
            return order == if (cursor.direction == .forward) std.math.Order.lt else .gt;
        }
    };
};
