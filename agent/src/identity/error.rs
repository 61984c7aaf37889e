//! Why the agent's identity can't be used.

use std::path::PathBuf;

use wire::advice::Advised;
use wire::certificate::{NameError, NotACertificate};
use wire::pem::PemError;
use wire::private_file::FileError;

/// Why the agent's identity can't be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No certificate yet.
    #[error(
        "this host isn't enrolled: there is no {0}; get a token by `collector token` and run: \
         agent enroll TOKEN"
    )]
    NotEnrolled(PathBuf),
    /// A file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A PEM file is of no use.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The certificate can't be read.
    #[error("can't use {path}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The fault.
        #[source]
        error: NotACertificate,
    },
    /// The certificate doesn't say whose it is.
    #[error("can't use {path}")]
    Name {
        /// The file.
        path: PathBuf,
        /// The fault.
        #[source]
        error: NameError,
    },
    /// A certificate and its key don't fit, or TLS can't use them.
    #[error("can't use {certificate} with {key}")]
    Unusable {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// The error of TLS, with the remedy.
        #[source]
        error: Advised,
    },
    /// The certificate's time is over.
    #[error(
        "the certificate {path} expired at {at}, by this host's clock ({now}); check the clock; \
         if it is right, {fix}"
    )]
    Expired {
        /// The file.
        path: PathBuf,
        /// When, UTC.
        at: String,
        /// This host's clock, UTC.
        now: String,
        /// The way out.
        fix: &'static str,
    },
}
