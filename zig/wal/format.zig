//! The bytes around log records: file header and batch header, and the names of log files.
//! `docs/internals/wal.md` says what each is for; its laws are cited here.
//!
//! **Invariants.** A batch header is recognised by itself: its checksum is seeded with its file's
//! checksum (so with database, epoch and first CSN) and with its own offset, so neither a stale
//! header nor the copy of one inside a row is taken for one (W8).
//!
//! **Concurrency** and **Memory.** Values.

const std = @import("std");
const checksum = @import("../checksum.zig");
const limits = @import("../limits.zig");
const storages = @import("storage.zig");
const assert = std.debug.assert;

const Name = storages.Name;
const Storage = storages.Storage;

/// 2: timelines, schema bytes with a list of indexes, catalog operations and times.
pub const version: u32 = 2;
/// Batches begin here: no batch shares a sector or a page with the file header.
pub const batches_offset: u32 = 4096;
/// More than any log buffer; bounds what a reader has to hold.
pub const payload_size_max: u32 = 1 << 30;

pub const DatabaseId = [16]u8;

pub const Timeline = @import("../segment/timeline.zig").Timeline;

pub const FileHeader = extern struct {
    magic: u64 = file_magic,
    version: u32 = version,
    batches_offset: u32 = batches_offset,
    database_id: DatabaseId,
    epoch: u64,
    /// The first CSN that this file tells of; older files are not read for it and later ones.
    first_csn: u64,
    timeline: Timeline = .{},
    /// Of the bytes before it.
    crc: u32 = 0,

    comptime {
        assert(@sizeOf(FileHeader) == 64);
        assert(@offsetOf(FileHeader, "database_id") == 16);
        assert(@offsetOf(FileHeader, "timeline") == 48);
        assert(@offsetOf(FileHeader, "crc") == 60);
    }

    pub fn seal(header: *FileHeader) void {
        header.crc = header.checksumNow();
    }

    pub const Fault = enum { cut, magic, version, checksum };

    /// What is wrong with the bytes of a header, or nothing.
    pub fn fault(header: *const FileHeader) ?Fault {
        if (header.magic != file_magic) return .magic;
        if (header.version != version) return .version;
        if (header.crc != header.checksumNow()) return .checksum;
        return null;
    }

    fn checksumNow(header: *const FileHeader) u32 {
        return checksum.update(0, std.mem.asBytes(header)[0..@offsetOf(FileHeader, "crc")]);
    }
};

const file_magic: u64 = std.mem.readInt(u64, "AEROWAL\x01", .little);

pub const BatchHeader = extern struct {
    magic: u32 = batch_magic,
    payload_size: u32,
    /// The batch tells of the CSNs from `first_csn` on, `csn_count` of them, aborted ones included.
    first_csn: u64,
    csn_count: u32,
    transaction_count: u32,
    /// Bytes of the file before this batch that were not known to be on the disk when it was
    /// written.
    unsynced_size: u32,
    /// `payload_crc` of the batch before, of the first one the file header's.
    previous_crc: u32,
    header_crc: u32 = 0,
    /// Of the payload, seeded with `header_crc`: it covers the whole batch and all before it.
    payload_crc: u32 = 0,

    comptime {
        assert(@sizeOf(BatchHeader) == batch_header_size);
        assert(@offsetOf(BatchHeader, "header_crc") == 32);
        assert(@offsetOf(BatchHeader, "payload_crc") == 36);
    }

    pub fn seal(header: *BatchHeader, file_crc: u32, offset: u64) void {
        header.header_crc = header.headerCrc(file_crc, offset);
    }

    /// True when this file's writer wrote this header at this offset.
    pub fn isGenuine(header: *const BatchHeader, file_crc: u32, offset: u64) bool {
        return header.magic == batch_magic and
            header.header_crc == header.headerCrc(file_crc, offset) and
            header.payload_size <= payload_size_max and
            header.unsynced_size <= offset - batches_offset and
            header.transaction_count <= header.csn_count;
    }

    fn headerCrc(header: *const BatchHeader, file_crc: u32, offset: u64) u32 {
        const seed = checksum.update(file_crc, std.mem.asBytes(&offset));
        const covered = @offsetOf(BatchHeader, "header_crc");
        return checksum.update(seed, std.mem.asBytes(header)[0..covered]);
    }
};

