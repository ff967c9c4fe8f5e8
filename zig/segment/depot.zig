//! Where sessions leave free records for each other: chains of records of one class, one in each of
//! the few cells that the class has. A session keeps two chains of a class, `loaded` and `spare`,
//! takes from and gives to the first, and comes here only when both are empty or both are full (the
//! magazines and depots of Bonwick and Adams 2001). So what one has freed another takes, for one
//! visit in `chain_size` records. Chains that find no empty cell are joined, and long ones are
//! split, so that a class has room for however much is free.
//!
//! **Invariants**: a chain is in one cell, or is `loaded` or `spare` of one session, or is on its
//! way between the two: then the session has claimed the cell, and `depot_cell` names the cell.
//!
//! **Concurrency**: a cell changes by compare-and-swap, except that whoever has claimed it stores
//! what it becomes. Its word says all that a cell has, so that no tag is needed: whoever finds a
//! chain in it may take that chain, whichever it was before.
//!
//! **Who may die where**: while a claimed cell stands, the session's lists say whether the chain is
//! there, itself or behind another: `repair` empties the cell if it is, and puts the chain on offer
//! otherwise.
const std = @import("std");
const limits = @import("../limits.zig");
const fault = @import("../instrument/fault.zig");
const mutant = @import("../instrument/mutant.zig");
const arena = @import("arena.zig");
const classes = @import("classes.zig");
const layout = @import("layout.zig");
const rel_ptr = @import("rel_ptr.zig");
const Segment = @import("segment.zig").Segment;
const Word = @import("word.zig").Word;
const Chain = layout.Chain;
const FreeList = layout.FreeList;
const Ref = rel_ptr.Ref;

const is_small = @import("build_options").scheduler;

/// A session keeps up to two chains of so many records for each class. Under the scheduler worlds
/// are small.
pub const chain_size = if (is_small) 2 else 64;
/// Two cache lines: all are looked at whenever a session has none left.
const cells_per_class = if (is_small) 2 else 16;
pub const cell_count = classes.count * cells_per_class;

/// One word of the depot; 0 is an empty cell.
pub const Cell = packed struct(u64) {
    ref: Ref,
    /// Of the session that has claimed the cell, plus one; 0: the chain is on offer.
    claimant: u13,
    /// About how many records, at most what fits.
    count: u19,

    const empty: Cell = .{ .ref = rel_ptr.none, .claimant = 0, .count = 0 };

    pub fn raw(cell: Cell) u64 {
        return @bitCast(cell);
    }

    pub fn of(word: u64) Cell {
        return @bitCast(word);
    }

    fn init(ref: Ref, claimant: u13, count: u64) Cell {
        const most = std.math.maxInt(u19);
        return .{ .ref = ref, .claimant = claimant, .count = @intCast(@min(count, most)) };
    }

    fn claimed(cell: Cell, index: u32) Cell {
        return .init(cell.ref, @intCast(index + 1), cell.count);
    }

    fn offered(cell: Cell) Cell {
        return .init(cell.ref, 0, cell.count);
    }
};

comptime {
    std.debug.assert(limits.session_count_max < 1 << 13);
}

/// A cell, and what was in it.
const Found = struct { at: u32, cell: Cell };

pub fn classOf(at: usize) u32 {
    return @intCast(at / cells_per_class);
}

/// The cell of a class that a session looks at as number `i`: others begin elsewhere.
inline fn look(segment: *const Segment, index: u32, class: u32, i: usize) Found {
    const at: u32 = @intCast(class * cells_per_class + (index + i) % cells_per_class);
    return .{ .at = at, .cell = .of(segment.depot[at].load(.monotonic)) }; // the claim decides
}

/// Makes `loaded`, which is empty, a chain of the class, if there is one.
pub fn refill(segment: *const Segment, index: u32, class: u32) arena.Error!Chain {
    const list = &segment.sessions[index].free[class];
    const spare = Chain.of(list.spare.load(.monotonic)); // the owner's own
    if (spare.ref == rel_ptr.none) return take(segment, index, class);
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
        for ([_]*Word(u64){ &list.spare, &list.loaded }) |chain| {
            if (chain.raw == 0) continue; // the owner's own
            _ = offer(segment, index, @intCast(class), chain);
        }
    }
}

