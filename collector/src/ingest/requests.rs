//! Requests of a welcome agent, each on a stream of its own: for its next certificate, or to take its tags.

use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream};
use settings::InFull;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use wire::message::{Message, Refused, Tags};

use super::limits::{Account, Limit};
use super::notes::{Note, Notes};
use crate::identity::{Agent, Identity};
use crate::live::Live;
use crate::time::now_ns;

/// How long an answer waits for the store. Agents wait 10 s for it.
const STORED_WITHIN: Duration = Duration::from_secs(5);

/// What answers the requests of one agent.
#[derive(Debug)]
pub struct Requests {
    pub identity: Arc<Identity>,
    pub live: Live,
    pub agent: Agent,
    pub connection: Connection,
    pub account: Account,
    pub notes: Notes,
}

impl Requests {
    /// Answers one request, without holding up frames. `renewed` gets the agent named by a new
    /// certificate.
    pub fn answer(self, stream: (SendStream, RecvStream), renewed: mpsc::Sender<Agent>) {
        tokio::spawn(async move {
            let (identity, agent) = (self.identity.clone(), self.agent.clone());
            let other = async |request: &Message| self.other(request).await;
            let served = identity.serve_request(agent, &self.connection, stream, other).await;
            if let Some(agent) = served {
                // If the connection has ended, nobody needs the result.
                let _gone = renewed.send(agent).await;
            }
        });
    }

    /// The answer to anything but a certificate that may be issued.
    async fn other(&self, request: &Message) -> Option<Message> {
        let limit = match request {
            Message::RenewRequest(_) => Limit::Renewals,
            Message::Tags(_) => Limit::Tags,
            _ => return None,
        };
        if let Some(over) = self.over(limit) {
            return Some(over);
        }
        match request {
            Message::Tags(tags) => Some(self.take(tags).await),
            _ => None,
        }
    }

    /// Counts one of a limit, unless it is used up: then, what to answer.
    fn over(&self, limit: Limit) -> Option<Message> {
        if self.account.over(&[limit]).is_some() {
            return Some(refused(self.account.on_over(limit)));
        }
        self.account.take(limit, 1);
        None
    }

    /// Stores an agent's tags, and answers with those that count. A store that doesn't answer in time
    /// takes them later.
    async fn take(&self, told: &Tags) -> Message {
        let tags = match told.set() {
            Ok(tags) => tags,
            Err(error) => return refused(error.in_full().to_string()),
        };
        let (known, counting) = self.live.tags_of(&self.agent.client);
        if let Err(over) = self.account.take_tags(&tags, &known) {
            return refused(over);
        }
        let since_ns = now_ns().saturating_sub(told.age_ns);
        let (sender, taken) = oneshot::channel();
        self.notes.take(Note::Tags { tags, since_ns, taken: Some(sender) });
        match timeout(STORED_WITHIN, taken).await {
            Ok(Ok(Ok(counting))) => Message::Tags(Tags::of(&counting, 0)),
            Ok(Ok(Err(reason))) => refused(reason),
            Ok(Err(_)) => refused("the collector's store is too slow to take tags".to_owned()),
            Err(_) => Message::Tags(Tags::of(&counting, 0)),
        }
    }
}

fn refused(reason: String) -> Message {
    Message::Refused(Refused { reason })
}
