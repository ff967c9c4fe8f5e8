//! Writing the log: batches of transactions, and the one file that they are appended to.
//!
//! A `Batch` gathers the transactions of a run of CSNs; a `Writer` appends batches to the file of
//! its epoch, with one write each, and syncs them. A new writer, and a new file in place of one
//! that has grown, is a new epoch: `Writer.create` syncs the older files, renames `aerostore.wal`
//! after its epoch and puts a new one there (P25).
//!
//! **Invariants.** `position` is behind the last batch that was written whole; a failed append
//! leaves it, so the next one overwrites what the failed one left. Batches cover CSNs without a
//! hole: each begins where the one before ended, the first of a file at the header's `first_csn`
//! (W9). Bytes before `synced_position` are on the disk. After a failed sync `poisoned` is set for
//! good, and nothing is written or synced any more.
//!
//! **Concurrency.** A writer belongs to the thread that holds the writer lease. Another one may
//! come at any moment: files are only renamed to names that do not exist, and which came first is
//! told by the epochs in the headers, never by names. If this thread dies anywhere, the next writer
//! finds the older files under one name or another, perhaps a temporary file, which it removes.
//!
//! **Memory.** A batch fills the caller's buffer. A writer owns its file until `close`.

const std = @import("std");
const checksum = @import("../checksum.zig");
const epochs = @import("epoch.zig");
const fault = @import("../instrument/fault.zig");
const formats = @import("format.zig");
const limits = @import("../limits.zig");
const storages = @import("storage.zig");
const vints = @import("../row/vint.zig");
const assert = std.debug.assert;

const Allocator = std.mem.Allocator;
const BatchHeader = formats.BatchHeader;
const FileHeader = formats.FileHeader;
const LogFile = formats.LogFile;
const Storage = storages.Storage;

/// What goes before a transaction's record: size and flag, and the distance from the CSN expected.
const transaction_head_size_max = 2 * vints.size_max;

/// Transactions of consecutive CSNs, in the form in which they are written.
pub const Batch = struct {
    /// The batch header's room, then the payload.
    buffer: []u8,
    used: usize,
    first_csn: u64,
    /// The CSN that the next transaction has if none was aborted in between.
    expected_csn: u64,
    /// All CSNs below it, from `first_csn` on, are told of.
    end_csn: u64,
    transaction_count: u32,

    /// Bytes of a buffer that holds any one record of `record_size` bytes.
    pub fn sizeFor(record_size: usize) usize {
        return formats.batch_header_size + transaction_head_size_max + record_size;
    }

    pub fn init(buffer: []u8) Batch {
        assert(buffer.len >= sizeFor(0));
        var batch: Batch = undefined;
        batch.buffer = buffer;
        batch.begin(0);
        return batch;
    }

    /// Empties the batch; `first_csn` is the writer's `next_csn`.
    pub fn begin(batch: *Batch, first_csn: u64) void {
        batch.used = formats.batch_header_size;
        batch.first_csn = first_csn;
        batch.expected_csn = first_csn;
        batch.end_csn = first_csn;
        batch.transaction_count = 0;
    }

    pub fn isEmpty(batch: *const Batch) bool {
        return batch.end_csn == batch.first_csn;
    }

    pub const AddError = error{
        /// The buffer has no room for it: append the batch, begin another one. A record that does
        /// not fit into an empty batch goes by `Writer.appendLarge`.
        BatchFull,
    };

    /// Adds the record of a committed transaction, which may lie in several parts (a log buffer
    /// that wraps around). CSNs rise; those left out are the aborted ones. A CSN below `first_csn`
    /// is in the file already, from an attempt whose end did not become known, and is passed over.
    pub fn add(batch: *Batch, csn: u64, parts: []const []const u8) AddError!void {
        if (csn < batch.first_csn) return;
        const size = sizeOf(parts);
        if (size > batch.buffer.len - batch.used) return error.BatchFull;
        if (transaction_head_size_max > batch.buffer.len - batch.used - size) {
            return error.BatchFull;
        }
        try batch.addHead(csn, size);
        for (parts) |part| {
            @memcpy(batch.buffer[batch.used..][0..part.len], part);
            batch.used += part.len;
        }
    }

    fn addHead(batch: *Batch, csn: u64, size: u64) AddError!void {
        assert(csn >= batch.end_csn);
        if (csn - batch.first_csn >= std.math.maxInt(u32)) return error.BatchFull;
        const skipped = csn - batch.expected_csn;
        const head = batch.buffer[batch.used..];
        var head_size = vints.write(head, size << 1 | @intFromBool(skipped > 0));
        if (skipped > 0) head_size += vints.write(head[head_size..], skipped);
        batch.used += head_size;
        batch.expected_csn = csn + 1;
        batch.end_csn = csn + 1;
        batch.transaction_count += 1;
    }

    /// Tells of CSNs up to, but not including, `end_csn`: those not added were aborted. What is
    /// told already stays told.
    pub fn cover(batch: *Batch, end_csn: u64) AddError!void {
        if (end_csn <= batch.end_csn) return;
        if (end_csn - batch.first_csn > std.math.maxInt(u32)) return error.BatchFull;
        batch.end_csn = end_csn;
    }
};

