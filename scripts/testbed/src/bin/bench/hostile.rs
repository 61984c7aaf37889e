//! `bench hostile`: what each attack of the hostile suite costs an honest agent and the collector.
//!
//! The attacks are those of `collector/tests/hostile/attacks.py`. Each runs against its own collector.
//! Attacker, two honest agents and collector share this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use testbed::siege::{self, BEHAVIOURS, Cost, FellBack, Siege};
use testbed::{Cluster, Site, sh};

use super::space::in_own_namespace;
use super::table::{Table, quantile};

/// How long the honest agents are watched before each attack.
const QUIET: Duration = Duration::from_secs(3);

/// Longest time until an agent leaves a hostile collector: 5 minutes if that commits nothing.
const LONGEST: Duration = Duration::from_secs(360);

/// The numbered kinds of attacks, and the attacks of each.
const ATTACKS: [(&str, &[&str]); 7] = [
    ("commits", &["figures_beyond_any_link", "figures_that_are_too_much_only_together"]),
    (
        "limits",
        &[
            "frames_that_wait_for_a_missing_one",
            "sessions_of_empty_frames",
            "connections_of_one_client",
            "handshakes_that_are_never_finished",
            "connections_that_say_nothing",
            "messages_that_never_end",
            "nics_that_come_and_go",
            "names_of_nics_without_end",
            "rows_as_fast_as_they_go",
        ],
    ),
    (
        "identity",
        &[
            "renewals_without_end",
            "revoked_while_connected",
            "a_certificate_that_ends_while_connected",
            "guessed_tokens",
        ],
    ),
    ("arithmetic", &["totals_that_no_sum_holds"]),
    (
        "HTTP",
        &[
            "slow_bodies",
            "slow_headers",
            "idle_connections",
            "aborted_queries",
            "wrong_tokens",
            "other_names",
        ],
    ),
    ("logs", &["words_that_steer_a_terminal", "a_secret_in_the_wrong_place"]),
    ("time", &["rows_of_other_centuries"]),
];

/// Settings that an attack needs to have a target.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("wrong_tokens", "HTTP__TOKEN_FILE", TOKEN_FILE),
    ("other_names", "HTTP__PROXY_HEADER", "Remote-User"),
    ("other_names", "HTTP__PROXIES", "127.0.0.1"),
];

/// Attacks that fill the file of the embedded store.
const SQLITE_ONLY: [&str; 1] = ["aborted_queries"];

/// In this namespace's own `/run`.
const TOKEN_FILE: &str = "/run/netmon-bench-token";

/// Options of `bench hostile`.
#[derive(Debug, Args)]
pub struct Options {
    /// Folder with the programs of another build, attacked beside these in the same run
    #[arg(long, value_name = "FOLDER")]
    beside: Option<PathBuf>,
    /// Attacks and hostile collectors; default: all
    #[arg(value_name = "ATTACK")]
    attacks: Vec<String>,
    /// Longest time of each attack, seconds
    #[arg(long, default_value_t = 15.0)]
    seconds: f64,
    /// Strength of each attack; 1 is a real attacker's
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Use a temporary PostgreSQL instead of the embedded store
    #[arg(long)]
    postgresql: bool,
}

