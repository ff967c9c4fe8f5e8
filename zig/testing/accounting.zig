//! Accounts for every record and page of a quiet segment: each one that was ever carved is in
//! exactly one place.
//!
//! **Precondition**: nobody runs; every dead session was repaired.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const limits = @import("../limits.zig");
const classes = @import("../segment/classes.zig");
const depot = @import("../segment/depot.zig");
const paged = @import("../segment/paged.zig");
const segment_ = @import("../segment/segment.zig");
const commit = @import("../txn/commit.zig");
const fate = @import("../txn/status.zig");
const log_buffer = @import("../txn/log_buffer.zig");
const retire = @import("../txn/retire.zig");
const Segment = segment_.Segment;
const Held = layout.Held;
const Link = rel_ptr.Link;
const Ref = rel_ptr.Ref;

pub const Error = error{
    DoublyOwned,
    Leaked,
    NotQuiet,
    Damaged,
    OutOfMemory,
    SegmentCorrupt,
};

/// Where a record is.
const Place = enum { free, held, retired, bucket, row, version, entry };

const Owned = struct { class: u32, place: Place };

pub const Totals = struct {
    rows: u64 = 0,
    tombstones: u64 = 0,
    retired: u64 = 0,
    entries: u64 = 0,
    held: u64 = 0,
    pages: u64 = 0,
};

