//! Incidents of alerts, the outbox of messages, and silences: the same in every store.

use std::sync::Arc;
use std::time::Duration;

use collector::store::{
    AlertChange, AlertCursor, AlertEnd, AlertEvent, AlertIncident, AlertRange, AlertRef,
    AlertSilence, AlertSubject, ClaimedMessage, Database, EndMessage, MessageLease, MessageOutcome,
    QueuedMessage, RetentionLimits, SettledMessage,
};
use collector::time::now_ns;
use testbed::until;
use wire::WallNs;

use crate::batches::SECOND;
use crate::suite::Place;

const LEASE: MessageLease = MessageLease { collector: 7, lasts: Duration::from_secs(600) };

fn subject(client: &str) -> AlertSubject {
    AlertSubject { client: client.into(), nic: "eth0".into(), ..AlertSubject::default() }
}

fn incident(id: &str, client: &str, fired_ns: WallNs) -> AlertIncident {
    AlertIncident {
        id: id.into(),
        rule: "full".into(),
        measure: "utilisation".into(),
        severity: "critical".into(),
        subject: subject(client),
        since_ns: fired_ns - SECOND,
        fired_ns,
        resolved_ns: None,
        value: 97.5,
        bound: 90.0,
        worst: 98.0,
        worst_ns: fired_ns,
        detail: "foreign \0 text".into(),
        muted: None,
        announced: true,
        ended: None,
    }
}

fn messages(body: &str) -> Vec<QueuedMessage> {
    let message = |target: &str| QueuedMessage {
        target: target.into(),
        held_until_ns: WallNs(0),
        sent: false,
        body: body.into(),
    };
    vec![message("mail"), message("ops")]
}

fn over(body: &str) -> EndMessage {
    EndMessage { body: body.into(), ..EndMessage::default() }
}

fn end(client: &str, fired_ns: WallNs) -> AlertEnd {
    let which =
        AlertRef { id: String::new(), rule: "full".into(), subject: subject(client), fired_ns };
    AlertEnd { which, at_ns: fired_ns + SECOND, worst: 99.0, worst_ns: fired_ns, ended: "calm" }
}

async fn claim(
    store: &Arc<dyn Database>,
    target: &str,
    lease: MessageLease,
) -> Vec<ClaimedMessage> {
    store.claim_messages(target, lease, 10, now_ns()).await.unwrap()
}

async fn settle(store: &Arc<dyn Database>, message: &ClaimedMessage, outcome: MessageOutcome) {
    let (incident, event) = (message.incident.clone(), message.event);
    let settled = [SettledMessage { incident, event, outcome }];
    store.settle_messages("ops", &settled, now_ns()).await.unwrap();
}

async fn page(store: &Arc<dyn Database>) -> Vec<AlertIncident> {
    let range = AlertRange::newest(10);
    store.alerts(&range).await.unwrap().incidents
}

/// Whole microseconds, as PostgreSQL keeps them.
fn now() -> WallNs {
    now_ns().floor(1000)
}

pub async fn of_one_rule_and_subject_one_incident_is_open_and_told_once(place: &impl Place) {
    let store = place.open().await;
    let at = now();
    let open = |id| AlertChange::Open(incident(id, "web", at), messages(id));
    // Two collectors see the same.
    let changes = [[open("a")], [open("b")]];
    let both = changes.clone().map(|changes| {
        let store = store.clone();
        tokio::spawn(async move { store.change_alerts(&changes, now_ns()).await.unwrap() })
    });
    for done in both {
        done.await.unwrap();
    }
    let known = store.open_alerts().await.unwrap();
    assert_eq!(known.len(), 1);
    let first = known[0].id.clone();
    let expected = incident(&first, "web", at);
    let detail = known[0].detail.clone();
    assert!(detail == expected.detail || detail == "foreign \u{fffd} text", "{detail:?}");
    assert_eq!(known, [AlertIncident { detail, ..expected }]);
    for target in ["mail", "ops"] {
        let claimed = claim(&store, target, LEASE).await;
        assert_eq!(claimed.len(), 1, "{target}: {claimed:?}");
        assert_eq!((claimed[0].incident.as_str(), claimed[0].body.as_str()), (&*first, &*first));
    }
    // Both see its end, too; one of them only later, when it fires anew.
    for _ in 0..2 {
        let resolve = AlertChange::Resolve(end("web", at), over("over"));
        store.change_alerts(&[resolve], now_ns()).await.unwrap();
    }
    let again = AlertChange::Open(incident("c", "web", at + 9 * SECOND), vec![]);
    let late = AlertChange::Resolve(end("web", at), over("over"));
    store.change_alerts(&[again, late], now_ns()).await.unwrap();
    let known = page(&store).await;
    let ids: Vec<_> = known.iter().map(|it| (it.id.as_str(), it.ended.as_deref())).collect();
    assert_eq!(ids, [("c", None), (first.as_str(), Some("calm"))]);
    assert_eq!((known[1].resolved_ns, known[1].worst), (Some(at + SECOND), 99.0));
    let range = AlertRange::firing(10);
    assert_eq!(store.alerts(&range).await.unwrap().incidents.len(), 1);
    let count = "SELECT count(*) FROM alert_messages WHERE event = 'resolved'";
    assert_eq!(place.numbers(count).await, [2]);
}

