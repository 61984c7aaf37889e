//! Certificates in DER, as a peer shows them in a handshake.

use std::time::Duration;

use rcgen::CertificateSigningRequestParams;
use wire::certificate::{Facts, Fingerprint, utc};
use wire::id::{CLIENT_ID_MAX, ClientId, NicName};

use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "certificate",
    about: "a peer's certificate or signing request, DER (wire::certificate, rcgen)",
    input_max: 16 * KIB,
    memory_max: MIB,
    run,
};

fn run(input: &[u8]) {
    if let Ok(facts) = Facts::read(input) {
        assert_eq!(facts.fingerprint, Fingerprint::of(input));
        let validity = facts.validity;
        assert!(!validity.to_string().is_empty());
        for seconds in [0, validity.not_before.as_secs(), validity.not_after.as_secs(), u64::MAX] {
            let now = at(seconds);
            assert!(!utc(now).is_empty());
            assert!(!(validity.covers(now) && validity.is_over(now)));
            if validity.is_over(now) {
                assert!(validity.renew_due(now), "an expired certificate is due");
            }
        }
        if let Ok(client) = facts.client() {
            assert!(client.as_str().len() <= CLIENT_ID_MAX);
            assert_eq!(ClientId::new(client.as_str()), Ok(client));
        }
    }
    // The collector's CA parses requests this way, and checks the signature in doing so.
    let _request = CertificateSigningRequestParams::from_der(&input.into());
    names(input);
}

/// Names in certificates and from the kernel.
fn names(input: &[u8]) {
    if let Some(nic) = NicName::of_bytes(input) {
        let text = nic.as_str().expect("a NIC's name is text");
        assert!((1..=15).contains(&text.len()));
        assert_eq!(NicName::new(text), Some(nic));
    }
    let client = std::str::from_utf8(input).ok().map(|text| (text, ClientId::new(text)));
    if let Some((text, Ok(client))) = client {
        assert_eq!(client.as_str(), text.to_ascii_lowercase());
    }
}

fn at(seconds: u64) -> rustls_pki_types::UnixTime {
    rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}
