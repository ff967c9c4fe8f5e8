//! Describes the library to its caller: symbols, enums, memory layouts and constants as JSON, made
//! while compiling from the declarations themselves.
//!
//! A type crosses the boundary only if `typeName` has a line for it; any other is a compile error
//! that names the symbol. What a caller passes for each is in `docs/internals/boundary.md`.
const std = @import("std");

/// What the manifest is made from. Enums and layouts are named here, because the name of a type
/// depends on where it was declared.
pub const Source = struct {
    version: u32,
    prefix: []const u8,
    exports: type,
    /// Of the structs in shared memory: see `fingerprint`.
    fingerprint: u64,
    enums: []const Named,
    layouts: []const Named,
    constants: []const Group,
};

pub const Named = struct { name: []const u8, type: type };

/// Constants of one subject.
pub const Group = struct { name: []const u8, values: []const Value };
pub const Value = struct { name: []const u8, number: u64 };

/// No constant is larger: a JSON number that every reader gives back exactly.
const number_max = (1 << 53) - 1;

/// The fields of a struct of numbers, as the values of a group.
pub fn valuesOf(comptime numbers: anytype) []const Value {
    comptime {
        var values: []const Value = &.{};
        for (@typeInfo(@TypeOf(numbers)).@"struct".fields) |field| {
            const number: u64 = @field(numbers, field.name);
            if (number > number_max) @compileError("constants: " ++ field.name ++ " is too large");
            values = values ++ [_]Value{.{ .name = field.name, .number = number }};
        }
        return values;
    }
}

/// A number for each member of an enum, as the values of a group.
pub fn valuesByName(
    comptime Enum: type,
    comptime numberOf: fn (member: Enum) u32,
) []const Value {
    comptime {
        var values: []const Value = &.{};
        for (@typeInfo(Enum).@"enum".fields) |field| {
            const number = numberOf(@enumFromInt(field.value));
            values = values ++ [_]Value{.{ .name = field.name, .number = number }};
        }
        return values;
    }
}

/// Makes every public function of `source.exports` a symbol of the library.
pub fn exportSymbols(comptime source: Source) void {
    for (@typeInfo(source.exports).@"struct".decls) |decl| {
        @export(&@field(source.exports, decl.name), .{ .name = source.prefix ++ decl.name });
    }
}

/// The manifest as one line of JSON per symbol, enum, layout and group of constants.
pub fn render(comptime source: Source) []const u8 {
    comptime {
        @setEvalBranchQuota(10_000_000);
        // As the segment's header has it: hexadecimal digits of its bytes in their order.
        const head = std.fmt.comptimePrint("{{\"version\":{d},\"fingerprint\":\"{x:0>16}\"", .{
            source.version,
            @byteSwap(source.fingerprint),
        });
        return head ++
            ",\n\"symbols\":[" ++ renderSymbols(source) ++
            "],\n\"enums\":[" ++ renderEnums(source) ++
            "],\n\"layouts\":[" ++ renderLayouts(source) ++
            "],\n\"constants\":[" ++ renderConstants(source) ++ "]}\n";
    }
}

fn renderSymbols(comptime source: Source) []const u8 {
    var out: []const u8 = "";
    for (@typeInfo(source.exports).@"struct".decls, 0..) |decl, i| {
        const name = source.prefix ++ decl.name;
        const function = switch (@typeInfo(@TypeOf(@field(source.exports, decl.name)))) {
            .@"fn" => |function| function,
            else => @compileError(name ++ ": only functions can be exported"),
        };
        if (function.calling_convention == .auto) {
            @compileError(name ++ ": an exported function needs callconv(.c)");
        }
        out = out ++ (if (i == 0) "\n" else ",\n") ++ "{\"name\":\"" ++ name ++ "\",\"args\":[" ++
            renderParameters(source, name, function) ++ "],\"returns\":\"" ++
            typeName(source, name, function.return_type.?) ++ "\"}";
    }
    return out;
}

/// A many-item byte pointer followed by a `usize` is one view, handed over as pointer and length.
fn renderParameters(
    comptime source: Source,
    comptime symbol: []const u8,
    comptime function: std.builtin.Type.Fn,
) []const u8 {
    var out: []const u8 = "";
    var is_length = false;
    for (function.params, 0..) |parameter, i| {
        const Type = parameter.type.?;
        const next_is_length = isBytes(Type) and i + 1 < function.params.len and
            function.params[i + 1].type.? == usize;
        const name = if (is_length)
            "buffer_length"
        else if (next_is_length)
            (if (isConst(Type)) "buffer" else "buffer_mut")
        else
            typeName(source, symbol, Type);
        out = out ++ (if (i == 0) "\"" else ",\"") ++ name ++ "\"";
        is_length = next_is_length;
    }
    return out;
}

