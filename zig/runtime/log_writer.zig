//! The log file of this writer's epoch as a sink of the ring: batches of what is drained, one write
//! each, one sync for everything appended (group commit).
//!
//! **Invariants**: after a failure `failure` says what it was, and nothing of the batch is drained.
//!
//! **Concurrency**: the maintenance thread that holds the writer's lease.
//!
//! **Memory**: owns its buffer and its file until `close`.
const std = @import("std");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const log_state = @import("../segment/log_state.zig");
const ring = @import("../segment/ring.zig");
const fault = @import("../instrument/fault.zig");
const drain = @import("../txn/drain.zig");
const log_place = @import("log_place.zig");
const formats = @import("../wal/format.zig");
const records = @import("../wal/record.zig");
const wal_file = @import("../wal/file.zig");
const storage_ = @import("../wal/storage.zig");
const Syncer = @import("syncer.zig").Syncer;

const batch_buffer_size = 512 * 1024;
/// Batches that begin in so short a time after one that tells its time tell none.
const time_interval_ms = 1000;

/// Why the log cannot be written.
pub const Error = wal_file.CreateError || wal_file.AppendError || log_place.Error;

pub const LogWriter = struct {
    batch: wal_file.Batch,
    writer: wal_file.Writer,
    /// Bytes of the files before this one, and how many they are.
    older_size: u64 = 0,
    older_count: u32 = 0,
    large: ?struct { csn: u64, payload: []const u8 } = null,
    /// When the last batch with a time was begun, by the clock; 0: the next batch has one.
    time_ms: u64 = 0,
    /// The operation that tells the time of the present batch, before its first transaction.
    time_operation: [records.time_size_max]u8 = undefined,
    time_size: usize = 0,
    failure: wal_file.AppendError = error.IoError,

    /// Puts the file of a new epoch in place; everything in older ones is on the disk then.
    pub fn open(
        allocator: std.mem.Allocator,
        storage: storage_.Storage,
        header: *layout.Header,
        epoch: u64,
        first_csn: u64,
    ) wal_file.CreateError!LogWriter {
        const buffer = try allocator.alloc(u8, batch_buffer_size);
        errdefer allocator.free(buffer);
        return .{
            .batch = .init(buffer),
            .writer = try wal_file.Writer.create(storage, allocator, .{
                .database_id = header.database_id,
                .epoch = epoch,
                .first_csn = first_csn,
                .timeline = header.timeline,
                .poison = &header.log_poisoned.raw,
            }),
        };
    }

    /// Goes on where a writer that gave the lease back has left its file, in its epoch; null where
    /// none did, or where that does not lead on to `drained`.
    pub fn goOn(
        allocator: std.mem.Allocator,
        storage: storage_.Storage,
        header: *layout.Header,
        drained: u64,
    ) ?LogWriter {
        const epoch = header.left_epoch.swap(0, .acq_rel); // pairs with the release in `leave`
        const place: wal_file.Writer.Place = .{
            .epoch = epoch,
            .file_crc = header.left_file_crc,
            .previous_crc = header.left_previous_crc,
            .next_csn = header.left_next_csn,
            .position = header.left_position,
        };
        if (epoch == 0 or header.left_check != place.check()) return null;
        if (drained != ring.drainedWord(epoch, place.next_csn)) return null;
        const writer = wal_file.Writer.reopen(storage, place) catch return null;
        const buffer = allocator.alloc(u8, batch_buffer_size) catch {
            storage.close(writer.file);
            return null;
        };
        return .{ .batch = .init(buffer), .writer = writer };
    }

    /// Leaves the file to the next writer, if everything is in it and on the disk. The caller holds
    /// the lease, and writes no more.
    pub fn leave(log: *const LogWriter, header: *layout.Header) void {
        const place = log.writer.placeOf() orelse return;
        header.left_position = place.position;
        header.left_next_csn = place.next_csn;
        header.left_file_crc = place.file_crc;
        header.left_previous_crc = place.previous_crc;
        header.left_check = place.check();
        header.left_epoch.store(place.epoch, .release); // pairs with the swap in `goOn`
    }

    pub fn close(log: *LogWriter, allocator: std.mem.Allocator) void {
        log.writer.close();
        allocator.free(log.batch.buffer);
    }

    /// Looks at the older files again; they go when a checkpoint is done.
    pub fn measure(log: *LogWriter, allocator: std.mem.Allocator, header: *layout.Header) void {
        var files: std.ArrayList(formats.LogFile) = .empty;
        defer files.deinit(allocator);
        formats.listFiles(log.writer.storage, allocator, &files) catch return;
        log.older_size = 0;
        log.older_count = 0;
        for (files.items) |*file| {
            if (file.fault == null and file.header.epoch == log.writer.epoch) continue;
            log.older_size += file.size;
            log.older_count += 1;
        }
        header.log_size.store(log.older_size + log.writer.position, .monotonic); // a statistic
    }

    pub fn sink(log: *LogWriter) drain.Sink {
        log.batch.begin(log.writer.next_csn);
        log.large = null;
        log.noteTime();
        return .{ .context = log, .add = add, .flush = flush };
    }

    fn add(context: *anyopaque, csn: u64, payload: []const u8) bool {
        const log: *LogWriter = @ptrCast(@alignCast(context));
        if (log.large != null) return false;
        log.batch.add(csn, &.{ log.timeOnce(), payload }) catch {
            if (log.batch.transaction_count > 0) return false;
            log.large = .{ .csn = csn, .payload = payload };
        };
        return true;
    }

    /// One batch in a second tells when it was written.
    fn noteTime(log: *LogWriter) void {
        log.time_size = 0;
        const now = os.realtimeMs();
        const age = @max(now, log.time_ms) - @min(now, log.time_ms); // the clock may be put back
        if (age < time_interval_ms) return;
        log.time_ms = now;
        log.time_size = records.encodeTime(now, &log.time_operation);
    }

    /// The operation before the first transaction of the batch, nothing before the others.
    fn timeOnce(log: *LogWriter) []const u8 {
        if (log.batch.transaction_count > 0) return "";
        return log.time_operation[0..log.time_size];
    }

    fn flush(context: *anyopaque, first_csn: u64, end_csn: u64) error{SinkFailed}!void {
        const log: *LogWriter = @ptrCast(@alignCast(context));
        _ = first_csn;
        log.append(end_csn) catch |err| {
            log.failure = err;
            log.time_ms = 0;
            return error.SinkFailed;
        };
    }

    fn append(log: *LogWriter, end_csn: u64) wal_file.AppendError!void {
        if (log.large) |large| {
            try log.writer.appendLarge(&log.batch, large.csn, &.{ log.timeOnce(), large.payload });
            // CSNs behind it that were aborted: told of before anybody may think them drained.
            log.batch.begin(log.writer.next_csn);
            if (end_csn == log.writer.next_csn) return;
        }
        log.batch.cover(end_csn) catch return error.RecordTooLarge;
        try log.writer.append(&log.batch);
    }

    /// Has everything appended synced beside, while nobody waits for it. False: not possible.
    pub fn syncBeside(log: *LogWriter, syncer: *Syncer, header: *const layout.Header) bool {
        const end = log.drainedEnd(header);
        if (log.writer.poisoned) return false;
        if (header.durable.load(.monotonic) >= end) return true; // it only rises
        return syncer.begin(.{
            .storage = log.writer.storage,
            .file = log.writer.file,
            .epoch = log.writer.epoch,
            .position = log.writer.position,
            .end_csn = end,
        });
    }

    /// Notes what was synced beside.
    pub fn collect(log: *LogWriter, syncer: *Syncer) void {
        switch (syncer.take()) {
            .none => {},
            .position => |position| log.writer.noteSynced(position),
            .poisoned => log.writer.poisoned = true,
        }
    }

    /// End of what is both in the file and drained. After an append that failed half way the file
    /// has more, which the next writer would write again.
    fn drainedEnd(log: *const LogWriter, header: *const layout.Header) u64 {
        const drained = ring.drainedOf(header.drained.load(.acquire)); // pairs with its raising
        return @min(log.writer.next_csn, drained);
    }

    /// One sync for everything appended, then everybody who waits is woken.
    pub fn sync(
        log: *LogWriter,
        header: *layout.Header,
    ) (wal_file.SyncError || log_place.Error)!void {
        const end = log.drainedEnd(header);
        if (header.durable.load(.monotonic) >= end) return; // it only rises
        try log.writer.sync();
        const writer = &log.writer;
        try log_place.confirm(writer.storage, writer.file, writer.epoch, header);
        fault.point("log.synced");
        log_state.raiseDurable(header, end);
        log_state.announce(header);
    }
};

/// What keeps the log from being written, for those who want to commit.
pub fn stallOf(err: Error) log_state.Stall {
    return switch (err) {
        error.NoSpace => .no_space,
        error.NumbersUsedUp => .used_up,
        else => .io_error,
    };
}
