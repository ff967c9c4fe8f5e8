//! Tests of the parser over whole streams: every kind, every reject, every way to cut the input.

const std = @import("std");
const testing = std.testing;
const schema_module = @import("../row/schema.zig");
const TestColumn = schema_module.TestColumn;
const plan_module = @import("plan.zig");
const reject = @import("reject.zig");
const Reason = reject.Reason;
const parser_module = @import("parser.zig");
const Parser = parser_module.Parser;
const test_stream = @import("test_stream.zig");
const Fixture = test_stream.Fixture;
const TestPlan = test_stream.TestPlan;
const TestWord = test_stream.TestWord;

const flight_columns = [_]TestColumn{
    .{ .kind = .string, .limit = 8 },
    .{ .kind = .decimal, .scale = 6 },
    .{ .kind = .i32 },
    .{ .kind = .u16, .nullable = true },
};
const flight_names = [_]TestWord{
    .{ .text = "alt", .column = 2 },
    .{ .text = "altitude", .column = 2 },
    .{ .text = "flight", .column = 0 },
    .{ .text = "gs", .column = 3 },
    .{ .text = "lat", .column = 1 },
};
const flight_tsv: TestPlan = .{ .positions = &.{ 0, 1, 2, 3 }, .missing = 0b011, .nulls = 0b100 };

fn withFormat(format: plan_module.Format) TestPlan {
    var plan = flight_tsv;
    plan.format = format;
    plan.names = &flight_names;
    if (format == .csv) plan.flags = plan_module.flag_empty_null;
    return plan;
}

test "ingest tsv: lines become write records" {
    const fixture = try Fixture.init(&flight_columns, flight_tsv);
    defer fixture.deinit();
    try fixture.read("UAL1\t46.679232\t-38000\t438\r\n\nDAL2\t-1\t0\t\\N", 1000, 10);
    try testing.expectEqual(2, fixture.count());
    try testing.expectEqual(0, fixture.rejects.items.len);
    try testing.expectEqualSlices(u64, &.{ 1, 3 }, fixture.lines.items);
    try testing.expectEqualStrings("UAL1", fixture.string(0, 0));
    try testing.expectEqual(46_679_232, fixture.value(i64, 0, 1));
    try testing.expectEqual(-38000, fixture.value(i32, 0, 2));
    try testing.expectEqual(438, fixture.value(u16, 0, 3));
    try testing.expectEqual(0b111, fixture.named(0));
    try testing.expectEqual(0, fixture.missing(0));
    try testing.expectEqual(0, fixture.nulls(0));
    try testing.expectEqual(0b111, fixture.named(1));
    try testing.expectEqual(0b100, fixture.nulls(1));
    try testing.expectEqual(0, fixture.value(u16, 1, 3));
}

test "ingest tsv: a bad line is a reject with line, column and reason, and the load goes on" {
    const fixture = try Fixture.init(&flight_columns, flight_tsv);
    defer fixture.deinit();
    try fixture.read(
        "A\t1\t2\n" ++ // 1
            "A\t1\t2\t3\t4\n" ++ // 2
            "\n" ++ // 3
            "A\t\t2\t3\n" ++ // 4
            "A\t\\N\t2\t3\n" ++ // 5
            "A\tx\t2\t3\n" ++ // 6
            "A\t1\t2147483648\t3\n" ++ // 7
            "A\t1\t2\t-1\n" ++ // 8
            "A\t1.1234567\t2\t3\n" ++ // 9
            "ABCDEFGHI\t1\t2\t3\n" ++ // 10
            "\xff\t1\t2\t3\n" ++ // 11
            "\t1\t2\t3\n" ++ // 12
            "A\t1\t2\t438.5\n" ++ // 13
            "A\t1\t2\t3\n", // 14
        1000,
        10,
    );
    try testing.expectEqual(1, fixture.count());
    try testing.expectEqual(12, fixture.rejects.items.len);
    try fixture.expectReject(0, 1, 4, .missing_column);
    try fixture.expectReject(1, 2, 5, .extra_column);
    try fixture.expectReject(2, 4, 2, .empty_value);
    try fixture.expectReject(3, 5, 2, .not_nullable);
    try fixture.expectReject(4, 6, 2, .not_a_number);
    try fixture.expectReject(5, 7, 3, .out_of_range);
    try fixture.expectReject(6, 8, 4, .out_of_range);
    try fixture.expectReject(7, 9, 2, .too_precise);
    try fixture.expectReject(8, 10, 1, .too_long);
    try fixture.expectReject(9, 11, 1, .invalid_utf8);
    try fixture.expectReject(10, 12, 1, .empty_key);
    try fixture.expectReject(11, 13, 4, .too_precise);
    try testing.expectEqual(3, fixture.rejects.items[0].field);
    try testing.expectEqual(reject.field_none, fixture.rejects.items[1].field);
}

