//! What alerts ask of each client.

use wire::id::ClientId;

use super::ClientTable;
use crate::live::client::ClientState;
use crate::live::status::ClientStatus;
use crate::live::summary::summary;

impl ClientTable {
    /// The state of every client that is not gone; rates only if asked for.
    pub fn statuses(&self, with_rates: bool) -> impl Iterator<Item = ClientStatus> {
        let shown = self.clients.iter().filter(|(_, client)| !client.gone);
        shown.map(move |(id, client)| {
            let here = client.presence.here();
            let summary = (with_rates && here).then(|| summary(id, client, false));
            let summary = summary.filter(|it| it.observed.is_some());
            ClientStatus {
                client: id.clone(),
                up: client.presence.up(),
                elsewhere: client.presence.elsewhere(),
                last_seen_ns: client.presence.last_seen().0,
                clock_offset_ns: client.clock_offset_ns.filter(|_| here && !client.same_host),
                certificate_end_s: client.certificate_end_s.filter(|_| here),
                rates: summary.map(|it| [it.rx.bytes_per_second, it.tx.bytes_per_second]),
            }
        })
    }

    /// A connected client's certificate expires then, seconds since 1970 (UTC).
    pub fn on_certificate(&mut self, client: &ClientId, end_s: u64) {
        if let Some(client) = self.clients.get_mut(client) {
            client.certificate_end_s = Some(end_s);
        }
    }

    pub fn on_clock_offset(&mut self, client: &ClientId, offset_ns: i64) {
        self.touch(client).clock_offset_ns = Some(offset_ns);
    }

    pub fn on_located(&mut self, client: &ClientId, same_host: bool) {
        self.touch(client).same_host = same_host;
    }

    /// The clock offsets of clients connected from other hosts, where known.
    pub fn clock_offsets(&self) -> impl Iterator<Item = i64> {
        let other = |client: &&ClientState| client.presence.here() && !client.same_host;
        let connected = self.clients.values().filter(other);
        connected.filter_map(|client| client.clock_offset_ns)
    }
}
