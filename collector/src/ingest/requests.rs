//! Requests of a welcome agent, each on a stream of its own: for its next certificate, or to take its tags.

use std::sync::Arc;

use quinn::{Connection, RecvStream, SendStream};
use settings::InFull;
use tokio::sync::mpsc;
use wire::message::{Message, Refused, Tags};

use super::limits::{Account, Limit};
use super::notes::{Note, Notes};
use crate::identity::{Agent, Identity};
use crate::live::Live;
use crate::time::now_ns;

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
            let other = |request: &Message| self.other(request);
            let served = identity.serve_request(agent, &self.connection, stream, other).await;
            if let Some(agent) = served {
                // If the connection has ended, nobody needs the result.
                let _gone = renewed.send(agent).await;
            }
        });
    }

    /// The answer to anything but a certificate that may be issued.
    fn other(&self, request: &Message) -> Option<Message> {
        let limit = match request {
            Message::RenewRequest(_) => Limit::Renewals,
            Message::Tags(_) => Limit::Tags,
            _ => return None,
        };
        if self.account.over(&[limit]).is_some() {
            return Some(refused(self.account.on_over(limit)));
        }
        self.account.take(limit, 1);
        match request {
            Message::Tags(tags) => Some(self.take(tags)),
            _ => None,
        }
    }

    /// Takes an agent's tags, and answers with those that count.
    fn take(&self, told: &Tags) -> Message {
        let tags = match told.set() {
            Ok(tags) => tags,
            Err(error) => return refused(error.in_full().to_string()),
        };
        let counting = self.live.on_agent_tags(&self.agent.client, &tags);
        let since_ns = now_ns().saturating_sub(told.age_ns);
        self.notes.take(Note::Tags { tags, since_ns });
        Message::Tags(Tags::of(&counting, 0))
    }
}

fn refused(reason: String) -> Message {
    Message::Refused(Refused { reason })
}
