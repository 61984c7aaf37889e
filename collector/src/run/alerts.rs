//! Alerts of the running collector: starts their parts, and applies new rules and targets.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use settings::{Problem, free_space};
use tokio::task::JoinHandle;
use wire::certificate::Facts;
use wire::pem::{self, TlsFiles};

use super::health::Health;
use crate::accounts::AccountBook;
use crate::alerts::watch::{self, CertificateEnd, Sights};
use crate::alerts::{
    AlertOutbox, AlertRules, AlertsSection, CONFIRM, Engine, Recorder, Target, targets,
    with_talkers,
};
use crate::config::Config;
use crate::live::Live;
use crate::store::Database;
use crate::web::AlertInbox;

/// Rules and targets, checked.
pub struct AlertPlan {
    rules: AlertRules,
    targets: Vec<Target>,
    url: Option<String>,
}

impl AlertPlan {
    /// Checks a section of the config.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(section: &AlertsSection) -> Result<Self, Problem> {
        let (rules, targets) = (AlertRules::of(section)?, targets(section)?);
        Ok(Self { rules, targets, url: section.url.clone() })
    }
}

/// The running alerts.
#[derive(Debug)]
pub struct Alerting {
    engine: Arc<Engine>,
    outbox: Arc<AlertOutbox>,
    url: Arc<RwLock<Option<String>>>,
    section: AlertsSection,
    tasks: [JoinHandle<()>; 2],
}

impl Alerting {
    /// Starts them.
    ///
    /// # Errors
    /// What is wrong with rules or targets.
    pub fn start(
        config: &Config,
        keys: (Option<&TlsFiles>, PathBuf),
        store: &Arc<dyn Database>,
        live: &Live,
        health: &Health,
        book: &AccountBook,
    ) -> Result<Self, Problem> {
        let plan = AlertPlan::of(&config.alerts)?;
        let (engine, emitted) = Engine::new(plan.rules);
        let (tap, emitted) = with_talkers(engine.clone(), emitted);
        live.set_tap(tap);
        let run = run_number();
        let outbox = Arc::new(AlertOutbox::new(store.clone(), run));
        outbox.serve(plan.targets);
        let url = Arc::new(RwLock::new(plan.url));
        let read = url.clone();
        let recorder = Recorder {
            engine: engine.clone(),
            store: store.clone(),
            outbox: outbox.clone(),
            live: live.clone(),
            url: Arc::new(move || read.read().unwrap_or_else(PoisonError::into_inner).clone()),
            name: host_name(),
            run,
            confirm: CONFIRM,
        };
        let (files, data_dir) = (certificate_files(config, keys), config.data_dir.clone());
        let health = health.clone();
        let sights = Sights {
            live: live.clone(),
            store: Arc::new(move || health.state()),
            certificates: Arc::new(move || certificates(&files)),
            book: book.clone(),
            disk: Arc::new(move || free_space(&data_dir).ok()),
            name: host_name(),
        };
        let tasks = [
            tokio::spawn(recorder.run(emitted)),
            tokio::spawn(watch::follow(engine.clone(), sights)),
        ];
        Ok(Self { engine, outbox, url, section: config.alerts.clone(), tasks })
    }

    /// What the pages show.
    pub fn inbox(&self, store: Arc<dyn Database>) -> AlertInbox {
        let engine = self.engine.clone();
        AlertInbox { store, rules: Arc::new(move || engine.rules()) }
    }

    /// Takes new rules and targets.
    pub fn replace(&mut self, section: &AlertsSection, plan: AlertPlan) {
        // First the targets, which the messages of the rules go to. Their files may have changed.
        self.outbox.serve(plan.targets);
        if self.section == *section {
            return;
        }
        self.section = section.clone();
        *self.url.write().unwrap_or_else(PoisonError::into_inner) = plan.url;
        self.engine.replace(plan.rules);
    }
}

impl Drop for Alerting {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A number that no other run has.
fn run_number() -> u64 {
    let mut random = [0; 8];
    if getrandom::fill(&mut random).is_err() {
        random = crate::time::now_ns().get().to_be_bytes();
    }
    // As 63 bits, and not 0, which stands for nobody.
    (u64::from_be_bytes(random) >> 1).max(1)
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    format!("collector {}", name.unwrap_or_else(|| "without a name".to_owned()))
}

/// Files with certificates of the collector, and what they are.
fn certificate_files(
    config: &Config,
    (tls, identity): (Option<&TlsFiles>, PathBuf),
) -> Vec<(&'static str, PathBuf)> {
    let of = |file: &str| identity.join(file);
    let (ca, cert) = tls.map_or_else(
        || (of("ca.pem"), of("server.pem")),
        |files| (files.ca.clone(), files.cert.clone()),
    );
    let http = config.http.tls.cert.clone().map(|file| ("the certificate of the pages", file));
    let own =
        [("the authority of the agents' certificates", ca), ("the certificate for agents", cert)];
    own.into_iter().chain(http).collect()
}

/// When they expire. What can't be read is left out: the log and `collector doctor` say so.
fn certificates(files: &[(&'static str, PathBuf)]) -> Vec<CertificateEnd> {
    let end = |(what, file): &(&str, PathBuf)| {
        Some((format!("{what} ({})", file.display()), first_end(file)?))
    };
    files.iter().filter_map(end).collect()
}

/// When the first certificate of a file expires, seconds since 1970 (UTC).
fn first_end(file: &Path) -> Option<u64> {
    let found = pem::read_certificates(file).ok()?;
    let facts = Facts::read(found.first()?).ok()?;
    Some(facts.validity.not_after.as_secs())
}