/// The name of a type in the manifest; a type that cannot cross does not compile.
fn typeName(comptime source: Source, comptime symbol: []const u8, comptime Type: type) []const u8 {
    switch (Type) {
        void, bool, u8, u16, u32, i8, i16, i32, f32, f64, u64, i64, usize => return @typeName(Type),
        else => {},
    }
    if (isBytes(Type)) {
        const optional = if (@typeInfo(Type) == .optional) "?" else "";
        return optional ++ (if (isConst(Type)) "bytes" else "bytes_mut");
    }
    switch (@typeInfo(Type)) {
        .@"enum" => |info| {
            const name = nameIn(source.enums, Type) orelse
                @compileError(symbol ++ ": list the enum " ++ @typeName(Type) ++ " in `enums`");
            switch (info.tag_type) {
                u8, u16, u32, i32, u64 => return name,
                else => @compileError(symbol ++ ": the tag of " ++ name ++ " cannot cross"),
            }
        },
        .pointer => |info| if (info.size == .one and !info.is_const) switch (info.child) {
            u32, i32, u64, i64, f64 => return "*" ++ @typeName(info.child),
            else => {
                const child = info.child;
                if (@typeInfo(child) == .@"enum") return "*" ++ typeName(source, symbol, child);
                if (nameIn(source.layouts, child)) |name| return "*" ++ name;
            },
        },
        else => {},
    }
    @compileError(symbol ++ ": the type " ++ @typeName(Type) ++ " cannot cross the boundary");
}

fn isBytes(comptime Type: type) bool {
    return switch (Type) {
        [*]const u8, [*]u8, ?[*]const u8, ?[*]u8 => true,
        else => false,
    };
}

fn isConst(comptime Type: type) bool {
    return Type == [*]const u8 or Type == ?[*]const u8;
}

fn nameIn(comptime list: []const Named, comptime Type: type) ?[]const u8 {
    for (list) |item| if (item.type == Type) return item.name;
    return null;
}

fn renderEnums(comptime source: Source) []const u8 {
    var out: []const u8 = "";
    for (source.enums, 0..) |item, i| {
        const info = @typeInfo(item.type).@"enum";
        var values: []const u8 = "";
        for (info.fields, 0..) |field, j| {
            values = values ++ (if (j == 0) "" else ",") ++
                std.fmt.comptimePrint("\"{s}\":{d}", .{ field.name, field.value });
        }
        out = out ++ (if (i == 0) "\n" else ",\n") ++ "{\"name\":\"" ++ item.name ++
            "\",\"tag\":\"" ++ @typeName(info.tag_type) ++ "\",\"values\":{" ++ values ++ "}}";
    }
    return out;
}

fn renderLayouts(comptime source: Source) []const u8 {
    var out: []const u8 = "";
    for (source.layouts, 0..) |item, i| {
        const Layout = item.type;
        const info = switch (@typeInfo(Layout)) {
            .@"struct" => |info| info,
            else => @compileError("layouts: " ++ item.name ++ " is not a struct"),
        };
        if (info.layout != .@"extern") {
            @compileError("layouts: " ++ item.name ++ " is not an extern struct");
        }
        var fields: []const u8 = "";
        for (info.fields, 0..) |field, j| {
            fields = fields ++ (if (j == 0) "" else ",") ++ std.fmt.comptimePrint(
                "\"{s}\":{{\"type\":\"{s}\",\"offset\":{d},\"size\":{d}}}",
                .{
                    field.name,                    fieldTypeName(source, field.type),
                    @offsetOf(Layout, field.name), @sizeOf(field.type),
                },
            );
        }
        out = out ++ (if (i == 0) "\n" else ",\n") ++ std.fmt.comptimePrint(
            "{{\"name\":\"{s}\",\"size\":{d},\"align\":{d},\"fields\":{{{s}}}}}",
            .{ item.name, @sizeOf(Layout), @alignOf(Layout), fields },
        );
    }
    return out;
}

fn renderConstants(comptime source: Source) []const u8 {
    var out: []const u8 = "";
    for (source.constants, 0..) |group, i| {
        var values: []const u8 = "";
        for (group.values, 0..) |value, j| {
            values = values ++ (if (j == 0) "" else ",") ++
                std.fmt.comptimePrint("\"{s}\":{d}", .{ value.name, value.number });
        }
        out = out ++ (if (i == 0) "\n" else ",\n") ++ "{\"name\":\"" ++ group.name ++
            "\",\"values\":{" ++ values ++ "}}";
    }
    return out;
}

