//! What both languages know besides the symbols: structs, enums and constants. TypeScript has all
//! of it from here, through the manifest, in `src/ffi/*.gen.ts`; what is typed in both languages
//! instead can drift apart without a sign.
//!
//! A new struct, enum or constant that crosses gets its line here, under the name that TypeScript
//! uses.
const manifest = @import("manifest.zig");
const limits = @import("limits.zig");
const status = @import("status.zig");
const layout = @import("segment/layout.zig");
const geometry = @import("segment/geometry.zig");
const classes = @import("segment/classes.zig");
const schema = @import("row/schema.zig");
const record = @import("row/record.zig");
const key = @import("row/key.zig");
const wal_reader = @import("wal/reader.zig");
const checkpoint_load = @import("checkpoint/load.zig");
const group = @import("query/group.zig");
const search_plan = @import("query/plan.zig");
const ingest_plan = @import("ingest/plan.zig");
const ingest_parser = @import("ingest/parser.zig");
const ingest_reject = @import("ingest/reject.zig");
const changes = @import("changes/output.zig");
const position = @import("changes/position.zig");
const context = @import("txn/context.zig");
const write = @import("txn/write.zig");
const catalog = @import("runtime/catalog.zig");
const check = @import("runtime/check.zig");
const io = @import("runtime/io.zig");
const log_cut = @import("runtime/log_cut.zig");
const registry = @import("runtime/registry.zig");
const recovery = @import("runtime/recovery.zig");
const segment_files = @import("runtime/segment_files.zig");
const settings = @import("runtime/settings.zig");
const stats = @import("runtime/stats.zig");
const transactions = @import("runtime/transactions.zig");

/// Structs of the segment. Their fingerprint is in its header: segments of another build do not
/// attach.
pub const shared_layouts = [_]manifest.Named{
    .{ .name = "Geometry", .type = layout.Geometry },
    .{ .name = "SegmentHeader", .type = layout.Header },
    .{ .name = "SessionSlot", .type = layout.SessionSlot },
    .{ .name = "Counters", .type = layout.Counters },
    .{ .name = "RowSlot", .type = layout.RowSlot },
    .{ .name = "Version", .type = layout.Version },
    .{ .name = "Entry", .type = layout.Entry },
    .{ .name = "Index", .type = layout.Index },
    .{ .name = "Table", .type = layout.Table },
};

/// Structs that calls take or give.
const passed_layouts = [_]manifest.Named{
    .{ .name = "CreateOptions", .type = segment_files.CreateOptions },
    .{ .name = "SessionOpened", .type = registry.SessionOpened },
    .{ .name = "IoResult", .type = io.Result },
    .{ .name = "IoBlock", .type = io.Block },
    .{ .name = "Stats", .type = stats.Stats },
    .{ .name = "SessionStats", .type = stats.SessionStats },
    .{ .name = "RecoveryReport", .type = recovery.Report },
    .{ .name = "LogCutReport", .type = log_cut.Report },
    .{ .name = "CheckProblem", .type = check.Problem },
    .{ .name = "CheckReport", .type = check.Report },
    .{ .name = "CatalogEntry", .type = catalog.Entry },
    .{ .name = "SchemaHeader", .type = schema.SchemaHeader },
    .{ .name = "ColumnRecord", .type = schema.ColumnRecord },
    .{ .name = "IndexRecord", .type = schema.IndexRecord },
    .{ .name = "RecordHead", .type = record.Head },
    .{ .name = "SearchPlan", .type = search_plan.Header },
    .{ .name = "SearchArm", .type = search_plan.Arm },
    .{ .name = "SearchGroup", .type = search_plan.Group },
    .{ .name = "SearchSort", .type = search_plan.Sort },
    .{ .name = "SearchClause", .type = search_plan.Clause },
    .{ .name = "SearchGuard", .type = search_plan.Guard },
    .{ .name = "SearchAfter", .type = search_plan.After },
    .{ .name = "SearchGroupKey", .type = search_plan.GroupKey },
    .{ .name = "SearchSelect", .type = search_plan.Select },
    .{ .name = "SearchOperand", .type = search_plan.Operand },
    .{ .name = "IngestPlan", .type = ingest_plan.PlanHeader },
    .{ .name = "IngestName", .type = ingest_plan.NameRecord },
    .{ .name = "IngestLabel", .type = ingest_plan.LabelRecord },
    .{ .name = "IngestText", .type = ingest_plan.TextRecord },
    .{ .name = "NewestGroup", .type = write.NewestGroup },
    .{ .name = "IngestResult", .type = ingest_parser.Result },
    .{ .name = "IngestReject", .type = ingest_reject.Reject },
    .{ .name = "ChangeCommit", .type = changes.CommitHead },
    .{ .name = "ChangeWrite", .type = changes.WriteHead },
};

