//! Reading the log: all files of a directory in the order of their epochs, batch by batch, every
//! transaction from a given CSN on.
//!
//! A file counts up to the next file's first CSN (P25): what a late writer put behind that is
//! ignored. The last file ends with its last valid batch. What lies behind that is a torn tail, cut
//! and counted, unless a later batch in it says that the damaged place was on the disk before: then
//! it is damage, and refused (W10).
//!
//! **Invariants.** Transactions come in strictly rising CSN order, without a hole other than
//! aborted CSNs, or `next` fails: nothing is ever left out silently. Everything is input: any bytes
//! in any file give transactions, an end, or an error with a `Fault`, in time linear in the files'
//! sizes.
//!
//! **Concurrency.** None; at boot nobody else writes. For a verification beside a living writer the
//! tail of the last file may look torn, and nothing else is different.
//!
//! **Memory.** Owns its file list and one buffer, of the largest batch's size; a transaction's
//! record is valid until the next call.

const std = @import("std");
const checksum = @import("../checksum.zig");
const epochs = @import("epoch.zig");
const formats = @import("format.zig");
const limits = @import("../limits.zig");
const rows = @import("../row/packed.zig");
const storages = @import("storage.zig");
const vints = @import("../row/vint.zig");
const Window = @import("window.zig").Window;

const Allocator = std.mem.Allocator;
const BatchHeader = formats.BatchHeader;
const LogFile = formats.LogFile;
const Storage = storages.Storage;

pub const Transaction = struct {
    csn: u64,
    record: []const u8,
};

/// Why a log is refused, and where.
pub const Fault = struct {
    reason: Reason,
    name: storages.Name,
    offset: u64,
    /// The CSN from which on the log cannot be read.
    csn: u64,
    /// By reason: where the batch that proves damage lies, the CSN or epoch found, the version.
    found: u64 = 0,

    /// Stored nowhere, but shown by number: append only.
    pub const Reason = enum(u8) {
        /// The file is shorter than its header.
        header_cut = 1,
        header_magic = 2,
        header_version = 3,
        header_checksum = 4,
        /// A file of another database.
        database = 5,
        /// Two files of one epoch.
        epoch_twice = 6,
        /// Epochs rise but first CSNs fall.
        order = 7,
        /// No file begins at or below the CSN to start from.
        start_missing = 8,
        /// The file ends before the next one begins.
        gap = 9,
        /// A batch is damaged and a later one proves that it had been on the disk.
        damaged = 10,
        /// A batch is whole but does not follow on the one before it.
        chain = 11,
        /// A batch is whole but its content is not what a writer writes.
        malformed = 12,
        /// The log ends before the CSN to start from, which a checkpoint has on the disk (W13).
        behind = 13,
        /// A newer file than those that are there had been in place (W14).
        newest_missing = 14,
        /// A CSN or an epoch that no writer reaches.
        out_of_range = 15,
    };
};

pub const Error = storages.Error || error{ OutOfMemory, WalCorrupt };

pub const Options = struct {
    /// The first CSN of interest: a checkpoint's "replay from", or that of an empty database.
    start_csn: u64,
    /// A checkpoint is there, beside which a log has to be (W13).
    is_expected: bool = false,
    /// If known, what every file must carry.
    database_id: ?formats.DatabaseId = null,
    /// After a failed sync: the kernel's memory of the files may hold what the disk does not, so it
    /// is dropped first.
    distrust_cache: bool = false,
    /// For who follows a log that is written to: what the files cover for certain (W9). Nothing
    /// from there on is looked at, so there is no tail that could be torn.
    until_csn: u64 = std.math.maxInt(u64),
};

pub const Report = struct {
    file_count: u32 = 0,
    batch_count: u64 = 0,
    transaction_count: u64 = 0,
    /// All CSNs below it are told of: where a new log file begins.
    end_csn: u64 = 0,
    /// Of the files there are; the next one's must be above.
    epoch_max: u64 = 0,
    /// Behind the last valid batch of the last file; its name; what was cut there.
    end_name: storages.Name = .of(""),
    end_offset: u64 = 0,
    truncated_size: u64 = 0,
    /// Progress: bytes of the files to be read, and bytes read.
    size: u64 = 0,
    read_size: u64 = 0,
};

