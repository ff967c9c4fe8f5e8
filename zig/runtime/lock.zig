//! A lock of one process, for what its threads share.
//!
//! **Concurrency**: a spinning lock would be too simple for opens that repair sessions.
const os = @import("../os.zig");

pub const Lock = struct {
    word: u32 = 0,

    pub fn acquire(lock: *Lock) void {
        // Pairs with the release below.
        while (@cmpxchgWeak(u32, &lock.word, 0, 1, .acquire, .monotonic) != null) {
            os.futexWait(&lock.word, 1, 10_000_000);
        }
    }

    pub fn release(lock: *Lock) void {
        @atomicStore(u32, &lock.word, 0, .release); // pairs with the acquire above
        os.futexWake(&lock.word, 1);
    }
};