pub const layouts = shared_layouts ++ passed_layouts;

pub const enums = [_]manifest.Named{
    .{ .name = "Status", .type = status.Status },
    .{ .name = "ColumnKind", .type = schema.Kind },
    .{ .name = "IndexKind", .type = schema.IndexKind },
    .{ .name = "WriteOp", .type = write.Op },
    .{ .name = "OutcomeState", .type = layout.OutcomeState },
    .{ .name = "ConflictCause", .type = context.Cause },
    .{ .name = "PageKind", .type = classes.PageKind },
    .{ .name = "Setting", .type = settings.Setting },
    .{ .name = "CheckPhase", .type = check.Phase },
    .{ .name = "ProblemKind", .type = check.ProblemKind },
    .{ .name = "RecoveryPhase", .type = recovery.Phase },
    .{ .name = "LogFault", .type = wal_reader.Fault.Reason },
    .{ .name = "CheckpointFault", .type = checkpoint_load.Fault.Reason },
    .{ .name = "SearchOperator", .type = search_plan.Operator },
    .{ .name = "SearchArmKind", .type = search_plan.ArmKind },
    .{ .name = "SearchGroupKeyKind", .type = search_plan.GroupKeyKind },
    .{ .name = "SearchFunction", .type = search_plan.Function },
    .{ .name = "SearchPosition", .type = search_plan.Position },
    .{ .name = "IngestFormat", .type = ingest_plan.Format },
    .{ .name = "IngestTimeUnit", .type = ingest_plan.TimeUnit },
    .{ .name = "IngestStop", .type = ingest_parser.Stop },
    .{ .name = "IngestFault", .type = ingest_reject.Reason },
    .{ .name = "ChangeValues", .type = changes.Values },
    .{ .name = "ChangeOp", .type = changes.Op },
    .{ .name = "PositionReason", .type = position.Reason },
};

