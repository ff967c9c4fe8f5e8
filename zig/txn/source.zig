//! One table at one snapshot, with a transaction's own writes, as the query executor reads it.
//!
//! **Invariants**: a row is given once, at the key of the image that is visible (P24); own writes
//! hide what they replace.
//!
//! **Concurrency**: reads shared memory under the pin of its snapshot.
//!
//! **Memory**: cursors over own writes allocate from `allocator`; `deinit` gives it back.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const executor = @import("../query/executor.zig");
const primary_map = @import("../table/primary_map.zig");
const sort_ = @import("../query/sort.zig");
const slot_scan = @import("../table/slot_scan.zig");
const view_ = @import("../table/view.zig");
const key_ = @import("../index/key.zig");
const ahead_ = @import("../index/ahead.zig");
const fate = @import("fate.zig");
const Segment = @import("../segment/segment.zig").Segment;
const Transaction = @import("transaction.zig").Transaction;
const Link = rel_ptr.Link;
const Key = primary_map.Key;
const Row = executor.Row;
const Image = [*]align(8) const u8;

/// The bits of `Version.flags` that are the table's number in a version that is no tombstone.
const flags_mask = layout.Version.tombstone_flag | 0xFFFF;
/// Fewer rows are scanned in hardly more time than threads need to begin.
const split_rows_min = 65_536;

