//! A session's decoded view of one table: the schema and its indexes, ready for the hot path.
//!
//! **Memory**: private to a session; `shared` points into the segment, whose tables are never moved
//! or freed.
const std = @import("std");
const limits = @import("../limits.zig");
const classes = @import("../segment/classes.zig");
const layout = @import("../segment/layout.zig");
const segment_ = @import("../segment/segment.zig");
const schema_ = @import("schema.zig");
const key_ = @import("../index/key.zig");
const Map = @import("primary_map.zig").Map;
const Skiplist = @import("../index/skiplist.zig").Skiplist;
const RowCodec = @import("../wal/row.zig").RowCodec;
const Segment = segment_.Segment;

pub const IndexView = struct {
    column: *const schema_.Column,
    list: Skiplist,
    key_words: u32,
    unique: bool,
};

pub const TableView = struct {
    segment: *const Segment,
    shared: *layout.Table,
    id: u32,
    schema: schema_.Schema,
    codec: RowCodec,
    version_class: u32,
    indexes: [limits.column_count_max]IndexView,
    index_count: u32,
    has_unique: bool,
    /// Every bit of a column that is not the key.
    columns_mask: u64,

    pub const LoadError = error{ UnknownTable, SegmentCorrupt };

    /// Decodes table `id` into `view`; its bytes are input.
    pub fn load(view: *TableView, segment: *const Segment, id: u32) LoadError!void {
        if (id >= limits.table_count_max) return error.UnknownTable;
        // pairs with the publication of the table
        const ref = segment.catalog[id].table.load(.acquire);
        if (ref == 0) return error.UnknownTable;
        const shared = try segment.at(layout.Table, ref);
        if (shared.id != id) return error.SegmentCorrupt;
        const bytes = try segment.bytesAt(
            ref,
            @sizeOf(layout.Table) + @as(u64, shared.schema_size),
        );
        const schema_bytes = bytes[@sizeOf(layout.Table)..];
        if (std.hash.Wyhash.hash(
            id,
            schema_bytes,
        ) != shared.schema_checksum) return error.SegmentCorrupt;
        view.schema = schema_.Schema.decode(schema_bytes) catch return error.SegmentCorrupt;
        view.codec = RowCodec.init(&view.schema);
        view.segment = segment;
        view.shared = shared;
        view.id = id;
        view.version_class = shared.version_class;
        if (view.version_class != classes.versionClass(view.schema.image_size)) {
            return error.SegmentCorrupt;
        }
        if (shared.key_offset != view.schema.primaryKey().offset) return error.SegmentCorrupt;
        view.columns_mask = 0;
        view.index_count = 0;
        view.has_unique = false;
        for (view.schema.columns[0..view.schema.column_count], 0..) |*column, position| {
            view.columns_mask |= column.mask();
            const index = &shared.indexes[position];
            // pairs with the release that adds an index
            if (index.status.load(.acquire) == .none) continue;
            const words = key_.keyWordsCount(column);
            if (words != index.key_words or
                words > limits.index_key_words_max) return error.SegmentCorrupt;
            view.indexes[view.index_count] = .{
                .column = column,
                .list = .{ .segment = segment, .index = index },
                .key_words = words,
                .unique = index.unique != 0,
            };
            view.index_count += 1;
            if (index.unique != 0) view.has_unique = true;
        }
    }

    pub fn map(view: *const TableView) Map {
        return .{ .segment = view.segment, .table = view.shared };
    }

    pub fn keyBytes(view: *const TableView, image: [*]const u8) []const u8 {
        return view.schema.primaryKey().bytesIn(image);
    }

    pub fn indexOf(view: *const TableView, column: u32) ?*const IndexView {
        for (view.indexes[0..view.index_count]) |*index| {
            if (index.column.position == column) return index;
        }
        return null;
    }

    pub fn imageSlice(view: *const TableView, version: *layout.Version) []align(8) u8 {
        return version.image()[0..view.schema.image_size];
    }
};
