//! The layers of a config: built-in defaults < values found by the program < file < environment <
//! flags.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use figment::error::Error as FigmentError;
use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::causes::InFull as _;

use crate::error::{ConfigError, Problem, explain};
use crate::{service_links, yaml};

/// Source of values that nobody set.
pub const DEFAULT: &str = "default";

/// A configurable program.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name, which begins each of its error lines.
    pub name: &'static str,
    /// Prefix of its environment variables.
    pub env_prefix: &'static str,
    /// The file read by default, if it exists.
    pub default_file: &'static str,
}

/// A typed config. Its `Default` holds all keys with their built-in defaults.
pub trait Settings: Default + Serialize + DeserializeOwned {
    /// Checks rules that the types don't express, and sets defaults that depend on other keys. `given`
    /// tells whether a key was set.
    ///
    /// # Errors
    /// The first invalid value.
    fn check(&mut self, given: &dyn Fn(&str) -> bool) -> Result<(), Problem>;

    /// The keys that now hold a secret; a file that sets one should not be world-readable.
    fn secrets(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The files that hold only a secret, by key; none should be world-readable.
    fn secret_files(&self) -> Vec<(Cow<'static, str>, &Path)> {
        Vec::new()
    }
}

/// A value and its source: a flag, or found by the program.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its source, for example `--log-level`.
    pub origin: Cow<'static, str>,
    /// The key, written with dots.
    pub key: &'static str,
    /// The value as text.
    pub value: String,
}

/// A config, and the source of each value.
#[derive(Debug)]
pub struct Loaded<S> {
    /// The config.
    pub config: S,
    /// Notices for the operator that don't prevent the start.
    pub warnings: Vec<String>,
    sources: Sources,
    /// Why a layer is missing.
    unread: Option<String>,
}

impl<S> Loaded<S> {
    /// The source of a key's value: file and line, variable, flag or `default`.
    #[must_use]
    pub fn source(&self, key: &str) -> String {
        self.sources.place(key)
    }

    /// True if a key was set.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.sources.origin(key) != DEFAULT
    }

    /// Notes that a layer is unreadable, so any key without a value may have one there.
    pub fn note_unread(&mut self, why: &ConfigError) {
        self.warnings.push(why.in_full().to_string());
        self.unread = Some(why.in_full().to_string());
    }

    /// The error for a value refused later, when a command needs it.
    #[must_use]
    pub fn refuse(&self, mut problem: Problem) -> ConfigError {
        if let (false, Some(unread)) = (self.is_set(&problem.key), &self.unread) {
            problem.why = format!("not known: {unread}");
        }
        self.sources.refuse(problem)
    }
}

/// Reads all layers. `found` overrides the defaults, `flags` override everything.
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
    let path = file.unwrap_or_else(|| Path::new(program.default_file));
    let mut sources = Sources::new(defaults.clone(), path);
    sources.add_given(found);
    sources.add_file(file.is_some())?;
    let links = sources.add_environment(program);
    sources.add_given(flags);
    sources.check_sections(&defaults, "")?;
    let mut config: S =
        sources.figment.extract_lossy().map_err(|error| sources.explain(error, &known))?;
    let given = |key: &str| sources.origin(key) != DEFAULT;
    config.check(&given).map_err(|problem| sources.refuse(problem))?;
    let mut warnings = sources.exposed(&config.secrets(), &config.secret_files());
    warnings.extend(service_links::warning(&links));
    Ok(Loaded { config, warnings, sources, unread: None })
}

fn defaults<S: Settings>() -> Dict {
    Value::serialize(S::default()).ok().and_then(Value::into_dict).unwrap_or_default()
}

/// All sections and keys of a tree, joined with dots.
fn keys(tree: &Dict) -> Vec<String> {
    let nested = tree.iter().flat_map(|(key, value)| {
        let below = value.as_dict().map(keys).unwrap_or_default();
        let below = below.into_iter().map(move |below| format!("{key}.{below}"));
        std::iter::once(key.clone()).chain(below)
    });
    nested.collect()
}

/// One layer: a tree and its source.
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

/// All layers, and the line numbers of the file's keys.
#[derive(Debug)]
struct Sources {
    figment: Figment,
    /// The config file, which may not exist.
    file: PathBuf,
    lines: BTreeMap<String, u64>,
}

impl Sources {
    fn new(defaults: Dict, file: &Path) -> Self {
        let layer = Layer { origin: DEFAULT.to_owned(), tree: defaults };
        Self { figment: Figment::from(layer), file: file.to_owned(), lines: BTreeMap::new() }
    }

    fn add(&mut self, origin: String, tree: Dict) {
        self.figment = std::mem::take(&mut self.figment).merge(Layer { origin, tree });
    }