pub const batch_header_size = 40;
pub const batch_magic: u32 = std.mem.readInt(u32, "ABAT", .little);

pub const current_name = "aerostore.wal";

/// The name of a file that is no longer written to.
pub fn retiredName(epoch: u64) Name {
    return .format(current_name ++ ".{d}", .{epoch});
}

/// The name of a file that is being made.
pub fn temporaryName(epoch: u64) Name {
    return .format(current_name ++ ".{d}" ++ temporary_suffix, .{epoch});
}

const temporary_suffix = ".tmp";

/// The epoch in the name of a temporary file.
pub fn temporaryEpoch(name: []const u8) ?u64 {
    if (!std.mem.endsWith(u8, name, temporary_suffix)) return null;
    return suffixEpoch(name[0 .. name.len - temporary_suffix.len]);
}

/// The epoch in the name of a retired file.
pub fn retiredEpoch(name: []const u8) ?u64 {
    return suffixEpoch(name);
}

/// True for the names of log files; a copy kept under another name is none.
pub fn isLogName(name: []const u8) bool {
    return std.mem.eql(u8, name, current_name) or suffixEpoch(name) != null;
}

fn suffixEpoch(name: []const u8) ?u64 {
    const start = current_name.len + 1;
    if (name.len <= start or !std.mem.startsWith(u8, name, current_name ++ ".")) return null;
    for (name[start..]) |byte| if (!std.ascii.isDigit(byte)) return null;
    return std.fmt.parseInt(u64, name[start..], 10) catch null;
}

/// Remembers which log there must be (W14).
pub const epoch_name = "aerostore.epoch";

/// One of the two places of `epoch_name`: the newer epoch counts, and takes the place of the older.
/// Each has a sector of its own, so that a torn write spoils one of them.
pub const EpochRecord = extern struct {
    magic: u64 = epoch_magic,
    database_id: DatabaseId,
    epoch: u64,
    timeline: Timeline = .{},
    /// How many of `ends` are known.
    end_count: u32 = 0,
    /// The CSNs at which earlier timelines ended, the latest one first.
    ends: [ends_max]u64 = @splat(0),
    reserved: u32 = 0,
    /// Of the bytes before it.
    crc: u32 = 0,

    comptime {
        assert(@sizeOf(EpochRecord) == place_size);
        assert(@offsetOf(EpochRecord, "epoch") == 24);
        assert(@offsetOf(EpochRecord, "timeline") == 32);
        assert(@offsetOf(EpochRecord, "ends") == 48);
        assert(@offsetOf(EpochRecord, "crc") == 508);
    }

    pub const place_size = 512;
    pub const ends_max = 57;

    /// Notes the timeline that `epoch` belongs to; `before` is the record that this one follows.
    pub fn follow(record: *EpochRecord, before: *const EpochRecord, timeline: Timeline) void {
        record.timeline = timeline;
        const known = @min(before.end_count, ends_max);
        if (before.timeline.number >= timeline.number) {
            record.end_count = known;
            record.ends = before.ends;
            return;
        }
        record.end_count = @min(known + 1, ends_max);
        record.ends[0] = timeline.start_csn;
        @memcpy(record.ends[1..record.end_count], before.ends[0 .. record.end_count - 1]);
    }

    pub fn seal(record: *EpochRecord) void {
        record.crc = record.checksumNow();
    }

    /// An epoch that no writer reaches counts as damage.
    pub fn isWhole(record: *const EpochRecord) bool {
        return record.magic == epoch_magic and record.crc == record.checksumNow() and
            record.epoch < limits.epoch_limit;
    }

    fn checksumNow(record: *const EpochRecord) u32 {
        return checksum.update(0, std.mem.asBytes(record)[0..@offsetOf(EpochRecord, "crc")]);
    }
};

const epoch_magic: u64 = std.mem.readInt(u64, "AEROEPO\x02", .little);

