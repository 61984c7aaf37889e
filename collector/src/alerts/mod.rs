//! Alerts, for those without Prometheus' Alertmanager: rules over live samples and states, and messages
//! about what they find.
//!
//! How an alert gets out:
//!
//! - [`config`] and [`AlertRules`]: what is watched, checked at the start and at reload.
//! - [`Engine`]: judges each sample as it arrives ([`state`] decides), and every second what [`watch`]
//!   sees: clients that are down, clocks, certificates, the store, the disk.
//! - [`with_talkers`]: what is about a NIC waits a moment for the talkers of its sample.
//! - [`Recorder`]: writes an incident and the messages about it in one transaction. Of collectors of one
//!   database the first one does; the others see it. What no rule of any of them is about any more, ends
//!   (`keepers`).
//! - [`AlertOutbox`]: one collector claims a message for a while, sends it and notes that. If it dies in
//!   between, the message is sent again with the same id.
//!
//! # Adding a measure
//! A line in each `match` of [`measure`], and the words of its messages in `message.rs`. Then give values
//! of it to [`Engine::observe`].

pub mod config;
mod csv;
mod delivery;
mod emitted;
mod engine;
mod holder;
mod incident_id;
mod keepers;
mod looks;
pub mod measure;
mod memory_outbox;
mod message;
mod message_talkers;
mod naming;
mod outbox;
mod owner;
mod queued_change;
mod quiet;
mod recorder;
mod rule;
mod samples;
mod seen_talkers;
mod silence;
pub mod state;
mod targets;
mod template;
pub mod watch;

pub use self::config::AlertsSection;
pub use self::csv::csv;
pub use self::delivery::DELIVERIES;
pub use self::engine::Engine;
pub use self::keepers::CONFIRM;
pub use self::message::{MessageFacts, side, title};
pub use self::message_talkers::{AlertOwner, AlertTalker, AlertTalkers};
pub use self::naming::{AlertTap, with_talkers};
pub use self::outbox::AlertOutbox;
pub use self::owner::{Judge, Owner};
pub use self::recorder::{FIRING, Recorder};
pub use self::rule::{AlertRule, AlertRules, SILENCE_MAX};
pub use self::silence::compiled as compiled_glob;
pub use self::targets::{SendError, Target, targets};
