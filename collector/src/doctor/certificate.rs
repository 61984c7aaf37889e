//! The collector's certificate and the CA, as the files say. Makes none.

use std::path::Path;

use rustls::pki_types::UnixTime;
use settings::Finding;
use wire::certificate::{Facts, Fingerprint, utc};
use wire::pem::{self, TlsFiles};
use wire::private_file;

const SUBJECT: &str = "certificate";

pub(super) fn examine(identity: &Path, tls: Option<&TlsFiles>) -> Vec<Finding> {
    let own = TlsFiles {
        ca: identity.join("ca.pem"),
        cert: identity.join("server.pem"),
        key: identity.join("server.pem"),
    };
    let files = tls.unwrap_or(&own);
    if tls.is_none() && !files.cert.exists() {
        return vec![Finding::ok(SUBJECT, "none yet; the first start makes one, and its CA")];
    }
    let mut findings = vec![authority(&files.ca)];
    if tls.is_none()
        && let Err(error) = private_file::read(&identity.join("ca.key"))
    {
        findings.push(Finding::fail("CA", error.to_string()));
    }
    if let Err(error) = pem::read_key(&files.key) {
        findings.push(Finding::fail(SUBJECT, error.to_string()));
    }
    findings.push(certificate(&files.cert, tls.is_none(), UnixTime::now()));
    findings
}

fn authority(path: &Path) -> Finding {
    match pem::read_certificates(path) {
        Ok(found) => {
            let prints: Vec<String> =
                found.iter().map(|it| Fingerprint::of(it).to_string()).collect();
            Finding::ok("CA", format!("{}, SHA-256 {}", path.display(), prints.join(", ")))
        }
        Err(error) => Finding::fail("CA", error.to_string()),
    }
}

fn certificate(path: &Path, own: bool, now: UnixTime) -> Finding {
    let facts = match pem::read_certificates(path) {
        Ok(found) => found.first().map(|certificate| Facts::read(certificate)),
        Err(error) => return Finding::fail(SUBJECT, error.to_string()),
    };
    let Some(Ok(Facts { validity, .. })) = facts else {
        return Finding::fail(SUBJECT, format!("{}: no certificate in it", path.display()));
    };
    let text = format!("{}, valid {validity}", path.display());
    if !validity.covers(now) {
        let text = format!("{text}, and this host's clock says {}; check the clock", utc(now));
        if own {
            return Finding::warn(SUBJECT, format!("{text}; a collector that runs replaces it"));
        }
        return Finding::fail(SUBJECT, format!("{text}, or put its successor where tls.cert says"));
    }
    if validity.renew_due(now) && !own {
        return Finding::warn(SUBJECT, format!("{text}; put its successor where tls.cert says"));
    }
    Finding::ok(SUBJECT, text)
}