fn take(segment: *const Segment, index: u32, class: u32) arena.Error!Chain {
    for (0..cells_per_class) |i| {
        const found = look(segment, index, class, i);
        if (found.cell.ref == rel_ptr.none or found.cell.claimant != 0) continue;
        const claimed = found.cell.claimed(index);
        if (claim(segment, index, found, claimed)) {
            return takeClaimed(segment, index, class, found.at, claimed);
        }
    }
    return .empty;
}

fn takeClaimed(
    segment: *const Segment,
    index: u32,
    class: u32,
    at: u32,
    claimed: Cell,
) arena.Error!Chain {
    errdefer release(segment, index, at, claimed.offered());
    var chain: Chain = .{ .ref = claimed.ref, .count = claimed.count };
    var last: ?*Word(Ref) = null;
    if (chain.count > chain_size) {
        chain.count = chain_size;
        last = try linkAfter(segment, class, chain.ref, chain_size);
    }
    const rest = if (last) |link| link.load(.monotonic) else rel_ptr.none; // the claimant's own
    segment.sessions[index].free[class].loaded.store(chain.raw(), .release);
    fault.point("depot.moved");
    if (rest == rel_ptr.none) {
        release(segment, index, at, .empty);
        return chain;
    }
    const left: Cell = .init(rest, claimed.claimant, claimed.count - chain_size);
    segment.depot[at].store(left.raw(), .release);
    // Release: not before the cell has the rest; pairs with the acquires of `repair`.
    last.?.store(rel_ptr.none, .release);
    release(segment, index, at, left.offered());
    return chain;
}

/// Puts a chain of a session into an empty cell, or before the shortest chain that is there.
/// False: all cells are claimed, and the session keeps it.
fn offer(segment: *const Segment, index: u32, class: u32, from: *Word(u64)) bool {
    const chain = Chain.of(from.load(.monotonic)); // the owner's own
    for (0..cells_per_class) |_| { // each turn means that another claimed the cell
        const found = shortest(segment, index, class) orelse return false;
        var claimed: Cell = .init(chain.ref, @intCast(index + 1), chain.count);
        if (found.cell.ref == rel_ptr.none) {
            if (!claim(segment, index, found, claimed)) continue;
        } else {
            if (!claim(segment, index, found, found.cell.claimed(index))) continue;
            const last = linkAfter(segment, class, chain.ref, segment.chain_steps_max) catch {
                release(segment, index, found.at, found.cell);
                return false; // damage is told to whoever takes from it
            };
            // Release: before the cell names it; pairs with the acquires of `repair`.
            last.store(found.cell.ref, .release);
            claimed = .init(chain.ref, claimed.claimant, @as(u64, chain.count) + found.cell.count);
            segment.depot[found.at].store(claimed.raw(), .release);
        }
        from.store(Chain.empty.raw(), .release); // pairs with the acquires of `repair`
        fault.point("depot.moved");
        release(segment, index, found.at, claimed.offered());
        return true;
    }
    return false;
}

/// An empty cell of the class, or the one with the fewest records; null when all are claimed.
fn shortest(segment: *const Segment, index: u32, class: u32) ?Found {
    var best: ?Found = null;
    for (0..cells_per_class) |i| {
        const found = look(segment, index, class, i);
        if (found.cell.claimant != 0) continue;
        if (found.cell.ref == rel_ptr.none) return found;
        if (best == null or found.cell.count < best.?.cell.count) best = found;
    }
    return best;
}

/// The link of the record number `count` of a chain, or of its last one.
fn linkAfter(segment: *const Segment, class: u32, first: Ref, count: u64) arena.Error!*Word(Ref) {
    var link = try arena.linkOf(segment, class, first);
    for (1..count) |_| {
        const next = link.load(.monotonic); // the chain is the caller's
        if (next == rel_ptr.none) return link;
        link = try arena.linkOf(segment, class, next);
    }
    return link;
}

