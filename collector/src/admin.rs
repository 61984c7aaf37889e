//! Operators' commands beside a running collector: tokens, clients, revocation, checks.

mod bill;
mod certificates;
mod error;
mod shared;
mod silences;
mod tags;
mod token;

use std::convert::Infallible;
use std::fmt::Write;
use std::path::Path;

use crossbeam_channel::Receiver;
use rustls::pki_types::UnixTime;
use settings::{Foreign, Output};
use wire::WallNs;
use wire::id::ClientId;

pub use self::bill::bill;
pub use self::certificates::{revoke, roll_ca};
pub use self::error::AdminError;
use self::shared::{audited, block_on, client_records, has_id, utc};
pub use self::silences::silence;
pub use self::tags::tag;
pub use self::token::{Made, cancel, token, tokens};
use crate::audit::{AuditEvent, AuditRecord};
use crate::backup::{self, BackupError};
use crate::config::Config;
use crate::export::{self, ExportRequest, Exported};
use crate::identity::KnownClient;
use crate::import;
use crate::run::identity_dir;
use crate::sql::{self, AskError};
use crate::store::postgres::PostgresConfig;
use crate::store::sqlite::BackupState;
use crate::store::{Client, Distributed, Migrated, NicCheck, Registered, SecondHostRecord, Sums};
use crate::store_location::{StoreLocation, StoreLocationError};
use crate::time::{now_ns, rough};

/// Copies the embedded store into a new file, and shows people at a terminal how far it is. Gives
/// what was done.
///
/// # Errors
/// [`AdminError`] says why there is no backup.
pub fn backup(
    config: &Config,
    location: &StoreLocation,
    file: &Path,
    stop: &Receiver<Infallible>,
) -> Result<String, AdminError> {
    let store = match location {
        StoreLocation::Sqlite(store) => store,
        StoreLocation::Postgres(postgres) => {
            let (file, database) = (file.display().to_string(), postgres.location().to_owned());
            return Err(BackupError::Server { file, database }.into());
        }
    };
    let least = config.limits.disk_free_min;
    let done = backup::backup(store, file, least, stop, |state| settings::progress(&told(state)));
    settings::progress("");
    let done = done?;
    Ok(format!(
        "{}: {}, schema {}, checked; keep a copy of {} too, which has the CA's key",
        file.display(),
        mebibytes(done.bytes),
        done.schema,
        identity_dir(&config.data_dir).display()
    ))
}

