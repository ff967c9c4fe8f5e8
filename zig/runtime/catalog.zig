//! The work behind the exports about tables: creating and listing them, and their statistics.
//!
//! **Concurrency**: as the handle that is passed.
const std = @import("std");
const limits = @import("../limits.zig");
const estimate = @import("../index/estimate.zig");
const catalog = @import("../txn/catalog.zig");
const table_catalog = @import("../table/catalog.zig");
const Handle = @import("connection.zig").Handle;
const Pins = @import("../txn/pins.zig").Pins;

/// Before each schema in what `readCatalog` writes; padding to 8 bytes follows the schema.
pub const Entry = extern struct { table: u32, schema_size: u32 };

pub fn createTable(handle: *Handle, schema_bytes: []const u8) !void {
    const created = try handle.engine.createTable(schema_bytes);
    handle.io.result.table = created.id;
    handle.noteCommit(created.csn); // also where it was there: the caller relies on it
}

/// The committed tables. `found` in the result is 0 when another session is creating one, so that
/// the catalog may change without its version.
pub fn readCatalog(handle: *Handle, out: []u8) !void {
    const segment = handle.engine.context.session.segment;
    const is_changing = try catalog.isChanging(segment);
    var size: usize = 0;
    for (0..limits.table_count_max) |id| {
        const found = try catalog.committed(segment, id) orelse continue;
        const schema = try table_catalog.schemaBytes(segment, found.ref);
        const padded = std.mem.alignForward(usize, schema.len, 8);
        if (size + @sizeOf(Entry) + padded <= out.len) {
            const entry: Entry = .{ .table = @intCast(id), .schema_size = @intCast(schema.len) };
            @memcpy(out[size..][0..@sizeOf(Entry)], std.mem.asBytes(&entry));
            const rest = out[size + @sizeOf(Entry) ..];
            @memset(rest[0..padded], 0);
            @memcpy(rest[0..schema.len], schema);
        }
        size += @sizeOf(Entry) + padded;
    }
    handle.io.result.size = @intCast(size);
    handle.io.result.found = @intFromBool(!is_changing);
    if (size > out.len) return error.BufferTooSmall;
}

pub fn estimateRange(handle: *Handle, table_id: u32, column: u32) !void {
    const table = try handle.engine.context.table(table_id);
    const index = table.indexOf(column) orelse return error.InvalidArgument;
    const words: [*]align(8) const u64 = @ptrCast(@alignCast(&handle.io.input));
    const session = &handle.engine.context.session;
    const pins = &handle.engine.pins;
    const count = while (true) { // each turn means that the pin was revoked
        pins.enterRead(session);
        defer pins.leaveRead(session);

        const count = index.estimate(
            words[0..index.key_words],
            words[index.key_words .. 2 * index.key_words],
        );
        if (!Pins.isReadLost(session)) break try count;
    };
    handle.io.result.count = @floatFromInt(count);
}

pub fn countRows(handle: *Handle, table_id: u32) !void {
    const table = try handle.engine.context.table(table_id);
    const rows = table.shared.row_count.load(.monotonic); // a statistic
    handle.io.result.count = @floatFromInt(@max(0, rows));
}