pub const constants = [_]manifest.Group{
    .{
        .name = "limits",
        .values = manifest.valuesOf(.{
            .segment_size_min = limits.segment_size_min,
            .segment_size_max = limits.segment_size_max,
            .extent_size = limits.extent_size,
            .page_size = limits.page_size,
            .session_count_min = limits.session_count_min,
            .session_count_max = limits.session_count_max,
            .session_count_default = limits.session_count_default,
            .cell_count_default = limits.cell_count_default,
            .cells_per_session_min = limits.cells_per_session_min,
            // Besides the key.
            .column_count_max = schema.columns_max - 1,
            .index_count_max = schema.indexes_max,
            .image_size_max = schema.image_size_max,
            .null_mask_size = schema.null_mask_size,
            .text_limit_max = schema.text_limit_max,
            .key_limit_max = schema.key_limit_max,
            .label_count_max = schema.labels_max,
            .scale_max = schema.scale_max,
            .index_column_count_max = schema.index_columns_max,
            .name_size_max = schema.name_size_max,
            .wait_ms_max = limits.wait_ms_max,
        }),
    },
    .{
        .name = "segmentFormat",
        .values = manifest.valuesOf(.{
            .magic = layout.magic,
            .version = layout.format_version,
            .cell_size = geometry.cell_size,
            .latch_size = geometry.latch_size,
            .outcome_size = @sizeOf(layout.Outcome),
            .catalog_slot_size = geometry.catalog_slot_size,
            .page_entry_size = geometry.page_entry_size,
            .extent_entry_size = geometry.extent_entry_size,
            .depot_cell_size = geometry.depot_cell_size,
            // Bits of a commit number below its epoch.
            .csn_bits = layout.csn_bits,
        }),
    },
    .{ .name = "schemaFormat", .values = manifest.valuesOf(.{
        .magic = schema.header_magic,
        .version = schema.header_version,
        .flag_primary_key = schema.flag_primary_key,
        .flag_nullable = schema.flag_nullable,
        .index_flag_unique = schema.index_flag_unique,
    }) },
    .{ .name = "searchFormat", .values = manifest.valuesOf(.{
        .magic = search_plan.magic,
        .version = search_plan.version,
        .size_max = search_plan.size_max,
        .arm_count_max = search_plan.arms_max,
        .group_count_max = search_plan.groups_max,
        .group_key_count_max = search_plan.group_keys_max,
        .select_count_max = search_plan.selects_max,
        .group_words_max = group.Groups.words_max,
        .guard_count_max = search_plan.guards_max,
        .pattern_size_max = search_plan.pattern_size_max,
        .flag_count_only = search_plan.flag_count_only,
        .flag_walk = search_plan.flag_walk,
        .flag_key_descending = search_plan.flag_key_descending,
        .flag_project_key = search_plan.flag_project_key,
        .flag_measured = search_plan.flag_measured,
        .sort_descending = search_plan.sort_descending,
        .after_descending = search_plan.after_descending,
        .after_null = search_plan.after_null,
        .clause_has_low = search_plan.clause_has_low,
        .clause_has_high = search_plan.clause_has_high,
        .clause_low_inclusive = search_plan.clause_low_inclusive,
        .clause_high_inclusive = search_plan.clause_high_inclusive,
        .clause_fold = search_plan.clause_fold,
    }) },
    .{ .name = "ingestFormat", .values = manifest.valuesOf(.{
        .magic = ingest_plan.magic,
        .version = ingest_plan.version,
        .line_size_max = ingest_plan.line_size_limit,
        .position_ignored = ingest_plan.position_ignored,
        .position_size = @sizeOf(u16),
        .field_none = ingest_reject.field_none,
        .flag_escapes = ingest_plan.flag_escapes,
        .flag_refuse_unknown = ingest_plan.flag_refuse_unknown,
        .flag_stop_at_reject = ingest_plan.flag_stop_at_reject,
        .flag_decimal_comma = ingest_plan.flag_decimal_comma,
        .flag_round = ingest_plan.flag_round,
        .flag_ignore_extra = ingest_plan.flag_ignore_extra,
        .flag_empty_null = ingest_plan.flag_empty_null,
    }) },
    .{ .name = "keyFormat", .values = manifest.valuesOf(.{
        .word_size = @sizeOf(u64),
        .text_length_size = key.text_length_size,
        .sign_bit_high = key.sign_bit >> 32,
        .null_word_high = key.null_word >> 32,
        .null_first_word = key.null_first_word,
    }) },
    .{ .name = "callFlags", .values = manifest.valuesOf(.{
        .begin_read_only = transactions.begin_read_only,
        .begin_retry = transactions.begin_retry,
        .recovery_distrust_cache = recovery.flag_distrust_cache,
    }) },
    .{ .name = "settingMin", .values = manifest.valuesByName(settings.Setting, settings.minOf) },
    .{ .name = "settingMax", .values = manifest.valuesByName(settings.Setting, settings.maxOf) },
};
