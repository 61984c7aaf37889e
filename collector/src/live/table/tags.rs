//! The tags of clients in the live table.

use std::collections::HashMap;

use wire::id::ClientId;
use wire::tag::TagSet;

use super::ClientTable;
use crate::store::ClientTags;

impl ClientTable {
    /// The store has taken the tags of a connected client. Returns those that count.
    pub fn on_agent_tags(&mut self, client: &ClientId, tags: &TagSet) -> TagSet {
        let client = self.touch(client);
        client.tags.agent.clone_from(tags);
        client.tagged = true;
        client.tags.counting()
    }

    /// What a client's agent said last, as far as known, and the tags that count.
    pub fn tags_of(&self, client: &ClientId) -> (TagSet, TagSet) {
        let tags = self.clients.get(client).map(|client| &client.tags);
        tags.map(|tags| (tags.agent.clone(), tags.counting())).unwrap_or_default()
    }

    /// Takes the store's tags of all clients. What it has taken in a connection here is newer.
    pub fn on_tagged(&mut self, tagged: &HashMap<&str, &ClientTags>) {
        let none = ClientTags::default();
        for (id, client) in &mut self.clients {
            let ClientTags { agent, collector } = tagged.get(id.as_str()).copied().unwrap_or(&none);
            let newer = client.tagged && client.presence.here();
            let agent = if newer { &client.tags.agent } else { agent };
            if (agent, collector) != (&client.tags.agent, &client.tags.collector) {
                let (agent, collector) = (agent.clone(), collector.clone());
                (client.tags, client.changed) = (ClientTags { agent, collector }, true);
            }
        }
    }

    /// The tags that count, of each client that is shown and has any.
    pub fn tags(&self) -> impl Iterator<Item = (String, TagSet)> {
        let shown = self.clients.iter().filter(|(_, client)| !client.gone);
        let tags = shown.map(|(id, client)| (id.to_string(), client.tags.counting()));
        tags.filter(|(_, tags)| !tags.is_empty())
    }
}
