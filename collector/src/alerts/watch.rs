//! What is looked at every second: where clients are, their clocks and certificates, and the collector
//! itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use wire::id::ClientId;

use super::config::AlertDirection;
use super::engine::Engine;
use super::measure::{Measure, MeasureSource};
use super::owner::{Judge, Owner};
use super::state::Value;
use crate::accounts::{AccountBook, CycleName, CycleState, warning_names};
use crate::live::{ClientStatus, Live};
use crate::time::{boot, now_ns};
use crate::writer::StoreState;

/// Interval between looks.
const EVERY: Duration = Duration::from_secs(1);

/// How long after the start clients may take to come back before they count as down: agents that lost
/// their collector try again every few seconds at first.
const GRACE: Duration = Duration::from_secs(30);

/// A look may come late on a busy host, without anything being unknown about the meantime.
const PATIENCE: Duration = Duration::from_secs(60);

/// A certificate of the collector: what it is, and when it expires, seconds since 1970 (UTC).
pub type CertificateEnd = (String, u64);

/// Where the values come from.
#[derive(Clone)]
pub struct Sights {
    /// Clients.
    pub live: Live,
    /// Why the store doesn't work; `None` if it does.
    pub store: Arc<dyn Fn() -> StoreState + Send + Sync>,
    /// The collector's certificates.
    pub certificates: Arc<dyn Fn() -> Vec<CertificateEnd> + Send + Sync>,
    /// The accounts, with the warnings of their running cycles.
    pub book: AccountBook,
    /// Free space for the collector's data, bytes, if it is known.
    pub disk: Arc<dyn Fn() -> Option<u64> + Send + Sync>,
    /// The collector's name.
    pub name: String,
}

impl fmt::Debug for Sights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sights").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Looks every second, forever.
pub async fn follow(engine: Arc<Engine>, sights: Sights) {
    let (mut ticks, begin) = (interval(EVERY), boot());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (engine, sights) = (engine.clone(), sights.clone());
        let settled = boot().saturating_sub(begin) >= GRACE;
        // Slow with thousands of clients, and it reads files.
        let looked = tokio::task::spawn_blocking(move || look(&engine, &sights, settled)).await;
        if let Err(error) = looked {
            tracing::error!(error = %settings::InFull::in_full(&error), "can't look after alerts");
        }
    }
}

fn look(engine: &Engine, sights: &Sights, settled: bool) {
    let rules = engine.rules().rules;
    if rules.is_empty() {
        return;
    }
    look_at_tags(engine, &sights.live);
    let with_rates =
        rules.iter().any(|it| it.measure == Measure::Rate && it.source() == MeasureSource::Client);
    let asked = |measure| rules.iter().any(|rule| rule.measure == measure);
    let statuses = sights.live.statuses(with_rates);
    for status in &statuses {
        look_at_client(engine, status, settled);
    }
    if asked(Measure::Store) {
        let why = (sights.store)();
        let failing = if why.is_some() { 1.0 } else { 0.0 };
        own(engine, sights, Measure::Store, failing, &why.unwrap_or_default());
    }
    if asked(Measure::Disk)
        && let Some(free) = (sights.disk)()
    {
        own(engine, sights, Measure::Disk, figure(free), "");
    }
    if asked(Measure::Certificate) {
        let first = (sights.certificates)().into_iter().min_by_key(|(_, end_s)| *end_s);
        if let Some((what, end_s)) = first {
            own(engine, sights, Measure::Certificate, left(end_s), &what);
        }
    }
    if asked(Measure::Account) {
        look_at_accounts(engine, &sights.book);
    }
    let up = statuses.iter().filter(|it| it.up);
    let up: HashMap<&ClientId, bool> = up.map(|it| (&it.client, it.elsewhere)).collect();
    engine.tick(|owner| match owner {
        Owner::Client(client) => match up.get(client) {
            Some(true) => Judge::Elsewhere,
            Some(false) => Judge::Here,
            None => Judge::Each,
        },
        Owner::Collector(name) if *name == sights.name => Judge::Here,
        Owner::Collector(_) => Judge::Others,
        Owner::Account { account, warning, cycle } => {
            judge_of(&sights.book, account, warning, cycle)
        }
    });
}

