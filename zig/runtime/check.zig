//! Verification of a living database: rows against the map and the indexes, then checkpoint and
//! log, in slices of time.
//!
//! **Invariants**: what is compared is one snapshot, so writers beside it cause no false alarm: no
//! entry that a pinned snapshot needs is ever vacuumed (P23).
//!
//! **Concurrency**: the handle's thread. Damage met on the way is noted, and the walk goes on where
//! it can.
//!
//! **Memory**: owns its readers until `destroy`.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const segment_ = @import("../segment/segment.zig");
const key_ = @import("../row/key.zig");
const skiplist = @import("../index/skiplist.zig");
const checkpoint_load = @import("../checkpoint/load.zig");
const wal_reader = @import("../wal/reader.zig");
const storage_ = @import("../wal/storage.zig");
const bulk = @import("../table/bulk.zig");
const primary_map = @import("../table/primary_map.zig");
const SlotScan = @import("../table/slot_scan.zig").SlotScan;
const view_ = @import("../table/view.zig");
const Index = @import("../index/index.zig").Index;
const catalog = @import("../txn/catalog.zig");
const fate = @import("../txn/status.zig");
const Known = @import("check_catalog.zig").Known;
const ring = @import("../segment/ring.zig");
const Engine = @import("../txn/engine.zig").Engine;
const Snapshot = @import("../txn/pins.zig").Snapshot;
const Link = rel_ptr.Link;

pub const Phase = enum(u32) {
    header = 0,
    rows = 1,
    slots = 2,
    indexes = 3,
    checkpoint = 4,
    log = 5,
    done = 6,
};

/// Shown by number: append only.
pub const ProblemKind = enum(u32) {
    header_checksum = 1,
    table_unreadable = 2,
    row_unreadable = 3,
    /// The map does not lead to the row under its own key, or leads to another.
    row_not_found = 4,
    entry_missing = 5,
    index_order = 6,
    index_unreadable = 7,
    checkpoint_damaged = 8,
    log_damaged = 9,
    row_invalid = 10,
    /// A table that neither checkpoint nor log has, or not with this schema.
    table_not_logged = 11,
    /// A table that checkpoint or log has, and the catalog does not.
    table_not_committed = 12,
};

pub const Problem = extern struct { kind: u32, table: u32, column: u32, reason: u32, offset: f64 };

pub const problems_max = 32;

pub const Report = extern struct {
    phase: u32,
    problem_count: u32,
    tables: f64,
    rows: f64,
    entries: f64,
    checkpoint_rows: f64,
    log_transactions: f64,
    truncated_size: f64,
    /// The log file that is damaged.
    log_name_size: f64,
    log_name: [64]u8,
    problems: [problems_max]Problem,
};

const file_tries_max = 4;
const file_pause_ns = 20 * 1_000_000;

