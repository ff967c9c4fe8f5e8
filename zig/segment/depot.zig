//! Where sessions leave free records for each other: chains of records of one class, one in each
//! cell. A session keeps two chains of a class, `loaded` and `spare`, takes from and gives to the
//! first, and comes here only when both are empty or both are full (the magazines and depots of
//! Bonwick and Adams 2001). So what one has freed another takes, for one visit in `chain_size`
//! records.
//!
//! **Invariants**: a chain is in one cell, or is `loaded` or `spare` of one session, or is on its
//! way between the two: then the session has claimed the cell, and `depot_cell` names the cell.
//!
//! **Concurrency**: a cell changes by compare-and-swap, except that whoever has claimed it stores
//! what it becomes. Its word says all that a cell has, so that no tag is needed: whoever finds a
//! chain in it may take that chain, whichever it was before.
//!
//! **Who may die where**: while a claimed cell stands, the session's lists say whether the chain is
//! there: `repair` empties the cell if it is, and puts the chain on offer otherwise.
const std = @import("std");
const fault = @import("../testing/fault.zig");
const mutant = @import("../testing/mutant.zig");
const classes = @import("classes.zig");
const layout = @import("layout.zig");
const rel_ptr = @import("rel_ptr.zig");
const Segment = @import("segment.zig").Segment;
const Chain = layout.Chain;
const FreeList = layout.FreeList;
const Ref = rel_ptr.Ref;

/// A session keeps up to two chains of so many records for each class. Under the scheduler worlds
/// are small.
pub const chain_size = if (@import("build_options").scheduler) 2 else 64;

/// One word of the depot; 0 is an empty cell.
pub const Cell = packed struct(u64) {
    ref: Ref,
    class: u8,
    /// Of the session that has claimed the cell, plus one; 0: the chain is on offer.
    claimant: u13,
    /// About how many records, at most what fits.
    count: u11,

    pub fn raw(cell: Cell) u64 {
        return @bitCast(cell);
    }

    pub fn of(word: u64) Cell {
        return @bitCast(word);
    }

    fn offered(cell: Cell) Cell {
        var other = cell;
        other.claimant = 0;
        return other;
    }
};

comptime {
    std.debug.assert(classes.count <= 1 << 8);
    std.debug.assert(@import("../limits.zig").session_count_max < 1 << 13);
}

/// Whether `refill` must look even where no chain is counted: counts are only about right.
pub const Search = enum { counted, thorough };

/// Makes `loaded`, which is empty, a chain of the class, if there is one.
pub fn refill(segment: *const Segment, index: u32, class: u32, search: Search) Chain {
    const list = &segment.sessions[index].free[class];
    const spare = Chain.of(list.spare.load(.monotonic)); // the owner's own
    if (spare.ref == rel_ptr.none) return take(segment, index, class, search);
    list.loaded.store(spare.raw(), .release);
    fault.point("depot.moved");
    list.spare.store(Chain.empty.raw(), .release);
    return spare;
}

/// Empties `loaded`, which is full, so that what comes next begins another chain.
/// **Precondition**: no record in somebody's hand is in the list.
pub fn share(segment: *const Segment, index: u32, class: u32) void {
    const list = &segment.sessions[index].free[class];
    const spare = Chain.of(list.spare.load(.monotonic)); // the owner's own
    if (spare.ref != rel_ptr.none and !offer(segment, index, class, &list.spare)) return;
    list.spare.store(list.loaded.load(.monotonic), .release);
    fault.point("depot.moved");
    list.loaded.store(Chain.empty.raw(), .release);
}

/// Offers all that a session has, which is about to leave. **Precondition**: as `share`.
pub fn leave(segment: *const Segment, index: u32) void {
    for (&segment.sessions[index].free, 0..) |*list, class| {
        for ([_]*layout.Word(u64){ &list.spare, &list.loaded }) |chain| {
            if (chain.raw == 0) continue; // the owner's own
            if (!offer(segment, index, @intCast(class), chain)) return;
        }
    }
}

/// Where the search for cells of a class begins; chains of a class so lie close together.
fn startOf(segment: *const Segment, class: u32) u32 {
    return @intCast(@as(u64, class) * segment.depot.len / classes.count);
}

fn take(segment: *const Segment, index: u32, class: u32, search: Search) Chain {
    const count = &segment.chain_counts[class];
    const counted = count.load(.monotonic); // Monotonic: about right is enough.
    if (search == .counted and counted == 0) return .empty;
    const slot = &segment.sessions[index];
    var at = startOf(segment, class);
    for (0..segment.depot.len) |_| {
        const word = segment.depot[at].load(.acquire); // pairs with the release of `offer`
        const cell = Cell.of(word);
        if (cell.ref != rel_ptr.none and cell.class == class and cell.claimant == 0) {
            var claimed = cell;
            claimed.claimant = @intCast(index + 1);
            slot.depot_cell.store(at + 1, .release); // before it is claimed, for the repair
            fault.point("depot.named");
            if (segment.depot[at].cas(word, claimed.raw(), .acq_rel)) {
                fault.point("depot.claimed");
                const chain: Chain = .{ .ref = cell.ref, .count = cell.count };
                slot.free[class].loaded.store(chain.raw(), .release);
                fault.point("depot.moved");
                segment.depot[at].store(0, .release);
                slot.depot_cell.store(0, .release);
                lower(count);
                return chain;
            }
        }
        at = if (at + 1 == segment.depot.len) 0 else at + 1;
    }
    slot.depot_cell.store(0, .release);
    // Counted by somebody who died on the way, or is still on it; pairs with nothing.
    _ = count.cas(counted, 0, .acq_rel);
    return .empty;
}

