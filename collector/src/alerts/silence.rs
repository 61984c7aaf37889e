//! Silences, ready to be compared: globs are compiled once.

use globset::GlobMatcher;
use wire::WallNs;
use wire::tag::{Tag, TagSet};

use crate::store::AlertSilence;

/// Longest glob, bytes: longer than any name that it could match, and short to compile.
const GLOB_MAX: usize = 256;

/// What an alert is about, for silences.
#[derive(Debug, Clone, Copy)]
pub struct Silenced<'a> {
    /// The rule's name.
    pub rule: &'a str,
    /// The client, if it is about one.
    pub client: Option<&'a str>,
    /// The NIC, if it is about one.
    pub nic: Option<&'a str>,
    /// The client's tags, as far as they are known.
    pub tags: Option<&'a TagSet>,
}

/// A silence.
#[derive(Debug)]
pub struct Silence {
    stored: AlertSilence,
    client: Pattern,
    nic: Pattern,
    tag: TagPattern,
}

#[derive(Debug)]
enum Pattern {
    Any,
    Glob(GlobMatcher),
    /// Written by a newer collector: it silences nothing here, and no trouble is hidden.
    Unknown,
}

#[derive(Debug)]
enum TagPattern {
    Any,
    Tag(Tag),
    Unknown,
}

impl Silence {
    /// A silence of the store.
    #[must_use]
    pub fn new(stored: AlertSilence) -> Self {
        let tag = match stored.tag.as_str() {
            "" => TagPattern::Any,
            tag => tag.parse().map_or(TagPattern::Unknown, TagPattern::Tag),
        };
        let (client, nic) = (Pattern::of(&stored.client), Pattern::of(&stored.nic));
        Self { stored, client, nic, tag }
    }

    /// True if it needs the tags of clients.
    #[must_use]
    pub const fn needs_tags(&self) -> bool {
        matches!(self.tag, TagPattern::Tag(_))
    }

    /// True if it silences an alert at a time, nanoseconds since 1970 (UTC).
    #[must_use]
    pub fn holds(&self, it: Silenced<'_>, now_ns: WallNs) -> bool {
        let AlertSilence { rule, from_ns, until_ns, .. } = &self.stored;
        (*from_ns..*until_ns).contains(&now_ns)
            && (rule.is_empty() || rule == it.rule)
            && self.client.matches(it.client)
            && self.nic.matches(it.nic)
            && match &self.tag {
                TagPattern::Any => true,
                TagPattern::Tag(tag) => it.tags.is_some_and(|tags| tags.has(tag)),
                TagPattern::Unknown => false,
            }
    }

    /// Why no message is sent, for people.
    #[must_use]
    pub fn told(&self) -> String {
        let AlertSilence { id, by, reason, .. } = &self.stored;
        format!("silence {id} of {by}: {reason}")
    }
}

impl Pattern {
    fn of(glob: &str) -> Self {
        match glob {
            "" => Self::Any,
            glob => compiled(glob).map_or(Self::Unknown, Self::Glob),
        }
    }

    fn matches(&self, name: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Glob(glob) => name.is_some_and(|name| glob.is_match(name)),
            Self::Unknown => false,
        }
    }
}

/// A glob of a silence.
///
/// # Errors
/// What is wrong with it.
pub fn compiled(glob: &str) -> Result<GlobMatcher, String> {
    if glob.is_empty() || glob.len() > GLOB_MAX {
        return Err(format!("{glob:?} is no pattern: give 1 to {GLOB_MAX} characters"));
    }
    let read = globset::Glob::new(glob);
    let read = read.map_err(|error| format!("{glob:?} is no pattern: {}", error.kind()))?;
    Ok(read.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallNs = WallNs(1000);

    fn silence(change: impl FnOnce(&mut AlertSilence)) -> Silence {
        let mut stored = AlertSilence {
            id: "ab".into(),
            rule: String::new(),
            client: String::new(),
            nic: String::new(),
            tag: String::new(),
            from_ns: NOW,
            until_ns: NOW + 10,
            by: "me".into(),
            reason: "new switch".into(),
        };
        change(&mut stored);
        Silence::new(stored)
    }

    #[test]
    fn all_parts_that_are_set_must_match() {
        let tags = TagSet::new(["site=ams".parse().unwrap()]).unwrap();
        let of_nic =
            Silenced { rule: "full", client: Some("web-1"), nic: Some("eth0"), tags: Some(&tags) };
        let of_host = Silenced { rule: "down", nic: None, ..of_nic };
        let of_collector = Silenced { rule: "store", client: None, nic: None, tags: None };
        type Change = fn(&mut AlertSilence);
        let cases: [(Change, [bool; 3]); 10] = [
            (|_| {}, [true, true, true]),
            (|it| it.rule = "full".into(), [true, false, false]),
            (|it| it.client = "web-*".into(), [true, true, false]),
            (|it| it.client = "db-*".into(), [false; 3]),
            (|it| it.nic = "eth[0-3]".into(), [true, false, false]),
            (|it| it.tag = "site=ams".into(), [true, true, false]),
            (|it| it.tag = "site=fra".into(), [false; 3]),
            // What is not understood hides nothing.
            (|it| it.client = "[".into(), [false; 3]),
            (|it| it.tag = "site in (ams, fra)".into(), [false; 3]),
            (
                |it| (it.rule, it.client, it.tag) = ("full".into(), "w*".into(), "site=ams".into()),
                [true, false, false],
            ),
        ];
        for (n, (change, expected)) in cases.into_iter().enumerate() {
            let silence = silence(change);
            let held = [of_nic, of_host, of_collector].map(|it| silence.holds(it, NOW));
            assert_eq!(held, expected, "case {n}");
        }
    }

    #[test]
    fn it_begins_and_ends_at_its_times() {
        let all = Silenced { rule: "full", client: None, nic: None, tags: None };
        let held = [999, 1000, 1009, 1010].map(|ns| silence(|_| {}).holds(all, WallNs(ns)));
        assert_eq!(held, [false, true, true, false]);
    }
}
