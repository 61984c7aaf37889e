//! Queries and statements for Citus, if it is installed.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::error::Failure;
use super::lease::CONNECTIONS;
use super::partition::{Table, exists};
use crate::store::port::schema::Distributed;

/// Default shards per node. Each shard adds to the cost of a commit; two shards allow half of a full
/// node to move to a new one.
const SHARDS_PER_NODE: u32 = 2;

/// In a committing transaction: keeps the connections to each node for the next commit. By default
/// Citus keeps only one and reopens the others for each commit.
pub(super) const KEEP_CONNECTIONS: &str = "SET LOCAL citus.max_cached_conns_per_worker = 20";

/// In a transaction that changes the schema: uses one connection to each node. Citus makes no function once the
/// transaction has used several. Nothing without Citus.
pub(super) const ONE_CONNECTION: &str = "SET LOCAL citus.multi_shard_modify_mode = 'sequential'";

/// True if the database has Citus.
pub(super) async fn is_there(client: &Client) -> Result<bool, Failure> {
    exists(client, "pg_dist_partition").await
}

/// The tables still to distribute, and the number of shards: `wanted`, or a default for the nodes.
/// `None` without Citus.
pub(super) async fn undistributed(
    client: &Client,
    wanted: Option<u32>,
) -> Result<Option<Distributed>, Failure> {
    if !is_there(client).await? {
        return Ok(None);
    }
    let mut done: Vec<String> = Vec::new();
    let select = "SELECT relname::text FROM pg_dist_partition JOIN pg_class ON oid = logicalrelid";
    for row in client.query_typed(select, &[]).await? {
        done.push(row.try_get(0)?);
    }
    let tables = Table::ALL.map(Table::name).into_iter();
    let tables = tables.filter(|table| !done.iter().any(|it| it == table)).collect();
    let count = "SELECT count(*) FROM pg_dist_node
                 WHERE isactive AND shouldhaveshards AND noderole = 'primary'";
    let nodes: i64 = client.query_typed_one(count, &[]).await?.try_get(0)?;
    // The coordinator alone, until it has workers.
    let nodes = u32::try_from(nodes.max(1)).unwrap_or(u32::MAX);
    let count = "SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = to_regclass($1)";
    let first = Table::ALL[0].name();
    let shards: i64 = client.query_typed_one(count, &[(&first, Type::TEXT)]).await?.try_get(0)?;
    // Already distributed tables determine the number: the others are placed beside them.
    let shards = match u32::try_from(shards).unwrap_or(u32::MAX) {
        0 => wanted.unwrap_or_else(|| nodes.saturating_mul(SHARDS_PER_NODE)),
        there => there,
    };
    Ok(Some(Distributed { tables, shards, nodes, warnings: Vec::new() }))
}

/// Distributes a table by client and frees the local space of its rows. The first table decides the
/// number and places of shards; the others are placed beside it, so that a client's rows are on one
/// node.
pub(super) async fn distribute(client: &Client, table: &str, shards: u32) -> Result<(), Failure> {
    let first = Table::ALL[0].name();
    let name = [(&table as _, Type::TEXT)];
    let distribute = if table == first {
        format!(
            "SELECT create_distributed_table(to_regclass($1), 'client', colocate_with => 'none',
                 shard_count => {shards})"
        )
    } else {
        format!(
            "SELECT create_distributed_table(to_regclass($1), 'client', colocate_with => '{first}')"
        )
    };
    client.query_typed(&distribute, &name).await?;
    let truncate = "SELECT truncate_local_data_after_distributing_table(to_regclass($1))";
    client.query_typed(truncate, &name).await?;
    Ok(())
}

/// Collectors that a node must have room for: one that works, and one that takes over.
const COLLECTORS: usize = 2;

/// Sessions of a collector: those that its pool lends, and the one that commits.
const SESSIONS: usize = CONNECTIONS + 1;

/// What a node has or needs: `max_connections` except those reserved for superusers, and
/// `max_prepared_transactions`.
#[derive(Debug, Clone, Copy)]
struct Room {
    connections: usize,
    prepared: usize,
}

