//! Section `accounts`: what is billed together, and how.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Time;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use settings::{InFull, Interval, Problem, Size};
use wire::Bytes;

use super::cycle::CycleSchedule;
use super::members::Member;
use super::terms::{Basis, BillingRule, ByteUnit, CommitRate, Terms};

/// Most accounts, and most members of one: each is read from the store again and again.
const ACCOUNTS_MAX: usize = 1000;
const MEMBERS_MAX: usize = 10_000;

/// Longest wait for what arrives late: agents keep a week, or what their spool is set to.
const FREEZE_MAX: Interval = Interval::days(60);

/// Longest cycle: a month of 31 days, an hour longer where clocks are set back.
const CYCLE_MAX: Duration = Duration::from_secs(31 * 86_400 + 3600);

/// The key of the section.
const KEY: &str = "accounts";

/// The name of an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(String);

/// A text that names no account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} can't name an account; use 1 to 64 letters a to z, digits, '-' and '_', the first no '-'"
)]
pub struct InvalidAccountName(String);

impl AccountName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = InvalidAccountName;

    fn from_str(text: &str) -> Result<Self, InvalidAccountName> {
        // Variables of the environment have no other letters, and dots are between keys.
        let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(sound) && !text.starts_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAccountName(text.to_owned()))
        }
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for AccountName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AccountName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Section `accounts`, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Accounts(pub BTreeMap<AccountName, AccountSection>);

/// One account of the config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSection {
    /// NICs (`CLIENT/NIC`), hosts (`CLIENT`: the NICs in its total), and all hosts while they have a tag
    /// (`KEY=VALUE`), all pooled.
    #[serde(deserialize_with = "settings::list")]
    pub members: Vec<Member>,
    /// `tx`, `rx`, `sum`, or `max` (of both directions over the cycle).
    pub rule: BillingRule,
    /// `L2`, `L2+FCS` or `L3`.
    pub basis: Basis,
    /// `GB` (10^9) or `GiB` (2^30), for volumes that are shown.
    pub unit: ByteUnit,
    /// Volume of a cycle.
    pub quota: Option<Size>,
    /// Committed 95th percentile.
    pub commit: Option<CommitRate>,
    /// When cycles begin.
    pub cycle: CycleSection,
    /// Percents of the quota of which is warned, each once per cycle.
    #[serde(deserialize_with = "settings::list")]
    pub warn: Vec<u16>,
    /// Warn too once the cycle looks like ending over the quota.
    pub warn_projected: bool,
    /// How long after its end a cycle is frozen: what arrives later changes it no more; 1 h to 60 d.
    pub freeze_after: Interval,
}

/// When the cycles of an account begin: each month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CycleSection {
    /// Day, 1 to 31; in shorter months the last one.
    pub day: i8,
    /// Time of day, a multiple of 5 minutes.
    pub time: String,
    /// Time zone, by its name in the IANA database.
    pub zone: String,
}

impl Default for AccountSection {
    fn default() -> Self {
        Self {
            members: Vec::new(),
            rule: BillingRule::Sum,
            basis: Basis::L2,
            unit: ByteUnit::Gigabyte,
            quota: None,
            commit: None,
            cycle: CycleSection::default(),
            warn: vec![80, 90, 100],
            warn_projected: true,
            freeze_after: Interval::days(3),
        }
    }
}

impl Default for CycleSection {
    fn default() -> Self {
        Self { day: 1, time: "00:00".to_owned(), zone: "UTC".to_owned() }
    }
}

/// An account, ready to be metered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilledAccount {
    /// Its name.
    pub name: AccountName,
    /// Whose traffic is pooled.
    pub members: Vec<Member>,
    /// What is billed of it.
    pub terms: Terms,
    /// When its cycles begin.
    pub schedule: CycleSchedule,
    /// Percents of the quota of which is warned.
    pub warn: Vec<u16>,
    /// Warn once the cycle looks like ending over the quota.
    pub warn_projected: bool,
    /// How long after its end a cycle is frozen.
    pub freeze_after: Duration,
}

impl Accounts {
    /// Checks them all.
    ///
    /// # Errors
    /// The first value that is impossible.
    pub fn check(&self) -> Result<(), Problem> {
        let number = self.0.len();
        Problem::unless(number <= ACCOUNTS_MAX, KEY, || {
            format!("{number} accounts; at most {ACCOUNTS_MAX} are allowed")
        })?;
        self.all().map(drop)
    }

    /// How long sums of 5 minutes must be kept: a whole cycle until it is frozen, and a day more.
    /// `None` without accounts.
    #[must_use]
    pub fn kept(&self) -> Option<Interval> {
        let latest = self.0.values().map(|account| account.freeze_after.0).max()?;
        Some(Interval(CYCLE_MAX + latest + Duration::from_secs(86_400)))
    }

