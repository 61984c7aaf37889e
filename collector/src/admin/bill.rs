//! `collector bill`: the statement of an account for a cycle.

use std::fmt::Write;
use std::time::Duration;

use settings::Foreign;
use wire::Bytes;

use super::error::AdminError;
use super::shared::{audited, block_on};
use crate::accounts::{
    self, BillError, BilledAccount, CommitRate, CycleState, Metered, NicShare, Statement,
};
use crate::audit::{AuditEvent, AuditRecord, operator};
use crate::cli::{BillArgs, BillFormat};
use crate::config::Config;
use crate::store::{AccountEntry, EntryKind};
use crate::store_location::{StoreLocation, StoreLocationError};
use crate::time::{now_ns, rough};

/// The statement of an account, as text, JSON or CSV; first keeps what is typed in for it.
///
/// # Errors
/// [`AdminError`] says what is missing.
pub fn bill(
    config: &Config,
    location: &StoreLocation,
    args: &BillArgs,
) -> Result<String, AdminError> {
    let store = location.open_to_read().map_err(StoreLocationError::from)?;
    // They were checked when the config was read.
    let accounts = config.accounts.all().unwrap_or_default();
    let Some(account) = accounts.iter().find(|account| account.name == args.account) else {
        let frozen = block_on::<_, BillError>(async {
            accounts::frozen_statements(store.as_ref(), &args.account).await
        })?;
        return without_config(&accounts, frozen, args);
    };
    let read = || {
        block_on::<_, BillError>(async {
            accounts::bill(store.as_ref(), account, args.cycle, now_ns()).await
        })
    };
    let statement = read()?;
    let Some(entry) = entry(args, &statement) else {
        return Ok(written(&[statement], args.format));
    };
    if entry.kind == EntryKind::Opening && statement.state == CycleState::Frozen {
        return Err(AdminError::FrozenCycle(statement.cycle));
    }
    let keeper = location.open_to_bill().map_err(StoreLocationError::from)?;
    block_on::<_, StoreLocationError>(async { Ok(keeper.add_account_entry(&entry).await?) })?;
    let AccountEntry { account, cycle, kind, bytes, reason, .. } = &entry;
    let detail = format!("{account}, cycle {cycle}: {} {bytes} bytes, {reason}", kind.name());
    let record = AuditRecord { detail: Some(detail), ..AuditRecord::new(AuditEvent::AccountEntry) };
    audited(config, record, written(&[read()?], args.format))
}

/// The frozen cycles of an account that the config has no more.
fn without_config(
    accounts: &[BilledAccount],
    mut frozen: Vec<Statement>,
    args: &BillArgs,
) -> Result<String, AdminError> {
    frozen.retain(|statement| args.cycle.is_none_or(|cycle| statement.cycle == cycle));
    if frozen.is_empty() || args.opening.or(args.provider).is_some() {
        let known: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(AdminError::NoSuchAccount { account: args.account.clone(), known });
    }
    Ok(written(&frozen, args.format))
}

/// What is typed in, if something is.
fn entry(args: &BillArgs, statement: &Statement) -> Option<AccountEntry> {
    let (kind, size) = match (args.opening, args.provider) {
        (Some(size), _) => (EntryKind::Opening, size),
        (None, size) => (EntryKind::Provider, size?),
    };
    Some(AccountEntry {
        account: statement.account.clone(),
        cycle: statement.cycle.to_string(),
        kind,
        bytes: Bytes(size.0),
        reason: args.reason.clone().unwrap_or_default(),
        operator: operator(),
        at_s: now_ns() / 1_000_000_000,
    })
}

fn written(statements: &[Statement], format: BillFormat) -> String {
    match format {
        BillFormat::Text => statements.iter().map(text).collect::<Vec<_>>().join("\n\n"),
        BillFormat::Json => match statements {
            [one] => serde_json::to_string_pretty(one).unwrap_or_default(),
            several => serde_json::to_string_pretty(several).unwrap_or_default(),
        },
        BillFormat::Csv => accounts::csv(statements).trim_end().to_owned(),
    }
}

