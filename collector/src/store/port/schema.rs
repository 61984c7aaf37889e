//! The schema that a store keeps its tables in.

/// What a migration did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// Version of the schema before; 0 without one.
    pub from: i64,
    /// Version of the schema after.
    pub to: i64,
    /// What Citus now distributes. `None` without Citus.
    pub distributed: Option<Distributed>,
}

/// What Citus distributes by client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distributed {
    /// The tables.
    pub tables: Vec<&'static str>,
    /// Into how many shards each.
    pub shards: u32,
    /// On how many nodes.
    pub nodes: u32,
}