pub async fn a_message_is_sent_by_one_until_its_lease_ends(place: &impl Place) {
    let store = place.open().await;
    let open = AlertChange::Open(incident("a", "web", now()), messages("a"));
    store.change_alerts(&[open], now_ns()).await.unwrap();
    let short = MessageLease { lasts: Duration::from_secs(1), ..LEASE };
    let takers = [0; 8].map(|_| {
        let store = store.clone();
        tokio::spawn(async move { claim(&store, "ops", short).await.len() })
    });
    let mut taken = 0;
    for taker in takers {
        taken += taker.await.unwrap();
    }
    assert_eq!(taken, 1);
    assert_eq!(claim(&store, "ops", short).await, []);
    // Whoever claimed it is gone.
    let mut again = Vec::new();
    until("the end of the lease", async || {
        again = claim(&store, "ops", LEASE).await;
        !again.is_empty()
    })
    .await;
    assert_eq!((again[0].attempts, again[0].incident.as_str()), (2, "a"));
    settle(&store, &again[0], MessageOutcome::Sent).await;
    // The one whose lease has ended was slow, not dead.
    settle(&store, &again[0], MessageOutcome::Retry(Duration::ZERO, "late".into())).await;
    assert_eq!(claim(&store, "ops", LEASE).await, []);
    let range = AlertRange::newest(10);
    let deliveries = store.alerts(&range).await.unwrap().deliveries;
    let shown = deliveries.iter().map(|it| (it.target.as_str(), it.state.as_str(), it.attempts));
    assert_eq!(shown.collect::<Vec<_>>(), [("mail", "waiting", 0), ("ops", "sent", 2)]);
    assert!(deliveries[1].ended_ns.is_some() && deliveries[0].ended_ns.is_none());
}

pub async fn that_it_is_over_is_told_after_that_it_began(place: &impl Place) {
    let store = place.open().await;
    let at = now();
    let changes = [
        AlertChange::Open(incident("a", "web", at), messages("began")),
        AlertChange::Resolve(end("web", at), over("over")),
    ];
    store.change_alerts(&changes, now_ns()).await.unwrap();
    let first = claim(&store, "ops", LEASE).await;
    assert_eq!(first.iter().map(|it| it.event).collect::<Vec<_>>(), [AlertEvent::Firing]);
    let retry = MessageOutcome::Retry(Duration::from_secs(300), "refused".into());
    settle(&store, &first[0], retry).await;
    assert_eq!(claim(&store, "ops", LEASE).await, [], "it waits");
    place.execute("UPDATE alert_messages SET retry_at = created_at").await;
    let first = claim(&store, "ops", LEASE).await;
    assert_eq!((first[0].event, first[0].attempts), (AlertEvent::Firing, 2));
    settle(&store, &first[0], MessageOutcome::Failed("gone".into())).await;
    let second = claim(&store, "ops", LEASE).await;
    assert_eq!((second[0].event, second[0].body.as_str()), (AlertEvent::Resolved, "over"));
    let range = AlertRange::newest(10);
    let deliveries = store.alerts(&range).await.unwrap().deliveries;
    let failed = deliveries.iter().find(|it| it.state == "failed").unwrap();
    assert_eq!((failed.target.as_str(), failed.error.as_deref()), ("ops", Some("gone")));
}

