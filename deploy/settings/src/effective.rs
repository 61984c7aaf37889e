//! The effective config as YAML, each value with its source.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use figment::value::{Dict, Value};

use crate::layers::{Loaded, Settings};
use crate::output::{Output, warn};

/// Prints the config; writes `notes` and its warnings to the standard error.
///
/// # Errors
/// The output is closed or full.
pub fn print_config<S: Settings>(
    program: &str,
    loaded: &Loaded<S>,
    notes: impl IntoIterator<Item = String>,
    out: &mut Output,
) -> io::Result<()> {
    out.write_all(loaded.to_yaml().as_bytes())?;
    out.flush()?;
    for warning in loaded.warnings.iter().cloned().chain(notes) {
        warn(program, &warning);
    }
    Ok(())
}

impl<S: Settings> Loaded<S> {
    /// The config as YAML that parses to the same config. A comment names the source of each value.
    /// Secrets are masked.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let tree = Value::serialize(&self.config).ok().and_then(Value::into_dict);
        let mut yaml = String::new();
        self.write_section(&mut yaml, &tree.unwrap_or_default(), "", "");
        yaml
    }

    fn write_section(&self, yaml: &mut String, section: &Dict, path: &str, indent: &str) {
        for (key, value) in section {
            let path = format!("{path}{key}");
            // Writing to a string can't fail.
            let _ = match value {
                Value::Dict(_, below) => {
                    let _ = writeln!(yaml, "{indent}{key}:");
                    self.write_section(yaml, below, &format!("{path}."), &format!("{indent}  "));
                    Ok(())
                }
                leaf => writeln!(yaml, "{indent}{key}: {}  # {}", text(leaf), self.source(&path)),
            };
        }
    }
}

pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(_, text) => scalar(text),
        Value::Array(_, entries) => {
            format!("[{}]", entries.iter().map(text).collect::<Vec<_>>().join(", "))
        }
        Value::Num(_, number) => number
            .to_u128_lossy()
            .map_or_else(|| scalar(&format!("{number:?}")), |number| number.to_string()),
        Value::Bool(_, flag) => flag.to_string(),
        _ => "null".to_owned(),
    }
}

/// A text as a YAML scalar, quoted (as in JSON) unless it is certainly plain.
fn scalar(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
    let null = text.eq_ignore_ascii_case("null");
    let marked = text.is_empty() || text.starts_with(['-', '.']);
    if !null && !marked && text.split(' ').all(|word| !word.is_empty() && word.bytes().all(plain)) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}
