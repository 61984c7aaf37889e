//! Rules, checked: what they are about and when they fire.

use std::sync::Arc;
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};
use jiff::tz::TimeZone;
use settings::{InFull, Interval, Problem};
use wire::WallNs;
use wire::tag::{Tag, TagError, TagSet};

use super::config::{AlertDirection, AlertsSection, RuleScope, RuleSection, Severity, check_name};
use super::measure::{Measure, MeasureSource, Side, Unit};
use super::owner::Owner;
use super::quiet::QuietHours;
use super::state::RuleBounds;

/// Most rules: each looks at each sample.
const RULES_MAX: usize = 200;

/// Most quiet windows that follow each other without a pause: more than a week of them.
const JOINED_MAX: usize = 16;

/// Longest `for` and `clear_for`.
const HOLD_MAX: Interval = Interval::days(30);

/// Shortest `clear_for`: it bounds how often an incident of one subject can begin and end.
const CLEAR_HOLD_MIN: Interval = Interval::secs(5);

/// A rule.
#[derive(Debug, Clone)]
pub struct AlertRule {
    /// Its name.
    pub name: Arc<str>,
    /// What it measures.
    pub measure: Measure,
    /// Rates of whole clients.
    pub whole: bool,
    /// When it fires.
    pub bounds: RuleBounds,
    /// The only direction; `None`: each.
    pub direction: Option<AlertDirection>,
    /// How bad it is.
    pub severity: Severity,
    /// Names of its targets.
    pub targets: Vec<String>,
    clients: Option<GlobSet>,
    nics: Option<GlobSet>,
    accounts: Option<GlobSet>,
    tags: Vec<Tag>,
    quiet: Vec<QuietHours>,
}

/// All rules, and their time zone.
#[derive(Debug, Clone)]
pub struct AlertRules {
    /// The rules, by name.
    pub rules: Vec<Arc<AlertRule>>,
    /// The time zone of quiet hours and of times in messages.
    pub zone: TimeZone,
    /// Messages name talkers.
    pub talkers: bool,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self { rules: Vec::new(), zone: TimeZone::UTC, talkers: true }
    }
}

impl AlertRules {
    /// True if a rule measures samples.
    #[must_use]
    pub fn are_about_samples(&self) -> bool {
        self.rules.iter().any(|rule| rule.source() == MeasureSource::Sample)
    }

    /// The number of the rule of this name, if it measures the same.
    #[must_use]
    pub fn position_of(&self, name: &str, measure: &str) -> Option<usize> {
        self.rules.iter().position(|rule| *rule.name == *name && rule.measure.name() == measure)
    }

    /// The number that a rule has among these: the one of its name, if it measures the same.
    #[must_use]
    pub fn position(&self, rule: &AlertRule) -> Option<usize> {
        self.position_of(&rule.name, rule.measure.name())
    }

    /// The rules of a config.
    ///
    /// # Errors
    /// What is wrong with the first one that is.
    pub fn of(section: &AlertsSection) -> Result<Self, Problem> {
        let zone = TimeZone::get(&section.time_zone).map_err(|_| {
            let name = &section.time_zone;
            let why = format!(
                "{name:?} is no time zone known on this host; write for example Europe/Berlin, or \
                 install the package tzdata"
            );
            Problem::new("alerts.time_zone", why)
        })?;
        Problem::unless(section.rules.len() <= RULES_MAX, "alerts.rules", || {
            format!("{} rules; {RULES_MAX} are allowed", section.rules.len())
        })?;
        let mut rules = Vec::new();
        for (name, rule) in &section.rules {
            check_name("rules", name)?;
            rules.push(Arc::new(AlertRule::of(name, rule, section)?));
        }
        Ok(Self { rules, zone, talkers: section.talkers })
    }
}