/// The text of a number's column as a delimited dialect reads it.
fn expectDialect(plan: TestPlan, stream: []const u8, expected: []const ?i64) !void {
    const columns = [_]TestColumn{
        .{ .kind = .string, .limit = 20 },
        .{ .kind = .decimal, .scale = 2, .nullable = true },
    };
    var own = plan;
    own.positions = &.{ 0, 1 };
    own.nulls = 1;
    const fixture = try Fixture.init(&columns, own);
    defer fixture.deinit();
    for ([_]usize{ 1, 2, 3, 5, 7, 1000 }) |step| {
        try fixture.read(stream, step, 10);
        try testing.expectEqual(0, fixture.rejects.items.len);
        try testing.expectEqual(expected.len, fixture.count());
        for (expected, 0..) |each, index| {
            try testing.expectEqualStrings("K", fixture.string(index, 0)[0..1]);
            const is_null = fixture.nulls(index) != 0;
            try testing.expectEqual(each == null, is_null);
            if (each) |value| try testing.expectEqual(value, fixture.value(i64, index, 1));
        }
    }
}

test "ingest dialects: separators, quotes, commas, words for null, comments, rounding" {
    const escapes = plan_module.flag_escapes;
    try expectDialect(.{ .separator = ';', .flags = 0 }, "K;1.5\nKa,b;2\n", &.{ 150, 200 });
    try expectDialect(
        .{ .format = .csv, .separator = ';', .flags = plan_module.flag_decimal_comma },
        "K;1,5\n\"K;\n\"\"\";-2,25\n",
        &.{ 150, -225 },
    );
    try expectDialect(
        .{ .format = .csv, .quote = '\'', .flags = plan_module.flag_empty_null },
        "'K,','1.5'\n'K''s',\nK\"x,2",
        &.{ 150, null, 200 },
    );
    try expectDialect(
        .{ .format = .csv, .flags = escapes },
        "\"K\\\"a,\\n\",1\n\"K\\\\\",\\N\n\"K\"\"\\\"\",3\n",
        &.{ 100, null, 300 },
    );
    try expectDialect(
        .{ .null_words = &.{ "NA", "NaN" }, .comment = "//" },
        "// K\t1\nK\tNA\n//\nK\tNaN\nK\t1\n",
        &.{ null, null, 100 },
    );
    try expectDialect(
        .{ .flags = plan_module.flag_round | plan_module.flag_ignore_extra },
        "K\t1.005\nK\t-1.005\t7\t8\nK\t1.0049999\n",
        &.{ 101, -101, 100 },
    );
    try expectDialect(.{}, "\u{feff}K\t1\n\u{feff}K\t2\nK\t3", &.{ 100, 200, 300 });
    try expectDialect(.{ .format = .csv }, "\u{feff}\"K\",1\n\u{feff}\"K,\",2", &.{ 100, 200 });
}

test "ingest dialects: one byte order mark of a line is passed over, a second is text" {
    const columns = [_]TestColumn{.{ .kind = .string, .limit = 20 }};
    const fixture = try Fixture.init(&columns, .{ .positions = &.{0} });
    defer fixture.deinit();
    for ([_]usize{ 1, 2, 3, 4, 5, 100 }) |step| {
        try fixture.read("\u{feff}\u{feff}K\n\u{feff}\nX\n\u{feff}", step, 10);
        try testing.expectEqual(2, fixture.count());
        try testing.expectEqualStrings("\u{feff}K", fixture.string(0, 0));
        try testing.expectEqualStrings("X", fixture.string(1, 0));
        try testing.expectEqualSlices(u64, &.{ 1, 3 }, fixture.lines.items);
    }
}

test "ingest dialects: a comma for the point takes no other point" {
    const columns = [_]TestColumn{ .{ .kind = .u8 }, .{ .kind = .decimal, .scale = 3 } };
    const fixture = try Fixture.init(&columns, .{
        .positions = &.{ 0, 1 },
        .separator = ';',
        .flags = plan_module.flag_decimal_comma,
    });
    defer fixture.deinit();
    try fixture.read("1;1.234\n1;1.234,5\n1;1,2,3\n1;,\n", 1000, 10);
    for (0..4) |index| try fixture.expectReject(index, index + 1, 2, .not_a_number);
}