fn sizeOf(parts: []const []const u8) usize {
    var size: usize = 0;
    for (parts) |part| size += part.len;
    return size;
}

pub const AppendError = storages.Error || error{
    /// A sync failed before: what is on the disk is not known. Reopen the database.
    Poisoned,
    /// No batch can be so large.
    RecordTooLarge,
};

pub const SyncError = error{Poisoned};

pub const CreateError = storages.Error || error{
    OutOfMemory,
    /// An epoch that is not older has its file already: another writer has taken over.
    Superseded,
    /// The header of an older log file cannot be read.
    WalCorrupt,
    /// No epoch is left.
    NumbersUsedUp,
    Poisoned,
};

const allocate_size_usual = 1 << 20;

pub const CreateOptions = struct {
    database_id: formats.DatabaseId,
    /// Above that of every file there is.
    epoch: u64,
    /// The first CSN that is not in the older files: the drained word's, or what recovery found.
    first_csn: u64,
    timeline: formats.Timeline = .{},
    /// The file grows by this much at a time.
    allocate_size: u64 = allocate_size_usual,
    /// Not 0 once a sync of the log has failed in any process.
    poison: ?*const u32 = null,

    fn isPoisoned(options: *const CreateOptions) bool {
        const word = options.poison orelse return false;
        return @atomicLoad(u32, word, .seq_cst) != 0;
    }
};

fn isOf(file: *const LogFile, database_id: formats.DatabaseId) bool {
    return std.mem.eql(u8, &file.header.database_id, &database_id);
}

