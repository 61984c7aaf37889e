//! Webhooks: the facts of a message as JSON, or a template's.

use settings::{InFull, Problem};

use super::super::config::TargetSection;
use super::super::message::MessageFacts;
use super::super::template::Template;
use super::post::Post;
use super::send::{Keys, SendError};
use crate::tls_client::TrustedAuthorities;

/// A webhook.
#[derive(Debug)]
pub(super) struct Webhook {
    post: Post,
    body: Option<Template>,
}

impl Webhook {
    pub fn of(
        section: &TargetSection,
        authorities: Option<&TrustedAuthorities>,
        keys: Keys<'_>,
    ) -> Result<Self, Problem> {
        let post = Post::of(section, authorities, keys)?;
        let Some(body) = &section.body else { return Ok(Self { post, body: None }) };
        let wrong = |why| keys.problem("body", why);
        let body = Template::json(body).map_err(wrong)?;
        let example = body.render(&MessageFacts::example()).map_err(wrong)?;
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&example) {
            return Err(wrong(format!(
                "makes no JSON: {}; a value has its quotes already: {{\"text\": {{{{ title }}}}}}",
                error.in_full()
            )));
        }
        Ok(Self { post, body: Some(body) })
    }

    pub async fn send(&self, facts: &MessageFacts) -> Result<(), SendError> {
        let refused = |why| SendError::Refused(why);
        let body = match &self.body {
            Some(template) => template.render(facts).map_err(refused)?,
            None => serde_json::to_string(facts)
                .map_err(|error| refused(error.in_full().to_string()))?,
        };
        self.post.json(&self.post.url()?, &facts.id, body).await
    }
}
