//! Checks whether an agent is revoked, and follows revocations.

use std::sync::Arc;
use std::time::Instant;

use settings::InFull;
use tokio::sync::watch;
use wire::id::ClientId;

use super::clients::{ClientRecords, refused_until};
use super::own::{Identity, Pki};
use super::peer::Agent;
use super::record::Revocation;
use super::revocations::{LOOK, RevocationRecord};
use super::stamp::Stamp;

impl Identity {
    /// True if an agent's certificate is refused. Cheap enough for every frame. Revocations by other
    /// processes are noticed within 200 ms.
    #[must_use]
    pub fn is_revoked(&self, agent: &Agent, now: Instant) -> bool {
        if self.revocations.operator_lists(agent) {
            return true;
        }
        self.revocations.look(&self.records.revoked_dir(), now);
        let listed = self.revocations.listed();
        if !listed.known {
            // If it can't be read, refuse everybody.
            return true;
        }
        match listed.records.get(agent.client.as_str()) {
            None => false,
            Some((_, RevocationRecord::Unreadable)) => true,
            Some((_, RevocationRecord::Is(revocation))) => self.refuses(revocation, agent),
        }
    }

    /// Like [`Self::is_revoked`], but reads the files now.
    pub(crate) fn certificate_revoked(&self, agent: &Agent) -> bool {
        match self.records.revocation(&agent.client) {
            Ok(revocation) => revocation.is_some_and(|it| self.refuses(&it, agent)),
            Err(error) => {
                tracing::error!("{}", refused_until(&error, agent.client.as_str()));
                true
            }
        }
    }

    fn refuses(&self, revocation: &Revocation, agent: &Agent) -> bool {
        if let Pki::Operator(_) = self.pki {
            // For certificates of other CAs only the start of their validity is known.
            return agent.validity.not_before.as_secs() <= revocation.revoked_at;
        }
        if revocation.generation > 0 {
            return agent.generation < revocation.generation;
        }
        match self.records.has_issued(&agent.client, &agent.serial) {
            Ok(good) => !good,
            Err(error) => {
                tracing::error!("{}", refused_until(&error, agent.client.as_str()));
                true
            }
        }
    }

    /// This collector's revocations, for other collectors of the store.
    #[must_use]
    pub fn revocations(&self) -> Vec<(ClientId, Revocation)> {
        self.revocations.look(&self.records.revoked_dir(), Instant::now());
        let listed = self.revocations.listed();
        let is = |(name, (_, record)): (&String, &(Stamp, RevocationRecord))| match record {
            RevocationRecord::Is(revocation) => {
                Some((ClientId::new(name).ok()?, revocation.clone()))
            }
            RevocationRecord::Unreadable => None,
        };
        listed.records.iter().filter_map(is).collect()
    }

    /// Signals that a client may have been revoked.
    #[must_use]
    pub fn revocation_news(&self) -> watch::Receiver<()> {
        self.revocations.news.subscribe()
    }

    /// Checks forever whether another process has revoked a client.
    pub async fn follow_revocations(self: Arc<Self>) {
        let mut due = tokio::time::interval(LOOK);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            let identity = self.clone();
            let look = move || {
                identity.revocations.look(&identity.records.revoked_dir(), Instant::now());
            };
            if let Err(error) = tokio::task::spawn_blocking(look).await {
                tracing::error!(error = %error.in_full(), "can't read who is revoked");
            }
        }
    }

    /// The directory's records of clients.
    #[must_use]
    pub const fn records(&self) -> &ClientRecords {
        &self.records
    }
}
