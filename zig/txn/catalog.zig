//! The catalog: which tables there are, by number, each visible from the CSN that created it on.
//!
//! Creating a table is a commit of its own. Its catalog entry stands to it as a version does to a
//! row: the entry carries a mark (`layout.Mark`), which is FREE, names the commit in progress, or
//! is the CSN. A session that meets a pending mark resolves it as that of a version (P11), so the
//! table is there for all at the one instant at which the cell of the CSN is decided, or never.
//!
//! **Invariants**: a committed entry, its table and its schema never change. Of the committed
//! tables no two have one name. A commit that writes into a table has taken its CSN after the
//! table was committed, so the log and a checkpoint have the table before its rows.
//!
//! **Concurrency**, in the order of the steps of a creator:
//!   1. it names the entry in `SessionSlot.catalog_entry`, then claims it by compare-and-swap of
//!      the mark from FREE to its pending mark;
//!   2. it stores the hash of the name, builds the table in pages of its own, stores run and
//!      version of the catalog;
//!   3. it looks at all other entries. Two creators of one name both claim before they look, so at
//!      least one of them meets the other: pending, it is waited for or aborted (P17); committed,
//!      its schema is compared. Creators of different names pass one another by;
//!   4. it commits the record with the schema bytes (P14 to P16), and stamps the entry as a version
//!      is stamped (P19).
//! The version of the catalog is raised before the decision and after the stamp: who has kept a
//! list of tables looks again from before the instant on, and keeps none that met an undecided
//! entry.
//!
//! **Who may die where**: anywhere. Until the cell is decided committed the creation is aborted, by
//! the next creator that meets it or by the repair, which frees the pages (`undo`); from then on
//! the repair stamps (`stamp`). Both are the last steps of the owner, too, after any error: a full
//! segment, a full disk, a poisoned log. Between claim and stamp no other session follows
//! `CatalogEntry.table`, so the pages can be freed without waiting for readers.
//!
//! | stopped after | the others find | undone or finished by |
//! |---|---|---|
//! | naming the entry | a free entry | no session: nothing happened |
//! | the claim | a pending entry without a table: the name is not taken | repair: mark to FREE |
//! | the build | the same; pages `claimed` and named by the entry | repair: pages freed |
//! | taking the CSN | an empty cell: decided aborted (P17) | repair, as above |
//! | the decision | a committed table, the mark still pending | repair: pages used, CSN stamped |
//! | the stamp | a committed table | repair: the version raised once more |
//!
//! **Memory**: tables are never freed once they are committed.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const arena = @import("../segment/arena.zig");
const segment_ = @import("../segment/segment.zig");
const fault = @import("../instrument/fault.zig");
const mutant = @import("../instrument/mutant.zig");
const records = @import("../wal/record.zig");
const schema_ = @import("../row/schema.zig");
const table_catalog = @import("../table/catalog.zig");
const commit = @import("commit.zig");
const repair = @import("repair.zig");
const status = @import("status.zig");
const Context = @import("context.zig").Context;
const Segment = segment_.Segment;
const Session = @import("../segment/session.zig").Session;
const SessionSlot = layout.SessionSlot;
const TableView = @import("../table/view.zig").TableView;
const Ref = rel_ptr.Ref;

pub const Error = commit.Error || repair.Error || error{
    InvalidSchema,
    /// A table of this name has another schema.
    SchemaMismatch,
    TooManyTables,
    OutOfMemory,
};

/// A table, and the CSN from which on it is there.
pub const Created = struct { id: u32, csn: u64 };

pub const Committed = struct { ref: Ref, csn: u64 };

const State = union(enum) { none, undecided: status.Undecided, committed: Committed };

fn stateOf(segment: *const Segment, entry: *layout.CatalogEntry) segment_.Corrupt!State {
    const raw = entry.mark.load(.seq_cst);
    return switch (try status.ofWord(segment, &entry.mark, raw)) {
        .free, .aborted => .none,
        .undecided => |met| .{ .undecided = met },
        // Acquire: the run was stored before the commit was decided; it never changes then.
        .committed => |csn| .{ .committed = .{ .ref = entry.table.load(.acquire), .csn = csn } },
    };
}

/// The table of an id, if it is committed.
pub fn committed(segment: *const Segment, id: usize) segment_.Corrupt!?Committed {
    if (id >= limits.table_count_max) return null;
    return switch (try stateOf(segment, &segment.catalog[id])) {
        .none => null,
        .undecided => if (mutant.is(.table_early))
            .{ .ref = segment.catalog[id].table.load(.acquire), .csn = 0 }
        else
            null,
        .committed => |found| found,
    };
}

/// Whether some table is about to be created, so that what was read of the catalog may change
/// without its version.
pub fn isChanging(segment: *const Segment) segment_.Corrupt!bool {
    for (segment.catalog[0..limits.table_count_max]) |*entry| {
        if (try stateOf(segment, entry) == .undecided) return true;
    }
    return false;
}