test "ingest: times in text and of every unit" {
    const columns = [_]TestColumn{ .{ .kind = .u8 }, .{ .kind = .timestamp } };
    const fixture = try Fixture.init(&columns, .{ .positions = &.{ 0, 1 }, .time_unit = .s });
    defer fixture.deinit();
    try fixture.read("1\t1700000000.25\n2\t2024-01-02T03:04:05Z\n3\tnoon\n", 1000, 10);
    try testing.expectEqual(2, fixture.count());
    try testing.expectEqual(1_700_000_000_250, fixture.value(i64, 0, 1));
    try testing.expectEqual(1_704_164_645_000, fixture.value(i64, 1, 1));
    try fixture.expectReject(0, 3, 2, .not_a_time);
}

test "ingest ndjson: numbers as text and text as numbers, a surrogate's column" {
    const columns = [_]TestColumn{
        .{ .kind = .string, .limit = 8 },
        .{ .kind = .bool },
        .{ .kind = .u16, .nullable = true },
    };
    const fixture = try Fixture.init(&columns, .{
        .format = .ndjson,
        .names = &.{
            .{ .text = "b", .column = 1 },
            .{ .text = "k", .column = 0 },
            .{ .text = "n", .column = 2 },
        },
        .null_words = &.{"NA"},
        .nulls = 0b10,
    });
    defer fixture.deinit();
    try fixture.read(
        "{\"k\":7700,\"b\":1,\"n\":\"12\"}\n{\"k\":\"A\",\"b\":\"FALSE\",\"n\":\"NA\"}\n" ++
            "{\"k\":\"A\",\"n\":\"\\ud800\"}\n{\"k\":\"A\",\"b\":2}",
        1000,
        10,
    );
    try testing.expectEqual(2, fixture.count());
    try testing.expectEqualStrings("7700", fixture.string(0, 0));
    try testing.expectEqual(1, fixture.value(u8, 0, 1));
    try testing.expectEqual(12, fixture.value(u16, 0, 2));
    try testing.expectEqual(0, fixture.value(u8, 1, 1));
    try testing.expectEqual(0b10, fixture.nulls(1));
    try fixture.expectReject(0, 3, 14, .invalid_utf8);
    try testing.expectEqual(2, fixture.rejects.items[0].field);
    try fixture.expectReject(1, 4, 14, .not_a_bool);
}

test "ingest tsv: an empty number is null, else the default, and positions may be ignored" {
    const columns = [_]TestColumn{
        .{ .kind = .u32 },
        .{ .kind = .i64 },
        .{ .kind = .string, .limit = 4 },
        .{ .kind = .f64, .nullable = true },
    };
    // The second column has a default of 7, the third of "wxyz", the last of null.
    const fixture = try Fixture.init(&columns, .{
        .positions = &.{ 3, plan_module.position_ignored, 0, 1, 2 },
        .nulls = 0b100,
        .patch_offset = 16,
        .patch = &[_]u8{ 7, 0, 0, 0, 0, 0, 0, 0, 4, 0, 'w', 'x', 'y', 'z' },
    });
    defer fixture.deinit();
    try fixture.read("\t?\t1\t\ta\\tb\n0.5\t\t2\t8\t\n", 1000, 10);
    try testing.expectEqual(0, fixture.rejects.items.len);
    try testing.expectEqual(7, fixture.value(i64, 0, 1));
    try testing.expectEqual(0b110, fixture.named(0));
    try testing.expectEqual(0b100, fixture.nulls(0));
    try testing.expectEqualStrings("a\tb", fixture.string(0, 2));
    try testing.expectEqual(8, fixture.value(i64, 1, 1));
    try testing.expectEqual(0.5, fixture.value(f64, 1, 3));
    try testing.expectEqual(0b111, fixture.named(1));
    try testing.expectEqualStrings("", fixture.string(1, 2));
}

