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
const key_ = @import("../row/key.zig");
const Map = @import("primary_map.zig").Map;
const Skiplist = @import("../index/skiplist.zig").Skiplist;
const RowCodec = @import("../row/packed.zig").RowCodec;
const Segment = segment_.Segment;
const Ref = @import("../segment/rel_ptr.zig").Ref;

pub const IndexView = struct {
    column: *const schema_.Column,
    primary: *const schema_.Column,
    list: Skiplist,
    /// Of a key, without those of the primary key.
    key_words: u32,
    unique: bool,

    /// The words of the entry that an image has, in `out`, which has room for them.
    pub inline fn encode(index: *const IndexView, image: Image, out: []u64) []u64 {
        key_.encodeKey(index.column, image, out);
        if (index.isTied()) out[index.key_words] = key_.tieOf(index.primary, image);
        return out[0..index.list.words_count];
    }

    /// Whether entries with equal keys lie in the order of ties.
    pub inline fn isTied(index: *const IndexView) bool {
        return index.list.words_count > index.key_words;
    }

    /// Whether an entry of these words is that of the image. A row slot may have belonged to
    /// another row whose entry is still there.
    pub inline fn isOf(index: *const IndexView, words: []const u64, image: Image) bool {
        return key_.isKeyOf(index.column, image, words[0..index.key_words]) and
            index.isTieOf(words, image);
    }

    /// Whether the entry has the tie of the image.
    pub inline fn isTieOf(index: *const IndexView, words: []const u64, image: Image) bool {
        return !index.isTied() or words[index.key_words] == key_.tieOf(index.primary, image);
    }

    /// Whether two images have the same entry in a row slot.
    pub inline fn hasSameEntry(index: *const IndexView, a: Image, b: Image) bool {
        if (!index.column.isEqual(a, b)) return false;
        return !index.isTied() or key_.tieOf(index.primary, a) == key_.tieOf(index.primary, b);
    }
};

const Image = [*]align(8) const u8;

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
        for (view.schema.columns[0..view.schema.column_count], 0..) |*column, position| {
            view.columns_mask |= column.mask();
            const index = &shared.indexes[position];
            // What the table says of its indexes is what its schema says: or one would not be kept.
            const expected: layout.IndexStatus = if (column.indexed) .ready else .none;
            // pairs with the release that adds an index
            if (index.status.load(.acquire) != expected) return error.SegmentCorrupt;
            if (!column.indexed) continue;
            const primary = view.schema.primaryKey();
            const words = key_.keyWordsCount(column);
            const position_words = words + @intFromBool(key_.hasTie(column, primary));
            if (position_words != index.position_words or words > limits.index_key_words_max or
                index.unique != @intFromBool(column.unique)) return error.SegmentCorrupt;
            view.indexes[view.index_count] = .{
                .column = column,
                .primary = primary,
                .list = .{
                    .segment = segment,
                    .index = index,
                    .words_count = position_words,
                },
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
    const Damage = struct { column: u32, status: layout.IndexStatus, unique: u32 };
    for ([_]Damage{
        .{ .column = 1, .status = .none, .unique = 0 },
        .{ .column = 3, .status = .ready, .unique = 0 },
        .{ .column = 1, .status = .ready, .unique = 1 },
    }) |damage| {
        const index = &table.indexes[damage.column];
        const before = index.*;
        defer index.* = before;
        index.status.raw = damage.status;
        index.unique = damage.unique;
        try std.testing.expectError(error.SegmentCorrupt, view.load(&world.segment, id, ref));
    }
}
