//! An explicit transaction: reads at one snapshot, writes kept in private memory until the commit,
//! savepoints.
//!
//! **Invariants**: shared memory has nothing of a transaction before its commit, so abandoning one
//! costs nothing;
//! `writes` has one entry per key; every image in it lies in `memory` and is never changed, only
//! replaced.
//!
//! **Concurrency**: belongs to its engine's thread.
//!
//! **Memory**: owns its images, its read set and its undo log; a rollback gives the images back to
//! `memory`.
const std = @import("std");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const word = @import("../segment/word.zig");
const mutant = @import("../instrument/mutant.zig");
const view_ = @import("../table/view.zig");
const Key = @import("../table/primary_map.zig").Key;
const commit_ = @import("commit.zig");
const engine_ = @import("engine.zig");
const fate = @import("status.zig");
const outcome = @import("outcome.zig");
const pins_ = @import("pins.zig");
const latch = @import("latch.zig");
const vacuum = @import("vacuum.zig");
const write_ = @import("write.zig");
const Engine = engine_.Engine;
const ReadSet = @import("read_set.zig").ReadSet;
const SmallMap = @import("small_map.zig").SmallMap;
const Stack = @import("stack.zig").Stack;
const Link = rel_ptr.Link;
const Ref = rel_ptr.Ref;

pub const Error = engine_.Error;

/// Bytes of each list that stay for the next transaction.
const kept_max = 256 * 1024;

/// A row as the transaction leaves it.
pub const Own = struct {
    table: *const view_.TableView,
    key: Key,
    /// Null: deleted, or never there.
    image: ?[*]align(8) const u8,
    /// What the transaction found at its snapshot.
    expected: write_.Expected,
    /// The slot that it found it in, or none.
    slot: Ref,
    /// The next entry with the same hash of table and key, plus one.
    next: u32,
};

const Undo = struct {
    index: u32,
    image: ?[*]align(8) const u8,
    is_new: bool,
};

/// A search that is read on while its transaction writes: what it has of own writes would change
/// under it.
pub const Reader = struct {
    next: ?*Reader = null,
    /// Reads the rest now, and needs the transaction's writes no more.
    keep: *const fn (reader: *Reader) void,
};

const Savepoint = struct { id: u32, undo_count: usize, mark: Stack.Mark };

