//! Size classes of the arena. Kinds never share a class, so a recycled link word is always a link
//! word.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("layout.zig");

/// What a page holds; appended only.
pub const PageKind = enum(u5) {
    none = 0,
    version = 1,
    slot = 2,
    entry = 3,
    bucket = 4,
    retired = 5,
    intent = 6,
    log = 7,
    table = 8,
    overflow = 9,
    _,
};

pub const slot_class: u32 = 0;
pub const entry_classes_start: u32 = 1;
/// Entry sizes go from one link and one key word in steps of a word.
const entry_words_min = 3;
const entry_words_max = 1 + limits.skiplist_height_max + limits.position_words_max;
pub const version_classes_start: u32 = entry_classes_start + entry_words_max - entry_words_min + 1;

const version_sizes: []const u32 = blk: {
    @setEvalBranchQuota(10_000);
    var sizes: []const u32 = &.{};
    var size: u32 = 24;
    while (size <= 256) : (size += 8) sizes = sizes ++ .{size};
    var step: u32 = 32;
    size = 256;
    while (size < limits.image_size_max + 16) {
        var i: u32 = 0;
        while (i < 8 and size < limits.image_size_max + 16) : (i += 1) {
            size += step;
            sizes = sizes ++ .{size};
        }
        step *= 2;
    }
    break :blk sizes;
};

/// Bytes of the smallest record.
pub const size_min = 24;
pub const count: u32 = version_classes_start + @as(u32, version_sizes.len);

/// Bytes of a record of the class.
pub fn sizeOf(class: u32) u32 {
    if (class == slot_class) return @sizeOf(layout.RowSlot);
    if (class < version_classes_start) return (class - entry_classes_start + entry_words_min) * 8;
    return version_sizes[class - version_classes_start];
}

pub fn kindOf(class: u32) PageKind {
    if (class == slot_class) return .slot;
    if (class < version_classes_start) return .entry;
    return .version;
}

/// Where in a free record its free list link lies.
pub fn linkOffset(class: u32) u32 {
    return switch (kindOf(class)) {
        .slot => @offsetOf(layout.RowSlot, "free_next"),
        .entry => @offsetOf(layout.Entry, "slot"),
        else => @offsetOf(layout.Version, "older"),
    };
}

/// Pages of a span that is cut into records of the class.
pub fn spanPages(class: u32) u32 {
    return if (sizeOf(class) <= 2048) 1 else 8;
}

pub fn versionClass(image_size: u32) u32 {
    const size = image_size + @sizeOf(layout.Version);
    for (version_sizes, 0..) |candidate, i| {
        if (candidate >= size) return version_classes_start + @as(u32, @intCast(i));
    }
    unreachable; // the schema's image size is at most image_size_max
}

pub fn entryClass(height: u32, position_words: u32) u32 {
    std.debug.assert(height >= 1 and position_words >= 1);
    return entry_classes_start + 1 + height + position_words - entry_words_min;
}

comptime {
    std.debug.assert(version_sizes[version_sizes.len - 1] >= limits.image_size_max + 16);
}

test "classes: every class has a size that holds its kind" {
    var class: u32 = 0;
    while (class < count) : (class += 1) {
        try std.testing.expect(sizeOf(class) % 8 == 0);
        try std.testing.expect(sizeOf(class) >= size_min);
    }
    try std.testing.expectEqual(@as(u32, 24), sizeOf(entryClass(1, 1)));
    try std.testing.expect(
        sizeOf(versionClass(limits.image_size_max)) >= limits.image_size_max + 16,
    );
}
