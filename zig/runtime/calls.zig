//! The work behind the exports that are more than one call: segments as files, catalog,
//! transactions, settings.
//!
//! **Concurrency**: as the handle that is passed.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const log_state = @import("../segment/log_state.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const segment_ = @import("../segment/segment.zig");
const word = @import("../segment/word.zig");
const estimate = @import("../index/estimate.zig");
const key_ = @import("../index/key.zig");
const outcome = @import("../txn/outcome.zig");
const repair = @import("../txn/repair.zig");
const abi = @import("../abi.zig");
const stats = @import("stats.zig");
const bulk = @import("../table/bulk.zig");
const check_ = @import("check.zig");
const log_cut = @import("log_cut.zig");
const recovery_ = @import("recovery.zig");
const Check = check_.Check;
const Checkpointer = @import("checkpoint.zig").Checkpointer;
const Handle = @import("handle.zig").Handle;
const Recovery = recovery_.Recovery;
const Maintenance = @import("maintenance.zig").Maintenance;
const Pins = @import("../txn/pins.zig").Pins;
const Transaction = @import("../txn/transaction.zig").Transaction;

const lock_byte_catalog = 1;

pub fn createSegment(path: [:0]const u8, options: abi.CreateOptions, fingerprint: u64) !void {
    const fd = try os.open(path, .{ .create = true, .exclusive = true });
    errdefer {
        os.close(fd);
        os.unlink(path) catch {};
    }
    var segment = try segment_.Segment.create(fd, .{
        .size = options.size,
        .session_count = options.session_count,
        .cell_count = options.cell_count,
        .database_id = options.database_id,
        .boot_id = options.boot_id,
        .first_csn = @max(bulk.csn_recovered + 1, options.first_csn),
        .lock_file = options.lock_file,
        .fingerprint = fingerprint,
    });
    segment.header.log_epoch.raw = options.log_epoch;
    segment.header.drained.raw |= (options.log_epoch & 0xFFFF) << 48;
    // Tokens of an earlier segment must mean nothing in this one.
    var start: [8]u8 = undefined;
    os.randomBytes(&start);
    segment.header.outcome_next.raw = std.mem.readInt(u64, &start, .little) >> 8;
    segment.detach();
}

/// Copies the header; returns the size of the file.
pub fn probeSegment(path: [:0]const u8, out: []u8) !f64 {
    const fd = try os.open(path, .{});
    defer os.close(fd);

    const st = try os.stat(fd);
    if (!st.regular) return error.NotRegular;
    if (st.uid != os.effectiveUser() or st.mode & 0o077 != 0) return error.Permission;
    @memset(out, 0);
    _ = try os.readAt(fd, 0, out);
    // Commits may go on: the tail is read last, so that nothing seems to be ahead of it.
    const tail_offset = @offsetOf(layout.Header, "tail");
    const tail_end = tail_offset + @sizeOf(u64);
    if (out.len >= tail_end) _ = try os.readAt(fd, tail_offset, out[tail_offset..tail_end]);
    return @floatFromInt(st.size);
}

/// Name of the lock file in a data directory.
const lock_name = "/aerostore.lock";

pub const BootLock = struct { descriptor: u32, path_size: u32, file: u64 };

/// Takes the boot lock of a directory, whose real path goes into `real`.
pub fn takeBootLock(directory: [:0]const u8, real: []u8) !BootLock {
    const path = try os.realDirectory(directory, real);
    var buffer: [4096]u8 = undefined;
    const name = std.fmt.bufPrintZ(&buffer, "{s}" ++ lock_name, .{path}) catch {
        return error.InvalidArgument;
    };
    const fd = try os.open(name, .{ .create = true });
    errdefer os.close(fd);
    if (!try os.lockByte(fd, segment_.lock_byte_boot)) return error.Busy;
    const st = try os.stat(fd);
    // A copy of the directory has another lock file, a directory that was renamed the same.
    const file = std.hash.Wyhash.hash(0, std.mem.asBytes(&[2]u64{ st.device, st.inode }));
    return .{ .descriptor = @intCast(fd), .path_size = @intCast(path.len), .file = file };
}

/// Copies a file, which must be smaller than `out`; returns its size.
pub fn readFile(path: [:0]const u8, out: []u8) !u32 {
    const fd = try os.open(path, .{ .read_only = true });
    defer os.close(fd);

    const size = try os.readAt(fd, 0, out);
    return if (size < out.len) @intCast(size) else error.BufferTooSmall;
}

