//! Checks the collector's certificate and CA from their files. Creates none.

use std::path::Path;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use settings::{Finding, InFull};
use wire::certificate::{Facts, Fingerprint, RevocationList, utc};
use wire::pem::{self, TlsFiles};
use wire::private_file;

use crate::config::CertificatePaths;

const SUBJECT: &str = "certificate";

/// How long before the CA's end to warn: a roll-over reaches agents within 60 days, and the warning
/// needs time to be noticed.
const IN_TIME: Duration = Duration::from_secs(365 * 86_400);

pub(super) fn examine(identity: &Path, tls: Option<&TlsFiles>) -> Vec<Finding> {
    let own = TlsFiles {
        ca: identity.join("ca.pem"),
        cert: identity.join("server.pem"),
        key: identity.join("server.pem"),
        crl: None,
    };
    let files = tls.unwrap_or(&own);
    if tls.is_none() && !files.cert.exists() {
        return vec![Finding::ok(SUBJECT, "none yet; the first start makes one, and its CA")];
    }
    let mut findings = vec![authority(&files.ca)];
    if tls.is_none() {
        findings.extend(own_authority(&identity.join("ca.key"), &files.ca, UnixTime::now()));
    }
    findings.extend(files.crl.as_deref().map(|crl| revocations(crl, UnixTime::now())));
    if let Err(error) = pem::read_key(&files.key) {
        findings.push(Finding::fail(SUBJECT, error.in_full().to_string()));
    }
    findings.push(certificate(&files.cert, tls.is_none(), UnixTime::now()));
    findings
}

/// Checks the certificate of pages and API, if they have one.
pub(super) fn of_pages(paths: &CertificatePaths) -> Vec<Finding> {
    const SUBJECT: &str = "HTTP certificate";
    let Ok(Some(files)) = paths.files() else { return vec![] };
    let fail = |error: pem::PemError| vec![Finding::fail(SUBJECT, error.in_full().to_string())];
    if let Err(error) = pem::read_key(&files.key) {
        return fail(error);
    }
    let found = match pem::read_certificates(&files.cert) {
        Ok(found) => found,
        Err(error) => return fail(error),
    };
    let Some(Ok(Facts { validity, .. })) = found.first().map(|it| Facts::read(it)) else {
        return vec![];
    };
    let (text, now) = (format!("{}, valid {validity}", files.cert.display()), UnixTime::now());
    let successor = "put a new one where http.tls.cert says";
    vec![if !validity.covers(now) {
        let clock = utc(now);
        Finding::fail(SUBJECT, format!("{text}, and this host's clock says {clock}; {successor}"))
    } else if validity.renew_due(now) {
        Finding::warn(SUBJECT, format!("{text}; {successor}"))
    } else {
        Finding::ok(SUBJECT, text)
    }]
}

fn authority(path: &Path) -> Finding {
    match pem::read_certificates(path) {
        Ok(found) => {
            let prints: Vec<String> =
                found.iter().map(|it| Fingerprint::of(it).to_string()).collect();
            Finding::ok("CA", format!("{}, SHA-256 {}", path.display(), prints.join(", ")))
        }
        Err(error) => Finding::fail("CA", error.in_full().to_string()),
    }
}

/// Checks the operator's revocation lists. An outdated list still counts.
fn revocations(path: &Path, now: UnixTime) -> Finding {
    const SUBJECT: &str = "tls.crl";
    let lists = match pem::read_revocation_lists(path) {
        Ok(lists) => lists,
        Err(error) => return Finding::fail(SUBJECT, error.in_full().to_string()),
    };
    let lists: Vec<_> = lists.iter().filter_map(|it| RevocationList::read(it).ok()).collect();
    let count: usize = lists.iter().map(|it| it.serials.len()).sum();
    let text = format!("{}, {count} certificates", path.display());
    let next = lists.iter().filter_map(|it| it.next_update).min_by_key(UnixTime::as_secs);
    match next {
        Some(next) if next.as_secs() < now.as_secs() => {
            let next = utc(next);
            Finding::warn(SUBJECT, format!("{text}; the next was due at {next}: put it there"))
        }
        _ => Finding::ok(SUBJECT, text),
    }
}

/// Checks whether the collector's own CA needs attention.
fn own_authority(key: &Path, public: &Path, now: UnixTime) -> Vec<Finding> {
    let kept =
        private_file::read(key).map_err(|error| error.in_full().to_string()).and_then(|text| {
            pem::certificates_beside(&text, key).map_err(|error| error.in_full().to_string())
        });
    let kept = match kept {
        Ok(kept) => kept,
        Err(error) => return vec![Finding::fail("CA", error)],
    };
    let facts = |it: &CertificateDer<'_>| Facts::read(it).ok();
    let present = match kept.first() {
        Some(present) => facts(present),
        // An older release kept it in a separate file.
        None => pem::read_certificates(public).ok().and_then(|it| it.first().and_then(facts)),
    };
    let mut findings = Vec::new();
    if let Some(end) = present.map(|it| it.validity.not_after)
        && end.as_secs() < now.as_secs().saturating_add(IN_TIME.as_secs())
    {
        let end = utc(end);
        findings.push(Finding::warn("CA", format!("it ends at {end}; run: collector ca roll")));
    }
    // The present CA's certificate signed by the earlier CA.
    if let Some(until) = kept.get(1).and_then(facts).map(|it| it.validity.not_after)
        && until.as_secs() >= now.as_secs()
    {
        let until = utc(until);
        findings.push(Finding::ok("CA", format!("the one before it is trusted until {until}")));
    }
    findings
}

fn certificate(path: &Path, own: bool, now: UnixTime) -> Finding {
    let facts = match pem::read_certificates(path) {
        Ok(found) => found.first().map(|certificate| Facts::read(certificate)),
        Err(error) => return Finding::fail(SUBJECT, error.in_full().to_string()),
    };
    let Some(Ok(Facts { validity, .. })) = facts else {
        return Finding::fail(SUBJECT, format!("{}: no certificate in it", path.display()));
    };
    let text = format!("{}, valid {validity}", path.display());
    if !validity.covers(now) {
        let text = format!("{text}, and this host's clock says {}; check the clock", utc(now));
        if own {
            return Finding::warn(SUBJECT, format!("{text}; a running collector replaces it"));
        }
        return Finding::fail(SUBJECT, format!("{text}, or put a new one where tls.cert says"));
    }
    if validity.renew_due(now) && !own {
        return Finding::warn(SUBJECT, format!("{text}; put a new one where tls.cert says"));
    }
    Finding::ok(SUBJECT, text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use settings::Level;

    use super::*;

    #[test]
    fn the_pages_certificate_is_examined_where_there_is_one() {
        assert!(of_pages(&CertificatePaths::default()).is_empty());
        let directory = tempfile::tempdir().unwrap();
        let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        let paths = CertificatePaths { cert: Some(cert.clone()), key: Some(key.clone()) };
        let level = || of_pages(&paths)[0].level;
        assert_eq!(level(), Level::Fail, "there are no files");
        let pair = rcgen::KeyPair::generate().unwrap();
        fs::write(&key, pair.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        for (until, expected) in [(2020, Level::Fail), (4000, Level::Ok)] {
            let mut params = rcgen::CertificateParams::default();
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
            params.not_after = rcgen::date_time_ymd(until, 1, 1);
            fs::write(&cert, params.self_signed(&pair).unwrap().pem()).unwrap();
            assert_eq!(level(), expected, "{until}");
        }
    }
}
