//! One write of a transaction: what it asks for, and what it does to the row that it finds.
//!
//! **Memory**: a `Write` borrows its image and its chain until the commit is over.
const std = @import("std");
const view_ = @import("../table/view.zig");
const key_ = @import("../row/key.zig");
const Key = @import("../table/primary_map.zig").Key;
const Ref = @import("../segment/rel_ptr.zig").Ref;

pub const Op = enum(u8) {
    /// Named columns over the row that is there, or a new row.
    upsert = 0,
    insert = 1,
    /// Named columns over the row that is there; nothing when there is none.
    update = 2,
    delete = 3,
    /// The image as it stands: a transaction has merged it already.
    replace = 4,
};

pub const Result = enum(u8) { none, inserted, updated, unchanged, stale, absent, deleted };

/// The base that the transaction built upon.
pub const Expected = union(enum) {
    /// Whatever is newest at installing.
    any,
    absent,
    version: Ref,
};

/// Columns that are as old as a stamp says: where the row has a newer stamp, a write leaves them.
pub const NewestGroup = extern struct {
    /// The column of the stamp.
    column: u32,
    reserved: u32 = 0,
    /// Columns that go by it, itself included.
    mask: u64,
};

pub const newest_none: []const NewestGroup = &.{};

pub const Write = struct {
    table: *const view_.TableView,
    key: Key,
    op: Op,
    named: u64 = 0,
    missing: u64 = 0,
    /// Columns are in one group at most.
    newest: []const NewestGroup = newest_none,
    image: [*]align(8) const u8,
    expected: Expected = .any,
    /// The slot that the transaction found the key in, or none. **Precondition**: found under the
    /// pin that still stands, so that the slot is the key's or closed.
    found: Ref = 0,
    /// A later write of the same key in the same transaction.
    next: ?*Write = null,
    result: Result = .none,
    version: Ref = 0,
    slot: Ref = 0,
    base: Ref = 0,
    base_present: bool = false,
    /// The installed version is a row, not a tombstone.
    leaves_row: bool = false,
};

pub const Decision = enum { nothing, put, remove };

pub const BindError = error{ DuplicateKey, MissingValue };

/// Applies the chain of `write` to the row that is there; the row that is left lies in `out`.
pub fn bind(write: *Write, base: ?[*]align(8) const u8, out: [*]align(8) u8) BindError!Decision {
    const size = write.table.schema.image_size;
    var present = base != null;
    if (base) |image| @memcpy(out[0..size], image[0..size]);
    var each: ?*Write = write;
    while (each) |w| : (each = w.next) {
        w.result = try applyOne(w, &present, out[0..size]);
    }
    if (!present) {
        if (base == null) return .nothing;
        // A tombstone keeps the key, so that the map still finds the slot.
        const key = write.table.schema.primaryKey();
        @memset(out[0..size], 0);
        @memcpy(out[key.offset..][0..key.size], write.key.bytes);
        return .remove;
    }
    if (base) |image| if (std.mem.eql(u8, out[0..size], image[0..size])) return .nothing;
    return .put;
}

/// The column that a new row of this chain would lack, by position.
pub fn missingColumn(write: *const Write) ?u32 {
    var each: ?*const Write = write;
    while (each) |w| : (each = w.next) {
        if (w.op != .update and w.missing != 0) return @as(u32, @ctz(w.missing)) + 1;
    }
    return null;
}

/// Forgets a binding that was not installed.
pub fn unbind(write: *Write) void {
    var each: ?*Write = write;
    while (each) |w| : (each = w.next) w.result = .none;
}

fn applyOne(write: *const Write, present: *bool, row: []align(8) u8) BindError!Result {
    switch (write.op) {
        .delete => {
            defer present.* = false;
            return if (present.*) .deleted else .absent;
        },
        .replace => {
            defer present.* = true;
            @memcpy(row, write.image[0..row.len]);
            return if (present.*) .updated else .inserted;
        },
        .insert => if (present.*) return error.DuplicateKey,
        .update => if (!present.*) return .absent,
        .upsert => {},
    }
    if (!present.*) {
        if (write.missing != 0) return error.MissingValue;
        @memcpy(row, write.image[0..row.len]);
        present.* = true;
        return .inserted;
    }
    var named = write.named;
    var dropped = false;
    for (write.newest) |*group| {
        if (!isStale(write, group.column, row)) continue;
        // A row that names nothing but its key and stamp is stale with them.
        dropped = true;
        named &= ~group.mask;
    }
    if (dropped and named == 0) return .stale;
    return if (merge(write.table, named, write.image, row)) .updated else .unchanged;
}

/// True when the row holds a newer observation by the stamp in column `position`.
fn isStale(write: *const Write, position: u32, row: []align(8) const u8) bool {
    const column = &write.table.schema.columns[position];
    if (write.named & column.mask() == 0 and column.position != 0) return false;
    if (column.isNull(row.ptr)) return false;
    if (column.isNull(write.image)) return true;
    var have: [64]u64 = undefined;
    var want: [64]u64 = undefined;
    const words = key_.keyWordsCount(column);
    if (words > have.len) return false;
    key_.encodeKey(column, row.ptr, &have);
    key_.encodeKey(column, write.image, &want);
    return key_.order(want[0..words], have[0..words]) == .lt;
}

/// Copies the named columns; true when something changed.
pub fn merge(
    table: *const view_.TableView,
    named: u64,
    image: [*]align(8) const u8,
    row: []align(8) u8,
) bool {
    if (named == table.columns_mask) {
        if (std.mem.eql(u8, row, image[0..row.len])) return false;
        @memcpy(row, image[0..row.len]);
        return true;
    }
    var changed = false;
    var rest = named & table.columns_mask;
    while (rest != 0) : (rest &= rest - 1) {
        const column = &table.schema.columns[@as(usize, @ctz(rest)) + 1];
        const from = image[column.offset..][0..column.size];
        const to = row[column.offset..][0..column.size];
        if (!std.mem.eql(u8, from, to)) {
            @memcpy(to, from);
            changed = true;
        }
    }
    const nulls: *u64 = @ptrCast(row.ptr);
    // Zig gives `&` and `|` one precedence.
    const merged = (nulls.* & ~named) | (std.mem.readInt(u64, image[0..8], .little) & named);
    if (merged != nulls.*) {
        nulls.* = merged;
        changed = true;
    }
    return changed;
}