pub fn countLive(path: [:0]const u8) !u32 {
    const fd = os.open(path, .{}) catch |err| switch (err) {
        error.NotFound => return 0,
        else => return err,
    };
    defer os.close(fd);

    var count: u32 = 0;
    var byte: u64 = segment_.lock_byte_sessions;
    const end = segment_.lock_byte_sessions + limits.session_count_max;
    while (os.nextHeldByte(fd, byte, end)) |held| {
        count += 1;
        byte = held + 1;
    }
    return count;
}

pub fn createTable(handle: *Handle, schema_bytes: []const u8) !void {
    const result = &handle.io.result;
    // DDL is rare: one at a time, by a lock that the kernel gives back.
    const deadline = os.monotonicNs() + 100_000_000;
    while (!try os.lockByte(handle.lock_fd, lock_byte_catalog)) {
        if (os.monotonicNs() >= deadline) return error.Busy;
        os.sleepNs(1_000_000);
    }
    defer os.unlockByte(handle.lock_fd, lock_byte_catalog);

    result.table = (try handle.engine.createTable(schema_bytes)).id;
    handle.noteCommit(handle.engine.context.last_csn);
}

pub fn readCatalog(handle: *Handle, out: []u8) !void {
    const segment = handle.engine.context.session.segment;
    var size: usize = 0;
    for (0..limits.table_count_max) |id| {
        const ref = segment.catalog[id].table.load(.acquire); // pairs with the publication
        if (ref == rel_ptr.none) continue;
        const table = try segment.at(layout.Table, ref);
        const bytes = try segment.bytesAt(ref, @sizeOf(layout.Table) + @as(u64, table.schema_size));
        const schema = bytes[@sizeOf(layout.Table)..];
        const padded = std.mem.alignForward(usize, schema.len, 8);
        if (size + 8 + padded <= out.len) {
            std.mem.writeInt(u32, out[size..][0..4], @intCast(id), .little);
            std.mem.writeInt(u32, out[size + 4 ..][0..4], @intCast(schema.len), .little);
            @memset(out[size + 8 ..][0..padded], 0);
            @memcpy(out[size + 8 ..][0..schema.len], schema);
        }
        size += 8 + padded;
    }
    handle.io.result.size = @intCast(size);
    if (size > out.len) return error.BufferTooSmall;
}

pub fn estimateRange(handle: *Handle, table_id: u32, column: u32) !void {
    const table = try handle.engine.context.table(table_id);
    const index = table.indexOf(column) orelse return error.InvalidArgument;
    const words: [*]align(8) const u64 = @ptrCast(@alignCast(&handle.io.input));
    const session = &handle.engine.context.session;
    const pins = &handle.engine.pins;
    const count = while (true) { // each turn means that the pin was revoked
        pins.enterRead(session);
        defer pins.leaveRead(session);

        const count = estimate.countBetween(
            index.list,
            words[0..index.key_words],
            words[index.key_words .. 2 * index.key_words],
        );
        if (!Pins.isReadLost(session)) break try count;
    };
    handle.io.result.count = @floatFromInt(count);
}

pub fn countRows(handle: *Handle, table_id: u32) !void {
    const table = try handle.engine.context.table(table_id);
    const rows = table.shared.row_count.load(.monotonic); // a statistic
    handle.io.result.count = @floatFromInt(@max(0, rows));
}

pub fn begin(handle: *Handle, flags: u32) !void {
    const session = &handle.engine.context.session;
    if (flags & 2 == 0) session.retry = .none else word.bump(&session.slot.counters.retries, 1);
    handle.io.result.transaction = try handle.begin(flags & 1 != 0);
}

fn existing(handle: *Handle, id: u32) !*Transaction {
    return (try handle.transactionOf(id)) orelse error.InvalidArgument;
}

pub fn commit(handle: *Handle, id: u32) !void {
    const transaction = try existing(handle, id);
    defer handle.end(id);

    const csn = try transaction.commit();
    handle.noteCommit(csn);
}

pub fn abort(handle: *Handle, id: u32) !void {
    _ = try existing(handle, id);
    handle.end(id);
}

pub fn savepoint(handle: *Handle, id: u32) !void {
    handle.io.result.savepoint = try (try existing(handle, id)).savepoint();
}