/// False: the cell is not as it was found.
fn claim(segment: *const Segment, index: u32, found: Found, claimed: Cell) bool {
    const slot = &segment.sessions[index];
    slot.depot_cell.store(found.at + 1, .release); // before it is claimed, for the repair
    fault.point("depot.named");
    // pairs with the release in `release`
    if (segment.depot[found.at].cas(found.cell.raw(), claimed.raw(), .acq_rel)) {
        fault.point("depot.claimed");
        return true;
    }
    slot.depot_cell.store(0, .release);
    return false;
}

fn release(segment: *const Segment, index: u32, at: u32, cell: Cell) void {
    segment.depot[at].store(cell.raw(), .release); // pairs with the acquire in `claim`
    segment.sessions[index].depot_cell.store(0, .release);
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
        if (cell.claimant == index + 1) {
            const class = classOf(named - 1);
            const list = &slot.free[class];
            const is_listed = isIn(segment, class, &list.loaded, cell.ref) or
                isIn(segment, class, &list.spare, cell.ref);
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

/// Whether a chain of a dead session leads to a record.
fn isIn(segment: *const Segment, class: u32, chain: *Word(u64), wanted: Ref) bool {
    var ref = Chain.of(chain.load(.acquire)).ref; // pairs with the releases above
    for (0..segment.chain_steps_max) |_| {
        if (ref == wanted) return true;
        if (ref == rel_ptr.none) return false;
        const link = arena.linkOf(segment, class, ref) catch return false;
        ref = link.load(.monotonic); // the repairer's alone
    }
    return true; // a ring: lost rather than in two places
}

const harness = @import("../testing/harness.zig");

/// Two sessions, one of which has freed `given`.
const Exchange = struct {
    world: *harness.World,
    segment: *const Segment,
    from: u32,
    to: u32,
    class: u32 = classes.versionClass(64),

    fn init(given: []Ref) !Exchange {
        const world = try harness.World.init(std.testing.allocator, .{});
        errdefer world.deinit();
        const giver = try world.attach();
        const taker = try world.attach();
        const exchange: Exchange = .{
            .world = world,
            .segment = &world.segment,
            .from = giver.context.session.index,
            .to = taker.context.session.index,
        };
        for (given) |*ref| ref.* = try exchange.take(exchange.from);
        exchange.segment.sessions[exchange.from].held_version.raw = 0;
        for (given) |ref| {
            try arena.give(exchange.segment, exchange.from, exchange.class, ref);
            arena.settle(exchange.segment, exchange.from, exchange.class);
        }
        return exchange;
    }

    fn take(exchange: Exchange, index: u32) !Ref {
        const held = &exchange.segment.sessions[index].held_version;
        return arena.take(exchange.segment, index, exchange.class, held);
    }

    fn expectTaken(exchange: Exchange, given: []const Ref) !void {
        const ref = try exchange.take(exchange.to);
        try std.testing.expect(std.mem.indexOfScalar(Ref, given, ref) != null);
    }
};

test "depot: what one session frees another takes" {
    var given: [4 * chain_size]Ref = undefined;
    const exchange: Exchange = try .init(&given);
    defer exchange.world.deinit();

    // All but the two chains that the giver keeps, the newest of which may still grow.
    for (0..given.len - 2 * chain_size) |_| try exchange.expectTaken(&given);
    leave(exchange.segment, exchange.from);
    for (0..2 * chain_size) |_| try exchange.expectTaken(&given);
    const new = try exchange.take(exchange.to);
    try std.testing.expect(std.mem.indexOfScalar(Ref, &given, new) == null);
}

test "depot: however much one session frees, others may have all but its two chains" {
    var given: [400 * chain_size]Ref = undefined;
    const exchange: Exchange = try .init(&given);
    defer exchange.world.deinit();

    for (0..given.len - 2 * chain_size) |_| {
        try exchange.expectTaken(&given);
        // No more than it is about to use: the rest is for a third.
        const list = &exchange.segment.sessions[exchange.to].free[exchange.class];
        try std.testing.expect(Chain.of(list.loaded.raw).count < chain_size);
    }
}
