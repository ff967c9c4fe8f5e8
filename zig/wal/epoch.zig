//! The file that remembers the newest log file there was: a log whose last files are gone would
//! otherwise be taken for a shorter one, and no log at all for a new database (W14).
//!
//! **Invariants.** An epoch is written here only after its log file is in place for good, so the
//! log has this epoch or a newer one, whatever crash comes in between. Damage to this file only
//! weakens that check.
//!
//! **Concurrency.** Two writers may be here at once, one of them late: it writes an epoch that is
//! too old, or spoils a place, and the check is weaker until the next epoch.
//!
//! **Memory.** Values.

const std = @import("std");
const formats = @import("format.zig");
const storages = @import("storage.zig");

const EpochRecord = formats.EpochRecord;
const Storage = storages.Storage;

/// The newest epoch that was in place, or null where none is remembered.
pub fn load(storage: Storage) storages.Error!?EpochRecord {
    const file = storage.open(formats.epoch_name, .read) catch |err| switch (err) {
        error.NotFound => return null,
        else => |other| return other,
    };
    defer storage.close(file);
    const places = try readPlaces(storage, file);
    const newest = &places[newestOf(&places)];
    return if (newest.isWhole()) newest.* else null;
}

/// Remembers an epoch whose file is in place. A failure is no harm: the check is weaker then.
pub fn store(
    storage: Storage,
    database_id: formats.DatabaseId,
    epoch: u64,
    timeline: formats.Timeline,
) void {
    tryStore(storage, database_id, epoch, timeline) catch {};
}

/// Remembers that a timeline has begun, before anything of it is shown, where there is a log. A
/// failure is no harm, unless another boot fails to write anything as well: then two histories have
/// one name.
pub fn begin(
    storage: Storage,
    database_id: formats.DatabaseId,
    epoch: u64,
    timeline: formats.Timeline,
) void {
    if (epoch == 0) return;
    tryStore(storage, database_id, epoch, timeline) catch {};
}

/// Nothing is remembered any more, by order (`cut.zig`). True if something was.
pub fn forget(storage: Storage) storages.Error!bool {
    storage.unlink(formats.epoch_name) catch |err| switch (err) {
        error.NotFound => return false,
        else => |other| return other,
    };
    try storage.syncDirectory();
    return true;
}

fn tryStore(
    storage: Storage,
    database_id: formats.DatabaseId,
    epoch: u64,
    timeline: formats.Timeline,
) storages.Error!void {
    var is_new = false;
    const file = storage.open(formats.epoch_name, .read_write) catch |err| switch (err) {
        error.NotFound => blk: {
            is_new = true;
            break :blk try storage.open(formats.epoch_name, .create);
        },
        else => |other| return other,
    };
    defer storage.close(file);
    const places = try readPlaces(storage, file);
    const newest = newestOf(&places);
    if (places[newest].isWhole()) {
        const known = &places[newest];
        const is_later = known.epoch == epoch and known.timeline.number < timeline.number;
        if (known.epoch >= epoch and !is_later) return;
    }
    var record: EpochRecord = .{ .database_id = database_id, .epoch = epoch, .timeline = timeline };
    if (places[newest].isWhole()) record.follow(&places[newest], timeline);
    record.seal();
    const place: u64 = 1 - newest;
    try storage.write(file, place * EpochRecord.place_size, std.mem.asBytes(&record));
    try storage.sync(file);
    if (is_new) try storage.syncDirectory();
}

fn readPlaces(storage: Storage, file: storages.File) storages.Error![2]EpochRecord {
    var places = std.mem.zeroes([2]EpochRecord);
    for (&places, 0..) |*place, index| {
        _ = try storage.read(file, index * EpochRecord.place_size, std.mem.asBytes(place));
    }
    return places;
}

fn newestOf(places: *const [2]EpochRecord) usize {
    if (!places[0].isWhole()) return 1;
    if (!places[1].isWhole()) return 0;
    if (places[0].epoch == places[1].epoch) {
        return @intFromBool(places[1].timeline.number > places[0].timeline.number);
    }
    return @intFromBool(places[1].epoch > places[0].epoch);
}