pub const Writer = struct {
    storage: Storage,
    file: storages.File,
    epoch: u64,
    file_crc: u32,
    previous_crc: u32,
    /// The CSN that the next batch begins with.
    next_csn: u64,
    position: u64,
    synced_position: u64,
    /// Bytes of the file that exist.
    allocated: u64,
    allocate_size: u64,
    poisoned: bool,

    /// Makes the file of a new epoch and puts it in place. Everything that older files hold is on
    /// the disk then. After `Poisoned` nobody may write to the log any more, in whatever epoch.
    /// After any other error no file of this epoch is in place, and an older writer can go on.
    pub fn create(
        storage: Storage,
        allocator: Allocator,
        options: CreateOptions,
    ) CreateError!Writer {
        assert(std.math.isPowerOfTwo(options.allocate_size));
        if (options.epoch >= limits.epoch_limit) return error.NumbersUsedUp;
        try settleOlder(storage, allocator, options);
        // A sync that failed before, by whomever, may have dropped what this one found clean.
        if (options.isPoisoned()) return error.Poisoned;
        const temporary = formats.temporaryName(options.epoch);
        const writer = try createFile(storage, temporary.slice(), options);
        errdefer storage.close(writer.file);
        errdefer storage.unlink(temporary.slice()) catch {};
        fault.point("log.made");

        var tries: u32 = 0;
        while (tries < tries_max) : (tries += 1) {
            try retireCurrent(storage, options);
            fault.point("log.retired");
            // On the disk before the new name is taken: a crash must not keep the second renaming
            // and lose the first, and with it the older file.
            storage.syncDirectory() catch return error.Poisoned;
            const from = temporary.slice();
            storage.rename(from, formats.current_name, .keep) catch |err| switch (err) {
                error.Exists => continue,
                // A newer writer has removed it.
                error.NotFound => return error.Superseded,
                else => |other| return other,
            };
            fault.point("log.placed");
            storage.syncDirectory() catch return error.Poisoned;
            epochs.store(storage, options.database_id, options.epoch, options.timeline);
            return writer;
        }
        return error.Superseded;
    }

    /// Where a writer has left its file, everything in it on the disk.
    pub const Place = struct {
        epoch: u64,
        file_crc: u32,
        previous_crc: u32,
        next_csn: u64,
        position: u64,

        pub fn check(place: Place) u64 {
            var hash: std.hash.Wyhash = .init(0x50_4c_41_43_45);
            inline for (std.meta.fields(Place)) |field| {
                hash.update(std.mem.asBytes(&@field(place, field.name)));
            }
            return hash.final();
        }
    };

    /// Where the next writer may go on by `reopen`, or null while anything is not on the disk.
    pub fn placeOf(writer: *const Writer) ?Place {
        if (writer.poisoned or writer.synced_position != writer.position) return null;
        return .{
            .epoch = writer.epoch,
            .file_crc = writer.file_crc,
            .previous_crc = writer.previous_crc,
            .next_csn = writer.next_csn,
            .position = writer.position,
        };
    }

    /// Goes on in the file of a writer that will not write any more, in its epoch (W7).
    /// `Superseded`: the current file is another one.
    pub fn reopen(storage: Storage, place: Place) (storages.Error || error{Superseded})!Writer {
        const found = try formats.readHeader(storage, .of(formats.current_name));
        const is_it = found.fault == null and found.header.epoch == place.epoch and
            found.header.crc == place.file_crc and found.size >= place.position;
        if (!is_it) return error.Superseded;
        return .{
            .storage = storage,
            .file = try storage.open(formats.current_name, .read_write),
            .epoch = place.epoch,
            .file_crc = place.file_crc,
            .previous_crc = place.previous_crc,
            .next_csn = place.next_csn,
            .position = place.position,
            .synced_position = place.position,
            .allocated = found.size,
            .allocate_size = allocate_size_usual,
            .poisoned = false,
        };
    }

    /// Another writer between two steps of ours is rare, and newer ones end the loop.
    const tries_max = 16;

    /// Syncs the newest of the older files, and removes what an older writer left unfinished. The
    /// files before that one were synced before it was made, as far as they count.
    fn settleOlder(
        storage: Storage,
        allocator: Allocator,
        options: CreateOptions,
    ) CreateError!void {
        var files: std.ArrayList(LogFile) = .empty;
        defer files.deinit(allocator);
        try formats.listFiles(storage, allocator, &files);
        for (files.items) |*each| {
            if (each.fault != null or !isOf(each, options.database_id)) return error.WalCorrupt;
            if (each.header.epoch >= options.epoch) return error.Superseded;
        }
        // Sorted by epoch. It may stand here under two names.
        if (files.items.len > 0) try syncFile(storage, files.items[files.items.len - 1].name);
        var names: std.ArrayList(storages.Name) = .empty;
        defer names.deinit(allocator);
        try storage.list(formats.current_name, allocator, &names);
        for (names.items) |*name| {
            const made_for = formats.temporaryEpoch(name.slice()) orelse continue;
            if (made_for < options.epoch) storage.unlink(name.slice()) catch {};
        }
    }

    fn syncFile(storage: Storage, name: storages.Name) CreateError!void {
        const file = storage.open(name.slice(), .read) catch |err| switch (err) {
            // Dropped or renamed since; renamed files are synced by who renamed them.
            error.NotFound => return,
            else => |other| return other,
        };
        defer storage.close(file);
        storage.sync(file) catch return error.Poisoned;
    }

    fn createFile(storage: Storage, name: []const u8, options: CreateOptions) CreateError!Writer {
        var header: FileHeader = .{
            .database_id = options.database_id,
            .epoch = options.epoch,
            .first_csn = options.first_csn,
            .timeline = options.timeline,
        };
        header.seal();
        const file = try storage.open(name, .create);
        errdefer storage.close(file);
        errdefer storage.unlink(name) catch {};
        // What lies between the header and the batches is never written, and reads as zero.
        try storage.write(file, 0, std.mem.asBytes(&header));
        const size = std.mem.alignForward(u64, formats.batches_offset + 1, options.allocate_size);
        const roomy = try storage.allocate(file, 0, size);
        // A failure is no harm yet: nobody relies on this file.
        try storage.sync(file);
        return .{
            .storage = storage,
            .file = file,
            .epoch = options.epoch,
            .file_crc = header.crc,
            .previous_crc = header.crc,
            .next_csn = options.first_csn,
            .position = formats.batches_offset,
            .synced_position = formats.batches_offset,
            .allocated = if (roomy) size else formats.batches_offset,
            .allocate_size = options.allocate_size,
            .poisoned = false,
        };
    }

    /// Renames `aerostore.wal`, if there is one, after the epoch in its header.
    fn retireCurrent(storage: Storage, options: CreateOptions) CreateError!void {
        const name: storages.Name = .of(formats.current_name);
        const found = formats.readHeader(storage, name) catch |err| switch (err) {
            error.NotFound => return,
            else => |other| return other,
        };
        if (found.fault != null or !isOf(&found, options.database_id)) return error.WalCorrupt;
        if (found.header.epoch >= options.epoch) return error.Superseded;
        const retired = formats.retiredName(found.header.epoch);
        storage.rename(formats.current_name, retired.slice(), .keep) catch |err| switch (err) {
            // Another writer has done it, or is about to: the caller looks again.
            error.NotFound => {},
            error.Exists => try finishRetiring(storage, retired.slice()),
            else => |other| return other,
        };
    }

    /// A writer that was killed between linking and unlinking has left the file under both names.
    fn finishRetiring(storage: Storage, retired: []const u8) storages.Error!void {
        const file = storage.open(formats.current_name, .read) catch |err| switch (err) {
            error.NotFound => return,
            else => |other| return other,
        };
        defer storage.close(file);
        if (!try storage.isNamed(file, retired)) return;
        storage.unlink(formats.current_name) catch |err| switch (err) {
            error.NotFound => {},
            else => |other| return other,
        };
    }

    pub fn close(writer: *Writer) void {
        writer.storage.close(writer.file);
    }

    /// Writes the batch behind the ones before, with one write; nothing if it is empty. Its CSNs
    /// are covered then, though not on the disk before `sync`. After an error other than `Poisoned`
    /// nothing has happened, and the same or another batch that begins with the same CSN may be
    /// tried again.
    pub fn append(writer: *Writer, batch: *Batch) AppendError!void {
        if (writer.poisoned) return error.Poisoned;
        if (batch.isEmpty()) return;
        try writer.appendParts(batch, &.{});
    }

    /// Appends a batch of one transaction whose record does not fit into the batch's buffer: it is
    /// written from where it lies. The batch has no transaction, but may cover aborted CSNs. Those
    /// behind `csn` go by another batch, before anybody relies on their being told of (W9).
    pub fn appendLarge(
        writer: *Writer,
        batch: *Batch,
        csn: u64,
        parts: []const []const u8,
    ) AppendError!void {
        assert(batch.transaction_count == 0);
        if (csn < batch.first_csn) return;
        const before = batch.*;
        batch.addHead(csn, sizeOf(parts)) catch return error.RecordTooLarge;
        errdefer batch.* = before;
        try writer.appendParts(batch, parts);
    }

    fn appendParts(writer: *Writer, batch: *Batch, parts: []const []const u8) AppendError!void {
        assert(batch.first_csn == writer.next_csn);
        if (writer.poisoned) return error.Poisoned;
        const head = batch.buffer[0..batch.used];
        const payload_size = head.len - formats.batch_header_size + sizeOf(parts);
        if (payload_size > formats.payload_size_max) return error.RecordTooLarge;
        // The header has 32 bits for what is not synced.
        if (writer.position - writer.synced_position > unsynced_size_max) try writer.sync();

        const end = writer.position + formats.batch_header_size + payload_size;
        try writer.allocateUpTo(end);
        var header: BatchHeader = .{
            .payload_size = @intCast(payload_size),
            .first_csn = batch.first_csn,
            .csn_count = @intCast(batch.end_csn - batch.first_csn),
            .transaction_count = batch.transaction_count,
            .unsynced_size = @intCast(writer.position - writer.synced_position),
            .previous_crc = writer.previous_crc,
        };
        header.seal(writer.file_crc, writer.position);
        var crc = checksum.update(header.header_crc, head[formats.batch_header_size..]);
        for (parts) |part| crc = checksum.update(crc, part);
        header.payload_crc = crc;
        @memcpy(head[0..formats.batch_header_size], std.mem.asBytes(&header));

        try writer.storage.write(writer.file, writer.position, head);
        var at = writer.position + head.len;
        for (parts) |part| {
            try writer.storage.write(writer.file, at, part);
            at += part.len;
        }
        assert(at == end);
        fault.point("log.written");
        writer.position = end;
        writer.previous_crc = crc;
        writer.next_csn = batch.end_csn;
    }

    const unsynced_size_max = 1 << 31;

    fn allocateUpTo(writer: *Writer, end: u64) AppendError!void {
        if (end <= writer.allocated) return;
        const size = std.mem.alignForward(u64, end - writer.allocated, writer.allocate_size);
        const roomy = try writer.storage.allocate(writer.file, writer.allocated, size);
        if (roomy) writer.allocated += size;
    }

    /// Everything appended so far is on the disk when it returns.
    pub fn sync(writer: *Writer) SyncError!void {
        if (writer.poisoned) return error.Poisoned;
        if (writer.synced_position == writer.position) return;
        writer.storage.sync(writer.file) catch {
            writer.poisoned = true;
            return error.Poisoned;
        };
        writer.synced_position = writer.position;
    }

    /// Another has synced the file, from when this was its `position`.
    pub fn noteSynced(writer: *Writer, position: u64) void {
        assert(position <= writer.position);
        writer.synced_position = @max(writer.synced_position, position);
    }
};

