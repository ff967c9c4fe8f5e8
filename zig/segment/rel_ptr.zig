//! Typed links inside the segment: positions relative to its base, in units of eight bytes.
//!
//! **Invariants**: a `RelPtr` read from shared memory is input: it is turned into a pointer only
//! through `Segment.at`, which checks bounds. `none` is a value of its own.
const limits = @import("../limits.zig");

/// A position in the segment in units of `limits.offset_unit`; 0 (the header) is no record.
pub const Ref = u32;
pub const none: Ref = 0;

/// A position of a `T` in the segment, for stored fields that have one type for ever.
pub fn RelPtr(comptime T: type) type {
    return enum(Ref) {
        none = 0,
        _,

        pub const Target = T;
        const Self = @This();

        pub fn from(ref: Ref) Self {
            return @enumFromInt(ref);
        }

        pub fn raw(self: Self) Ref {
            return @intFromEnum(self);
        }
    };
}

pub fn toBytes(ref: Ref) u64 {
    return @as(u64, ref) * limits.offset_unit;
}

pub fn fromBytes(offset: u64) Ref {
    return @intCast(offset / limits.offset_unit);
}

/// A link that compare-and-swap may replace: target, a tag that every change raises (no ABA), and a
/// mark bit that closes the link for insertion behind it (Harris 2001).
pub const Link = packed struct(u64) {
    ref: Ref,
    marked: bool,
    tag: u31,

    pub fn raw(link: Link) u64 {
        return @bitCast(link);
    }

    pub fn of(word: u64) Link {
        return @bitCast(word);
    }

    /// The link after one more change, to `ref`.
    pub fn next(link: Link, ref: Ref) Link {
        return .{ .ref = ref, .marked = false, .tag = link.tag +% 1 };
    }

    pub fn closed(link: Link) Link {
        return .{ .ref = link.ref, .marked = true, .tag = link.tag +% 1 };
    }
};
