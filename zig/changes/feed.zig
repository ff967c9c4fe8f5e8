//! What was committed, in serial order: one reader over two sources. The live tail is read from the
//! ring and the sessions' log buffers while they still hold it; what they do not hold any more is
//! read from the log files, which cover everything below `drained` (W9).
//!
//! **Invariants**: everything below `next_csn` was told or is of no interest. Nothing at or above
//! the first undecided CSN is looked at, and no cell is ever decided here: a reader that did would
//! abort commits that are only slow.
//!
//! **Concurrency**: the handle's thread. Records are copied, and then looked at again
//! (`log_buffer.Record.isIntact`): no pin is held, so a consumer that stands still costs the
//! writers nothing. Files are renamed, rotated and dropped beneath it: it looks again a few times.
//!
//! **Who may die where**: it writes nothing that others see.
//!
//! **Memory**: owns its copy of one record and the reader of the files until `close`.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const ring = @import("../segment/ring.zig");
const segment_ = @import("../segment/segment.zig");
const engine_ = @import("../txn/engine.zig");
const log_buffer = @import("../txn/log_buffer.zig");
const formats = @import("../wal/format.zig");
const storage_ = @import("../wal/storage.zig");
const wal_reader = @import("../wal/reader.zig");
const output = @import("output.zig");
const Bases = @import("bases.zig").Bases;
const Engine = engine_.Engine;

pub const Error = output.Error || storage_.Error || engine_.Error || error{
    OutOfMemory,
    /// The log does not have what followed on the position any more.
    PositionLost,
    WalCorrupt,
    BufferTooSmall,
};

pub const Options = struct {
    from_csn: u64,
    /// Only what is on the disk.
    durable: bool,
    values: output.Values,
    /// From here on values stand alone in the log.
    forms_csn: u64,
};

/// Files change their names beneath a reader; it begins again so often.
const file_tries_max = 5;
const file_pause_ns = 5_000_000;
/// A record is looked for in the ring so often before it must be in the files.
const ring_tries_max = 3;

