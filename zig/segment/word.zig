//! Shared words: every atomic step on shared memory is taken through `Word`, so that the
//! deterministic scheduler can switch or stop a participant there and the fault build can kill it
//! there.
//!
//! **Concurrency**: a `Word` is `std.atomic.Value` with a hook in front. Orders are written at
//! every call.
const std = @import("std");
const builtin = @import("builtin");
const options = @import("build_options");
const scheduler = @import("../instrument/scheduler.zig");
const fault = @import("../instrument/fault.zig");

/// Makes every load before it happen before every load after it. An acquire orders only what comes
/// after it: whoever reads plain memory and then asks whether that memory was still its own needs
/// this in between. x86-64 keeps loads in order by itself, so there only the compiler is told.
pub inline fn settleLoads() void {
    switch (builtin.cpu.arch) {
        .aarch64 => asm volatile ("dmb ishld" ::: .{ .memory = true }),
        else => asm volatile ("" ::: .{ .memory = true }),
    }
}

pub const Order = std.builtin.AtomicOrder;

/// A switch point before every shared step; nothing in the library that is shipped.
pub inline fn step() void {
    if (options.scheduler) scheduler.step();
    if (options.fault) fault.step();
}

/// A shared word of `T`, laid out as a plain `T`.
pub fn Word(comptime T: type) type {
    return extern struct {
        raw: T,

        const Self = @This();

        pub inline fn init(value: T) Self {
            return .{ .raw = value };
        }

        pub inline fn load(word: *const Self, comptime order: Order) T {
            step();
            return @atomicLoad(T, &word.raw, order);
        }

        pub inline fn store(word: *Self, value: T, comptime order: Order) void {
            step();
            @atomicStore(T, &word.raw, value, order);
        }

        /// True when the word was `expected` and is now `value`.
        pub inline fn cas(word: *Self, expected: T, value: T, comptime order: Order) bool {
            step();
            // What pairs with what stands at the word's declaration.
            return @cmpxchgStrong(T, &word.raw, expected, value, order, .acquire) == null;
        }

        pub inline fn swap(word: *Self, value: T, comptime order: Order) T {
            step();
            return @atomicRmw(T, &word.raw, .Xchg, value, order);
        }

        pub inline fn add(word: *Self, value: T, comptime order: Order) T {
            step();
            return @atomicRmw(T, &word.raw, .Add, value, order);
        }
    };
}

/// Counters that one session writes and anybody may read: no interlocked instruction needed.
pub inline fn bump(counter: *u64, by: u64) void {
    @atomicStore(u64, counter, counter.* +% by, .monotonic);
}
