//! Arrays of 16-byte entries that grow a page at a time. Of two levels, a root page names directory
//! pages and a directory page names pages of entries, both by number modulo what they hold; of one
//! level, the root is the only directory. Retire queues have two: what bounds them is the memory of
//! the segment. Intents have one: a transaction has no more writes than one directory names.
//!
//! **Invariants**: a word of the root is 0 or a directory page, a word of a directory is 0 or the
//! page of entries of that number.
//!
//! **Concurrency**: one session writes an array; its owner says which others read it, and when. A
//! session that drops pages (`drop`) drops them in order, and none that the writer still adds to:
//! the last page of a directory takes the directory with it, which the writer has left by then.
//!
//! **Who may die where**: a page is `claimed` until the root or a directory names it, and again
//! before that name is taken back; the repair frees claimed pages that no name leads to. A session
//! that dies between the last page of a directory and the directory itself leaves that to whoever
//! drops the same page again (`repair.zig`).
const std = @import("std");
const limits = @import("../limits.zig");
const fault = @import("../instrument/fault.zig");
const arena = @import("arena.zig");
const classes = @import("classes.zig");
const layout = @import("layout.zig");
const segment_ = @import("segment.zig");
const Segment = segment_.Segment;
const Word = @import("word.zig").Word;
const Ref = @import("rel_ptr.zig").Ref;

pub const Error = error{ SegmentFull, SegmentCorrupt };

pub const per_page = limits.page_size / @sizeOf(layout.Retired);

pub const Levels = enum { one, two };

/// Words of a root or directory page; with two levels few under the scheduler, so that its tests
/// pass through several directories.
fn wordsPerPage(levels: Levels) u32 {
    return if (@import("build_options").scheduler and levels == .two) 8 else limits.page_size / 4;
}

pub fn Paged(comptime T: type, comptime kind: classes.PageKind, comptime levels: Levels) type {
    comptime std.debug.assert(@sizeOf(T) == 16);
    return struct {
        pub const words_per_page = wordsPerPage(levels);
        /// Most entries that an array holds at once; with two levels more than a segment has room
        /// for.
        pub const count_max: u64 = @as(u64, per_page) * (words_per_page - 1) *
            (if (levels == .two) words_per_page else 1);

        segment: *const Segment,
        /// Names the root page. Its release pairs with the acquire in `wordIn`.
        root: *Word(u32),

        const Self = @This();

        /// Makes entries `[first, first + count)` addressable.
        pub fn ensure(array: Self, session_index: u32, first: u64, count: u64) Error!void {
            if (count > count_max) return error.SegmentFull;
            // Monotonic: only one session writes the words of an array.
            if (array.root.load(.monotonic) == 0) try array.link(session_index, array.root);
            var number = first / per_page;
            while (number <= (first + count -| 1) / per_page) : (number += 1) {
                const directory = try array.directoryWord(number);
                if (directory.load(.monotonic) == 0) try array.link(session_index, directory);
                const page = try array.wordIn(directory, number);
                if (page.load(.monotonic) == 0) try array.link(session_index, page);
            }
        }

        fn link(array: Self, session_index: u32, word: *Word(u32)) Error!void {
            const page = try arena.claimPages(array.segment, session_index, 1);
            const ref = Segment.pageRef(page);
            @memset(try array.segment.bytesAt(ref, limits.page_size), 0);
            word.store(ref, .release); // pairs with the acquires in `wordIn` and `at`
            arena.markUsed(array.segment, session_index, page, kind, 1, 0);
        }

        /// Names the directory of a page of entries.
        fn directoryWord(array: Self, number: u64) segment_.Corrupt!*Word(u32) {
            if (levels == .one) return array.root;
            return array.wordIn(array.root, number / words_per_page);
        }

        /// A word of the page that `word` names.
        fn wordIn(array: Self, word: *Word(u32), number: u64) segment_.Corrupt!*Word(u32) {
            // Acquire: pairs with the release in `link`.
            const bytes = try array.segment.bytesAt(word.load(.acquire), limits.page_size);
            const words: [*]Word(u32) = @ptrCast(@alignCast(bytes.ptr));
            return &words[number % words_per_page];
        }

        pub fn at(array: Self, index: u64) segment_.Corrupt!*T {
            const number = index / per_page;
            const word = try array.wordIn(try array.directoryWord(number), number);
            const ref = word.load(.acquire); // pairs with the release in `link`
            const bytes = try array.segment.bytesAt(ref, limits.page_size);
            const entries: [*]T = @ptrCast(@alignCast(bytes.ptr));
            return &entries[index % per_page];
        }

        /// The entries from `index` on that lie in the same page.
        pub fn from(array: Self, index: u64) segment_.Corrupt![]T {
            const rest: usize = @intCast(per_page - index % per_page);
            const first: [*]T = @ptrCast(try array.at(index));
            return first[0..rest];
        }

        /// Gives the page of this number back, and after the last page of a directory also that.
        pub fn drop(array: Self, session_index: u32, number: u64) segment_.Corrupt!void {
            comptime std.debug.assert(levels == .two); // nothing drops pages of the other
            const directory = try array.directoryWord(number);
            if (directory.load(.monotonic) == 0) return; // a session that died had dropped both
            try array.unlink(session_index, try array.wordIn(directory, number));
            fault.point("paged.dropped");
            if ((number + 1) % words_per_page == 0) try array.unlink(session_index, directory);
        }

        fn unlink(array: Self, session_index: u32, word: *Word(u32)) segment_.Corrupt!void {
            const ref = word.load(.monotonic);
            if (ref == 0) return;
            _ = try array.segment.at(u8, ref);
            const page = Segment.pageOf(ref);
            const claimed: layout.PageState = .{
                .state = .claimed,
                .kind = .none,
                .session = @intCast(session_index),
                .span = 1,
                .era = 0,
            };
            // pairs with the walk of the repair
            array.segment.pages[page].store(claimed.raw(), .release);
            word.store(0, .release); // pairs with the acquire in `names`
            arena.freePages(array.segment, page, 1);
        }

        /// True when the array names the page: as its root, a directory or a page of entries.
        pub fn names(array: Self, ref: Ref) bool {
            const root = array.root.load(.acquire); // pairs with the release in `link`
            if (root == 0) return false;
            if (root == ref) return true;
            for (array.wordsOf(root)) |*word| {
                const directory = word.load(.acquire); // pairs with the release in `link`
                if (directory == ref) return true;
                if (levels == .one or directory == 0) continue;
                for (array.wordsOf(directory)) |*page| {
                    if (page.load(.acquire) == ref) return true; // pairs with that in `link`
                }
            }
            return false;
        }

        /// The words of a root or directory page; none where it is damaged.
        pub fn wordsOf(array: Self, ref: Ref) []Word(u32) {
            const bytes = array.segment.bytesAt(ref, limits.page_size) catch return &.{};
            const words: [*]Word(u32) = @ptrCast(@alignCast(bytes.ptr));
            return words[0..words_per_page];
        }
    };
}

pub const Intents = Paged(layout.Intent, .intent, .one);
pub const RetireQueue = Paged(layout.Retired, .retired, .two);
