//! Values in flags, files and queries: durations, sizes, addresses, globs, times; and foreign text as
//! it is shown.

use std::fmt::Display;
use std::str::FromStr;

use agent::config::{HostPort, NicGlob};
use collector::time::Time;
use settings::{Foreign, Interval, Size};

use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "values",
    about: "durations, sizes, addresses, globs, times, and foreign text as shown (settings)",
    input_max: KIB,
    memory_max: 4 * MIB,
    run,
};

fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    again::<Interval>(text);
    again::<Size>(text);
    again::<HostPort>(text);
    again::<NicGlob>(text);
    if let Some(time) = Time::parse(text) {
        assert_eq!(Time::parse(&time.to_string()), Some(time));
    }
    show(text);
}

/// An accepted value prints as text that parses to an equal value.
fn again<T: FromStr + Display + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert_eq!(written.parse::<T>().ok(), Some(value), "{text:?}, written as {written:?}");
    }
}

/// Shown text can't steer the terminal, and JSON parses it back.
fn show(text: &str) {
    let shown = Foreign(text).to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    let padded = format!("{:>12}", Foreign(text));
    assert_eq!(padded.trim_start_matches(' '), shown.trim_start_matches(' '));
    assert!(settings::columns(&padded) >= 12);
    let json = serde_json::to_string(text).unwrap();
    let escaped = Foreign(&json).to_string();
    assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
}
