//! Keeps the limits in `deploy/SECURITY.md` equal to the code.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use collector::config::{self, Config};
use serde_json::{Map, Value};
use settings::Options;

fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The rows of the table of limits: key and default.
fn told() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(repo("deploy/SECURITY.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
        let [key, unit, default, over, ""] = cells.as_slice() else { return None };
        assert!(!unit.is_empty() && !over.is_empty(), "{line}");
        Some((key.trim_matches('`').to_owned(), (*default).to_owned()))
    });
    rows.collect()
}

/// All full keys below a key.
fn keys(prefix: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => {
            map.iter().flat_map(|(key, value)| keys(&format!("{prefix}.{key}"), value)).collect()
        }
        _ => vec![prefix.to_owned()],
    }
}

/// Sets a key with several parts.
fn set(map: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        None => drop(map.insert(key.to_owned(), value)),
        Some((first, rest)) => {
            let inner = map.entry(first).or_insert_with(|| Value::Object(Map::new()));
            set(inner.as_object_mut().unwrap(), rest, value);
        }
    }
}

#[test]
fn its_table_has_every_limit_at_its_default() {
    let (told, default) = (told(), Config::default());
    let json = serde_json::to_value(&default).unwrap();
    let limits = [("limits", &json["limits"]), ("http.limits", &json["http"]["limits"])];
    let known: Vec<String> = limits.iter().flat_map(|(at, value)| keys(at, value)).collect();
    let missing: Vec<&String> = known.iter().filter(|key| !told.contains_key(*key)).collect();
    assert!(missing.is_empty(), "limits that the table doesn't name: {missing:?}");
    let gone: Vec<&String> = told.keys().filter(|key| !known.contains(key)).collect();
    assert!(gone.is_empty(), "limits that no longer exist: {gone:?}");

    // A file that sets all of them.
    let mut file = Map::new();
    for (key, value) in &told {
        let number = value.parse::<u64>().map(Value::from);
        set(&mut file, key, number.unwrap_or_else(|_| Value::from(value.as_str())));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collector.yaml");
    std::fs::write(&path, Value::Object(file).to_string()).unwrap();
    let options = Options { config: Some(path), ..Options::default() };
    let loaded = config::load(&options).unwrap().config;
    assert_eq!(loaded.limits, default.limits);
    assert_eq!(loaded.http.limits, default.http.limits);
}