pub async fn a_muted_incident_is_told_later_or_never(place: &impl Place) {
    let store = place.open().await;
    let at = now();
    let muted = |id: &str, client: &str| AlertIncident {
        muted: Some("quiet hours".into()),
        announced: false,
        ..incident(id, client, at)
    };
    let changes = ["web", "db"].map(|it| AlertChange::Open(muted(it, it), vec![]));
    store.change_alerts(&changes, now_ns()).await.unwrap();
    assert_eq!(claim(&store, "ops", LEASE).await, []);
    // One is over before the quiet hours are.
    let ended = AlertChange::Resolve(end("db", at), over("over"));
    store.change_alerts(&[ended], now_ns()).await.unwrap();
    assert_eq!(claim(&store, "ops", LEASE).await, []);
    let which =
        AlertRef { id: String::new(), rule: "full".into(), subject: subject("web"), fired_ns: at };
    for _ in 0..2 {
        let announce = AlertChange::Announce(which.clone(), messages("still"));
        store.change_alerts(&[announce], now_ns()).await.unwrap();
    }
    let told = claim(&store, "ops", LEASE).await;
    assert_eq!(told.iter().map(|it| it.body.as_str()).collect::<Vec<_>>(), ["still"]);
    let held = EndMessage { held_until_ns: now() + 3600 * SECOND, ..over("over") };
    let over = AlertChange::Resolve(end("web", at), held);
    store.change_alerts(&[over], now_ns()).await.unwrap();
    settle(&store, &told[0], MessageOutcome::Sent).await;
    assert_eq!(claim(&store, "ops", LEASE).await, [], "held until quiet hours are over");
    let muted: Vec<_> = page(&store).await.into_iter().map(|it| it.muted.unwrap()).collect();
    assert_eq!(muted, ["quiet hours", "quiet hours"]);
}

pub async fn silences_are_for_all_collectors_until_they_end(place: &impl Place) {
    let store = place.open().await;
    let at = now();
    let silence = |id: &str, until_ns: WallNs| AlertSilence {
        id: id.into(),
        rule: "full".into(),
        client: "web-*".into(),
        nic: String::new(),
        tag: String::new(),
        from_ns: at,
        until_ns,
        by: "me".into(),
        reason: "new switch".into(),
    };
    let all = [silence("aa1", at + 10 * SECOND), silence("aa2", at + 5 * SECOND)];
    for one in &all {
        store.add_silence(one).await.unwrap();
    }
    assert_eq!(store.silences(at + SECOND).await.unwrap(), [all[1].clone(), all[0].clone()]);
    assert_eq!(store.end_silence("aa", at + SECOND).await.unwrap(), None, "two begin so");
    assert_eq!(store.end_silence("b", at + SECOND).await.unwrap(), None);
    assert_eq!(store.end_silence("aa1", at + SECOND).await.unwrap(), Some(all[0].clone()));
    assert_eq!(store.silences(at + 2 * SECOND).await.unwrap(), [all[1].clone()]);
    assert_eq!(store.silences(at + 6 * SECOND).await.unwrap(), []);
}

pub async fn alerts_that_are_over_are_deleted_by_age_with_their_messages(place: &impl Place) {
    let store = place.open().await;
    let (long_ago, lately) = (now() - 100 * 86_400 * SECOND, now() - 3600 * SECOND);
    let changes = [
        AlertChange::Open(incident("old", "web", long_ago), messages("old")),
        AlertChange::Resolve(end("web", long_ago), over("old")),
        AlertChange::Open(incident("new", "web", lately), messages("new")),
        AlertChange::Resolve(end("web", lately), over("new")),
        AlertChange::Open(incident("still", "db", long_ago), messages("still")),
    ];
    store.change_alerts(&changes, now_ns()).await.unwrap();
    store.retain(&RetentionLimits::default(), now_ns()).await.unwrap();
    let ids: Vec<_> = page(&store).await.into_iter().map(|it| it.id).collect();
    assert_eq!(ids, ["new", "still"]);
    let count = "SELECT count(*) FROM alert_messages WHERE incident = 'old'";
    assert_eq!(place.numbers(count).await, [0]);
    assert_eq!(place.numbers("SELECT count(*) FROM alert_messages").await, [6]);
}