pub fn rollback(handle: *Handle, id: u32, number: u32) !void {
    if (!(try existing(handle, id)).rollback(number)) return error.InvalidArgument;
}

pub fn releaseSavepoint(handle: *Handle, id: u32, number: u32) !void {
    if (!(try existing(handle, id)).release(number)) return error.InvalidArgument;
}

pub fn token(handle: *Handle, id: u32) !void {
    const value = (try existing(handle, id)).takeToken();
    handle.io.result.token_low = @truncate(value);
    handle.io.result.token_high = @truncate(value >> 32);
}

pub fn lock(handle: *Handle, id: u32, table_id: u32) !void {
    const transaction = try existing(handle, id);
    const table = try handle.engine.context.table(table_id);
    const key = handle.io.input[0..table.schema.primaryKey().size];
    if (!try transaction.lock(table_id, key)) return error.Busy;
    // A latch taken by a transaction that has lost before.
    const session = &handle.engine.context.session;
    if (session.retry.csn != 0) word.bump(&session.slot.counters.escalations, 1);
}

pub fn outcomeOf(handle: *Handle, low: u32, high: u32) !void {
    const context = &handle.engine.context;
    const segment = context.session.segment;
    const value = @as(u64, high) << 32 | low;
    var state = outcome.of(segment, value);
    const owner = outcome.sessionOf(segment, value) orelse context.session.index;
    if (state == .pending and !context.session.isAlive(owner)) {
        // A repair needs a pin that cannot be revoked.
        handle.engine.pins.enterCommit(&context.session);
        defer handle.engine.pins.leaveCommit(&context.session);

        _ = try repair.sweep(context);
        state = outcome.of(segment, value);
    }
    handle.io.result.outcome = @intFromEnum(state);
}

pub fn attachLog(handle: *Handle, directory: []const u8) !void {
    const attached = handle.attached;
    if (directory.len > 0) attached.segment.header.log_enabled.store(1, .seq_cst);
    attached.starting.acquire();
    defer attached.starting.release();

    if (attached.maintenance != null) return;
    if (directory.len == 0) {
        attached.maintenance = try Maintenance.start(handle.allocator, attached, null);
        return;
    }
    const path = try handle.allocator.dupeZ(u8, directory);
    defer handle.allocator.free(path);

    attached.maintenance = try Maintenance.start(handle.allocator, attached, path);
}

fn csnOf(number: f64) error{InvalidArgument}!u64 {
    if (!(number >= 0 and number < 1 << 53)) return error.InvalidArgument;
    return @intFromFloat(number);
}

pub fn waitDurable(handle: *Handle, csn: f64, timeout_ms: u32) !void {
    const header = handle.attached.segment.header;
    try log_state.wait(header, try csnOf(csn), @as(u64, timeout_ms) * 1_000_000);
}

/// The stream that tells of durable commits; a handle has one.
pub fn watchDurable(handle: *Handle) !void {
    if (handle.listener != null) return error.InvalidArgument;
    var far: os.Fd = undefined;
    handle.listener = try handle.attached.listeners.add(handle.allocator, &far);
    handle.io.result.size = @intCast(far);
}

/// Asks for `last` to be synced, and to be told when `first` is; done: it is already.
pub fn armDurable(handle: *Handle, first: f64, last: f64) !void {
    const header = handle.attached.segment.header;
    const listeners = &handle.attached.listeners;
    const listener = handle.listener orelse return error.InvalidArgument;
    const awaited = try csnOf(first);
    listeners.arm(listener, awaited);
    log_state.want(header, try csnOf(last));
    if (handle.attached.maintenance) |maintenance| maintenance.hear();
    // What became true before it was armed nobody tells.
    const failed = std.meta.isError(log_state.check(header));
    const over = failed or log_state.isDurable(header, awaited);
    handle.io.result.done = @intFromBool(over and listeners.take(listener));
}

pub fn readDurable(handle: *Handle) !void {
    const header = handle.attached.segment.header;
    handle.io.result.csn = @floatFromInt(handle.engine.context.last_csn);
    // Without a log all is as durable as it will ever be.
    const is_logged = header.log_enabled.load(.acquire) != 0;
    const durable = if (is_logged) header.durable.load(.acquire) else std.math.maxInt(u53);
    handle.io.result.durable_csn = @floatFromInt(durable);
    try log_state.check(header);
}