/// Whether every table is there and its schema is what was published: a session that attaches to a
/// segment whose catalog is damaged would otherwise miss a table and make it anew.
pub fn verify(segment: *const Segment) segment_.Corrupt!void {
    // Acquire: pairs with the release in `stamp`; what is counted is stamped.
    const count = segment.header.table_count.load(.acquire);
    var found: u32 = 0;
    var view: TableView = undefined; // large, and filled where it is declared
    for (0..limits.table_count_max) |id| {
        const table = try committed(segment, id) orelse continue;
        try view.load(segment, @intCast(id), table.ref);
        // A CSN that is not taken yet.
        if (table.csn >= segment.header.tail.load(.seq_cst)) return error.SegmentCorrupt;
        found += 1;
    }
    // A creator that dies after the stamp has not counted its table.
    if (found < count) return error.SegmentCorrupt;
}

/// Creates a table, or finds that of the same name and schema. One attempt: `Conflict` and
/// `LogFull` are for the caller to try again. **Precondition**: pinned for committing.
pub fn create(context: *Context, schema_bytes: []const u8) Error!Created {
    _ = schema_.Schema.decode(schema_bytes) catch return error.InvalidSchema;
    const slot = context.session.slot;
    if (try findCommitted(context, schema_bytes)) |found| return found;
    commit.reopen(&context.session);
    commit.noteAge(context);
    return attempt(context, schema_bytes) catch |failure| {
        // As of a commit: what was read after others overtook this one means nothing (P32).
        const err = if (context.session.wasOvertaken())
            context.lose(.wounded, null)
        else
            failure;
        if (slot.catalog_entry.load(.monotonic) != 0) try commit.abandon(context);
        if (err == error.Conflict) commit.keepAge(context);
        return err;
    };
}

fn attempt(context: *Context, schema_bytes: []const u8) Error!Created {
    const session = &context.session;
    const segment = session.segment;
    const name = schema_.Schema.nameIn(schema_bytes);
    const id = try claim(context);
    const entry = &segment.catalog[id];
    fault.point("catalog.claimed");
    entry.name_hash.store(hashOf(name), .seq_cst);
    const run = try table_catalog.build(segment, session.index, id, schema_bytes);
    entry.pages.store(run.pages, .monotonic); // published with the table
    entry.table.store(run.ref, .release); // pairs with the acquire in `stateOf`, and in `undo`
    fault.point("catalog.built");
    raiseVersion(segment);
    if (!mutant.is(.names_unchecked)) try checkNames(context, id, schema_bytes);
    fault.point("catalog.checked");

    const bytes = try context.allocator.alloc(u8, records.createTableSizeMax(schema_bytes.len));
    defer context.allocator.free(bytes);
    const size = records.encodeCreateTable(id, schema_bytes, bytes);
    const csn = try commit.run(context, &.{}, null, bytes[0..size]);
    return .{ .id = id, .csn = csn };
}

/// Claims a free entry. Those of creators that died are freed first where there is none.
fn claim(context: *Context) Error!u32 {
    const session = &context.session;
    const pending = layout.Mark.pendingWord(session.index, session.state().sequence);
    for (0..2) |turn| {
        if (turn == 1 and try repair.sweep(context) == 0) break;
        for (0..limits.table_count_max) |id| {
            const entry = &session.segment.catalog[id];
            if (entry.mark.load(.monotonic) != 0) continue;
            // Named first: the repair of a dead owner looks there (P3).
            session.slot.catalog_entry.store(@intCast(id + 1), .release);
            fault.point("catalog.named");
            if (entry.mark.cas(0, pending, .seq_cst)) return @intCast(id);
        }
    }
    return error.TooManyTables;
}

/// The committed table of the name in schema bytes, which must have the same schema.
fn findCommitted(context: *Context, schema_bytes: []const u8) Error!?Created {
    for (0..limits.table_count_max) |id| {
        const found = try committed(context.session.segment, id) orelse continue;
        if (try isSame(context.session.segment, found, schema_bytes)) {
            return .{ .id = @intCast(id), .csn = found.csn };
        }
    }
    return null;
}

/// Whether a committed table has the schema; an error if it has the name alone.
fn isSame(segment: *const Segment, found: Committed, schema_bytes: []const u8) Error!bool {
    const bytes = try table_catalog.schemaBytes(segment, found.ref);
    if (std.mem.eql(u8, bytes, schema_bytes)) return true;
    _ = schema_.Schema.decode(bytes) catch return error.SegmentCorrupt;
    const name = schema_.Schema.nameIn(schema_bytes);
    if (!std.mem.eql(u8, schema_.Schema.nameIn(bytes), name)) return false;
    return error.SchemaMismatch;
}

