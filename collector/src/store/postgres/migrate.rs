//! Brings the schema up to date, safely even if several collectors start at once.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::citus;
use super::connect::BEGIN;
use super::error::Failure;
use super::partition::{Table, exists};
use super::readers::{self, VIEWED};
use super::unpacked::unpack_all;
use crate::store::port::schema::Migrated;

/// The migrations from each version to the next. Never changed once released.
const MIGRATIONS: [&str; 32] = [
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
    include_str!("citus.sql"),
    include_str!("strays.sql"),
    include_str!("tags.sql"),
    include_str!("accounts.sql"),
    include_str!("alerts.sql"),
    include_str!("alert_columns.sql"),
    include_str!("alert_keepers.sql"),
    include_str!("talkers.sql"),
    include_str!("client_days.sql"),
    include_str!("talkers_time.sql"),
    include_str!("talkers_alike.sql"),
    include_str!("talkers_alike_view.sql"),
    include_str!("hot.sql"),
    include_str!("packed.sql"),
    include_str!("hot_mixes.sql"),
    include_str!("packed_mixes.sql"),
    include_str!("checksums.sql"),
];

/// Version of the newest schema.
const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Versions of the schema since which samples are packed, and since which mixes are.
const PACKED: [i64; 2] = [29, 31];

/// Key of the advisory lock: "NMON".
const LOCK: i64 = 0x4e4d_4f4e;

/// Creates the tables of a new database or migrates those of an older one, all or nothing. On Citus,
/// also distributes the fact tables, into `shards` if given: always in a new database, in an older one
/// only if asked.
pub(super) async fn migrate(
    client: &Client,
    shards: Option<u32>,
    distribute: bool,
) -> Result<Migrated, Failure> {
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
    if from < SCHEMA_VERSION {
        client.batch_execute(citus::ONE_CONNECTION).await?;
    }
    for (next, migration) in (1..).zip(MIGRATIONS).skip_while(|(next, _)| *next <= from) {
        client.batch_execute(migration).await?;
        let note = "INSERT INTO netmon_schema VALUES ($1)";
        client.execute_typed(note, &[(&next, Type::INT8)]).await?;
    }
    for (viewed, since) in VIEWED.into_iter().zip(PACKED) {
        if (1..since).contains(&from) {
            readers::keep(client, viewed).await?;
        }
    }
    let mut distributed = citus::undistributed(client, shards).await?;
    if let Some(to_be) = &distributed {
        let distribute = distribute || from == 0;
        let spread = distribute && to_be.tables.contains(&Table::Packed.name());
        let [samples, mixes] = PACKED;
        if spread && from >= samples {
            unpack_all(client).await?;
        }
        if spread || from < mixes {
            client.batch_execute(include_str!("packed_citus.sql")).await?;
        }
        let tables = if distribute { &to_be.tables[..] } else { &[] };
        for table in tables {
            citus::distribute(client, table, to_be.shards).await?;
        }
    }
    client.batch_execute("COMMIT").await?;
    // A starting collector waits for no node.
    if let Some(done) = distributed.as_mut().filter(|_| distribute) {
        done.warnings = citus::warnings(client, done.shards, done.nodes).await?;
    }
    Ok(Migrated { from, to: SCHEMA_VERSION, distributed })
}

/// The plan of [`migrate`].
pub(super) async fn plan(client: &Client, shards: Option<u32>) -> Result<Migrated, Failure> {
    let from = version(client).await?;
    let mut distributed = citus::undistributed(client, shards).await?;
    if let Some(to_be) = &mut distributed {
        to_be.warnings = citus::warnings(client, to_be.shards, to_be.nodes).await?;
    }
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
        return Err(Failure::failed(format!(
            "a newer collector has changed the schema (version {found}, this one knows \
             {SCHEMA_VERSION}); start the newer one"
        )));
    }
    Ok(found)
}

/// Fails unless the schema is the newest, for readers that may change nothing.
pub(super) async fn must_be_current(client: &Client) -> Result<(), Failure> {
    let version = version(client).await?;
    if version == SCHEMA_VERSION {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "the schema has version {version}, this collector needs {SCHEMA_VERSION}; run \
         `collector migrate`, or start the collector once"
    )))
}