test "ingest tsv: every kind" {
    const columns = [_]TestColumn{
        .{ .kind = .u64 },
        .{ .kind = .bool },
        .{ .kind = .i8 },
        .{ .kind = .i16 },
        .{ .kind = .u8 },
        .{ .kind = .u32 },
        .{ .kind = .f32 },
        .{ .kind = .timestamp },
        .{ .kind = .bytes, .limit = 4 },
        .{ .kind = .@"enum", .limit = 3 },
    };
    const fixture = try Fixture.init(&columns, .{
        .positions = &.{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 },
        .labels = &.{
            .{ .text = "climb", .column = 9, .value = 0 },
            .{ .text = "cruise", .column = 9, .value = 2 },
            .{ .text = "descent", .column = 9, .value = 1 },
        },
    });
    defer fixture.deinit();
    try fixture.read(
        "18446744073709551615\ttrue\t-128\t-32768\t255\t4294967295\t0.1\t1533099600000\t" ++
            "00fF\tdescent\n" ++
            "1\tmaybe\t0\t0\t0\t0\t0\t0\t\tclimb\n" ++
            "1\tf\t128\t0\t0\t0\t0\t0\t\tclimb\n" ++
            "1\tf\t0\t0\t256\t0\t0\t0\t\tclimb\n" ++
            "1\tf\t0\t0\t0\t0\tNaN\t0\t\tclimb\n" ++
            "1\tf\t0\t0\t0\t0\t0\t0\t0\tclimb\n" ++
            "1\tf\t0\t0\t0\t0\t0\t0\t0102030405\tclimb\n" ++
            "1\tf\t0\t0\t0\t0\t0\t0\t01\tland\n" ++
            "1\tf\t0\t0\t0\t0\t0\t9007199254740992\t01\tclimb\n",
        1000,
        10,
    );
    try testing.expectEqual(1, fixture.count());
    try testing.expectEqual(std.math.maxInt(u64), fixture.value(u64, 0, 0));
    try testing.expectEqual(1, fixture.value(u8, 0, 1));
    try testing.expectEqual(-128, fixture.value(i8, 0, 2));
    try testing.expectEqual(-32768, fixture.value(i16, 0, 3));
    try testing.expectEqual(255, fixture.value(u8, 0, 4));
    try testing.expectEqual(std.math.maxInt(u32), fixture.value(u32, 0, 5));
    try testing.expectEqual(0.1, fixture.value(f32, 0, 6));
    try testing.expectEqual(1533099600000, fixture.value(i64, 0, 7));
    try testing.expectEqualSlices(u8, &.{ 0, 0xff }, fixture.string(0, 8));
    try testing.expectEqual(1, fixture.value(u16, 0, 9));
    try fixture.expectReject(0, 2, 2, .not_a_bool);
    try fixture.expectReject(1, 3, 3, .out_of_range);
    try fixture.expectReject(2, 4, 5, .out_of_range);
    try fixture.expectReject(3, 5, 7, .is_nan);
    try fixture.expectReject(4, 6, 9, .not_hex);
    try fixture.expectReject(5, 7, 9, .too_long);
    try fixture.expectReject(6, 8, 10, .unknown_label);
    try fixture.expectReject(7, 9, 8, .out_of_range);
}

test "ingest csv: quotes, doubled quotes, line ends inside them, nulls" {
    const columns = [_]TestColumn{
        .{ .kind = .string, .limit = 16 },
        .{ .kind = .string, .limit = 16, .nullable = true },
        .{ .kind = .u16 },
    };
    const fixture = try Fixture.init(&columns, .{
        .format = .csv,
        .flags = plan_module.flag_empty_null,
        .positions = &.{ 0, 1, 2 },
        .missing = 0b10,
        .nulls = 0b01,
    });
    defer fixture.deinit();
    try fixture.read(
        "\"a,b\",\"say \"\"hi\"\"\",1\r\n" ++ // 1
            "c,\"x\ny\",\"2\"\n" ++ // 2, 3
            "d,,3\n" ++ // 4
            "e,\"\",4\n" ++ // 5
            "f\"g,h,5\n" ++ // 6
            "\"bad\"x,h,6\n" ++ // 7
            "\"i\",j,\n" ++ // 8
            "\"open,k,8\n" ++ // 9
            "\"l\nm\",n,9", // 10, 11
        1000,
        10,
    );
    try testing.expectEqual(6, fixture.count());
    try testing.expectEqualStrings("a,b", fixture.string(0, 0));
    try testing.expectEqualStrings("say \"hi\"", fixture.string(0, 1));
    try testing.expectEqualStrings("x\ny", fixture.string(1, 1));
    try testing.expectEqual(2, fixture.value(u16, 1, 2));
    try testing.expectEqual(1, fixture.nulls(2));
    try testing.expectEqual(0, fixture.nulls(3));
    try testing.expectEqualStrings("f\"g", fixture.string(4, 0));
    try testing.expectEqualStrings("l\nm", fixture.string(5, 0));
    try testing.expectEqual(3, fixture.rejects.items.len);
    try fixture.expectReject(0, 7, 1, .malformed);
    try fixture.expectReject(1, 8, 3, .empty_value);
    try fixture.expectReject(2, 9, 1, .malformed);
}

