//! Both hosts connect to the same collector.

use std::time::Instant;

use testbed::{PATIENCE, Pair, Running, Site, done, in_namespace, quick_once, sh, wait_until};
use wire::message::Message;

use crate::host::{
    ASKED, AT_ONCE, Host, claim, refusal, refusals, runtime, sooner_than_idle, wait_for_listed,
};

#[test]
fn the_host_that_is_connected_goes_on_and_another_is_refused_until_it_is_gone() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let runtime = runtime();
    runtime.block_on(async {
        for (number, (second, what)) in (1..).zip([
            (Some(claim(2, 2, 20)), "this is another machine"),
            (Some(claim(1, 2, 21)), "a copy of that machine, with the same machine-id"),
            (Some(claim(1, 1, 22)), "a second agent on the same machine"),
            (Some(claim(0, 0, 23)), "one of the two has no machine-id"),
            // An older agent, which sends no claim.
            (None, "one of the two has no machine-id"),
        ]) {
            let mut first = Host::connect(&site).await;
            let answer = first.introduce(Some(claim(1, 1, number)), number).await;
            assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
            let session = second.map_or(24, |it| it.session.get());
            let asked = Instant::now();
            let mut host = Host::connect(&site).await;
            let reason = refusal(host.introduce(second, session).await);
            assert!(asked.elapsed() < ASKED, "the collector asks instead of waiting");
            assert!(reason.contains("client host-1 is connected from 127.0.0.1 "), "{reason}");
            assert!(reason.contains(what), "{reason}");
            assert!(reason.contains("collector token --client host-1 --replace"), "{reason}");
            let counted = f64::from(u32::try_from(number).unwrap());
            wait_until("the count", || refusals() >= counted);
            wait_until("the collector's log", || collector.log().contains(what));
            wait_for_listed(&site, &["host-1: two hosts have its certificate", what]);
            assert!(first.connection.close_reason().is_none(), "the first stays connected");
            first.leave().await;
            // Leaving, the first frees its place for the second.
            let mut host = Host::connect(&site).await;
            let answer = host.introduce(second, session).await;
            assert!(matches!(answer, Message::Welcome(_)), "{what}: {answer:?}");
            host.leave().await;
        }
    });
    collector.stop();
}

#[test]
fn a_host_that_answers_no_more_gives_way_to_its_restart_reboot_and_successor() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let runtime = runtime();
    for (number, next) in (1..).zip([
        Some(claim(1, 1, 20)),
        Some(claim(1, 2, 21)),
        Some(claim(2, 2, 22)),
        // A container without machine-id.
        Some(claim(0, 1, 23)),
        None,
    ]) {
        // Killed: the connection is not closed.
        let killed = self::runtime();
        let first = killed.block_on(async {
            let mut first = Host::connect(&site).await;
            let answer = first.introduce(Some(claim(1, 1, number)), number).await;
            assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
            first
        });
        killed.shutdown_background();
        runtime.block_on(async {
            let mut host = Host::connect(&site).await;
            let session = next.map_or(24, |it| it.session.get());
            let answer = sooner_than_idle(host.introduce(next, session)).await;
            assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
            host.leave().await;
        });
        drop(first);
    }
    assert!(refusals() < 1.0);
    collector.stop();
}

#[test]
fn the_same_run_over_a_new_connection_goes_on_at_once() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let runtime = runtime();
    runtime.block_on(async {
        for claim in [Some(claim(1, 1, 7)), None] {
            quick_once("a new connection that goes on at once", async || {
                let mut before = Host::connect(&site).await;
                before.introduce(claim, 7).await;
                let asked = Instant::now();
                let mut after = Host::connect(&site).await;
                let answer = after.introduce(claim, 7).await;
                let took = asked.elapsed();
                assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
                after.leave().await;
                before.leave().await;
                took < AT_ONCE
            })
            .await;
        }
    });
    collector.stop();
}

