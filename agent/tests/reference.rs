//! Keeps `deploy/docs/reference-agent.md` equal to the code.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use agent::cli::Cli;
use clap::CommandFactory;
use settings::Names;
use testbed::reference;

#[test]
fn the_reference_names_every_key_and_command() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/agent.yaml");
    let example = std::fs::read_to_string(example).unwrap();
    let page = format!(
        "# Reference of the agent\n\nRendered from the code by `agent/tests/reference.rs`; don't edit it by hand.\n\n\
         - [Keys](#keys)\n- [Commands](#commands)\n\n\
         ## Keys\n\nOf `/etc/network-monitor/agent.yaml`, or the file that `-c` names. \
         [Layers](operations.md#config) says what wins over it.\n\n{}\n\
         ## Commands\n\n{}",
        reference::keys(&example),
        reference::commands(Names::Installed.in_help(Cli::command()))
    );
    reference::hold("deploy/docs/reference-agent.md", &page);
}
