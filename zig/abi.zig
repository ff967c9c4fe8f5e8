//! The boundary: every symbol of the library, every status, every layout that TypeScript may read.
//!
//! Public functions of `exports` are the symbols; nothing else in the library exports. Adding one
//! here adds the symbol, its row in the manifest and, with `bun run build`, its type in
//! `src/ffi/abi.gen.ts`.
//!
//! **Rules of an export.** At most ten lines: check, convert, call, map errors. Fallible ones
//! return `Status` and write to out-parameters only on `ok`. They check their own input: an
//! assertion that fails on what a caller passed would end the caller's process.
//! **Memory.** One of four words stands at each pointer: *borrowed* (this call only), *out* (the
//! caller's memory, written here), *owned* (a handle with exactly one close), *segment* (valid
//! while pinned).
const std = @import("std");
const build_options = @import("build_options");
const boundary = @import("boundary.zig");
const fault = @import("instrument/fault.zig");
const manifest = @import("manifest.zig");
const os = @import("os.zig");
const limits = @import("limits.zig");
const write_ = @import("txn/write.zig");
const segment_files = @import("runtime/segment_files.zig");
const catalog = @import("runtime/catalog.zig");
const transactions = @import("runtime/transactions.zig");
const durability = @import("runtime/durability.zig");
const changes = @import("runtime/changes.zig");
const admin = @import("runtime/admin.zig");
const IngestReject = @import("ingest/reject.zig").Reject;
const IngestParser = @import("ingest/parser.zig").Parser;
const IngestResult = @import("ingest/parser.zig").Result;
const registry_ = @import("runtime/registry.zig");
const Handle = @import("runtime/connection.zig").Handle;
const Registry = registry_.Registry;
const SessionOpened = registry_.SessionOpened;
const status_ = @import("status.zig");
const Status = status_.Status;
const statusOf = status_.statusOf;
const CheckReport = @import("runtime/check.zig").Report;
const LogCutReport = @import("runtime/log_cut.zig").Report;
const RecoveryReport = @import("runtime/recovery.zig").Report;
const Stats = @import("runtime/stats.zig").Stats;

pub const panic = @import("panic.zig").handler;

/// Raised when the meaning of a symbol changes while its types stay the same.
const abi_version = 1;

/// The process has one registry: Workers share its mappings.
var registry: Registry = .{ .allocator = std.heap.c_allocator };

/// Hash of the shared layouts: segments of another build do not attach.
const fingerprint: u64 = manifest.fingerprint(&boundary.shared_layouts);

fn fail(handle: *Handle, err: status_.Error) Status {
    const result = &handle.io.result;
    const conflict = &handle.engine.context.conflict;
    result.cause = @intFromEnum(conflict.cause);
    result.error_table = conflict.table;
    result.error_column = conflict.column;
    result.error_size = conflict.key_size;
    @memcpy(result.error_bytes[0..conflict.key_size], conflict.key[0..conflict.key_size]);
    return statusOf(err);
}

/// Runs one call on a handle.
fn withHandle(number: u32, arguments: anytype, comptime call: anytype) Status {
    const handle = registry.get(number) orelse return .closed;
    handle.engine.context.conflict.reset();
    @call(.auto, call, .{handle} ++ arguments) catch |err| return fail(handle, err);
    return .ok;
}

fn parserOf(handle: u32, number: u32) ?*IngestParser {
    const owner = registry.get(handle) orelse return null;
    return owner.ingestParser(number) catch null;
}

const path_size_max = 4096;

fn pathOf(buffer: *[path_size_max]u8, bytes: []const u8) ?[:0]const u8 {
    if (bytes.len == 0 or std.mem.indexOfScalar(u8, bytes, 0) != null) return null;
    return std.fmt.bufPrintZ(buffer, "{s}", .{bytes}) catch null;
}

const CreateOptions = segment_files.CreateOptions;

