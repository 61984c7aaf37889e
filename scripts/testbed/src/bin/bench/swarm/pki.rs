//! Certificates for a swarm: one authority, one collector, any number of agents.

use std::path::{Path, PathBuf};

use agent::identity::Credentials;
use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType,
};
use rustls_pki_types::UnixTime;
use wire::pem::TlsFiles;

/// The authority. All agents share one key: making keys isn't measured.
#[derive(Debug)]
pub struct Pki {
    dir: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
    agent_key: KeyPair,
}

impl Pki {
    /// Makes an authority with its files in `dir`.
    ///
    /// # Errors
    /// Fails if a certificate can't be made or written.
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(vec![])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("ca.pem"), authority.pem())?;
        Ok(Self { dir: dir.to_owned(), authority, agent_key: KeyPair::generate()? })
    }

    /// The TLS files of the collector at 127.0.0.1.
    ///
    /// # Errors
    /// Fails if the certificate can't be made or written.
    pub fn collector(&self) -> anyhow::Result<TlsFiles> {
        let san = SanType::IpAddress("127.0.0.1".parse()?);
        self.issue("collector", san, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// The credentials of a client.
    ///
    /// # Errors
    /// Fails if the certificate can't be made, written or read.
    pub fn agent(&self, client: &str) -> anyhow::Result<Credentials> {
        let san = SanType::DnsName(client.try_into()?);
        let files = self.issue("agent", san, ExtendedKeyUsagePurpose::ClientAuth)?;
        Credentials::load(&self.dir, Some(&files), UnixTime::now()).context("credentials")
    }

    fn issue(
        &self,
        name: &str,
        san: SanType,
        usage: ExtendedKeyUsagePurpose,
    ) -> anyhow::Result<TlsFiles> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![san];
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&self.agent_key, &self.authority)?;
        let file = |what: &str| self.dir.join(format!("{name}.{what}"));
        let ca = self.dir.join("ca.pem");
        let files = TlsFiles { ca, cert: file("cert"), key: file("key"), crl: None };
        std::fs::write(&files.cert, certificate.pem())?;
        wire::private_file::write(&files.key, self.agent_key.serialize_pem().as_bytes())?;
        Ok(files)
    }
}