pub const Feed = struct {
    allocator: std.mem.Allocator,
    engine: *Engine,
    /// Null where the log is kept nowhere.
    storage: ?storage_.Storage,
    next_csn: u64,
    durable: bool,
    filter: output.Filter,
    /// Of the commit in hand.
    payload: std.ArrayList(u8) = .empty,
    written: std.ArrayList(log_buffer.Written) = .empty,
    /// What the output had no room for, from the files; the payload is its record.
    pending: ?struct { csn: u64 } = null,
    files: ?wal_reader.Reader = null,
    file_tries: u32 = 0,
    /// When the batch in hand was written; NaN while that is not known.
    time: f64 = std.math.nan(f64),
    /// Below it nothing is told: only the bases are brought forward.
    told_from_csn: u64,
    forms_csn: u64,
    bases: ?Bases = null,

    pub const Batch = struct {
        size: usize = 0,
        count: u32 = 0,
        /// There may be more now.
        more: bool = false,
    };

    pub fn open(
        allocator: std.mem.Allocator,
        engine: *Engine,
        storage: ?storage_.Storage,
        options: Options,
    ) error{OutOfMemory}!*Feed {
        const feed = try allocator.create(Feed);
        feed.* = .{
            .allocator = allocator,
            .engine = engine,
            .storage = storage,
            .next_csn = options.from_csn,
            .durable = options.durable,
            .filter = .{ .values = options.values },
            .told_from_csn = options.from_csn,
            .forms_csn = options.forms_csn,
        };
        return feed;
    }

    /// The log tells a value of the next commit as a difference to a row that is not known: reads
    /// the rows of the checkpoint, and what the log tells of them from there on. `ValuesLost` when
    /// that was not enough.
    fn knowBases(feed: *Feed) Error!void {
        if (feed.bases != null) return error.ValuesLost;
        const storage = feed.storage orelse return error.ValuesLost;
        feed.closeFiles();
        feed.pending = null;
        feed.told_from_csn = feed.next_csn;
        feed.bases = .{ .allocator = feed.allocator };
        const context = &feed.engine.context;
        const loaded = feed.bases.?.load(context, storage, feed.next_csn) catch |err| switch (err) {
            error.OutOfMemory => return error.OutOfMemory,
            else => null,
        };
        const first = loaded orelse try oldest(storage, feed.allocator, feed.next_csn);
        feed.next_csn = @min(feed.next_csn, first);
    }

    /// Values stand alone from here on.
    fn forgetBases(feed: *Feed) void {
        if (feed.next_csn < feed.forms_csn or feed.next_csn <= feed.told_from_csn) return;
        if (feed.bases) |*bases| bases.deinit();
        feed.bases = null;
    }

    pub fn close(feed: *Feed) void {
        feed.closeFiles();
        if (feed.bases) |*bases| bases.deinit();
        feed.payload.deinit(feed.allocator);
        feed.written.deinit(feed.allocator);
        feed.allocator.destroy(feed);
    }

    /// Everything below may be told now.
    pub fn bound(feed: *const Feed) u64 {
        const session = &feed.engine.context.session;
        const segment = session.segment;
        const visible = ring.firstUndecided(segment, session.floor);
        const header = segment.header;
        const is_logged = header.log_enabled.load(.acquire) != 0;
        if (!feed.durable or !is_logged) return visible;
        return @min(visible, header.durable.load(.seq_cst));
    }

    /// Writes the next commits to `out`, as many as have room; commits without anything of interest
    /// are passed over. `BufferTooSmall`: one commit alone needs more.
    pub fn read(feed: *Feed, out: []align(8) u8) Error!Batch {
        var sink: output.Sink = .{ .bytes = out };
        const end = feed.bound();
        feed.forgetBases();
        var batch: Batch = .{};
        while (feed.next_csn < end) {
            const is_told = feed.step(&sink, end) catch |err| switch (err) {
                error.BufferTooSmall => {
                    if (sink.count == 0) return err;
                    batch.more = true;
                    break;
                },
                error.ValuesLost => {
                    try feed.knowBases();
                    continue;
                },
                else => |other| return other,
            };
            if (is_told and sink.count >= commits_max) {
                batch.more = feed.next_csn < end;
                break;
            }
        }
        batch.size = sink.used;
        batch.count = sink.count;
        return batch;
    }

    /// Of one call.
    const commits_max = 4096;

    /// One commit, or what lies between two. True when something was told.
    fn step(feed: *Feed, sink: *output.Sink, end: u64) Error!bool {
        if (feed.pending) |pending| {
            const is_told = try feed.tell(sink, pending.csn, &.{});
            feed.pending = null;
            feed.next_csn = pending.csn + 1;
            return is_told;
        }
        if (feed.files != null) return feed.stepFile(sink);
        const segment = feed.engine.context.session.segment;
        for (0..ring_tries_max) |_| {
            const csn = feed.next_csn;
            const raw = ring.load(segment, csn);
            // The cells of a segment that was built anew know nothing of what was before it.
            const is_older = csn < segment.header.first_csn;
            switch (if (is_older) .drained else ring.classify(segment, csn, raw)) {
                // Below the first undecided one: the words are damaged.
                .empty => return error.SegmentCorrupt,
                .aborted => {
                    feed.next_csn += 1;
                    return false;
                },
                .committed => if (try feed.copy(csn, .of(raw))) {
                    feed.time = std.math.nan(f64);
                    const is_told = try feed.tell(sink, csn, feed.written.items);
                    feed.next_csn = csn + 1;
                    return is_told;
                },
                .drained => {},
            }
            if (try feed.openFiles(end)) return false;
        }
        return error.SegmentCorrupt;
    }

    /// Copies the record of a committed cell. False: it is gone.
    fn copy(feed: *Feed, csn: u64, cell: ring.Cell) Error!bool {
        const segment = feed.engine.context.session.segment;
        const record = (try log_buffer.read(segment, csn, cell)) orelse return false;
        if (record.writes.len > writes_max) return false;
        feed.payload.clearRetainingCapacity();
        feed.written.clearRetainingCapacity();
        try feed.payload.appendSlice(feed.allocator, record.payload);
        try feed.written.appendSlice(feed.allocator, record.writes);
        return record.isIntact(segment, csn, cell);
    }

    const writes_max = 1 << 24;

    fn tell(
        feed: *Feed,
        sink: *output.Sink,
        csn: u64,
        written: []const log_buffer.Written,
    ) Error!bool {
        return output.tell(&feed.filter, &feed.engine.context, sink, .{
            .csn = csn,
            .time = &feed.time,
            .payload = feed.payload.items,
            .written = written,
            .bases = if (feed.bases) |*bases| bases else null,
            .is_silent = csn < feed.told_from_csn,
        });
    }

    // Files.

    /// Begins to read what is drained from the files. False: nothing is, as yet.
    fn openFiles(feed: *Feed, end: u64) Error!bool {
        const segment = feed.engine.context.session.segment;
        // First: the files that there are then cover all below it.
        const drained = ring.drainedOf(segment.header.drained.load(.seq_cst));
        const until = @min(drained, end);
        if (until <= feed.next_csn) return false;
        const storage = feed.storage orelse return error.PositionLost;
        var fault: ?wal_reader.Fault = null;
        while (true) {
            feed.files = wal_reader.Reader.open(storage, feed.allocator, .{
                .start_csn = feed.next_csn,
                .is_expected = true,
                .database_id = segment.header.database_id,
                .until_csn = until,
            }, &fault) catch |err| switch (err) {
                error.WalCorrupt => {
                    if (fault) |f| if (f.reason == .start_missing) return error.PositionLost;
                    try feed.again(err);
                    continue;
                },
                error.NotFound => {
                    try feed.again(err);
                    continue;
                },
                else => |other| return other,
            };
            return true;
        }
    }

    /// A file was renamed, or dropped, between two looks; or the log is damaged.
    fn again(feed: *Feed, err: Error) Error!void {
        feed.file_tries += 1;
        if (feed.file_tries > file_tries_max) return err;
        os.sleepNs(file_pause_ns);
    }

    fn closeFiles(feed: *Feed) void {
        if (feed.files) |*files| files.close();
        feed.files = null;
    }

    fn stepFile(feed: *Feed, sink: *output.Sink) Error!bool {
        const files = &feed.files.?;
        const until = files.until_csn;
        const found = files.next() catch |err| switch (err) {
            error.WalCorrupt, error.NotFound => {
                feed.closeFiles();
                try feed.again(err);
                return false;
            },
            else => |other| return other,
        };
        feed.file_tries = 0;
        const transaction = found orelse {
            feed.closeFiles();
            feed.next_csn = @max(feed.next_csn, until);
            return false;
        };
        feed.payload.clearRetainingCapacity();
        try feed.payload.appendSlice(feed.allocator, transaction.record);
        feed.pending = .{ .csn = transaction.csn };
        return feed.step(sink, until);
    }
};

