//! Bringing the schema up to date; safe when several collectors start at once.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connect::BEGIN;
use super::error::Failure;
use super::partition::{Table, exists};
use crate::store::port::schema::Migrated;

/// What brings a database from one version to the next. Never changed once released.
const MIGRATIONS: [&str; 15] = [
    concat!(include_str!("schema.sql"), include_str!("views.sql")),
    include_str!("percentile.sql"),
    include_str!("links.sql"),
    include_str!("clock.sql"),
    include_str!("forgotten.sql"),
    include_str!("digests.sql"),
    include_str!("revocations.sql"),
    include_str!("misdated.sql"),
    include_str!("wide.sql"),
    include_str!("nics.sql"),
    include_str!("tokens.sql"),
    include_str!("enrolled.sql"),
    include_str!("quarantine.sql"),
    include_str!("sign_outs.sql"),
    include_str!("claims.sql"),
];

/// Version of the newest schema.
const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Key of the advisory lock: "NMON".
const LOCK: i64 = 0x4e4d_4f4e;

/// Makes the tables of a new database and changes those of an older one, all or nothing. Where
/// Citus is, it distributes the fact tables: of a new database, and of an older one if asked to.
pub(super) async fn migrate(client: &Client, distribute: bool) -> Result<Migrated, Failure> {
    client
        .batch_execute(&format!(
            "{BEGIN}; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;
             SELECT pg_advisory_xact_lock({LOCK})"
        ))
        .await?;
    let from = version(client).await?;
    if from == 0 {
        client.batch_execute("CREATE TABLE netmon_schema (version bigint NOT NULL)").await?;
    }
    for (next, migration) in (1..).zip(MIGRATIONS).skip_while(|(next, _)| *next <= from) {
        client.batch_execute(migration).await?;
        let note = "INSERT INTO netmon_schema VALUES ($1)";
        client.execute_typed(note, &[(&next, Type::INT8)]).await?;
    }
    let local = undistributed(client).await?;
    if distribute || from == 0 {
        for table in local.iter().flatten() {
            distribute_table(client, table).await?;
        }
    }
    client.batch_execute("COMMIT").await?;
    Ok(Migrated { from, to: SCHEMA_VERSION, distributed: local })
}

/// What [`migrate`] would do.
pub(super) async fn plan(client: &Client) -> Result<Migrated, Failure> {
    let from = version(client).await?;
    let distributed = undistributed(client).await?;
    Ok(Migrated { from, to: SCHEMA_VERSION, distributed })
}

/// Version of the schema, 0 if there is none.
pub(super) async fn version(client: &Client) -> Result<i64, Failure> {
    if !exists(client, "netmon_schema").await? {
        return Ok(0);
    }
    let version = "SELECT coalesce(max(version), 0) FROM netmon_schema";
    let found: i64 = client.query_typed_one(version, &[]).await?.try_get(0)?;
    if found > SCHEMA_VERSION {
        return Err(Failure::Failed(format!(
            "a newer collector has changed the schema (version {found}, this one knows \
             {SCHEMA_VERSION}); start the newer one"
        )));
    }
    Ok(found)
}

/// Fails unless the schema is the newest: for those who may change nothing.
pub(super) async fn must_be_current(client: &Client) -> Result<(), Failure> {
    let version = version(client).await?;
    if version == SCHEMA_VERSION {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "the schema is of version {version}, this collector needs {SCHEMA_VERSION}; run \
         `collector migrate`, or start the collector once"
    )))
}

/// The fact tables that Citus doesn't distribute yet. `None` without Citus.
async fn undistributed(client: &Client) -> Result<Option<Vec<&'static str>>, Failure> {
    if !exists(client, "pg_dist_partition").await? {
        return Ok(None);
    }
    let select = "SELECT logicalrel::text FROM pg_dist_partition";
    let mut done: Vec<String> = Vec::new();
    for row in client.query_typed(select, &[]).await? {
        done.push(row.try_get(0)?);
    }
    let tables = Table::ALL.map(Table::name).into_iter();
    Ok(Some(tables.filter(|table| !done.iter().any(|it| it == table)).collect()))
}

/// Distributes a table by client. The first one decides how many shards there are and where; the
/// others lie beside it, so that what belongs to a client is on one node.
async fn distribute_table(client: &Client, table: &str) -> Result<(), Failure> {
    let first = Table::ALL[0].name();
    let beside = if table == first { "none" } else { first };
    let distribute =
        "SELECT create_distributed_table(to_regclass($1), 'client', colocate_with => $2)";
    client.query_typed(distribute, &[(&table, Type::TEXT), (&beside, Type::TEXT)]).await?;
    Ok(())
}
