//! Why the collector's identity is unusable.

use std::path::PathBuf;

use wire::advice::Advised;
use wire::pem::PemError;
use wire::private_file::FileError;
use wire::token::TokenError;

/// Why the collector's identity is unusable.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A PEM file is unusable.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A file of the collector's own is damaged.
    #[error("{path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The error, with the remedy.
        #[source]
        error: Advised,
    },
    /// The CA's key is gone.
    #[error(
        "{certificate} is there but {key} is not: put the key back from a backup, or move the \
         directory away to begin with a new CA (every agent must enrol again then)"
    )]
    KeyLost {
        /// The CA's certificate.
        certificate: PathBuf,
        /// Where its key should be.
        key: PathBuf,
    },
    /// Two CAs exist already.
    #[error(
        "the CA was rolled over already; the one before it is trusted until {0}, while certificates of \
         it live: roll over again after that"
    )]
    RollingOver(String),
    /// Nothing to roll over.
    #[error("there is no {0}: the first start of the collector makes a CA")]
    NoCa(PathBuf),
    /// A certificate and its key don't fit, or TLS can't use them.
    #[error("can't use {certificate} with {key}")]
    Unusable {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What TLS says.
        #[source]
        error: rustls::Error,
    },
    /// A CA's certificate is unusable.
    #[error("can't use the CA certificates of {path}")]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        error: rustls::Error,
    },
    /// This collector issues no certificates.
    #[error(
        "tls.ca, tls.cert and tls.key are set: this collector gives no certificates; give agents \
         certificates of that PKI by tls.ca, tls.cert and tls.key in their configuration"
    )]
    OperatorPki,
    /// A token can't be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A certificate can't be made.
    #[error("can't make a certificate")]
    Make(#[from] rcgen::Error),
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
}
