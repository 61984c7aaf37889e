//! Whether the running agent delivers. Only it knows that it is refused as a second host, or that
//! the collector's database is away.

use std::path::Path;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use wire::certificate::utc;

use crate::ship::state::{self, DeliveryState};
use settings::Finding;

const SUBJECT: &str = "delivery";

pub(super) fn examine(spool: &Path) -> Vec<Finding> {
    // An agent that has ended may have written this long ago.
    let state = state::read(spool).filter(|it| is_agent(it.pid));
    state.map(|it| finding(&it)).into_iter().collect()
}

/// Whether this very program runs there, whatever it is called: packages name it `netmon-agent`.
fn is_agent(pid: u32) -> bool {
    let name = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    name("self").is_some_and(|own| name(&pid.to_string()).is_some_and(|comm| comm == own))
}

fn finding(state: &DeliveryState) -> Finding {
    let since = utc(UnixTime::since_unix_epoch(Duration::from_secs(state.since)));
    match &state.connected {
        Ok(server) => Finding::ok(SUBJECT, format!("to {server} since {since}")),
        Err(why) => Finding::fail(
            SUBJECT,
            format!("none since {since}: {why}; measurements go to the spool"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use settings::Level;

    use super::*;

    #[test]
    fn an_agent_that_is_refused_is_no_healthy_one() {
        let state =
            DeliveryState { pid: 1, since: 0, connected: Err("it is a second host".to_owned()) };
        let found = finding(&state);
        assert_eq!(found.level, Level::Fail);
        assert!(
            found.text.contains("since 1970-01-01T00:00:00Z: it is a second host"),
            "{found:?}"
        );
        assert_eq!(
            finding(&DeliveryState { connected: Ok("here".into()), ..state }).level,
            Level::Ok
        );
    }
}
