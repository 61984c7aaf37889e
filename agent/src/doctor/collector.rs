//! The certificate, and whether the collectors take it.

use std::time::Duration;

use quinn::Connection;
use rustls::pki_types::UnixTime;
use wire::certificate::utc;

use super::{DoctorConfig, Finding};
use crate::connection::control::close_reason;
use crate::connection::{Server, connect};
use crate::identity::Credentials;

pub(super) fn examine(config: &DoctorConfig) -> Vec<Finding> {
    let now = UnixTime::now();
    let credentials = match Credentials::load(&config.identity, config.tls.as_ref(), now) {
        Ok(credentials) => credentials,
        Err(error) => return vec![Finding::fail("certificate", error.to_string())],
    };
    let mut findings = vec![certificate(&credentials, now)];
    if config.servers.is_empty() {
        findings.push(Finding::fail("collector", "none is set; set server.host"));
        return findings;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let reach = |server| runtime.block_on(reach(server, &credentials));
            findings.extend(config.servers.iter().map(reach));
        }
        Err(error) => {
            let text = format!("can't be reached: {error}; raise the limit of open files");
            findings.push(Finding::fail("collector", text));
        }
    }
    findings
}

fn certificate(credentials: &Credentials, now: UnixTime) -> Finding {
    const SUBJECT: &str = "certificate";
    let until = utc(credentials.validity().not_after);
    let text = format!("{}, valid until {until}", credentials.client());
    if !credentials.validity().renew_due(now) {
        Finding::ok(SUBJECT, text)
    } else if credentials.renew_due(now) {
        let way_out = "its renewal is due, which `agent run` does once it reaches a collector";
        Finding::warn(SUBJECT, format!("{text}; {way_out}"))
    } else {
        Finding::warn(SUBJECT, format!("{text}; put its successor where tls.cert says"))
    }
}

async fn reach(server: &Server, credentials: &Credentials) -> Finding {
    const SUBJECT: &str = "collector";
    let name = credentials.server_name(&server.host);
    match connect(server, name, &credentials.client_config()).await {
        Ok((endpoint, connection)) => {
            let refused = refused(&connection).await;
            let rtt = connection.rtt();
            connection.close(0u32.into(), b"examined");
            endpoint.wait_idle().await;
            match refused {
                Some(why) => Finding::fail(
                    SUBJECT,
                    format!("{server} refuses this agent: {why}; `collector clients` shows it"),
                ),
                None => Finding::ok(SUBJECT, format!("{server} answers in {rtt:.1?}")),
            }
        }
        Err(error) => Finding::fail(SUBJECT, error.to_string()),
    }
}

/// Why the collector closes the connection, if it does: it judges the agent's certificate only
/// after the agent's side of the handshake is done.
async fn refused(connection: &Connection) -> Option<String> {
    let wait = Duration::from_millis(300) + 2 * connection.rtt();
    let closed = tokio::time::timeout(wait, connection.closed()).await.ok()?;
    Some(close_reason(&closed))
}
