//! Records as they come, and which of them a message names: also while clocks are set.

use super::*;

const SECOND: u64 = 1_000_000_000;
const HALF: u64 = SECOND / 2;
const DAY: u64 = 86_400 * SECOND;

fn record(kind: TalkersKind, start_ns: u64, interval_ns: u64) -> Talkers {
    let rx = TalkerList { total_bytes: Bytes(start_ns), ..TalkerList::default() };
    let (start_ns, kind) = (WallNs(start_ns), kind as u8);
    Talkers { nic: nic(), start_ns, interval_ns, kind, rx, ..Talkers::default() }
}

fn moment(start_ns: u64) -> Talkers {
    record(TalkersKind::Moment, start_ns, HALF)
}

fn minute(start_ns: u64) -> Talkers {
    record(TalkersKind::Minute, start_ns, 60 * SECOND)
}

fn nic() -> NicName {
    NicName::new("eth0").unwrap()
}

fn client() -> ClientId {
    ClientId::new("web-1").unwrap()
}

fn frame(session: u64, seq: u64, talkers: Talkers) -> Frame {
    let (first_seq, last_seq) = (Seq(seq), Seq(seq));
    let (samples, mixes) = (vec![], vec![]);
    let session = SessionId::new(session);
    Frame { session, first_seq, last_seq, gap: 0, samples, mixes, talkers: vec![talkers] }
}

/// What a collector has seen, by a clock of its own in seconds.
#[derive(Default)]
struct Seen {
    talkers: SeenTalkers,
    seq: u64,
}

impl Seen {
    /// The next frame of session 1 comes.
    fn comes(&mut self, at: f64, talkers: Talkers) {
        self.seq += 1;
        self.frame(at, &frame(1, self.seq, talkers));
    }

    fn frame(&mut self, at: f64, frame: &Frame) {
        self.talkers.take(&client(), frame, Duration::from_secs_f64(at));
    }

    /// The start of the record that a message names about a sample that came then; `None`: it waits.
    fn chosen(
        &self,
        at_ns: u64,
        since_ns: u64,
        heard: f64,
        waited: Duration,
    ) -> Option<Option<u64>> {
        let heard = Duration::from_secs_f64(heard);
        let asked = AskedMoment { at_ns: WallNs(at_ns), since_ns: WallNs(since_ns), heard };
        match self.talkers.choose(&(client(), nic()), asked, waited) {
            TalkersChoice::Wait => None,
            TalkersChoice::Take(record) => Some(record.map(|it| it.start_ns.get())),
        }
    }

    /// Starts of what is kept, seconds.
    fn kept(&self) -> Vec<u64> {
        let clients = lock(&self.talkers.clients);
        let records = &clients[&client()].nics[&nic()].0;
        records.iter().map(|it| it.record.start_ns.get() / SECOND).collect()
    }
}

#[test]
fn the_sample_itself_is_taken_at_once_and_anything_else_after_a_wait() {
    let at = 130 * SECOND;
    let seen = |records: &[Talkers]| {
        let mut seen = Seen::default();
        for record in records {
            // As long after the sample as it ends.
            let end = record.start_ns.get() + record.interval_ns;
            seen.comes(end as f64 / SECOND as f64, record.clone());
        }
        seen
    };
    let chosen = |records: &[Talkers], at_ns: u64, waited| {
        seen(records).chosen(at_ns, at, (at_ns + HALF) as f64 / SECOND as f64, waited)
    };
    let both = [minute(60 * SECOND), moment(at)];
    assert_eq!(chosen(&both, at, Duration::ZERO), Some(Some(at)));
    assert_eq!(chosen(&both, at + HALF - 1, Duration::ZERO), Some(Some(at)));
    // The next sample is another one: it counts if that of the alert doesn't come.
    let later = [minute(60 * SECOND), moment(at - SECOND), moment(at + SECOND)];
    assert_eq!(chosen(&later, at, WAIT / 2), None);
    assert_eq!(chosen(&later, at, WAIT), Some(Some(at + SECOND)));
    let before = [minute(60 * SECOND), moment(at - SECOND)];
    assert_eq!(chosen(&before, at, WAIT), Some(Some(60 * SECOND)));
    assert_eq!(chosen(&[], at, Duration::ZERO), None);
    assert_eq!(chosen(&[], at, WAIT), Some(None));
    // A minute that ended long ago, or begins later, says nothing.
    assert_eq!(chosen(&[minute(60 * SECOND)], 241 * SECOND, WAIT), Some(None));
    assert_eq!(chosen(&[minute(60 * SECOND)], 59 * SECOND, WAIT), Some(None));
}

#[test]
fn nothing_is_waited_for_once_a_client_would_have_sent_its_first_minute() {
    let mut seen = Seen::default();
    let hear = |seen: &Seen, at: f64| seen.talkers.hear(&client(), Duration::from_secs_f64(at));
    let asked = |seen: &Seen, heard: f64| seen.chosen(DAY, DAY, heard, Duration::ZERO);
    assert_eq!(asked(&seen, 500.0), None, "the collector has just begun");
    hear(&seen, 100.0);
    hear(&seen, 249.0);
    assert_eq!(asked(&seen, 249.0), None);
    hear(&seen, 250.0);
    assert_eq!(asked(&seen, 250.0), Some(None));
    // Since it sends them, the record of a sample may come.
    seen.comes(251.0, minute(DAY - 60 * SECOND));
    assert_eq!(asked(&seen, 252.0), None);
    // Silent for ten minutes, it may come back with another config.
    seen.talkers.forget_silent(Duration::from_secs(252) + KEPT);
    hear(&seen, 900.0);
    assert_eq!(asked(&seen, 901.0), None);
    assert_eq!(asked(&seen, 1050.0), Some(None));
}

