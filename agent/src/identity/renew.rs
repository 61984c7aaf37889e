//! Renewal: gets the next certificate, for a new key, with the present one.

use std::fs::TryLockError;
use std::path::Path;

use quinn::Connection;
use rcgen::KeyPair;
use rustls::pki_types::UnixTime;
use wire::message::{EnrollReply, Message, RenewRequest};
use wire::pem;
use wire::private_file::{self, FileError};

use super::credentials::{Credentials, Pem, enrolled_files, keep, signing_request};
use super::enroll::{EnrollError, ask, must_be_timely};
use super::error::IdentityError;

/// Most CAs that a collector may name: the present one and earlier ones.
const AUTHORITIES: usize = 4;

/// Gets the next certificate, for a new key, over a connection that was made with the present one, and
/// keeps both in `dir`, with the CAs by which the collector proves itself from now on.
///
/// # Errors
/// [`EnrollError`] says why there is no new certificate; the present key and certificate stay.
pub async fn renew(
    connection: &Connection,
    present: &Credentials,
    dir: &Path,
) -> Result<Credentials, EnrollError> {
    let key = KeyPair::generate()?;
    let request = Message::RenewRequest(RenewRequest { csr_der: signing_request(&key)? });
    let EnrollReply { certificate_pem, ca_pem } = ask(connection, &request).await?;
    let (files, key_pem) = (enrolled_files(dir), key.serialize_pem());
    let pem =
        Pem { ca: ca_pem.as_bytes(), cert: certificate_pem.as_bytes(), key: key_pem.as_bytes() };
    let credentials = Credentials::of_enrollment(&files, pem)?;
    if credentials.client() != present.client() {
        return Err(EnrollError::Answer("the certificate is for another client"));
    }
    let authorities = pem::certificates(pem.ca, &files.ca).map_err(IdentityError::from)?;
    if authorities.len() > AUTHORITIES {
        return Err(EnrollError::Answer("it names too many CAs"));
    }
    must_be_timely(&credentials)?;
    let path = dir.join("lock");
    let lock = private_file::open_lock(&path).map_err(IdentityError::from)?;
    match lock.try_lock() {
        Ok(()) => {}
        // An enrolment holds it while it asks collectors.
        Err(TryLockError::WouldBlock) => return Err(EnrollError::Busy),
        Err(TryLockError::Error(error)) => {
            return Err(IdentityError::from(FileError::write(&path, error)).into());
        }
    }
    // If the host was enrolled again in the meantime, that enrolment wins.
    if !Credentials::load(dir, None, UnixTime::now())?.same_key(present) {
        return Err(EnrollError::Busy);
    }
    keep(&files, pem)?;
    Ok(credentials)
}