fn lower(count: *layout.Word(u32)) void {
    while (true) { // each turn means that another counted
        const counted = count.load(.monotonic); // Monotonic: as in `take`; pairs with nothing.
        if (counted == 0 or count.cas(counted, counted - 1, .acq_rel)) return;
    }
}

/// Puts a chain of a session into an empty cell. False: there is none.
fn offer(segment: *const Segment, index: u32, class: u32, from: *layout.Word(u64)) bool {
    const slot = &segment.sessions[index];
    const chain = Chain.of(from.load(.monotonic)); // the owner's own
    const claimed: Cell = .{
        .ref = chain.ref,
        .class = @intCast(class),
        .claimant = @intCast(index + 1),
        .count = @intCast(@min(chain.count, std.math.maxInt(u11))),
    };
    var at = startOf(segment, class);
    for (0..segment.depot.len) |_| {
        if (segment.depot[at].load(.monotonic) == 0) { // Monotonic: the swap decides.
            slot.depot_cell.store(at + 1, .release); // before it is claimed, for the repair
            fault.point("depot.named");
            // pairs with the release that emptied it in `take`
            if (segment.depot[at].cas(0, claimed.raw(), .acq_rel)) {
                fault.point("depot.claimed");
                from.store(Chain.empty.raw(), .release);
                fault.point("depot.moved");
                _ = segment.chain_counts[class].add(1, .monotonic); // as in `take`
                segment.depot[at].store(claimed.offered().raw(), .release);
                slot.depot_cell.store(0, .release);
                return true;
            }
        }
        at = if (at + 1 == segment.depot.len) 0 else at + 1;
    }
    slot.depot_cell.store(0, .release);
    return false;
}

/// Ends what a dead session was about to do here, before anything is given to its lists.
/// **Precondition**: the caller holds the liveness byte of `index`.
pub fn repair(segment: *const Segment, index: u32) void {
    if (mutant.is(.depot_unrepaired)) return;
    const slot = &segment.sessions[index];
    const named = slot.depot_cell.load(.acquire); // pairs with the releases above
    if (named > 0 and named <= segment.depot.len) {
        const word = &segment.depot[named - 1];
        const cell = Cell.of(word.load(.acquire)); // the dead session's, or not claimed by it
        if (cell.claimant == index + 1 and cell.class < classes.count) {
            const list = &slot.free[cell.class];
            const is_listed = cell.ref == Chain.of(list.loaded.load(.acquire)).ref or
                cell.ref == Chain.of(list.spare.load(.acquire)).ref; // pair with the releases above
            word.store(if (is_listed) 0 else cell.offered().raw(), .release);
        }
    }
    slot.depot_cell.store(0, .release);
    for (&slot.free) |*list| {
        // Moved from one to the other, and not forgotten there yet. The repairer's alone.
        if (list.spare.raw == 0 or list.spare.raw != list.loaded.raw) continue;
        list.spare.store(Chain.empty.raw(), .release);
    }
}

const harness = @import("../testing/harness.zig");
const arena = @import("arena.zig");

test "depot: what one session frees another takes" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const giver = try world.attach();
    const taker = try world.attach();
    const class = classes.versionClass(64);
    const segment = &world.segment;
    const from = giver.context.session.index;
    const to = taker.context.session.index;

    var given: [4 * chain_size]Ref = undefined;
    const held = &segment.sessions[from].held_version;
    for (&given) |*ref| ref.* = try arena.take(segment, from, class, held);
    held.raw = 0;
    for (given) |ref| {
        try arena.give(segment, from, class, ref);
        arena.settle(segment, from, class);
    }
    // All but the two chains that the giver keeps, the newest of which may still grow.
    for (0..given.len - 2 * chain_size) |_| {
        const ref = try arena.take(segment, to, class, &segment.sessions[to].held_version);
        try std.testing.expect(std.mem.indexOfScalar(Ref, &given, ref) != null);
    }
    leave(segment, from);
    for (0..2 * chain_size) |_| {
        const ref = try arena.take(segment, to, class, &segment.sessions[to].held_version);
        try std.testing.expect(std.mem.indexOfScalar(Ref, &given, ref) != null);
    }
    const new = try arena.take(segment, to, class, &segment.sessions[to].held_version);
    try std.testing.expect(std.mem.indexOfScalar(Ref, &given, new) == null);
}

test "depot: a full one leaves a session what it has" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const class = classes.versionClass(64);
    const segment = &world.segment;
    const index = engine.context.session.index;
    for (segment.depot) |*cell| cell.raw = (Cell{
        .ref = segment.arena_ref,
        .class = 0,
        .claimant = 0,
        .count = 1,
    }).raw();

    var given: [4 * chain_size]Ref = undefined;
    const held = &segment.sessions[index].held_version;
    for (&given) |*ref| ref.* = try arena.take(segment, index, class, held);
    held.raw = 0;
    for (given) |ref| {
        try arena.give(segment, index, class, ref);
        arena.settle(segment, index, class);
    }
    for (0..given.len) |_| {
        const ref = try arena.take(segment, index, class, held);
        try std.testing.expect(std.mem.indexOfScalar(Ref, &given, ref) != null);
    }
}
