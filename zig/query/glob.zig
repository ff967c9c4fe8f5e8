//! Glob patterns over text: `*` any text, `?` one character, `[a-z]` and `[^a-z]` one character in
//! or not in a set, `\x` the character x. A pattern covers the whole text. With `fold`, ASCII
//! letters are compared without case.
//!
//! An unclosed `[` and a `\` at the end stand for themselves. `]` first in a set is a member; the
//! ends of a range may be in either order. A character is a UTF-8 sequence.
//!
//! **Invariants.** `literal` and `tokens` are lower case when `fold`. Only `class == .general` has
//! tokens, and it always has a star, a set or a `?` among them.
//!
//! **Memory.** A `Glob` owns nothing: its parts live in the arena that it was compiled with.
//!
//! Matching a pattern of p bytes against a text of n takes O(n) for all classes but `general`,
//! which takes O(n * p) at worst, in constant space.

const std = @import("std");
const assert = std.debug.assert;

pub const Class = enum { everything, exact, prefix, suffix, contains, general };

const Range = struct { first: u21, last: u21 };

const Set = struct {
    negated: bool,
    ranges: []const Range,

    fn contains(set: Set, character: u21, fold: bool) bool {
        const other = if (fold) swapCase(character) else character;
        for (set.ranges) |range| {
            if (range.first <= character and character <= range.last) return !set.negated;
            if (range.first <= other and other <= range.last) return !set.negated;
        }
        return set.negated;
    }
};

const Token = union(enum) {
    byte: u8,
    star,
    character,
    set: Set,
};

