//! Tests of the screen: it shows given events of the collector after given keys.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use settings::terminal::Event;
use wire::frame::{Counts, Frame, Sample};
use wire::id::{ClientId, NicName, SessionId};
use wire::message::{Host, Inventory, Nic};
use wire::tag::TagSet;
use wire::{Bytes, Packets, Seq, WallNs};

use super::draw::draw;
use super::groups::Chosen;
use super::state::{CollectorLink, State, StreamItem, Subscription};
use crate::live::{Live, SamplesUpdate, Update};
use crate::store::Registered;

const SECOND: u64 = 1_000_000_000;

/// The present time, by the collector's clock.
const NOW: u64 = 1_700_000_000 * SECOND;

/// A live table as the collector has it.
struct Table {
    live: Live,
    seq: u64,
}

fn id(client: &str) -> ClientId {
    ClientId::new(client).unwrap()
}

impl Table {
    fn new() -> Self {
        Self { live: Live::new(), seq: 0 }
    }

    fn connect(&self, client: &str, alias: &str) {
        let host = Host { sample_interval_ns: SECOND / 2, ..Host::default() };
        self.live.on_connected(&id(client), alias, &host, WallNs(NOW));
        let nic = Nic { name: NicName::new("eth0").unwrap(), up: true, ..Nic::default() };
        let nic = Nic { kind: "physical".into(), speed_bits: 10_000_000_000, ..nic };
        self.live.on_inventory(&id(client), &Inventory { nics: vec![nic] });
    }

    /// A sample of half a second with `bytes` received.
    fn carry(&mut self, client: &str, bytes: u64, drops: u64, now_ns: u64) -> Sample {
        self.seq += 1;
        let nic = NicName::new("eth0").unwrap();
        let mut sample =
            Sample { nic, interval_ns: SECOND / 2, drops: Packets(drops), ..Sample::default() };
        sample.start_ns = WallNs(now_ns - SECOND / 2);
        sample.rx =
            Counts { bytes: Bytes(bytes), packets: Packets(bytes / 1000), ..Counts::default() };
        let samples = vec![sample];
        let (first_seq, last_seq) = (self.seq, self.seq);
        let frame = Frame {
            session: SessionId::new(1),
            first_seq: Seq(first_seq),
            last_seq: Seq(last_seq),
            gap: 0,
            samples,
            mixes: vec![],
            talkers: vec![],
        };
        self.live.observe(&id(client), &frame, WallNs(now_ns));
        sample
    }

    fn all(&self, now_ns: u64) -> Update {
        serde_json::from_slice(&self.live.snapshot_event(WallNs(now_ns)).json).unwrap()
    }

    /// Sends the whole table.
    fn tell(&self, state: &mut State, now_ns: u64) {
        state.told(&Subscription::All, StreamItem::All(self.all(now_ns)), WallNs(now_ns));
    }

    fn tell_of(&self, state: &mut State, client: &str, now_ns: u64) {
        let event = self.live.client_event(&id(client), WallNs(now_ns));
        let told = StreamItem::Client(serde_json::from_slice(&event.json).unwrap());
        state.told(&Subscription::Client(id(client)), told, WallNs(now_ns));
    }
}

/// Three clients: the second carries most, the third nothing.
fn three() -> (Table, State) {
    let mut table = Table::new();
    table.connect("a-1", "Alpha");
    table.connect("b-1", "");
    table.connect("c-1", "Gamma");
    table.carry("a-1", 1_000_000, 3, NOW);
    table.carry("b-1", 62_500_000, 0, NOW);
    let mut state = State::new(Chosen::default());
    table.tell(&mut state, NOW);
    (table, state)
}

fn press(state: &mut State, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\x08' => KeyCode::Backspace,
            key => KeyCode::Char(key),
        };
        assert!(state.input(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE))), "{key:?}");
    }
}

