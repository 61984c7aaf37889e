//! Config errors in one line: place, key, value and remedy.

use std::borrow::Cow;
use std::fmt::Display;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use figment::error::{Actual, Kind};
use wire::advice::Advised;
use wire::permission;

/// Why a config is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{file}")]
    Unreadable {
        /// Its path.
        file: String,
        /// The error of the system, with the remedy.
        #[source]
        error: Advised,
    },
    /// The file is not a YAML document of keys and values.
    #[error("{place}: not a valid config file: {why}")]
    Syntax {
        /// File and line.
        place: String,
        /// What is wrong there.
        why: String,
    },
    /// A key is unknown, or its value is invalid.
    #[error("{place}: {key}: {why}")]
    Key {
        /// File and line, variable or flag.
        place: String,
        /// The key, written with dots.
        key: String,
        /// The fault and the remedy.
        why: String,
    },
}

impl ConfigError {
    /// A file that can't be read.
    #[must_use]
    pub fn unreadable(file: String, error: io::Error) -> Self {
        let way_out = readable_again(&file, &error);
        Self::Unreadable { file, error: Advised::new(error, way_out) }
    }
}

fn readable_again(file: &str, error: &io::Error) -> String {
    let otherwise = match error.kind() {
        io::ErrorKind::NotFound => "name an existing file with -c",
        io::ErrorKind::IsADirectory => "name the file in it with -c",
        io::ErrorKind::InvalidData => "save it as UTF-8",
        _ => "name another file with -c",
    };
    permission::way_out(Path::new(file), error, otherwise)
}

/// The remedy for a system error. Some kinds have one remedy in every situation; for all others it is
/// `otherwise`.
#[must_use]
pub fn way_out(error: &io::Error, otherwise: &'static str) -> &'static str {
    match error.raw_os_error() {
        Some(EMFILE) => {
            "this process has too many open files; raise the limit (LimitNOFILE= of the unit, or \
             ulimit -n)"
        }
        Some(ENFILE) => "this host has too many open files; raise fs.file-max (sysctl)",
        Some(EAFNOSUPPORT) => "this host has no such addresses (is IPv6 off?); name another one",
        _ => otherwise,
    }
}

/// Numbers of errors (`include/uapi/asm-generic/errno-base.h`, `errno.h`).
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const EAFNOSUPPORT: i32 = 97;

/// A value that its type allows but that is invalid: the key, the reason and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct Problem {
    /// The key, written with dots.
    pub key: Cow<'static, str>,
    /// The fault of its value and the remedy.
    pub why: String,
}

impl Problem {
    /// A problem with a key.
    #[must_use]
    pub fn new(key: impl Into<Cow<'static, str>>, why: impl Into<String>) -> Self {
        Self { key: key.into(), why: why.into() }
    }

    /// Fails with `why` unless `kept` is true.
    ///
    /// # Errors
    /// `kept` is false.
    pub fn unless(
        kept: bool,
        key: impl Into<Cow<'static, str>>,
        why: impl FnOnce() -> String,
    ) -> Result<(), Self> {
        if kept { Ok(()) } else { Err(Self::new(key, why())) }
    }

    /// Fails unless a value is within its range.
    ///
    /// # Errors
    /// It is outside.
    pub fn unless_within<T: PartialOrd + Display>(
        key: impl Into<Cow<'static, str>>,
        value: &T,
        range: &RangeInclusive<T>,
    ) -> Result<(), Self> {
        Self::unless(range.contains(value), key, || {
            format!("{value} is out of range; choose {} to {}", range.start(), range.end())
        })
    }
}

/// Explains serde's error to people who know neither serde nor Rust. `known` are all keys.
pub fn explain(key: &str, kind: &Kind, known: &[String]) -> String {
    match kind {
        Kind::UnknownField(_, siblings) => match nearest(key, known) {
            Some(nearest) => format!("unknown key; did you mean {nearest}?"),
            None => format!("unknown key; known here: {}", siblings.join(", ")),
        },
        Kind::InvalidType(value, expected) | Kind::InvalidValue(value, expected) => {
            format!("{} is not {}", shown(value), plain(expected))
        }
        Kind::UnknownVariant(value, variants) => {
            format!("{value:?} is unknown; choose one of {}", variants.join(", "))
        }
        other => other.to_string(),
    }
}

/// The known key most likely meant by a misspelt or misplaced one.
fn nearest<'a>(key: &str, known: &'a [String]) -> Option<&'a String> {
    let leaf = last_part(key);
    let distance = |other: &String| {
        let misspelt = strsim::osa_distance(key, other);
        let misplaced = strsim::osa_distance(leaf, last_part(other)) + 1;
        misspelt.min(misplaced)
    };
    let nearest = known.iter().map(|other| (distance(other), other)).min()?;
    (nearest.0 <= 1 + leaf.len() / 4).then_some(nearest.1)
}

fn last_part(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn shown(value: &Actual) -> String {
    match value {
        Actual::Str(text) => format!("{text:?}"),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Map => "a section".to_owned(),
        Actual::Seq => "a list".to_owned(),
        other => other.to_string(),
    }
}

fn plain(expected: &str) -> String {
    match expected {
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "usize" | "u64" => "a whole number from 0".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "path string" => "one text".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<String> {
        let keys = ["server", "server.host", "server.port", "monitor", "monitor.sample_interval"];
        keys.map(str::to_owned).to_vec()
    }

    #[test]
    fn what_the_system_lacks_has_its_own_way_out() {
        let said = |number| way_out(&io::Error::from_raw_os_error(number), "otherwise");
        assert!(said(EMFILE).contains("LimitNOFILE= of the unit, or ulimit -n"));
        assert!(said(ENFILE).contains("fs.file-max"));
        assert!(said(EAFNOSUPPORT).contains("is IPv6 off?"));
        assert_eq!(said(13), "otherwise");
    }

    #[test]
    fn a_misspelt_or_misplaced_key_gets_the_nearest_known_one() {
        for (key, meant) in [
            ("monitor.sample_intervall", Some("monitor.sample_interval")),
            ("server.prot", Some("server.port")),
            ("montior", Some("monitor")),
            ("sample_interval", Some("monitor.sample_interval")),
            ("client.host", Some("server.host")),
            ("colour", None),
        ] {
            let known = known();
            assert_eq!(nearest(key, &known).map(String::as_str), meant, "{key}");
        }
    }
}
