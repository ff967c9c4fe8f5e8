//! What a transaction has read: rows, keys found absent, searches; and whether it still holds (P12,
//! P16).
//!
//! **Invariants**: everything in the set was true at `snapshot`.
//!
//! **Concurrency**: private to one transaction; reads shared memory under its pin.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const segment_ = @import("../segment/segment.zig");
const mutant = @import("../instrument/mutant.zig");
const view_ = @import("../table/view.zig");
const Key = @import("../table/primary_map.zig").Key;
const fate = @import("status.zig");
const log_buffer = @import("log_buffer.zig");
const ring = @import("../segment/ring.zig");
const Context = @import("context.zig").Context;
const Session = @import("../segment/session.zig").Session;
const SmallMap = @import("small_map.zig").SmallMap;
const Stack = @import("stack.zig").Stack;
const Version = layout.Version;
const Ref = rel_ptr.Ref;
const Link = rel_ptr.Link;

pub const Error = error{ Conflict, SegmentFull, SegmentCorrupt, SnapshotTooOld };

/// Comparing one commit with the reads costs as much as reading a quarter of a row again (its cell,
/// its record and its slot's line come from another session). Past that the reads are made again:
/// whoever was kept from running in the middle of a transaction meets all that others did then.
const compares_per_read = 4;
/// A search is made again only past so many commits: nobody knows what it costs.
const compares_per_scan = 4096;

pub const Absent = struct { table: *const view_.TableView, key: Key };

/// A search, as validation sees it.
pub const Scan = struct {
    table: *const view_.TableView,
    context: *anyopaque,
    /// Would the search, as far as it read, have seen a row with this image?
    covers: *const fn (context: *anyopaque, image: [*]align(8) const u8) bool,
    /// Runs the search again at `snapshot`: true when it shows the same rows and versions.
    repeat: *const fn (context: *anyopaque, snapshot: u64) Error!bool,
};

