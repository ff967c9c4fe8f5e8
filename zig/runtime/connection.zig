//! One handle of a process on a segment: its session, its io block, its open transactions and
//! searches.
//!
//! **Concurrency**: one thread at a time; a call on a handle that another thread is inside is the
//! caller's error.
//!
//! **Memory**: owns everything but the io block, which outlives it (see `io.zig`).
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const context_ = @import("../txn/context.zig");
const engine_ = @import("../txn/engine.zig");
const repair = @import("../txn/repair.zig");
const ring = @import("../segment/ring.zig");
const record_ = @import("../row/record.zig");
const write_ = @import("../txn/write.zig");
const io_ = @import("io.zig");
const search_ = @import("search.zig");
const registry = @import("registry.zig");
const Check = @import("check.zig").Check;
const Feed = @import("../changes/feed.zig").Feed;
const Checkpointer = @import("checkpoint.zig").Checkpointer;
const Listener = @import("listeners.zig").Listener;
const Recovery = @import("recovery.zig").Recovery;
const IngestParser = @import("../ingest/parser.zig").Parser;
const Engine = engine_.Engine;
const Search = search_.Search;
const Transaction = @import("../txn/transaction.zig").Transaction;

pub const Error = engine_.Error || search_.Error || error{InvalidArgument};