/// For people.
fn text(it: &Statement) -> String {
    let Statement { account, cycle, from_told, to_told, state, terms, metered, .. } = it;
    let unit = terms.unit;
    let mut text =
        format!("{account}, cycle {cycle}: {from_told} to {to_told} ({})\n", state.name());
    let mut line = |name: &str, value: String| {
        // Writing to a String can't fail.
        let _ = writeln!(text, "  {name:12} {value}");
    };
    let of = format!("{}, {}", terms.rule.name(), terms.basis.name());
    let quota = terms
        .quota_bytes
        .zip(it.used_percent)
        .map(|(quota, percent)| format!(" of {}, {percent:.2} %", unit.told(quota)));
    line("used", format!("{} ({of}){}", unit.told(it.used_bytes), quota.unwrap_or_default()));
    if metered.missing_ns > 0 || it.used_max_bytes != Some(it.used_bytes) {
        line("at most", at_most(it));
    }
    if it.opening_bytes > Bytes(0) {
        line("opening", format!("{}, in it", unit.told(it.opening_bytes)));
    }
    if let Some(left) = it.left_bytes {
        let told = unit.told(Bytes(left.unsigned_abs()));
        line("left", if left < 0 { format!("none, {told} over") } else { told });
    }
    if let Some((bytes, outlook)) = it.projected_bytes.zip(metered.outlook) {
        let percent = it.projected_percent.map(|percent| format!(", {percent:.2} %"));
        let percent = percent.unwrap_or_default();
        line("at its end", format!("{}{percent}, {}", unit.told(bytes), outlook.method.told()));
    }
    line("p95", p95(metered));
    if let Some(outlook) = metered.p95_outlook {
        let rate = megabits(outlook.bits_per_second);
        line("p95 at its end", format!("{rate}, {}", outlook.method.told()));
    }
    if let Some(commit) = metered.commit {
        let rate = CommitRate(commit.bits_per_second);
        let bursts = match commit.bursts_left {
            left if left < 0 => format!("exceeded by {} intervals too many", -left),
            left => format!("{left} of {} bursts left", commit.allowed),
        };
        line("commit", format!("{rate}, {bursts}"));
    }
    if let Some(bytes) = it.provider_bytes {
        let percent = it.provider_percent.map(|percent| format!(", {percent:+.2} %"));
        line("provider", format!("{}{}", unit.told(bytes), percent.unwrap_or_default()));
    }
    match it.late_bytes {
        None | Some(0) => {}
        Some(late) => {
            let (told, sign) =
                (unit.told(Bytes(late.unsigned_abs())), if late < 0 { "less" } else { "more" });
            line(
                "since frozen",
                format!("{told} {sign} by what arrived or went; not in the figures"),
            );
        }
    }
    for warning in &it.warnings {
        line("warning", format!("{}: {}", warning.warning, warning.message));
    }
    for nic in &metered.nics {
        line("NIC", share(nic));
    }
    if let Some(digest) = &it.digest {
        line("digest", digest.clone());
    }
    for member in &it.unknown_members {
        line("unknown", format!("{}: nothing of it has been measured", Foreign(member)));
    }
    text.trim_end().to_owned()
}

fn at_most(it: &Statement) -> String {
    if it.metered.measured_intervals == 0 {
        return "no bound is known, for nothing was measured".to_owned();
    }
    let missing = match it.metered.missing_ns {
        0 => "packets were dropped or can't be placed".to_owned(),
        missing => format!("{} were not measured", rough(Duration::from_nanos(missing))),
    };
    match it.used_max_bytes {
        Some(bytes) => format!("{}, for {missing}", it.terms.unit.told(bytes)),
        None => format!("no bound is known, for {missing} on NICs without a link speed"),
    }
}

fn p95(metered: &Metered) -> String {
    let Metered { p95, measured_intervals, elapsed_intervals, .. } = metered;
    let Some(bits) = p95.bits_per_second else { return "nothing was measured yet".to_owned() };
    let mut told = megabits(bits);
    if (p95.min_bits_per_second, p95.max_bits_per_second) != (Some(bits), Some(bits)) {
        let bound = |bits: Option<u64>| bits.map_or_else(|| "no known bound".to_owned(), megabits);
        let (min, max) = (bound(p95.min_bits_per_second), bound(p95.max_bits_per_second));
        // Writing to a String can't fail.
        let _ = write!(told, ", {min} to {max} with what was not measured");
    }
    format!("{told}; {measured_intervals} of {elapsed_intervals} intervals measured")
}

/// A rate with three decimals, rounded.
fn megabits(bits: u64) -> String {
    let thousandths = (bits + 500) / 1000;
    format!("{}.{:03} Mbit/s", thousandths / 1000, thousandths % 1000)
}

fn share(nic: &NicShare) -> String {
    let NicShare { client, nic: name, rx_bytes, tx_bytes, missing_ns, .. } = nic;
    let missing = match missing_ns {
        0 => String::new(),
        missing => format!(", {} not measured", rough(Duration::from_nanos(*missing))),
    };
    let name = format!("{client}/{name}");
    format!("{}: {rx_bytes} bytes received, {tx_bytes} transmitted{missing}", Foreign(&name))
}
