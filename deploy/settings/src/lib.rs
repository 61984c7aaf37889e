//! Shared by agent and collector: config layers, values with units, errors, logs, signals and exit
//! codes, and the full screen of `top`. Nothing here depends on either program.
//!
//! Every layer but the defaults is a tree of texts, parsed into the typed config after all layers are
//! merged. So a password of digits keeps its leading zeros, and an error can name the line, variable or
//! flag of a value.

#![forbid(unsafe_code)]

mod disk;
mod doctor;
mod effective;
mod error;
mod exit;
mod failures;
mod foreign;
mod interrupt;
mod layers;
mod log;
mod names;
mod options;
mod output;
mod reload;
mod sections;
mod service;
mod service_links;
pub mod terminal;
pub mod units;
mod value;
mod yaml;

pub use self::disk::free_space;
pub use self::doctor::{Finding, Level, examine_time_sync, print_findings};
pub use self::effective::print_config;
pub use self::error::{ConfigError, Problem, way_out};
pub use self::exit::run;
pub use self::failures::{Failures, SharedFailures, Tell, words};
pub use self::foreign::{Foreign, columns};
pub use self::interrupt::interrupted;
pub use self::layers::{Given, Loaded, Program, Settings, load};
pub use self::log::{set_log_level, start_log};
pub use self::names::{Names, is_known_command};
pub use self::options::Options;
pub use self::output::{Output, Raw, hint, progress, warn};
pub use self::reload::{Change, Reloaded, Running};
pub use self::sections::{AUDIT_TARGET, Log, LogFormat, LogLevel, Tls};
pub use self::service::{Pulse, Service};
pub use self::value::{Interval, InvalidInterval, InvalidSize, Secret, Size, list};
pub use self::yaml::texts;
pub use wire::causes::{Chain, InFull};