const Accounts = struct {
    segment: *const Segment,
    records: std.AutoHashMap(Ref, Owned),
    /// Pages that something names, by their first one, with their number.
    runs: std.AutoHashMap(u32, u32),
    totals: Totals = .{},

    fn note(accounts: *Accounts, ref: Ref, class: u32, place: Place) Error!void {
        _ = try accounts.segment.at(u8, ref);
        const known = try accounts.records.getOrPut(ref);
        if (known.found_existing) {
            report(
                "record {d} of class {d} is {t} and {t}",
                .{ ref, class, known.value_ptr.place, place },
            );
            return error.DoublyOwned;
        }
        known.value_ptr.* = .{ .class = class, .place = place };
    }

    fn noteRun(accounts: *Accounts, ref: Ref, pages: u32) Error!void {
        if (ref == rel_ptr.none) return;
        _ = try accounts.segment.at(u8, ref);
        const known = try accounts.runs.getOrPut(Segment.pageOf(ref));
        if (known.found_existing) return damaged("page {d} is named twice", .{Segment.pageOf(ref)});
        known.value_ptr.* = pages;
    }

    fn tableOf(accounts: *Accounts, id: u32) Error!*layout.Table {
        if (id >= limits.table_count_max) return error.SegmentCorrupt;
        return accounts.segment.at(layout.Table, accounts.segment.catalog[id].table.raw);
    }

    fn walkSession(accounts: *Accounts, index: u32) Error!void {
        const slot = &accounts.segment.sessions[index];
        const state = layout.State.of(slot.state.raw);
        if (state.phase != .open or slot.intent_count.raw != 0 or slot.retire_latch.raw != 0 or
            slot.reclaim_held.raw != 0 or slot.depot_cell.raw != 0 or
            slot.vacuum_entry.raw != 0 or slot.vacuum_slot.raw != 0 or
            slot.catalog_entry.raw != 0)
        {
            report("session {d}: {t}, {d} intents, latch {d}, reclaim {x}, vacuum {x} {x}", .{
                index,
                state.phase,
                slot.intent_count.raw,
                slot.retire_latch.raw,
                slot.reclaim_held.raw,
                slot.vacuum_entry.raw,
                slot.vacuum_slot.raw,
            });
            return error.NotQuiet;
        }
        for ([_]u64{
            slot.held_version.raw,
            slot.held_slot.raw,
            slot.held_bucket.raw,
            slot.held_entry.raw,
        }) |raw| {
            const held = Held.of(raw);
            if (held.ref == rel_ptr.none) continue;
            try accounts.note(held.ref, held.class, .held);
            accounts.totals.held += 1;
        }
        for (&slot.free, 0..) |*list, class| {
            for ([_]u64{ list.loaded.raw, list.spare.raw }) |raw| {
                try accounts.walkChain(layout.Chain.of(raw).ref, @intCast(class));
            }
        }
        var number = slot.retire_taken.raw;
        while (number < slot.retire_added.raw) : (number += 1) {
            try accounts.walkRetired((try retire.queueOf(accounts.segment, slot).at(number)).*);
        }
        try accounts.noteArray(commit.intentsOf(accounts.segment, slot), .one);
        try accounts.noteArray(retire.queueOf(accounts.segment, slot), .two);
        try accounts.walkLog(slot);
    }

    fn walkChain(accounts: *Accounts, first: Ref, class: u32) Error!void {
        var ref = first;
        while (ref != rel_ptr.none) {
            try accounts.note(ref, class, .free); // a ring is found as doubly owned
            if (classes.kindOf(class) == .entry) {
                const entry = try accounts.segment.at(layout.Entry, ref);
                if (layout.EntryState.of(entry.state.raw).closed) return damaged(
                    "free entry {d} is closed",
                    .{ref},
                );
            }
            const record: [*]u8 = @ptrCast(try accounts.segment.at(u8, ref));
            const next: *const Ref = @ptrCast(@alignCast(record + classes.linkOffset(class)));
            ref = next.*;
        }
    }

    fn walkDepot(accounts: *Accounts) Error!void {
        for (accounts.segment.depot, 0..) |*word, at| {
            const cell = depot.Cell.of(word.raw);
            if (cell.claimant != 0) {
                report("cell {d} is claimed by session {d}", .{ at, cell.claimant - 1 });
                return error.NotQuiet;
            }
            try accounts.walkChain(cell.ref, depot.classOf(at));
        }
    }

    fn walkRetired(accounts: *Accounts, entry: layout.Retired) Error!void {
        accounts.totals.retired += 1;
        switch (entry.kind()) {
            .version => {
                const version = try accounts.segment.at(layout.Version, entry.a);
                const table = try accounts.tableOf(version.table());
                try accounts.note(entry.a, table.version_class, .retired);
            },
            .slot => try accounts.note(entry.a, classes.slot_class, .retired),
            .entry => try accounts.note(entry.a, entry.b, .retired),
            .slot_candidate => {},
            _ => return error.SegmentCorrupt,
        }
    }

    fn noteArray(
        accounts: *Accounts,
        array: anytype,
        comptime levels: paged.Levels,
    ) Error!void {
        const root = array.root.raw;
        if (root == rel_ptr.none) return;
        try accounts.noteRun(root, 1);
        for (array.wordsOf(root)) |directory| {
            if (directory.raw == rel_ptr.none) continue;
            try accounts.noteRun(directory.raw, 1);
            if (levels == .one) continue;
            for (array.wordsOf(directory.raw)) |page| {
                if (page.raw != rel_ptr.none) try accounts.noteRun(page.raw, 1);
            }
        }
    }

    fn walkLog(accounts: *Accounts, slot: *layout.SessionSlot) Error!void {
        const ref = slot.log_buffer.raw;
        if (ref == rel_ptr.none) return;
        const capacity = accounts.segment.log_buffer_size;
        try accounts.noteRun(ref, @intCast(capacity / limits.page_size));
        const bytes = try accounts.segment.bytesAt(ref, capacity);
        var position = slot.log_taken.raw;
        while (position < slot.log_head.raw) {
            const offset = position % capacity;
            if (capacity - offset < @sizeOf(log_buffer.Header)) {
                position += capacity - offset;
                continue;
            }
            const header: *const log_buffer.Header = @ptrCast(@alignCast(bytes.ptr + offset));
            if (header.size == 0) return damaged("a log record of no size at {d}", .{position});
            if (header.overflow.raw != 0) try accounts.noteRun(
                header.overflow.raw,
                header.overflow_pages,
            );
            position += header.size;
        }
    }

    fn walkTable(accounts: *Accounts, entry: *const layout.CatalogEntry) Error!void {
        if (layout.Mark.of(entry.mark.raw) != .csn) return damaged("a table is not decided", .{});
        const shared = try accounts.segment.at(layout.Table, entry.table.raw);
        // Its first level of buckets and the heads of its lists lie in it.
        try accounts.noteRun(entry.table.raw, entry.pages.raw);
        for (shared.buckets[1..], 0..) |*bucket, level| {
            try accounts.noteRun(bucket.raw, @as(u32, 1) << @intCast(level));
        }
        try accounts.walkMap(shared);
        for (&shared.indexes) |*index| {
            if (index.status.raw != .none) try accounts.walkList(index);
        }
    }

    fn walkMap(accounts: *Accounts, shared: *layout.Table) Error!void {
        var ref: Ref = shared.map_head;
        var order: u32 = 0;
        while (ref != rel_ptr.none) {
            const slot = try accounts.segment.at(layout.RowSlot, ref);
            const next = Link.of(slot.next.raw);
            if (next.marked) return damaged("slot {d} is linked and marked", .{ref});
            if (slot.order.raw < order) return damaged("slot {d} is out of order", .{ref});
            order = slot.order.raw;
            if (ref == shared.map_head) {
                // in the table
            } else if (order & 1 == 0) {
                try accounts.note(ref, classes.slot_class, .bucket);
            } else {
                try accounts.note(ref, classes.slot_class, .row);
                try accounts.walkRow(shared, slot, ref);
            }
            ref = next.ref;
        }
    }

    fn walkRow(
        accounts: *Accounts,
        shared: *layout.Table,
        slot: *layout.RowSlot,
        ref: Ref,
    ) Error!void {
        const head = Link.of(slot.head.raw).ref;
        if (head == rel_ptr.none or layout.isClosed(head)) return damaged(
            "row {d} has no version: {d}",
            .{ ref, head },
        );
        const version = try accounts.segment.at(layout.Version, head);
        if (version.table() != shared.id) return damaged(
            "row {d} has a version of another table",
            .{ref},
        );
        switch (try fate.of(accounts.segment, version)) {
            .committed => {},
            else => |what| return damaged(
                "row {d} has a newest version that is {t}",
                .{ ref, what },
            ),
        }
        try accounts.note(head, shared.version_class, .version);
        if (version.isTombstone()) accounts.totals.tombstones += 1 else accounts.totals.rows += 1;
    }

    fn walkList(accounts: *Accounts, index: *layout.Index) Error!void {
        const head = try accounts.segment.at(layout.Entry, index.head);
        const full = limits.skiplist_height_max;
        var level: u32 = 0;
        while (level < full) : (level += 1) {
            var link = Link.of(head.links()[level].raw);
            while (link.ref != rel_ptr.none) {
                const entry = try accounts.segment.at(layout.Entry, link.ref);
                const state = layout.EntryState.of(entry.state.raw);
                const next =
                    if (state.height > level) Link.of(entry.links()[level].raw) else Link.of(0);
                if (state.closed or next.marked or state.height <= level) {
                    return damaged("entry {d} at level {d}: {}", .{ link.ref, level, state });
                }
                if (level == 0) {
                    accounts.totals.entries += 1;
                    try accounts.note(
                        link.ref,
                        classes.entryClass(state.height, index.position_words),
                        .entry,
                    );
                } else {
                    const known = accounts.records.get(link.ref);
                    if (known == null or known.?.place != .entry) {
                        return damaged("entry {d} is at level {d} only", .{ link.ref, level });
                    }
                }
                link = next;
            }
        }
    }

    /// Every record that was carved from a span was met.
    fn walkSpan(accounts: *Accounts, first: u32, count: u32) Error!void {
        const start = Segment.pageRef(first);
        const end = start + count * limits.page_size / limits.offset_unit;
        var class: ?u32 = null;
        var carved_end = end;
        for (accounts.segment.sessions[0..accounts.segment.session_count]) |*slot| {
            for (&slot.free, 0..) |*free, i| {
                if (free.bump_end.raw != end or free.bump.raw == rel_ptr.none) continue;
                if (free.bump.raw < start) continue;
                class = @intCast(i);
                carved_end = free.bump.raw;
            }
        }
        var ref = start;
        while (class == null and ref < end) : (ref += 1) {
            if (accounts.records.get(ref)) |owned| class = owned.class;
        }
        const units = classes.sizeOf(class orelse {
            report("no record of the span at page {d} is anywhere", .{first});
            return error.Leaked;
        }) / limits.offset_unit;
        ref = start;
        while (ref + units <= carved_end) : (ref += units) {
            const owned = accounts.records.get(ref) orelse {
                report(
                    "record {d} of class {d} is nowhere: {f}",
                    .{ ref, class.?, dump(accounts.segment, ref, units) },
                );
                return error.Leaked;
            };
            if (owned.class != class.?) return damaged(
                "record {d} of class {d} is in a span of {d}",
                .{ ref, owned.class, class.? },
            );
        }
    }

    fn walkPages(accounts: *Accounts) Error!void {
        var page = Segment.pageOf(accounts.segment.arena_ref);
        const end = Segment.pageOf(accounts.segment.limit_ref);
        while (page < end) {
            const state = layout.PageState.of(accounts.segment.pages[page].raw);
            if (state.state == .free) {
                page += 1;
                continue;
            }
            if (state.state != .used or state.span == 0) {
                return damaged(
                    "page {d} is {t} of {t} by {d}",
                    .{ page, state.state, state.kind, state.session },
                );
            }
            for (page + 1..page + state.span) |i| {
                const tail = layout.PageState.of(accounts.segment.pages[i].raw);
                if (tail.state != .tail) return damaged(
                    "page {d} is not the tail of {d}",
                    .{ i, page },
                );
            }
            switch (state.kind) {
                .slot, .entry, .version => try accounts.walkSpan(page, state.span),
                else => {
                    const named = accounts.runs.fetchRemove(page) orelse {
                        report("page {d} of {t} is named by nothing", .{ page, state.kind });
                        return error.Leaked;
                    };
                    if (named.value != state.span) {
                        return damaged(
                            "page {d} of {t} has {d} pages, not {d}",
                            .{ page, state.kind, state.span, named.value },
                        );
                    }
                },
            }
            accounts.totals.pages += state.span;
            page += state.span;
        }
        var rest = accounts.runs.keyIterator();
        if (rest.next()) |named| return damaged("page {d} is named and free", .{named.*});
    }
};

