//! Slack's webhooks and ntfy's publishing, held to what their documentation says. Their servers are not in
//! any registry of packages.

use crate::parts::{Parts, section, store};
use crate::receiver::{OK, Receiver};

fn alerts(target: &str) -> collector::alerts::AlertsSection {
    section(&format!(
        "alerts:
  url: https://monitor.example.org
  rules: {{full: {{measure: utilisation, for: 0s, severity: critical}}}}
  targets: {{chat: {target}}}"
    ))
}

/// Incoming webhooks take JSON with `text`, in which `<`, `>` and `&` are markup unless escaped
/// (docs.slack.dev, Sending messages using incoming webhooks; Formatting message text).
#[tokio::test(flavor = "multi_thread")]
async fn slack_gets_a_text_without_foreign_markup() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let section =
        alerts(&format!("{{kind: slack, url: \"http://{}/services/T0/B0/x/\"}}", receiver.address));
    let mut parts = Parts::start(&section, store(&folder), 1);
    parts.connect("web-1", "<!channel> & more");
    parts.load("web-1", 99);
    let request = receiver.wait(1)[0].clone();
    // The path is the operator's to the last sign.
    assert_eq!(request.path, "/services/T0/B0/x/");
    assert_eq!(request.header("Content-Type"), Some("application/json"));
    let body = request.json();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["text"]);
    let text = body["text"].as_str().unwrap();
    assert!(text.starts_with("*firing: web-1 eth0 rx: 99 % of the link, above 90 %*\n"), "{text}");
    assert!(text.contains("&lt;!channel&gt; &amp; more") && !text.contains('<'), "{text}");
}

/// JSON is published by POST to the server's root, with `topic`, `message` (up to 4096 bytes), `title`, `tags`,
/// `priority` 1 to 5, and `click`, a URL (docs.ntfy.sh, Publish as JSON).
#[tokio::test(flavor = "multi_thread")]
async fn ntfy_gets_json_for_a_topic_at_its_root() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start(OK));
    let long = "text: \"{% for n in range(999) %}{{ title }} {% endfor %}\"";
    let section =
        alerts(&format!("{{kind: ntfy, url: \"http://{}/noc\", {long}}}", receiver.address));
    let mut parts = Parts::start(&section, store(&folder), 1);
    parts.connect("web-1", "");
    parts.load("web-1", 99);
    let request = receiver.wait(1)[0].clone();
    assert_eq!(request.path, "/");
    let body = request.json();
    assert_eq!((body["topic"].as_str(), body["priority"].as_u64()), (Some("noc"), Some(4)));
    assert_eq!(body["title"], "firing: web-1 eth0 rx: 99 % of the link, above 90 %");
    assert_eq!(body["tags"], serde_json::json!(["warning"]));
    let message = body["message"].as_str().unwrap();
    assert!((4000..=4096).contains(&message.len()), "{}", message.len());
    assert!(
        body["click"]
            .as_str()
            .unwrap()
            .starts_with("https://monitor.example.org/#/client/web-1/eth0")
    );
    let known = ["topic", "message", "title", "tags", "priority", "click"];
    assert!(body.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{body}");
}