pub const Glob = struct {
    class: Class,
    fold: bool,
    /// What `exact`, `prefix`, `suffix` and `contains` look for.
    literal: []const u8,
    tokens: []const Token,

    pub fn compile(
        arena: std.mem.Allocator,
        pattern: []const u8,
        fold: bool,
    ) error{OutOfMemory}!Glob {
        const tokens = try parse(arena, pattern, fold);
        var glob: Glob = .{
            .class = classify(tokens),
            .fold = fold,
            .literal = "",
            .tokens = tokens,
        };
        if (glob.class == .general) return glob;
        const literal = try arena.alloc(u8, tokens.len);
        var size: usize = 0;
        for (tokens) |token| {
            switch (token) {
                .byte => |byte| {
                    literal[size] = byte;
                    size += 1;
                },
                .star => {},
                .character, .set => unreachable, // classify() called it general
            }
        }
        glob.literal = literal[0..size];
        return glob;
    }

    pub inline fn matches(glob: *const Glob, text: []const u8) bool {
        return switch (glob.class) {
            .everything => true,
            .exact => text.len == glob.literal.len and glob.literalAt(text, 0),
            .prefix => text.len >= glob.literal.len and glob.literalAt(text, 0),
            .suffix => text.len >= glob.literal.len and
                glob.literalAt(text, text.len - glob.literal.len),
            .contains => glob.literalIn(text),
            .general => glob.matchesTokens(text),
        };
    }

    fn literalAt(glob: *const Glob, text: []const u8, start: usize) bool {
        const part = text[start..][0..glob.literal.len];
        if (!glob.fold) return std.mem.eql(u8, part, glob.literal);
        for (part, glob.literal) |a, b| {
            if (std.ascii.toLower(a) != b) return false;
        }
        return true;
    }

    fn literalIn(glob: *const Glob, text: []const u8) bool {
        const literal = glob.literal;
        assert(literal.len > 0);
        if (text.len < literal.len) return false;
        const starts_count = text.len - literal.len + 1;
        const first = literal[0];
        const case_bit = glob.caseBit(first);
        var start: usize = 0;
        const Block = @Vector(16, u8);
        while (start + 16 <= starts_count) : (start += 16) {
            const block: Block = text[start..][0..16].*;
            const hits = (block | @as(Block, @splat(case_bit))) == @as(Block, @splat(first));
            var bits: u16 = @bitCast(hits);
            while (bits != 0) : (bits &= bits - 1) {
                if (glob.literalAt(text, start + @ctz(bits))) return true;
            }
        }
        while (start < starts_count) : (start += 1) {
            if (text[start] | case_bit == first and glob.literalAt(text, start)) return true;
        }
        return false;
    }

    /// Bytes behind a text that a `Finder` reads.
    pub const read_beyond = 16;

    /// `matches` of class `contains`, where `read_beyond` bytes behind a text can be read: looks
    /// for the literal's first and last byte at sixteen places at once. A value of its own, so that
    /// a loop over texts keeps it in registers.
    pub const Finder = struct {
        glob: *const Glob,
        size: usize,
        first: Block,
        last: Block,
        first_bit: Block,
        last_bit: Block,

        const Block = @Vector(16, u8);

        pub inline fn of(glob: *const Glob) Finder {
            const literal = glob.literal;
            const last = literal[literal.len - 1];
            return .{
                .glob = glob,
                .size = literal.len,
                .first = @splat(literal[0]),
                .last = @splat(last),
                .first_bit = @splat(glob.caseBit(literal[0])),
                .last_bit = @splat(glob.caseBit(last)),
            };
        }

        pub inline fn isIn(finder: Finder, text: []const u8) bool {
            if (text.len < finder.size) return false;
            const starts_count = text.len - finder.size + 1;
            var start: usize = 0;
            while (start < starts_count) : (start += 16) {
                const firsts: Block = text.ptr[start..][0..16].*;
                const lasts: Block = text.ptr[start + finder.size - 1 ..][0..16].*;
                const first_hits: u16 = @bitCast((firsts | finder.first_bit) == finder.first);
                const last_hits: u16 = @bitCast((lasts | finder.last_bit) == finder.last);
                var bits = first_hits & last_hits;
                const left = starts_count - start;
                if (left < 16) bits &= (@as(u16, 1) << @intCast(left)) - 1;
                while (bits != 0) : (bits &= bits - 1) {
                    if (finder.size < 3 or finder.glob.literalAt(text, start + @ctz(bits))) {
                        return true;
                    }
                }
            }
            return false;
        }
    };

    /// Only the two cases of a letter become equal to its lower case by setting this bit.
    fn caseBit(glob: *const Glob, byte: u8) u8 {
        return if (glob.fold and std.ascii.isAlphabetic(byte)) 0x20 else 0;
    }

    /// Walks both; on a mismatch goes back to the last star and lets it take one character more.
    /// Earlier stars need no second try: what follows them has already matched as early as it can.
    fn matchesTokens(glob: *const Glob, text: []const u8) bool {
        const tokens = glob.tokens;
        var at: usize = 0;
        var token_at: usize = 0;
        var retry_at: usize = 0;
        var retry_token: ?usize = null;
        while (true) {
            if (token_at < tokens.len and tokens[token_at] == .star) {
                token_at += 1;
                if (token_at == tokens.len) return true;
                retry_token = token_at;
                retry_at = at;
                continue;
            }
            if (token_at == tokens.len and at == text.len) return true;
            if (token_at < tokens.len and at < text.len) {
                const size = glob.step(tokens[token_at], text[at..]);
                if (size > 0) {
                    token_at += 1;
                    at += size;
                    continue;
                }
            }
            token_at = retry_token orelse return false;
            if (retry_at == text.len) return false;
            retry_at += characterSize(text[retry_at..]);
            at = retry_at;
        }
    }

    /// Bytes of `text` that the token takes; 0 when it does not match.
    fn step(glob: *const Glob, token: Token, text: []const u8) usize {
        switch (token) {
            .byte => |byte| {
                const found = if (glob.fold) std.ascii.toLower(text[0]) else text[0];
                return @intFromBool(found == byte);
            },
            .character => return characterSize(text),
            .set => |set| {
                const size = characterSize(text);
                return if (set.contains(decodeCharacter(text[0..size]), glob.fold)) size else 0;
            },
            .star => unreachable, // handled by the caller
        }
    }
};

fn classify(tokens: []const Token) Class {
    var stars: usize = 0;
    for (tokens) |token| {
        switch (token) {
            .star => stars += 1,
            .byte => {},
            .character, .set => return .general,
        }
    }
    if (stars == 0) return .exact;
    const first = tokens[0] == .star;
    const last = tokens[tokens.len - 1] == .star;
    if (tokens.len == 1) return .everything;
    if (stars == 1 and last) return .prefix;
    if (stars == 1 and first) return .suffix;
    if (stars == 2 and first and last) return .contains;
    return .general;
}

