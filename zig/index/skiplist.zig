//! A secondary index: a lock-free skiplist of (words, row slot) in the segment (Harris 2001; Fraser
//! 2004). The words are those of the key, and behind them the primary key's tie, so that rows with
//! equal keys lie in the order of results (`key.tieOf`).
//!
//! **Invariants**: at every level entries stand in strictly rising order of (words, slot); an entry
//! that is not closed is linked at level 0; an entry is closed first (`EntryState.closed`), then
//! its links are marked from the top, then it is unlinked everywhere, then retired. Only vacuum
//! closes entries (P23).
//!
//! **Concurrency**: all callers are pinned, and those that change links with a pin that cannot be
//! revoked. A walk that changes the list unlinks the marked entries that it meets; a walk that only
//! reads steps over them.
//!
//! **Who may die where**: before linking level 0: the entry is named in `held_entry`. While linking
//! upper levels:
//! the entry is in the list, only with a lower tower. While closing: the entry is named in
//! `vacuum_entry`, and the repair goes on from its state.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const classes = @import("../segment/classes.zig");
const ahead = @import("prefetch.zig");
const arena = @import("../segment/arena.zig");
const segment_ = @import("../segment/segment.zig");
const fault = @import("../instrument/fault.zig");
const mutant = @import("../instrument/mutant.zig");
const Segment = segment_.Segment;
const Session = @import("../segment/session.zig").Session;
const Word = @import("../segment/word.zig").Word;
const Ref = rel_ptr.Ref;
const Link = rel_ptr.Link;
const Entry = layout.Entry;
const EntryState = layout.EntryState;

pub const Error = error{ SegmentFull, SegmentCorrupt };
const Corrupt = segment_.Corrupt;

const height_max = limits.skiplist_height_max;

/// A position: the words of an entry, then the row. Those of the key alone, with the least slot or
/// the largest, are before or behind all of its entries.
pub const Position = struct { words: []const u64, slot: Ref };

