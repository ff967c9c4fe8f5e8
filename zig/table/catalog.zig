//! The catalog: tables by number, made once and never moved.
//!
//! **Concurrency**: the caller holds the catalog's lock byte while it changes anything; readers
//! need nothing.
//!
//! **Who may die where**: a table is published by one store, after which it is complete; pages of
//! an unpublished one are `claimed` and freed by the repair. Half-linked records of it are lost
//! with it only until then.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const classes = @import("../segment/classes.zig");
const arena = @import("../segment/arena.zig");
const segment_ = @import("../segment/segment.zig");
const schema_ = @import("../row/schema.zig");
const key_ = @import("../row/key.zig");
const primary_map = @import("primary_map.zig");
const Skiplist = @import("../index/skiplist.zig").Skiplist;
const Segment = segment_.Segment;
const Session = @import("../segment/session.zig").Session;
const TableView = @import("view.zig").TableView;
const Link = rel_ptr.Link;

pub const Error = error{
    SegmentFull,
    SegmentCorrupt,
    InvalidSchema,
    SchemaMismatch,
    TooManyTables,
};

pub const Created = struct { id: u32, is_new: bool };

/// The name in the schema text is TypeScript's business: two tables are the same when their bytes
/// are.
pub fn find(segment: *const Segment, schema_bytes: []const u8) Error!?u32 {
    for (0..limits.table_count_max) |id| {
        const ref = segment.catalog[id].table.load(.acquire); // pairs with the publication
        if (ref == 0) continue;
        const table = try segment.at(layout.Table, ref);
        const bytes = try segment.bytesAt(ref, @sizeOf(layout.Table) + @as(u64, table.schema_size));
        if (std.mem.eql(u8, bytes[@sizeOf(layout.Table)..], schema_bytes)) return @intCast(id);
    }
    return null;
}

/// Whether every table is there and its schema is what was published: who attaches to a segment
/// whose catalog is damaged would otherwise miss a table and make it anew.
pub fn verify(segment: *const Segment) error{SegmentCorrupt}!void {
    // pairs with the release in `create`: what is counted is published
    const count = segment.header.table_count.load(.acquire);
    var found: u32 = 0;
    var view: TableView = undefined; // large, and filled where it is declared
    for (0..limits.table_count_max) |id| {
        view.load(segment, @intCast(id)) catch |err| switch (err) {
            error.UnknownTable => continue,
            error.SegmentCorrupt => return error.SegmentCorrupt,
        };
        found += 1;
    }
    // Who died while it created a table may have published it and not counted it.
    if (found < count) return error.SegmentCorrupt;
}

/// Makes a table. `wanted` is the id that recovery asks for. **Precondition**: pinned; the catalog
/// lock is held.
pub fn create(session: *Session, schema_bytes: []const u8, wanted: ?u32, csn: u64) Error!Created {
    const segment = session.segment;
    if (try find(segment, schema_bytes)) |id| return .{ .id = id, .is_new = false };
    const schema = schema_.Schema.decode(schema_bytes) catch return error.InvalidSchema;
    const id = wanted orelse free: {
        for (0..limits.table_count_max) |i| {
            if (segment.catalog[i].table.load(.acquire) == 0) break :free @as(u32, @intCast(i));
        }
        return error.TooManyTables;
    };
    if (id >= limits.table_count_max or
        segment.catalog[id].table.load(.acquire) != 0) return error.SchemaMismatch;
    for (schema.columns[0..schema.column_count]) |*column| {
        if (column.indexed and
            key_.keyWordsCount(column) > limits.index_key_words_max) return error.InvalidSchema;
    }

    const size = @sizeOf(layout.Table) + schema_bytes.len;
    const pages: u32 = @intCast(std.math.divCeil(u64, size, limits.page_size) catch unreachable);
    const page = try arena.claimPages(segment, session.index, pages);
    errdefer arena.freePages(segment, page, pages);

    const ref = Segment.pageRef(page);
    const bytes = try segment.bytesAt(ref, @as(u64, pages) * limits.page_size);
    @memset(bytes, 0);
    const table: *layout.Table = @ptrCast(@alignCast(bytes.ptr));
    table.id = id;
    table.schema_size = @intCast(schema_bytes.len);
    table.image_size = schema.image_size;
    table.version_class = classes.versionClass(schema.image_size);
    table.key_offset = schema.primaryKey().offset;
    table.created_csn = csn;
    table.schema_checksum = std.hash.Wyhash.hash(id, schema_bytes);
    @memcpy(bytes[@sizeOf(layout.Table)..][0..schema_bytes.len], schema_bytes);
    try initMap(session, table);
    for (schema.columns[0..schema.column_count], 0..) |*column, position| {
        if (!column.indexed) continue;
        const index = &table.indexes[position];
        const tie_words = @intFromBool(key_.hasTie(column, schema.primaryKey()));
        try Skiplist.create(segment, session, index, key_.keyWordsCount(column) + tie_words);
        index.unique = @intFromBool(column.unique);
        index.ready_csn.store(csn, .monotonic); // published with the table
        index.status.store(.ready, .release); // pairs with the acquire in `TableView.load`
    }
    table.status.store(layout.Table.status_ready, .release);
    segment.catalog[id].table.store(ref, .release); // pairs with the acquires of readers
    arena.markUsed(segment, session.index, page, .table, pages, 0);
    // pairs with the acquire in `verify`
    _ = segment.header.table_count.add(1, .release);
    // pairs with the acquire in `Context.table`
    _ = segment.header.catalog_version.add(1, .release);
    return .{ .id = id, .is_new = true };
}

fn initMap(session: *Session, table: *layout.Table) Error!void {
    const segment = session.segment;
    const ref = try arena.take(
        segment,
        session.index,
        classes.slot_class,
        &session.slot.held_bucket,
    );
    const slot = try segment.at(layout.RowSlot, ref);
    const next = Link.of(slot.next.load(.monotonic)); // private
    slot.next.store(next.next(rel_ptr.none).raw(), .monotonic);
    slot.order.store(0, .monotonic);
    table.map_head = ref;
    table.bucket_count.store(4096, .monotonic);
    const map: primary_map.Map = .{ .segment = segment, .table = table };
    try map.ensureLevel(session, 0);
    session.slot.held_bucket.store(0, .release);
}
