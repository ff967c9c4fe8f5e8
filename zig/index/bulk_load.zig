//! Fills an index that nobody else has yet, in the order of its keys: recovery's way.
//!
//! **Concurrency**: none; the list is the caller's alone.
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const classes = @import("../segment/classes.zig");
const arena = @import("../segment/arena.zig");
const skiplist = @import("skiplist.zig");
const Session = @import("../segment/session.zig").Session;
const Word = @import("../segment/word.zig").Word;
const Entry = layout.Entry;
const EntryState = layout.EntryState;
const Error = skiplist.Error;
const Link = rel_ptr.Link;
const Position = skiplist.Position;
const Skiplist = skiplist.Skiplist;

const height_max = limits.skiplist_height_max;

/// Fills an empty list with positions that come in order. Nobody else has the list.
pub const Appender = struct {
    list: Skiplist,
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    last: [height_max]*Word(u64),

    pub fn init(list: Skiplist) Error!Appender {
        const head = try list.segment.at(Entry, list.index.head);
        var appender: Appender = .{ .list = list, .last = undefined };
        for (&appender.last, 0..) |*word, level| word.* = &head.links()[level];
        return appender;
    }

    pub fn append(appender: *Appender, session: *Session, position: Position) Error!void {
        const list = appender.list;
        const height = skiplist.randomHeight(session);
        const class = classes.entryClass(height, list.words_count);
        const ref = try arena.take(list.segment, session.index, class, &session.slot.held_entry);
        const entry = try list.segment.at(Entry, ref);
        entry.state.store(
            (EntryState{ .height = height, .closed = false, .tag = 0 }).raw(),
            .monotonic,
        );
        entry.slot.store(position.slot, .monotonic);
        const words: [*]u64 = @ptrCast(entry.links() + height);
        @memcpy(words[0..position.words.len], position.words);
        for (0..height) |level| {
            const own = &entry.links()[level];
            own.store(Link.of(own.load(.monotonic)).next(rel_ptr.none).raw(), .monotonic);
            const before = appender.last[level];
            before.store(Link.of(before.load(.monotonic)).next(ref).raw(), .monotonic);
            appender.last[level] = own;
        }
        session.slot.held_entry.store(0, .monotonic);
    }
};