pub const Handle = struct {
    allocator: std.mem.Allocator,
    /// The thread that it belongs to.
    owner: *const registry.Owner,
    attached: *registry.Attached,
    /// Of its own, for locks that the handles of a process take from each other.
    lock_fd: os.Fd,
    engine: Engine,
    io: *io_.Block,
    transactions: std.ArrayList(?*Transaction) = .empty,
    searches: std.ArrayList(?*Search) = .empty,
    parsers: std.ArrayList(?*IngestParser) = .empty,
    programs: search_.Cache = .{},
    orphans_repaired: u32 = 0,
    recovery: ?*Recovery = null,
    checkpointer: ?*Checkpointer = null,
    check: ?*Check = null,
    listener: ?*Listener = null,
    change_listener: ?*Listener = null,
    feeds: std.ArrayList(?*Feed) = .empty,

    pub fn deinit(handle: *Handle) void {
        const listeners = &handle.attached.listeners;
        if (handle.listener) |listener| listeners.remove(handle.allocator, listener);
        if (handle.change_listener) |listener| listeners.remove(handle.allocator, listener);
        for (handle.feeds.items) |feed| if (feed) |f| f.close();
        handle.feeds.deinit(handle.allocator);
        if (handle.recovery) |recovery| recovery.destroy();
        if (handle.check) |check| check.destroy();
        if (handle.checkpointer) |checkpointer| checkpointer.destroy();
        for (handle.searches.items) |search| if (search) |s| s.close();
        for (handle.transactions.items) |transaction| if (transaction) |t| t.destroy();
        for (handle.parsers.items) |parser| if (parser) |p| p.destroy();
        handle.parsers.deinit(handle.allocator);
        handle.searches.deinit(handle.allocator);
        handle.transactions.deinit(handle.allocator);
        handle.programs.deinit(handle.allocator);
        handle.engine.detach();
        os.close(handle.lock_fd);
    }

    pub fn transactionOf(handle: *Handle, id: u32) error{InvalidArgument}!?*Transaction {
        if (id == 0) return null;
        if (id > handle.transactions.items.len) return error.InvalidArgument;
        return handle.transactions.items[id - 1] orelse error.InvalidArgument;
    }

    pub fn begin(handle: *Handle, read_only: bool) Error!u32 {
        const id = try freeSlot(*Transaction, handle.allocator, &handle.transactions);
        const transaction = try Transaction.begin(&handle.engine, id, read_only);
        handle.transactions.items[id - 1] = transaction;
        return id;
    }

    /// Ends a transaction and the searches inside it.
    pub fn end(handle: *Handle, id: u32) void {
        const transaction = handle.transactions.items[id - 1] orelse return;
        for (handle.searches.items) |*slot| {
            const search = slot.* orelse continue;
            if (search.transaction != transaction) continue;
            search.close();
            slot.* = null;
        }
        handle.transactions.items[id - 1] = null;
        transaction.destroy();
    }

    /// Tells which commit there is to wait for, and whether to wait. A commit that changed nothing
    /// (0) has relied on what it saw, so it waits for the newest that it can have seen.
    pub fn noteCommit(handle: *Handle, csn: u64) void {
        const header = handle.attached.segment.header;
        handle.io.result.csn = @floatFromInt(if (csn != 0) csn else handle.newestSeen());
        // pairs with the release in `configSet`
        handle.io.result.synchronous = header.synchronous_commit.load(.acquire);
    }

    /// The same after a statement outside a transaction; `before` was the session's last commit.
    fn noteStatement(handle: *Handle, before: u64) void {
        const last = handle.engine.context.last_csn;
        const header = handle.attached.segment.header;
        // Only a synchronous statement waits for anything (pairs with the release in `configSet`).
        const waits = header.synchronous_commit.load(.acquire) != 0;
        handle.noteCommit(if (last != before or !waits) last else 0);
    }

    /// The newest commit that this session can have seen: a session that saw one has decided all
    /// below.
    pub fn newestSeen(handle: *Handle) u64 {
        const session = &handle.engine.context.session;
        return ring.firstUndecided(session.segment, session.floor) -| 1;
    }

    /// The record that lies in the io block's input.
    pub fn inputRecord(handle: *Handle) engine_.Record {
        const input: [*]align(8) u8 = @ptrCast(@alignCast(&handle.io.input));
        const head: *const record_.Head = @ptrCast(input);
        const image: [*]align(8) const u8 = @alignCast(input + record_.head_size);
        return .{ .named = head.named, .missing = head.missing, .image = image };
    }

    pub fn write(handle: *Handle, transaction_id: u32, table_id: u32, op: write_.Op) Error!void {
        const record = handle.inputRecord();
        const before = handle.engine.context.last_csn;
        const result = if (try handle.transactionOf(transaction_id)) |transaction| blk: {
            const table = try handle.engine.context.table(table_id);
            const key = table.keyBytes(record.image);
            break :blk try transaction.write(table_id, op, record, key, write_.newest_none);
        } else try handle.engine.write(table_id, op, record, write_.newest_none);
        const out = &handle.io.result;
        out.inserted = @intFromBool(result == .inserted);
        out.updated = @intFromBool(result == .updated);
        out.unchanged = @intFromBool(result == .unchanged);
        out.stale = @intFromBool(result == .stale);
        out.found = @intFromBool(result != .absent);
        if (transaction_id == 0) handle.noteStatement(before);
    }

    fn inputKey(handle: *Handle, table_id: u32) Error![]const u8 {
        const table = try handle.engine.context.table(table_id);
        return handle.io.input[0..table.schema.primaryKey().size];
    }

    pub fn delete(handle: *Handle, transaction_id: u32, table_id: u32) Error!void {
        const key = try handle.inputKey(table_id);
        const before = handle.engine.context.last_csn;
        const found = if (try handle.transactionOf(transaction_id)) |transaction| blk: {
            const record: engine_.Record = .{
                .named = 0,
                .missing = 0,
                .image = handle.engine.context.scratch,
            };
            break :blk try transaction.write(
                table_id,
                .delete,
                record,
                key,
                write_.newest_none,
            ) == .deleted;
        } else try handle.engine.delete(table_id, key);
        handle.io.result.found = @intFromBool(found);
        if (transaction_id == 0) handle.noteStatement(before);
    }

    pub fn get(handle: *Handle, transaction_id: u32, table_id: u32) Error!void {
        const key = try handle.inputKey(table_id);
        const out: [*]align(8) u8 = @ptrCast(@alignCast(&handle.io.output));
        const found = if (try handle.transactionOf(transaction_id)) |transaction|
            try transaction.get(table_id, key, out)
        else
            try handle.engine.get(table_id, key, out);
        handle.io.result.found = @intFromBool(found);
    }

    pub fn writeMany(
        handle: *Handle,
        transaction_id: u32,
        table_id: u32,
        records: []align(8) const u8,
        count: usize,
        newest: []const write_.NewestGroup,
    ) Error!void {
        const table = try handle.engine.context.table(table_id);
        const stride = record_.head_size + @as(usize, table.schema.image_size);
        if (records.len / stride < count) return error.InvalidArgument;
        for (newest) |*group| {
            if (group.column >= table.schema.column_count) return error.InvalidArgument;
        }
        const before = handle.engine.context.last_csn;
        var counts: engine_.Counts = .{};
        if (try handle.transactionOf(transaction_id)) |transaction| {
            const savepoint = try transaction.savepoint();
            errdefer {
                _ = transaction.rollback(savepoint);
                _ = transaction.release(savepoint);
            }
            for (0..count) |i| {
                const each = records[i * stride ..];
                const head: *const record_.Head = @ptrCast(@alignCast(each.ptr));
                const image: [*]align(8) const u8 = @alignCast(each[record_.head_size..].ptr);
                const record: engine_.Record = .{
                    .named = head.named,
                    .missing = head.missing,
                    .image = image,
                };
                counts.add(
                    try transaction.write(
                        table_id,
                        .upsert,
                        record,
                        table.keyBytes(image),
                        newest,
                    ),
                );
            }
            _ = transaction.release(savepoint);
        } else {
            counts = try handle.engine.writeMany(table_id, records, count, newest);
        }
        const out = &handle.io.result;
        out.inserted = @intCast(counts.inserted);
        out.updated = @intCast(counts.updated);
        out.unchanged = @intCast(counts.unchanged);
        out.stale = @intCast(counts.stale);
        if (transaction_id == 0) handle.noteStatement(before);
    }

    /// Opens a search and gives its first rows; it stays open when there are more.
    pub fn searchOpen(
        handle: *Handle,
        transaction_id: u32,
        table_id: u32,
        plan: []const u8,
    ) Error!void {
        const transaction = try handle.transactionOf(transaction_id);
        const out = &handle.io.result;
        out.cursor = 0;
        const image: [*]align(8) u8 = @ptrCast(@alignCast(&handle.io.output));
        if (try search_.findPoint(&handle.engine, transaction, table_id, plan, image)) |point| {
            const count: u32 = @intFromBool(point.found);
            out.rows = if (point.count_only) 0 else count;
            out.done = 1;
            out.count = @floatFromInt(count);
            out.examined = @floatFromInt(count);
            return;
        }
        const search = try Search.open(
            &handle.engine,
            &handle.programs,
            transaction,
            table_id,
            plan,
            @ptrCast(@alignCast(&handle.io.output)),
        );
        const batch = search.next(&handle.io.output) catch |err| {
            search.close();
            return err;
        };
        search.report(batch, out);
        if (batch.done) {
            search.close();
            return;
        }
        out.cursor = freeSlot(*Search, handle.allocator, &handle.searches) catch |err| {
            search.close();
            return err;
        };
        handle.searches.items[out.cursor - 1] = search;
    }

    pub fn searchNext(handle: *Handle, cursor: u32, buffer: []u8) Error!void {
        if (cursor == 0 or cursor > handle.searches.items.len) return error.InvalidArgument;
        const search = handle.searches.items[cursor - 1] orelse return error.InvalidArgument;
        errdefer handle.searchClose(cursor);
        const batch = try search.next(buffer);
        search.report(batch, &handle.io.result);
        if (batch.done) handle.searchClose(cursor);
    }

    /// A parser for one stream into a table; its number is in `cursor`.
    pub fn ingestOpen(handle: *Handle, table_id: u32, plan: []const u8) !void {
        const table = try handle.engine.context.table(table_id);
        const number = try freeSlot(*IngestParser, handle.allocator, &handle.parsers);
        handle.parsers.items[number - 1] = try IngestParser.create(
            handle.allocator,
            &table.schema,
            plan,
        );
        handle.io.result.cursor = number;
    }

    pub fn ingestParser(handle: *Handle, number: u32) error{InvalidArgument}!*IngestParser {
        if (number == 0 or number > handle.parsers.items.len) return error.InvalidArgument;
        return handle.parsers.items[number - 1] orelse error.InvalidArgument;
    }

    pub fn ingestClose(handle: *Handle, number: u32) void {
        const parser = handle.ingestParser(number) catch return;
        handle.parsers.items[number - 1] = null;
        parser.destroy();
    }

    pub fn searchClose(handle: *Handle, cursor: u32) void {
        if (cursor == 0 or cursor > handle.searches.items.len) return;
        const search = handle.searches.items[cursor - 1] orelse return;
        handle.searches.items[cursor - 1] = null;
        search.close();
    }
};

/// A free place in a list of things by number; numbers start at 1.
pub fn freeSlot(
    comptime T: type,
    allocator: std.mem.Allocator,
    list: *std.ArrayList(?T),
) error{OutOfMemory}!u32 {
    for (list.items, 0..) |slot, i| if (slot == null) return @intCast(i + 1);
    try list.append(allocator, null);
    return @intCast(list.items.len);
}
