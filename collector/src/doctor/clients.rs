//! Clients that need attention.

use std::path::Path;

use settings::{Finding, InFull};
use wire::WallNs;

use super::store::KnownClients;
use crate::identity::{ClientRecords, KnownClient};
use crate::time::{now_ns, rough};

const SUBJECT: &str = "clients";

/// Most names in a line.
const NAMES: usize = 5;

pub(super) fn examine(identity: &Path, known: &KnownClients) -> Vec<Finding> {
    let enrolled = match ClientRecords::at(identity).list() {
        Ok(enrolled) => enrolled,
        Err(error) => return vec![Finding::fail(SUBJECT, error.in_full().to_string())],
    };
    attention(known, &enrolled, now_ns())
}

fn attention(
    KnownClients { clients: known, second_hosts }: &KnownClients,
    enrolled: &[KnownClient],
    now_ns: WallNs,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut tell = |names: Vec<String>, text: &str| {
        if !names.is_empty() {
            let more = names.len().saturating_sub(NAMES);
            let mut shown = names.into_iter().take(NAMES).collect::<Vec<_>>().join(", ");
            if more > 0 {
                shown = format!("{shown} and {more} more");
            }
            findings.push(Finding::warn(SUBJECT, format!("{shown}: {text}")));
        }
    };
    let down = known.iter().filter_map(|client| {
        client.down_for(now_ns).map(|down| format!("{} ({})", client.client, rough(down)))
    });
    tell(down.collect(), "down; check the host, or: collector forget CLIENT");
    let apart = known.iter().filter_map(|client| {
        client.clock_apart().map(|apart| format!("{} ({apart})", client.client))
    });
    tell(apart.collect(), "the clock differs from the collector's; set both right");
    let listed = |id: &str| known.iter().any(|client| client.client == id);
    let twins = second_hosts.iter().filter(|it| it.is_current(now_ns) && listed(&it.client));
    tell(
        twins.map(|client| client.client.clone()).collect(),
        "two hosts have its certificate; see `collector clients`",
    );
    let late = enrolled.iter().filter(|client| {
        let newest = client.certificates.last();
        newest.is_some_and(|it| it.not_after.saturating_mul(1_000_000_000) < now_ns.get())
    });
    tell(
        late.map(|client| client.client.clone()).collect(),
        "the certificate has expired; collector token --client CLIENT --replace",
    );
    let damaged = enrolled.iter().flat_map(|client| &client.damaged);
    findings.extend(damaged.map(|damaged| Finding::fail(SUBJECT, damaged.clone())));
    if findings.is_empty() {
        let count = known.len().max(enrolled.len());
        findings.push(Finding::ok(SUBJECT, format!("none of {count} needs attention")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use settings::Level;
    use wire::message::Host;

    use super::*;
    use crate::store::{Client, SecondHostRecord};

    #[test]
    fn clients_are_told_by_what_they_need() {
        let now_ns = 1_800_000_000_000_000_000;
        let client = |name: &str, silent_s: u64, offset_ns: i64| Client {
            client: name.to_owned(),
            alias: String::new(),
            created_ns: WallNs(0),
            last_seen_ns: WallNs(now_ns - silent_s * 1_000_000_000),
            host: Host { sample_interval_ns: 500_000_000, ..Host::default() },
            clock_offset_ns: Some(offset_ns),
            nics: vec![],
        };
        let attention = |clients: &[Client], second_hosts: &[SecondHostRecord]| {
            let known =
                KnownClients { clients: clients.to_vec(), second_hosts: second_hosts.to_vec() };
            attention(&known, &[], WallNs(now_ns))
        };
        let well = attention(&[client("a", 1, 400_000_000)], &[]);
        assert_eq!((well.len(), well[0].level), (1, Level::Ok), "{well:?}");
        let ill = [client("a", 7200, 0), client("b", 1, -1_500_000_000)];
        let found = attention(&ill, &[]);
        assert!(found[0].text.starts_with("a (2 h): down"), "{found:?}");
        assert!(found[1].text.starts_with("b (1.5 s behind): the clock"), "{found:?}");
        let second = |client: &str, told_ns: u64| SecondHostRecord {
            client: client.to_owned(),
            since_ns: WallNs(told_ns),
            told_ns: WallNs(told_ns),
            kept: [10, 0, 0, 1].into(),
            refused: [10, 0, 0, 2].into(),
            what: String::new(),
        };
        let hour = 3_600_000_000_000;
        let seconds = [second("a", now_ns), second("b", now_ns - hour), second("gone", now_ns)];
        let found = attention(&[client("a", 1, 0), client("b", 1, 0)], &seconds);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].text.starts_with("a: two hosts"), "{found:?}");
        let many: Vec<Client> = (0..9).map(|n| client(&n.to_string(), 7200, 0)).collect();
        assert!(attention(&many, &[])[0].text.contains("4 (2 h) and 4 more"));
    }
}