const exports = struct {
    /// The manifest: JSON text, part of the library, valid for ever.
    pub fn abi_manifest() callconv(.c) [*]const u8 {
        return manifest_text.ptr;
    }

    /// Size of the manifest in bytes.
    pub fn abi_manifest_size() callconv(.c) u32 {
        return manifest_text.len;
    }

    /// Identifies the boundary: a hash of the manifest. Callers compare it with the one they know.
    pub fn abi_hash() callconv(.c) u64 {
        return manifest_hash;
    }

    /// Does nothing: what one call costs.
    pub fn abi_nothing() callconv(.c) void {}

    /// Copies `source` (borrowed) to `target` (out) and its size to `size` (out): how bytes cross.
    pub fn abi_copy(
        source: [*]const u8,
        source_length: usize,
        target: [*]u8,
        target_length: usize,
        size: *u32,
    ) callconv(.c) Status {
        const needed = std.math.cast(u32, source_length) orelse return .invalid_argument;
        size.* = needed;
        if (target_length < needed) return .buffer_too_small;
        @memmove(target[0..needed], source[0..needed]);
        return .ok;
    }

    /// Creates `path` (borrowed), which must not exist, as an empty segment. `options`: borrowed.
    pub fn segment_create(
        path: [*]const u8,
        path_length: usize,
        options: *CreateOptions,
    ) callconv(.c) Status {
        var buffer: [path_size_max]u8 = undefined;
        const name = pathOf(&buffer, path[0..path_length]) orelse return .invalid_argument;
        segment_files.createSegment(name, options.*, fingerprint) catch |err|
            return statusOf(err);
        return .ok;
    }

    /// Puts a complete segment in place of whatever `to` was. Paths: borrowed.
    pub fn segment_publish(
        from: [*]const u8,
        from_length: usize,
        to: [*]const u8,
        to_length: usize,
    ) callconv(.c) Status {
        var buffers: [2][path_size_max]u8 = undefined;
        const source = pathOf(&buffers[0], from[0..from_length]) orelse return .invalid_argument;
        const target = pathOf(&buffers[1], to[0..to_length]) orelse return .invalid_argument;
        os.rename(source, target) catch |err| return statusOf(err);
        return .ok;
    }

    /// Copies the header of a segment file that passes the checks of owner, mode and type. `out`:
    /// out; `size`: out, bytes of the file.
    pub fn segment_probe(
        path: [*]const u8,
        path_length: usize,
        out: [*]u8,
        out_length: usize,
        size: *f64,
    ) callconv(.c) Status {
        var buffer: [path_size_max]u8 = undefined;
        const name = pathOf(&buffer, path[0..path_length]) orelse return .invalid_argument;
        size.* = segment_files.probeSegment(name, out[0..out_length]) catch |err|
            return statusOf(err);
        return .ok;
    }

    /// Attaches a session to a segment and repairs dead ones. `path`: borrowed; `directory`:
    /// borrowed, a descriptor of the data directory; `opened`: out.
    pub fn session_open(
        path: [*]const u8,
        path_length: usize,
        directory: u32,
        opened: *SessionOpened,
    ) callconv(.c) Status {
        var buffer: [path_size_max]u8 = undefined;
        const name = pathOf(&buffer, path[0..path_length]) orelse return .invalid_argument;
        const at = std.math.cast(os.Fd, directory) orelse return .invalid_argument;
        const number = registry.open(name, at, fingerprint) catch |err| return statusOf(err);
        const handle = registry.get(number).?;
        opened.* = .{
            .handle = number,
            .session_index = handle.engine.context.session.index,
            .orphans_repaired = handle.orphans_repaired,
            .reserved = 0,
            .io_address = @floatFromInt(@intFromPtr(handle.io)),
        };
        return .ok;
    }

    /// Ends a handle and everything open in it; a second close does nothing.
    pub fn session_close(handle: u32) callconv(.c) void {
        registry.close(handle);
    }

    /// Takes the boot lock of a data directory, or says `busy`; with `not_found` nothing is there.
    /// Out: `real`, its real path of `size` bytes; `descriptor` and `directory`, descriptors of the
    /// lock file and of the directory, owned, closed by `boot_unlock`; `lock_file`, which file it
    /// is, as in `CreateOptions`.
    pub fn boot_lock(
        path: [*]const u8,
        path_length: usize,
        real: [*]u8,
        real_length: usize,
        size: *u32,
        descriptor: *u32,
        directory: *u32,
        lock_file: *u64,
    ) callconv(.c) Status {
        var buffer: [path_size_max]u8 = undefined;
        const name = pathOf(&buffer, path[0..path_length]) orelse return .invalid_argument;
        const to = real[0..real_length];
        const lock = segment_files.takeBootLock(name, to) catch |err| return statusOf(err);
        size.* = lock.path_size;
        descriptor.* = lock.descriptor;
        directory.* = lock.directory;
        lock_file.* = lock.file;
        return .ok;
    }

    /// Copies a small file, whose path (borrowed) is relative to the descriptor `directory` or
    /// absolute. `out`: out, `size` bytes of it.
    pub fn file_read(
        directory: u32,
        path: [*]const u8,
        path_length: usize,
        out: [*]u8,
        out_length: usize,
        size: *u32,
    ) callconv(.c) Status {
        var buffer: [path_size_max]u8 = undefined;
        const name = pathOf(&buffer, path[0..path_length]) orelse return .invalid_argument;
        const at = std.math.cast(os.Fd, directory) orelse return .invalid_argument;
        size.* = segment_files.readFile(at, name, out[0..out_length]) catch |err|
            return statusOf(err);
        return .ok;
    }

    /// Puts a small file of `bytes` in place under its name in `directory`, a descriptor. All
    /// borrowed.
    pub fn file_write(
        directory: u32,
        name: [*]const u8,
        name_length: usize,
        bytes: [*]const u8,
        bytes_length: usize,
    ) callconv(.c) Status {
        var buffer: [path_size_max]u8 = undefined;
        const path = pathOf(&buffer, name[0..name_length]) orelse return .invalid_argument;
        const at = std.math.cast(os.Fd, directory) orelse return .invalid_argument;
        segment_files.writeFile(at, path, bytes[0..bytes_length]) catch |err|
            return statusOf(err);
        return .ok;
    }

    pub fn boot_unlock(descriptor: u32, directory: u32) callconv(.c) void {
        os.close(@intCast(descriptor));
        os.close(@intCast(directory));
    }

    /// How many sessions of a data directory, by a descriptor, are alive. `count`: out.
    pub fn lock_sessions(directory: u32, count: *u32) callconv(.c) Status {
        const at = std.math.cast(os.Fd, directory) orelse return .invalid_argument;
        count.* = segment_files.countLive(at) catch |err| return statusOf(err);
        return .ok;
    }

    /// Makes a table from schema bytes (borrowed), or finds the same. Result: `table`.
    pub fn table_create(
        handle: u32,
        schema: [*]const u8,
        schema_length: usize,
    ) callconv(.c) Status {
        return withHandle(handle, .{schema[0..schema_length]}, catalog.createTable);
    }

    /// Copies the catalog: for each table a `CatalogEntry`, its schema bytes, and padding to 8
    /// bytes. `out`: out.
    /// Result: `size`, the bytes needed.
    pub fn catalog_read(handle: u32, out: [*]u8, out_length: usize) callconv(.c) Status {
        return withHandle(handle, .{out[0..out_length]}, catalog.readCatalog);
    }

    /// A number that changes with the catalog; 0 for a closed handle.
    pub fn catalog_version(handle: u32) callconv(.c) u32 {
        const h = registry.get(handle) orelse return 0;
        return h.attached.segment.header.catalog_version.load(.acquire);
    }

    /// Writes the record in the input. `op`: a `WriteOp` of upsert, insert or update. Result:
    /// `inserted`, `updated`, `unchanged`, `found`.
    pub fn row_write(handle: u32, transaction: u32, table: u32, op: u32) callconv(.c) Status {
        const number = std.math.cast(u8, op) orelse return .invalid_argument;
        const which = std.enums.fromInt(write_.Op, number) orelse return .invalid_argument;
        switch (which) {
            .upsert, .insert, .update => {},
            .delete, .replace => return .invalid_argument,
        }
        return withHandle(handle, .{ transaction, table, which }, Handle.write);
    }

    /// Deletes the row of the key in the input. Result: `found`.
    pub fn row_delete(handle: u32, transaction: u32, table: u32) callconv(.c) Status {
        return withHandle(handle, .{ transaction, table }, Handle.delete);
    }

    /// Copies the row of the key in the input to the output. Result: `found`.
    pub fn row_get(handle: u32, transaction: u32, table: u32) callconv(.c) Status {
        return withHandle(handle, .{ transaction, table }, Handle.get);
    }

    /// Upserts write records (borrowed) as one transaction, or inside one. `newest` (borrowed) has
    /// `newest_count` groups of 16 bytes. Result: counts.
    pub fn rows_write(
        handle: u32,
        transaction: u32,
        table: u32,
        records: [*]const u8,
        records_length: usize,
        count: u32,
        newest: [*]const u8,
        newest_length: usize,
        newest_count: u32,
    ) callconv(.c) Status {
        if (@intFromPtr(records) % 8 != 0 or @intFromPtr(newest) % 8 != 0) return .invalid_argument;
        if (newest_length / @sizeOf(write_.NewestGroup) < newest_count) return .invalid_argument;
        const groups: [*]const write_.NewestGroup = @ptrCast(@alignCast(newest));
        const bytes: []align(8) const u8 = @alignCast(records[0..records_length]);
        return withHandle(
            handle,
            .{ transaction, table, bytes, @as(usize, count), groups[0..newest_count] },
            Handle.writeMany,
        );
    }

    /// Runs the plan in the input. Result: `rows` in the output, `done`, `count`, `cursor` when not
    /// done.
    pub fn search_open(
        handle: u32,
        transaction: u32,
        table: u32,
        plan_size: u32,
    ) callconv(.c) Status {
        const h = registry.get(handle) orelse return .closed;
        if (plan_size > h.io.input.len) return .invalid_argument;
        const plan = h.io.input[0..plan_size];
        return withHandle(handle, .{ transaction, table, plan }, Handle.searchOpen);
    }

    /// The same with the plan in a buffer (borrowed), for plans larger than the input.
    pub fn search_open_plan(
        handle: u32,
        transaction: u32,
        table: u32,
        plan: [*]const u8,
        plan_length: usize,
    ) callconv(.c) Status {
        return withHandle(handle, .{ transaction, table, plan[0..plan_length] }, Handle.searchOpen);
    }

    /// Copies the next rows of an open search to `out` (out). Result: `rows`, `done`, `count`.
    pub fn search_next(
        handle: u32,
        cursor: u32,
        out: [*]u8,
        out_length: usize,
    ) callconv(.c) Status {
        return withHandle(handle, .{ cursor, out[0..out_length] }, Handle.searchNext);
    }

    pub fn search_close(handle: u32, cursor: u32) callconv(.c) void {
        const h = registry.get(handle) orelse return;
        h.searchClose(cursor);
    }

    /// Opens a parser of one stream into a table; `plan` (borrowed) as in
    /// `docs/internals/ingest.md`. Result: its number in `cursor`.
    pub fn ingest_open(
        handle: u32,
        table: u32,
        plan: [*]const u8,
        plan_length: usize,
    ) callconv(.c) Status {
        return withHandle(handle, .{ table, plan[0..plan_length] }, Handle.ingestOpen);
    }

    /// Parses `input` (borrowed) into write records, their line numbers (u64) and rejects. All
    /// others: out; the memory of records and lines is aligned to 8.
    pub fn ingest_parse(
        handle: u32,
        parser: u32,
        is_final: u32,
        input: [*]const u8,
        input_length: usize,
        records: [*]u8,
        records_length: usize,
        lines: [*]u8,
        lines_length: usize,
        rejects: [*]u8,
        rejects_length: usize,
        result: *IngestResult,
    ) callconv(.c) Status {
        const each = parserOf(handle, parser) orelse return .closed;
        if (@intFromPtr(lines) % 8 != 0 or @intFromPtr(rejects) % 8 != 0) return .invalid_argument;
        const line_words: [*]u64 = @ptrCast(@alignCast(lines));
        const reject_structs: [*]IngestReject = @ptrCast(@alignCast(rejects));
        result.* = each.parse(
            input[0..input_length],
            is_final != 0,
            records[0..records_length],
            line_words[0 .. lines_length / 8],
            reject_structs[0 .. rejects_length / @sizeOf(IngestReject)],
        );
        return .ok;
    }

    pub fn ingest_close(handle: u32, parser: u32) callconv(.c) void {
        const h = registry.get(handle) orelse return;
        h.ingestClose(parser);
    }

    /// Estimates the entries of an index between two keys, whose words lie in the input, `low`
    /// first. Result:
    /// `count`.
    pub fn estimate_range(handle: u32, table: u32, column: u32) callconv(.c) Status {
        return withHandle(handle, .{ table, column }, catalog.estimateRange);
    }

    /// Result: `count`, the rows of the table, roughly.
    pub fn table_count(handle: u32, table: u32) callconv(.c) Status {
        return withHandle(handle, .{table}, catalog.countRows);
    }

    /// Begins a transaction. `flags`: `callFlags.begin…`. Result:
    /// `transaction`.
    pub fn transaction_begin(handle: u32, flags: u32) callconv(.c) Status {
        return withHandle(handle, .{flags}, transactions.begin);
    }

    /// Commits and ends a transaction, whatever comes of it. Result: `csn`, the commit to wait for:
    /// its own, or, when it changed nothing, the newest that it can have seen.
    pub fn transaction_commit(handle: u32, transaction: u32) callconv(.c) Status {
        return withHandle(handle, .{transaction}, transactions.commit);
    }

    pub fn transaction_abort(handle: u32, transaction: u32) callconv(.c) Status {
        return withHandle(handle, .{transaction}, transactions.abort);
    }

    /// Result: `savepoint`.
    pub fn transaction_savepoint(handle: u32, transaction: u32) callconv(.c) Status {
        return withHandle(handle, .{transaction}, transactions.savepoint);
    }

    pub fn transaction_rollback(handle: u32, transaction: u32, savepoint: u32) callconv(.c) Status {
        return withHandle(handle, .{ transaction, savepoint }, transactions.rollback);
    }

    pub fn transaction_release(handle: u32, transaction: u32, savepoint: u32) callconv(.c) Status {
        return withHandle(handle, .{ transaction, savepoint }, transactions.releaseSavepoint);
    }

    /// Result: `token_low`, `token_high`.
    pub fn transaction_token(handle: u32, transaction: u32) callconv(.c) Status {
        return withHandle(handle, .{transaction}, transactions.token);
    }

    /// Takes the row latch of the key in the input, or answers `busy`.
    pub fn transaction_lock(handle: u32, transaction: u32, table: u32) callconv(.c) Status {
        return withHandle(handle, .{ transaction, table }, transactions.lock);
    }

    /// Result: `outcome`, an `OutcomeState`.
    pub fn outcome_of(handle: u32, token_low: u32, token_high: u32) callconv(.c) Status {
        return withHandle(handle, .{ token_low, token_high }, transactions.outcomeOf);
    }

    /// Starts the maintenance thread of this process on the segment, if there is none. `is_logged`:
    /// 1 the log is kept in the data directory, 0 nowhere.
    pub fn log_attach(handle: u32, is_logged: u32) callconv(.c) Status {
        return withHandle(handle, .{is_logged}, durability.attachLog);
    }

    /// Waits, at most `timeout_ms` (100 or less), until everything below `csn` + 1 is on the disk;
    /// then `busy`.
    pub fn durable_wait(handle: u32, csn: f64, timeout_ms: u32) callconv(.c) Status {
        const wait_ms = @min(timeout_ms, limits.wait_ms_max);
        return withHandle(handle, .{ csn, wait_ms }, durability.waitDurable);
    }

    /// Result: `size`, a stream's descriptor (owned): a byte comes through it each time that an
    /// armed handle is told. Once for each handle.
    pub fn durable_watch(handle: u32) callconv(.c) Status {
        return withHandle(handle, .{}, durability.watchDurable);
    }

    /// Asks for everything up to `last` to be synced, and to be told when everything up to `first`
    /// is on the disk, or the log fails. Result: `done`, 1 when that is so already.
    pub fn durable_arm(handle: u32, first: f64, last: f64) callconv(.c) Status {
        return withHandle(handle, .{ first, last }, durability.armDurable);
    }

    /// Result: `csn`, of the newest commit that this handle can have seen; `durable_csn`, below
    /// which all is on the disk.
    pub fn durable_read(handle: u32) callconv(.c) Status {
        return withHandle(handle, .{}, durability.readDurable);
    }

    /// Begins to follow what is committed, from the commit `from` on, or, with 0, from now on.
    /// `flags`: 1 only what is on the disk. `values`: 0 keys, 1 changed columns, 2 whole rows.
    /// Result: `cursor`, the feed; `csn`, where it begins.
    pub fn changes_open(handle: u32, from: f64, flags: u32, values: u32) callconv(.c) Status {
        return withHandle(handle, .{ from, flags, values }, changes.open);
    }

    /// Leaves out the writes to tables whose bits in the input (32 bytes) are 0.
    pub fn changes_filter(handle: u32, feed: u32) callconv(.c) Status {
        return withHandle(handle, .{feed}, changes.filter);
    }

    /// Copies the next commits to `out` (out, aligned to 8): for each a `ChangeCommit` and, for
    /// each of its writes, a `ChangeWrite` and its image. Result: `size`, `rows` commits; `csn`,
    /// all below which was told; `done`, 1 when there is no more for now. `buffer_too_small`: one
    /// commit needs more.
    pub fn changes_read(handle: u32, feed: u32, out: [*]u8, out_length: usize) callconv(.c) Status {
        if (@intFromPtr(out) % 8 != 0) return .invalid_argument;
        const bytes: []align(8) u8 = @alignCast(out[0..out_length]);
        return withHandle(handle, .{ feed, bytes }, changes.read);
    }

    pub fn changes_close(handle: u32, feed: u32) callconv(.c) void {
        const h = registry.get(handle) orelse return;
        changes.close(h, feed);
    }

    /// Result: `size`, a stream's descriptor (owned): a byte comes through it each time that an
    /// armed handle is told. Once for each handle.
    pub fn changes_watch(handle: u32) callconv(.c) Status {
        return withHandle(handle, .{}, changes.watch);
    }

    /// Asks to be told when anything at or above `visible` is committed, or `durable` is on the
    /// disk; negative: not asked. Result: `done`, 1 when that is so already.
    pub fn changes_arm(handle: u32, visible: f64, durable: f64) callconv(.c) Status {
        return withHandle(handle, .{ visible, durable }, changes.arm);
    }

    /// Result: `csn`, the first that is not decided; `count`, the number of the timeline;
    /// `durable_csn`, below which all is on the disk; `examined`, the bytes of the log.
    pub fn position_read(handle: u32) callconv(.c) Status {
        return withHandle(handle, .{}, changes.readPosition);
    }

    /// Whether what followed on `csn` of a timeline is this history. Result: `cause`, a
    /// `PositionReason`; `csn`, where the histories part.
    pub fn position_check(handle: u32, timeline: u32, csn: f64) callconv(.c) Status {
        return withHandle(handle, .{ timeline, csn }, changes.checkPosition);
    }

    /// Result: `csn`, the oldest that the log still has.
    pub fn position_oldest(handle: u32) callconv(.c) Status {
        return withHandle(handle, .{}, changes.oldest);
    }

    /// Keeps the log from `csn` on for subscriptions, up to the limit; 0: not any more.
    pub fn log_retain(handle: u32, csn: f64) callconv(.c) Status {
        return withHandle(handle, .{csn}, changes.retain);
    }

    /// Result: `csn`, the snapshot of an open transaction: it sees every commit below.
    pub fn transaction_snapshot(handle: u32, transaction: u32) callconv(.c) Status {
        return withHandle(handle, .{transaction}, transactions.snapshotOf);
    }

    /// Begins to recover the data directory into this handle's segment, which no other process
    /// knows yet. `flags`: `callFlags.recovery…`.
    pub fn recovery_open(handle: u32, flags: u32) callconv(.c) Status {
        return withHandle(handle, .{flags}, admin.openRecovery);
    }

    /// Goes on for at most `budget_ms` (100 or less). `report`: out, also written when it fails.
    /// The phase `done` is the end.
    pub fn recovery_step(handle: u32, budget_ms: u32, report: *RecoveryReport) callconv(.c) Status {
        return withHandle(handle, .{ budget_ms, report }, admin.stepRecovery);
    }

    /// Cuts the log file `name` (borrowed) in `directory`, a descriptor, at `offset`, keeping a
    /// copy; no process has the database open. `report`: out. `not_found`: no such file;
    /// `invalid_argument`: it is not so long.
    pub fn log_cut(
        directory: u32,
        name: [*]const u8,
        name_length: usize,
        offset: f64,
        report: *LogCutReport,
    ) callconv(.c) Status {
        if (directory > std.math.maxInt(i32)) return .invalid_argument;
        admin.cutLog(directory, name[0..name_length], offset, report) catch |err|
            return statusOf(err);
        return .ok;
    }

    /// Begins to verify the database: its structures, and, with `with_files` 1, its files.
    pub fn check_open(handle: u32, with_files: u32) callconv(.c) Status {
        return withHandle(handle, .{with_files}, admin.openCheck);
    }

    /// Goes on for at most `budget_ms` (100 or less). `report`: out. The phase `done` is the end.
    pub fn check_step(handle: u32, budget_ms: u32, report: *CheckReport) callconv(.c) Status {
        return withHandle(handle, .{ budget_ms, report }, admin.stepCheck);
    }

    /// Starts a checkpoint of the database in a thread of its own.
    pub fn checkpoint_start(handle: u32) callconv(.c) Status {
        return withHandle(handle, .{}, admin.startCheckpoint);
    }

    /// Result: `done`, `count` rows so far, `csn` of the snapshot, `examined` bytes. `busy`:
    /// another one runs.
    pub fn checkpoint_poll(handle: u32) callconv(.c) Status {
        return withHandle(handle, .{}, admin.pollCheckpoint);
    }

    /// Arms the process to kill itself when it passes the named point (borrowed) for the `hits`-th
    /// time; only the fault build has points, others answer `invalid_argument`.
    pub fn fault_arm(name: [*]const u8, name_length: usize, hits: u32) callconv(.c) Status {
        if (!build_options.fault) return .invalid_argument;
        fault.armPoint(name[0..name_length], hits);
        return .ok;
    }

    /// The same at the `count`-th shared step from now.
    pub fn fault_arm_steps(count: u32) callconv(.c) Status {
        if (!build_options.fault) return .invalid_argument;
        fault.armSteps(count);
        return .ok;
    }

    /// Makes the disk full (`space`), its syncs fail (`sync`), or its file system an old one
    /// (`noreplace`: no renaming that refuses an existing name) for the next `count` calls of this
    /// process, or, with the largest count, for all; 0: no more. Only in the fault build.
    pub fn fault_fail(name: [*]const u8, name_length: usize, count: u32) callconv(.c) Status {
        if (!build_options.fault) return .invalid_argument;
        return if (fault.armFailure(name[0..name_length], count)) .ok else .invalid_argument;
    }

    /// `key`: a `Setting`. `invalid_argument`: not one, or a value that is out of its range.
    pub fn config_set(handle: u32, key: u32, value: u32) callconv(.c) Status {
        return withHandle(handle, .{ key, value }, admin.setConfig);
    }

    /// Result: `count`.
    pub fn config_get(handle: u32, key: u32) callconv(.c) Status {
        return withHandle(handle, .{key}, admin.getConfig);
    }

    /// `out`: out.
    pub fn stats_read(handle: u32, out: *Stats) callconv(.c) Status {
        return withHandle(handle, .{out}, admin.readStats);
    }

    /// Copies who is attached, as `SessionStats` (out). Result: `size`, the bytes needed.
    pub fn sessions_read(handle: u32, out: [*]u8, out_length: usize) callconv(.c) Status {
        return withHandle(handle, .{out[0..out_length]}, admin.readSessions);
    }
};

const described: manifest.Source = .{
    .version = abi_version,
    .prefix = "aerostore_",
    .exports = exports,
    .fingerprint = fingerprint,
    .enums = &boundary.enums,
    .layouts = &boundary.layouts,
    .constants = &boundary.constants,
};

const manifest_text: []const u8 = manifest.render(described);
const manifest_hash: u64 = manifest.hash(manifest_text);

comptime {
    manifest.exportSymbols(described);
}

test "abi: bytes are copied, and a small target is told the size" {
    var target: [4]u8 = undefined;
    var size: u32 = 0;
    try std.testing.expectEqual(.ok, exports.abi_copy("abc", 3, &target, 4, &size));
    try std.testing.expectEqualStrings("abc", target[0..size]);
    try std.testing.expectEqual(.buffer_too_small, exports.abi_copy("abcde", 5, &target, 4, &size));
    try std.testing.expectEqual(5, size);
}
