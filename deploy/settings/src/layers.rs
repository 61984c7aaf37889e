//! The layers of a config: built-in defaults < what the program found out < file < environment <
//! flags.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use figment::error::Error as FigmentError;
use figment::providers::Env;
use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ConfigError, Problem, explain};
use crate::yaml;

/// Where the values come from that nobody set.
pub const DEFAULT: &str = "default";

/// A program that is configured.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name, which starts each of its error lines.
    pub name: &'static str,
    /// What the names of its environment variables start with.
    pub env_prefix: &'static str,
    /// The file that is read if it exists and no other is named.
    pub default_file: &'static str,
}

/// A typed config. Its `Default` holds the built-in defaults and all keys there are.
pub trait Settings: Default + Serialize + DeserializeOwned {
    /// Checks what the types don't say, and settles defaults that depend on other keys. `given`
    /// tells whether somebody set a key.
    ///
    /// # Errors
    /// The first value that can't be.
    fn check(&mut self, given: &dyn Fn(&str) -> bool) -> Result<(), Problem>;

    /// The keys that hold a secret now: a file that sets one should not be world-readable.
    fn secrets(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// One value and who gave it: a flag's, or one the program found out.
#[derive(Debug, Clone)]
pub struct Given {
    /// Who gave it, for example `--log-level`.
    pub origin: &'static str,
    /// The key, written with dots.
    pub key: &'static str,
    /// The value as text.
    pub value: String,
}

/// A config, and where each value came from.
#[derive(Debug)]
pub struct Loaded<S> {
    /// The config.
    pub config: S,
    /// What the operator should know though it stops nothing.
    pub warnings: Vec<String>,
    sources: Sources,
}

impl<S> Loaded<S> {
    /// Where the value of a key came from: file and line, variable, flag or `default`.
    #[must_use]
    pub fn source(&self, key: &str) -> String {
        self.sources.place(key)
    }

    /// The error for a value that is refused later, for what one command needs.
    #[must_use]
    pub fn refuse(&self, problem: Problem) -> ConfigError {
        self.sources.refuse(problem)
    }
}

/// Reads all layers. `found` lies right over the defaults, `flags` over everything.
///
/// # Errors
/// The file can't be read, or the first key or value that is refused.
pub fn load<S: Settings>(
    program: &Program,
    file: Option<&Path>,
    found: &[Given],
    flags: &[Given],
) -> Result<Loaded<S>, ConfigError> {
    let defaults = defaults::<S>();
    let known = keys(&defaults);
    let mut sources = Sources::new(defaults);
    sources.add_given(found);
    sources.add_file(program, file)?;
    sources.add_environment(program);
    sources.add_given(flags);
    let mut config: S =
        sources.figment.extract_lossy().map_err(|error| sources.explain(error, &known))?;
    let given = |key: &str| sources.origin(key) != DEFAULT;
    config.check(&given).map_err(|problem| sources.refuse(problem))?;
    let warnings = sources.exposed(&config.secrets());
    Ok(Loaded { config, warnings, sources })
}

fn defaults<S: Settings>() -> Dict {
    Value::serialize(S::default()).ok().and_then(Value::into_dict).unwrap_or_default()
}

/// All sections and keys of a tree, written with dots.
fn keys(tree: &Dict) -> Vec<String> {
    let nested = tree.iter().flat_map(|(key, value)| {
        let below = value.as_dict().map(keys).unwrap_or_default();
        let below = below.into_iter().map(move |below| format!("{key}.{below}"));
        std::iter::once(key.clone()).chain(below)
    });
    nested.collect()
}

/// One layer: a tree, and who says so.
struct Layer {
    origin: String,
    tree: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, FigmentError> {
        Ok(Profile::Default.collect(self.tree.clone()))
    }
}

/// All layers over each other, and the lines of the file's keys.
#[derive(Debug)]
struct Sources {
    figment: Figment,
    file: Option<PathBuf>,
    lines: BTreeMap<String, u64>,
}

impl Sources {
    fn new(defaults: Dict) -> Self {
        let layer = Layer { origin: DEFAULT.to_owned(), tree: defaults };
        Self { figment: Figment::from(layer), file: None, lines: BTreeMap::new() }
    }

    fn add(&mut self, origin: String, tree: Dict) {
        self.figment = std::mem::take(&mut self.figment).merge(Layer { origin, tree });
    }

    fn add_value(&mut self, origin: String, key: &str, value: String) {
        self.add(origin, nest(key, Value::from(value)).into_dict().unwrap_or_default());
    }

    fn add_given(&mut self, given: &[Given]) {
        for Given { origin, key, value } in given {
            self.add_value((*origin).to_owned(), key, value.clone());
        }
    }

    fn add_file(&mut self, program: &Program, named: Option<&Path>) -> Result<(), ConfigError> {
        let path = named.unwrap_or_else(|| Path::new(program.default_file));
        let document = match yaml::read(path) {
            Err(ConfigError::Unreadable { error, .. })
                if named.is_none() && error.kind() == std::io::ErrorKind::NotFound =>
            {
                return Ok(());
            }
            document => document?,
        };
        self.add(path.display().to_string(), document.tree);
        self.lines = document.lines;
        self.file = Some(path.to_owned());
        Ok(())
    }

    /// The variables that aren't empty; `RUST_LOG` is another name of `log.level`.
    fn add_environment(&mut self, program: &Program) {
        if let Ok(level) = std::env::var("RUST_LOG")
            && !level.is_empty()
        {
            self.add_value("RUST_LOG".to_owned(), "log.level", level);
        }
        for (key, value) in Env::prefixed(program.env_prefix).iter() {
            if !value.is_empty() {
                let origin = format!("{}{}", program.env_prefix, key.as_str().to_uppercase());
                self.add_value(origin, &key.as_str().replace("__", "."), value);
            }
        }
    }

    /// Who gave the value of a key.
    fn origin(&self, key: &str) -> &str {
        self.figment.find_metadata(key).map_or(DEFAULT, |metadata| &metadata.name)
    }

    fn place(&self, key: &str) -> String {
        self.place_of(self.origin(key), key)
    }

    /// Where an origin gave a key: with the line if it is the file.
    fn place_of(&self, origin: &str, key: &str) -> String {
        let in_file = self.file.as_ref().is_some_and(|file| file.display().to_string() == origin);
        yaml::at(origin, in_file.then(|| self.line(key)).flatten())
    }

    /// The line of a key; an entry of a list has that of the list.
    fn line(&self, key: &str) -> Option<u64> {
        let parent = || self.line(key.rsplit_once('.')?.0);
        self.lines.get(key).copied().or_else(parent)
    }

    fn refuse(&self, Problem { key, why }: Problem) -> ConfigError {
        ConfigError::Key { place: self.place(key), key: key.to_owned(), why }
    }

    fn explain(&self, error: FigmentError, known: &[String]) -> ConfigError {
        let key = error.path.join(".");
        let origin = error.metadata.as_ref().map_or(DEFAULT, |metadata| &metadata.name);
        let why = explain(&key, &error.kind, known);
        ConfigError::Key { place: self.place_of(origin, &key), key, why }
    }

    /// A warning for each secret that stands in a world-readable file.
    fn exposed(&self, secrets: &[&str]) -> Vec<String> {
        let Some(file) = self.file.as_ref().filter(|file| world_readable(file)) else {
            return Vec::new();
        };
        let file = file.display().to_string();
        let inside = secrets.iter().filter(|key| self.origin(key) == file);
        let warning = |key: &&str| {
            format!("{file}: every user of this host can read {key}; run `chmod 640 {file}`")
        };
        inside.map(warning).collect()
    }
}

fn world_readable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