pub async fn history_comes_page_by_page_by_time_rule_and_client(place: &impl Place) {
    let store = place.open().await;
    let at = now();
    // Three at the same moment, and one later that fires still.
    let mut changes: Vec<AlertChange> = Vec::new();
    for client in ["a", "b", "c"] {
        changes.push(AlertChange::Open(incident(client, client, at), vec![]));
        changes.push(AlertChange::Resolve(end(client, at), over("over")));
    }
    let other = AlertIncident { rule: "lost".into(), ..incident("d", "a", at + 5 * SECOND) };
    changes.push(AlertChange::Open(other, messages("d")));
    store.change_alerts(&changes, now_ns()).await.unwrap();
    let ids = async |range: &AlertRange| -> String {
        store.alerts(range).await.unwrap().incidents.into_iter().map(|it| it.id).collect()
    };
    // Page by page, those of the same moment each once.
    let (mut listed, mut range) = (String::new(), AlertRange::newest(1));
    while let Some(last) = store.alerts(&range).await.unwrap().incidents.pop() {
        listed += &last.id;
        range.after = Some(AlertCursor { fired_ns: last.fired_ns, id: last.id });
    }
    assert_eq!(listed, "dcba");
    let all = || AlertRange::newest(10);
    for (range, expected) in [
        (AlertRange::firing(10), "d"),
        (AlertRange { firing: Some(false), ..all() }, "cba"),
        (AlertRange { rule: Some("lost".into()), ..all() }, "d"),
        (AlertRange { client: Some("a".into()), ..all() }, "da"),
        (AlertRange { to_ns: at + 5 * SECOND, ..all() }, "cba"),
        (AlertRange { to_ns: at, ..all() }, ""),
        // They were over a second after they fired; what fires still is not over.
        (AlertRange { from_ns: at + SECOND, ..all() }, "dcba"),
        (AlertRange { from_ns: at + 2 * SECOND, ..all() }, "d"),
    ] {
        assert_eq!(ids(&range).await, expected, "{range:?}");
    }
    let deliveries = store.alerts(&AlertRange::firing(10)).await.unwrap().deliveries;
    assert_eq!(deliveries.iter().map(|it| &it.target).collect::<Vec<_>>(), ["mail", "ops"]);
}

pub async fn a_change_that_comes_again_notes_what_was_sent_meanwhile(place: &impl Place) {
    let store = place.open().await;
    let at = now();
    let sent = |body: &str| {
        let mut messages = messages(body);
        messages[1].sent = true;
        messages
    };
    let which =
        || AlertRef { id: "a".into(), rule: "full".into(), subject: subject("web"), fired_ns: at };
    let ended = || AlertEnd { which: which(), ..end("web", at) };
    let sent_over = || EndMessage { sent: vec!["ops".into()], ..over("c") };
    let muted = || AlertIncident { announced: false, ..incident("a", "web", at) };
    // Nobody knows that the first calls were committed; meanwhile `ops` was told without the store.
    for (first, again) in [
        (AlertChange::Open(muted(), vec![]), AlertChange::Open(muted(), vec![])),
        (AlertChange::Announce(which(), messages("b")), AlertChange::Announce(which(), sent("b"))),
        (AlertChange::Resolve(ended(), over("c")), AlertChange::Resolve(ended(), sent_over())),
        (
            AlertChange::Open(incident("d", "db", at), messages("d")),
            AlertChange::Open(incident("d", "db", at), sent("d")),
        ),
    ] {
        store.change_alerts(&[first], now_ns()).await.unwrap();
        store.change_alerts(&[again], now_ns()).await.unwrap();
    }
    assert_eq!(claim(&store, "ops", LEASE).await, []);
    assert_eq!(claim(&store, "mail", LEASE).await.len(), 2, "the end follows the beginning");
    let deliveries = store.alerts(&AlertRange::newest(10)).await.unwrap().deliveries;
    let sent = deliveries.iter().filter(|it| it.target == "ops" && it.ended_ns.is_some());
    assert_eq!(sent.count(), 3);
}