fn rows(state: &State) -> Vec<String> {
    let text = |row: &super::state::Row<'_>| match row.nic {
        None => row.client.to_owned(),
        Some(nic) => format!("{} {nic}", row.client),
    };
    state.rows().iter().map(text).collect()
}

fn selected(state: &State) -> String {
    rows(state).get(state.place()).cloned().unwrap_or_default()
}

fn screen(state: &State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, "http://127.0.0.1:8083", frame)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn a_client_is_shown_with_rates_units_sizes_losses_and_state() {
    let (_, state) = three();
    let screen = screen(&state, 120, 30);
    for figure in [
        "3 of 3 clients connected, rx 1.02 Gbit/s, tx 0 bit/s, live",
        "rx bit/s ▾",
        "1.00 Gbit/s",
        "a-1 Alpha",
        "125 k",
        "1000 B",
        "no sample yet",
        "without FCS and preamble",
        "samples of 500ms",
        "q quit",
    ] {
        assert!(screen.contains(figure), "{figure} is not in\n{screen}");
    }
}

#[test]
fn clients_are_sorted_by_what_is_asked_for_and_the_selection_stays_on_its_row() {
    let (_, mut state) = three();
    assert_eq!(rows(&state), ["b-1", "a-1", "c-1"]);
    press(&mut state, "j");
    assert_eq!(selected(&state), "a-1");
    press(&mut state, "r");
    assert_eq!(rows(&state), ["c-1", "a-1", "b-1"]);
    // Transmitted, utilisation, packets, peak, the hour's peak and losses, by id, and received again.
    press(&mut state, "ssssss");
    assert_eq!(rows(&state), ["a-1", "b-1", "c-1"]);
    assert_eq!(selected(&state), "a-1");
    press(&mut state, "sss");
    assert_eq!(rows(&state), ["b-1", "a-1", "c-1"]);
    press(&mut state, "Gjjj");
    assert_eq!(selected(&state), "c-1");
    press(&mut state, "gk");
    assert_eq!(selected(&state), "b-1");
}

#[test]
fn what_is_typed_is_looked_for_in_ids_and_aliases() {
    let (_, mut state) = three();
    press(&mut state, "/ALq\x08");
    assert_eq!(rows(&state), ["a-1"]);
    assert_eq!(selected(&state), "a-1");
    assert!(screen(&state, 80, 24).contains("search: AL_"));
    press(&mut state, "\n");
    assert!(screen(&state, 80, 24).contains("only clients with \"AL\""));
    // Escape shows all, as the screen says, and only then quits.
    press(&mut state, "\x1b");
    assert_eq!(rows(&state).len(), 3);
    let escape = Event::Key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
    assert!(!state.input(&escape));
    press(&mut state, "/zzz");
    assert_eq!(rows(&state), Vec::<String>::new());
    press(&mut state, "\x1b");
    assert_eq!(rows(&state).len(), 3);
    let quit = Event::Key(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE));
    assert!(!state.input(&quit));
}

#[test]
fn accounts_are_told_above_the_table_while_the_collector_tells_them() {
    let (_, mut state) = three();
    assert!(!screen(&state, 120, 40).contains("Accounts"));
    let accounts = r#"{"accounts": [{"account": "transit", "used_percent": 85.71, "projected_percent": null,
        "metered": {"commit": null}, "warnings": []}]}"#;
    let accounts = StreamItem::Accounts(serde_json::from_str(accounts).unwrap());
    state.told(&Subscription::Accounts, accounts, WallNs(NOW));
    assert!(screen(&state, 120, 40).contains("Accounts: transit 85.7 % used"));
    state.told(&Subscription::Accounts, StreamItem::Lost("gone".to_owned()), WallNs(NOW));
    let shown = screen(&state, 120, 40);
    assert!(!shown.contains("Accounts") && !shown.contains("gone"), "{shown}");
}