#[test]
fn of_an_agent_and_its_copy_one_delivers_and_the_other_says_what_to_do() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let (from, to) = (site.dir().join("agent"), site.dir().join("copy"));
    sh(&format!("cp -a {} {}", from.display(), to.display()));
    let first = site.start_agent();
    wait_until("the first", || first.log().contains("\"connected\""));
    let copy = site.agent_in("copy", "host-1", &["run"]);
    let copy = Running::start(copy, &site.dir().join("copy.log"));
    wait_until("the refusal", || copy.log().contains("is connected from 127.0.0.1 "));
    assert!(copy.log().contains("a second agent on the same machine"), "{}", copy.log());
    assert!(refusals() > 0.0);
    wait_until("the collector's log", || collector.log().contains("a second agent"));
    let times = |log: &str| log.matches("is connected from").count();
    wait_until("more tries", || refusals() > 3.0);
    assert_eq!((times(&copy.log()), times(&collector.log())), (1, 1), "logged once");
    assert!(!first.log().contains("not connected"), "{}", first.log());
    // Only the service's own state shows this.
    for (folder, finding) in [("agent", "ok    delivery"), ("copy", "fail  delivery")] {
        let examined = site.agent_in(folder, "host-1", &["doctor"]).output().unwrap();
        let report = String::from_utf8(examined.stdout).unwrap();
        let line = report.lines().find(|line| line.starts_with(finding));
        let refused = line.unwrap_or_else(|| panic!("{folder}: {report}")).contains("is connected");
        assert_eq!(refused, folder == "copy", "{report}");
    }
    first.stop();
    // Its place is free.
    wait_until("the copy's turn", || copy.log().contains("\"connected\""));
    copy.stop();
    collector.stop();
}

#[test]
fn a_client_id_that_was_changed_after_the_enrolment_is_reported() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let said = "client.id is host-9, but this host's certificate is for host-1";
    let changed = |args: &[&str]| site.agent_in("agent", "host-9", args);
    let checked = changed(&["check-config"]).output().unwrap();
    assert!(String::from_utf8_lossy(&checked.stderr).contains(said), "{checked:?}");
    let examined = changed(&["doctor"]).output().unwrap();
    let examined = String::from_utf8_lossy(&examined.stdout);
    assert!(examined.contains(said), "{examined}");
    let agent = Running::start(changed(&["run"]), &site.dir().join("a.log"));
    wait_until("the agent's log", || agent.log().contains(said));
    wait_until("the connection", || agent.log().contains("\"connected\""));
    agent.stop();
    collector.stop();
}

#[test]
fn second_hosts_that_alternate_are_told_of_once_each() {
    if !in_namespace() {
        return;
    }
    let (_pair, site) = (Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    let runtime = runtime();
    runtime.block_on(async {
        let mut first = Host::connect(&site).await;
        let answer = first.introduce(Some(claim(1, 1, 1)), 1).await;
        assert!(matches!(answer, Message::Welcome(_)), "{answer:?}");
        for _ in 0..3 {
            for machine in [2, 3] {
                let mut host = Host::connect(&site).await;
                let _reason = refusal(host.introduce(Some(claim(machine, 1, 2)), 2).await);
            }
        }
        wait_until("the count", || refusals() >= 6.0);
        wait_until("both", || collector.log().matches("closed a connection").count() >= 2);
        assert_eq!(collector.log().matches("closed a connection").count(), 2);
        wait_for_listed(&site, &["host-1: two hosts have its certificate since 20"]);
        // No try for a long time: the second host is gone.
        let db = rusqlite::Connection::open(site.dir().join("collector/netmon.sqlite")).unwrap();
        db.busy_timeout(PATIENCE).unwrap();
        let ago = "UPDATE second_hosts SET since = since - 7200000000000,
                       told_at = told_at - 3600000000000";
        assert_eq!(db.execute(ago, []).unwrap(), 1);
        let listed = done(site.collector(&["clients"]).output().unwrap());
        assert!(!listed.contains("two hosts"), "{listed}");
        first.leave().await;
    });
    collector.stop();
}