/// Counts everything, or says what is lost, doubly owned or damaged.
pub fn check(allocator: std.mem.Allocator, segment: *const Segment) Error!Totals {
    var accounts: Accounts = .{
        .segment = segment,
        .records = .init(allocator),
        .runs = .init(allocator),
    };
    defer accounts.records.deinit();
    defer accounts.runs.deinit();

    for (0..segment.session_count) |index| try accounts.walkSession(@intCast(index));
    try accounts.walkDepot();
    for (0..limits.table_count_max) |id| {
        const entry = &segment.catalog[id];
        if (entry.mark.raw != 0) {
            try accounts.walkTable(entry);
        } else if (entry.table.raw != rel_ptr.none or entry.name_hash.raw != 0) {
            return damaged("entry {d} of the catalog is free and not empty", .{id});
        }
    }
    try accounts.walkPages();
    return accounts.totals;
}

/// Set while failures are expected (mutants): they are not printed.
pub var silent = false;

fn report(comptime text: []const u8, arguments: anytype) void {
    if (!silent) std.debug.print("accounting: " ++ text ++ "\n", arguments);
}

fn damaged(comptime text: []const u8, arguments: anytype) error{Damaged} {
    report(text, arguments);
    return error.Damaged;
}

const Dump = struct { words: []const u64 };

fn dump(segment: *const Segment, ref: Ref, units: u32) std.fmt.Alt(Dump, format) {
    const words: [*]const u64 = @ptrCast(@alignCast(segment.memory.ptr + rel_ptr.toBytes(ref)));
    return .{ .data = .{ .words = words[0..units] } };
}

fn format(data: Dump, writer: *std.Io.Writer) std.Io.Writer.Error!void {
    for (data.words) |word| try writer.print("{x} ", .{word});
}