/// One number for the memory layouts: it changes with the name, place or size of any field. FNV-1a.
pub fn fingerprint(comptime layouts: []const Named) u64 {
    comptime {
        @setEvalBranchQuota(10_000_000);
        var mixed = fnv_start;
        for (layouts) |item| {
            mixed = mix(mixed, item.name, @sizeOf(item.type), @alignOf(item.type));
            for (@typeInfo(item.type).@"struct".fields) |field| {
                const offset = @offsetOf(item.type, field.name);
                mixed = mix(mixed, field.name, offset, @sizeOf(field.type));
            }
        }
        return mixed;
    }
}

/// Identifies a boundary by its manifest: libraries of one hash are called in one way. FNV-1a.
pub fn hash(comptime text: []const u8) u64 {
    comptime {
        @setEvalBranchQuota(10_000_000);
        return mixBytes(fnv_start, text);
    }
}

const fnv_start: u64 = 0xCBF29CE484222325;
const fnv_prime: u64 = 0x100000001B3;

fn mixBytes(comptime start: u64, comptime bytes: []const u8) u64 {
    var mixed = start;
    for (bytes) |byte| mixed = (mixed ^ byte) *% fnv_prime;
    return mixed;
}

fn mix(comptime start: u64, comptime name: []const u8, comptime a: u64, comptime b: u64) u64 {
    var mixed = mixBytes(start, name);
    for ([_]u64{ a, b }) |number| mixed = (mixed ^ number) *% fnv_prime;
    return mixed;
}

/// How a field is stored, as far as a reader of its bytes needs to know.
fn fieldTypeName(comptime source: Source, comptime Type: type) []const u8 {
    if (nameIn(source.layouts, Type)) |name| return name;
    return switch (@typeInfo(Type)) {
        .int, .float, .bool => @typeName(Type),
        .@"enum" => |info| @typeName(info.tag_type),
        .array => |info| std.fmt.comptimePrint("[{d}]", .{info.len}) ++
            fieldTypeName(source, info.child),
        .@"struct" => |info| if (info.layout == .@"packed")
            @typeName(info.backing_integer.?)
        else if (info.fields.len == 1)
            fieldTypeName(source, info.fields[0].type)
        else
            "bytes",
        else => "bytes",
    };
}

test "manifest: symbols, enums and layouts are described as they are" {
    const Color = enum(u32) { red = 1, blue = 7 };
    const Point = extern struct { x: u32, y: u64, tail: [4]u16, at: std.atomic.Value(u64) };
    const text = comptime render(.{
        .version = 3,
        .prefix = "t_",
        .exports = struct {
            pub fn paint(
                color: Color,
                at: *Point,
                name: [*]const u8,
                name_length: usize,
            ) callconv(.c) i32 {
                return @intCast(@intFromEnum(color) + at.x + name[name_length - 1]);
            }
            pub fn fill(target: [*]u8, target_length: usize, by: ?[*]const u8) callconv(.c) void {
                target[target_length - 1] = if (by) |bytes| bytes[0] else 0;
            }
        },
        .fingerprint = fingerprint(&.{.{ .name = "Place", .type = Point }}),
        .enums = &.{.{ .name = "Colour", .type = Color }},
        .layouts = &.{.{ .name = "Place", .type = Point }},
        .constants = &.{.{ .name = "sizes", .values = valuesOf(.{ .small = 1, .large = 2 }) }},
    });
    try std.testing.expectEqualStrings(
        \\{"version":3,"fingerprint":"dc8d5a71fddbbf0c",
        \\"symbols":[
        \\{"name":"t_paint","args":["Colour","*Place","buffer","buffer_length"],"returns":"i32"},
        \\{"name":"t_fill","args":["buffer_mut","buffer_length","?bytes"],"returns":"void"}],
        \\"enums":[
        \\{"name":"Colour","tag":"u32","values":{"red":1,"blue":7}}],
        \\"layouts":[
        \\{"name":"Place","size":32,"align":8,"fields":{"x":{"type":"u32","offset":0,"size":4},
    ++ "\"y\":{\"type\":\"u64\",\"offset\":8,\"size\":8}," ++
        "\"tail\":{\"type\":\"[4]u16\",\"offset\":16,\"size\":8}," ++
        "\"at\":{\"type\":\"u64\",\"offset\":24,\"size\":8}}}],\n" ++
        "\"constants\":[\n{\"name\":\"sizes\",\"values\":{\"small\":1,\"large\":2}}]}\n", text);
}