#[test]
fn after_a_clock_was_set_back_what_came_before_is_neither_kept_nor_named() {
    let mut seen = Seen::default();
    let begin = 10 * DAY;
    for n in 0..4 {
        seen.comes(100.0 + n as f64, moment(begin + n * SECOND));
    }
    seen.comes(101.0, minute(begin - 60 * SECOND));
    // Set back by an hour: nothing of before is of the trouble that begins now.
    let back = begin - 3600 * SECOND;
    assert_eq!(seen.chosen(back, back, 110.5, WAIT), Some(None));
    seen.comes(110.6, moment(back));
    assert_eq!(seen.chosen(back, back, 110.5, Duration::ZERO), Some(Some(back)));
    seen.comes(111.1, moment(back + HALF));
    let missed = back - 5 * SECOND;
    assert_eq!(seen.chosen(missed, missed, 106.0, WAIT), Some(Some(back + HALF)));
    for n in 2..4 {
        seen.comes(110.6 + n as f64 / 2.0, moment(back + n * HALF));
    }
    let kept: Vec<u64> = (0..4).map(|n| (back + n * HALF) / SECOND).collect();
    assert_eq!(seen.kept()[1..], kept, "what came last");
    // An hour later the same time comes again, with another sample.
    assert_eq!(seen.chosen(back, back, 3710.0, Duration::ZERO), None);
    assert_eq!(seen.chosen(back, back, 3710.0, WAIT), Some(None));
    seen.comes(3710.1, moment(back));
    assert_eq!(seen.chosen(back, back, 3710.0, Duration::ZERO), Some(Some(back)));
}

#[test]
fn after_a_clock_was_set_forward_later_moments_are_of_another_trouble() {
    let mut seen = Seen::default();
    let begin = 10 * DAY;
    seen.comes(40.0, minute(begin - 60 * SECOND));
    let (at, heard) = (begin + SECOND, 42.0);
    // Between the sample and its record.
    seen.comes(42.6, moment(begin + DAY));
    assert_eq!(seen.chosen(at, at, heard, WAIT), Some(Some(begin - 60 * SECOND)));
    // Of the trouble by the new clock.
    let ahead = begin + DAY + HALF;
    seen.comes(43.1, moment(ahead));
    assert_eq!(seen.chosen(ahead, ahead, 43.0, Duration::ZERO), Some(Some(ahead)));
    // And back by the time server, as it was.
    seen.comes(43.7, moment(begin + 2 * SECOND));
    assert_eq!(seen.chosen(at, at, heard, WAIT), Some(Some(begin + 2 * SECOND)));
    let again = begin + 3 * SECOND;
    assert_eq!(seen.chosen(again, again, 44.1, WAIT), Some(Some(begin - 60 * SECOND)));
}

#[test]
fn backlog_drives_nothing_out_whatever_its_session() {
    let mut seen = Seen::default();
    for n in 10..14 {
        seen.frame(10.0, &frame(2, n, moment(DAY + n * SECOND)));
    }
    // Of the same session, and of the one before it.
    for n in 1..9 {
        seen.frame(10.1, &frame(2, n, moment(DAY + n * SECOND)));
        seen.frame(10.1, &frame(1, 100 + n, moment(DAY - n * SECOND)));
    }
    let newest: Vec<u64> = (10..14).map(|n| DAY / SECOND + n).collect();
    assert_eq!(seen.kept(), newest);
    // Out of order by one: it is newer than the first.
    seen.frame(10.2, &frame(2, 16, moment(DAY + 16 * SECOND)));
    seen.frame(10.2, &frame(2, 15, moment(DAY + 15 * SECOND)));
    assert_eq!(seen.kept(), [12, 13, 15, 16].map(|n| DAY / SECOND + n));
    // A session after the clock was set back counts once that before it is silent.
    seen.frame(11.0, &frame(3, 1, moment(SECOND)));
    assert_eq!(seen.kept(), [12, 13, 15, 16].map(|n| DAY / SECOND + n));
    for n in 2..6 {
        seen.frame(200.0, &frame(3, n, moment(n * SECOND)));
    }
    assert_eq!(seen.kept(), [2, 3, 4, 5]);
}

#[test]
fn what_is_kept_is_the_newest_and_bounded() {
    let mut seen = Seen::default();
    for n in 0..20 {
        seen.comes(n as f64, moment(n * SECOND));
        // Frames come again.
        seen.frame(n as f64 + 0.5, &frame(1, seen.seq, moment(n * SECOND)));
        seen.comes(n as f64, minute(n * 60 * SECOND));
    }
    assert_eq!(seen.kept(), [16, 17, 18, 19, 1140]);
    for n in 0..200 {
        let nic = NicName::new(&format!("eth{n}")).unwrap();
        seen.comes(100.0 + n as f64, Talkers { nic, ..minute(SECOND) });
    }
    assert_eq!(lock(&seen.talkers.clients)[&client()].nics.len(), NICS);
    seen.talkers.forget_silent(Duration::from_secs(299) + KEPT / 2);
    assert_eq!(lock(&seen.talkers.clients).len(), 1);
    seen.talkers.forget_silent(Duration::from_secs(299) + KEPT);
    assert!(lock(&seen.talkers.clients).is_empty());
}
