//! Everything that one attached session keeps in private memory: its views of tables, its scratch
//! space, what its last conflict was.
//!
//! **Concurrency**: one thread at a time.
//!
//! **Memory**: owns what it allocates from `allocator`; `deinit` gives it back.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const mutant = @import("../instrument/mutant.zig");
const catalog = @import("catalog.zig");
const log_buffer = @import("log_buffer.zig");
const records = @import("../wal/record.zig");
const deltas = @import("../row/delta.zig");
const view_ = @import("../table/view.zig");
const vacuum = @import("vacuum.zig");
const write_ = @import("write.zig");
const word = @import("../segment/word.zig");
const Places = @import("radix_sort.zig").Places;
const ReadSet = @import("read_set.zig").ReadSet;
const Session = @import("../segment/session.zig").Session;
const Ref = @import("../segment/rel_ptr.zig").Ref;

pub const Cause = enum(u32) { none = 0, row = 1, absent = 2, search = 3, wounded = 4, latch = 5 };

pub const Conflict = struct {
    cause: Cause = .none,
    table: u32 = std.math.maxInt(u32),
    column: u32 = std.math.maxInt(u32),
    key_size: u32 = 0,
    key: [limits.key_size_max]u8 = undefined,

    pub fn reset(conflict: *Conflict) void {
        conflict.cause = .none;
        conflict.table = std.math.maxInt(u32);
        conflict.column = std.math.maxInt(u32);
        conflict.key_size = 0;
    }

    pub fn set(conflict: *Conflict, cause: Cause, table: u32, key: []const u8) void {
        conflict.cause = cause;
        conflict.table = table;
        conflict.key_size = @intCast(@min(key.len, conflict.key.len));
        @memcpy(conflict.key[0..conflict.key_size], key[0..conflict.key_size]);
    }
};

