//! Mails to a real server: aiosmtpd, with STARTTLS and a password.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::parts::{Parts, section, store};

const PASSWORD: &str = "hunter2 is long enough";

/// Where `scripts/tools` installs aiosmtpd.
fn tools() -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools/aiosmtpd");
    assert!(tools.join("aiosmtpd").exists(), "aiosmtpd isn't installed: scripts/tools aiosmtpd");
    tools
}

/// A running mail server, with a certificate for localhost.
struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

impl Server {
    fn start(folder: &Path) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        std::fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
        wire::private_file::write(&folder.join("key.pem"), key.serialize_pem().as_bytes()).unwrap();
        let mut child = Command::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alerts/mail.py"))
            .args([folder.join("ca.pem"), folder.join("key.pem")])
            .arg(PASSWORD)
            .env("PYTHONPATH", tools())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap();
        Self { child, lines, port }
    }

    /// The next mail.
    fn mail(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_go_to_a_real_server_encrypted_and_signed_in_until_it_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let password = folder.path().join("password");
    // As an editor or echo leaves it: the line's end is no part of it.
    wire::private_file::write(&password, format!("{PASSWORD}\n").as_bytes()).unwrap();
    let section = section(&format!(
        "alerts:
  rules: {{full: {{measure: utilisation, for: 0s, clear_for: 5s}}}}
  targets:
    noc:
      kind: smtp
      server: localhost:{}
      user: netmon
      password_file: {}
      ca: {}
      from: Network Monitor <netmon@example.org>
      to: [noc@example.org, boss@example.org]",
        server.port,
        password.display(),
        folder.path().join("ca.pem").display()
    ));
    let mut parts = Parts::start(&section, store(&folder), 1);
    parts.connect("web-1", "\u{7f51}\u{5361}\r\nBcc: all@example.org");
    parts.load("web-1", 99);
    let mut next = || tokio::task::block_in_place(|| server.mail());
    let (refused, taken) = (next(), next());
    assert_eq!(refused["headers"]["message-id"], taken["headers"]["message-id"]);
    assert_eq!((&taken["encrypted"], &taken["authenticated"]), (&true.into(), &true.into()));
    assert_eq!(taken["from"], "netmon@example.org");
    assert_eq!(taken["to"], serde_json::json!(["noc@example.org", "boss@example.org"]));
    let headers = &taken["headers"];
    assert_eq!(headers["subject"], "firing: web-1 eth0 rx: 99 % of the link, above 90 %");
    assert_eq!(
        (&headers["auto-submitted"], &headers["bcc"]),
        (&"auto-generated".into(), &Value::Null)
    );
    let text = taken["text"].as_str().unwrap();
    assert!(
        text.contains("host: \u{7f51}\u{5361}") && text.contains("rule: full (warning)"),
        "{text}"
    );
    for _ in 0..24 {
        parts.load("web-1", 10);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let over = tokio::task::block_in_place(|| server.mail());
    assert_eq!(over["headers"]["in-reply-to"], headers["message-id"]);
    let subject = "resolved: web-1 eth0 rx: utilisation is no longer above 90 %";
    assert_eq!(over["headers"]["subject"], subject);
}