    fn add_value(&mut self, origin: String, key: &str, value: String) {
        self.add(origin, nest(key, Value::from(value)).into_dict().unwrap_or_default());
    }

    fn add_given(&mut self, given: &[Given]) {
        for Given { origin, key, value } in given {
            self.add_value(origin.clone().into_owned(), key, value.clone());
        }
    }

    /// Reads the file. It may be missing unless it was named.
    fn add_file(&mut self, named: bool) -> Result<(), ConfigError> {
        match yaml::read(&self.file) {
            Err(ConfigError::Unreadable { error, .. })
                if !named && error.io_kind() == Some(ErrorKind::NotFound) => {}
            document => {
                let document = document?;
                self.add(self.file.display().to_string(), document.tree);
                self.lines = document.lines;
            }
        }
        Ok(())
    }

    /// Reads the environment. `RUST_LOG` is an alias of the variable for `log.level`. Returns the names
    /// of variables that have this program's prefix by chance.
    fn add_environment(&mut self, program: &Program) -> Vec<String> {
        let variables = env::vars_os().map(|(name, value)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        });
        // An empty variable counts as none, like a key without value in the file.
        let variables: BTreeMap<_, _> = variables.filter(|(_, value)| !value.is_empty()).collect();
        if let Some(level) = variables.get("RUST_LOG") {
            self.add_value("RUST_LOG".to_owned(), "log.level", level.clone());
        }
        let mut links = Vec::new();
        for (name, value) in variables {
            match name.strip_prefix(program.env_prefix) {
                Some(key) if service_links::is_service_link(key, &value) => links.push(name),
                Some(key) => {
                    let key = key.to_lowercase().replace("__", ".");
                    self.add_value(name, &key, value);
                }
                None => {}
            }
        }
        links
    }

    /// Refuses a value or list in place of a section, because serde would accept a list. Hides the
    /// value, because it may be a whole database.url.
    fn check_sections(&self, section: &Dict, path: &str) -> Result<(), ConfigError> {
        for (key, value) in section {
            let Some(below) = value.as_dict() else { continue };
            let key = format!("{path}{key}");
            if self.figment.find_value(&key).is_ok_and(|value| value.as_dict().is_none()) {
                let below = below.keys().cloned().collect::<Vec<_>>().join(", ");
                let why = format!("a section, not a value; its keys are {below}");
                return Err(ConfigError::Key { place: self.place(&key), key, why });
            }
            self.check_sections(below, &format!("{key}."))?;
        }
        Ok(())
    }

    /// The source of a key's value.
    fn origin(&self, key: &str) -> &str {
        self.figment.find_metadata(key).map_or(DEFAULT, |metadata| &metadata.name)
    }

    fn place(&self, key: &str) -> String {
        self.place_of(self.origin(key), key)
    }

    /// The source of a key, with the line number if it is the file.
    fn place_of(&self, origin: &str, key: &str) -> String {
        let line = if self.is_file(origin) { self.line(key) } else { None };
        yaml::at(origin, line)
    }

    fn is_file(&self, origin: &str) -> bool {
        self.file.display().to_string() == origin
    }

    /// The line of a key; for an entry of a list, the list's line.
    fn line(&self, key: &str) -> Option<u64> {
        let parent = || self.line(key.rsplit_once('.')?.0);
        self.lines.get(key).copied().or_else(parent)
    }

    /// A value that nobody set is reported for the file where it belongs.
    fn refuse(&self, Problem { key, why }: Problem) -> ConfigError {
        let place = match self.origin(&key) {
            _ if key.starts_with("--") => "command line".to_owned(),
            DEFAULT => self.file.display().to_string(),
            _ => self.place(&key),
        };
        ConfigError::Key { place, key: key.into_owned(), why }
    }

    fn explain(&self, error: FigmentError, known: &[String]) -> ConfigError {
        let key = error.path.join(".");
        let origin = error.metadata.as_ref().map_or(DEFAULT, |metadata| &metadata.name);
        let why = explain(&key, &error.kind, known);
        ConfigError::Key { place: self.place_of(origin, &key), key, why }
    }

    /// Warns of each secret that every user of the host can read.
    fn exposed(&self, secrets: &[&str], secret_files: &[(Cow<'_, str>, &Path)]) -> Vec<String> {
        let inside = secrets.iter().filter(|key| self.is_file(self.origin(key)));
        let inside = inside.map(|key| (*key, self.file.as_path()));
        let files = secret_files.iter().map(|(key, file)| (key.as_ref(), *file));
        let exposed = inside.chain(files);
        let exposed = exposed.filter(|(_, file)| world_readable(file));
        let warning = |(key, file): (&str, &Path)| {
            let file = file.display();
            format!("{file}: every user of this host can read {key}; run `chmod 640 {file}`")
        };
        exposed.map(warning).collect()
    }
}

fn world_readable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