pub const Context = struct {
    allocator: std.mem.Allocator,
    session: Session,
    views: [limits.table_count_max]?*view_.TableView = @splat(null),
    catalog_version: u32 = 0,
    /// Room for one image.
    scratch: [*]align(8) u8,
    payload: std.ArrayList(u8) = .empty,
    written: std.ArrayList(log_buffer.Written) = .empty,
    /// Scratch for what is put in the order of an index.
    places: Places = .{},
    conflict: Conflict = .{},
    age: u64 = 0,
    last_csn: u64 = 0,
    /// Reads of the commit in progress that its writes make (rows left as they are).
    observed: ?*ReadSet = null,

    pub fn init(allocator: std.mem.Allocator, session: Session) error{OutOfMemory}!Context {
        const scratch = try allocator.alignedAlloc(u8, .@"8", limits.image_size_max);
        return .{ .allocator = allocator, .session = session, .scratch = scratch.ptr };
    }

    pub fn deinit(context: *Context) void {
        for (context.views) |view| if (view) |v| context.allocator.destroy(v);
        context.payload.deinit(context.allocator);
        context.written.deinit(context.allocator);
        context.places.deinit(context.allocator);
        const scratch: []align(8) u8 = context.scratch[0..limits.image_size_max];
        context.allocator.free(scratch);
    }

    /// The view of a table, decoded again after the catalog changed.
    pub fn table(context: *Context, id: u32) error{
        UnknownTable,
        SegmentCorrupt,
        SegmentFull,
    }!*const view_.TableView {
        if (id >= limits.table_count_max) return error.UnknownTable;
        const version = context.session.segment.header.catalog_version.load(.acquire);
        if (version != context.catalog_version) {
            for (&context.views) |each| {
                const view = each orelse continue;
                const found = try catalog.committed(context.session.segment, view.id) orelse
                    return error.SegmentCorrupt; // tables are not taken back once committed
                try view.load(context.session.segment, view.id, found.ref);
            }
            context.catalog_version = version;
        }
        if (context.views[id]) |view| return view;
        const found = try catalog.committed(context.session.segment, id) orelse
            return error.UnknownTable;
        const view = context.allocator.create(view_.TableView) catch return error.SegmentFull;
        errdefer context.allocator.destroy(view);
        try view.load(context.session.segment, id, found.ref);
        context.views[id] = view;
        return view;
    }

    pub fn tables(context: *Context) vacuum.Tables {
        return .{ .context = context, .get = getTable };
    }

    fn getTable(opaque_context: *anyopaque, id: u32) ?*const view_.TableView {
        const context: *Context = @ptrCast(@alignCast(opaque_context));
        return context.table(id) catch null;
    }

    /// Notes why the commit lost.
    pub fn lose(context: *Context, cause: Cause, write: ?*const write_.Write) error{Conflict} {
        if (write) |w| {
            context.conflict.set(cause, w.table.id, w.key.bytes);
        } else {
            context.conflict.set(cause, std.math.maxInt(u32), &.{});
        }
        return error.Conflict;
    }

    /// Counts the conflict that a commit was lost on.
    pub fn countConflict(context: *Context) void {
        const counters = &context.session.slot.counters;
        switch (context.conflict.cause) {
            .row => word.bump(&counters.conflicts_row, 1),
            .absent => word.bump(&counters.conflicts_absent, 1),
            .search => word.bump(&counters.conflicts_search, 1),
            .wounded => word.bump(&counters.wounded, 1),
            .latch, .none => {},
        }
    }

    /// Notes what a write was refused for, for the error.
    pub fn refuse(
        context: *Context,
        write: *const write_.Write,
        err: write_.BindError,
    ) write_.BindError {
        context.conflict.set(.none, write.table.id, write.key.bytes);
        if (err == error.MissingValue) {
            context.conflict.column = write_.missingColumn(write) orelse std.math.maxInt(u32);
        }
        return err;
    }

    pub fn duplicate(context: *Context, write: *const write_.Write) error{DuplicateKey} {
        context.conflict.table = write.table.id;
        context.conflict.key_size = 0;
        return error.DuplicateKey;
    }

    /// A write that left its row alone has read it.
    pub fn observe(
        context: *Context,
        write: *const write_.Write,
        slot: Ref,
        version: Ref,
    ) error{ Conflict, SegmentFull, SegmentCorrupt, SnapshotTooOld }!void {
        const set = context.observed orelse return;
        if (mutant.is(.unchanged_unread)) return;
        if (version != 0) try set.addRow(slot, version) else try set.addAbsent(
            write.table,
            write.key,
        );
    }

    pub fn appendPayload(context: *Context, bytes: []const u8) error{SegmentFull}!void {
        context.payload.appendSlice(context.allocator, bytes) catch return error.SegmentFull;
    }

    /// Adds the log operation that leads from one image to the other; null is no row.
    pub fn encodeOperation(
        context: *Context,
        view: *const view_.TableView,
        old: ?[]align(8) const u8,
        new: ?[]align(8) const u8,
    ) error{ SegmentFull, SegmentCorrupt }!void {
        const codec = &view.codec;
        const size_max = @max(records.insertSizeMax(codec), records.updateSizeMax(codec));
        const out = context.payload.addManyAsSlice(
            context.allocator,
            size_max,
        ) catch return error.SegmentFull;
        const start = context.payload.items.len - size_max;
        // Stale is fine: who raises it waits for the commits that may have read it before.
        const choice: deltas.Choice = @enumFromInt(
            context.session.segment.header.log_forms.load(.monotonic),
        );
        const size = if (new) |n|
            if (old) |o|
                records.encodeUpdateAs(codec, view.id, o, n, choice, out) catch
                    return error.SegmentCorrupt
            else
                records.encodeInsert(codec, view.id, n, out)
        else if (old) |o|
            records.encodeDelete(codec, view.id, o, out)
        else
            0;
        context.payload.items.len = start + size;
    }
};
