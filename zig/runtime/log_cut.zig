//! A damaged log made readable on explicit order: cut at the place that the user names, and begun
//! anew at the checkpoint if what is left does not reach it.
//!
//! **Concurrency**: nobody has the database open; the caller holds the boot lock.
const std = @import("std");
const checkpoint_write = @import("../checkpoint/write.zig");
const checkpoint_formats = @import("../checkpoint/format.zig");
const bulk = @import("../table/bulk.zig");
const cut = @import("../wal/cut.zig");
const epochs = @import("../wal/epoch.zig");
const formats = @import("../wal/format.zig");
const reader_ = @import("../wal/reader.zig");
const storage_ = @import("../wal/storage.zig");
const wal_file = @import("../wal/file.zig");

const Allocator = std.mem.Allocator;
const Storage = storage_.Storage;
const copy_buffer_size = 1 << 20;

/// What was done; doubles hold integers up to 2^53.
pub const Report = extern struct {
    cut_size: f64,
    set_aside_size: f64,
    set_aside_count: u32,
    copy_name_size: u32,
    /// Of the file that was cut.
    copy_name: [64]u8,
};

pub fn run(
    allocator: Allocator,
    storage: Storage,
    name: []const u8,
    offset: u64,
    report: *Report,
) !void {
    const buffer = try allocator.alloc(u8, copy_buffer_size);
    defer allocator.free(buffer);

    const identity = try identify(storage, allocator);
    var done = cut.cutAt(storage, allocator, name, offset, buffer) catch |err| return refused(err);
    if (!try reaches(storage, allocator, identity.start_csn)) {
        cut.setAllAside(storage, allocator, &done) catch |err| return refused(err);
        var writer = wal_file.Writer.create(storage, allocator, .{
            .database_id = identity.database_id,
            .epoch = identity.epoch_max + 1,
            .first_csn = identity.start_csn,
            .timeline = identity.timeline,
        }) catch |err| return switch (err) {
            error.Superseded => error.IoError, // another process writes a log there
            else => |other| other,
        };
        writer.close();
    }
    report.* = std.mem.zeroes(Report);
    report.cut_size = @floatFromInt(done.cut_size);
    report.set_aside_size = @floatFromInt(done.set_aside_size);
    report.set_aside_count = done.set_aside_count;
    const kept = done.copy_name.slice();
    report.copy_name_size = @intCast(kept.len);
    @memcpy(report.copy_name[0..kept.len], kept);
}

/// What a cut that was refused is at the boundary.
fn refused(err: cut.Error) (storage_.Error || error{ OutOfMemory, InvalidArgument }) {
    return switch (err) {
        error.UnknownFile => error.NotFound,
        error.OffsetBeyondEnd => error.InvalidArgument,
        else => |other| other,
    };
}

const Identity = struct {
    database_id: formats.DatabaseId,
    /// Where recovery begins to read the log.
    start_csn: u64,
    epoch_max: u64,
    timeline: formats.Timeline,
};

fn identify(storage: Storage, allocator: Allocator) !Identity {
    var identity: Identity = .{
        .database_id = @splat(0),
        .start_csn = bulk.csn_recovered + 1,
        .epoch_max = 0,
        .timeline = .{},
    };
    var files: std.ArrayList(formats.LogFile) = .empty;
    defer files.deinit(allocator);
    try formats.listFiles(storage, allocator, &files);
    for (files.items) |*file| {
        if (file.fault != null) continue;
        identity.database_id = file.header.database_id;
        identity.epoch_max = @max(identity.epoch_max, file.header.epoch);
        identity.timeline = file.header.timeline; // of the newest file
    }
    if (try epochs.load(storage)) |remembered| {
        identity.database_id = remembered.database_id;
        identity.epoch_max = @max(identity.epoch_max, remembered.epoch);
    }
    const name = checkpoint_formats.current_name;
    const header = try checkpoint_write.readHeader(storage, name) orelse return identity;
    if (header.fault() != null) return identity;
    identity.database_id = header.database_id;
    identity.start_csn = header.snapshot_csn;
    return identity;
}

/// Whether what is left of the log leads on from the checkpoint. Other damage is not looked for.
fn reaches(storage: Storage, allocator: Allocator, start_csn: u64) !bool {
    var fault: ?reader_.Fault = null;
    var reader = reader_.Reader.open(storage, allocator, .{
        .start_csn = start_csn,
        .is_expected = true,
    }, &fault) catch |err| return if (err == error.WalCorrupt)
        fault.?.reason != .start_missing
    else
        err;
    defer reader.close();
    while (true) {
        const found = reader.next() catch |err| return if (err == error.WalCorrupt)
            reader.fault.?.reason != .behind
        else
            err;
        if (found == null) return true;
    }
}
