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
const skiplist = @import("../index/skiplist.zig");
const sort_ = @import("../query/sort.zig");
const slot_scan = @import("../table/slot_scan.zig");
const schema_ = @import("../row/schema.zig");
const view_ = @import("../table/view.zig");
const Index = @import("../index/index.zig").Index;
const key_ = @import("../row/key.zig");
const ahead_ = @import("../index/prefetch.zig");
const fate = @import("../txn/status.zig");
const Segment = @import("../segment/segment.zig").Segment;
const Transaction = @import("../txn/transaction.zig").Transaction;
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
            const entry = &segment.catalog[id];
            // Acquire: pairs with the stamp; a table without it has hardly any rows.
            if (layout.Mark.of(entry.mark.load(.acquire)) != .csn) continue;
            const table = segment.at(layout.Table, entry.table.load(.acquire)) catch continue;
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
        // Every ref is compared with the arena's bounds before it is followed; a prefetch of any
        // address is harmless.
        @setRuntimeSafety(false); // `count` never passes the slot at hand
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
            .from = from[0..index.key_words],
            .until = until,
            .at = null,
            .ended = false,
        };
        if (direction.backward and from.len > index.key_words and cursor.isByKey()) {
            // On with the rows of the first key; those of the keys before it follow.
            const found = try index.list.seek(.{ .words = from, .slot = 0 });
            cursor.at = if (found) |first| first.entry else null;
            cursor.behind = .{ .words = cursor.from, .slot = 0 };
        } else if (direction.backward) {
            cursor.behind = .{ .words = from, .slot = std.math.maxInt(rel_ptr.Ref) };
        } else {
            const found = try index.list.seek(.{ .words = from, .slot = 0 });
            cursor.at = if (found) |first| first.entry else null;
        }
        if (source.transaction != null) try cursor.collectOwn();
        return cursor;
    }

    /// A row that the transaction has written, where the index does not have it yet.
    const Own = struct { words: [limits.position_words_max]u64, image: Image };

    pub const Cursor = struct {
        source: *Source,
        index: *const Index,
        direction: executor.Direction,
        from: []const u64,
        until: []const u64,
        /// The entry to look at next; going backward null where that is the last before `behind`.
        at: ?*layout.Entry,
        /// Going backward.
        behind: skiplist.Position = .{ .words = &.{}, .slot = 0 },
        /// Forward the first entry of the last run.
        run_start: ?*layout.Entry = null,
        /// Nothing of the index, or of the key at hand, is left.
        ended: bool,
        /// The next entry is of another group than all that were taken.
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
                var room: [limits.position_words_max]u64 = undefined;
                const words = cursor.index.encode(row.image, &room);
                const is_first = cursor.ownOrder().isBefore(words, own.words[0..words.len]);
                if (is_first) return cursor.takeWaiting();
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
            // Refs are compared with the arena's bounds by `at`.
            @setRuntimeSafety(false); // counts stay below that of entries
            const source = cursor.source;
            const segment = source.segment;
            // A key is known to have ended by the entry behind it.
            const more = @intFromBool(cursor.isByKey());
            var room: [run_max + 1]*layout.Entry = undefined;
            while (!cursor.ended) {
                const most = @min(rows.len, run_max);
                const entries = room[0..try cursor.takeRun(room[0 .. most + more], enough)];
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

        /// Moves the rows to the front whose images have the words of their entry (P24: the version
        /// visible to the snapshot has to have its key).
        fn withKeys(cursor: *const Cursor, rows: []Row, entries: []const *layout.Entry) usize {
            @setRuntimeSafety(false); // as many entries as rows
            const index = cursor.index;
            const list = index.list;
            var kept: usize = 0;
            const plain: ?*const schema_.Column = switch (index.source) {
                .column => |column| if (index.key_words == 1 and !column.nullable) column else null,
                .geo => null,
            };
            if (plain) |column| switch (column.kind) {
                .string, .bytes => {},
                inline else => |kind| {
                    const Value = schema_.Kind.Value(kind);
                    for (rows, entries) |row, entry| {
                        const bytes = row.image[column.offset..][0..@sizeOf(Value)];
                        const key = key_.encodeFixed(kind, std.mem.bytesToValue(Value, bytes));
                        const words = list.wordsOf(entry);
                        rows.ptr[kept] = row;
                        kept += @intFromBool(key == words[0] and index.isTieOf(words, row.image));
                    }
                    return kept;
                },
            };
            for (rows, entries) |row, entry| {
                rows.ptr[kept] = row;
                kept += @intFromBool(index.isOf(list.wordsOf(entry), row.image));
            }
            return kept;
        }

        /// The next entries of the range, whose slots are fetched meanwhile. Behind `enough` of
        /// them, up to where the group changes.
        fn takeRun(cursor: *Cursor, out: []*layout.Entry, enough: usize) Error!usize {
            cursor.is_at_change = false;
            if (!cursor.direction.backward) return cursor.takeForward(out, enough, cursor.until);
            if (cursor.isByKey()) return cursor.takeKeysBackward(out, enough);
            return cursor.takeBackward(out, enough);
        }

        /// From key to key, and forward among the entries of each.
        fn isByKey(cursor: *const Cursor) bool {
            const direction = cursor.direction;
            return direction.backward and direction.ties == .forward and cursor.index.isTied();
        }

        /// The next entries, up to one behind those of the key `until`.
        fn takeForward(
            cursor: *Cursor,
            out: []*layout.Entry,
            enough: usize,
            until: []const u64,
        ) Error!usize {
            @setRuntimeSafety(false); // `count` is below `out.len`, and not 0 behind `enough`
            const list = cursor.index.list;
            const segment = cursor.source.segment;
            const wanted = @min(out.len, enough);
            try cursor.checkRise();
            var count: usize = 0;
            while (count < out.len) : (count += 1) {
                const entry = cursor.at orelse break;
                if (count == 0 and wanted > 4) ahead_.fetchAfter(segment, entry, wanted);
                const words = cursor.keyOf(entry);
                if (key_.order(words, until) == .gt) break;
                if (count >= enough and !cursor.isOneGroup(out[count - 1], entry)) {
                    cursor.is_at_change = true;
                    return count;
                }
                out[count] = entry;
                fetchSlot(segment, entry);
                const after = try list.after(entry);
                cursor.at = if (after) |found| found.entry else null;
            }
            if (count < out.len) cursor.ended = true;
            return count;
        }

        /// The entries before `behind`, the nearest first.
        fn takeBackward(cursor: *Cursor, out: []*layout.Entry, enough: usize) Error!usize {
            @setRuntimeSafety(false); // as above
            const most = @min(out.len, enough +| 1);
            const taken = try cursor.index.list.runBefore(cursor.behind, out[0..most]);
            var count: usize = 0;
            while (count < taken) : (count += 1) {
                const words = cursor.keyOf(out[count]);
                if (key_.order(words, cursor.until) == .lt) break;
                if (count >= enough and !cursor.isOneGroup(out[count - 1], out[count])) {
                    cursor.is_at_change = true;
                    break;
                }
                fetchSlot(cursor.source.segment, out[count]);
            }
            if (count > 0) cursor.behind = cursor.positionOf(out[count - 1]);
            if (!cursor.is_at_change and (count < taken or taken == 0)) cursor.ended = true;
            return count;
        }

        /// The entries of the nearest keys before `behind`, those of one key forward, at most one
        /// less than there is room for. What a run begins of a key is left to the next; a key that
        /// fills a run is gone through by itself.
        fn takeKeysBackward(cursor: *Cursor, out: []*layout.Entry, enough: usize) Error!usize {
            @setRuntimeSafety(false); // as above
            while (true) { // each turn ends with entries, or begins a key
                cursor.is_at_change = false; // said of what was taken, not of the key before it
                if (cursor.at != null) {
                    const room = out[0 .. out.len - 1];
                    const count = try cursor.takeForward(room, enough, cursor.behind.words);
                    if (cursor.ended) { // the key has ended
                        cursor.ended = false;
                        cursor.at = null;
                        cursor.is_at_change = true;
                    }
                    if (count > 0) return count;
                    continue;
                }
                const most = @min(out.len - 1, enough) + 1;
                const taken = try cursor.index.list.runBefore(cursor.behind, out[0..most]);
                var count: usize = 0;
                var start: usize = 0; // of the last key
                while (count < taken) : (count += 1) {
                    const words = cursor.keyOf(out[count]);
                    if (key_.order(words, cursor.until) == .lt) break;
                    switch (key_.order(words, cursor.keyOf(out[start]))) {
                        .eq => continue,
                        .lt => {},
                        // A run that ended with it would begin again where this one did.
                        .gt => return error.SegmentCorrupt,
                    }
                    std.mem.reverse(*layout.Entry, out[start..count]);
                    start = count;
                }
                if (count == 0) {
                    cursor.ended = true;
                    return 0;
                }
                // Entries of this key before those of the run, if there are any.
                const words = cursor.keyOf(out[count - 1]);
                cursor.behind = .{ .words = words, .slot = 0 };
                if (count < taken) {
                    std.mem.reverse(*layout.Entry, out[start..count]);
                    cursor.ended = true;
                } else if (start > 0) {
                    count = start;
                    cursor.behind.slot = std.math.maxInt(rel_ptr.Ref);
                    cursor.is_at_change = true;
                } else {
                    const found = try cursor.index.list.seek(cursor.behind);
                    cursor.at = if (found) |first| first.entry else null;
                    cursor.run_start = null;
                    continue;
                }
                for (out[0..count]) |entry| fetchSlot(cursor.source.segment, entry);
                return count;
            }
        }

        /// Whether two entries may come one before the other or the other way around.
        fn isOneGroup(cursor: *const Cursor, a: *layout.Entry, b: *layout.Entry) bool {
            const list = cursor.index.list;
            if (cursor.direction.ties != .any) return key_.equal(list.wordsOf(a), list.wordsOf(b));
            return key_.equal(cursor.keyOf(a), cursor.keyOf(b));
        }

        fn keyOf(cursor: *const Cursor, entry: *layout.Entry) []const u64 {
            return cursor.index.list.wordsOf(entry).ptr[0..cursor.index.key_words];
        }

        fn positionOf(cursor: *const Cursor, entry: *layout.Entry) skiplist.Position {
            return .{
                .words = cursor.index.list.wordsOf(entry),
                .slot = entry.slot.load(.monotonic), // never changes while linked
            };
        }

        /// Entries rise along every walk: one that begins no later than the run before goes around
        /// in a ring, and would give rows for as long as there is room for them.
        fn checkRise(cursor: *Cursor) Error!void {
            const entry = cursor.at orelse return;
            defer cursor.run_start = entry;
            const before = cursor.run_start orelse return;
            const list = cursor.index.list;
            if (!list.isBefore(before, cursor.positionOf(entry))) return error.SegmentCorrupt;
        }

        inline fn fetchSlot(segment: *const Segment, entry: *layout.Entry) void {
            const slot = segment.at(layout.RowSlot, entry.slot.load(.monotonic)) catch return;
            @prefetch(slot, .{ .rw = .read, .locality = 3 });
        }

        fn collectOwn(cursor: *Cursor) Error!void {
            const source = cursor.source;
            const backward = cursor.direction.backward;
            const low = if (backward) cursor.until else cursor.from;
            const high = if (backward) cursor.from else cursor.until;
            for (source.transaction.?.writes.items) |*own| {
                if (own.table.id != source.table.id) continue;
                const image = own.image orelse continue;
                var each: Own = .{ .words = undefined, .image = image };
                const words = cursor.index.encode(image, &each.words)[0..cursor.index.key_words];
                if (key_.order(words, low) == .lt or key_.order(words, high) == .gt) continue;
                try cursor.own.append(source.allocator, each);
            }
            sort_.sort(Own, cursor.own.items, cursor.ownOrder(), OwnOrder.less);
        }

        fn ownOrder(cursor: *const Cursor) OwnOrder {
            return .{
                .key_words = cursor.index.key_words,
                .words_count = cursor.index.list.words_count,
                .direction = cursor.direction,
            };
        }
    };

    /// The order in which a cursor gives rows.
    const OwnOrder = struct {
        key_words: u32,
        words_count: u32,
        direction: executor.Direction,

        fn less(order: OwnOrder, a: Own, b: Own) bool {
            const count = order.words_count;
            return order.isBefore(a.words[0..count], b.words[0..count]);
        }

        fn isBefore(order: OwnOrder, a: []const u64, b: []const u64) bool {
            const count = order.key_words;
            const by_key = key_.order(a[0..count], b[0..count]);
            if (by_key != .eq) return (by_key == .gt) == order.direction.backward;
            const by_tie = key_.order(a[count..], b[count..]);
            return by_tie == if (order.direction.ties == .backward) std.math.Order.gt else .lt;
        }
    };
};
