//! Reloads a config while the service runs: finds the changes, and which of them apply at once.

use std::collections::BTreeMap;
use std::fmt;

use figment::value::{Dict, Value};

use crate::effective::text;
use crate::layers::Settings;

/// The values in use by a service.
#[derive(Debug)]
pub struct Running {
    values: BTreeMap<String, String>,
    live: &'static [&'static str],
}

/// Result of a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Keys whose new values apply now.
    pub taken: Vec<String>,
    /// Keys whose new values apply after a restart.
    pub restart: Vec<String>,
    /// All changes.
    pub changes: Vec<Change>,
}

/// A changed value. Secrets are masked in both texts, so replacing one by another is no change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key, written with dots.
    pub key: String,
    /// The value in use before.
    pub old: Option<String>,
    /// The value in the config now.
    pub new: String,
    /// It applies now; otherwise after a restart.
    pub live: bool,
}

impl Running {
    /// The values at the start. `live`: the keys and sections that can change while it runs.
    #[must_use]
    pub fn new(config: &impl Settings, live: &'static [&'static str]) -> Self {
        Self { values: values(config), live }
    }

    /// Compares a valid config whose live values are being applied.
    pub fn take(&mut self, config: &impl Settings) -> Reloaded {
        let mut reloaded = Reloaded::default();
        let now = values(config);
        // Of a section with free names, one may be gone.
        let gone = self.values.keys().filter(|key| !now.contains_key(*key)).cloned();
        let gone: Vec<_> = gone.map(|key| (key, "null".to_owned())).collect();
        for (key, value) in now.into_iter().chain(gone) {
            if self.values.get(&key) == Some(&value) {
                continue;
            }
            let live = self.live.iter().any(|live| covers(live, &key));
            let (old, new) = (self.values.get(&key).cloned(), value.clone());
            reloaded.changes.push(Change { key: key.clone(), old, new, live });
            if live {
                self.values.insert(key.clone(), value);
                reloaded.taken.push(key);
            } else {
                // It stays as it is, and is reported each time.
                reloaded.restart.push(key);
            }
        }
        reloaded
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.taken.as_slice() {
            [] => f.write_str("config read again, nothing to apply while running")?,
            taken => write!(f, "config read again, applied: {}", taken.join(", "))?,
        }
        match self.restart.as_slice() {
            [] => Ok(()),
            restart => write!(f, "; need a restart: {}", restart.join(", ")),
        }
    }
}

/// True if `key` is the named key or in the named section.
fn covers(named: &str, key: &str) -> bool {
    key.strip_prefix(named).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn values(config: &impl Settings) -> BTreeMap<String, String> {
    let tree = Value::serialize(config).ok().and_then(Value::into_dict).unwrap_or_default();
    let mut values = BTreeMap::new();
    add(&tree, "", &mut values);
    values
}

fn add(tree: &Dict, path: &str, values: &mut BTreeMap<String, String>) {
    for (key, value) in tree {
        let key = format!("{path}{key}");
        match value {
            Value::Dict(_, below) => add(below, &format!("{key}."), values),
            leaf => drop(values.insert(key, text(leaf))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::error::Problem;

    #[derive(Default, Clone, Serialize, Deserialize)]
    struct Config {
        server: Server,
        level: String,
    }

    #[derive(Default, Clone, Serialize, Deserialize)]
    struct Server {
        host: Option<String>,
        port: u16,
    }

    impl Settings for Config {
        fn check(&mut self, _given: &dyn Fn(&str) -> bool) -> Result<(), Problem> {
            Ok(())
        }
    }

    #[test]
    fn what_changed_is_taken_if_it_can_be_and_else_named_until_a_restart() {
        let mut config = Config::default();
        let mut running = Running::new(&config, &["server.host", "level"]);
        assert_eq!(running.take(&config), Reloaded::default());
        config.level = "debug".into();
        config.server = Server { host: Some("b".into()), port: 7 };
        let reloaded = running.take(&config);
        assert_eq!(reloaded.taken, ["level", "server.host"]);
        assert_eq!(reloaded.restart, ["server.port"]);
        let changed: Vec<_> =
            reloaded.changes.iter().map(|it| (it.key.as_str(), it.new.as_str(), it.live)).collect();
        assert!(changed.contains(&("server.port", "7", false)), "{changed:?}");
        assert!(changed.contains(&("level", "debug", true)), "{changed:?}");
        assert_eq!(reloaded.changes.len(), 3);
        let text = "config read again, applied: level, server.host; need a restart: server.port";
        assert_eq!(reloaded.to_string(), text);
        let again = running.take(&config);
        assert!(again.taken.is_empty() && again.restart == ["server.port"]);
        config.server.port = 0;
        assert_eq!(running.take(&config), Reloaded::default());
    }

    #[test]
    fn a_section_covers_its_keys_and_no_namesake() {
        assert!(covers("server", "server.port") && covers("server", "server"));
        assert!(!covers("server", "servers.port"));
    }
}
