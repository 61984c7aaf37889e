//! The schema that a store keeps its tables in.

/// What a migration did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// Version of the schema before; 0 without one.
    pub from: i64,
    /// Version of the schema after.
    pub to: i64,
    /// Tables that Citus now distributes by client. `None` without Citus.
    pub distributed: Option<Vec<&'static str>>,
}
