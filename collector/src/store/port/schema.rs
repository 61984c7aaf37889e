//! The schema of a store's tables.

/// The result of a migration, done or planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// Version of the schema before; 0 without one.
    pub from: i64,
    /// Version of the schema after.
    pub to: i64,
    /// The tables that Citus now distributes. `None` without Citus.
    pub distributed: Option<Distributed>,
}

/// Tables that Citus distributes by client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distributed {
    /// The tables.
    pub tables: Vec<&'static str>,
    /// Shards per table.
    pub shards: u32,
    /// Number of nodes.
    pub nodes: u32,
    /// Nodes without room for the connections, and the remedy; a line each.
    pub warnings: Vec<String>,
}
