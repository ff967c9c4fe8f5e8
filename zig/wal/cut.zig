//! Cutting a damaged log on explicit order: everything from one place of one file on ceases to
//! count, and nothing is thrown away: copies stay under names that are no log's.
//!
//! **Invariants.** The copies are on the disk, names included, before anything is cut. After a
//! crash in between, or an error, the same order may be given again.
//!
//! **Concurrency.** Nobody has the database open.
//!
//! **Memory.** Borrows the caller's buffer for copying.

const std = @import("std");
const epochs = @import("epoch.zig");
const formats = @import("format.zig");
const storages = @import("storage.zig");

const Allocator = std.mem.Allocator;
const LogFile = formats.LogFile;
const Name = storages.Name;
const Storage = storages.Storage;

pub const Error = storages.Error || error{
    OutOfMemory,
    /// No log file has that name.
    UnknownFile,
    /// The place is behind the end of the file.
    OffsetBeyondEnd,
};

pub const Report = struct {
    /// Of the file that was cut; where its copy is.
    cut_size: u64 = 0,
    copy_name: Name = .of(""),
    /// Files of later epochs, and the file itself if nothing of it remains: renamed.
    set_aside_count: u32 = 0,
    set_aside_size: u64 = 0,
};

/// Cuts the log file `name` at `offset`; later files are set aside as a whole. An offset inside the
/// file header sets the file itself aside too.
pub fn cutAt(
    storage: Storage,
    allocator: Allocator,
    name: []const u8,
    offset: u64,
    buffer: []u8,
) Error!Report {
    var files: std.ArrayList(LogFile) = .empty;
    defer files.deinit(allocator);
    try formats.listFiles(storage, allocator, &files);
    const target = for (files.items) |*each| {
        if (std.mem.eql(u8, each.name.slice(), name)) break each;
    } else {
        const is_current = std.mem.eql(u8, formats.current_name, name);
        if (!is_current or offset != 0 or !try epochs.forget(storage)) return error.UnknownFile;
        return .{};
    };
    if (offset > target.size) return error.OffsetBeyondEnd;
    _ = try epochs.forget(storage);

    var report: Report = .{};
    const whole = offset < formats.batches_offset;
    if (!whole) {
        report.cut_size = target.size - offset;
        report.copy_name = try copy(storage, target, buffer);
        try storage.syncDirectory();
    }
    for (files.items) |*each| {
        const later = epochOf(each) > epochOf(target);
        if (!later and !(whole and each == target)) continue;
        try setAside(storage, each, &report);
    }
    try storage.syncDirectory();
    if (whole) return report;

    const file = try storage.open(name, .read_write);
    defer storage.close(file);
    try storage.setSize(file, offset);
    try storage.sync(file);
    return report;
}

/// Renames all log files.
pub fn setAllAside(storage: Storage, allocator: Allocator, report: *Report) Error!void {
    var files: std.ArrayList(LogFile) = .empty;
    defer files.deinit(allocator);
    try formats.listFiles(storage, allocator, &files);
    for (files.items) |*each| try setAside(storage, each, report);
    try storage.syncDirectory();
}

fn setAside(storage: Storage, file: *const LogFile, report: *Report) Error!void {
    const kept = try freeName(storage, file.name);
    try storage.rename(file.name.slice(), kept.slice(), .keep);
    report.set_aside_count += 1;
    report.set_aside_size += file.size;
}

/// By the header, or, where that cannot be read, by the name. The current file is the last.
fn epochOf(file: *const LogFile) u64 {
    if (file.fault == null) return file.header.epoch;
    return formats.retiredEpoch(file.name.slice()) orelse std.math.maxInt(u64);
}

fn copy(storage: Storage, source: *const LogFile, buffer: []u8) Error!Name {
    const kept = try freeName(storage, source.name);
    const from = try storage.open(source.name.slice(), .read);
    defer storage.close(from);
    const to = try storage.open(kept.slice(), .create);
    defer storage.close(to);
    var at: u64 = 0;
    while (at < source.size) {
        const count = try storage.read(from, at, buffer);
        if (count == 0) break;
        try storage.write(to, at, buffer[0..count]);
        at += count;
    }
    try storage.sync(to);
    return kept;
}

/// `<name>.kept`, `<name>.kept.2` and so on: the first that does not exist.
fn freeName(storage: Storage, name: Name) Error!Name {
    const names_max = 1_000;
    for (1..names_max) |number| {
        const kept: Name = if (number == 1)
            .format("{s}.kept", .{name.slice()})
        else
            .format("{s}.kept.{d}", .{ name.slice(), number });
        const file = storage.open(kept.slice(), .read) catch |err| switch (err) {
            error.NotFound => return kept,
            else => |other| return other,
        };
        storage.close(file);
    }
    return error.Exists;
}