impl AlertRule {
    fn of(name: &str, given: &RuleSection, section: &AlertsSection) -> Result<Self, Problem> {
        let key = |key: &str| format!("alerts.rules.{name}.{key}");
        let Some(measure) = given.measure else {
            let known = Measure::ALL.map(Measure::name).join(", ");
            return Err(Problem::new(key("measure"), format!("not set; choose one of {known}")));
        };
        let whole = given.per == Some(RuleScope::Client);
        let of_nics = measure.source(whole) == MeasureSource::Sample;
        let scope = given.per.is_none() || measure == Measure::Rate;
        Problem::unless(scope, key("per"), || {
            format!("{} has none; leave it out", measure.name())
        })?;
        let directed = given.direction.is_none() || measure.has_directions();
        Problem::unless(directed, key("direction"), || {
            format!("{} has none; leave it out", measure.name())
        })?;
        Problem::unless(given.nics.is_empty() || of_nics, key("nics"), || {
            "this rule is about no single NIC; leave it out".to_owned()
        })?;
        for (name, set) in [("clients", &given.clients), ("tags", &given.tags)] {
            Problem::unless(set.is_empty() || measure.is_about_clients(), key(name), || {
                format!("{} is about no client; leave it out", measure.name())
            })?;
        }
        let of_accounts = given.accounts.is_empty() || measure == Measure::Account;
        Problem::unless(of_accounts, key("accounts"), || {
            format!("{} is about no account; leave it out", measure.name())
        })?;
        let tags = given.tags.iter().map(|tag| {
            tag.parse()
                .map_err(|error: TagError| Problem::new(key("tags"), error.in_full().to_string()))
        });
        let tags = tags.collect::<Result<Vec<Tag>, Problem>>()?;
        let bounds = bounds(measure, given, &key)?;
        let mut quiet = Vec::new();
        for window in &given.quiet {
            quiet.push(window.parse().map_err(|why: String| Problem::new(key("quiet"), why))?);
        }
        for target in &given.targets {
            Problem::unless(section.targets.contains_key(target), key("targets"), || {
                format!("there is no target {target:?} in alerts.targets")
            })?;
        }
        let all = || section.targets.keys().cloned().collect();
        Ok(Self {
            name: name.into(),
            measure,
            whole,
            bounds,
            direction: given.direction,
            severity: given.severity,
            targets: if given.targets.is_empty() { all() } else { given.targets.clone() },
            clients: globs(&given.clients, true, &key("clients"))?,
            nics: globs(&given.nics, false, &key("nics"))?,
            accounts: globs(&given.accounts, true, &key("accounts"))?,
            tags,
            quiet,
        })
    }

    /// The unit of its values.
    #[must_use]
    pub const fn unit(&self) -> Unit {
        self.measure.unit()
    }

    /// Where its values come from.
    #[must_use]
    pub const fn source(&self) -> MeasureSource {
        self.measure.source(self.whole)
    }

    /// True if it is about this owner, whose tags are these; `None`: they are not known.
    #[must_use]
    pub fn is_about(&self, owner: &Owner, tags: Option<&TagSet>) -> bool {
        let names = |globs: &Option<GlobSet>, name: &str| {
            globs.as_ref().is_none_or(|globs| globs.is_match(name))
        };
        match owner {
            Owner::Client(client) => {
                let tagged = || tags.is_some_and(|tags| tags.has_all(&self.tags));
                names(&self.clients, client.as_str()) && (self.tags.is_empty() || tagged())
            }
            // One that is restricted to some clients is not about the collector.
            Owner::Collector(_) => self.clients.is_none() && self.tags.is_empty(),
            Owner::Account { account, .. } => names(&self.accounts, account),
        }
    }

    /// True if it needs the tags of clients.
    #[must_use]
    pub const fn needs_tags(&self) -> bool {
        !self.tags.is_empty()
    }

    /// True if it is about this NIC of a client that it is about.
    #[must_use]
    pub fn is_about_nic(&self, nic: &str) -> bool {
        self.nics.as_ref().is_none_or(|globs| globs.is_match(nic))
    }

    /// True if it is about this part of a subject that it is about: a NIC and a direction, or the whole of it.
    #[must_use]
    pub fn is_about_part(&self, nic: Option<&str>, direction: Option<AlertDirection>) -> bool {
        let of_nics = self.source() == MeasureSource::Sample;
        let direction = direction.is_none_or(|it| self.direction.is_none_or(|only| only == it));
        nic.map_or(!of_nics, |nic| of_nics && self.is_about_nic(nic)) && direction
    }