pub const ReadSet = struct {
    allocator: std.mem.Allocator,
    snapshot: u64,
    /// Slot to the version that was read.
    rows: SmallMap(Ref, Ref) = .{},
    absent: std.ArrayList(Absent) = .empty,
    scans: std.ArrayList(Scan) = .empty,
    /// Keys found absent.
    keys: Stack,

    /// **Memory**: `deinit` gives everything back.
    pub fn init(allocator: std.mem.Allocator, snapshot: u64) ReadSet {
        return .{ .allocator = allocator, .snapshot = snapshot, .keys = .init(allocator) };
    }

    pub fn deinit(set: *ReadSet) void {
        set.rows.deinit(set.allocator);
        set.absent.deinit(set.allocator);
        set.scans.deinit(set.allocator);
        set.keys.deinit();
    }

    /// Forgets everything; the memory stays for what comes next.
    pub fn clear(set: *ReadSet, snapshot: u64) void {
        set.rows.clear(set.allocator);
        // Clearing them would fill them with a pattern first.
        set.absent.items.len = 0;
        set.scans.items.len = 0;
        set.keys.release(.empty);
        set.snapshot = snapshot;
    }

    pub fn isEmpty(set: *const ReadSet) bool {
        return set.rows.count() == 0 and set.absent.items.len == 0 and set.scans.items.len == 0;
    }

    pub fn addRow(set: *ReadSet, slot: Ref, version: Ref) Error!void {
        if (mutant.is(.rows_unvalidated)) return;
        set.rows.put(set.allocator, slot, version) catch return error.SegmentFull;
    }

    /// The key's bytes are copied.
    pub fn addAbsent(set: *ReadSet, table: *const view_.TableView, key: Key) Error!void {
        if (mutant.is(.absent_unvalidated)) return;
        const bytes = set.keys.copy(key.bytes) catch return error.SegmentFull;
        const copy: Key = .{ .bytes = bytes, .hash = key.hash };
        set.absent.append(
            set.allocator,
            .{ .table = table, .key = copy },
        ) catch return error.SegmentFull;
    }

    pub fn addScan(set: *ReadSet, scan: Scan) error{OutOfMemory}!void {
        try set.scans.append(set.allocator, scan);
    }

    /// P12: brings the snapshot forward to now, or finds the conflict.
    pub fn preValidate(set: *ReadSet, context: *Context) Error!void {
        const session = &context.session;
        const now = ring.firstUndecided(session.segment, session.floor);
        session.floor = @max(session.floor, now);
        if (now <= set.snapshot) return;
        if (mutant.is(.forwarded_blindly)) {
            set.snapshot = now;
            return;
        }
        if (now - set.snapshot <= set.comparesMax()) {
            if (try set.compare(context, set.snapshot, now)) {
                set.snapshot = now;
                return;
            }
        }
        try set.repeat(context, now);
        set.snapshot = now;
    }

    fn comparesMax(set: *const ReadSet) u64 {
        if (set.scans.items.len > 0) return compares_per_scan;
        return compares_per_read * (set.rows.count() + set.absent.items.len);
    }

    /// P16: the rest, between the snapshot brought forward and the own CSN.
    pub fn validate(set: *ReadSet, context: *Context, csn: u64) Error!void {
        if (mutant.is(.rest_unvalidated)) return;
        if (try set.compare(context, set.snapshot, csn)) return;
        try set.repeat(context, csn);
    }

    /// Checks the commits in `[from, to)` one by one; false when a log record is gone already.
    fn compare(set: *ReadSet, context: *Context, from: u64, to: u64) Error!bool {
        const segment = context.session.segment;
        var csn = from;
        while (csn < to) : (csn += 1) {
            const raw = ring.load(segment, csn);
            switch (ring.classify(segment, csn, raw)) {
                .aborted => continue,
                .committed => {},
                // cannot be: everything below `to` is decided; then it was aborted
                .empty => continue,
                .drained => return false,
            }
            const cell = ring.Cell.of(raw);
            const record = (try log_buffer.read(segment, csn, cell)) orelse return false;
            for (record.writes) |written| {
                try set.compareWrite(context, record, csn, written);
            }
            if (!record.isStill(csn)) return false;
        }
        return true;
    }

    fn compareWrite(
        set: *ReadSet,
        context: *Context,
        record: log_buffer.Record,
        csn: u64,
        written: log_buffer.Written,
    ) Error!void {
        const segment = context.session.segment;
        if (set.rows.get(written.slot)) |version| {
            if (version != written.version and record.isStill(csn)) {
                context.conflict.cause = .row;
                return error.Conflict;
            }
        }
        if (set.absent.items.len == 0 and set.scans.items.len == 0) return;
        const version = segment.at(Version, written.version) catch |err| {
            return if (record.isStill(csn)) err else {};
        };
        const table_id = version.table();
        if (!version.isTombstone()) {
            for (set.absent.items) |*absent| {
                if (absent.table.id != table_id) continue;
                if (!std.mem.eql(
                    u8,
                    absent.table.keyBytes(version.image()),
                    absent.key.bytes,
                )) continue;
                if (!record.isStill(csn)) return;
                context.conflict.set(.absent, absent.table.id, absent.key.bytes);
                return error.Conflict;
            }
        }
        for (set.scans.items) |*scan| {
            if (scan.table.id != table_id or mutant.is(.searches_unvalidated)) continue;
            if (try touches(segment, scan, version) and record.isStill(csn)) {
                context.conflict.set(.search, table_id, scan.table.keyBytes(version.image()));
                return error.Conflict;
            }
        }
    }

    /// True when the row before or after the write is one that the search saw or would see.
    fn touches(segment: *const segment_.Segment, scan: *const Scan, version: *Version) Error!bool {
        if (!version.isTombstone() and scan.covers(scan.context, version.image())) return true;
        const older_ref = version.older.load(.acquire);
        if (older_ref == rel_ptr.none) return false;
        const older = try segment.at(Version, older_ref);
        if (older.table() != version.table() or older.isTombstone()) return false;
        return scan.covers(scan.context, older.image());
    }

    /// Reads everything again at `snapshot`.
    fn repeat(set: *ReadSet, context: *Context, snapshot: u64) Error!void {
        const segment = context.session.segment;
        var rows = set.rows.iterator();
        while (rows.next()) |row| {
            const slot = try segment.at(layout.RowSlot, row.key);
            const head = Link.of(slot.head.load(.seq_cst)).ref;
            const version = try fate.visible(segment, head, snapshot);
            const ref = if (version) |v| segment.refOf(v) else rel_ptr.none;
            if (ref != row.value) {
                context.conflict.cause = .row;
                return error.Conflict;
            }
        }
        for (set.absent.items) |*absent| {
            const found = (try absent.table.map().find(absent.key)) orelse continue;
            const head = Link.of(found.slot.head.load(.seq_cst)).ref;
            if (try fate.visible(segment, head, snapshot) != null) {
                context.conflict.set(.absent, absent.table.id, absent.key.bytes);
                return error.Conflict;
            }
        }
        for (set.scans.items) |*scan| {
            if (mutant.is(.searches_unvalidated)) continue;
            if (!try scan.repeat(scan.context, snapshot)) {
                context.conflict.set(.search, scan.table.id, &.{});
                return error.Conflict;
            }
        }
    }
};
