//! Advisory row latches (P31): a small table of words, by hash of table and key.
//!
//! **Invariants**: a word is 0 or `{ session + 1: 16, transaction: 32, count: 16 }`.
//!
//! **Concurrency**: taken by compare-and-swap and only ever tried. Two keys may share a latch; that
//! costs waiting, never correctness, since the commit validates whatever the latches say.
//!
//! **Who may die where**: the repair of a session clears the words that name it.
const engine_ = @import("engine.zig");
const Key = @import("../table/primary_map.zig").Key;

pub fn numberOf(engine: *engine_.Engine, table_id: u32, key: Key) u32 {
    const count = engine.context.session.segment.header.geometry.latch_count;
    return (key.hash ^ table_id *% 0x9E3779B9) % count;
}

fn ownerWord(engine: *engine_.Engine, transaction: u32) u64 {
    return @as(u64, engine.context.session.index + 1) << 48 | @as(u64, transaction) << 16;
}

pub fn tryAcquire(engine: *engine_.Engine, transaction: u32, number: u32) bool {
    const word = &engine.context.session.segment.latches[number];
    const raw = word.load(.acquire);
    const owner = ownerWord(engine, transaction);
    if (raw == 0) return word.cas(0, owner | 1, .acq_rel);
    if (raw & ~@as(u64, 0xFFFF) != owner or raw & 0xFFFF == 0xFFFF) return false;
    return word.cas(raw, raw + 1, .acq_rel);
}

pub fn release(engine: *engine_.Engine, transaction: u32, number: u32) void {
    const word = &engine.context.session.segment.latches[number];
    const raw = word.load(.acquire);
    if (raw & ~@as(u64, 0xFFFF) != ownerWord(engine, transaction)) return;
    _ = word.cas(raw, if (raw & 0xFFFF == 1) 0 else raw - 1, .acq_rel);
}