test "ingest ndjson: keys in any order, aliases, unknown keys" {
    const fixture = try Fixture.init(&flight_columns, withFormat(.ndjson));
    defer fixture.deinit();
    try fixture.read(
        \\{"flight": "UAL1", "lat": 46.679232, "alt": 38000.0, "gs": 4.38e2}
        \\ { "x":[1,{"y":"\u12aF\\"},[],{}], "gs":null,"altitude" :-1, "lat":"1.5", "flight":
    ++ " \"\\u005a\\u00fc\\ud83d\\ude00\\n\" }\n" ++
        \\{"flight":"P","gs":7}
        \\{"\u0066light":"Q"}
        \\
    , 1000, 10);
    try testing.expectEqual(0, fixture.rejects.items.len);
    try testing.expectEqual(4, fixture.count());
    try testing.expectEqual(1, fixture.unknown_count);
    try testing.expectEqual(38000, fixture.value(i32, 0, 2));
    try testing.expectEqual(438, fixture.value(u16, 0, 3));
    try testing.expectEqualStrings("Zü😀\n", fixture.string(1, 0));
    try testing.expectEqual(1_500_000, fixture.value(i64, 1, 1));
    try testing.expectEqual(0b100, fixture.nulls(1));
    try testing.expectEqual(0b111, fixture.named(1));
    try testing.expectEqual(0b100, fixture.named(2));
    try testing.expectEqual(0b011, fixture.missing(2));
    try testing.expectEqual(0, fixture.nulls(2));
    try testing.expectEqual(0, fixture.named(3));
    try testing.expectEqual(0b100, fixture.nulls(3));
    try testing.expectEqualStrings("Q", fixture.string(3, 0));
}

test "ingest ndjson: bad lines" {
    const fixture = try Fixture.init(&flight_columns, withFormat(.ndjson));
    defer fixture.deinit();
    const cases = [_]struct { []const u8, Reason }{
        .{ "{", .malformed },
        .{ "[]", .malformed },
        .{ "{}", .missing_key },
        .{ "{\"lat\":1}", .missing_key },
        .{ "{\"flight\":\"A\"} x", .malformed },
        .{ "{\"flight\":\"A\",}", .malformed },
        .{ "{\"flight\" \"A\"}", .malformed },
        .{ "{flight:\"A\"}", .malformed },
        .{ "{\"flight\":\"A", .malformed },
        .{ "{\"flight\":\"A\tB\"}", .malformed },
        .{ "{\"flight\":\"\\x\"}", .malformed },
        .{ "{\"flight\":\"\\u12\"}", .malformed },
        .{ "{\"flight\":\"\\ud800\"}", .invalid_utf8 },
        .{ "{\"flight\":\"\\ud800\\u0041\"}", .invalid_utf8 },
        .{ "{\"flight\":\"\\udc00\"}", .invalid_utf8 },
        .{ "{\"flight\":\"\xff\"}", .invalid_utf8 },
        .{ "{\"flight\":\"ABCDEFGHI\"}", .too_long },
        .{ "{\"flight\":\"\"}", .empty_key },
        .{ "{\"flight\":[1]}", .wrong_kind },
        .{ "{\"flight\":01}", .malformed },
        .{ "{\"flight\":null}", .not_nullable },
        .{ "{\"flight\":\"A\",\"flight\":\"B\"}", .duplicate_field },
        .{ "{\"flight\":\"A\",\"alt\":1,\"altitude\":2}", .duplicate_field },
        .{ "{\"flight\":\"A\",\"gs\":438.0795}", .too_precise },
        .{ "{\"flight\":\"A\",\"gs\":true}", .wrong_kind },
        .{ "{\"flight\":\"A\",\"gs\":[1]}", .wrong_kind },
        .{ "{\"flight\":\"A\",\"gs\":\"\"}", .not_a_number },
        .{ "{\"flight\":\"A\",\"gs\":07}", .not_a_number },
        .{ "{\"flight\":\"A\",\"gs\":tru}", .malformed },
        .{ "{\"flight\":\"A\",\"x\":07}", .malformed },
        .{ "{\"flight\":\"A\",\"x\":" ++ "[" ** 100 ++ "]" ** 100 ++ "}", .malformed },
    };
    for (cases) |case| {
        try fixture.read(case[0], 1000, 10);
        testing.expectEqual(1, fixture.rejects.items.len) catch |err| {
            std.debug.print("accepted: {s}\n", .{case[0]});
            return err;
        };
        testing.expectEqual(@intFromEnum(case[1]), fixture.rejects.items[0].reason) catch |err| {
            std.debug.print("line: {s}\n", .{case[0]});
            return err;
        };
    }
    try fixture.read("{\"flight\":\"A\",\"gs\":438.5}", 1000, 10);
    try fixture.expectReject(0, 1, 20, .too_precise);
    try testing.expectEqual(3, fixture.rejects.items[0].field);
}

test "ingest ndjson: unknown keys are refused when the plan says so" {
    var plan = withFormat(.ndjson);
    plan.flags |= plan_module.flag_refuse_unknown;
    const fixture = try Fixture.init(&flight_columns, plan);
    defer fixture.deinit();
    try fixture.read("{\"flight\":\"A\",\"x\":1}\n", 1000, 10);
    try fixture.expectReject(0, 1, 15, .unknown_field);
}

test "ingest: a line over the limit costs one reject, whatever the chunks" {
    inline for (.{ plan_module.Format.tsv, .csv, .ndjson }) |format| {
        var plan = withFormat(format);
        plan.line_size_max = 32;
        const fixture = try Fixture.init(&flight_columns, plan);
        defer fixture.deinit();
        const good = switch (format) {
            .tsv => "A\t1\t2\t3\n",
            .csv => "\"A\",1,2,3\n",
            else => "{\"flight\":\"A\"}\n",
        };
        const stream = good ++ "x" ** 32 ++ "\n" ++ "y" ** 33 ++ "\n" ++ good ++ "z" ** 100;
        for (1..stream.len + 1) |step| {
            try fixture.read(stream, step, 1);
            try testing.expectEqual(2, fixture.count());
            try testing.expectEqual(3, fixture.rejects.items.len);
            try testing.expectEqual(2, fixture.rejects.items[0].line);
            try fixture.expectReject(1, 3, 1, .line_too_long);
            try testing.expectEqual(32, fixture.rejects.items[1].size);
            try fixture.expectReject(2, 5, 1, .line_too_long);
        }
    }
}

test "ingest: parse returns at each reject when the plan says so" {
    var plan = flight_tsv;
    plan.flags |= plan_module.flag_stop_at_reject;
    const fixture = try Fixture.init(&flight_columns, plan);
    defer fixture.deinit();
    var records: [1024]u8 = undefined;
    var rejects: [8]reject.Reject = undefined;
    const input = "A\t1\t2\t3\nbad\nB\t1\t2\t3\n";
    const result = fixture.parser.parse(input, true, &records, &.{}, &rejects);
    try testing.expectEqual(@intFromEnum(parser_module.Stop.rejects), result.stop);
    try testing.expectEqual(1, result.record_count);
    try testing.expectEqual(1, result.reject_count);
    try testing.expectEqual(12, result.consumed);
    try testing.expectEqual(3, result.line_next);
}

test "ingest: a broken plan is refused" {
    const fixture = try Fixture.init(&flight_columns, withFormat(.ndjson));
    defer fixture.deinit();
    const bytes = fixture.plan_bytes;
    for (0..bytes.len) |size| {
        try testing.expectError(
            error.InvalidPlan,
            Parser.create(testing.allocator, &fixture.schema, bytes[0..size]),
        );
    }
    var state = std.Random.DefaultPrng.init(3);
    const random = state.random();
    var broken: [4096]u8 = undefined;
    for (0..5_000) |_| {
        @memcpy(broken[0..bytes.len], bytes);
        for (0..random.intRangeAtMost(u32, 1, 4)) |_| {
            broken[random.uintLessThan(usize, bytes.len)] = random.int(u8);
        }
        const parser = Parser.create(
            testing.allocator,
            &fixture.schema,
            broken[0..bytes.len],
        ) catch continue;
        defer parser.destroy();
        var records: [1024]u8 = undefined;
        var rejects: [8]reject.Reject = undefined;
        const input = "{\"flight\":\"A\",\"gs\":1}\nA\t1\t2\t3\n";
        _ = parser.parse(input, true, &records, &.{}, &rejects);
    }
}

test "ingest: records and rejects do not depend on the chunks, and no bytes are too strange" {
    const seed = 17;
    errdefer std.debug.print("seed {d}\n", .{seed});
    var state = std.Random.DefaultPrng.init(seed);
    const random = state.random();
    const words = [_][]const u8{
        "A",     "\t",   ",",        "\n",        "\r\n",       "\"",          "\"\"",     "1",
        "2.5",   "-3",   "\\N",      "\\t",       "{",          "}",           "[",        "]",
        ":",     "\xff", "\xc3\xbc", "\x00",      "null",       "true",        "1e3",      "'",
        "\\u00", "\\",   "\n\n",     "D,1,2,3",   "C\t1\t2\t3", "\"gs\"",      "\"alt\":", " ",
        "e",     "\"x",  "x\"",      "{\"flight", "\":\"B\"}",  "\"flight\":",
    };
    var stream: [400]u8 = undefined;
    inline for (.{ plan_module.Format.tsv, .csv, .ndjson }) |format| {
        var plan = withFormat(format);
        plan.line_size_max = 40;
        const whole = try Fixture.init(&flight_columns, plan);
        defer whole.deinit();
        const cut = try Fixture.init(&flight_columns, plan);
        defer cut.deinit();
        for (0..3_000) |_| {
            var size: usize = 0;
            for (0..random.uintLessThan(usize, 60)) |_| {
                const word = words[random.uintLessThan(usize, words.len)];
                @memcpy(stream[size..][0..word.len], word);
                size += word.len;
                if (size > stream.len - 20) break;
            }
            try whole.read(stream[0..size], 1000, 100);
            try cut.read(stream[0..size], random.intRangeAtMost(usize, 1, 50), 1);
            try testing.expectEqualSlices(u8, whole.records.items, cut.records.items);
            try testing.expectEqualSlices(
                u8,
                std.mem.sliceAsBytes(whole.rejects.items),
                std.mem.sliceAsBytes(cut.rejects.items),
            );
            try testing.expectEqualSlices(u64, whole.lines.items, cut.lines.items);
            try testing.expectEqual(whole.unknown_count, cut.unknown_count);
        }
    }
}

test "ingest ndjson: malformed is what is no JSON" {
    const seed = 23;
    errdefer std.debug.print("seed {d}\n", .{seed});
    var state = std.Random.DefaultPrng.init(seed);
    const random = state.random();
    const fixture = try Fixture.init(&flight_columns, withFormat(.ndjson));
    defer fixture.deinit();
    const whole =
        "{\"flight\":\"A\\n\\u00e9\",\"x\":[1,-2.5e3,{\"y\":[]},true,null]," ++
        "\"gs\":4,\"lat\":1.5}";
    const alphabet = "{}[]:,\"\\0123456789.-+eEtrufalsn x";
    var line: [whole.len + 8]u8 = undefined;
    var malformed_count: u32 = 0;
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    for (0..20_000) |_| {
        var size: usize = whole.len;
        @memcpy(line[0..size], whole);
        for (0..random.uintLessThan(u32, 3)) |_| {
            const at = random.uintLessThan(usize, size);
            const byte = alphabet[random.uintLessThan(usize, alphabet.len)];
            switch (random.uintLessThan(u32, 3)) {
                0 => line[at] = byte,
                1 => {
                    @memmove(line[at .. size - 1], line[at + 1 .. size]);
                    size -= 1;
                },
                else => {
                    @memmove(line[at + 1 .. size + 1], line[at..size]);
                    line[at] = byte;
                    size += 1;
                },
            }
        }
        _ = arena.reset(.retain_capacity);
        const valid = try std.json.validate(arena.allocator(), line[0..size]);
        try fixture.read(line[0..size], 1000, 1);
        errdefer std.debug.print("line {s}\n", .{line[0..size]});
        if (fixture.count() == 1) try testing.expect(valid);
        if (fixture.rejects.items.len == 0) continue;
        if (fixture.rejects.items[0].reason != @intFromEnum(Reason.malformed)) continue;
        malformed_count += 1;
        try testing.expect(!valid);
    }
    try testing.expect(malformed_count > 1_000);
}