/// One log file of a directory.
pub const LogFile = struct {
    name: Name,
    size: u64,
    header: FileHeader,
    fault: ?FileHeader.Fault,

    /// Whether both have the header of one file.
    pub fn isSameAs(file: *const LogFile, other: *const LogFile) bool {
        if (file.fault != null or other.fault != null) return false;
        return std.mem.eql(u8, std.mem.asBytes(&file.header), std.mem.asBytes(&other.header));
    }

    /// By epoch; a file whose header cannot be read comes first.
    pub fn before(_: void, a: LogFile, b: LogFile) bool {
        if (a.fault != null or b.fault != null) return a.fault != null and b.fault == null;
        return a.header.epoch < b.header.epoch;
    }
};

pub const ListError = storages.Error || error{OutOfMemory};

/// Appends all log files with their headers, in the order of their epochs.
pub fn listFiles(
    storage: Storage,
    allocator: std.mem.Allocator,
    files: *std.ArrayList(LogFile),
) ListError!void {
    var names: std.ArrayList(Name) = .empty;
    defer names.deinit(allocator);
    try storage.list(current_name, allocator, &names);
    for (names.items) |name| {
        if (!isLogName(name.slice())) continue;
        // Another session may have dropped or renamed it since: then it is not, or twice, here.
        const found = readHeader(storage, name) catch |err| switch (err) {
            error.NotFound => continue,
            else => |other| return other,
        };
        try files.append(allocator, found);
    }
    std.mem.sortUnstable(LogFile, files.items, {}, LogFile.before);
    uniteNames(files);
}

/// A file with two names, as a kill between `link` and `unlink` leaves it where renaming cannot
/// refuse an existing name, is one file. Of two copies the longer one counts, of equal ones that
/// which may still be written to.
fn uniteNames(files: *std.ArrayList(LogFile)) void {
    var index: usize = 1;
    while (index < files.items.len) {
        const one = &files.items[index - 1];
        const two = files.items[index];
        if (!one.isSameAs(&two)) {
            index += 1;
            continue;
        }
        const is_current = std.mem.eql(u8, two.name.slice(), current_name);
        if (two.size > one.size or (two.size == one.size and is_current)) one.* = two;
        _ = files.orderedRemove(index);
    }
}

pub fn readHeader(storage: Storage, name: Name) storages.Error!LogFile {
    const file = try storage.open(name.slice(), .read);
    defer storage.close(file);
    var found: LogFile = .{
        .name = name,
        .size = try storage.size(file),
        .header = std.mem.zeroes(FileHeader),
        .fault = null,
    };
    const count = try storage.read(file, 0, std.mem.asBytes(&found.header));
    found.fault = if (count < @sizeOf(FileHeader)) .cut else found.header.fault();
    return found;
}

const testing = std.testing;

test "wal names: log files, temporary files and everything else" {
    try testing.expect(isLogName("aerostore.wal"));
    try testing.expect(isLogName("aerostore.wal.12"));
    try testing.expect(isLogName(retiredName(std.math.maxInt(u64)).slice()));
    for ([_][]const u8{
        "aerostore.wal.",
        "aerostore.wal.1x",
        "aerostore.wal.12.tmp",
        "aerostore.wal.12.kept",
        "aerostore.wa",
        "aerostore.wal12",
        "aerostore.wal.99999999999999999999",
    }) |name| try testing.expect(!isLogName(name));
    try testing.expectEqual(12, temporaryEpoch(temporaryName(12).slice()));
    try testing.expectEqual(null, temporaryEpoch("aerostore.wal.tmp"));
}

test "wal header: every flipped bit is noticed" {
    var header: FileHeader = .{ .database_id = @splat(7), .epoch = 3, .first_csn = 99 };
    header.seal();
    try testing.expectEqual(null, header.fault());
    for (0..@sizeOf(FileHeader) * 8) |bit| {
        var damaged = header;
        std.mem.asBytes(&damaged)[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        try testing.expect(damaged.fault() != null);
    }
    var batch: BatchHeader = .{
        .payload_size = 10,
        .first_csn = 99,
        .csn_count = 2,
        .transaction_count = 1,
        .unsynced_size = 0,
        .previous_crc = header.crc,
    };
    batch.seal(header.crc, batches_offset);
    try testing.expect(batch.isGenuine(header.crc, batches_offset));
    try testing.expect(!batch.isGenuine(header.crc, batches_offset + 1));
    try testing.expect(!batch.isGenuine(header.crc + 1, batches_offset));
}
