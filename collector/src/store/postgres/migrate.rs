//! Bringing the schema up to date; safe when several collectors start at once.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connect::TIMEOUTS;
use super::error::Failure;
use super::partition::exists;

/// What brings a database from one version to the next. Never changed once released.
const MIGRATIONS: [&str; 2] =
    [concat!(include_str!("schema.sql"), include_str!("views.sql")), include_str!("links.sql")];

/// Version of the newest schema.
const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Key of the advisory lock: "NMON".
const LOCK: i64 = 0x4e4d_4f4e;

/// Makes the tables of a new database and changes those of an older one, all or nothing.
pub(super) async fn migrate(client: &Client) -> Result<(), Failure> {
    client
        .batch_execute(&format!(
            "BEGIN; {TIMEOUTS}; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;
             SELECT pg_advisory_xact_lock({LOCK})"
        ))
        .await?;
    if !exists(client, "netmon_schema").await? {
        client.batch_execute("CREATE TABLE netmon_schema (version bigint NOT NULL)").await?;
    }
    let version = "SELECT coalesce(max(version), 0) FROM netmon_schema";
    let found: i64 = client.query_typed_one(version, &[]).await?.try_get(0)?;
    if found > SCHEMA_VERSION {
        return Err(Failure::Failed(format!(
            "a newer collector has changed the schema (version {found}, this one knows \
             {SCHEMA_VERSION}); start the newer one"
        )));
    }
    for (next, migration) in (1..).zip(MIGRATIONS).skip_while(|(next, _)| *next <= found) {
        client.batch_execute(migration).await?;
        let note = "INSERT INTO netmon_schema VALUES ($1)";
        client.execute_typed(note, &[(&next, Type::INT8)]).await?;
    }
    client.batch_execute("COMMIT").await?;
    Ok(())
}