fn parse(
    arena: std.mem.Allocator,
    pattern: []const u8,
    fold: bool,
) error{OutOfMemory}![]const Token {
    var tokens: std.ArrayList(Token) = try .initCapacity(arena, pattern.len);
    var at: usize = 0;
    while (at < pattern.len) {
        const byte = pattern[at];
        switch (byte) {
            '*' => {
                const previous = tokens.getLastOrNull() orelse .character;
                if (previous != .star) tokens.appendAssumeCapacity(.star);
                at += 1;
            },
            '?' => {
                tokens.appendAssumeCapacity(.character);
                at += 1;
            },
            '[' => {
                if (try parseSet(arena, pattern[at..])) |parsed| {
                    tokens.appendAssumeCapacity(.{ .set = parsed.set });
                    at += parsed.size;
                } else {
                    tokens.appendAssumeCapacity(literalToken(byte, fold));
                    at += 1;
                }
            },
            '\\' => {
                const escaped = at + 1 < pattern.len;
                at += @intFromBool(escaped);
                tokens.appendAssumeCapacity(literalToken(pattern[at], fold));
                at += 1;
            },
            else => {
                tokens.appendAssumeCapacity(literalToken(byte, fold));
                at += 1;
            },
        }
    }
    return tokens.items;
}

fn literalToken(byte: u8, fold: bool) Token {
    return .{ .byte = if (fold) std.ascii.toLower(byte) else byte };
}

const ParsedSet = struct { set: Set, size: usize };

/// Null when the set is not closed. `text` begins with `[`.
fn parseSet(arena: std.mem.Allocator, text: []const u8) error{OutOfMemory}!?ParsedSet {
    var at: usize = 1;
    const negated = at < text.len and text[at] == '^';
    if (negated) at += 1;
    var ranges: std.ArrayList(Range) = .empty;
    var first_member = true;
    while (at < text.len) : (first_member = false) {
        if (text[at] == ']' and !first_member) {
            return .{ .set = .{ .negated = negated, .ranges = ranges.items }, .size = at + 1 };
        }
        const low = parseMember(text, &at) orelse return null;
        const is_range = at + 1 < text.len and text[at] == '-' and text[at + 1] != ']';
        if (is_range) at += 1;
        const high = if (is_range) parseMember(text, &at) orelse return null else low;
        try ranges.append(arena, .{ .first = @min(low, high), .last = @max(low, high) });
    }
    return null;
}

fn parseMember(text: []const u8, at: *usize) ?u21 {
    if (text[at.*] == '\\') at.* += 1;
    if (at.* >= text.len) return null;
    const size = characterSize(text[at.*..]);
    defer at.* += size;
    return decodeCharacter(text[at.*..][0..size]);
}

/// Bytes of the first character; a byte that begins no sequence stands alone.
fn characterSize(text: []const u8) usize {
    assert(text.len > 0);
    const size = std.unicode.utf8ByteSequenceLength(text[0]) catch 1;
    return @min(size, text.len);
}

fn decodeCharacter(sequence: []const u8) u21 {
    return std.unicode.utf8Decode(sequence) catch sequence[0];
}

fn swapCase(character: u21) u21 {
    return switch (character) {
        'a'...'z' => character - 0x20,
        'A'...'Z' => character + 0x20,
        else => character,
    };
}

const testing = std.testing;

const Case = struct { []const u8, []const u8, bool };

fn expectCases(fold: bool, cases: []const Case) !void {
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    for (cases) |case| {
        const glob = try Glob.compile(arena.allocator(), case[0], fold);
        if (glob.class == .contains) {
            try testing.expectEqual(case[2], isContainedPadded(&glob, case[1]));
        }
        testing.expectEqual(case[2], glob.matches(case[1])) catch |failure| {
            std.debug.print("pattern '{s}' text '{s}'\n", .{ case[0], case[1] });
            return failure;
        };
    }
}

/// With bytes behind the text that the literal goes on with.
fn isContainedPadded(glob: *const Glob, text: []const u8) bool {
    var padded: [128]u8 = undefined;
    for (&padded, 0..) |*byte, i| byte.* = glob.literal[i % glob.literal.len];
    @memcpy(padded[0..text.len], text);
    return Glob.Finder.of(glob).isIn(padded[0..text.len]);
}

