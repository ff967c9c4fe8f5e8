//! A session's decoded view of one table: the schema and its indexes, ready for the hot path.
//!
//! **Memory**: private to a session; `shared` points into the segment, whose tables are never moved
//! or freed.
const std = @import("std");
const limits = @import("../limits.zig");
const classes = @import("../segment/classes.zig");
const layout = @import("../segment/layout.zig");
const segment_ = @import("../segment/segment.zig");
const schema_ = @import("../row/schema.zig");
const Map = @import("primary_map.zig").Map;
const Index = @import("../index/index.zig").Index;
const RowCodec = @import("../row/packed.zig").RowCodec;
const Segment = segment_.Segment;
const Ref = @import("../segment/rel_ptr.zig").Ref;

pub const TableView = struct {
    segment: *const Segment,
    shared: *layout.Table,
    id: u32,
    schema: schema_.Schema,
    codec: RowCodec,
    version_class: u32,
    indexes: [limits.index_count_max]Index,
    index_count: u32,
    has_unique: bool,
    /// Every bit of a column that is not the key.
    columns_mask: u64,

    /// Decodes the committed table `id`, which lies at `ref`, into `view`; its bytes are input.
    pub fn load(
        view: *TableView,
        segment: *const Segment,
        id: u32,
        ref: Ref,
    ) segment_.Corrupt!void {
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
        for (view.schema.columns[0..view.schema.column_count]) |*column| {
            view.columns_mask |= column.mask();
        }
        // What the table says of its indexes is what its schema says: or one would not be kept.
        const declared = view.schema.indexes[0..view.schema.index_count];
        for (declared, shared.indexes[0..declared.len]) |*each, *index| {
            // pairs with the release that adds an index
            if (index.status.load(.acquire) != .ready) return error.SegmentCorrupt;
            view.indexes[view.index_count] = Index.of(segment, &view.schema, each, index) orelse
                return error.SegmentCorrupt;
            view.index_count += 1;
            if (each.unique) view.has_unique = true;
        }
        for (shared.indexes[declared.len..]) |*index| {
            if (index.status.load(.acquire) != .none) return error.SegmentCorrupt; // pairs as above
        }
    }

    pub fn map(view: *const TableView) Map {
        return .{ .segment = view.segment, .table = view.shared };
    }

    pub fn keyBytes(view: *const TableView, image: [*]const u8) []const u8 {
        return view.schema.primaryKey().bytesIn(image);
    }

    /// The index of a column's values.
    pub fn indexOf(view: *const TableView, column: u32) ?*const Index {
        for (view.indexes[0..view.index_count]) |*index| switch (index.source) {
            .column => |each| if (each.position == column) return index,
            .geo => {},
        };
        return null;
    }

    pub fn imageSlice(view: *const TableView, version: *layout.Version) []align(8) u8 {
        return version.image()[0..view.schema.image_size];
    }
};

const harness = @import("../testing/harness.zig");

test "view: a table that does not have the indexes of its schema is damaged" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const id = try world.createTable(engine);
    const ref = world.segment.catalog[id].table.raw;
    const table = try world.segment.at(layout.Table, ref);
    var view: TableView = undefined;
    try view.load(&world.segment, id, ref);
    try std.testing.expectEqual(2, view.index_count);
    const Damage = struct {
        number: u32,
        status: layout.IndexStatus,
        unique: u32,
        kind: u32 = 1,
    };
    for ([_]Damage{
        .{ .number = 0, .status = .none, .unique = 0 },
        .{ .number = 2, .status = .ready, .unique = 0 },
        .{ .number = 0, .status = .ready, .unique = 1 },
        .{ .number = 1, .status = .ready, .unique = 0, .kind = 2 },
    }) |damage| {
        const index = &table.indexes[damage.number];
        const before = index.*;
        defer index.* = before;
        index.status.raw = damage.status;
        index.unique = damage.unique;
        index.kind = damage.kind;
        try std.testing.expectError(error.SegmentCorrupt, view.load(&world.segment, id, ref));
    }
}