pub const Check = struct {
    allocator: std.mem.Allocator,
    engine: *Engine,
    storage: ?storage_.Storage,
    snapshot: Snapshot,
    phase: Phase = .header,
    table_id: u32 = 0,
    walk: ?primary_map.Map.Walk = null,
    slots: ?SlotScan = null,
    index_number: u32 = 0,
    /// Entries of the index in hand that are out of order.
    disorder_count: u32 = 0,
    entry: ?*layout.Entry = null,
    start_csn: u64 = bulk.csn_recovered + 1,
    loader: ?checkpoint_load.Loader = null,
    has_checkpoint: bool = false,
    reader: ?wal_reader.Reader = null,
    /// The tables that the files tell of, and the CSN from which on one may be in none of them.
    known: Known = .{},
    known_end_csn: u64 = 0,
    /// How often the files were begun again.
    file_tries: u32 = 0,
    report: Report = std.mem.zeroes(Report),

    /// Without `storage` the files are left out.
    pub fn create(
        allocator: std.mem.Allocator,
        engine: *Engine,
        storage: ?storage_.Storage,
    ) !*Check {
        const check = try allocator.create(Check);
        errdefer allocator.destroy(check);
        check.* = .{
            .allocator = allocator,
            .engine = engine,
            .storage = storage,
            .snapshot = try engine.pins.open(allocator, &engine.context.session),
        };
        return check;
    }

    pub fn destroy(check: *Check) void {
        if (check.loader) |*loader| loader.close();
        if (check.reader) |*reader| reader.close();
        check.engine.pins.close(&check.engine.context.session, check.snapshot);
        check.allocator.destroy(check);
    }

    pub fn step(check: *Check, budget_ms: u32) !void {
        const deadline = os.monotonicNs() + @as(u64, budget_ms) * 1_000_000;
        while (check.phase != .done and os.monotonicNs() < deadline) {
            if (check.engine.pins.isRevoked(&check.engine.context.session, check.snapshot)) {
                return error.SnapshotTooOld;
            }
            switch (check.phase) {
                .header => check.checkHeader(),
                .rows => check.checkRows(),
                .slots => check.checkSlots(),
                .indexes => check.checkIndexes(),
                .checkpoint => try check.checkCheckpoint(),
                .log => try check.checkLog(),
                .done => unreachable,
            }
            check.report.phase = @intFromEnum(check.phase);
        }
    }

    fn note(check: *Check, kind: ProblemKind, column: u32, reason: u32, offset: u64) void {
        const report = &check.report;
        if (report.problem_count < problems_max) {
            report.problems[report.problem_count] = .{
                .kind = @intFromEnum(kind),
                .table = check.table_id,
                .column = column,
                .reason = reason,
                .offset = @floatFromInt(offset),
            };
        }
        report.problem_count += 1;
    }

    fn segment(check: *Check) *const segment_.Segment {
        return check.engine.context.session.segment;
    }

    fn checkHeader(check: *Check) void {
        const header = check.segment().header;
        if (header.checksum != header.computeChecksum()) check.note(.header_checksum, 0, 0, 0);
        check.phase = .rows;
    }

    /// The view of the table in hand; null at the end of the tables.
    fn nextTable(check: *Check) ?*const view_.TableView {
        while (check.table_id < limits.table_count_max) : (check.table_id += 1) {
            const found = catalog.committed(check.segment(), check.table_id) catch {
                check.note(.table_unreadable, 0, 0, 0);
                continue;
            };
            if (found == null) continue;
            return check.engine.context.table(check.table_id) catch {
                check.note(.table_unreadable, 0, 0, 0);
                continue;
            };
        }
        return null;
    }

    fn checkRows(check: *Check) void {
        const table = check.nextTable() orelse {
            check.table_id = 0;
            check.phase = .slots;
            return;
        };
        if (check.walk == null) {
            check.walk = table.map().walk();
            check.report.tables += 1;
        }
        for (0..4096) |_| {
            const found = (check.walk.?.next() catch {
                check.note(.row_unreadable, 0, 0, 0);
                return check.endTable();
            }) orelse return check.endTable();
            check.checkRow(table, found.ref, found.slot) catch {
                check.note(.row_unreadable, 0, 0, rel_ptr.toBytes(found.ref));
            };
        }
    }

    fn endTable(check: *Check) void {
        check.walk = null;
        check.entry = null;
        check.index_number = 0;
        check.table_id += 1;
    }

    fn checkRow(
        check: *Check,
        table: *const view_.TableView,
        ref: rel_ptr.Ref,
        slot: *layout.RowSlot,
    ) !void {
        const head = Link.of(slot.head.load(.seq_cst)).ref;
        const version = (try fate.visible(check.segment(), head, check.snapshot.csn)) orelse return;
        check.report.rows += 1;
        const image = version.image();
        const offset = rel_ptr.toBytes(ref);
        if (version.table() != table.id or !version.isWhole(table.schema.image_size)) {
            return check.note(.row_invalid, 0, 0, offset);
        }
        if (!check.isSlotPage(ref)) return check.note(.row_not_found, 0, 0, offset);
        const found = (try table.map().find(.init(table.keyBytes(image)))) orelse
            return check.note(.row_not_found, 0, 0, offset);
        if (found.ref != ref) return check.note(.row_not_found, 0, 0, offset);
        for (table.indexes[0..table.index_count]) |*index| {
            var room: [limits.position_words_max]u64 = undefined;
            if (try index.hasEntry(image, ref, &room)) continue;
            check.note(.entry_missing, index.column().position, 0, offset);
        }
    }

    /// Scans look for rows in such pages only.
    fn isSlotPage(check: *Check, ref: rel_ptr.Ref) bool {
        const shared = check.segment();
        const extent = &shared.extents[rel_ptr.toBytes(ref) / limits.extent_size];
        // pairs with the release in `arena.reserve`
        if (shared.fd >= 0 and extent.load(.acquire) == 0) return false;
        const word = &shared.pages[segment_.Segment.pageOf(ref)];
        const page = layout.PageState.of(word.load(.acquire)); // pairs with `arena.markUsed`
        return page.state == .used and page.kind == .slot;
    }

    /// All slots in the order of memory: rows that no map leads to, and versions that nobody sees
    /// although no commit is about to change that.
    fn checkSlots(check: *Check) void {
        if (check.slots == null) check.slots = .init(check.segment());
        defer check.table_id = 0;
        const run = check.slots.?.nextRun(4096) orelse {
            check.phase = .indexes;
            return;
        };
        for (run.slots[0..run.count], 0..) |*slot, i| {
            check.table_id = 0;
            check.checkSlot(run.refOf(i), slot) catch {
                check.note(.row_unreadable, 0, 0, rel_ptr.toBytes(run.refOf(i)));
            };
        }
    }

    fn checkSlot(check: *Check, ref: rel_ptr.Ref, slot: *layout.RowSlot) !void {
        const offset = rel_ptr.toBytes(ref);
        const head = Link.of(slot.head.load(.seq_cst)).ref;
        if (head == rel_ptr.none or layout.isClosed(head)) return;
        const newest = try check.segment().at(layout.Version, head);
        check.table_id = newest.table();
        if (try check.isStranded(newest) and Link.of(slot.head.load(.seq_cst)).ref == head) {
            return check.note(.row_unreadable, 0, 0, offset);
        }
        const table = check.engine.context.table(newest.table()) catch
            return check.note(.row_invalid, 0, 0, offset);
        if (!newest.isWhole(table.schema.image_size)) return check.note(.row_invalid, 0, 0, offset);
        const version = (try fate.visible(check.segment(), head, check.snapshot.csn)) orelse return;
        const row = (try table.map().find(.init(table.keyBytes(version.image())))) orelse
            return check.note(.row_not_found, 0, 0, offset);
        if (row.ref != ref) check.note(.row_not_found, 0, 0, offset);
    }

    /// Whether a newest version has a mark that no commit could have left there: free, of the
    /// future, of a transaction that its session has behind it (P18, P19) or never named (P13).
    fn isStranded(check: *Check, version: *layout.Version) !bool {
        const header = check.segment().header;
        const raw = version.mark.load(.seq_cst);
        switch (layout.Mark.of(raw)) {
            .free => return version.mark.load(.seq_cst) == raw,
            .csn => |csn| return csn >= header.tail.load(.seq_cst),
            .pending => |pending| {
                if (pending.session >= check.segment().session_count) return error.SegmentCorrupt;
                const owner = &check.segment().sessions[pending.session];
                const state = layout.State.of(owner.state.load(.seq_cst));
                const is_named = owner.intent_count.load(.seq_cst) != 0;
                if (state.sequence == pending.sequence and is_named) return false;
                return version.mark.load(.seq_cst) == raw;
            },
        }
    }

    fn checkIndexes(check: *Check) void {
        const table = check.nextTable() orelse {
            check.table_id = 0;
            check.phase = if (check.storage != null) .checkpoint else .done;
            return;
        };
        if (check.index_number >= table.index_count) return check.endTable();
        const index = &table.indexes[check.index_number];
        check.checkEntries(index) catch {
            check.note(.index_unreadable, index.column().position, 0, 0);
            check.endIndex();
        };
    }

    fn endIndex(check: *Check) void {
        check.entry = null;
        check.disorder_count = 0;
        check.index_number += 1;
    }

    fn checkEntries(check: *Check, index: *const Index) !void {
        const list = index.list;
        var entry = check.entry orelse try check.segment().at(layout.Entry, list.index.head);
        const is_head = check.entry == null;
        var before: ?*layout.Entry = if (is_head) null else entry;
        for (0..4096) |_| {
            const found = (try list.after(entry)) orelse return check.endIndex();
            check.report.entries += 1;
            const slot = found.entry.slot.load(.monotonic); // never changes while linked
            _ = try check.segment().at(layout.RowSlot, slot);
            if (!check.isSlotPage(slot)) return error.SegmentCorrupt;
            if (before) |b| {
                const order = key_.order(list.wordsOf(b), list.wordsOf(found.entry));
                // as above
                const in_order = order == .lt or (order == .eq and b.slot.load(.monotonic) < slot);
                if (!in_order) {
                    const offset = rel_ptr.toBytes(found.ref);
                    check.note(.index_order, index.column().position, 0, offset);
                    // A list that leads back into itself has such an entry in each round.
                    check.disorder_count += 1;
                    if (check.disorder_count == problems_max) return error.SegmentCorrupt;
                }
            }
            before = found.entry;
            entry = found.entry;
        }
        check.entry = entry;
    }

    fn checkCheckpoint(check: *Check) !void {
        if (check.loader == null) {
            var fault: ?checkpoint_load.Fault = null;
            check.loader = checkpoint_load.Loader.open(
                check.storage.?,
                check.allocator,
                .{ .database_id = check.segment().header.database_id },
                &fault,
            ) catch |err| {
                if (check.tryFilesAgain(err)) return;
                if (err != error.CheckpointCorrupt) return err;
                check.noteFault(.checkpoint_damaged, fault);
                check.phase = .log;
                return;
            };
            if (check.loader == null) {
                check.phase = .log;
                return;
            }
            check.start_csn = check.loader.?.header.snapshot_csn;
            check.has_checkpoint = true;
        }
        const loader = &check.loader.?;
        const event = loader.next() catch |err| {
            if (check.tryFilesAgain(err)) return;
            if (err != error.CheckpointCorrupt) return err;
            check.noteFault(.checkpoint_damaged, loader.fault);
            return check.endCheckpoint();
        } orelse return check.endCheckpoint();
        switch (event) {
            .table => |table| check.known.note(table.table_id, table.schema_bytes),
            .rows => |rows| check.report.checkpoint_rows += @floatFromInt(rows.row_count),
        }
    }

    /// A new writer or a checkpoint renames and drops files while they are read: what seems missing
    /// or wrong counts when it stays so.
    fn tryFilesAgain(check: *Check, err: anyerror) bool {
        switch (err) {
            error.NotFound, error.WalCorrupt, error.CheckpointCorrupt => {},
            else => return false,
        }
        if (check.file_tries == file_tries_max) return false;
        check.file_tries += 1;
        if (check.loader) |*loader| loader.close();
        check.loader = null;
        if (check.reader) |*reader| reader.close();
        check.reader = null;
        check.start_csn = bulk.csn_recovered + 1;
        check.has_checkpoint = false;
        check.known = .{};
        check.report.checkpoint_rows = 0;
        check.report.log_transactions = 0;
        check.phase = .checkpoint;
        os.sleepNs(file_pause_ns);
        return true;
    }

    fn noteFault(check: *Check, kind: ProblemKind, fault: anytype) void {
        if (fault) |f| {
            check.note(kind, 0, @intFromEnum(f.reason), f.offset);
        } else {
            check.note(kind, 0, 0, 0);
        }
    }

    fn noteLogFault(check: *Check, fault: ?wal_reader.Fault) void {
        check.noteFault(.log_damaged, fault);
        const name = if (fault) |*f| f.name.slice() else return;
        check.report.log_name_size = @floatFromInt(name.len);
        @memcpy(check.report.log_name[0..name.len], name);
    }

    fn endCheckpoint(check: *Check) void {
        check.loader.?.close();
        check.loader = null;
        check.phase = .log;
    }

    fn compareCatalog(check: *Check) void {
        if (check.segment().header.log_enabled.load(.acquire) == 0) return; // set before it is used
        defer check.table_id = 0;
        for (0..limits.table_count_max) |id| {
            check.table_id = @intCast(id);
            const difference = check.known.compare(
                check.segment(),
                check.table_id,
                check.known_end_csn,
            ) catch {
                check.note(.table_unreadable, 0, 0, 0);
                continue;
            };
            switch (difference) {
                .none => {},
                .not_logged => check.note(.table_not_logged, 0, 0, 0),
                .not_committed => check.note(.table_not_committed, 0, 0, 0),
            }
        }
    }

    fn checkLog(check: *Check) !void {
        if (check.reader == null) {
            // What is drained is in the files that are opened after this (W9).
            const drained = ring.drainedOf(check.segment().header.drained.load(.seq_cst));
            check.known_end_csn = @min(drained, check.snapshot.csn);
            var fault: ?wal_reader.Fault = null;
            check.reader = wal_reader.Reader.open(check.storage.?, check.allocator, .{
                .start_csn = check.start_csn,
                .is_expected = check.has_checkpoint,
                .database_id = check.segment().header.database_id,
            }, &fault) catch |err| {
                if (check.tryFilesAgain(err)) return;
                if (err != error.WalCorrupt) return err;
                check.noteLogFault(fault);
                check.phase = .done;
                return;
            };
        }
        const reader = &check.reader.?;
        for (0..4096) |_| {
            const transaction = reader.next() catch |err| {
                if (check.tryFilesAgain(err)) return;
                if (err != error.WalCorrupt) return err;
                check.noteLogFault(reader.fault);
                check.phase = .done;
                return;
            };
            const found = transaction orelse {
                check.report.truncated_size = @floatFromInt(reader.report.truncated_size);
                check.compareCatalog();
                check.phase = .done;
                return;
            };
            check.known.noteRecord(found.record);
            check.report.log_transactions += 1;
        }
    }
};