    /// The directions that it is about.
    pub fn directions(&self) -> impl Iterator<Item = AlertDirection> + use<> {
        let only = self.direction;
        AlertDirection::ALL.into_iter().filter(move |it| only.is_none_or(|only| only == *it))
    }

    /// When its quiet hours end, nanoseconds since 1970 (UTC), if they are now.
    #[must_use]
    pub fn quiet_until(&self, now_ns: WallNs, zone: &TimeZone) -> Option<WallNs> {
        let until = |at_ns| self.quiet.iter().filter_map(|it| it.until(at_ns, zone)).max();
        let mut end_ns = until(now_ns)?;
        // Windows that join are one.
        for _ in 0..JOINED_MAX {
            match until(end_ns).filter(|later_ns| *later_ns > end_ns) {
                Some(later_ns) => end_ns = later_ns,
                None => break,
            }
        }
        Some(end_ns)
    }
}

/// The bounds of a rule.
fn bounds(
    measure: Measure,
    given: &RuleSection,
    key: &impl Fn(&str) -> String,
) -> Result<RuleBounds, Problem> {
    let (unit, defaults) = (measure.unit(), measure.defaults());
    let read = |name: &str, text: &Option<String>| {
        let value = text.as_ref().map(|text| unit.parse(text)).transpose();
        value.map_err(|why| Problem::new(key(name), why))
    };
    let (above, below) = (read("above", &given.above)?, read("below", &given.below)?);
    let (side, bound) = match (measure.side(), above, below) {
        (_, Some(_), Some(_)) => {
            return Err(Problem::new(key("below"), "set beside above; make two rules"));
        }
        (Some(Side::Above), _, Some(_)) => {
            let why = format!("{} is watched for high values; set above", measure.name());
            return Err(Problem::new(key("below"), why));
        }
        (Some(Side::Below), Some(_), _) => {
            let why = format!("{} is watched for low values; set below", measure.name());
            return Err(Problem::new(key("above"), why));
        }
        (Some(side), above, below) => (side, above.or(below).or(defaults.bound)),
        (None, Some(above), None) => (Side::Above, Some(above)),
        (None, below, _) => (Side::Below, below),
    };
    let Some(bound) = bound else {
        let example = "not set; set above: 800Mbit/s, or for rates below";
        return Err(Problem::new(key("above"), example));
    };
    let default = match (unit, side) {
        // A count of single events, and facts, are over when they are not.
        (Unit::Fact | Unit::Packets, _) => bound,
        (_, Side::Above) => bound * 0.9,
        (_, Side::Below) => bound * 1.1,
    };
    let clear = read("clear", &given.clear)?.unwrap_or(default);
    let (sound, relation) = match side {
        Side::Above => (clear <= bound, "above"),
        Side::Below => (clear >= bound, "below"),
    };
    Problem::unless(sound, key("clear"), || {
        format!("{} is {relation} the bound of {}", unit.show(clear), unit.show(bound))
    })?;
    let hold = given.hold.unwrap_or(Interval(defaults.hold));
    Problem::unless_within(key("for"), &hold, &(Interval::secs(0)..=HOLD_MAX))?;
    let clear_hold = given.clear_for.unwrap_or(Interval(defaults.clear_hold));
    Problem::unless_within(key("clear_for"), &clear_hold, &(CLEAR_HOLD_MIN..=HOLD_MAX))?;
    Ok(RuleBounds { side, bound, clear, hold: hold.0, clear_hold: clear_hold.0 })
}

/// A set of globs, or `None` if there are none. Client ids are lower case.
fn globs(patterns: &[String], lower: bool, key: &str) -> Result<Option<GlobSet>, Problem> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let wrong = |pattern: &str, error: &globset::Error| {
        Problem::new(key.to_owned(), format!("{pattern:?} is no pattern: {}", error.kind()))
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let pattern = if lower { pattern.to_ascii_lowercase() } else { pattern.clone() };
        set.add(Glob::new(&pattern).map_err(|error| wrong(&pattern, &error))?);
    }
    set.build().map(Some).map_err(|error| wrong(&patterns.join(", "), &error))
}

/// How long a silence may last.
pub const SILENCE_MAX: Duration = Duration::from_secs(30 * 86_400);
