//! Where the rows of one table are, for a replay of many changes: from a key's hash to its version
//! with one access, where the map needs several, each to another cache line.
//!
//! **Invariants**: every row of the table has one entry; an entry's version is in use and has a key
//! of the entry's hash. At most half of the places are taken.
//!
//! **Concurrency**: one session, nobody else changes the table.
//!
//! **Memory**: owns its entries until `deinit`; process memory, 16 to 32 bytes for each row.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const Link = rel_ptr.Link;
const Ref = rel_ptr.Ref;
const Key = @import("primary_map.zig").Key;
const slot_scan = @import("slot_scan.zig");
const view_ = @import("view.zig");

pub const Error = error{ SegmentCorrupt, OutOfMemory };

const Entry = struct { hash: u32, version: Ref };

const ref_free = rel_ptr.none;
/// Of an entry that was removed; below the arena, so no version has it.
const ref_removed = 1;
const size_min = 1 << 12;
const run_count = 256;

pub const RowIndex = struct {
    entries: []Entry,
    /// Places that are not free.
    taken: usize = 0,

    /// Finds all rows of the table.
    pub fn init(allocator: std.mem.Allocator, table: *const view_.TableView) Error!RowIndex {
        // Nobody else is here: the number is exact.
        const rows: usize = @intCast(@max(0, table.shared.row_count.load(.monotonic)));
        var index: RowIndex = .{ .entries = try allocate(allocator, rows) };
        errdefer index.deinit(allocator);
        var scan: slot_scan.SlotScan = .init(table.segment);
        while (scan.nextRun(run_count)) |run| {
            for (run.slots[0..run.count]) |*slot| {
                const head = Link.of(slot.head.load(.monotonic)).ref;
                if (head == rel_ptr.none or layout.isClosed(head)) continue;
                const version = try table.segment.at(layout.Version, head);
                if (version.table() != table.id or version.mark.load(.monotonic) == 0) continue;
                const image = table.imageSlice(version);
                try index.insert(allocator, .init(table.keyBytes(image.ptr)), head);
            }
        }
        return index;
    }

    pub fn deinit(index: *RowIndex, allocator: std.mem.Allocator) void {
        allocator.free(index.entries);
    }

    fn allocate(allocator: std.mem.Allocator, rows: usize) error{OutOfMemory}![]Entry {
        const size = std.math.ceilPowerOfTwo(usize, @max(size_min, rows * 2 + 2)) catch
            return error.OutOfMemory;
        const entries = try allocator.alloc(Entry, size);
        @memset(entries, .{ .hash = 0, .version = ref_free });
        return entries;
    }

    /// The image of a key's row, to be changed in place.
    pub fn find(
        index: *const RowIndex,
        table: *const view_.TableView,
        key: Key,
    ) Error!?[]align(8) u8 {
        const entry = try index.entryOf(table, key) orelse return null;
        return table.imageSlice(try table.segment.at(layout.Version, entry.version));
    }

    fn entryOf(index: *const RowIndex, table: *const view_.TableView, key: Key) Error!?*Entry {
        const mask = index.entries.len - 1;
        var place = key.hash & mask;
        // A free place ends it: half of them are.
        while (true) : (place = (place + 1) & mask) {
            const entry = &index.entries[place];
            if (entry.version == ref_free) return null;
            if (entry.hash != key.hash or entry.version == ref_removed) continue;
            const version = try table.segment.at(layout.Version, entry.version);
            const found = table.keyBytes(version.image());
            if (std.mem.eql(u8, found, key.bytes)) return entry;
        }
    }

    /// Has the processor fetch where a hash's entry is; `fetchRow` then does so with the row.
    pub fn fetchEntry(index: *const RowIndex, hash: u32) void {
        @prefetch(&index.entries[hash & (index.entries.len - 1)], .{});
    }

    pub fn fetchRow(index: *const RowIndex, table: *const view_.TableView, hash: u32) void {
        const entry = index.entries[hash & (index.entries.len - 1)];
        if (entry.version <= ref_removed) return;
        const version = table.segment.at(layout.Version, entry.version) catch return;
        @prefetch(version, .{});
        @prefetch(table.keyBytes(version.image()).ptr, .{});
    }

    /// Enters a row that is not there yet.
    pub fn insert(
        index: *RowIndex,
        allocator: std.mem.Allocator,
        key: Key,
        version: Ref,
    ) error{OutOfMemory}!void {
        if (index.taken * 2 >= index.entries.len) try index.grow(allocator);
        index.put(key.hash, version);
    }

    fn put(index: *RowIndex, hash: u32, version: Ref) void {
        const mask = index.entries.len - 1;
        var place = hash & mask;
        while (index.entries[place].version != ref_free) place = (place + 1) & mask;
        index.entries[place] = .{ .hash = hash, .version = version };
        index.taken += 1;
    }

    fn grow(index: *RowIndex, allocator: std.mem.Allocator) error{OutOfMemory}!void {
        const old = index.entries;
        index.entries = try allocate(allocator, old.len);
        index.taken = 0;
        for (old) |entry| {
            if (entry.version > ref_removed) index.put(entry.hash, entry.version);
        }
        allocator.free(old);
    }

    /// Takes a row out that is about to be removed from the table.
    pub fn remove(index: *RowIndex, table: *const view_.TableView, key: Key) Error!void {
        const entry = try index.entryOf(table, key) orelse return;
        entry.version = ref_removed;
    }
};