pub const Source = struct {
    allocator: std.mem.Allocator,
    segment: *const Segment,
    table: *const view_.TableView,
    snapshot: u64,
    /// Null where the transaction has written nothing to this table, or there is none.
    transaction: ?*const Transaction,
    /// For tests: as many threads besides the caller's, whatever the table and the processors.
    threads_forced: usize = 0,

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

    inline fn rowOf(source: *const Source, ref: rel_ptr.Ref, slot: *layout.RowSlot) Error!?Row {
        const head = Link.of(slot.head.load(.seq_cst)).ref;
        return source.newestRow(ref, head) orelse source.olderRow(ref, head);
    }

    /// The row if its newest version is old enough; null when older ones have to be looked at.
    inline fn newestRow(source: *const Source, ref: rel_ptr.Ref, head: rel_ptr.Ref) ??Row {
        const newest = source.segment.at(layout.Version, head) catch return null;
        // A CSN below the snapshot: nothing else is so small.
        if (newest.mark.load(.seq_cst) -% 1 >= source.snapshot -% 1) return null;
        if (newest.flags & flags_mask != source.table.id) return @as(?Row, null);
        return .{ .slot = ref, .image = newest.image() };
    }

    /// The row of a slot whose newest version is none, or not obviously visible.
    fn olderRow(source: *const Source, ref: rel_ptr.Ref, head: rel_ptr.Ref) Error!?Row {
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
        return .{ .source = source, .order = if (source.isLarge(slot_scan.rows_min))
            .{ .memory = .init(source.segment) }
        else
            .{ .map = source.table.map().walk() } };
    }

    /// Whether the table has at least `rows` rows and a fair share of all row slots, which lie
    /// together.
    fn isLarge(source: *const Source, rows: i64) bool {
        const own = source.table.shared.slot_count.load(.monotonic); // only chooses the way
        if (own < rows) return false;
        const segment = source.segment;
        var all: i64 = 0;
        for (0..limits.table_count_max) |id| {
            // pairs with the publication of the table
            const ref = segment.catalog[id].table.load(.acquire);
            if (ref == rel_ptr.none) continue;
            const table = segment.at(layout.Table, ref) catch continue;
            all +|= table.slot_count.load(.monotonic);
        }
        return own >= @divTrunc(all, 8);
    }

    pub const Scan = struct {
        source: *Source,
        order: union(enum) { map: primary_map.Map.Walk, memory: slot_scan.SlotScan },
        own_index: usize = 0,

        /// The next rows, at least one before the end.
        pub fn fill(self: *Scan, rows: []Row) Error!usize {
            const source = self.source;
            while (true) {
                const read = switch (self.order) {
                    .map => |*walk| try source.fillFromMap(walk, rows),
                    .memory => |*slots| try source.fillFromSlots(slots, rows),
                } orelse return self.fillOwn(rows);
                const shown = source.withoutHidden(rows[0..read]);
                if (shown > 0) return shown;
            }
        }

        fn fillOwn(self: *Scan, rows: []Row) usize {
            const transaction = self.source.transaction orelse return 0;
            var count: usize = 0;
            while (count < rows.len and self.own_index < transaction.writes.items.len) {
                const own = &transaction.writes.items[self.own_index];
                self.own_index += 1;
                if (own.table.id != self.source.table.id) continue;
                const image = own.image orelse continue;
                rows[count] = .{ .slot = rel_ptr.none, .image = image };
                count += 1;
            }
            return count;
        }
    };

    /// Null at the end; else how many, none included.
    fn fillFromMap(source: *const Source, walk: *primary_map.Map.Walk, rows: []Row) Error!?usize {
        var count: usize = 0;
        while (count < rows.len) {
            const found = (try walk.next()) orelse return if (count > 0) count else null;
            rows[count] = (try source.rowOf(found.ref, found.slot)) orelse continue;
            count += 1;
        }
        return count;
    }

    /// Null at the end; else how many, none included.
    fn fillFromSlots(
        source: *const Source,
        slots: *slot_scan.SlotScan,
        rows: []Row,
    ) Error!?usize {
        const run = slots.nextRun(rows.len) orelse return null;
        // Behind these there is no slot in the page to fetch ahead for.
        const fetched = @min(run.count, run.readable -| slot_scan.ahead_count);
        const count = try source.visibleIn(true, run, 0, fetched, rows.ptr);
        return count + try source.visibleIn(false, run, fetched, run.count, rows.ptr + count);
    }

    /// The rows in some slots of a run, where there is room for all.
    inline fn visibleIn(
        source: *const Source,
        comptime fetch: bool,
        run: slot_scan.Run,
        start: usize,
        end: usize,
        rows: [*]Row,
    ) Error!usize {
        const segment = source.segment;
        const base = @intFromPtr(segment.memory.ptr);
        const arena_ref = segment.arena_ref;
        const arena_size = segment.limit_ref - arena_ref;
        const committed_max = source.snapshot -% 1;
        const table_id = source.table.id;
        // Every ref is compared with the arena's bounds before it is followed, and `count` never
        // passes the slot at hand; a prefetch of any address is harmless.
        @setRuntimeSafety(false);
        var count: usize = 0;
        for (start..end) |i| {
            const slot = &run.slots[i];
            if (fetch) {
                const ahead = &run.slots[i + slot_scan.ahead_count];
                // only fetched: stale is fine
                const next: usize = Link.of(ahead.head.load(.monotonic)).ref;
                const line: [*]const u8 = @ptrFromInt(base + next * limits.offset_unit);
                @prefetch(line, .{ .rw = .read, .locality = 3 });
                @prefetch(line + 64, .{ .rw = .read, .locality = 3 });
            }
            // pairs with the release that installed
            const head = Link.of(slot.head.load(.acquire)).ref;
            if (head -% arena_ref >= arena_size) {
                if (head == rel_ptr.none or layout.isClosed(head)) continue;
                return error.SegmentCorrupt;
            }
            const at = base + @as(usize, head) * limits.offset_unit;
            const version: *layout.Version = @ptrFromInt(at);
            const mark = version.mark.load(.seq_cst);
            if (mark -% 1 < committed_max) { // a CSN below the snapshot: nothing else is so small
                if (version.flags & flags_mask != table_id) continue;
                rows[count] = .{ .slot = run.refOf(i), .image = version.image() };
                count += 1;
            } else if (try source.rowOf(run.refOf(i), slot)) |row| {
                rows[count] = row;
                count += 1;
            }
        }
        return count;
    }

    /// Moves the rows that the transaction has not replaced to the front.
    fn withoutHidden(source: *const Source, rows: []Row) usize {
        if (source.transaction == null) return rows.len;
        var kept: usize = 0;
        for (rows) |row| {
            if (source.isHidden(row.image)) continue;
            rows[kept] = row;
            kept += 1;
        }
        return kept;
    }

    /// The scan in parts, where the table is large and processors are idle.
    pub fn split(source: *Source) ?Split {
        if (source.transaction != null) return null;
        var threads = source.threads_forced;
        if (threads == 0 and source.isLarge(split_rows_min)) threads = os.idleProcessors();
        if (threads == 0) return null;
        return .{ .source = source, .threads = threads, .slots = .init(source.segment) };
    }

    pub const Split = struct {
        source: *const Source,
        threads: usize,
        /// The whole, whose `page` is the next one to take.
        slots: slot_scan.SlotScan,

        /// Pages that a worker takes at a time: some 5,000 rows.
        const part_pages = 8;

        pub fn threadsCount(parts: *const Split) usize {
            return parts.threads;
        }

        pub fn take(parts: *Split) ?Part {
            // a ticket: nothing else is published with it
            const page = @atomicRmw(u32, &parts.slots.page, .Add, part_pages, .monotonic);
            if (page >= parts.slots.page_end) return null;
            var slots = parts.slots;
            slots.page = page;
            slots.page_end = @min(page + part_pages, slots.page_end);
            return .{ .source = parts.source, .slots = slots };
        }

        pub const Part = struct {
            source: *const Source,
            slots: slot_scan.SlotScan,

            pub fn fill(part: *Part, rows: []Row) Error!usize {
                while (try part.source.fillFromSlots(&part.slots, rows)) |count| {
                    if (count > 0) return count;
                }
                return 0;
            }
        };
    };

    pub fn seek(
        source: *Source,
        column: u32,
        from: []const u64,
        until: []const u64,
        direction: executor.Direction,
    ) Error!Cursor {
        const index = source.table.indexOf(column) orelse return error.SegmentCorrupt;
        var cursor: Cursor = .{
            .source = source,
            .index = index,
            .direction = direction,
            .from = from,
            .until = until,
            .at = null,
            .ended = false,
        };
        if (direction == .forward) {
            const found = try index.list.seek(.{ .words = from, .slot = 0 });
            cursor.at = if (found) |first| first.entry else null;
        }
        if (source.transaction != null) try cursor.collectOwn();
        return cursor;
    }

    /// A row that the transaction has written, where the index does not have it yet.
    const Own = struct { words: [limits.index_key_words_max]u64, image: Image };

    pub const Cursor = struct {
        source: *Source,
        index: *const view_.IndexView,
        direction: executor.Direction,
        from: []const u64,
        until: []const u64,
        /// Forward the entry to look at next, backward the one that was looked at last.
        at: ?*layout.Entry,
        /// Forward the first entry of the last run.
        run_start: ?*layout.Entry = null,
        /// Nothing of the index is left.
        ended: bool,
        /// The next entry has another key than all that were taken.
        is_at_change: bool = false,
        own: std.ArrayList(Own) = .empty,
        own_index: usize = 0,
        /// The row of the index that waits behind own ones.
        waiting: ?Row = null,
        older: ?*Older = null,

        /// Entries whose rows are fetched together.
        const run_max = ahead_.entries_max;

        /// Rows that were changed since the snapshot, as they were then. Such a row has an entry
        /// for each change and as many versions before the one that is visible: looked for once,
        /// since a walk that did so at each entry would never overtake a writer that moves few rows
        /// fast.
        const Older = struct {
            slots: [older_max]rel_ptr.Ref = @splat(rel_ptr.none),
            rows: [older_max]?Row = @splat(null),
        };
        const older_max = 256;

        pub fn deinit(cursor: *Cursor) void {
            cursor.own.deinit(cursor.source.allocator);
            if (cursor.older) |older| cursor.source.allocator.destroy(older);
        }

        fn rowOf(cursor: *Cursor, ref: rel_ptr.Ref, slot: *layout.RowSlot) Error!?Row {
            const source = cursor.source;
            const head = Link.of(slot.head.load(.seq_cst)).ref;
            if (source.newestRow(ref, head)) |row| return row;
            const older = cursor.older orelse made: {
                const made = try source.allocator.create(Older);
                made.* = .{};
                cursor.older = made;
                break :made made;
            };
            const place = ref % older_max;
            if (older.slots[place] != ref) {
                older.rows[place] = try source.olderRow(ref, head);
                older.slots[place] = ref;
            }
            return older.rows[place];
        }

        pub fn isAtChange(cursor: *const Cursor) bool {
            return cursor.own.items.len == 0 and (cursor.is_at_change or cursor.ended);
        }

        pub fn fill(cursor: *Cursor, rows: []Row, enough: usize) Error!usize {
            if (cursor.own.items.len == 0) return cursor.fillShared(rows, enough);
            var count: usize = 0;
            while (count < rows.len) : (count += 1) {
                rows[count] = (try cursor.nextMerged()) orelse break;
            }
            return count;
        }

        fn nextMerged(cursor: *Cursor) Error!?Row {
            if (cursor.waiting == null) {
                var one: [1]Row = undefined;
                if (try cursor.fillShared(&one, one.len) > 0) cursor.waiting = one[0];
            }
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

        /// The next rows of the index. Several passes, so that what a row needs is fetched while
        /// others are looked at: entries, slots, versions.
        fn fillShared(cursor: *Cursor, rows: []Row, enough: usize) Error!usize {
            // Refs are compared with the arena's bounds by `at`; counts stay below that of entries.
            @setRuntimeSafety(false);
            const source = cursor.source;
            const segment = source.segment;
            var room: [run_max]*layout.Entry = undefined;
            while (!cursor.ended) {
                const most = @min(rows.len, run_max);
                const entries = room[0..try cursor.takeRun(room[0..most], enough)];
                for (entries) |entry| {
                    // never changes while linked
                    const slot = try segment.at(layout.RowSlot, entry.slot.load(.monotonic));
                    const head = Link.of(slot.head.load(.monotonic)).ref; // only fetched
                    const version = segment.at(layout.Version, head) catch continue;
                    const line: [*]const u8 = @ptrCast(version);
                    @prefetch(line, .{ .rw = .read, .locality = 3 });
                    @prefetch(line + 64, .{ .rw = .read, .locality = 3 });
                }
                var count: usize = 0;
                for (entries) |entry| {
                    const ref = entry.slot.load(.monotonic); // never changes while linked
                    const slot = try segment.at(layout.RowSlot, ref);
                    rows.ptr[count] = (try cursor.rowOf(ref, slot)) orelse continue;
                    room[count] = entry;
                    count += 1;
                }
                count = cursor.withKeys(rows.ptr[0..count], room[0..count]);
                count = source.withoutHidden(rows.ptr[0..count]);
                if (count > 0) return count;
            }
            return 0;
        }

        /// Moves the rows to the front whose images have the key of their entry (P24: the version
        /// visible to the snapshot has to have it).
        fn withKeys(cursor: *const Cursor, rows: []Row, entries: []const *layout.Entry) usize {
            @setRuntimeSafety(false); // as many entries as rows
            const list = cursor.index.list;
            const column = cursor.index.column;
            var kept: usize = 0;
            if (cursor.index.key_words == 1 and !column.nullable) switch (column.kind) {
                .string, .bytes => {},
                inline else => |kind| {
                    const Value = @import("../table/schema.zig").Kind.Value(kind);
                    for (rows, entries) |row, entry| {
                        const bytes = row.image[column.offset..][0..@sizeOf(Value)];
                        const key = key_.encodeFixed(kind, std.mem.bytesToValue(Value, bytes));
                        rows.ptr[kept] = row;
                        kept += @intFromBool(key == list.keyOf(entry)[0]);
                    }
                    return kept;
                },
            };
            for (rows, entries) |row, entry| {
                rows.ptr[kept] = row;
                kept += @intFromBool(key_.isKeyOf(column, row.image, list.keyOf(entry)));
            }
            return kept;
        }

        /// The next entries of the range, whose slots are fetched meanwhile. Behind `enough` of
        /// them, up to where the key changes.
        fn takeRun(cursor: *Cursor, out: []*layout.Entry, enough: usize) Error!usize {
            @setRuntimeSafety(false); // `count` is below `out.len`, and not 0 behind `enough`
            const list = cursor.index.list;
            const segment = cursor.source.segment;
            var count: usize = 0;
            cursor.is_at_change = false;
            const wanted = @min(out.len, enough);
            switch (cursor.direction) {
                .forward => {
                    try cursor.checkRise();
                    while (count < out.len) : (count += 1) {
                        const entry = cursor.at orelse break;
                        if (count == 0 and wanted > 4) ahead_.fetchAfter(segment, entry, wanted);
                        const words = list.keyOf(entry);
                        if (key_.order(words, cursor.until) == .gt) break;
                        if (count >= enough and !key_.equal(words, list.keyOf(out[count - 1]))) {
                            cursor.is_at_change = true;
                            return count;
                        }
                        out[count] = entry;
                        fetchSlot(segment, entry);
                        const after = try list.after(entry);
                        cursor.at = if (after) |found| found.entry else null;
                    }
                },
                .backward => {
                    const end = std.math.maxInt(rel_ptr.Ref);
                    const most = @min(out.len, enough +| 1);
                    const taken = try list.runBefore(if (cursor.at) |entry| .{
                        .words = list.keyOf(entry),
                        .slot = entry.slot.load(.monotonic), // never changes while linked
                    } else .{ .words = cursor.from, .slot = end }, out[0..most]);
                    while (count < taken) : (count += 1) {
                        const words = list.keyOf(out[count]);
                        if (key_.order(words, cursor.until) == .lt) break;
                        if (count >= enough and !key_.equal(words, list.keyOf(out[count - 1]))) {
                            cursor.is_at_change = true;
                            break;
                        }
                        fetchSlot(segment, out[count]);
                    }
                    if (count > 0) cursor.at = out[count - 1];
                    if (cursor.is_at_change) return count;
                    if (count < taken or taken == 0) cursor.ended = true;
                    return count;
                },
            }
            if (count < out.len) cursor.ended = true;
            return count;
        }

        /// Entries rise along every walk: one that begins no later than the run before goes around
        /// in a ring, and would give rows for as long as there is room for them.
        fn checkRise(cursor: *Cursor) Error!void {
            const entry = cursor.at orelse return;
            defer cursor.run_start = entry;
            const before = cursor.run_start orelse return;
            const list = cursor.index.list;
            if (!list.isBefore(before, .{
                .words = list.keyOf(entry),
                .slot = entry.slot.load(.monotonic), // never changes while linked
            })) return error.SegmentCorrupt;
        }

        inline fn fetchSlot(segment: *const Segment, entry: *layout.Entry) void {
            const slot = segment.at(layout.RowSlot, entry.slot.load(.monotonic)) catch return;
            @prefetch(slot, .{ .rw = .read, .locality = 3 });
        }

        fn collectOwn(cursor: *Cursor) Error!void {
            const source = cursor.source;
            const count = cursor.index.key_words;
            const is_forward = cursor.direction == .forward;
            const low = if (is_forward) cursor.from else cursor.until;
            const high = if (is_forward) cursor.until else cursor.from;
            for (source.transaction.?.writes.items) |*own| {
                if (own.table.id != source.table.id) continue;
                const image = own.image orelse continue;
                var each: Own = .{ .words = undefined, .image = image };
                key_.encodeKey(cursor.index.column, image, &each.words);
                const words = each.words[0..count];
                if (key_.order(words, low) == .lt or key_.order(words, high) == .gt) continue;
                try cursor.own.append(source.allocator, each);
            }
            const context: OwnOrder = .{ .count = count, .is_forward = is_forward };
            sort_.sort(Own, cursor.own.items, context, OwnOrder.less);
        }
    };

    const OwnOrder = struct {
        count: u32,
        is_forward: bool,

        fn less(context: OwnOrder, a: Own, b: Own) bool {
            const order = key_.order(a.words[0..context.count], b.words[0..context.count]);
            return order == if (context.is_forward) std.math.Order.lt else .gt;
        }
    };
};
