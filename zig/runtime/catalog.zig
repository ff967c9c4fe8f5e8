//! The work behind the exports about tables: creating and listing them, and their statistics.
//!
//! **Concurrency**: as the handle that is passed; creating is serialized by a lock of the kernel.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const estimate = @import("../index/estimate.zig");
const Handle = @import("connection.zig").Handle;
const Pins = @import("../txn/pins.zig").Pins;

const lock_byte_catalog = 1;

/// Before each schema in what `readCatalog` writes; padding to 8 bytes follows the schema.
pub const Entry = extern struct { table: u32, schema_size: u32 };

pub fn createTable(handle: *Handle, schema_bytes: []const u8) !void {
    const result = &handle.io.result;
    // DDL is rare: one at a time, by a lock that the kernel gives back.
    const deadline = os.monotonicNs() + 100_000_000;
    while (!try os.lockByte(handle.lock_fd, lock_byte_catalog)) {
        if (os.monotonicNs() >= deadline) return error.Busy;
        os.sleepNs(1_000_000);
    }
    defer os.unlockByte(handle.lock_fd, lock_byte_catalog);

    const created = try handle.engine.createTable(schema_bytes);
    result.table = created.id;
    handle.noteCommit(if (created.is_new) handle.engine.context.last_csn else 0);
}

pub fn readCatalog(handle: *Handle, out: []u8) !void {
    const segment = handle.engine.context.session.segment;
    var size: usize = 0;
    for (0..limits.table_count_max) |id| {
        const ref = segment.catalog[id].table.load(.acquire); // pairs with the publication
        if (ref == rel_ptr.none) continue;
        const table = try segment.at(layout.Table, ref);
        const bytes = try segment.bytesAt(ref, @sizeOf(layout.Table) + @as(u64, table.schema_size));
        const schema = bytes[@sizeOf(layout.Table)..];
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

        const count = estimate.countBetween(
            index.list,
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