/// Step 3: no other table has the name, and none that is about to be committed will.
fn checkNames(context: *Context, own: u32, schema_bytes: []const u8) Error!void {
    const session = &context.session;
    const segment = session.segment;
    const hash = hashOf(schema_.Schema.nameIn(schema_bytes));
    var id: usize = 0;
    while (id < limits.table_count_max) {
        if (session.state().phase != .open) return context.lose(.wounded, null);
        const entry = &segment.catalog[id];
        if (id == own) {
            id += 1;
            continue;
        }
        const raw = entry.mark.load(.seq_cst);
        switch (try stateOf(segment, entry)) {
            .none => id += 1,
            .committed => |found| {
                // The same table: the next attempt finds it.
                if (try isSame(segment, found, schema_bytes)) return context.lose(.absent, null);
                id += 1;
            },
            .undecided => |met| {
                const other = entry.name_hash.load(.seq_cst);
                const is_named = other != 0 and entry.mark.load(.seq_cst) == raw;
                if (is_named and other != hash) {
                    id += 1;
                    continue;
                }
                status.settle(session, met, context.age); // each turn: it took a step, or had to
            },
        }
    }
}

fn hashOf(name: []const u8) u64 {
    return std.hash.Wyhash.hash(0, name) | 1;
}

fn raiseVersion(segment: *const Segment) void {
    // Sequentially consistent: before the decision, or after the stamp.
    _ = segment.header.catalog_version.add(1, .seq_cst);
}

/// The last steps of a creation that was decided committed. Also run by the repairer.
pub fn stamp(segment: *const Segment, slot: *SessionSlot, pending: u64, csn: u64) void {
    const entry = entryOf(segment, slot) orelse return;
    if (entry.mark.load(.seq_cst) == pending) {
        const owner = layout.Mark.of(pending).pending.session;
        const run = runOf(segment, entry);
        if (run) |r| arena.markUsed(segment, owner, Segment.pageOf(r.ref), .table, r.pages, 0);
        fault.point("catalog.used");
        // Release: pairs with the acquire in `verify`.
        if (entry.mark.cas(pending, csn, .seq_cst)) _ = segment.header.table_count.add(1, .release);
    }
    fault.point("catalog.stamped");
    raiseVersion(segment);
    slot.catalog_entry.store(0, .release);
}

/// The last steps of a creation that was aborted. Also run by the repairer.
pub fn undo(segment: *const Segment, slot: *SessionSlot, pending: u64) void {
    const entry = entryOf(segment, slot) orelse return;
    if (entry.mark.load(.seq_cst) == pending and !mutant.is(.table_left)) {
        const run = runOf(segment, entry);
        entry.table.store(rel_ptr.none, .release);
        fault.point("catalog.unnamed"); // claimed pages that nothing names are freed by the repair
        if (run) |r| arena.freePages(segment, Segment.pageOf(r.ref), r.pages);
        entry.name_hash.store(0, .seq_cst); // before another claims the entry
        _ = entry.mark.cas(pending, 0, .seq_cst);
    }
    slot.catalog_entry.store(0, .release);
}

/// The pages that an entry names; null where there are none, or where a damaged entry names others
/// than the arena has.
fn runOf(segment: *const Segment, entry: *layout.CatalogEntry) ?table_catalog.Run {
    const ref = entry.table.load(.acquire); // pairs with the release in `attempt`
    const pages = entry.pages.load(.monotonic); // published with the table
    if (ref < segment.arena_ref or ref >= segment.limit_ref) return null;
    if (pages > Segment.pageOf(segment.limit_ref) - Segment.pageOf(ref)) return null;
    return .{ .ref = ref, .pages = pages };
}

/// The entry that a session creates, which its slot names.
fn entryOf(segment: *const Segment, slot: *SessionSlot) ?*layout.CatalogEntry {
    const named = slot.catalog_entry.load(.acquire);
    if (named == 0 or named > limits.table_count_max) return null;
    return &segment.catalog[named - 1];
}

/// Puts a recovered table in its place. **Precondition**: no other process knows the segment.
pub fn restore(session: *Session, id: u32, schema_bytes: []const u8, csn: u64) Error!void {
    const segment = session.segment;
    if (id >= limits.table_count_max) return error.SchemaMismatch;
    _ = schema_.Schema.decode(schema_bytes) catch return error.InvalidSchema;
    for (0..limits.table_count_max) |other| {
        const found = try committed(segment, other) orelse continue;
        const is_same = try isSame(segment, found, schema_bytes);
        if (is_same and other == id) return;
        if (is_same or other == id) return error.SchemaMismatch;
    }
    const run = try table_catalog.build(segment, session.index, id, schema_bytes);
    const entry = &segment.catalog[id];
    entry.name_hash.store(hashOf(schema_.Schema.nameIn(schema_bytes)), .monotonic);
    entry.pages.store(run.pages, .monotonic);
    entry.table.store(run.ref, .monotonic);
    arena.markUsed(segment, session.index, Segment.pageOf(run.ref), .table, run.pages, 0);
    entry.mark.store(csn, .monotonic);
    _ = segment.header.table_count.add(1, .monotonic);
    raiseVersion(segment);
}