fn look_at_client(engine: &Engine, status: &ClientStatus, settled: bool) {
    let owner = Owner::Client(status.client.clone());
    let now = now_ns();
    let take = |what, value, measured_ns, detail: &str| {
        engine.observe(&owner, what, &Value { value, measured_ns, patience: PATIENCE }, detail);
    };
    if settled || status.up {
        let down = if status.up { 0.0 } else { 1.0 };
        take((Measure::HostDown, None), down, status.last_seen_ns.min(now), "");
    }
    if let Some(offset_ns) = status.clock_offset_ns {
        let off = figure(offset_ns.unsigned_abs()) / 1e9;
        let side = if offset_ns < 0 { "behind" } else { "ahead of" };
        take((Measure::Clock, None), off, now, &format!("it is {side} the collector's"));
    }
    if let Some(end_s) = status.certificate_end_s {
        take((Measure::Certificate, None), left(end_s), now, "the client's certificate");
    }
    for (direction, rate) in AlertDirection::ALL.into_iter().zip(status.rates.iter().flatten()) {
        take((Measure::Rate, Some(direction)), rate * 8.0, now, "");
    }
}

/// Looks at the tags of all clients, if a rule or a silence chooses by them.
pub fn look_at_tags(engine: &Engine, live: &Live) {
    if live.are_tags_known() && engine.wants_tags() {
        engine.set_tags(live.tags());
    }
}

/// Looks at the warnings of all accounts. A warning belongs to a cycle, and ends with it. One that isn't known
/// here says nothing: another collector may have given it a moment ago.
pub fn look_at_accounts(engine: &Engine, book: &AccountBook) {
    let (accounts, latest, now) = (book.accounts(), book.latest(), now_ns());
    // At the end of a cycle, until the next round, a statement is of the cycle that is over.
    let running = latest.iter().filter(|it| it.state == CycleState::Running && now < it.to.0);
    for statement in running {
        let Some(billed) = accounts.iter().find(|it| it.name.as_str() == statement.account) else {
            continue;
        };
        for warning in warning_names(billed) {
            let given = statement.warnings.iter().find(|it| it.warning == warning);
            let take = |cycle: CycleName, value, detail: &str| {
                let (account, warning) = (statement.account.clone(), warning.clone());
                let owner = Owner::Account { account, warning, cycle: cycle.to_string() };
                let value = Value { value, measured_ns: now, patience: PATIENCE };
                engine.observe(&owner, (Measure::Account, None), &value, detail);
            };
            take(statement.cycle.previous(), 0.0, "");
            if let Some(given) = given {
                take(statement.cycle, 1.0, &given.message);
            }
        }
    }
}

/// Who judges a warning of an account. While its cycle runs, and until it is known which one runs, it stands
/// although it isn't known here: another collector may have given it. Of an account or a warning that this
/// collector's config doesn't have, others judge.
#[must_use]
pub fn judge_of(book: &AccountBook, account: &str, warning: &str, cycle: &str) -> Judge {
    let accounts = book.accounts();
    let billed = accounts.iter().find(|it| it.name.as_str() == account);
    if !billed.is_some_and(|it| warning_names(it).iter().any(|name| name == warning)) {
        return Judge::Others;
    }
    let latest = book.latest();
    match latest.iter().find(|it| it.account == account) {
        Some(statement) if statement.cycle.to_string() != cycle => Judge::Each,
        _ => Judge::Elsewhere,
    }
}

/// A value of the collector itself.
fn own(engine: &Engine, sights: &Sights, measure: Measure, value: f64, detail: &str) {
    let value = Value { value, measured_ns: now_ns(), patience: PATIENCE };
    engine.observe(&Owner::Collector(sights.name.clone()), (measure, None), &value, detail);
}

/// Seconds until a time.
fn left(end_s: u64) -> f64 {
    figure(end_s) - figure(now_ns() / 1_000_000_000)
}

#[allow(clippy::cast_precision_loss, reason = "a value needs no more than 53 bits")]
const fn figure(figure: u64) -> f64 {
    figure as f64
}
