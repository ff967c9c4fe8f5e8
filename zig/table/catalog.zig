//! The memory of one table: a single run of pages with its description, its schema bytes, the
//! heads of its indexes, the head of its primary-key map and the first level of that map's buckets.
//! What a table gets besides, as it grows, comes after it is committed.
//!
//! **Invariants**: a run that is not published (`layout.CatalogEntry.table`) has nothing outside
//! itself, so freeing its pages undoes it.
//!
//! **Concurrency**: `build` works on pages that no other session knows.
//!
//! **Who may die where**: the pages of a builder that dies are `claimed`; its repair frees them.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const classes = @import("../segment/classes.zig");
const arena = @import("../segment/arena.zig");
const segment_ = @import("../segment/segment.zig");
const schema_ = @import("../row/schema.zig");
const Index = @import("../index/index.zig").Index;
const Skiplist = @import("../index/skiplist.zig").Skiplist;
const Segment = segment_.Segment;
const Ref = rel_ptr.Ref;

pub const Error = error{ SegmentFull, SegmentCorrupt, InvalidSchema };

/// The pages of a table, claimed by the session that builds it.
pub const Run = struct { ref: Ref, pages: u32 };

const slot_align = 8;

/// Builds the table of an id in pages of its own. **Memory**: the run is the caller's, still
/// claimed.
pub fn build(
    segment: *const Segment,
    session_index: u32,
    id: u32,
    schema_bytes: []const u8,
) Error!Run {
    const schema = schema_.Schema.decode(schema_bytes) catch return error.InvalidSchema;
    var size: u64 = @sizeOf(layout.Table) + schema_bytes.len;
    const map_offset = std.mem.alignForward(u64, size, slot_align);
    size = map_offset + @sizeOf(layout.RowSlot);
    const heads_offset = size;
    for (schema.indexes[0..schema.index_count]) |*declared| {
        const words = Index.positionWords(&schema, declared);
        if (words > limits.position_words_max) return error.InvalidSchema;
        size += headSize(words);
    }
    const buckets_offset = std.mem.alignForward(u64, size, limits.page_size);
    const pages: u32 = @intCast(buckets_offset / limits.page_size + 1);
    const page = try arena.claimPages(segment, session_index, pages);
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
    table.schema_checksum = std.hash.Wyhash.hash(id, schema_bytes);
    @memcpy(bytes[@sizeOf(layout.Table)..][0..schema_bytes.len], schema_bytes);
    table.map_head = ref + rel_ptr.fromBytes(map_offset);
    table.bucket_count.store(limits.page_size / @sizeOf(u32), .monotonic);
    table.buckets[0].store(ref + rel_ptr.fromBytes(buckets_offset), .monotonic);

    var head_offset = heads_offset;
    for (schema.indexes[0..schema.index_count], 0..) |*declared, number| {
        const index = &table.indexes[number];
        index.kind = @intFromEnum(declared.kind);
        index.position_words = Index.positionWords(&schema, declared);
        index.unique = @intFromBool(declared.unique);
        index.head = ref + rel_ptr.fromBytes(head_offset);
        const head: *layout.Entry = @ptrCast(@alignCast(bytes.ptr + head_offset));
        Skiplist.fillHead(head);
        index.status.store(.ready, .monotonic); // published with the table
        head_offset += headSize(index.position_words);
    }
    return .{ .ref = ref, .pages = pages };
}

fn headSize(position_words: u32) u64 {
    return classes.sizeOf(classes.entryClass(limits.skiplist_height_max, position_words));
}

/// The schema bytes of a table that is committed.
pub fn schemaBytes(segment: *const Segment, ref: Ref) segment_.Corrupt![]const u8 {
    const table = try segment.at(layout.Table, ref);
    const bytes = try segment.bytesAt(ref, @sizeOf(layout.Table) + @as(u64, table.schema_size));
    return bytes[@sizeOf(layout.Table)..];
}