impl Room {
    /// Resources that a node with `shards` shards of each table needs.
    const fn needed(shards: usize, is_coordinator: bool) -> Self {
        // Each session keeps a connection to a node with shards. The session that commits opens one for
        // each shard, and so does one that reads all shards (`fsck`, retention).
        let inner = if shards > 0 { SESSIONS + 2 * shards } else { 0 };
        let outer = if is_coordinator { SESSIONS } else { 0 };
        Self { connections: COLLECTORS * (inner + outer), prepared: COLLECTORS * shards }
    }

    /// Reads the answer to [`ROOM`].
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().map(str::parse::<usize>);
        let mut next = || numbers.next()?.ok();
        let (all, reserved, prepared) = (next()?, next()?, next()?);
        Some(Self { connections: all.saturating_sub(reserved), prepared })
    }

    /// The settings of `node` that leave too little room.
    fn warnings(self, needed: Self, node: &str) -> impl Iterator<Item = String> {
        let settings = [
            ("max_connections", self.connections, needed.connections),
            ("max_prepared_transactions", self.prepared, needed.prepared),
        ];
        settings.into_iter().filter(|(_, has, needs)| has < needs).map(move |(setting, has, needs)| {
            format!(
                "{setting} of {node} leaves room for {has}, {COLLECTORS} collectors need {needs} \
                 there: raise it and restart that server"
            )
        })
    }
}

/// Asks a node for its [`Room`]. One text, because a node answers with one value.
const ROOM: &str = "concat_ws(' ', current_setting('max_connections'),
    current_setting('superuser_reserved_connections'), current_setting('max_prepared_transactions'))";

/// Nodes that have too little room for `shards` of each table on `nodes` of them, or don't answer; a
/// line each.
pub(super) async fn warnings(
    client: &Client,
    shards: u32,
    nodes: u32,
) -> Result<Vec<String>, Failure> {
    let shards = shards.div_ceil(nodes.max(1)) as usize;
    let here = format!(
        "SELECT {ROOM}, EXISTS (SELECT 1 FROM pg_dist_node WHERE groupid = 0 AND shouldhaveshards)
             OR NOT EXISTS (SELECT 1 FROM pg_dist_node WHERE shouldhaveshards)"
    );
    let row = client.query_typed_one(&here, &[]).await?;
    let has_shards: bool = row.try_get(1)?;
    let needed = Room::needed(if has_shards { shards } else { 0 }, true);
    let mut answers: Vec<(String, Room, Option<String>)> =
        vec![("the coordinator".to_owned(), needed, row.try_get(0)?)];
    let ask = "SELECT nodename || ':' || nodeport, result FROM run_command_on_workers($1)";
    let command = format!("SELECT {ROOM}");
    for row in client.query_typed(ask, &[(&command, Type::TEXT)]).await? {
        let node: &str = row.try_get(0)?;
        answers.push((format!("the node {node}"), Room::needed(shards, false), row.try_get(1)?));
    }
    let mut warnings = Vec::new();
    for (node, needed, answer) in answers {
        let answer = answer.unwrap_or_default();
        match Room::parse(&answer) {
            Some(room) => warnings.extend(room.warnings(needed, &node)),
            None => warnings.push(format!("{node} doesn't answer: {answer}")),
        }
    }
    Ok(warnings)
}

/// Nodes that lose acknowledged data in a crash (`fsync = off`). Waits for nodes that hang.
pub(super) async fn unsafe_nodes(client: &Client) -> Result<Vec<String>, Failure> {
    let ask = "SELECT nodename || ':' || nodeport, success, result
               FROM run_command_on_workers('SELECT current_setting(''fsync'')')";
    let mut nodes = Vec::new();
    for row in client.query_typed(ask, &[]).await? {
        let (node, answered, answer): (String, bool, Option<String>) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let answer = answer.unwrap_or_default();
        if !answered {
            return Err(Failure::failed(format!("the node {node} doesn't answer: {answer}")));
        }
        nodes.extend((answer == "off").then_some(node));
    }
    Ok(nodes)
}
