//! Arrays of 16-byte entries that grow a page at a time: a directory page names the pages, by
//! number modulo its size. Intents and retire queues are such arrays.
//!
//! **Invariants**: a directory word is 0 or a page that holds the entries of that page number.
//!
//! **Concurrency**: one session writes an array; who else reads it, and when, is said by its owner.
//!
//! **Who may die where**: a page is `claimed` until the directory names it, and again before the
//! directory forgets it; the repair frees claimed pages that no directory names.
const std = @import("std");
const limits = @import("../limits.zig");
const arena = @import("arena.zig");
const classes = @import("classes.zig");
const layout = @import("layout.zig");
const segment_ = @import("segment.zig");
const Segment = segment_.Segment;
const Word = @import("word.zig").Word;
const Ref = @import("rel_ptr.zig").Ref;

pub const Error = error{ SegmentFull, SegmentCorrupt };

pub const per_page = limits.page_size / 16;
pub const pages_max = limits.page_size / 4;
/// Most entries that an array holds at once.
pub const count_max = per_page * (pages_max - 1);

pub fn Paged(comptime T: type, comptime kind: classes.PageKind) type {
    comptime std.debug.assert(@sizeOf(T) == 16);
    return struct {
        segment: *const Segment,
        /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
        directory: *Word(u32),

        const Self = @This();

        /// Makes entries `[first, first + count)` addressable.
        pub fn ensure(array: Self, session_index: u32, first: u64, count: u64) Error!void {
            if (count > count_max) return error.SegmentFull;
            if (array.directory.load(.monotonic) == 0) try array.link(
                session_index,
                array.directory,
            );
            var number = first / per_page;
            while (number <= (first + count -| 1) / per_page) : (number += 1) {
                const word = try array.pageWord(number);
                // only one writer
                if (word.load(.monotonic) == 0) try array.link(session_index, word);
            }
        }

        fn link(array: Self, session_index: u32, word: *Word(u32)) Error!void {
            const page = try arena.claimPages(array.segment, session_index, 1);
            const ref = Segment.pageRef(page);
            @memset(try array.segment.bytesAt(ref, limits.page_size), 0);
            word.store(ref, .release); // pairs with the acquire in `at`
            arena.markUsed(array.segment, session_index, page, kind, 1, 0);
        }

        fn pageWord(array: Self, number: u64) segment_.Corrupt!*Word(u32) {
            const bytes = try array.segment.bytesAt(
                array.directory.load(.acquire),
                limits.page_size,
            );
            const words: [*]Word(u32) = @ptrCast(@alignCast(bytes.ptr));
            return &words[number % pages_max];
        }

        pub fn at(array: Self, index: u64) segment_.Corrupt!*T {
            const ref = (try array.pageWord(index / per_page)).load(.acquire); // pairs with `link`
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

        /// Gives the page of this number back.
        pub fn drop(array: Self, session_index: u32, number: u64) segment_.Corrupt!void {
            const word = try array.pageWord(number);
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
            word.store(0, .release);
            arena.freePages(array.segment, page, 1);
        }

        /// True when the directory or the array names the page.
        pub fn names(array: Self, ref: Ref) bool {
            const directory = array.directory.load(.acquire);
            if (directory == 0) return false;
            if (directory == ref) return true;
            const bytes = array.segment.bytesAt(directory, limits.page_size) catch return false;
            const words: [*]const Ref = @ptrCast(@alignCast(bytes.ptr));
            return std.mem.indexOfScalar(Ref, words[0..pages_max], ref) != null;
        }
    };
}

pub const Intents = Paged(layout.Intent, .intent);
pub const RetireQueue = Paged(layout.Retired, .retired);
