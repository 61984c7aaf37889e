//! Settings of each connection, whatever role, database and server have set, and settings that are
//! refused.

use std::sync::Once;
use std::time::Duration;

use settings::InFull;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::error::Failure;

/// Settings that roles and databases may have changed, with the values that the collector's statements
/// need. Callers limit the time of statements outside transactions themselves.
const SESSION: &str = "
    SET statement_timeout = 0; SET standard_conforming_strings = on; SET TimeZone = 'UTC';
    SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET default_transaction_isolation = 'read committed';
    SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;
    SET row_security = on; SET transform_null_equals = off";

/// How soon a server notices during a statement that its client is gone.
pub(super) const NOTICED: Duration = Duration::from_millis(500);

/// The encoding, and the schema of the tables: where they are visible now, which a schema added later
/// to the path must not change; otherwise where the role creates tables.
const PLACE: &str = "
    SELECT current_setting('server_encoding'), coalesce(
        (SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE relname = 'netmon_schema' AND pg_table_is_visible(pg_class.oid)),
        current_schema())::text";

/// Fixes the settings of a new connection, and refuses a database that can't hold every name.
pub(super) async fn pin(client: &Client) -> Result<(), Failure> {
    client.batch_execute(SESSION).await?;
    // Servers on some systems can't do this (PostgreSQL on Windows): their statements run to the end.
    let check = format!("SET client_connection_check_interval = {}", NOTICED.as_millis());
    if let Err(error) = client.batch_execute(&check).await {
        tracing::debug!(error = %error.in_full(), "the server can't cancel statements of clients that are gone");
    }
    let place = client.query_typed_one(PLACE, &[]).await?;
    match place.try_get(0)? {
        "UTF8" => {}
        "SQL_ASCII" => warn_of_sql_ascii(),
        other => return Err(Failure::failed(other_encoding(other))),
    }
    let schema = place.try_get::<_, Option<&str>>(1)?;
    let schema = schema.ok_or_else(|| Failure::failed(NOWHERE))?;
    let set = "SELECT set_config('search_path', quote_ident($1), false)";
    client.query_typed(set, &[(&schema, Type::TEXT)]).await?;
    Ok(())
}

const NOWHERE: &str = "there is no schema to make tables in; give the role one: ALTER ROLE ... SET \
                       search_path = public";

fn other_encoding(encoding: &str) -> String {
    format!(
        "the database's encoding is {encoding}, which can't hold every name of a host or NIC; create \
         one with createdb -E UTF8 -T template0, and set database.url or database.name to it"
    )
}

fn warn_of_sql_ascii() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            "the database's encoding is SQL_ASCII: names are stored as UTF-8, and readers \
             must decode them so; better use createdb -E UTF8 -T template0"
        );
    });
}
