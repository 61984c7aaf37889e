//! Explains certificates that are refused because of a clock.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use wire::certificate::utc;

/// What TLS reports about a certificate that is expired or not valid yet: its limit and the clock
/// that it was compared with.
struct Untimely {
    clock: UnixTime,
    limit: UnixTime,
    early: bool,
}

impl Untimely {
    /// Parses it from the text of the TLS error, which is all that QUIC passes on.
    fn read(words: &str) -> Option<Self> {
        let number = |mark: &str| {
            let digits = words.split_once(mark)?.1;
            let end = digits.find(|it: char| !it.is_ascii_digit()).unwrap_or(digits.len());
            let seconds = digits.get(..end)?.parse().ok()?;
            Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
        };
        let clock = number("verification time ")?;
        let over = number("not valid after ").map(|limit| (limit, false));
        let (limit, early) = over.or_else(|| Some((number("not valid before ")?, true)))?;
        Some(Self { clock, limit, early })
    }

    fn limit(&self) -> String {
        let words =
            if self.early { "is not valid before" } else { "has expired: it was valid until" };
        format!("{words} {}", utc(self.limit))
    }
}

/// Explains an error that says that the collector's certificate is not valid by this host's clock.
pub(super) fn collector_untimely(words: &str) -> Option<String> {
    let untimely = Untimely::read(words)?;
    Some(format!(
        "the collector's certificate {}, and this host's clock says {}; check the clocks of both \
         hosts",
        untimely.limit(),
        utc(untimely.clock)
    ))
}

/// Explains an error that says that this host's certificate is not valid by the collector's clock.
pub(super) fn agent_untimely(words: &str, now: UnixTime) -> Option<String> {
    let untimely = Untimely::read(words)?;
    Some(format!(
        "this host's certificate {}; the collector's clock says {} and this host's {}; check the \
         clocks of both hosts; if they are right, enrol this host again",
        untimely.limit(),
        utc(untimely.clock),
        utc(now)
    ))
}

#[cfg(test)]
mod tests {
    use rustls::{CertificateError, Error};

    use super::*;

    const fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn words_of_tls_about_the_time_become_both_times_in_utc() {
        let (time, limit) = (at(1_800_000_000), at(1_700_000_000));
        let over = CertificateError::ExpiredContext { time, not_after: limit };
        let words = collector_untimely(&Error::InvalidCertificate(over).to_string()).unwrap();
        assert_eq!(
            words,
            "the collector's certificate has expired: it was valid until 2023-11-14T22:13:20Z, and \
             this host's clock says 2027-01-15T08:00:00Z; check the clocks of both hosts"
        );
        let early = CertificateError::NotValidYetContext { time: limit, not_before: time };
        let words = Error::InvalidCertificate(early).to_string();
        let words = agent_untimely(&words, at(1_800_000_001)).unwrap();
        assert!(words.contains("not valid before 2027-01-15T08:00:00Z"), "{words}");
        assert!(words.contains("collector's clock says 2023-11-14T22:13:20Z"), "{words}");
        assert!(words.contains("this host's 2027-01-15T08:00:01Z; check the clocks"), "{words}");
    }

    #[test]
    fn other_words_are_left_alone() {
        assert_eq!(collector_untimely("invalid peer certificate: UnknownIssuer"), None);
        assert_eq!(agent_untimely("verification time soon", at(5)), None);
    }
}