pub async fn of_what_a_collector_does_not_stand_behind_it_is_told_who_did_and_when(
    place: &impl Place,
) {
    let store = place.open().await;
    let at = now();
    let two_hours_ago = at - 7200 * SECOND;
    let open = ["a", "b", "c"].map(|id| {
        AlertChange::Open(AlertIncident { since_ns: two_hours_ago, ..incident(id, id, at) }, vec![])
    });
    store.change_alerts(&open, now_ns()).await.unwrap();
    let end = AlertChange::Resolve(end("c", at), over("c"));
    store.change_alerts(&[end], now_ns()).await.unwrap();
    let confirm = async |name: &str, ids: &[&str]| -> Vec<(String, bool)> {
        let ids: Vec<String> = ids.iter().map(|it| (*it).to_owned()).collect();
        let found = store.confirm_alerts(name, &ids, now_ns()).await.unwrap();
        assert!(found.iter().all(|it| it.since < Duration::from_secs(60)), "{found:?}");
        found.into_iter().map(|it| (it.id, it.own)).collect()
    };
    let all = |own: [bool; 2]| vec![("a".to_owned(), own[0]), ("b".to_owned(), own[1])];
    // Nobody has said yet who opened them.
    assert_eq!(confirm("collector a", &[]).await, all([true, true]));
    assert_eq!(confirm("collector a", &["a", "b", "c"]).await, []);
    assert_eq!(confirm("collector b", &[]).await, all([false, false]));
    assert_eq!(confirm("collector b", &["b"]).await, all([false, true])[..1]);
    assert_eq!(confirm("collector a", &[]).await, all([true, false]));
    // It is long ago.
    place.execute("UPDATE alerts SET confirmed_at = since WHERE id = 'a'").await;
    let found = store.confirm_alerts("collector a", &[], now_ns()).await.unwrap();
    let hours: Vec<_> = found.iter().map(|it| it.since.as_secs() / 3600).collect();
    assert_eq!(hours, [2, 0]);
}

pub async fn those_who_were_told_that_it_fires_are_told_that_it_is_over(place: &impl Place) {
    let store = place.open().await;
    let at = now();
    let open = AlertChange::Open(incident("a", "web", at), messages("began"));
    store.change_alerts(&[open], now_ns()).await.unwrap();
    let claimed = claim(&store, "ops", LEASE).await;
    settle(&store, &claimed[0], MessageOutcome::Sent).await;
    // `mail` wants no such message, and `new` heard it from another collector's memory.
    let (unwanted, sent) = (vec!["mail".to_owned()], vec!["new".to_owned()]);
    let message = EndMessage { unwanted, sent, ..over("over") };
    let resolve = AlertChange::Resolve(end("web", at), message);
    store.change_alerts(&[resolve], now_ns()).await.unwrap();
    let deliveries = store.alerts(&AlertRange::newest(10)).await.unwrap().deliveries;
    let over = deliveries.iter().filter(|it| it.event == AlertEvent::Resolved);
    let over: Vec<_> = over.map(|it| (it.target.as_str(), it.state.as_str())).collect();
    assert_eq!(over, [("new", "sent"), ("ops", "waiting")]);
}

pub async fn only_targets_with_something_to_send_are_to_be_served(place: &impl Place) {
    let store = place.open().await;
    let to_serve = async || store.targets_to_serve(LEASE.collector, now_ns()).await.unwrap();
    assert_eq!(to_serve().await, Vec::<String>::new());
    let open = AlertChange::Open(incident("a", "web", now()), messages("a"));
    store.change_alerts(&[open], now_ns()).await.unwrap();
    let mut both = to_serve().await;
    both.sort();
    assert_eq!(both, ["mail", "ops"]);
    let claimed = claim(&store, "ops", LEASE).await;
    assert_eq!(to_serve().await, ["mail"], "one is being sent");
    settle(&store, &claimed[0], MessageOutcome::Retry(Duration::ZERO, "busy".into())).await;
    assert_eq!(to_serve().await.len(), 2);
}

pub async fn messages_are_settled_together(place: &impl Place) {
    let store = place.open().await;
    let at = now();
    let open = ["a", "b", "c"].map(|id| AlertChange::Open(incident(id, id, at), messages(id)));
    store.change_alerts(&open, now_ns()).await.unwrap();
    let claimed = claim(&store, "ops", LEASE).await;
    let outcomes = [
        MessageOutcome::Sent,
        MessageOutcome::Retry(Duration::from_secs(300), "busy".into()),
        MessageOutcome::Failed("foreign \0 text".into()),
    ];
    let settled: Vec<SettledMessage> = claimed
        .iter()
        .zip(outcomes)
        .map(|(it, outcome)| {
            let (incident, event) = (it.incident.clone(), it.event);
            SettledMessage { incident, event, outcome }
        })
        .collect();
    store.settle_messages("ops", &settled, now_ns()).await.unwrap();
    let deliveries = store.alerts(&AlertRange::newest(10)).await.unwrap().deliveries;
    let mut states: Vec<_> = deliveries
        .iter()
        .filter(|it| it.target == "ops")
        .map(|it| (it.state.as_str(), it.error.is_some(), it.ended_ns.is_some()))
        .collect();
    states.sort_unstable();
    assert_eq!(states, [("failed", true, true), ("sent", false, true), ("waiting", true, false)]);
    assert_eq!(claim(&store, "ops", LEASE).await, []);
}