#[test]
fn enter_shows_the_nics_of_a_client_which_is_then_followed() {
    let (mut table, mut state) = three();
    press(&mut state, "\n");
    let followed: Vec<Subscription> = state.followed().collect();
    let client = Subscription::Client(id("b-1"));
    assert_eq!(followed, [Subscription::All, Subscription::Accounts, client]);
    // Without an event there is nothing to show.
    assert_eq!(rows(&state).len(), 3);
    let refused = StreamItem::Lost("too many listen".to_owned());
    state.told(&Subscription::Client(id("b-1")), refused, WallNs(NOW));
    assert!(screen(&state, 120, 40).contains("no NICs: too many listen"));
    table.tell_of(&mut state, "b-1", NOW);
    assert_eq!(rows(&state), ["b-1", "b-1 eth0", "a-1", "c-1"]);
    let sample = table.carry("b-1", 125_000_000, 0, NOW + SECOND / 2);
    let point = (&sample).into();
    let samples = vec![crate::live::NicPoint { nic: "eth0".into(), point }];
    let update = SamplesUpdate { now: crate::time::Time(WallNs(NOW)), samples };
    state.told(&Subscription::Client(id("b-1")), StreamItem::Samples(update), WallNs(NOW));
    press(&mut state, "j");
    assert_eq!(selected(&state), "b-1 eth0");
    let shown = screen(&state, 120, 40);
    for text in ["b-1 eth0: physical, 10.0 Gbit/s, up", "late 0, inexact 0", "highest 2.00 Gbit/s"]
    {
        assert!(shown.contains(text), "{text} is not in\n{shown}");
    }
    press(&mut state, "\n");
    assert_eq!((rows(&state).len(), selected(&state).as_str()), (3, "b-1"));
    assert_eq!(state.followed().count(), 2);
    // Events still in flight are ignored.
    table.tell_of(&mut state, "b-1", NOW);
    assert_eq!(rows(&state).len(), 3);
}

#[test]
fn a_client_that_falls_silent_is_stale_and_its_rate_is_none() {
    let (_, mut state) = three();
    state.tick(WallNs(NOW + 7 * SECOND));
    let shown = screen(&state, 120, 30);
    assert!(shown.contains("stale 7s") && shown.contains("rx 0 bit/s"), "{shown}");
    let table = shown.lines().take(6).collect::<String>();
    assert!(!table.contains("1.00 Gbit/s"), "{shown}");
}

#[test]
fn a_client_that_left_stays_down_with_since_when() {
    let (table, mut state) = three();
    table.live.on_disconnected(&id("b-1"), WallNs(NOW));
    table.tell(&mut state, NOW);
    state.tick(WallNs(NOW + 3 * 86_400 * SECOND));
    let shown = screen(&state, 120, 30);
    assert!(shown.contains("down 3d") && shown.contains("2 of 3 clients connected"), "{shown}");
    // Another collector of the same store has it.
    let now = NOW + 100 * SECOND;
    for last_seen_ns in [NOW, now] {
        let (client, alias) = ("b-1".into(), String::new());
        let registered =
            Registered { client, alias, last_seen_ns: WallNs(last_seen_ns), forgotten_ns: None };
        table.live.on_registered(&[registered], WallNs(now));
    }
    table.tell(&mut state, now);
    let shown = screen(&state, 120, 30);
    assert!(shown.contains("elsewhere") && shown.contains("3 of 3 clients connected"), "{shown}");
}

#[test]
fn clocks_of_collector_and_viewer_may_differ() {
    let (table, mut state) = three();
    let late = NOW - 3600 * SECOND;
    state.told(&Subscription::All, StreamItem::All(table.all(NOW)), WallNs(late));
    assert!(!screen(&state, 120, 30).contains("stale"));
    state.tick(WallNs(late + 7 * SECOND));
    assert!(screen(&state, 120, 30).contains("stale 7s"));
}