pub const DropReport = struct {
    dropped_count: u32 = 0,
    dropped_size: u64 = 0,
    /// Of the log files that remain.
    kept_size: u64 = 0,
};

/// Removes the files that recovery from `csn` does not read: those whose CSNs, up to the next
/// file's first, are all below it. Only when a checkpoint of `csn` is on the disk, its name
/// included. Those of another database stay.
pub fn dropBefore(
    storage: Storage,
    allocator: Allocator,
    database_id: formats.DatabaseId,
    csn: u64,
) (storages.Error || error{OutOfMemory})!DropReport {
    return dropBut(storage, allocator, database_id, csn, .{});
}

/// What is kept beyond what recovery needs.
pub const Retention = struct {
    /// The files that reading from here on needs.
    csn: u64 = std.math.maxInt(u64),
    /// The newest of them, as many as have no more bytes together.
    size_max: u64 = 0,
};

pub fn dropBut(
    storage: Storage,
    allocator: Allocator,
    database_id: formats.DatabaseId,
    csn: u64,
    retention: Retention,
) (storages.Error || error{OutOfMemory})!DropReport {
    var files: std.ArrayList(LogFile) = .empty;
    defer files.deinit(allocator);
    try formats.listFiles(storage, allocator, &files);
    var report: DropReport = .{};
    var retained_size: u64 = 0;
    var index = files.items.len;
    while (index > 0) { // the newest first
        index -= 1;
        const each = &files.items[index];
        const later = if (index + 1 < files.items.len) &files.items[index + 1] else null;
        if (!isOf(each, database_id) or isNeeded(each, later, csn)) {
            report.kept_size += each.size;
            continue;
        }
        if (isNeeded(each, later, retention.csn)) {
            retained_size +|= each.size;
            if (retained_size <= retention.size_max) {
                report.kept_size += each.size;
                continue;
            }
        }
        if (try unlinkFile(storage, each)) {
            report.dropped_count += 1;
            report.dropped_size += each.size;
        }
    }
    return report;
}

/// Removes a file if its name still means it: another session may be dropping and renaming too.
fn unlinkFile(storage: Storage, file: *const LogFile) storages.Error!bool {
    // The current file's name is the one that changes hands.
    if (std.mem.eql(u8, file.name.slice(), formats.current_name)) return false;
    const found = formats.readHeader(storage, file.name) catch |err| switch (err) {
        error.NotFound => return false,
        else => |other| return other,
    };
    if (!found.isSameAs(file)) return false;
    storage.unlink(file.name.slice()) catch |err| switch (err) {
        error.NotFound => return false,
        else => |other| return other,
    };
    return true;
}

fn isNeeded(file: *const LogFile, next: ?*const LogFile, csn: u64) bool {
    const later = next orelse return true;
    if (file.fault != null or later.fault != null) return true;
    // Also a file in which nothing counts: the next one began with the same CSN.
    return later.header.first_csn > @max(csn, file.header.first_csn);
}