    /// The accounts, by name.
    ///
    /// # Errors
    /// The first value that is impossible.
    pub fn all(&self) -> Result<Vec<BilledAccount>, Problem> {
        self.0.iter().map(|(name, section)| section.account(name)).collect()
    }
}

impl AccountSection {
    fn account(&self, name: &AccountName) -> Result<BilledAccount, Problem> {
        let refused = |key: &str, why: &str| Problem::new(KEY, format!("{name}.{key}: {why}"));
        let number = self.members.len();
        if !(1..=MEMBERS_MAX).contains(&number) {
            let why = format!(
                "{number} given; name 1 to {MEMBERS_MAX} of CLIENT/NIC, CLIENT or KEY=VALUE"
            );
            return Err(refused("members", &why));
        }
        if self.quota == Some(Size(0)) {
            return Err(refused("quota", "0; leave it out if there is none"));
        }
        let CycleSection { day, time, zone } = &self.cycle;
        if !(1..=31).contains(day) {
            return Err(refused("cycle.day", &format!("{day} is out of range; choose 1 to 31")));
        }
        let time = time_of_day(time).ok_or_else(|| {
            let why = format!("{time:?} is no time; write HH:MM, a multiple of 5 minutes as 00:00");
            refused("cycle.time", &why)
        })?;
        let schedule = CycleSchedule::new(*day, time, zone)
            .map_err(|error| refused("cycle.zone", &error.in_full().to_string()))?;
        let terms = Terms {
            rule: self.rule,
            basis: self.basis,
            unit: self.unit,
            quota_bytes: self.quota.map(|quota| Bytes(quota.0)),
            commit_bits_per_second: self.commit.map(|commit| commit.0),
        };
        if let Some(percent) = self.warn.iter().find(|it| !(1..=1000).contains(*it)) {
            return Err(refused("warn", &format!("{percent} is out of range; choose 1 to 1000")));
        }
        let times = Interval::secs(3600)..=FREEZE_MAX;
        if !times.contains(&self.freeze_after) {
            let (least, most) = (times.start(), times.end());
            let why = format!("{} is out of range; choose {least} to {most}", self.freeze_after);
            return Err(refused("freeze_after", &why));
        }
        Ok(BilledAccount {
            name: name.clone(),
            members: self.members.clone(),
            terms,
            schedule,
            warn: self.warn.clone(),
            warn_projected: self.warn_projected,
            freeze_after: self.freeze_after.0,
        })
    }
}

/// `HH:MM` at 5 minutes, as the sums that cycles are made of.
fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    let sound = text.split(':').all(two) && minute % 5 == 0;
    Time::new(hour, minute, 0, 0).ok().filter(|_| sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(change: impl FnOnce(&mut AccountSection)) -> Result<BilledAccount, Problem> {
        let members = vec!["web-1/eth0".parse().unwrap()];
        let mut section = AccountSection { members, ..AccountSection::default() };
        change(&mut section);
        section.account(&"transit".parse().unwrap())
    }

    #[test]
    fn an_account_is_ready_with_its_members_alone() {
        let account = section(|_| {}).unwrap();
        assert_eq!(account.terms, Terms { rule: BillingRule::Sum, ..Terms::default() });
        assert_eq!(account.schedule, CycleSchedule::new(1, Time::midnight(), "UTC").unwrap());
    }

    #[test]
    fn what_is_impossible_is_refused_by_account_and_key() {
        type Change = fn(&mut AccountSection);
        let refused: [(&str, Change); 9] = [
            ("transit.warn", |it| it.warn = vec![80, 0]),
            ("transit.freeze_after", |it| it.freeze_after = Interval::secs(60)),
            ("transit.members", |it| it.members.clear()),
            ("transit.quota", |it| it.quota = Some(Size(0))),
            ("transit.cycle.day", |it| it.cycle.day = 0),
            ("transit.cycle.day", |it| it.cycle.day = 32),
            ("transit.cycle.time", |it| it.cycle.time = "24:00".into()),
            ("transit.cycle.time", |it| it.cycle.time = "00:07".into()),
            ("transit.cycle.zone", |it| it.cycle.zone = "Mars/Olympus".into()),
        ];
        for (key, change) in refused {
            let problem = section(change).unwrap_err();
            assert!(problem.key == KEY && problem.why.starts_with(key), "{problem}");
        }
    }

    #[test]
    fn names_are_what_a_variable_can_name() {
        for name in ["transit", "ams-1_a"] {
            assert_eq!(name.parse::<AccountName>().unwrap().as_str(), name);
        }
        for name in ["", "Transit", "a.b", "a b", "-a", &"x".repeat(65)] {
            assert!(name.parse::<AccountName>().is_err(), "{name}");
        }
    }
}