#[test]
fn a_loss_is_red_if_it_is_new() {
    let (mut table, mut state) = three();
    assert_eq!(state.client("a-1").unwrap().lost(), Packets(0));
    table.carry("a-1", 1_000_000, 4, NOW + SECOND / 2);
    table.tell(&mut state, NOW + SECOND / 2);
    assert_eq!(state.client("a-1").unwrap().lost(), Packets(4));
    press(&mut state, "j");
    assert!(screen(&state, 120, 30).contains("ring drops 7, late 0, inexact 0"));
}

#[test]
fn utilisation_and_the_last_hour_are_shown_with_how_long_ago() {
    let (mut table, mut state) = three();
    // 1.2 of 1.25 GB per second for six seconds; the highest peak and the loss are of the first.
    for half in 1..=12 {
        table.carry("b-1", 600_000_000, if half == 1 { 5 } else { 0 }, NOW + half * SECOND / 2);
    }
    let now = NOW + 6 * SECOND;
    table.tell(&mut state, now);
    let shown = screen(&state, 150, 44);
    for text in [
        "util",
        "peak 1h",
        "lost 1h",
        "98 % rx",
        "full 5s",
        "eth0 rx              98 %      full 5s",
        "last hour",
        "lost                    5       6s ago",
    ] {
        assert!(shown.contains(text), "{text} is not in\n{shown}");
    }
    // An update leaves out what has not changed.
    let mut update = table.all(now);
    update.clients.iter_mut().for_each(|client| client.hour = None);
    state.told(&Subscription::All, StreamItem::Changes(update), WallNs(now));
    assert!(screen(&state, 150, 44).contains("lost                    5       6s ago"));
}

#[test]
fn a_collector_that_is_lost_is_told_with_its_address_and_what_was_known_stays() {
    let (table, mut state) = three();
    let lost = |why: &str| StreamItem::Lost(why.to_owned());
    state.told(&Subscription::All, lost("can't connect: refused"), WallNs(NOW));
    let shown = screen(&state, 120, 30);
    assert!(shown.contains("Trying http://127.0.0.1:8083 again: can't connect: refused"));
    assert!(shown.contains("LOST") && shown.contains("a-1 Alpha"), "{shown}");
    table.tell(&mut state, NOW);
    assert_eq!(*state.link(), CollectorLink::Live);
    let mut fresh = State::new(Chosen::default());
    fresh.told(&Subscription::All, lost("can't connect: refused"), WallNs(NOW));
    assert!(screen(&fresh, 80, 24).contains("--url http://HOST:8083"));
}

#[test]
fn a_paused_view_stands_still_and_follows_nobody() {
    let (mut table, mut state) = three();
    press(&mut state, " ");
    assert_eq!(state.followed().count(), 0);
    table.carry("c-1", 500_000_000, 0, NOW + SECOND);
    table.tell(&mut state, NOW + SECOND);
    state.tick(WallNs(NOW + 60 * SECOND));
    assert_eq!(rows(&state), ["b-1", "a-1", "c-1"]);
    let shown = screen(&state, 120, 30);
    assert!(shown.contains("PAUSED") && !shown.contains("stale"), "{shown}");
    press(&mut state, " ");
    table.tell(&mut state, NOW + SECOND);
    assert_eq!(rows(&state), ["c-1", "b-1", "a-1"]);
}

#[test]
fn clients_come_and_go_and_rows_keep_their_place_for_two_seconds() {
    let (mut table, mut state) = three();
    table.carry("c-1", 500_000_000, 0, NOW);
    let changed = |state: &mut State, update| {
        state.told(&Subscription::All, StreamItem::Changes(update), WallNs(NOW));
    };
    changed(&mut state, table.all(NOW));
    assert_eq!(rows(&state), ["b-1", "a-1", "c-1"]);
    state.tick(WallNs(NOW + 3 * SECOND));
    assert_eq!(rows(&state), ["c-1", "b-1", "a-1"]);
    press(&mut state, "j");
    let gone = vec!["b-1".to_owned()];
    changed(&mut state, Update { now: crate::time::Time(WallNs(NOW)), clients: vec![], gone });
    assert_eq!(rows(&state), ["c-1", "a-1"]);
    assert_eq!(selected(&state), "a-1");
}