test "glob: every construct" {
    try expectCases(false, &.{
        .{ "", "", true },
        .{ "", "a", false },
        .{ "*", "", true },
        .{ "***", "abc", true },
        .{ "UAL*", "UAL123", true },
        .{ "UAL*", "UAL", true },
        .{ "UAL*", "UA", false },
        .{ "UAL*", "ual1", false },
        .{ "*23", "UAL123", true },
        .{ "*23", "3", false },
        .{ "*L1*", "UAL123", true },
        .{ "*L4*", "UAL123", false },
        .{ "U?L*3", "UAL123", true },
        .{ "U?L*4", "UAL123", false },
        .{ "?", "é", true },
        .{ "??", "é", false },
        .{ "*??", "€", false },
        .{ "[a-c]x", "bx", true },
        .{ "[c-a]x", "bx", true },
        .{ "[^a-c]x", "bx", false },
        .{ "[^a-c]x", "dx", true },
        .{ "[]x]", "]", true },
        .{ "[^]]", "]", false },
        .{ "[a-]", "-", true },
        .{ "[\\]]", "]", true },
        .{ "[ü-€]", "€", true },
        .{ "[abc", "[abc", true },
        .{ "[abc", "a", false },
        .{ "a\\*", "a*", true },
        .{ "a\\*", "ab", false },
        .{ "a\\", "a\\", true },
        .{ "a\\[b", "a[b", true },
        .{ "*a*b*c", "xaxbxbxc", true },
        .{ "*a*b*c", "xaxcxb", false },
        .{ "a*a*a*a*b", "aaaaaaaaaaaa", false },
        .{ "*needle*", "a long text in which there is a needle somewhere", true },
        .{ "*needle*", "a long text in which there is a needl somewhere else", false },
    });
}

test "glob: folding is of ASCII letters only" {
    try expectCases(true, &.{
        .{ "ual*", "UAL123", true },
        .{ "UAL*", "ual123", true },
        .{ "*l1*", "UAL123", true },
        .{ "[A-C]", "b", true },
        .{ "[^a-c]", "B", false },
        .{ "É*", "éA", false },
        .{ "\\U*", "u", true },
        .{ "@", "`", false },
        .{ "*[*", "{", false },
        .{ "*\\[*", "{", false },
        .{ "*@x*", "................`x.....", false },
        .{ "*NEEDLE*", "a long text in which there is a nEEdle somewhere", true },
    });
}

/// The definition, by recursion over tokens.
fn matchesSlowly(glob: *const Glob, tokens: []const Token, text: []const u8) bool {
    if (tokens.len == 0) return text.len == 0;
    if (tokens[0] == .star) {
        if (matchesSlowly(glob, tokens[1..], text)) return true;
        return text.len > 0 and matchesSlowly(glob, tokens, text[characterSize(text)..]);
    }
    if (text.len == 0) return false;
    const size = glob.step(tokens[0], text);
    return size > 0 and matchesSlowly(glob, tokens[1..], text[size..]);
}

test "glob: random patterns agree with the definition" {
    var random_state = std.Random.DefaultPrng.init(11);
    const random = random_state.random();
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    const pattern_parts = [_][]const u8{
        "*",    "?",    "a",   "b", "A",
        "é",
        "[ab]", "[^a]", "\\*", "[",
    };
    const text_parts = [_][]const u8{ "a", "b", "A", "é", "*", "[" };
    for (0..20_000) |_| {
        _ = arena.reset(.retain_capacity);
        var pattern: [64]u8 = undefined;
        var text: [64]u8 = undefined;
        const pattern_used = fill(random, &pattern_parts, &pattern, 8);
        const text_used = fill(random, &text_parts, &text, 22);
        const glob = try Glob.compile(arena.allocator(), pattern_used, random.boolean());
        const expected = matchesSlowly(&glob, glob.tokens, text_used);
        try testing.expectEqual(expected, glob.matches(text_used));
        if (glob.class == .contains) {
            try testing.expectEqual(expected, isContainedPadded(&glob, text_used));
        }
    }
}

fn fill(random: std.Random, parts: []const []const u8, buffer: []u8, count_max: u32) []const u8 {
    var size: usize = 0;
    for (0..random.uintAtMost(u32, count_max)) |_| {
        const part = parts[random.uintLessThan(usize, parts.len)];
        @memcpy(buffer[size..][0..part.len], part);
        size += part.len;
    }
    return buffer[0..size];
}
