//! SIGHUP: reads the config again and applies what can change while the collector runs.

use std::net::IpAddr;

use settings::{Change, ConfigError, InFull, Loaded, Reloaded, Running};
use tokio::sync::watch;

use super::alerts::{AlertPlan, Alerting};
use crate::accounts::AccountBook;
use crate::audit::{self, AuditEvent, AuditRecord};
use crate::config::Config;
use crate::ingest::Reloader;
use crate::store::RetentionLimits;
use crate::web::{Access, HttpTls};

/// The config in force, and the parts that take its live values.
#[derive(Debug)]
pub struct Reload {
    pub running: Running,
    /// Address of the pages in use, whatever the config says now.
    pub http: IpAddr,
    pub access: Access,
    pub kept: watch::Sender<RetentionLimits>,
    pub book: AccountBook,
    pub certificates: Reloader,
    /// TLS of the pages, if they use it.
    pub http_tls: Option<HttpTls>,
    pub alerting: Alerting,
}

impl Reload {
    /// Reads the config. Nothing is applied before all of it is checked.
    pub fn reload(
        &mut self,
        load: &impl Fn() -> Result<Loaded<Config>, ConfigError>,
    ) -> Result<Reloaded, String> {
        let loaded = load().map_err(|error| error.in_full().to_string())?;
        let config = &loaded.config;
        let refused = |problem| loaded.refuse(problem).to_string();
        config.http.check_address(self.http).map_err(refused)?;
        let access = config.http.access().map_err(refused)?;
        config.tls.files().map_err(refused)?;
        let accounts = config.accounts.all().map_err(refused)?;
        let alerts = AlertPlan::of(&config.alerts).map_err(refused)?;
        self.certificates.reload().map_err(|error| error.in_full().to_string())?;
        if let Some(tls) = &self.http_tls {
            tls.reload().map_err(|error| error.in_full().to_string())?;
        }
        settings::set_log_level(&config.log);
        config.http.unbelieved().iter().for_each(|warning| tracing::warn!("{warning}"));
        self.access.replace(&access);
        self.book.set(accounts);
        self.alerting.replace(&config.alerts, alerts);
        self.kept.send_replace(config.retention.limits());
        let reloaded = self.running.take(config);
        for Change { key, old, new, live } in &reloaded.changes {
            let when = if *live { "from now on" } else { "after a restart" };
            audit::log(&AuditRecord {
                key: Some(key.clone()),
                old: old.clone(),
                new: Some(new.clone()),
                detail: Some(when.to_owned()),
                ..AuditRecord::new(AuditEvent::ConfigChanged)
            });
        }
        Ok(reloaded)
    }
}