pub const Skiplist = struct {
    segment: *const Segment,
    index: *layout.Index,
    /// Of an entry: what the index says, which was compared with its schema and may be damaged
    /// since.
    words_count: u32,

    /// For each level the link word that leads past the position, and what it was. Under one pin
    /// all of its entries stay what they were, in the list or not, so the way to another position
    /// may go on from it (`Trail`).
    pub const Path = struct {
        /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
        words: [height_max]*Word(u64),
        links: [height_max]Link,
        /// The entry at the position, if there is one.
        equal: Ref,
    };

    /// Positions that come in the order of the list, each found from the one before: a few steps
    /// instead of a descent. In any other order it costs a descent and is as right.
    /// **Precondition**: begun and used under one pin that cannot be revoked.
    pub const Trail = struct {
        path: Path,
        is_begun: bool,

        pub inline fn begin(trail: *Trail) void {
            trail.is_begun = false; // the path is filled by the first find
        }
    };

    /// Makes zeroed memory the head entry of a new index; it is published with the index.
    pub fn fillHead(entry: *Entry) void {
        const state: EntryState = .{ .height = height_max, .closed = false, .tag = 0 };
        entry.state.store(state.raw(), .monotonic);
    }

    pub fn wordsOf(list: Skiplist, entry: *Entry) []const u64 {
        // never changes while linked
        const height = EntryState.of(entry.state.load(.monotonic)).height;
        const words: [*]const u64 = @ptrCast(entry.links() + height);
        return words[0..list.words_count];
    }

    /// True when the entry stands before the position.
    pub inline fn isBefore(list: Skiplist, entry: *Entry, position: Position) bool {
        const words = list.wordsOf(entry).ptr;
        if (words[0] != position.words[0]) return words[0] < position.words[0];
        for (position.words[1..], words + 1) |want, have| {
            if (have != want) return have < want;
        }
        return entry.slot.load(.monotonic) < position.slot;
    }

    fn isAt(list: Skiplist, entry: *Entry, position: Position) bool {
        return entry.slot.load(.monotonic) == position.slot and
            std.mem.eql(u64, list.wordsOf(entry), position.words);
    }

    /// The path to a position, unlinking marked entries on the way.
    fn find(list: Skiplist, position: Position, path: *Path) Corrupt!void {
        return list.findOn(position, path, false);
    }

    /// The same along a trail.
    inline fn findAlong(list: Skiplist, position: Position, trail: *Trail) Corrupt!void {
        if (trail.is_begun) return list.findOn(position, &trail.path, true);
        trail.is_begun = true;
        return list.find(position, &trail.path);
    }

    fn findOn(
        list: Skiplist,
        position: Position,
        path: *Path,
        comptime goes_on: bool,
    ) Corrupt!void {
        return switch (position.words.len) {
            inline 1, 2 => |count| list.findBy(Few(count), .{
                .words = position.words[0..count].*,
                .slot = position.slot,
            }, position, path, goes_on),
            else => list.findBy(Many, .{ .position = position }, position, path, goes_on),
        };
    }

    /// A position in an index with entries of so many words.
    fn Few(comptime count: usize) type {
        return struct {
            words: [count]u64,
            slot: Ref,

            inline fn isPast(want: @This(), entry: *Entry, words: [*]const u64) bool {
                inline for (want.words, 0..) |word, i| {
                    if (words[i] != word) return words[i] < word;
                }
                return entry.slot.load(.monotonic) < want.slot;
            }
        };
    }

    /// A position in any other.
    const Many = struct {
        position: Position,

        inline fn isPast(want: Many, entry: *Entry, words: [*]const u64) bool {
            for (words, want.position.words) |have, word| {
                if (have != word) return have < word;
            }
            return entry.slot.load(.monotonic) < want.position.slot;
        }
    };

    fn findBy(
        list: Skiplist,
        comptime Target: type,
        target: Target,
        position: Position,
        path: *Path,
        comptime goes_on: bool,
    ) Corrupt!void {
        @setRuntimeSafety(false); // levels are below `height_max`; refs are checked by `at`
        const segment = list.segment;
        var steps: u64 = 0;
        var is_led = goes_on;
        restart: while (true) : (steps += 1) { // each restart means that another changed a link
            if (steps > list.segment.chain_steps_max) return error.SegmentCorrupt;
            var before = try segment.at(Entry, list.index.head);
            var level: u32 = height_max;
            if (is_led) {
                is_led = false; // the second attempt is a descent
                if (try list.turnOff(Target, target, path)) |turn| {
                    before = turn.before;
                    level = turn.level + 1;
                }
            }
            // Where the level above stopped, which the level below need not compare again.
            var stop: Ref = rel_ptr.none;
            while (level > 0) {
                level -= 1;
                var word = &before.links()[level];
                var link = Link.of(word.load(.acquire)); // pairs with the releases that link
                if (link.marked) continue :restart;
                while (link.ref != stop) : (steps += 1) {
                    if (link.ref == rel_ptr.none) break;
                    if (steps > list.segment.chain_steps_max) return error.SegmentCorrupt;
                    const entry = try segment.at(Entry, link.ref);
                    const next = Link.of(entry.links()[level].load(.acquire)); // pairs as above
                    if (next.marked) {
                        const unlinked = link.next(next.ref);
                        try segment.checkEra();
                        if (!word.cas(link.raw(), unlinked.raw(), .acq_rel)) continue :restart;
                        link = unlinked;
                        continue;
                    }
                    // never changes while linked
                    const height = EntryState.of(entry.state.load(.monotonic)).height;
                    if (!target.isPast(entry, @ptrCast(entry.links() + height))) break;
                    before = entry;
                    word = &entry.links()[level];
                    link = next;
                }
                stop = link.ref;
                path.words[level] = word;
                path.links[level] = link;
            }
            break;
        }
        path.equal = rel_ptr.none;
        const ref = path.links[0].ref;
        if (ref != rel_ptr.none and list.isAt(try segment.at(Entry, ref), position)) {
            path.equal = ref;
        }
        try segment.checkEra();
    }

    const Turn = struct { before: *Entry, level: u32 };

    /// Where the way to the target leaves a path: the lowest level at which the path leads to or
    /// past it, from an entry before it. Null when the target lies before the path. What the path
    /// remembers of the levels above may be old, and whoever uses it finds that out by
    /// compare-and-swap; the walk below is new.
    fn turnOff(
        list: Skiplist,
        comptime Target: type,
        target: Target,
        path: *const Path,
    ) Corrupt!?Turn {
        @setRuntimeSafety(false); // as above
        var level: u32 = 0;
        while (level < height_max - 1) : (level += 1) {
            const ref = path.links[level].ref;
            if (ref == rel_ptr.none) break;
            const entry = try list.segment.at(Entry, ref);
            // never changes under the pin
            const height = EntryState.of(entry.state.load(.monotonic)).height;
            if (!target.isPast(entry, @ptrCast(entry.links() + height))) break;
        }
        const word: [*]u8 = @ptrCast(path.words[level]);
        const before: *Entry = @ptrCast(@alignCast(word - @sizeOf(Entry) - level * 8));
        if (list.segment.refOf(before) != list.index.head) {
            const height = EntryState.of(before.state.load(.monotonic)).height; // as above
            if (!target.isPast(before, @ptrCast(before.links() + height))) return null;
        }
        return .{ .before = before, .level = level };
    }

    /// Links the entry of a position, or touches the one that is there (P22).
    pub fn insert(list: Skiplist, session: *Session, position: Position) Error!void {
        @setRuntimeSafety(false); // `find` fills the path: no pattern is written into it first
        var trail: Trail = undefined;
        trail.begin();
        return list.insertBy(session, position, &trail, false);
    }

    /// The same along a trail.
    pub fn insertAlong(
        list: Skiplist,
        session: *Session,
        position: Position,
        trail: *Trail,
    ) Error!void {
        return list.insertBy(session, position, trail, true);
    }

    inline fn insertBy(
        list: Skiplist,
        session: *Session,
        position: Position,
        trail: *Trail,
        comptime goes_on: bool,
    ) Error!void {
        @setRuntimeSafety(false); // heights are below `height_max`
        const path = &trail.path;
        var ref: Ref = rel_ptr.none;
        var height: u4 = 0;
        var entry: *Entry = undefined;
        while (true) { // each turn means that another changed the list here
            list.findAlong(position, trail) catch |err| {
                if (ref != rel_ptr.none) try list.giveEntry(session, height, ref);
                return err;
            };
            if (path.equal != rel_ptr.none) {
                const other = try list.segment.at(Entry, path.equal);
                const raw = other.state.load(.acquire); // pairs with the release that closes
                var state = EntryState.of(raw);
                if (state.closed) {
                    try list.mark(other);
                    trail.begin();
                    continue;
                }
                if (!mutant.is(.entry_untouched)) state.tag +%= 1;
                if (!other.state.cas(raw, state.raw(), .acq_rel)) continue;
                if (ref != rel_ptr.none) try list.giveEntry(session, height, ref);
                return;
            }
            if (ref == rel_ptr.none) {
                height = randomHeight(session);
                ref = try list.takeEntry(session, &height);
                entry = try list.segment.at(Entry, ref);
                const state: EntryState = .{ .height = height, .closed = false, .tag = 0 };
                entry.state.store(state.raw(), .monotonic); // published by the link
                entry.slot.store(position.slot, .monotonic);
                const words: [*]u64 = @ptrCast(entry.links() + height);
                @memcpy(words[0..position.words.len], position.words);
            }
            for (0..height) |level| {
                const own = &entry.links()[level];
                const old = Link.of(own.load(.monotonic)); // private
                own.store(old.next(path.links[level].ref).raw(), .monotonic);
            }
            // Taken after the last look, it may lie in a page younger than the era, and then nobody
            // would hold it for this session (P32).
            if (!mutant.is(.taken_late)) list.segment.checkEra() catch |err| {
                try list.giveEntry(session, height, ref);
                return err;
            };
            // Release: publishes the entry; pairs with the acquires of walkers.
            if (path.words[0].cas(
                path.links[0].raw(),
                path.links[0].next(ref).raw(),
                .acq_rel,
            )) break;
            trail.begin();
        }
        fault.point("index.linked");
        const linked = list.linkUpper(position, entry, ref, height, path);
        try list.passClosed(session, position, entry, path);
        session.slot.held_entry.store(0, .release);
        try linked;
        if (!goes_on) return;
        // The next position lies behind the entry. From the top, as `find` reads.
        var level: u32 = height;
        while (level > 0) {
            level -= 1;
            const own = &entry.links()[level];
            const link = Link.of(own.load(.acquire)); // pairs as in `find`
            if (link.marked) return trail.begin(); // closed: it may not be in the list up there
            path.words[level] = own;
            path.links[level] = link;
        }
    }

    /// A free entry of the height wanted; in a full segment of the nearest one that there is, lower
    /// ones first, since what deletes have left has other heights.
    fn takeEntry(list: Skiplist, session: *Session, height: *u4) Error!Ref {
        const wanted = height.*;
        const held = &session.slot.held_entry;
        while (true) { // each turn tries another height
            const class = classes.entryClass(height.*, list.words_count);
            return arena.take(list.segment, session.index, class, held) catch |err| {
                if (err != error.SegmentFull) return err;
                height.* = if (height.* <= wanted and height.* > 1)
                    height.* - 1
                else
                    @max(height.*, wanted) +| 1;
                if (height.* > height_max) return err;
                continue;
            };
        }
    }

    /// An entry in hand that was not linked goes back.
    fn giveEntry(list: Skiplist, session: *Session, height: u4, ref: Ref) Error!void {
        const class = classes.entryClass(height, list.words_count);
        try arena.give(list.segment, session.index, class, ref);
        session.slot.held_entry.store(0, .release);
    }

    /// Links an entry of level 0 at the levels above; where it fails, at some of them.
    fn linkUpper(
        list: Skiplist,
        position: Position,
        entry: *Entry,
        ref: Ref,
        height: u4,
        path: *Path,
    ) Corrupt!void {
        var level: u32 = 1;
        levels: while (level < height) : (level += 1) {
            while (true) { // each turn means that another changed the list here
                const own = &entry.links()[level];
                const link = Link.of(own.load(.acquire)); // pairs with the release that marks
                if (link.marked) break :levels;
                // A trail knows each level from another moment: where the one below leads past the
                // position, this one may lead to what stands before it. The word need not have
                // changed since, so its compare-and-swap would not notice.
                const past = path.links[level].ref;
                if (past != rel_ptr.none and
                    list.isBefore(try list.segment.at(Entry, past), position))
                {
                    try list.find(position, path);
                    if (path.equal != ref) break :levels;
                    continue;
                }
                if (link.ref != past) {
                    if (!own.cas(
                        link.raw(),
                        link.next(past).raw(),
                        .acq_rel,
                    )) continue;
                }
                const before = path.links[level];
                if (path.words[level].cas(before.raw(), before.next(ref).raw(), .acq_rel)) break;
                try list.find(position, path);
                if (path.equal != ref) break :levels;
            }
        }
    }

    /// An entry that was closed while it was linked: what was linked after the closer's sweep is
    /// swept, before the pin goes, or what it has in hand (P32).
    fn passClosed(
        list: Skiplist,
        session: *Session,
        position: Position,
        entry: *Entry,
        path: *Path,
    ) Corrupt!void {
        if (!EntryState.of(entry.state.load(.acquire)).closed) return;
        try list.mark(entry);
        while (true) { // each turn means that others have overtaken it (P32)
            list.passBy(position, path) catch |err| {
                if (session.catchUp()) continue else return err;
            };
            return;
        }
    }

    /// Unlinks the marked entries of a position from every level. Behind a live entry of the same
    /// position as well: one that was linked at an upper level in front of an entry just being
    /// closed stands before it there.
    fn passBy(list: Skiplist, position: Position, path: *Path) Corrupt!void {
        try list.find(.{ .words = position.words, .slot = position.slot +% 1 }, path);
    }

    /// Closes the links of a closed entry, from the top.
    fn mark(list: Skiplist, entry: *Entry) Corrupt!void {
        _ = list;
        var level: u32 = EntryState.of(entry.state.load(.monotonic)).height;
        if (level > height_max) return error.SegmentCorrupt;
        while (level > 0) {
            level -= 1;
            while (true) { // a link that is marked never changes again
                const link = Link.of(entry.links()[level].load(.acquire));
                if (link.marked) break;
                if (entry.links()[level].cas(link.raw(), link.closed().raw(), .acq_rel)) break;
            }
        }
    }

    /// The path to the entry of a position; the state that `close` expects, or null without one.
    pub fn findEntry(list: Skiplist, position: Position, path: *Path) Corrupt!?u32 {
        try list.find(position, path);
        return list.stateAt(path);
    }

    /// The same along a trail.
    pub fn findEntryAlong(list: Skiplist, position: Position, trail: *Trail) Corrupt!?u32 {
        try list.findAlong(position, trail);
        return list.stateAt(&trail.path);
    }

    fn stateAt(list: Skiplist, path: *const Path) Corrupt!?u32 {
        if (path.equal == rel_ptr.none) return null;
        const entry = try list.segment.at(Entry, path.equal);
        return entry.state.load(.acquire); // pairs with touching
    }

    /// Closes the entry at the end of a path if its state still is the one read, unlinks it, and
    /// leaves it to the caller to retire (P23). The caller named it in `vacuum_entry`.
    pub fn close(
        list: Skiplist,
        session: *Session,
        path: *Path,
        state_read: u32,
    ) Corrupt!bool {
        const entry = try list.segment.at(Entry, path.equal);
        var state = EntryState.of(state_read);
        if (state.closed) return false;
        state.closed = true;
        state.tag = @intCast(session.index);
        if (!entry.state.cas(state_read, state.raw(), .acq_rel)) return false;
        fault.point("index.closed");
        try list.mark(entry);
        if (unlinkAlong(path, entry, state.height)) return true;
        while (true) { // each turn means that others have overtaken it (P32)
            list.sweep(path.equal) catch |err| if (session.catchUp()) continue else return err;
            return true;
        }
    }

    /// Unlinks a marked entry where the path met it; the path then leads past it. False when the
    /// list has changed there, or the path did not meet the entry at every level of its tower: then
    /// somebody has to look again.
    fn unlinkAlong(path: *Path, entry: *Entry, height: u4) bool {
        var level: u32 = height;
        if (level > height_max) return false;
        while (level > 0) {
            level -= 1;
            const link = path.links[level];
            if (link.ref != path.equal) return false;
            const next = Link.of(entry.links()[level].load(.monotonic)).ref; // marked: it stays
            const past = link.next(next);
            if (!path.words[level].cas(link.raw(), past.raw(), .acq_rel)) return false;
            path.links[level] = past;
        }
        return true;
    }

    /// Unlinks a closed entry from every level; any number of times.
    pub fn sweep(list: Skiplist, ref: Ref) Corrupt!void {
        const entry = try list.segment.at(Entry, ref);
        try list.mark(entry);
        @setRuntimeSafety(false); // `find` fills the path: no pattern is written into it first
        var path: Path = undefined;
        var room: [limits.position_words_max]u64 = undefined;
        const words = list.wordsOf(entry);
        if (words.len > room.len) return error.SegmentCorrupt;
        @memcpy(room[0..words.len], words);
        const slot = entry.slot.load(.monotonic); // never changes while linked
        try list.passBy(.{ .words = room[0..words.len], .slot = slot }, &path);
    }

    pub fn classOf(list: Skiplist, ref: Ref) Corrupt!u32 {
        const entry = try list.segment.at(Entry, ref);
        const height = EntryState.of(entry.state.load(.monotonic)).height;
        if (height == 0 or height > height_max) return error.SegmentCorrupt;
        return classes.entryClass(height, list.words_count);
    }

    pub const Found = struct { ref: Ref, entry: *Entry };

    /// The first entry at or after the position. Reads only.
    pub fn seek(list: Skiplist, position: Position) Corrupt!?Found {
        var before = try list.lastBefore(position) orelse
            try list.segment.at(Entry, list.index.head);
        while (true) { // each turn means that another has linked an entry there meanwhile
            const found = try list.after(before) orelse return null;
            if (!list.isBefore(found.entry, position)) return found;
            before = found.entry;
        }
    }

    /// The next entry of level 0 that is not closed.
    pub fn after(list: Skiplist, entry: *Entry) Corrupt!?Found {
        var ref = Link.of(entry.links()[0].load(.acquire)).ref; // pairs with the releases that link
        var steps: u64 = 0;
        while (ref != rel_ptr.none) : (steps += 1) {
            if (steps > list.segment.chain_steps_max) return error.SegmentCorrupt;
            const found = try list.segment.at(Entry, ref);
            const link = Link.of(found.links()[0].load(.acquire)); // pairs as above
            if (!link.marked) return .{ .ref = ref, .entry = found };
            ref = link.ref;
        }
        return null;
    }

    /// The last entry that stands before the position, or null. Reads only.
    pub fn lastBefore(list: Skiplist, position: Position) Corrupt!?*Entry {
        const before = try list.lastAtLevel(position, 0);
        const is_head = list.segment.refOf(before) == list.index.head;
        return if (is_head) null else before;
    }

    /// The last entry as high as `level_end` that stands before the position, or the head.
    fn lastAtLevel(list: Skiplist, position: Position, level_end: u32) Corrupt!*Entry {
        var before = try list.segment.at(Entry, list.index.head);
        var steps: u64 = 0;
        var level: u32 = height_max;
        while (level > level_end) {
            level -= 1;
            // pairs with the releases that link
            var ref = Link.of(before.links()[level].load(.acquire)).ref;
            while (ref != rel_ptr.none) : (steps += 1) {
                if (steps > list.segment.chain_steps_max) return error.SegmentCorrupt;
                const entry = try list.segment.at(Entry, ref);
                const link = Link.of(entry.links()[level].load(.acquire)); // pairs as above
                if (!link.marked) {
                    if (!list.isBefore(entry, position)) break;
                    before = entry;
                }
                ref = link.ref;
            }
        }
        return before;
    }

    /// The last entries that stand before the position, the nearest first; how many, none only when
    /// there is none. Reads only. One descent, then a few steps for each.
    pub fn runBefore(list: Skiplist, position: Position, out: []*Entry) Corrupt!usize {
        const start = try list.startBefore(position, out.len);
        var passed: usize = 0;
        if (list.segment.refOf(start) != list.index.head) {
            out[0] = start;
            passed = 1;
        }
        // pairs with the releases that link
        var ref = Link.of(start.links()[0].load(.acquire)).ref;
        var steps: u64 = 0;
        while (ref != rel_ptr.none) : (steps += 1) {
            if (steps > list.segment.chain_steps_max) return error.SegmentCorrupt;
            const entry = try list.segment.at(Entry, ref);
            const link = Link.of(entry.links()[0].load(.acquire)); // pairs as above
            if (!link.marked) {
                if (!list.isBefore(entry, position)) break;
                out[passed % out.len] = entry;
                passed += 1;
            }
            ref = link.ref;
        }
        if (passed > out.len) std.mem.rotate(*Entry, out, passed % out.len);
        const count = @min(passed, out.len);
        std.mem.reverse(*Entry, out[0..count]);
        return count;
    }

    /// An entry that stands some `count` entries before the position, or the head; what lies
    /// between is fetched meanwhile.
    fn startBefore(list: Skiplist, position: Position, count: usize) Corrupt!*Entry {
        if (count == 1) return list.lastAtLevel(position, 0);
        const level = ahead.levelFor(count);
        var towers: [ahead.towers_max]*Entry = undefined;
        towers[0] = try list.lastAtLevel(position, level + 1);
        const most = ahead.towersFor(count);
        var passed: usize = 1;
        var steps: u64 = 0;
        // pairs with the releases that link
        var ref = Link.of(towers[0].links()[level].load(.acquire)).ref;
        while (ref != rel_ptr.none) : (steps += 1) {
            if (steps > list.segment.chain_steps_max) return error.SegmentCorrupt;
            const entry = try list.segment.at(Entry, ref);
            const link = Link.of(entry.links()[level].load(.acquire)); // pairs as above
            if (!link.marked) {
                if (!list.isBefore(entry, position)) break;
                towers[passed % most] = entry;
                passed += 1;
            }
            ref = link.ref;
        }
        const start = if (passed > most) towers[passed % most] else towers[0];
        ahead.fetchBehind(list.segment, towers[0..@min(passed, most)], level);
        return start;
    }
};

/// Geometric with p = 1/4; 1/2 where the scheduler looks for what goes wrong in towers.
pub fn randomHeight(session: *Session) u4 {
    const bits_per_level = if (@import("build_options").scheduler) 1 else 2;
    const bits = session.nextRandom() >> 16 | @as(u64, 1) << (bits_per_level * (height_max - 1));
    return @intCast(@min(1 + @ctz(bits) / bits_per_level, height_max));
}
