//! The root of the engine's tests: imports every module, so that `zig build test` runs every test.
//! A new file gets its line here; a test of the house rules finds the one that was forgotten.

comptime {
    _ = @import("abi.zig");
    _ = @import("limits.zig");
    _ = @import("manifest.zig");
    _ = @import("os.zig");
    _ = @import("panic.zig");
    _ = @import("limits.zig");
    _ = @import("os.zig");
    _ = @import("segment/classes.zig");
    _ = @import("segment/segment.zig");
    _ = @import("table/primary_map.zig");
    _ = @import("index/skiplist.zig");
    _ = @import("testing/scheduler.zig");
    _ = @import("testing/harness.zig");
    _ = @import("txn/engine_test.zig");
    _ = @import("index/key.zig");
    _ = @import("ingest/field.zig");
    _ = @import("ingest/ndjson.zig");
    _ = @import("ingest/number.zig");
    _ = @import("ingest/parser.zig");
    _ = @import("ingest/parser_test.zig");
    _ = @import("ingest/plan.zig");
    _ = @import("ingest/reject.zig");
    _ = @import("ingest/test_stream.zig");
    _ = @import("ingest/text.zig");
    _ = @import("ingest/tsv.zig");
    _ = @import("query/bound.zig");
    _ = @import("query/executor.zig");
    _ = @import("query/executor_test.zig");
    _ = @import("query/glob.zig");
    _ = @import("query/model.zig");
    _ = @import("query/order.zig");
    _ = @import("query/plan.zig");
    _ = @import("query/predicate.zig");
    _ = @import("query/program.zig");
    _ = @import("query/route.zig");
    _ = @import("segment/rel_ptr.zig");
    _ = @import("table/schema.zig");
    _ = @import("testing/fault.zig");
    _ = @import("testing/row_model.zig");
    _ = @import("wal/checksum.zig");
    _ = @import("wal/delta.zig");
    _ = @import("wal/record.zig");
    _ = @import("wal/row.zig");
    _ = @import("wal/vint.zig");
}
