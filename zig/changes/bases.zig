//! Rows as they were, for that part of the log which tells values as differences to them: what was
//! written before a consumer asked for values that stand alone.
//!
//! **Invariants**: holds the rows of every table at the CSN that the feed has come to, as far as
//! checkpoint and log have told them.
//!
//! **Concurrency**: the feed's.
//!
//! **Memory**: owns its rows, which are all that there are: it is freed as soon as the feed has
//! passed the CSN from which on values stand alone.
const std = @import("std");
const limits = @import("../limits.zig");
const checkpoint_load = @import("../checkpoint/load.zig");
const storage_ = @import("../wal/storage.zig");
const Context = @import("../txn/context.zig").Context;

const Allocator = std.mem.Allocator;
const Image = []align(8) u8;

pub const Bases = struct {
    allocator: Allocator,
    rows: std.StringHashMapUnmanaged(Image) = .empty,

    pub fn deinit(bases: *Bases) void {
        var each = bases.rows.iterator();
        while (each.next()) |entry| {
            bases.allocator.free(entry.value_ptr.*);
            bases.allocator.free(entry.key_ptr.*);
        }
        bases.rows.deinit(bases.allocator);
    }

    const name_size_max = 4 + limits.key_size_max;

    fn nameOf(buffer: *[name_size_max]u8, table: u32, key: []const u8) []const u8 {
        std.mem.writeInt(u32, buffer[0..4], table, .little);
        @memcpy(buffer[4..][0..key.len], key);
        return buffer[0 .. 4 + key.len];
    }

    pub fn find(bases: *const Bases, table: u32, key: []const u8) ?[]align(8) const u8 {
        var buffer: [name_size_max]u8 = undefined;
        return bases.rows.get(nameOf(&buffer, table, key));
    }

    pub fn put(
        bases: *Bases,
        table: u32,
        key: []const u8,
        image: []align(8) const u8,
    ) error{OutOfMemory}!void {
        var buffer: [name_size_max]u8 = undefined;
        const name = nameOf(&buffer, table, key);
        if (bases.rows.get(name)) |known| if (known.len == image.len) {
            @memcpy(known, image);
            return;
        };
        bases.remove(table, key);
        const copy = try bases.allocator.alignedAlloc(u8, .@"8", image.len);
        errdefer bases.allocator.free(copy);
        @memcpy(copy, image);
        const owned = try bases.allocator.dupe(u8, name);
        errdefer bases.allocator.free(owned);
        try bases.rows.put(bases.allocator, owned, copy);
    }

    pub fn remove(bases: *Bases, table: u32, key: []const u8) void {
        var buffer: [name_size_max]u8 = undefined;
        const removed = bases.rows.fetchRemove(nameOf(&buffer, table, key)) orelse return;
        bases.allocator.free(removed.value);
        bases.allocator.free(removed.key);
    }

    /// Takes the rows of the checkpoint, if there is one at or below `csn`; the CSN from which on
    /// the log tells what followed on them.
    pub fn load(bases: *Bases, context: *Context, storage: storage_.Storage, csn: u64) !?u64 {
        var fault: ?checkpoint_load.Fault = null;
        const database_id = context.session.segment.header.database_id;
        const opened = try checkpoint_load.Loader.open(
            storage,
            bases.allocator,
            .{ .database_id = database_id },
            &fault,
        );
        var loader = opened orelse return null;
        defer loader.close();
        const snapshot = loader.header.snapshot_csn;
        if (snapshot > csn) return null;
        while (try loader.next()) |event| {
            var block = switch (event) {
                .table => continue,
                .rows => |rows| rows,
            };
            const table = try context.table(block.table_id);
            const image = context.scratch[0..table.schema.image_size];
            while (try block.next(&table.codec)) |row| {
                try table.codec.unpack(row, image);
                try bases.put(table.id, table.keyBytes(image.ptr), image);
            }
        }
        return snapshot;
    }
};