fn setting(
    handle: *Handle,
    number: u32,
) !*@TypeOf(handle.attached.segment.header.flush_interval_ms) {
    const header = handle.attached.segment.header;
    return switch (number) {
        0 => &header.synchronous_commit,
        1 => &header.flush_interval_ms,
        2 => &header.checkpoint_interval_secs,
        3 => &header.snapshot_age_limit_ms,
        4 => &header.log_size_limit_mb,
        else => error.InvalidArgument,
    };
}

pub fn setConfig(handle: *Handle, number: u32, value: u32) !void {
    (try setting(handle, number)).store(value, .seq_cst);
}

pub fn getConfig(handle: *Handle, number: u32) !void {
    handle.io.result.count = @floatFromInt((try setting(handle, number)).load(.seq_cst));
}

pub fn readStats(handle: *Handle, out: *stats.Stats) !void {
    stats.fill(&handle.engine.context.session, out);
}

pub fn readSessions(handle: *Handle, out: []u8) !void {
    handle.io.result.size = @intCast(stats.sessions(&handle.engine.context.session, out));
}

pub fn openRecovery(handle: *Handle, directory: []const u8, flags: u32) !void {
    if (handle.recovery != null) return error.InvalidArgument;
    const path = try handle.allocator.dupeZ(u8, directory);
    defer handle.allocator.free(path);

    handle.recovery = try Recovery.create(handle.allocator, &handle.engine, path, flags & 1 != 0);
}

pub fn stepRecovery(handle: *Handle, budget_ms: u32, report: *recovery_.Report) !void {
    const recovery = handle.recovery orelse return error.InvalidArgument;
    recovery.step(@min(budget_ms, 100)) catch |err| {
        report.* = recovery.report;
        return err;
    };
    report.* = recovery.report;
    if (recovery.phase != .done) return;
    handle.recovery = null;
    recovery.destroy();
}

pub fn cutLog(path: [:0]const u8, name: []const u8, offset: f64, report: *log_cut.Report) !void {
    if (!(offset >= 0 and offset < 1 << 53)) return error.InvalidArgument;
    try log_cut.run(std.heap.c_allocator, path, name, @intFromFloat(offset), report);
}

pub fn startCheckpoint(handle: *Handle, directory: []const u8) !void {
    if (handle.checkpointer) |old| {
        if (old.stateOf() == .running) return error.Busy;
        old.destroy();
        handle.checkpointer = null;
    }
    const path = try handle.allocator.dupeZ(u8, directory);
    defer handle.allocator.free(path);

    handle.checkpointer = try Checkpointer.start(handle.allocator, handle.attached, path);
}

pub fn pollCheckpoint(handle: *Handle) !void {
    const checkpointer = handle.checkpointer orelse return error.InvalidArgument;
    const result = &handle.io.result;
    const state = checkpointer.stateOf();
    result.done = @intFromBool(state != .running);
    result.count = @floatFromInt(@atomicLoad(u64, &checkpointer.rows, .monotonic)); // progress
    result.csn = @floatFromInt(checkpointer.snapshot_csn);
    result.examined = @floatFromInt(checkpointer.size);
    return switch (state) {
        .idle, .running, .done => {},
        .failed => error.IoError,
        .busy => error.Busy,
        .poisoned => error.LogPoisoned,
        .no_space => error.NoSpace,
    };
}

pub fn parserOf(handle: ?*Handle, number: u32) ?*@import("../ingest/parser.zig").Parser {
    const h = handle orelse return null;
    return h.ingestParser(number) catch null;
}

pub fn openCheck(handle: *Handle, directory: []const u8) !void {
    if (handle.check) |old| old.destroy();
    handle.check = null;
    const path = try handle.allocator.dupeZ(u8, directory);
    defer handle.allocator.free(path);

    handle.check = try Check.create(handle.allocator, &handle.engine, path);
}

pub fn stepCheck(handle: *Handle, budget_ms: u32, report: *check_.Report) !void {
    const check = handle.check orelse return error.InvalidArgument;
    const outcome_of_step = check.step(@min(budget_ms, 100));
    report.* = check.report;
    if (check.phase == .done or std.meta.isError(outcome_of_step)) {
        handle.check = null;
        check.destroy();
    }
    return outcome_of_step;
}
