//! The certificate, and whether the collectors accept it.

use std::time::Duration;

use quinn::Connection;
use rustls::pki_types::UnixTime;
use tokio::time::timeout;
use wire::WallNs;
use wire::certificate::utc;
use wire::message::{Message, Probe};

use super::config::DoctorConfig;
use crate::clocks;
use crate::connection::control::{self, close_reason};
use crate::connection::{Server, connect, notices};
use crate::identity::Credentials;
use crate::ship::clock_check::difference;
use settings::{Finding, InFull, Level};

const COLLECTOR: &str = "collector";

/// How often to ask the collector for its time, and how long all questions may take.
const QUESTIONS: u32 = 4;
const ANSWER: Duration = Duration::from_secs(2);

/// How long to wait for notices about limits, which the collector sends before its answer.
const NOTICE: Duration = Duration::from_millis(50);

pub(super) fn examine(config: &DoctorConfig) -> Vec<Finding> {
    let now = UnixTime::now();
    let credentials = match Credentials::load(&config.identity, config.tls.as_ref(), now) {
        Ok(credentials) => credentials,
        Err(error) => return vec![Finding::fail("certificate", error.in_full().to_string())],
    };
    let mut findings = vec![certificate(&credentials, now)];
    findings.extend(config.other_identity.iter().map(|it| Finding::warn("client", it.clone())));
    if config.servers.is_empty() {
        findings.push(Finding::fail(COLLECTOR, "none is set; set server.host"));
        return findings;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let tolerance = config.capture.sample_interval;
            let reach = |server| runtime.block_on(reach(server, &credentials, tolerance));
            let mut reached: Vec<Finding> = config.servers.iter().flat_map(reach).collect();
            if reached.iter().any(|it| it.subject == COLLECTOR && it.level == Level::Ok) {
                // The agent uses the collector that accepts it.
                reached.iter_mut().for_each(|it| it.level = it.level.min(Level::Warn));
            }
            findings.extend(reached);
        }
        Err(error) => {
            let why = error.in_full();
            let text = format!("can't be reached: {why}; raise the limit of open files");
            findings.push(Finding::fail(COLLECTOR, text));
        }
    }
    findings
}

fn certificate(credentials: &Credentials, now: UnixTime) -> Finding {
    const SUBJECT: &str = "certificate";
    let until = utc(credentials.validity().not_after);
    let text = format!("{}, valid until {until}", credentials.client());
    if !credentials.validity().covers(now) {
        let (from, now) = (utc(credentials.validity().not_before), utc(now));
        let text = format!("{text}, and only from {from}; this host's clock says {now}");
        Finding::warn(SUBJECT, format!("{text}; check the clocks of both hosts"))
    } else if !credentials.validity().renew_due(now) {
        Finding::ok(SUBJECT, text)
    } else if credentials.renew_due(now) {
        let way_out = "its renewal is due; `agent run` renews it once it reaches a collector";
        Finding::warn(SUBJECT, format!("{text}; {way_out}"))
    } else {
        Finding::warn(SUBJECT, format!("{text}; put a new one where tls.cert says"))
    }
}

async fn reach(server: &Server, credentials: &Credentials, tolerance: Duration) -> Vec<Finding> {
    let name = credentials.server_name(&server.host);
    match connect(server, name, &credentials.client_config()).await {
        Ok((endpoint, connection)) => {
            let refused = refused(&connection).await;
            let rtt = connection.rtt();
            let times = match refused {
                Some(_) => None,
                None => timeout(ANSWER, times(&connection)).await.ok().flatten(),
            };
            let over = match times {
                Some(_) => timeout(NOTICE + rtt, notices::hear(&connection)).await,
                None => Ok(Ok(Vec::new())),
            };
            connection.close(0u32.into(), b"examined");
            endpoint.wait_idle().await;
            let mut findings = vec![match refused {
                Some(why) => Finding::fail(
                    COLLECTOR,
                    format!("{server} refuses this agent: {why}; `collector clients` shows it"),
                ),
                None => Finding::ok(COLLECTOR, format!("{server} answers in {rtt:.1?}")),
            }];
            // Older collectors don't answer this.
            findings.extend(times.map(|(here, there)| clocks(here, there, tolerance + rtt)));
            let over = over.into_iter().flatten().flatten();
            findings.extend(over.map(|text| {
                Finding::warn(
                    "limits",
                    format!(
                        "{server}: within the last hour this client used \
                                                 {text}"
                    ),
                )
            }));
            findings
        }
        Err(error) => vec![Finding::fail(COLLECTOR, error.in_full().to_string())],
    }
}

/// The time here and at the collector at one moment, nanoseconds since 1970 (UTC): the best of
/// several probes.
async fn times(connection: &Connection) -> Option<(WallNs, WallNs)> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    let mut best: Option<(u64, (WallNs, WallNs))> = None;
    for _ in 0..QUESTIONS {
        let (asked_ns, before_ns) = (clocks::wall_ns(), clocks::boot_ns());
        let question = Message::Probe(Probe { asked_ns });
        control::write(&mut send, connection, &question).await.ok()?;
        let Message::ProbeReply(reply) = control::read(&mut receive, connection).await.ok()? else {
            return None;
        };
        let took_ns = clocks::boot_ns().saturating_since(before_ns);
        let times = (asked_ns.saturating_add(took_ns / 2), reply.arrived_ns);
        if best.is_none_or(|(shortest_ns, _)| took_ns < shortest_ns) {
            best = Some((took_ns, times));
        }
    }
    best.map(|(_, times)| times)
}

/// Whether two times agree that should be the same.
fn clocks(here_ns: WallNs, there_ns: WallNs, tolerance: Duration) -> Finding {
    const SUBJECT: &str = "clocks";
    let apart = Duration::from_nanos(here_ns.abs_diff(there_ns));
    if apart <= tolerance {
        Finding::ok(SUBJECT, format!("this host's and the collector's are {apart:.1?} apart"))
    } else {
        Finding::warn(SUBJECT, difference(here_ns, there_ns))
    }
}

/// Why the collector closes the connection, if it does: it checks the agent's certificate only
/// after the agent's side of the handshake is done.
async fn refused(connection: &Connection) -> Option<String> {
    let wait = Duration::from_millis(300) + 2 * connection.rtt();
    let closed = timeout(wait, connection.closed()).await.ok()?;
    Some(close_reason(&closed))
}