/// The first CSN that the log files have; `csn` where there are none.
pub fn oldest(
    storage: storage_.Storage,
    allocator: std.mem.Allocator,
    csn: u64,
) (storage_.Error || error{OutOfMemory})!u64 {
    var files: std.ArrayList(formats.LogFile) = .empty;
    defer files.deinit(allocator);
    try formats.listFiles(storage, allocator, &files);
    var first: ?u64 = null;
    for (files.items) |*file| if (file.fault == null) {
        first = @min(first orelse file.header.first_csn, file.header.first_csn);
    };
    return first orelse csn;
}

/// Makes the log have the forms that a consumer needs from here on. Returns the CSN from which on
/// it has them, but for commits that stood still meanwhile.
pub fn needForms(engine: *Engine, values: output.Values) u64 {
    const session = &engine.context.session;
    const segment = session.segment;
    const header = segment.header;
    const wanted = @intFromEnum(values.forms());
    while (true) { // each failure means that another has raised it
        const forms = header.log_forms.load(.seq_cst);
        if (forms >= wanted) break;
        if (!header.log_forms.cas(forms, wanted, .seq_cst)) continue;
        // Commits that have read it before are over when their pins have changed.
        const deadline = os.monotonicNs() + settle_ns;
        const count = @min(header.session_limit.load(.acquire), segment.session_count);
        for (segment.sessions[0..count]) |*slot| {
            const pin = slot.pin.load(.seq_cst);
            if (pin == layout.pin_none or pin == layout.pin_revoked) continue;
            if (!layout.Pin.of(pin).committing) continue;
            while (slot.pin.load(.seq_cst) == pin and os.monotonicNs() < deadline) {
                os.yieldThread();
            }
        }
        break;
    }
    return ring.firstUndecided(segment, session.floor);
}

const settle_ns = 50_000_000;
