//! How a call across the boundary ends: the codes, and the error that each stands for.

/// How a call ended. Numbers are for ever: append, never renumber.
pub const Status = enum(i32) {
    ok = 0,
    /// The caller passed what its own checks should have stopped: a bug in `src/`.
    invalid_argument = -1,
    /// The out-buffer is too small; nothing was written but the size needed.
    buffer_too_small = -2,
    io_error = -3,
    serialization_failure = -10,
    duplicate_key = -11,
    unknown_table = -12,
    unknown_field = -13,
    invalid_value = -14,
    parse_error = -15,
    segment_full = -16,
    snapshot_too_old = -17,
    lock_timeout = -18,
    schema_mismatch = -19,
    layout_mismatch = -20,
    wal_corrupt = -21,
    checkpoint_corrupt = -22,
    segment_corrupt = -23,
    log_poisoned = -24,
    too_many_sessions = -25,
    permission = -26,
    closed = -27,
    /// Call again: what was waited for has not come yet.
    busy = -28,
    not_found = -29,
    /// The disk is full; what was to be logged is not.
    no_space = -30,
    transaction_too_large = -31,
    /// An insert without a column that has neither default nor null.
    missing_value = -32,
    /// A file, lock or mapping is not what it must be: a directory, a symbolic link.
    not_regular = -33,
    exists = -34,
    /// The plan was made for another number of rows: plan again.
    plan_stale = -35,
    /// The log file was removed, renamed or replaced under its writer.
    log_removed = -36,
    too_many_tables = -37,
    /// What followed on a position of the log is not known any more, or never was in this history.
    position_lost = -38,
    /// What the log has of a change does not stand alone, and the row before it is gone.
    values_lost = -39,
    /// No CSN or no epoch of the log is left.
    numbers_used_up = -40,
};

/// Every error that a call across the boundary can end with. One that is new does not compile
/// before it has a status here.
pub const Error = error{
    BufferTooSmall,
    Busy,
    CheckpointCorrupt,
    Conflict,
    DuplicateKey,
    Exists,
    InvalidArgument,
    InvalidPlan,
    InvalidSchema,
    IoError,
    LayoutMismatch,
    LogFull,
    LogPoisoned,
    LogRemoved,
    MissingValue,
    NoSpace,
    NotFound,
    NotRegular,
    NumbersUsedUp,
    OutOfMemory,
    Permission,
    PlanStale,
    Poisoned,
    PositionLost,
    Removed,
    SchemaMismatch,
    SegmentCorrupt,
    SegmentFull,
    SnapshotTooOld,
    TooManySessions,
    TooManyTables,
    TransactionTooLarge,
    UnknownTable,
    ValuesLost,
    WalCorrupt,
};

pub fn statusOf(err: Error) Status {
    return switch (err) {
        error.Conflict => .serialization_failure,
        error.DuplicateKey => .duplicate_key,
        error.UnknownTable => .unknown_table,
        error.MissingValue => .missing_value,
        error.SegmentFull, error.OutOfMemory => .segment_full,
        error.TooManyTables => .too_many_tables,
        error.SegmentCorrupt => .segment_corrupt,
        error.SnapshotTooOld => .snapshot_too_old,
        error.TransactionTooLarge => .transaction_too_large,
        error.LogPoisoned, error.Poisoned => .log_poisoned,
        error.PositionLost => .position_lost,
        error.ValuesLost => .values_lost,
        error.LogRemoved, error.Removed => .log_removed,
        error.NumbersUsedUp => .numbers_used_up,
        error.LogFull, error.Busy => .busy,
        error.NoSpace => .no_space,
        error.TooManySessions => .too_many_sessions,
        error.LayoutMismatch => .layout_mismatch,
        error.SchemaMismatch => .schema_mismatch,
        error.Permission => .permission,
        error.NotFound => .not_found,
        error.NotRegular => .not_regular,
        error.Exists => .exists,
        error.BufferTooSmall => .buffer_too_small,
        error.InvalidPlan => .parse_error,
        error.PlanStale => .plan_stale,
        error.InvalidSchema, error.InvalidArgument => .invalid_argument,
        error.WalCorrupt => .wal_corrupt,
        error.CheckpointCorrupt => .checkpoint_corrupt,
        error.IoError => .io_error,
    };
}