pub const Transaction = struct {
    engine: *Engine,
    id: u32,
    read_only: bool,
    snapshot: u64,
    /// Of its pin.
    revocations: u32 = 0,
    /// Searches live until the end; keys and images of writes can be rolled back.
    arena: std.heap.ArenaAllocator,
    memory: Stack,
    reads: ReadSet,
    /// The row that was read last: at one snapshot it is the same when it is read again.
    last_read: LastRead = .none,
    writes: std.ArrayList(Own) = .empty,
    by_hash: SmallMap(u64, u32) = .{},
    /// The writes in the order of their installation.
    installs: std.ArrayList(write_.Write) = .empty,
    undo: std.ArrayList(Undo) = .empty,
    savepoints: std.ArrayList(Savepoint) = .empty,
    savepoint_next: u32 = 1,
    /// Number of the outcome entry, plus one; 0 when nobody asked.
    token: u64 = 0,
    latches: std.ArrayList(u32) = .empty,
    /// Open searches that show own writes.
    readers: ?*Reader = null,

    pub fn begin(engine: *Engine, id: u32, read_only: bool) error{OutOfMemory}!*Transaction {
        const allocator = engine.context.allocator;
        const transaction = engine.spare orelse try create(allocator);
        engine.spare = null;
        transaction.engine = engine;
        errdefer transaction.free(allocator);
        const snapshot = try engine.pins.open(allocator, &engine.context.session);
        transaction.id = id;
        transaction.read_only = read_only;
        transaction.snapshot = snapshot.csn;
        transaction.revocations = snapshot.revocations;
        transaction.reads.clear(snapshot.csn);
        return transaction;
    }

    fn create(allocator: std.mem.Allocator) error{OutOfMemory}!*Transaction {
        const transaction = try allocator.create(Transaction);
        transaction.* = .{
            .engine = undefined,
            .id = 0,
            .read_only = true,
            .snapshot = 0,
            .arena = .init(allocator),
            .memory = .init(allocator),
            .reads = .init(allocator, 0),
        };
        return transaction;
    }

    /// Gives the memory of an ended transaction back.
    pub fn free(transaction: *Transaction, allocator: std.mem.Allocator) void {
        transaction.memory.deinit();
        transaction.arena.deinit();
        transaction.reads.deinit();
        transaction.writes.deinit(allocator);
        transaction.by_hash.deinit(allocator);
        transaction.installs.deinit(allocator);
        transaction.undo.deinit(allocator);
        transaction.savepoints.deinit(allocator);
        transaction.latches.deinit(allocator);
        allocator.destroy(transaction);
    }

    /// Empties an ended transaction for the next one, which finds its memory warm.
    fn recycle(transaction: *Transaction) void {
        const allocator = transaction.engine.context.allocator;
        transaction.memory.release(.empty);
        if (transaction.reads.scans.items.len > 0) {
            _ = transaction.arena.reset(.{ .retain_with_limit = kept_max });
        }
        transaction.reads.clear(0);
        transaction.last_read = .none;
        transaction.by_hash.clear(allocator);
        empty(allocator, &transaction.writes);
        empty(allocator, &transaction.installs);
        empty(allocator, &transaction.undo);
        empty(allocator, &transaction.savepoints);
        empty(allocator, &transaction.latches);
        transaction.savepoint_next = 1;
        transaction.token = 0;
    }

    fn empty(allocator: std.mem.Allocator, list: anytype) void {
        if (list.capacity * @sizeOf(@TypeOf(list.items[0])) > kept_max) {
            list.clearAndFree(allocator);
        } else {
            list.items.len = 0; // clearing it would fill it with a pattern first
        }
    }

    /// Ends the transaction without effect, if it has not ended, and frees it.
    pub fn destroy(transaction: *Transaction) void {
        const engine = transaction.engine;
        engine.pins.close(&engine.context.session, transaction.pinned());
        for (transaction.latches.items) |number| latch.release(engine, transaction.id, number);
        transaction.settle(.aborted);
        transaction.recycle();
        if (engine.spare == null) {
            engine.spare = transaction;
        } else {
            transaction.free(engine.context.allocator);
        }
    }

    pub fn pinned(transaction: *const Transaction) pins_.Snapshot {
        return .{ .csn = transaction.snapshot, .revocations = transaction.revocations };
    }

    pub fn isRevoked(transaction: *Transaction) bool {
        return transaction.engine.pins.isRevoked(
            &transaction.engine.context.session,
            transaction.pinned(),
        );
    }

    fn hashOf(table_id: u32, key: Key) u64 {
        return @as(u64, table_id) << 32 | key.hash;
    }

    fn indexOf(transaction: *const Transaction, table_id: u32, key: Key) ?u32 {
        if (transaction.writes.items.len == 0) return null;
        var next = transaction.by_hash.get(hashOf(table_id, key)) orelse return null;
        while (next != 0) {
            const own = &transaction.writes.items[next - 1];
            if (std.mem.eql(u8, own.key.bytes, key.bytes)) return next - 1;
            next = own.next;
        }
        return null;
    }

    pub fn ownWrite(transaction: *const Transaction, table_id: u32, key: Key) ?*const Own {
        const index = transaction.indexOf(table_id, key) orelse return null;
        return &transaction.writes.items[index];
    }

    const Found = struct { ref: Ref, slot: Ref, image: ?[*]align(8) const u8 };

    const LastRead = struct {
        table: ?*const view_.TableView,
        hash: u32,
        found: Found,

        const none: LastRead = .{
            .table = null,
            .hash = 0,
            .found = .{ .ref = 0, .slot = 0, .image = null },
        };

        fn isOf(last: *const LastRead, table: *const view_.TableView, key: Key) bool {
            if (last.table != table or last.hash != key.hash) return false;
            const image = last.found.image orelse return false;
            return std.mem.eql(u8, table.keyBytes(image), key.bytes);
        }
    };

    fn read(transaction: *Transaction, table: *const view_.TableView, key: Key) Error!Found {
        if (transaction.last_read.isOf(table, key)) return transaction.last_read.found;
        return transaction.find(table, key) catch |err| {
            // What looks damaged without a pin is only in use again.
            return if (transaction.isRevoked()) error.SnapshotTooOld else err;
        };
    }

    fn find(transaction: *Transaction, table: *const view_.TableView, key: Key) Error!Found {
        const segment = transaction.engine.context.session.segment;
        const found = (try table.map().find(key)) orelse return .{
            .ref = 0,
            .slot = 0,
            .image = null,
        };
        const head = Link.of(found.slot.head.load(.seq_cst)).ref;
        const version = (try fate.visible(segment, head, transaction.snapshot)) orelse
            return .{ .ref = 0, .slot = 0, .image = null };
        transaction.last_read = .{ .table = table, .hash = key.hash, .found = .{
            .ref = segment.refOf(version),
            .slot = found.ref,
            .image = version.image(),
        } };
        return transaction.last_read.found;
    }

    fn noteRead(
        transaction: *Transaction,
        table: *const view_.TableView,
        key: Key,
        found: Found,
    ) Error!void {
        if (transaction.read_only) return;
        if (found.ref != 0) {
            try transaction.reads.addRow(found.slot, found.ref);
        } else {
            try transaction.reads.addAbsent(table, key);
        }
    }

    /// The row as the transaction sees it. False: absent.
    pub fn get(
        transaction: *Transaction,
        table_id: u32,
        key_bytes: []const u8,
        out: [*]align(8) u8,
    ) Error!bool {
        const table = try transaction.engine.context.table(table_id);
        const key = Key.init(key_bytes);
        const size = table.schema.image_size;
        if (transaction.ownWrite(table_id, key)) |own| {
            const image = own.image orelse return false;
            @memcpy(out[0..size], image[0..size]);
            return true;
        }
        const found = try transaction.read(table, key);
        if (found.image) |image| @memcpy(out[0..size], image[0..size]);
        if (transaction.isRevoked()) return error.SnapshotTooOld;
        try transaction.noteRead(table, key, found);
        return found.image != null;
    }

    /// A write of any kind; nothing leaves the transaction before its commit.
    pub fn write(
        transaction: *Transaction,
        table_id: u32,
        op: write_.Op,
        record: engine_.Record,
        key_bytes: []const u8,
        newest: []const write_.NewestGroup,
    ) Error!write_.Result {
        const context = &transaction.engine.context;
        const table = try context.table(table_id);
        const key = Key.init(key_bytes);
        const size = table.schema.image_size;
        const known = transaction.indexOf(table_id, key);
        const found: Found = if (known) |i|
            .{ .ref = 0, .slot = 0, .image = transaction.writes.items[i].image }
        else
            try transaction.read(table, key);
        var request: write_.Write = .{
            .table = table,
            .key = key,
            .op = op,
            .named = record.named,
            .missing = record.missing,
            .newest = newest,
            .image = record.image,
        };
        const decision = write_.bind(&request, found.image, context.scratch) catch |err| {
            // A failed statement has seen the row all the same.
            if (known == null) try transaction.noteRead(table, key, found);
            return context.refuse(&request, err);
        };
        if (transaction.isRevoked()) return error.SnapshotTooOld;
        if (decision == .nothing) {
            if (known == null) try transaction.noteRead(table, key, found);
            return request.result;
        }
        transaction.keepReaders();
        const image: ?[*]align(8) const u8 = if (decision == .remove) null else blk: {
            const copy = try transaction.memory.alloc(size);
            @memcpy(copy[0..size], context.scratch[0..size]);
            break :blk copy;
        };
        const allocator = context.allocator;
        if (known) |i| {
            const own = &transaction.writes.items[i];
            try transaction.undo.append(
                allocator,
                .{ .index = i, .image = own.image, .is_new = false },
            );
            own.image = image;
        } else {
            try transaction.addOwn(table, key, found, image);
        }
        return request.result;
    }

    fn addOwn(
        transaction: *Transaction,
        table: *const view_.TableView,
        key: Key,
        found: Found,
        image: ?[*]align(8) const u8,
    ) Error!void {
        const allocator = transaction.engine.context.allocator;
        const index: u32 = @intCast(transaction.writes.items.len);
        try transaction.writes.ensureUnusedCapacity(allocator, 1);
        try transaction.undo.ensureUnusedCapacity(allocator, 1);
        const bytes = try transaction.memory.copy(key.bytes);
        const next = transaction.by_hash.get(hashOf(table.id, key)) orelse 0;
        try transaction.by_hash.put(allocator, hashOf(table.id, key), index + 1);
        transaction.writes.appendAssumeCapacity(.{
            .table = table,
            .key = .{ .bytes = bytes, .hash = key.hash },
            .image = image,
            .expected = if (found.ref == 0) .absent else .{ .version = found.ref },
            .slot = found.slot,
            .next = next,
        });
        transaction.undo.appendAssumeCapacity(.{
            .index = index,
            .image = found.image,
            .is_new = true,
        });
        // A rollback forgets the write, not what it has read.
        if (mutant.is(.rollback_unread)) return;
        if (transaction.savepoints.items.len > 0) try transaction.noteRead(table, key, found);
    }

    pub fn addReader(transaction: *Transaction, reader: *Reader) void {
        reader.next = transaction.readers;
        transaction.readers = reader;
    }

    /// Does nothing for one that has been kept.
    pub fn removeReader(transaction: *Transaction, reader: *Reader) void {
        var link = &transaction.readers;
        while (link.*) |each| : (link = &each.next) {
            if (each != reader) continue;
            link.* = reader.next;
            return;
        }
    }

    /// Before own writes change: open searches show what they were when they were opened.
    fn keepReaders(transaction: *Transaction) void {
        while (transaction.readers) |reader| {
            transaction.readers = reader.next;
            reader.keep(reader);
        }
    }

    pub fn savepoint(transaction: *Transaction) Error!u32 {
        const id = transaction.savepoint_next;
        try transaction.savepoints.append(transaction.engine.context.allocator, .{
            .id = id,
            .undo_count = transaction.undo.items.len,
            .mark = transaction.memory.mark(),
        });
        transaction.savepoint_next += 1;
        return id;
    }

    fn findSavepoint(transaction: *Transaction, id: u32) ?usize {
        for (transaction.savepoints.items, 0..) |each, i| if (each.id == id) return i;
        return null;
    }

    /// Back to the savepoint, which stays. False: there is none of that number.
    pub fn rollback(transaction: *Transaction, id: u32) bool {
        const position = transaction.findSavepoint(id) orelse return false;
        transaction.keepReaders();
        const target = transaction.savepoints.items[position];
        const kept = target.undo_count + @intFromBool(mutant.is(.rollback_short));
        while (transaction.undo.items.len > kept) {
            const step = transaction.undo.pop().?;
            if (step.is_new) {
                const own = transaction.writes.items[step.index];
                const hash = hashOf(own.table.id, own.key);
                if (own.next == 0) {
                    transaction.by_hash.remove(hash);
                } else {
                    transaction.by_hash.getPtr(hash).?.* = own.next;
                }
                transaction.writes.items.len = step.index; // the newest entry: undo goes backwards
            } else {
                transaction.writes.items[step.index].image = step.image;
            }
        }
        transaction.savepoints.items.len = position + 1;
        transaction.memory.release(target.mark);
        return true;
    }

    /// Forgets the savepoint and later ones; the writes stay.
    pub fn release(transaction: *Transaction, id: u32) bool {
        const position = transaction.findSavepoint(id) orelse return false;
        transaction.savepoints.items.len = position;
        return true;
    }

    /// Commits; the caller destroys the transaction afterwards, whatever came of it.
    pub fn commit(transaction: *Transaction) Error!u64 {
        const engine = transaction.engine;
        const context = &engine.context;
        if (transaction.isRevoked()) return error.SnapshotTooOld;
        if (transaction.read_only or transaction.writes.items.len == 0) {
            transaction.settle(.committed);
            return 0; // its snapshot was one instant
        }
        const installs = &transaction.installs;
        try installs.ensureTotalCapacity(context.allocator, transaction.writes.items.len);
        for (transaction.writes.items) |*own| {
            if (own.image == null and own.expected == .absent) {
                try transaction.reads.addAbsent(own.table, own.key);
                continue;
            }
            installs.appendAssumeCapacity(.{
                .table = own.table,
                .key = own.key,
                .op = if (own.image == null) .delete else .replace,
                .image = own.image orelse context.scratch,
                .expected = own.expected,
                .found = own.slot,
            });
        }
        sortForInstall(installs.items);
        var wound_count: u32 = 0;
        var full_count: u32 = 0;
        defer engine.keepReserve();

        while (true) {
            const csn = transaction.attempt(&full_count) catch |err| switch (err) {
                error.Conflict => lost: {
                    // Aborted by others, who did not wait: nothing that it has read need have
                    // changed.
                    const is_wounded = context.conflict.cause == .wounded;
                    if (!is_wounded or wound_count >= engine_.attempts_max) return err;
                    engine.backOff(wound_count);
                    wound_count += 1;
                    break :lost null;
                },
                else => return err,
            };
            return csn orelse continue;
        }
    }

    /// One attempt under a pin that cannot be revoked. Null: room had to be made or waited for
    /// first.
    fn attempt(transaction: *Transaction, full_count: *u32) Error!?u64 {
        const engine = transaction.engine;
        const context = &engine.context;
        const session = &context.session;
        const writes = transaction.installs.items;
        engine.pins.enterCommit(session);
        defer engine.pins.leaveCommit(session);

        // Each time: without a pin for committing, a slot may be another key's afterwards.
        if (transaction.isRevoked()) return error.SnapshotTooOld;
        for (writes) |*each| {
            write_.unbind(each);
            each.version = 0;
        }
        if (transaction.token != 0) session.slot.token.store(transaction.token, .release);
        transaction.reads.snapshot = @max(transaction.reads.snapshot, transaction.snapshot);
        const csn = commit_.run(
            context,
            writes,
            &transaction.reads,
            &.{},
        ) catch |err| switch (err) {
            error.LogFull => {
                try engine.waitForLog();
                return null;
            },
            error.SegmentFull => {
                if (!try engine.makeRoom(writes, full_count.*)) {
                    const is_old = transaction.isRevoked() or
                        engine.isHeldBy(transaction.snapshot);
                    return if (is_old) error.SnapshotTooOld else err;
                }
                full_count.* += 1;
                return null;
            },
            else => return err,
        };
        transaction.settle(.committed);
        try engine.vacuumSome(writes.len);
        return csn;
    }

    /// No two have one key, so that no sort need be stable: that of std fills a large cache first,
    /// and the other one 64 ranges.
    fn sortForInstall(writes: []write_.Write) void {
        if (writes.len <= 16) {
            std.sort.insertion(write_.Write, writes, {}, engine_.inKeyOrder);
        } else {
            std.sort.pdq(write_.Write, writes, {}, engine_.inKeyOrder);
        }
    }

    fn settle(transaction: *Transaction, state: layout.OutcomeState) void {
        if (transaction.token == 0) return;
        const session = &transaction.engine.context.session;
        outcome.settle(session.segment, session.index, transaction.token, state);
        transaction.token = 0;
    }

    /// A name for this transaction that outlives it.
    pub fn takeToken(transaction: *Transaction) u64 {
        if (transaction.token == 0) transaction.token =
            outcome.open(&transaction.engine.context.session);
        return transaction.token;
    }

    /// Takes the advisory latch of a key. False: somebody has it. A transaction that has read
    /// nothing yet sees the world from after the latch.
    pub fn lock(transaction: *Transaction, table_id: u32, key_bytes: []const u8) Error!bool {
        const engine = transaction.engine;
        _ = try engine.context.table(table_id);
        const number = latch.numberOf(engine, table_id, Key.init(key_bytes));
        try transaction.latches.ensureUnusedCapacity(engine.context.allocator, 1);
        if (!latch.tryAcquire(engine, transaction.id, number)) return false;
        transaction.latches.appendAssumeCapacity(number);
        // What a transaction that only reads has read is not noted.
        const is_untouched = !transaction.read_only and transaction.reads.isEmpty() and
            transaction.writes.items.len == 0;
        if ((is_untouched or mutant.is(.snapshot_moved)) and !transaction.isRevoked()) {
            const session = &engine.context.session;
            const fresh = try engine.pins.open(engine.context.allocator, session);
            engine.pins.close(session, transaction.pinned());
            transaction.last_read = .none;
            transaction.snapshot = fresh.csn;
            transaction.revocations = fresh.revocations;
            transaction.reads.snapshot = fresh.csn;
        }
        return true;
    }
};