/// Runs the attacks in its own network namespace.
///
/// # Errors
/// Fails without a namespace or aioquic, or if an attack is unknown.
pub fn run(options: &Options) -> anyhow::Result<()> {
    siege::aioquic().map_err(anyhow::Error::msg)?;
    if !in_own_namespace()? {
        return Ok(());
    }
    let known = ATTACKS.iter().flat_map(|(_, attacks)| *attacks).chain(&BEHAVIOURS);
    if let Some(unknown) = options.attacks.iter().find(|it| !known.clone().any(|own| own == it)) {
        let known: Vec<&str> = known.copied().collect();
        anyhow::bail!("no attack {unknown}; there are: {}", known.join(" "));
    }
    sh(
        "mount -t tmpfs tmpfs /run && umask 077 && echo a-token-of-many-letters > /run/netmon-bench-token",
    );
    let cluster = options.postgresql.then(Cluster::start);
    let mut table = Table::new(&[
        "attack",
        "build",
        "quiet ms",
        "99 %",
        "attacked",
        "99 %",
        "most",
        "memory MiB",
        "most",
        "disk MiB",
        "most",
        "cores",
        "ready",
        "not",
        "silent",
        "kept",
    ]);
    for (kind, attacks) in ATTACKS {
        let wanted =
            |it: &&&str| options.attacks.is_empty() || options.attacks.iter().any(|o| o == **it);
        for attack in attacks.iter().filter(wanted) {
            if options.postgresql && SQLITE_ONLY.contains(attack) {
                println!("\n{kind}: {attack}: skipped: needs the embedded store");
                continue;
            }
            let other = options.beside.as_deref().map(|folder| ("before", Some(folder)));
            for (build, programs) in other.into_iter().chain([("now", None)]) {
                println!("\n{kind}: {attack}, {build}");
                let cost = one(options, attack, programs, cluster.as_ref());
                for said in &cost.said {
                    println!("{said}");
                }
                table.row(cells(attack, build, &cost));
            }
        }
    }
    if !table.is_empty() {
        println!(
            "\nLatency: from a report of an honest agent (20 a second) until it knows the commit, {} s \
             before the attack and from its start on. Memory and disk: before it, and the most since. \
             CPU in cores; answers of /readyz; whether all data of the honest agents is stored once.",
            QUIET.as_secs()
        );
        table.print();
    }
    fallbacks(&options.attacks);
    Ok(())
}

/// Measures how long agents stay with hostile collectors.
fn fallbacks(wanted: &[String]) {
    let wanted = |it: &&&str| wanted.is_empty() || wanted.iter().any(|other| other == **it);
    let mut table = Table::new(&["collector", "next one after s", "kept"]);
    for behaviour in BEHAVIOURS.iter().filter(wanted) {
        println!("\ncollectors: {behaviour}");
        let FellBack { after, all_kept, .. } = siege::fall_back(behaviour, LONGEST);
        let kept = if all_kept { "all" } else { "not all" };
        table.row(vec![
            (*behaviour).to_owned(),
            format!("{:.1}", after.as_secs_f64()),
            kept.to_owned(),
        ]);
    }
    if !table.is_empty() {
        println!(
            "\nTime from Hello at a hostile collector until the agent reaches the next one of its list."
        );
        table.print();
    }
}

fn one(
    options: &Options,
    attack: &str,
    programs: Option<&Path>,
    cluster: Option<&Cluster>,
) -> Cost {
    let site = cluster.map_or_else(Site::new, |it| Site::with_database(&it.new_database()));
    let site = match programs {
        Some(folder) => site.with_programs(folder),
        None => site,
    };
    let site = SETTINGS
        .iter()
        .filter(|(of, ..)| *of == attack)
        .fold(site, |site, (_, key, value)| site.with_setting(key, value));
    let mut siege = Siege::begin(site);
    std::thread::sleep(QUIET);
    let _said = siege.attack(attack, options.seconds, options.scale);
    siege.end()
}

#[allow(clippy::cast_precision_loss, reason = "figures in print")]
fn cells(attack: &str, build: &str, cost: &Cost) -> Vec<String> {
    let ms = |values: &[f64], percent| format!("{:.0}", quantile(&mut values.to_vec(), percent));
    let mib = |bytes: u64| format!("{:.0}", bytes as f64 / f64::from(1 << 20));
    let kept = if cost.all_kept() { "all".to_owned() } else { format!("{:?}", cost.kept) };
    vec![
        attack.to_owned(),
        build.to_owned(),
        ms(&cost.quiet_ms, 50),
        ms(&cost.quiet_ms, 99),
        ms(&cost.during_ms, 50),
        ms(&cost.during_ms, 99),
        ms(&cost.during_ms, 100),
        mib(cost.before.memory),
        mib(cost.most.memory),
        mib(cost.before.disk),
        mib(cost.most.disk),
        format!("{:.2}", cost.cores),
        cost.ready.yes.to_string(),
        cost.ready.no.to_string(),
        cost.ready.silent.to_string(),
        kept,
    ]
}