#[test]
fn any_size_of_terminal_is_drawn_and_the_selected_row_is_in_sight() {
    let table = Table::new();
    (0..500).for_each(|n| table.connect(&format!("host-{n:03}"), ""));
    let mut state = State::new(Chosen::default());
    table.tell(&mut state, NOW);
    press(&mut state, "G");
    for (width, height) in [(1, 1), (20, 5), (80, 24), (300, 100)] {
        let drawn = screen(&state, width, height);
        assert_eq!(drawn.lines().count(), usize::from(height));
    }
    assert!(screen(&state, 80, 24).contains("host-499"));
}

/// The three, of which two have a site.
fn tagged(having: &[&str], by: Option<&str>) -> (Table, State) {
    let (table, _) = three();
    for (client, tags) in
        [("a-1", "site=ams role=db"), ("b-1", "site=ams role=web"), ("c-1", "role=web")]
    {
        let tags = tags.split(' ').map(|it| it.parse().unwrap());
        table.live.on_agent_tags(&id(client), &TagSet::new(tags).unwrap());
    }
    let having = having.iter().map(|it| it.parse().unwrap()).collect();
    let by = by.map(|key| key.parse().unwrap());
    let mut state = State::new(Chosen { having, by });
    table.tell(&mut state, NOW);
    (table, state)
}

#[test]
fn only_clients_with_all_chosen_tags_are_shown_and_counted() {
    let (_, state) = tagged(&["site=ams", "role=web"], None);
    assert_eq!(rows(&state), ["b-1"]);
    let shown = screen(&state, 120, 30);
    for text in ["1 of 1 clients connected, rx 1.00 Gbit/s", "only clients with site=ams role=web"]
    {
        assert!(shown.contains(text), "{text} is not in\n{shown}");
    }
    let (_, nobody) = tagged(&["site=lon"], None);
    assert!(screen(&nobody, 120, 30).contains("No client has site=lon."));
}

#[test]
fn groups_have_the_sums_of_their_clients_and_follow_their_tags() {
    let (mut table, mut state) = tagged(&[], Some("site"));
    assert_eq!(rows(&state), ["ams", "no site"]);
    let shown = screen(&state, 150, 44);
    // 1 Gbit/s and 16 Mbit/s.
    for text in
        ["3 of 3 clients connected", "site", "ams (2 of 2 up)", "1.02 Gbit/s", "no site (1 of 1 up"]
    {
        assert!(shown.contains(text), "{text} is not in\n{shown}");
    }
    assert!(!shown.contains("enter NICs"), "{shown}");
    press(&mut state, "\n");
    assert_eq!(rows(&state), ["ams", "no site"], "a group has no NICs");
    assert_eq!(state.followed().count(), 2);
    // A client that joins brings no losses of its past; a new loss counts.
    assert_eq!(state.client("ams").unwrap().lost(), Packets(0));
    let site = TagSet::new(["site=fra".parse().unwrap()]).unwrap();
    table.live.on_agent_tags(&id("a-1"), &site);
    table.carry("a-1", 1_000_000, 4, NOW + SECOND / 2);
    table.tell(&mut state, NOW + SECOND / 2);
    assert_eq!(rows(&state), ["ams", "fra", "no site"]);
    let lost = |group: &str| state.client(group).unwrap().lost();
    assert_eq!((lost("ams"), lost("fra")), (Packets(0), Packets(4)));
    let hour = state.client("fra").unwrap().hour();
    assert_eq!(hour.lost.map(|lost| lost.packets), Some(Packets(7)));
    table.live.on_disconnected(&id("b-1"), WallNs(NOW + SECOND));
    table.tell(&mut state, NOW + SECOND);
    let shown = screen(&state, 150, 44);
    assert!(shown.contains("ams (0 of 1 up)") && shown.contains("down"), "{shown}");
}
