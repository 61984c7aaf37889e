//! Issues and renews agents' certificates.

use std::net::IpAddr;

use rustls::pki_types::UnixTime;
use wire::certificate::utc;
use wire::id::ClientId;
use wire::message::{EnrollReply, RenewRequest};
use wire::private_file;

use super::ca::{self, Ca};
use super::error::IdentityError;
use super::own::Identity;
use super::peer::{self, Agent};
use super::record::Revocation;
use super::refusal::{EnrollError, refused};
use crate::audit::{self, AuditEvent, AuditRecord};

/// What happens to a client's earlier certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Issuing<'a> {
    /// They stay valid. Holds the serial number of the certificate used to ask for its successor.
    Next(Option<&'a str>),
    /// They are revoked, because another host takes over the client.
    Only,
}

/// The CAs sent to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cas {
    /// All trusted CAs: two during a roll-over.
    Trusted,
    /// The present one. Older agents accept an answer only if every CA in it is the token's.
    Present,
}

/// A new certificate.
#[derive(Debug)]
pub struct Renewed {
    /// The answer for its agent.
    pub reply: EnrollReply,
    /// The agent named by the certificate.
    pub agent: Agent,
}

impl Identity {
    /// Issues an agent's next certificate after two thirds of the present one's validity.
    ///
    /// # Errors
    /// [`EnrollError`] gives the reason, for the agent.
    pub fn renew(
        &self,
        agent: &Agent,
        request: &RenewRequest,
        from: IpAddr,
        now: UnixTime,
    ) -> Result<Renewed, EnrollError> {
        let renewed = self.try_renew(agent, request, now);
        match &renewed {
            Ok(_) => tracing::info!(client = %agent.client, "renewed the certificate"),
            Err(error) => {
                let record = AuditRecord::of(AuditEvent::RenewalRefused, &agent.client);
                let address = Some(from.to_canonical());
                audit::log(&refused(error, AuditRecord { address, ..record }));
            }
        }
        renewed
    }

    fn try_renew(
        &self,
        agent: &Agent,
        request: &RenewRequest,
        now: UnixTime,
    ) -> Result<Renewed, EnrollError> {
        let ca = self.ca().ok_or(EnrollError::OperatorPki)?;
        if !agent.validity.renew_due(now) {
            return Err(EnrollError::Early { due: utc(agent.validity.due()), now: utc(now) });
        }
        let _locked = private_file::lock(&self.dir).map_err(IdentityError::from)?;
        if self.certificate_revoked(agent) {
            return Err(EnrollError::Revoked(agent.client.clone()));
        }
        let issuing = Issuing::Next(Some(&agent.serial));
        self.issue(&ca, &agent.client, &request.csr_der, issuing, Cas::Trusted, now)
    }

    /// Signs a certificate and records it. The directory must be locked.
    pub(super) fn issue(
        &self,
        ca: &Ca,
        client: &ClientId,
        csr_der: &[u8],
        issuing: Issuing<'_>,
        cas: Cas,
        now: UnixTime,
    ) -> Result<Renewed, EnrollError> {
        let csr = ca::read_csr(csr_der).map_err(EnrollError::Csr)?;
        let known = self.records.revocation(client);
        let (generation, begun) = match issuing {
            Issuing::Next(_) => (known?.map_or(0, |it| it.generation), None),
            Issuing::Only => {
                let after = Revocation::after(known.ok().flatten().as_ref(), now);
                (after.generation, Some(Revocation { replaced: true, ..after }))
            }
        };
        let certificate = ca.sign_client(client.as_str(), &csr, generation, now)?;
        let agent = peer::agent(&certificate.der)
            .map_err(|_| EnrollError::Failed(rcgen::Error::CouldNotParseCertificate.into()))?;
        if let Some(begun) = begun {
            self.records.refuse_earlier(client, &begun)?;
            self.revocations.look_again();
        }
        let presented = if let Issuing::Next(serial) = issuing { serial } else { None };
        self.records.note_issued(client, certificate.record, presented, now)?;
        let ca_pem = match cas {
            Cas::Trusted => ca.pem(now),
            Cas::Present => ca.present_pem(),
        };
        let reply = EnrollReply { certificate_pem: certificate.pem, ca_pem };
        Ok(Renewed { reply, agent })
    }
}