pub const Reader = struct {
    storage: Storage,
    allocator: Allocator,
    start_csn: u64,
    is_expected: bool,
    until_csn: u64,
    files: std.ArrayList(LogFile),
    file_index: usize,
    window: Window,
    /// Of the file being read: where the batch in hand begins, and the next one.
    batch_offset: u64,
    offset: u64,
    previous_crc: u32,
    /// The CSN that the next batch of this file begins with.
    next_csn: u64,
    payload: vints.Cursor,
    expected_csn: u64,
    transactions_left: u32,
    finished: bool,
    /// Sizes of the files read to their ends.
    passed_size: u64,
    report: Report,
    /// Set when `open` or `next` has returned `WalCorrupt`.
    fault: ?Fault,

    /// Reads the headers of all files. On `WalCorrupt` the fault is in `fault_out`.
    pub fn open(
        storage: Storage,
        allocator: Allocator,
        options: Options,
        fault_out: *?Fault,
    ) Error!Reader {
        var reader: Reader = .{
            .storage = storage,
            .allocator = allocator,
            .start_csn = options.start_csn,
            .is_expected = options.is_expected,
            .until_csn = options.until_csn,
            .files = .empty,
            .file_index = 0,
            .window = .{ .storage = storage, .allocator = allocator },
            .batch_offset = 0,
            .offset = 0,
            .previous_crc = 0,
            .next_csn = options.start_csn,
            .payload = .{ .bytes = &.{} },
            .expected_csn = 0,
            .transactions_left = 0,
            .finished = false,
            .passed_size = 0,
            .report = .{ .end_csn = options.start_csn },
            .fault = null,
        };
        errdefer reader.close();
        errdefer fault_out.* = reader.fault;
        // First: while it is written, the files are in place already.
        const remembered = try epochs.load(storage);
        try formats.listFiles(storage, allocator, &reader.files);
        try reader.checkFiles(options);
        if (remembered) |*record| try reader.checkNewest(options, record);
        reader.report.file_count = @intCast(reader.files.items.len);
        if (reader.files.items.len == 0) {
            if (options.is_expected) return reader.refuse(.start_missing, 0, 0);
            reader.finished = true;
            return reader;
        }
        reader.file_index = try reader.startFile();
        reader.window.distrust = options.distrust_cache;
        for (reader.files.items[reader.file_index..]) |*each| reader.report.size += each.size;
        try reader.enterFile();
        return reader;
    }

    pub fn close(reader: *Reader) void {
        reader.window.close();
        reader.window.deinit();
        reader.files.deinit(reader.allocator);
    }

    /// The next transaction, or null at the end; `report` is complete then.
    pub fn next(reader: *Reader) Error!?Transaction {
        while (!reader.finished) {
            if (reader.transactions_left == 0) {
                if (!reader.payload.done()) {
                    return reader.refuse(.malformed, reader.batch_offset, 0);
                }
                if (reader.next_csn >= reader.until_csn) {
                    reader.finished = true;
                    return null;
                }
                try reader.nextBatch();
                continue;
            }
            const transaction = reader.readTransaction() catch
                return reader.refuse(.malformed, reader.batch_offset, 0);
            if (transaction.csn >= reader.limit()) {
                // What a late writer wrote.
                try reader.leaveFile();
                continue;
            }
            if (transaction.csn < reader.start_csn) continue;
            if (transaction.csn >= reader.until_csn) {
                reader.finished = true;
                return null;
            }
            reader.report.transaction_count += 1;
            return transaction;
        }
        return null;
    }

    /// Whether the next transaction lies in memory with the last one, which then stays valid, too.
    pub fn hasMore(reader: *const Reader) bool {
        return reader.transactions_left > 0;
    }

    fn readTransaction(reader: *Reader) vints.Error!Transaction {
        const head = try reader.payload.vint();
        const skipped = if (head & 1 != 0) try reader.payload.vint() else 0;
        // `next_csn` is the end of this batch.
        if (reader.expected_csn >= reader.next_csn) return error.Malformed;
        if (skipped >= reader.next_csn - reader.expected_csn) return error.Malformed;
        const csn = reader.expected_csn + skipped;
        reader.expected_csn = csn + 1;
        reader.transactions_left -= 1;
        return .{ .csn = csn, .record = try reader.payload.slice(head >> 1) };
    }

    // Files.

    fn checkFiles(reader: *Reader, options: Options) Error!void {
        const files = reader.files.items;
        const database_id = options.database_id orelse
            if (files.len > 0) files[0].header.database_id else return;
        for (files, 0..) |*each, index| {
            reader.file_index = index;
            if (each.fault) |fault| {
                const reason: Fault.Reason = switch (fault) {
                    .cut => .header_cut,
                    .magic => .header_magic,
                    .version => .header_version,
                    .checksum => .header_checksum,
                };
                return reader.refuse(reason, 0, each.header.version);
            }
            if (!std.mem.eql(u8, &each.header.database_id, &database_id)) {
                return reader.refuse(.database, 0, 0);
            }
            if (each.header.epoch >= limits.epoch_limit) {
                return reader.refuse(.out_of_range, 0, each.header.epoch);
            }
            if (each.header.first_csn > limits.csn_limit) {
                return reader.refuse(.out_of_range, 0, each.header.first_csn);
            }
            reader.report.epoch_max = each.header.epoch;
            if (index == 0) continue;
            const before = &files[index - 1].header;
            if (each.header.epoch == before.epoch) {
                return reader.refuse(.epoch_twice, 0, before.epoch);
            }
            if (each.header.first_csn < before.first_csn) {
                return reader.refuse(.order, 0, before.first_csn);
            }
        }
    }

    /// W14.
    fn checkNewest(
        reader: *Reader,
        options: Options,
        remembered: *const formats.EpochRecord,
    ) error{WalCorrupt}!void {
        if (options.database_id) |database_id| {
            // Strayed here from elsewhere: it says nothing.
            if (!std.mem.eql(u8, &remembered.database_id, &database_id)) return;
        }
        if (reader.files.items.len > 0 and reader.report.epoch_max >= remembered.epoch) return;
        const refused = reader.refuse(.newest_missing, 0, remembered.epoch);
        reader.fault.?.name = .of(formats.current_name);
        return refused;
    }

    /// The last file that begins at or below the start.
    fn startFile(reader: *Reader) Error!usize {
        var index = reader.files.items.len;
        while (index > 0) {
            index -= 1;
            if (reader.files.items[index].header.first_csn <= reader.start_csn) return index;
        }
        reader.file_index = 0;
        const found = reader.files.items[0].header.first_csn;
        return reader.refuse(.start_missing, 0, found);
    }

    fn current(reader: *const Reader) *const LogFile {
        return &reader.files.items[reader.file_index];
    }

    fn isLast(reader: *const Reader) bool {
        return reader.file_index + 1 == reader.files.items.len;
    }

    /// The CSN at which the current file ceases to count.
    fn limit(reader: *const Reader) u64 {
        if (reader.isLast()) return std.math.maxInt(u64);
        return reader.files.items[reader.file_index + 1].header.first_csn;
    }

    fn enterFile(reader: *Reader) Error!void {
        const file = reader.current();
        try reader.window.open(file.name.slice());
        reader.offset = formats.batches_offset;
        reader.previous_crc = file.header.crc;
        reader.next_csn = file.header.first_csn;
        reader.endBatch();
    }

    fn endBatch(reader: *Reader) void {
        reader.payload = .{ .bytes = &.{} };
        reader.transactions_left = 0;
    }

    fn leaveFile(reader: *Reader) Error!void {
        reader.passed_size += reader.current().size;
        reader.window.close();
        reader.file_index += 1;
        try reader.enterFile();
    }

    // Batches.

    fn nextBatch(reader: *Reader) Error!void {
        if (reader.next_csn >= reader.limit()) return reader.leaveFile();
        const header = try reader.readHeader() orelse return reader.endFile();
        const payload_offset = reader.offset + formats.batch_header_size;
        const payload = try reader.window.view(payload_offset, header.payload_size) orelse
            return reader.endFile();
        if (checksum.update(header.header_crc, payload) != header.payload_crc) {
            return reader.endFile();
        }
        const follows = header.previous_crc == reader.previous_crc and
            header.first_csn == reader.next_csn;
        if (!follows) return reader.refuse(.chain, reader.offset, header.first_csn);
        const end = header.first_csn + header.csn_count;
        if (end > limits.csn_limit) return reader.refuse(.out_of_range, reader.offset, end);

        reader.batch_offset = reader.offset;
        reader.payload = .{ .bytes = payload };
        reader.transactions_left = header.transaction_count;
        reader.expected_csn = header.first_csn;
        reader.next_csn = end;
        reader.previous_crc = header.payload_crc;
        reader.offset = payload_offset + header.payload_size;
        reader.report.read_size = reader.passed_size + reader.offset;
        reader.report.batch_count += 1;
    }

    /// The header at `offset`, if the writer of this file wrote one there.
    fn readHeader(reader: *Reader) Error!?BatchHeader {
        const bytes = try reader.window.view(reader.offset, formats.batch_header_size) orelse
            return null;
        const header = std.mem.bytesToValue(BatchHeader, bytes);
        if (!header.isGenuine(reader.current().header.crc, reader.offset)) return null;
        return header;
    }

    /// No valid batch at `offset`: an end, a torn tail, or damage.
    fn endFile(reader: *Reader) Error!void {
        if (!reader.isLast()) return reader.refuse(.gap, reader.offset, reader.limit());
        const tail = try reader.scanTail();
        if (tail.proof) |proof| return reader.refuse(.damaged, reader.offset, proof);
        const is_behind = reader.next_csn < reader.start_csn;
        if (reader.is_expected and is_behind) return reader.refuse(.behind, reader.offset, 0);
        reader.report.read_size = reader.report.size;
        reader.report.end_name = reader.current().name;
        reader.report.end_offset = reader.offset;
        reader.report.truncated_size = tail.end - reader.offset;
        reader.report.end_csn = @max(reader.start_csn, reader.next_csn);
        reader.window.close();
        reader.finished = true;
    }

    const Tail = struct {
        /// Behind the last byte that is not zero.
        end: u64,
        /// Where a header lies that says that `offset` was on the disk before.
        proof: ?u64,
    };

    fn scanTail(reader: *Reader) Error!Tail {
        var tail: Tail = .{ .end = reader.offset, .proof = null };
        var at = reader.offset;
        while (true) {
            const bytes = try reader.window.some(at) orelse return tail;
            // What was reserved and never written is most of it.
            if (!rows.allZero(bytes)) {
                var last = bytes.len;
                while (bytes[last - 1] == 0) last -= 1;
                tail.end = at + last;
                tail.proof = reader.findProof(bytes, at);
                if (tail.proof != null) return tail;
            }
            // A header may lie across the edge of what is in the buffer.
            const overlap = formats.batch_header_size - 1;
            if (bytes.len <= overlap) return tail;
            at += bytes.len - overlap;
        }
    }

    fn findProof(reader: *Reader, bytes: []const u8, start: u64) ?u64 {
        const magic_first: u8 = @truncate(formats.batch_magic);
        var from: usize = 0;
        while (std.mem.indexOfScalarPos(u8, bytes, from, magic_first)) |index| {
            from = index + 1;
            if (bytes.len - index < formats.batch_header_size) return null;
            const header = std.mem.bytesToValue(
                BatchHeader,
                bytes[index..][0..formats.batch_header_size],
            );
            const offset = start + index;
            if (offset <= reader.offset) continue;
            if (!header.isGenuine(reader.current().header.crc, offset)) continue;
            if (offset - header.unsynced_size > reader.offset) return offset;
        }
        return null;
    }

    fn refuse(reader: *Reader, reason: Fault.Reason, offset: u64, found: u64) error{WalCorrupt} {
        reader.fault = .{
            .reason = reason,
            .name = if (reader.files.items.len == 0)
                .of(formats.current_name)
            else
                reader.current().name,
            .offset = offset,
            .csn = reader.next_csn,
            .found = found,
        };
        reader.finished = true;
        return error.WalCorrupt;
    }
};
