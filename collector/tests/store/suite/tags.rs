//! The tags of clients and their history.

use std::time::Duration;

use collector::store::{RetentionLimits, StoreError, TagChange, TagInterval, TagSource};
use wire::WallNs;
use wire::tag::TagSet;

use super::place::{Place, assert_sound};
use crate::batches::{DAY, MINUTE, START, client, hello};

/// What an agent says in five connections, at which minute, and whether that writes to the store.
pub const SAID: [(&str, u64, bool); 5] = [
    // The first time, it is noted when the agent was heard.
    ("", 1, true),
    ("site=ams", 2, true),
    ("site=ams", 9, false),
    ("", 20, true),
    ("", 21, false),
];

pub fn tags(text: &str) -> TagSet {
    TagSet::new(text.split_whitespace().map(|it| it.parse().unwrap())).unwrap()
}

fn changes(text: &str) -> Vec<TagChange> {
    text.split_whitespace().map(|it| it.parse().unwrap()).collect()
}

/// `key=value:from-to` in minutes since [`START`]; those of the collector have a `!`.
fn told(intervals: &[TagInterval]) -> String {
    let minute = |ns: u64| (ns - START) / MINUTE;
    let text = |TagInterval { key, value, source, from_ns, to_ns }: &TagInterval| {
        let mark = if *source == TagSource::Collector { "!" } else { "" };
        let to = to_ns.map_or(String::new(), |ns| minute(ns.get()).to_string());
        format!("{key}={value}{mark}:{}-{to}", minute((*from_ns).get()))
    };
    intervals.iter().map(text).collect::<Vec<_>>().join(" ")
}

pub async fn an_agent_that_says_its_tags_again_cannot_change_its_past(place: &impl Place) {
    let store = place.open().await;
    let web = client("web");
    store.open_sessions(&web, &hello(&[1]), WallNs(START)).await.unwrap();
    let said = async |text, since, minute| {
        let at = |minute: u64| WallNs(START + minute * MINUTE);
        store.record_tags(&web, &tags(text), at(since), at(minute)).await.unwrap();
    };
    said("site=ams", 0, 0).await;
    said("site=ams", 0, 180).await;
    // It claims to have had these from the beginning.
    said("site=fra", 0, 300).await;
    let kept = store.tag_intervals(&web).await.unwrap();
    assert_eq!(told(&kept), "site=ams:0-180 site=fra:180-");
}

pub async fn a_tag_counts_when_it_was_set_and_retagging_leaves_the_past(place: &impl Place) {
    let store = place.open().await;
    let (web, at) = (client("web"), |minute: u64| START + minute * MINUTE);
    let unknown = store.record_tags(&web, &tags("site=ams"), WallNs(START), WallNs(START)).await;
    assert!(matches!(unknown, Err(StoreError::Refused { .. })), "{unknown:?}");
    store.open_sessions(&web, &hello(&[1]), WallNs(START)).await.unwrap();
    store.open_sessions(&client("db"), &hello(&[2]), WallNs(START)).await.unwrap();
    assert_eq!(store.tagged().await.unwrap(), []);
    let said = async |text, minute| {
        store.record_tags(&web, &tags(text), WallNs(at(minute)), WallNs(at(minute))).await.unwrap();
    };
    said("site=ams role=cache", 3).await;
    // A connection later, nothing has changed.
    said("site=ams role=cache", 31).await;
    let now = store.tag(&web, &changes("site=fra rack=7"), WallNs(at(61))).await.unwrap();
    assert_eq!(now.counting().to_string(), "rack=7 role=cache site=fra");
    said("site=lon", 92).await;
    store.tag(&client("db"), &changes("site=东京"), WallNs(at(92))).await.unwrap();
    let other = store.clone();
    let listed = other.tagged().await.unwrap();
    let listed: Vec<_> =
        listed.iter().map(|it| (it.client.as_str(), it.tags.counting().to_string())).collect();
    assert_eq!(listed, [("db", "site=东京".to_owned()), ("web", "rack=7 site=fra".to_owned())]);
    store.tag(&web, &changes("site- rack-"), WallNs(at(120))).await.unwrap();
    let intervals = other.tag_intervals(&web).await.unwrap();
    assert_eq!(
        told(&intervals),
        "rack=7!:60-120 role=cache:0-90 site=ams:0-60 site=fra!:60-120 site=lon:120-"
    );
    assert_eq!(other.tag_intervals(&client("nobody")).await.unwrap(), []);
    let many = changes(&(0..17).map(|n| format!("k{n}=v ")).collect::<String>());
    let refused = store.tag(&web, &many, WallNs(at(120))).await;
    assert!(matches!(refused, Err(StoreError::Tags(_))), "{refused:?}");
    assert_eq!(other.tag_intervals(&web).await.unwrap(), intervals, "all or nothing");
    assert_sound(&store).await;

    // The past is kept as long as the rollups that it is for.
    let limits = RetentionLimits {
        rollup_5m: Duration::from_secs(400 * 86_400),
        ..RetentionLimits::default()
    };
    store.retain(&limits, WallNs(START + 440 * DAY)).await.unwrap();
    assert_eq!(told(&other.tag_intervals(&web).await.unwrap()), "site=lon:120-");
    // A forgotten client has none. It may come back.
    store.forget(&web, WallNs(at(130))).await.unwrap();
    assert_eq!(told(&other.tag_intervals(&web).await.unwrap()), "site=lon:120-130");
    assert_eq!(other.tagged().await.unwrap().len(), 1);
    store.readmit(&web).await.unwrap();
    said("site=par", 140).await;
    let intervals = other.tag_intervals(&web).await.unwrap();
    assert_eq!(told(&intervals), "site=lon:120-130 site=par:140-");
    assert_sound(&store).await;
    place.execute("UPDATE tag_intervals SET valid_to = NULL WHERE value = 'lon'").await;
    let findings = store.check().await.unwrap().findings;
    assert!(
        findings.len() == 1 && findings[0].contains("client web, tag site=lon"),
        "{findings:?}"
    );
}
