//! A geo index is kept by commits, deletes, vacuum and recovery as every other index is.
const std = @import("std");
const bulk = @import("../table/bulk.zig");
const catalog = @import("../txn/catalog.zig");
const harness = @import("harness.zig");
const key_ = @import("../row/key.zig");
const layout = @import("../segment/layout.zig");
const limits = @import("../limits.zig");
const ring = @import("../segment/ring.zig");
const schema_ = @import("../row/schema.zig");
const write_ = @import("../txn/write.zig");
const Engine = @import("../txn/engine.zig").Engine;
const World = harness.World;

const testing = std.testing;

const Image = [32]u8;

fn schemaBytes(buffer: []u8) []u8 {
    var geo: schema_.IndexRecord = .{
        .kind = @intFromEnum(schema_.IndexKind.geo),
        .column_count = 2,
    };
    geo.columns[0] = 1;
    geo.columns[1] = 2;
    return schema_.encodeNamedForTest("Positions", &.{
        .{ .kind = .u64 },
        .{ .kind = .decimal, .scale = 6, .nullable = true },
        .{ .kind = .f64, .indexed = true },
    }, &.{geo}, buffer);
}

fn imageOf(id: u64, latitude: ?f64, longitude: f64) Image {
    var image: Image = @splat(0);
    std.mem.writeInt(u64, image[8..16], id, .little);
    if (latitude) |degrees| {
        std.mem.writeInt(i64, image[16..24], @intFromFloat(@round(degrees * 1e6)), .little);
    } else image[0] = 1;
    @memcpy(image[24..32], std.mem.asBytes(&longitude));
    return image;
}

fn put(engine: *Engine, table: u32, image: *align(8) const Image) !void {
    _ = try engine.write(
        table,
        .upsert,
        .{ .named = 0b11, .missing = 0, .image = image },
        write_.newest_none,
    );
}

/// Every row has its entry at the word of its position, and there is no other entry.
fn expectEntries(engine: *Engine, table_id: u32) !void {
    const table = try engine.context.table(table_id);
    const index = &table.indexes[1];
    try testing.expectEqual(schema_.IndexKind.geo, std.meta.activeTag(index.source));
    var entry = try engine.context.session.segment.at(layout.Entry, index.list.index.head);
    var count: usize = 0;
    var before: u64 = 0;
    while (try index.list.after(entry)) |found| : (count += 1) {
        const word = index.list.wordsOf(found.entry)[0];
        try testing.expect(before <= word);
        before = word;
        entry = found.entry;
    }
    try testing.expectEqual(try harness.countRows(engine, table_id), count);
}

test "geo: entries follow their rows through changes, deletes and a rebuild" {
    const world = try World.init(testing.allocator, .{ .size = 16 << 20 });
    defer world.deinit();
    const engine = try world.attach();
    var buffer: [512]u8 = undefined;
    const bytes = schemaBytes(&buffer);
    const id = (try engine.createTable(bytes)).id;
    var prng: std.Random.DefaultPrng = .init(20);
    const random = prng.random();
    for (0..3_000) |_| {
        const key = random.uintLessThan(u64, 300);
        const latitude: ?f64 = if (random.uintLessThan(u8, 8) == 0)
            null
        else
            random.float(f64) * 180 - 90;
        const image: Image align(8) = imageOf(key, latitude, random.float(f64) * 360 - 180);
        if (random.uintLessThan(u8, 10) == 0) {
            _ = try engine.delete(id, image[8..16]);
        } else try put(engine, id, &image);
    }
    try world.verify(engine, id);
    try world.settle(engine);
    try world.verifySettled(engine, id);
    try expectEntries(engine, id);

    const other = try World.init(testing.allocator, .{ .size = 16 << 20 });
    defer other.deinit();
    const builder = try other.attach();
    const session = &builder.context.session;
    try catalog.restore(session, 3, bytes, bulk.csn_recovered);
    const rebuilt = try builder.context.table(3);
    for (0..500) |key| {
        const image: Image align(8) = imageOf(key, 47, @floatFromInt(key % 90));
        _ = try bulk.insert(session, rebuilt, &image);
    }
    for (rebuilt.indexes[0..rebuilt.index_count]) |*index| {
        try bulk.buildIndex(session, testing.allocator, rebuilt, index);
    }
    ring.passCsn(&other.segment); // a snapshot has the CSN of recovered rows below it
    try other.verify(builder, 3);
    try expectEntries(builder, 3);
}

test "geo: rows of one square lie between its corners' words" {
    var prng: std.Random.DefaultPrng = .init(21);
    const random = prng.random();
    var buffer: [512]u8 = undefined;
    const schema = try schema_.Schema.decode(schemaBytes(&buffer));
    const source: key_.Source = .of(&schema, &schema.indexes[1]);
    for (0..2_000) |_| {
        const latitude = random.float(f64) * 170 - 85;
        const longitude = random.float(f64) * 350 - 175;
        const size = random.float(f64);
        const low = key_.interleave(
            key_.cellOf(latitude, 180),
            key_.cellOf(longitude, 360),
        );
        const high = key_.interleave(
            key_.cellOf(latitude + size, 180),
            key_.cellOf(longitude + size, 360),
        );
        const image: Image align(8) = imageOf(
            1,
            latitude + 1e-5 + random.float(f64) * (size - 2e-5),
            longitude + random.float(f64) * size,
        );
        if (size < 1e-4) continue;
        var words: [limits.position_words_max]u64 = undefined;
        source.encode(&image, &words);
        try testing.expect(low <= words[0] and words[0] <= high);
    }
}
