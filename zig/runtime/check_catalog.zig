//! Which tables the files of a database tell of, to be compared with the catalog of its segment: a
//! table that neither checkpoint nor log has would take its rows with it at the next cold boot.
//!
//! **Concurrency** and **Memory.** A value of the check that it belongs to.
const std = @import("std");
const limits = @import("../limits.zig");
const segment_ = @import("../segment/segment.zig");
const catalog = @import("../txn/catalog.zig");
const records = @import("../wal/record.zig");
const table_catalog = @import("../table/catalog.zig");
const RowCodec = @import("../row/packed.zig").RowCodec;

pub const Known = struct {
    /// The hash of a table's schema bytes.
    hashes: [limits.table_count_max]?u64 = @splat(null),

    pub fn note(known: *Known, id: u32, schema_bytes: []const u8) void {
        if (id < known.hashes.len) known.hashes[id] = hashOf(schema_bytes);
    }

    /// Notes the tables that a record of the log creates. They come before all rows in it, and
    /// what a row's operation holds need not be read.
    pub fn noteRecord(known: *Known, record: []const u8) void {
        var operations = records.Operations.init(record);
        while (operations.next(NoTables{}) catch return) |operation| switch (operation.body) {
            .create_table => |bytes| known.note(operation.table_id, bytes),
            else => {},
        };
    }

    const NoTables = struct {
        pub fn find(_: NoTables, _: u32) ?*const RowCodec {
            return null;
        }
    };

    pub const Difference = enum {
        none,
        /// Committed, and in no file, or with another schema there.
        not_logged,
        /// In a file, and not in the catalog.
        not_committed,
    };

    /// Compares the table of an id. Those created from `end_csn` on may be in no file yet.
    pub fn compare(
        known: *const Known,
        segment: *const segment_.Segment,
        id: u32,
        end_csn: u64,
    ) segment_.Corrupt!Difference {
        const found = try catalog.committed(segment, id) orelse
            return if (known.hashes[id] == null) .none else .not_committed;
        if (found.csn >= end_csn) return .none;
        const hash = hashOf(try table_catalog.schemaBytes(segment, found.ref));
        return if (known.hashes[id] == hash) .none else .not_logged;
    }
};

fn hashOf(bytes: []const u8) u64 {
    return std.hash.Wyhash.hash(0, bytes);
}

test "check: tables are known from the records that create them, whatever follows" {
    var known: Known = .{};
    var record: [64]u8 = undefined;
    var used = records.encodeTime(1, &record);
    used += records.encodeCreateTable(3, "schema", record[used..]);
    record[used] = 4 << 3 | 1 | 1; // a row of a table that is not known here
    known.noteRecord(record[0 .. used + 1]);
    try std.testing.expectEqual(hashOf("schema"), known.hashes[3]);
    for (known.hashes, 0..) |hash, id| if (id != 3) try std.testing.expectEqual(null, hash);
    for (0..used) |size| {
        var cut: Known = .{};
        cut.noteRecord(record[0..size]);
        try std.testing.expectEqual(null, cut.hashes[3]);
    }
}
