//! Tests of the tags' history.

use proptest::prelude::*;
use wire::WallNs;

use super::*;

const MINUTE: u64 = 60_000_000_000;

fn set(texts: &str) -> TagSet {
    TagSet::new(texts.split_whitespace().map(|it| it.parse().unwrap())).unwrap()
}

fn changes(texts: &str) -> Vec<TagChange> {
    texts.split_whitespace().map(|it| it.parse().unwrap()).collect()
}

/// `value:from-to` in minutes, of one key, by time; the collector's have a `!`.
fn told(history: &TagHistory, key: &str) -> String {
    let mut of: Vec<_> = history.intervals.iter().filter(|it| it.key.as_str() == key).collect();
    of.sort_by_key(|it| it.from_ns);
    let text = |it: &&TagInterval| {
        let mark = if it.source == TagSource::Collector { "!" } else { "" };
        let to = it.to_ns.map_or(String::new(), |to_ns| (to_ns / MINUTE).to_string());
        format!("{}{mark}:{}-{to}", it.value, it.from_ns / MINUTE)
    };
    of.iter().map(text).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_change_counts_from_the_mark_before_it_and_what_counted_until_then_stays() {
    let none = TagHistory::default();
    let first = none.on_agent(&set("site=ams"), WallNs(3 * MINUTE), WallNs(3 * MINUTE)).unwrap();
    assert_eq!(told(&first, "site"), "ams:0-");
    let second =
        first.on_agent(&set("site=fra"), WallNs(12 * MINUTE), WallNs(12 * MINUTE)).unwrap();
    assert_eq!(told(&second, "site"), "ams:0-10 fra:10-");
    let gone = second.on_agent(&set(""), WallNs(21 * MINUTE), WallNs(21 * MINUTE)).unwrap();
    assert_eq!(told(&gone, "site"), "ams:0-10 fra:10-20");
}

#[test]
fn of_two_changes_between_marks_the_last_counts_for_all_of_it() {
    let none = TagHistory::default();
    let first = none.on_agent(&set("site=ams"), WallNs(0), WallNs(0)).unwrap();
    let second =
        first.on_agent(&set("site=fra"), WallNs(11 * MINUTE), WallNs(11 * MINUTE)).unwrap();
    let third =
        second.on_agent(&set("site=lon"), WallNs(14 * MINUTE), WallNs(14 * MINUTE)).unwrap();
    assert_eq!(told(&third, "site"), "ams:0-10 lon:10-");
    let back = second.on_agent(&set("site=ams"), WallNs(14 * MINUTE), WallNs(14 * MINUTE)).unwrap();
    assert_eq!(told(&back, "site"), "ams:0-");
}

#[test]
fn the_collectors_tag_wins_until_it_is_removed() {
    let none = TagHistory::default();
    let agent = none.on_agent(&set("site=ams"), WallNs(0), WallNs(0)).unwrap();
    let both = agent.on_collector(&changes("site=fra rack=7"), WallNs(10 * MINUTE)).unwrap();
    let renamed =
        both.on_agent(&set("site=lon"), WallNs(20 * MINUTE), WallNs(20 * MINUTE)).unwrap();
    assert_eq!(told(&renamed, "site"), "ams:0-10 fra!:10-");
    assert_eq!(renamed.now.counting().to_string(), "rack=7 site=fra");
    let removed = renamed.on_collector(&changes("site- rack-"), WallNs(30 * MINUTE)).unwrap();
    assert_eq!(told(&removed, "site"), "ams:0-10 fra!:10-30 lon:30-");
    assert_eq!(told(&removed, "rack"), "7!:10-30");
}

#[test]
fn tags_of_an_agent_that_was_offline_count_since_it_had_them_but_not_before_it_said_others() {
    let none = TagHistory::default();
    // Started at minute 30, reached a collector at minute 100.
    let first = none.on_agent(&set("site=ams"), WallNs(30 * MINUTE), WallNs(100 * MINUTE)).unwrap();
    assert_eq!(told(&first, "site"), "ams:30-");
    let later =
        first.on_agent(&set("site=fra"), WallNs(150 * MINUTE), WallNs(200 * MINUTE)).unwrap();
    assert_eq!(told(&later, "site"), "ams:30-150 fra:150-");
    // It can't have had them at minute 0, because it said others until minute 200.
    let early = later.on_agent(&set("site=lon"), WallNs(0), WallNs(240 * MINUTE)).unwrap();
    assert_eq!(told(&early, "site"), "ams:30-150 fra:150-200 lon:200-");
}

#[test]
fn what_a_clock_ahead_has_left_in_the_future_never_counted() {
    let none = TagHistory::default();
    let agent = none.on_agent(&set("site=ams"), WallNs(0), WallNs(0)).unwrap();
    let ahead = agent.on_collector(&changes("site=fra"), WallNs(9000 * MINUTE)).unwrap();
    let right = ahead.on_collector(&changes("site=lon"), WallNs(20 * MINUTE)).unwrap();
    assert_eq!(told(&right, "site"), "ams:0-20 lon!:20-");
    let again = TagHistory { heard_ns: Some(WallNs(9000 * MINUTE)), ..right };
    let agent = again.on_agent(&set("role=web"), WallNs(25 * MINUTE), WallNs(30 * MINUTE)).unwrap();
    assert_eq!(told(&agent, "role"), "web:25-");
}

#[test]
fn a_forgotten_client_keeps_its_past_only() {
    let tagged = TagHistory::default().on_agent(&set("site=ams"), WallNs(0), WallNs(0)).unwrap();
    let gone = tagged.on_forgotten(WallNs(7 * MINUTE));
    assert_eq!((told(&gone, "site"), gone.now.counting().len()), ("ams:0-5".to_owned(), 0));
}

#[test]
fn too_many_tags_and_changes_are_refused() {
    let none = TagHistory::default();
    let many: Vec<_> = (0..17).map(|at| format!("k{at}=v").parse().unwrap()).collect();
    let refused = none.on_collector(&many, WallNs(0)).unwrap_err().to_string();
    assert!(refused.contains("17 tags; at most 16"), "{refused}");
    let closed = |turn: u64| TagInterval {
        key: TagKey::new("site").unwrap(),
        value: format!("s{turn}"),
        source: TagSource::Agent,
        from_ns: WallNs(turn * 5 * MINUTE),
        to_ns: Some(WallNs((turn + 1) * 5 * MINUTE)),
    };
    let intervals = (0..INTERVALS_MAX as u64).map(closed).collect();
    let history = TagHistory { intervals, ..none };
    let later = INTERVALS_MAX as u64 * 5 * MINUTE;
    let refused = history.on_agent(&set("site=last"), WallNs(later), WallNs(later));
    assert_eq!(refused, Err(TagsRefused::Changes(TagSource::Agent)));
    assert!(history.on_agent(&set(""), WallNs(later), WallNs(later)).is_ok(), "none adds none");
    // An operator has intervals of his own, and takes his tag back.
    let tagged = history.on_collector(&changes("site=ams"), WallNs(later)).unwrap();
    let known =
        TagHistory { now: ClientTags { agent: set("site=old"), ..tagged.now.clone() }, ..tagged };
    let back = known.on_collector(&changes("site-"), WallNs(later + 10 * MINUTE)).unwrap();
    assert!(told(&back, "site").ends_with(&format!(
        "ams!:{0}-{1} old:{1}-",
        later / MINUTE,
        later / MINUTE + 10
    )));
    let by_operators = |it: TagInterval| TagInterval { source: TagSource::Collector, ..it };
    let intervals = (0..INTERVALS_MAX as u64).map(closed).map(by_operators).collect();
    let full = TagHistory { intervals, ..TagHistory::default() };
    let refused = full.on_collector(&changes("site=last"), WallNs(later));
    assert_eq!(refused, Err(TagsRefused::Changes(TagSource::Collector)));
    assert!(full.on_agent(&set("site=last"), WallNs(later), WallNs(later)).is_ok());
}

#[test]
fn broken_intervals_are_found() {
    let it = |value: &str, from: u64, to: Option<u64>| {
        let (key, source) = (TagKey::new("site").unwrap(), TagSource::Agent);
        let (from_ns, to_ns) = (from * MINUTE, to.map(|to| to * MINUTE));
        (
            "web".to_owned(),
            TagInterval {
                key,
                value: value.to_owned(),
                source,
                from_ns: WallNs(from_ns),
                to_ns: to_ns.map(WallNs),
            },
        )
    };
    let of = |intervals: &[_]| {
        findings(intervals).into_iter().map(|(_, wrong)| wrong).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(of(&[it("a", 0, Some(5)), it("b", 5, None)]), "");
    assert!(of(&[it("a", 0, Some(10)), it("b", 5, None)]).contains("a: it still counts"));
    assert!(of(&[it("a", 1, None)]).contains("between 5-minute marks"));
    assert!(of(&[it("a", 5, Some(5))]).contains("ends before it begins"));
}

proptest! {
    /// Whatever is said when, by clocks that jump: what is stored is sound, what counts now is the last
    /// interval, and the past before the mark of the change stays.
    #[test]
    fn any_run_of_changes_leaves_sound_intervals_and_the_past_as_it_was(
        steps in prop::collection::vec((0_u8..3, 0_u8..3, 0_u64..120, 0_u64..120), 1..20),
    ) {
        let mut history = TagHistory::default();
        for (who, value, now, ago) in steps {
            let (now_ns, since_ns) = (now * MINUTE, now.saturating_sub(ago) * MINUTE);
            let before = history.clone();
            history = match (who, value) {
                (0, 0) => history.on_agent(&set(""), WallNs(since_ns), WallNs(now_ns)).unwrap(),
                (0, it) => history.on_agent(&set(&format!("site=a{it}")), WallNs(since_ns), WallNs(now_ns)).unwrap(),
                (_, 0) => history.on_collector(&changes("site-"), WallNs(now_ns)).unwrap(),
                (_, it) => history.on_collector(&changes(&format!("site=c{it}")), WallNs(now_ns)).unwrap(),
            };
            let named = |it: &TagInterval| ("web".to_owned(), it.clone());
            let found = findings(&history.intervals.iter().map(named).collect::<Vec<_>>());
            prop_assert!(found.is_empty(), "{:?} {:?}", found, history);
            let open: Vec<_> = history.intervals.iter().filter(|it| it.to_ns.is_none()).collect();
            let counting = history.now.counting();
            prop_assert_eq!(open.len(), counting.len());
            for it in open {
                prop_assert_eq!(counting.get(&it.key), Some(it.value.as_str()));
                prop_assert_eq!(history.now.source(&it.key), Some(it.source));
            }
            let heard_ns = before.heard_ns.filter(|heard_ns| *heard_ns <= WallNs(now_ns)).unwrap_or(WallNs(0));
            let since_ns = if who == 0 { since_ns.max(heard_ns.get()) } else { now_ns };
            for minute in (0..mark(WallNs(since_ns)) / MINUTE).step_by(5) {
                prop_assert_eq!(at(&before, minute), at(&history, minute));
            }
        }
    }
}

fn at(history: &TagHistory, minute: u64) -> Option<(String, TagSource)> {
    let time_ns = minute * MINUTE;
    let covers = |it: &&TagInterval| {
        it.from_ns <= WallNs(time_ns) && it.to_ns.is_none_or(|to_ns| time_ns < to_ns.get())
    };
    history.intervals.iter().find(covers).map(|it| (it.value.clone(), it.source))
}
