//! Tests the API against its own description, with schemathesis.

use std::path::{Path, PathBuf};

use collector::time::{Time, now_ns};
use collector::web::Access;
use wire::WallNs;

use crate::site::{Agent, INTERVAL, Site};

/// Where `scripts/tools` installs schemathesis.
fn tools() -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools/schemathesis");
    let missing = "schemathesis isn't installed: scripts/tools schemathesis";
    assert!(tools.join("schemathesis").exists(), "{missing}");
    tools
}

/// Runs schemathesis with a config. It must find nothing.
async fn run(site: &Site, config: &str, args: &[&str]) {
    let file = site.directory.path().join("schemathesis.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = std::process::Command::new("python3");
    command
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(&file)
        .arg("run")
        .arg(format!("http://{}/api/v1/openapi.json", site.address))
        // Live updates never end. A range may be reversed, which is refused.
        .args(["--exclude-path", "/api/v1/live", "--exclude-checks", "positive_data_acceptance"])
        .args(["--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--seed", "1"])
        .args(args)
        .env("PYTHONPATH", tools())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(site.directory.path());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().expect("python3 is needed");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    println!("{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_as_it_is_described() {
    let site = Site::start(Access::default()).await;
    let mut agent = Agent::new("web-1", "Web", 7, 40_000_000);
    agent.enrol(&site, (now_ns() - 1300 * INTERVAL).get()).await;
    let end = agent.remember(&site, 1200).await;
    // Any parameters.
    run(&site, "", &["--max-examples", "15"]).await;
    // Parameters of existing data.
    let (from, to) = (Time(WallNs(end - 1200 * INTERVAL)), Time(WallNs(end)));
    let known = format!(
        "[parameters]\nclient = \"web-1\"\nnic = \"eth0\"\nfrom = \"{from}\"\nto = \"{to}\"\n"
    );
    run(&site, &known, &["--max-examples", "15", "--mode", "positive"]).await;
}
