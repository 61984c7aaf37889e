//! Slack and what understands the same, and ntfy.

use serde_json::json;
use settings::Problem;

use super::super::config::{TargetKind, TargetSection};
use super::super::message::MessageFacts;
use super::post::Post;
use super::send::{Keys, SendError, Wording};
use crate::tls_client::TrustedAuthorities;

/// Longest title, bytes: a line of a phone is shorter.
const TITLE_MAX: usize = 250;

/// Longest message, bytes: ntfy makes a longer one an attachment (docs.ntfy.sh, limitations), and Slack cuts
/// it off (chat.postMessage). Slack's markup of a sign has up to five.
const NTFY_MAX: usize = 4096;
const SLACK_MAX: usize = 40_000 / 5;

/// A channel or topic.
#[derive(Debug)]
pub(super) struct Chat {
    post: Post,
    wording: Wording,
    ntfy: bool,
}

impl Chat {
    pub fn of(
        kind: TargetKind,
        section: &TargetSection,
        authorities: Option<&TrustedAuthorities>,
        keys: Keys<'_>,
    ) -> Result<Self, Problem> {
        let (post, ntfy) = (Post::of(section, authorities, keys)?, kind == TargetKind::Ntfy);
        if let Some(url) = section.url.as_deref().filter(|_| ntfy) {
            topic(url).map_err(|why| keys.problem("url", why))?;
        }
        Ok(Self { post, wording: Wording::of(section, keys)?, ntfy })
    }

    pub async fn send(&self, facts: &MessageFacts) -> Result<(), SendError> {
        let (title, text) = self.wording.render(facts)?;
        let most = if self.ntfy { NTFY_MAX } else { SLACK_MAX };
        let (title, text) = (shortened(&title, TITLE_MAX), shortened(&text, most));
        let url = self.post.url()?;
        if !self.ntfy {
            let body = json!({ "text": format!("*{}*\n{}", slack(&title), slack(&text)) });
            return self.post.json(&url, &facts.id, body.to_string()).await;
        }
        let (server, topic) = topic(&url).map_err(SendError::Later)?;
        let firing = facts.state == "firing";
        // 4 of 5 is high; 3 makes no special sound.
        let urgent = firing && facts.severity == "critical";
        let mut body = json!({
            "topic": topic,
            "title": title,
            "message": text,
            "priority": if urgent { 4 } else { 3 },
            "tags": [if firing { "warning" } else { "white_check_mark" }],
        });
        if let Some(link) = &facts.link {
            body["click"] = json!(link);
        }
        self.post.json(&server, &facts.id, body.to_string()).await
    }
}

/// The beginning of a text of at most this many bytes.
fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most.saturating_sub('\u{2026}'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}\u{2026}", &text[..end])
}

/// A text in Slack's markup: these three signs begin mentions and links.
fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The address of an ntfy server, and the topic.
fn topic(url: &str) -> Result<(String, String), String> {
    let wrong = || "has no topic; write for example https://ntfy.sh/my-topic".to_owned();
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let (server, topic) = rest.trim_end_matches('/').rsplit_once('/').ok_or_else(wrong)?;
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if topic.is_empty() || !topic.bytes().all(known) {
        return Err(wrong());
    }
    Ok((format!("{scheme}://{server}/"), topic.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_the_last_part_of_the_url() {
        let split = |url| topic(url).unwrap();
        assert_eq!(split("https://ntfy.sh/ops"), ("https://ntfy.sh/".into(), "ops".into()));
        assert_eq!(split("http://a:1/b/ops/"), ("http://a:1/b/".into(), "ops".into()));
        assert!(topic("https://ntfy.sh").is_err() && topic("ops").is_err());
    }

    #[test]
    fn long_texts_end_at_a_whole_character() {
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("äöüß", 6), "ä\u{2026}");
        assert_eq!(shortened(&"ü".repeat(4000), NTFY_MAX).len(), 4095);
    }

    #[test]
    fn nothing_in_a_text_becomes_markup() {
        assert_eq!(slack("<!channel> a & b"), "&lt;!channel&gt; a &amp; b");
    }
}