fn told(state: BackupState) -> String {
    match state {
        BackupState::Copied(done, all) => {
            let percent = done.saturating_mul(100) / all.max(1);
            format!("{percent} % of {} copied", mebibytes(all))
        }
        BackupState::Checking => "copied; checking the copy".to_owned(),
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// Lists all clients: id, alias, time last seen, and expiry of the certificate.
///
/// # Errors
/// [`AdminError`] names the unreadable file.
pub fn clients(config: &Config, location: &StoreLocation) -> Result<String, AdminError> {
    let (seen, registered, second_hosts) = block_on::<_, StoreLocationError>(async {
        if !location.is_used().await? {
            return Ok((vec![], vec![], vec![]));
        }
        let store = location.open_to_read()?;
        let registered = store.registered().await?;
        Ok((store.clients().await?, registered, store.second_hosts().await?))
    })?;
    let mut enrolled = client_records(config).list()?;
    // Until it gets a certificate again.
    enrolled
        .retain(|known| !known.certificates.is_empty() || !forgotten(&registered, &known.client));
    let mut ids: Vec<&str> = seen.iter().map(|it| it.client.as_str()).collect();
    ids.extend(enrolled.iter().map(|it| it.client.as_str()));
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(
            "no client yet; enrol one: collector token, and on the host: agent enroll TOKEN".into(),
        );
    }
    let mut table = format!(
        "{:30} {:20} {:14} {:25} {:25} {}\n",
        "client", "alias", "state", "last seen (UTC)", "certificate until (UTC)", "NICs"
    );
    let now_ns = now_ns();
    for id in ids {
        let stored = seen.iter().find(|it| it.client == id);
        let known = enrolled.iter().find(|it| it.client == id);
        let until = known.and_then(|it| it.certificates.last()).map(|it| utc(it.not_after));
        let revoked = known.and_then(|it| it.revoked_at);
        let certificate = match (until, revoked) {
            (Some(until), _) => until,
            (None, Some(_)) => "revoked".to_owned(),
            (None, None) => "-".to_owned(),
        };
        let last = stored.map_or_else(|| "-".to_owned(), |it| utc(it.last_seen_ns / 1_000_000_000));
        let alias = Foreign(stored.map_or("", |it| it.alias.as_str()));
        let state = stored.map_or_else(|| "-".to_owned(), |it| state(it, now_ns));
        // Writing to a String can't fail.
        let _ = writeln!(
            table,
            "{id:30} {alias:20} {state:14} {last:25} {certificate:25} {}",
            nics(stored)
        );
    }
    for client in &seen {
        if let Some(apart) = client.clock_apart() {
            let id = &client.client;
            // Writing to a String can't fail.
            let _ = writeln!(
                table,
                "{id}: its clock is {apart} the collector's, more than a sample; set both right"
            );
        }
    }
    for KnownClient { client, damaged, .. } in enrolled {
        for damaged in damaged {
            // Writing to a String can't fail.
            let _ = writeln!(table, "{client}: {damaged}");
        }
    }
    let current = second_hosts
        .iter()
        .filter(|it| it.is_current(now_ns) && !forgotten(&registered, &it.client));
    for SecondHostRecord { client, since_ns, told_ns, kept, refused, what } in current {
        let [since, told] = [since_ns, told_ns].map(|it| utc(*it / 1_000_000_000));
        let replace = format!("collector token --client {client} --replace");
        // Writing to a String can't fail.
        let _ = writeln!(
            table,
            "{client}: two hosts have its certificate since {since}: {kept} stays connected, \
             {refused} was refused ({what}), last recorded {told}; give the second a client.id and a \
             token of its own, or let it take over: {replace}"
        );
    }
    Ok(table.trim_end().to_owned())
}

fn forgotten(registered: &[Registered], client: &str) -> bool {
    registered.iter().any(|it| it.client == client && it.forgotten_ns.is_some())
}

/// Removes a client from all lists and revokes its certificates. First asks `confirm`, which returns
/// `None` if nobody can be asked. With `rows`, also deletes its rows. Returns a text about the result.
///
/// # Errors
/// [`AdminError::NoSuchClient`] if neither the store nor the identity knows it.
pub fn forget(
    config: &Config,
    location: &StoreLocation,
    client: &ClientId,
    rows: bool,
    confirm: impl FnOnce(&str) -> Option<bool>,
) -> Result<String, AdminError> {
    let now = UnixTime::now();
    let records = client_records(config);
    let (registered, has_id) = block_on::<_, StoreLocationError>(async {
        let used = location.is_used().await?;
        let registered = if used { location.open_to_read()?.registered().await? } else { vec![] };
        Ok((registered, has_id(location, client).await?))
    })?;
    let stored = registered.iter().find(|it| it.client == client.as_str());
    let enrolled = records.list()?.into_iter().find(|it| it.client == client.as_str());
    let known = match (stored.map(|it| it.forgotten_ns), enrolled) {
        (Some(None), _) | (None, Some(_)) => true,
        // Its rows may still exist, or it has got a certificate since.
        (Some(Some(_)), enrolled) => rows || enrolled.is_some_and(|it| !it.certificates.is_empty()),
        (None, None) => false,
    };
    // It may have enrolled at another collector of this store without ever connecting.
    if !known && !has_id {
        return Err(AdminError::NoSuchClient(client.clone()));
    }
    let seen = stored.map_or_else(String::new, |it| {
        format!(", last seen {}", utc(it.last_seen_ns / 1_000_000_000))
    });
    let kept = if rows { "all of its rows are deleted" } else { "its rows stay until they expire" };
    let plan = format!("{client}{seen}: revoke its certificate, end its series, {kept}");
    match confirm(&plan) {
        Some(true) => {}
        Some(false) => return Ok(format!("{client} is unchanged")),
        None => return Err(AdminError::Unconfirmed(client.clone())),
    }
    records.on_forgotten(client, now)?;
    let deleted = block_on::<_, StoreLocationError>(async {
        if !location.is_used().await? {
            return Ok(0);
        }
        let store = location.open_to_forget()?;
        let now_ns = now.as_secs().saturating_mul(1_000_000_000);
        store.forget(client, WallNs(now_ns)).await?;
        Ok(if rows { store.purge(client).await? } else { 0 })
    })?;
    let kept = if rows { format!("{deleted} rows are deleted") } else { kept.to_owned() };
    let done = format!(
        "{client} is forgotten, its certificate revoked, {kept}; running collectors stop showing \
         it within 10 s. To let it in again: collector token --client {client}"
    );
    let record =
        AuditRecord { detail: Some(kept), ..AuditRecord::of(AuditEvent::ClientForgotten, client) };
    audited(config, record, done)
}

/// Whether a client is up, by its last sign of life at any collector.
fn state(client: &Client, now_ns: WallNs) -> String {
    client.down_for(now_ns).map_or_else(|| "up".to_owned(), |down| format!("down {}", rough(down)))
}

fn nics(client: Option<&Client>) -> String {
    let nics = client.into_iter().flat_map(|client| &client.nics);
    nics.map(|nic| Foreign(&nic.name.to_string()).to_string()).collect::<Vec<_>>().join(" ")
}

/// Updates the store's schema, or reports what would be done.
///
/// # Errors
/// [`AdminError::Outdated`] if `check_only` is set and an update is needed.
pub fn migrate(
    location: &StoreLocation,
    check_only: bool,
    mut say: impl FnMut(&str),
) -> Result<(), AdminError> {
    let Migrated { from, to, distributed } = block_on(location.migrate(check_only))?;
    let done = if check_only { "to be brought" } else { "brought" };
    match from {
        0 => say(&format!("{location}: {done} from nothing to schema {to}")),
        from if from == to => say(&format!("{location}: schema {to}, the newest")),
        from => say(&format!("{location}: {done} from schema {from} to {to}")),
    }
    let mut idle = from == to;
    if let Some(Distributed { tables, shards, nodes, warnings }) = &distributed {
        if !tables.is_empty() {
            idle = false;
            let tables = tables.join(", ");
            say(&format!(
                "{location}: Citus, tables {done} to its nodes, by client, in {shards} shards on \
                 {nodes} nodes (database.citus.shards): {tables}"
            ));
        }
        for warning in warnings {
            say(&format!("{location}: Citus, {shards} shards on {nodes} nodes: {warning}"));
        }
    }
    if check_only && !idle { Err(AdminError::Outdated) } else { Ok(()) }
}

/// Writes a client's rows.
///
/// # Errors
/// [`AdminError`] names what is missing or can't be written.
pub fn export(
    location: &StoreLocation,
    request: &ExportRequest,
    file: Option<&Path>,
    out: &mut Output,
) -> Result<Exported, AdminError> {
    let store = location.open_to_read().map_err(StoreLocationError::from)?;
    block_on(export::export(store.as_ref(), request, file, out))
}

/// Asks the embedded store in SQL.
///
/// # Errors
/// [`AdminError`] says why there is no answer.
pub fn sql(location: &StoreLocation, query: &str, out: &mut Output) -> Result<(), AdminError> {
    match location {
        StoreLocation::Sqlite(path) => sql::ask(path, query, out)?,
        StoreLocation::Postgres(_) => return Err(AskError::Server(location.to_string()).into()),
    }
    Ok(())
}

/// Moves an embedded store into PostgreSQL.
///
/// # Errors
/// [`AdminError`] gives the obstacle.
pub fn import(
    config: &PostgresConfig,
    file: &Path,
    say: impl FnMut(&str),
) -> Result<(), AdminError> {
    block_on(import::import(config, file, say))
}

/// Proves, without changes, that the store holds everything that agents counted, exactly once.
///
/// # Errors
/// [`AdminError::Unsound`] if it doesn't; `say` has received the findings.
pub fn fsck(location: &StoreLocation, mut say: impl FnMut(&str)) -> Result<(), AdminError> {
    let report =
        block_on::<_, StoreLocationError>(async { Ok(location.open_to_read()?.check().await?) })?;
    say(&format!("{} sessions: every sequence number once, no hole, no overlap", report.sessions));
    for nic in &report.nics {
        let NicCheck { client, nic, counted, in_gaps, uncounted, .. } = nic;
        let mut known = format!("{client} {nic}: {counted}");
        // Without gaps, or only with gaps without counts: print nothing, because zeros would be
        // figures.
        if *in_gaps != Sums::default() {
            known = format!("{known}; in gaps {in_gaps}");
        }
        if *uncounted == Sums::default() {
            say(&known);
        } else {
            say(&format!(
                "{known}; besides, during gaps without counts, by the totals, {uncounted}"
            ));
        }
    }
    if report.talkers > 0 {
        say(&format!(
            "{} lists of talkers; the samples of {} are all there to compare",
            report.talkers, report.talkers_compared
        ));
    }
    if report.days > 0 {
        say(&format!("{} packed days of clients, compared with their rows", report.days));
    }
    report.findings.iter().for_each(|finding| say(finding));
    if report.readings > 1 {
        say(&format!(
            "read {} times, for the rows are on several servers and commits go on meanwhile: {} \
             findings were gone later, {} stayed",
            report.readings,
            report.fleeting,
            report.findings.len()
        ));
    }
    match report.findings.len() {
        0 => Ok(()),
        findings => Err(AdminError::Unsound(findings)),
    }
}
