//! A program that measures what a log record costs by itself: updates of an 816-byte row as
//! differences and as whole rows, encoded, copied and checksummed as for the log.
//!
//!   zig build encode-bench && zig-out/bin/encode-bench
//!
//! One line for each: columns changed, bytes, nanoseconds as a difference, and as a whole row; the
//! least of many rounds.
const std = @import("std");
const os = @import("os.zig");
const schemas = @import("row/schema.zig");
const checksum = @import("checksum.zig");
const records = @import("wal/record.zig");
const RowCodec = @import("row/packed.zig").RowCodec;

const row_size = 816;
/// Null mask, key, four numbers, and what text has before its bytes.
const filler_size = row_size - 8 - 5 * 8 - 2;
const columns = [_]schemas.TestColumn{
    .{ .kind = .i64 },
    .{ .kind = .i64 },
    .{ .kind = .i64 },
    .{ .kind = .decimal, .scale = 6 },
    .{ .kind = .decimal, .scale = 6 },
    .{ .kind = .bytes, .limit = filler_size },
};
const rounds = 200;
const records_per_round = 1_000;
const table_id = 1;

const Row = struct {
    image: [row_size]u8 align(8) = @splat(0),

    fn field(row: *Row, column: usize) *align(8) i64 {
        const bytes: *align(8) [8]u8 = @alignCast(row.image[8 + 8 * column ..][0..8]);
        return @ptrCast(bytes);
    }
};

pub fn main() !void {
    var schema_buffer: [1024]u8 = undefined;
    const schema = try schemas.Schema.decode(schemas.encodeForTest(&columns, &schema_buffer));
    if (schema.image_size != row_size) return error.Unexpected;
    const codec: RowCodec = .init(&schema);
    var old: Row = .{};
    for (0..5) |column| old.field(column).* = @intCast(1_000_000 * (column + 1));
    std.mem.writeInt(u16, old.image[48..50], filler_size, .little);
    for (old.image[50..], 0..) |*byte, i| byte.* = @truncate(i *% 31 + 7);

    for ([_]usize{ 1, 2, 4 }) |changed| {
        var new = old;
        for (1..changed + 1) |column| new.field(column).* += @intCast(column * 1_234);
        var size: usize = 0;
        const difference = measure(&codec, &old, &new, true, &size);
        var whole_size: usize = 0;
        const whole = measure(&codec, &old, &new, false, &whole_size);
        std.debug.print("{d} columns: {d} bytes {d} ns, whole row {d} bytes {d} ns\n", .{
            changed,
            size,
            difference,
            whole_size,
            whole,
        });
    }
}

fn measure(codec: *const RowCodec, old: *Row, new: *Row, as_difference: bool, size: *usize) u64 {
    var out: [4096]u8 = undefined;
    var batch: [4096]u8 = undefined;
    var least: u64 = std.math.maxInt(u64);
    var crc: u32 = 0;
    for (0..rounds) |_| {
        const start = os.monotonicNs();
        for (0..records_per_round) |_| {
            size.* = if (as_difference)
                records.encodeUpdate(codec, table_id, &old.image, &new.image, &out) catch 0
            else
                records.encodeInsert(codec, table_id, &new.image, &out);
            @memcpy(batch[0..size.*], out[0..size.*]);
            crc = checksum.update(crc, batch[0..size.*]);
        }
        least = @min(least, (os.monotonicNs() - start) / records_per_round);
    }
    std.mem.doNotOptimizeAway(crc);
    return least;
}
