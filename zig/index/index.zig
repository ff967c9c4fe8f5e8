//! One index of a table, whatever its kind: entries of (key, tie of the primary key, row slot) in
//! the skiplist of the segment. What a key is made of is its source's business (`row/key.zig`); all
//! who link, unlink, seek, count or verify entries know this file alone.
//!
//! **Concurrency**, **Who may die where**: as in `skiplist.zig`.
//!
//! **Memory**: a value of a table's view; borrows the view's schema.
const std = @import("std");
const estimate_ = @import("estimate.zig");
const key_ = @import("../row/key.zig");
const layout = @import("../segment/layout.zig");
const schema_ = @import("../row/schema.zig");
const segment_ = @import("../segment/segment.zig");
const skiplist = @import("skiplist.zig");
const Ref = @import("../segment/rel_ptr.zig").Ref;
const Session = @import("../segment/session.zig").Session;
const Skiplist = skiplist.Skiplist;
const Corrupt = segment_.Corrupt;

const Image = [*]align(8) const u8;

pub const Index = struct {
    source: key_.Source,
    primary: *const schema_.Column,
    list: Skiplist,
    /// Of a key, without those of the primary key.
    key_words: u32,
    unique: bool,

    /// The index of a declaration; null where the segment does not say the same of it.
    pub fn of(
        segment: *const segment_.Segment,
        schema: *const schema_.Schema,
        declared: *const schema_.Index,
        shared: *layout.Index,
    ) ?Index {
        const source = key_.Source.of(schema, declared);
        const words = positionWords(schema, declared);
        const is_same = shared.kind == @intFromEnum(declared.kind) and
            shared.position_words == words and shared.unique == @intFromBool(declared.unique);
        if (!is_same) return null;
        return .{
            .source = source,
            .primary = schema.primaryKey(),
            .list = .{ .segment = segment, .index = shared, .words_count = words },
            .key_words = source.wordsCount(),
            .unique = declared.unique,
        };
    }

    /// Words of an entry of a declared index.
    pub fn positionWords(schema: *const schema_.Schema, declared: *const schema_.Index) u32 {
        const source = key_.Source.of(schema, declared);
        const tie_words = @intFromBool(source.isTied(schema.primaryKey()));
        return source.wordsCount() + tie_words;
    }

    /// Its first column, by which errors name the index.
    pub fn column(index: *const Index) *const schema_.Column {
        return switch (index.source) {
            .column => |each| each,
            .geo => |geo| geo.latitude,
        };
    }

    /// The words of the entry that an image has, in `out`, which has room for them.
    pub inline fn encode(index: *const Index, image: Image, out: []u64) []u64 {
        index.source.encode(image, out);
        if (index.isTied()) out[index.key_words] = key_.tieOf(index.primary, image);
        return out[0..index.list.words_count];
    }

    /// Whether entries with equal keys lie in the order of ties.
    pub inline fn isTied(index: *const Index) bool {
        return index.list.words_count > index.key_words;
    }

    /// Whether an entry of these words is that of the image. A row slot may have belonged to
    /// another row whose entry is still there.
    pub inline fn isOf(index: *const Index, words: []const u64, image: Image) bool {
        return index.source.isKeyOf(image, words[0..index.key_words]) and
            index.isTieOf(words, image);
    }

    /// Whether the entry has the tie of the image.
    pub inline fn isTieOf(index: *const Index, words: []const u64, image: Image) bool {
        return !index.isTied() or words[index.key_words] == key_.tieOf(index.primary, image);
    }

    /// Whether two images of one row have the same key.
    pub inline fn hasSameKey(index: *const Index, a: Image, b: Image) bool {
        return index.source.isEqual(a, b);
    }

    /// Whether two images have the same entry in a row slot.
    pub inline fn hasSameEntry(index: *const Index, a: Image, b: Image) bool {
        if (!index.hasSameKey(a, b)) return false;
        return !index.isTied() or key_.tieOf(index.primary, a) == key_.tieOf(index.primary, b);
    }

    /// Links the entry of an image that a commit has installed in a row slot (P22).
    pub inline fn link(
        index: *const Index,
        session: *Session,
        image: Image,
        slot: Ref,
    ) skiplist.Error!void {
        const words = index.encode(image, &session.words);
        return index.list.insert(session, .{ .words = words, .slot = slot });
    }

    /// The same along a trail, for positions that come in the order of the index.
    pub inline fn linkAlong(
        index: *const Index,
        session: *Session,
        image: Image,
        slot: Ref,
        trail: *Skiplist.Trail,
    ) skiplist.Error!void {
        const words = index.encode(image, &session.words);
        return index.list.insertAlong(session, .{ .words = words, .slot = slot }, trail);
    }

    /// Unlinks a closed entry from every level, if it is in this index; any number of times.
    pub fn unlink(index: *const Index, ref: Ref) Corrupt!void {
        return index.list.sweep(ref);
    }

    /// The first entry at or after the position.
    pub inline fn seek(index: *const Index, position: skiplist.Position) Corrupt!?Skiplist.Found {
        return index.list.seek(position);
    }

    /// How many entries have keys from `low` to `high`, both included.
    pub fn estimate(index: *const Index, low: []const u64, high: []const u64) Corrupt!u64 {
        return estimate_.countBetween(index.list, low, high);
    }

    /// Whether the index has the entry of an image in a row slot; `check` asks.
    pub fn hasEntry(index: *const Index, image: Image, slot: Ref, room: []u64) Corrupt!bool {
        const words = index.encode(image, room);
        const first = (try index.seek(.{ .words = words, .slot = slot })) orelse return false;
        return first.entry.slot.load(.monotonic) == slot and // never changes while linked
            key_.equal(index.list.wordsOf(first.entry), words);
    }
};
