//! The store's clock decides which rows are old enough to delete. It never jumps.
//!
//! The store keeps it, and it advances with the boot clock while a collector runs. It follows the wall
//! clock at once while both are within an hour. A wall clock further ahead, after a step or a long
//! stop, is followed only once it is confirmed, and then so slowly that emptying the table with the
//! shortest retention takes a day. In doubt, rows are deleted by the store's clock, so that nothing is
//! deleted early and nothing is kept forever. A wall clock that is behind deletes nothing.

use std::cmp::Ordering;
use std::time::Duration;

use wire::WallNs;

use crate::time::rough;

/// A wall clock this close to the store's is followed at once; an agent's clock further from the
/// collector's contradicts it. An hour doesn't matter for rows that are kept for days.
pub const STEP: Duration = Duration::from_secs(3600);

/// How long a wall clock must stay ahead, by the boot clock, before it is followed: if connected agents
/// agree with it, and if no agent can be asked.
pub const CONFIRMED_BY_AGENTS: Duration = Duration::from_secs(3600);
/// See [`CONFIRMED_BY_AGENTS`].
pub const CONFIRMED_BY_NOBODY: Duration = Duration::from_secs(24 * 3600);

/// How long a wall clock must stay behind before the store's clock is set back. Boards without a
/// battery start in 1970 and are corrected within a minute.
const BEHIND: Duration = Duration::from_secs(600);

/// Shortest time in which the table with the shortest retention is emptied.
const EMPTIED: u128 = 24 * 3600;

/// Most time that counts at once while catching up, for example after a sleep.
const CAUGHT_UP_AT_ONCE: Duration = Duration::from_secs(1200);

/// How the connected agents' clocks compare with the collector's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witnesses {
    /// No agents, or no majority.
    None,
    /// More than half are within [`STEP`] of it.
    Agree,
    /// More than half are further away.
    Contradict,
}

impl Witnesses {
    /// Judges how far each agent's clock is ahead of the collector's, nanoseconds.
    #[must_use]
    pub fn of(offsets_ns: &[i64]) -> Self {
        let near = |ns: &&i64| u128::from(ns.unsigned_abs()) <= STEP.as_nanos();
        let agree = offsets_ns.iter().filter(near).count();
        match (2 * agree).cmp(&offsets_ns.len()) {
            Ordering::Greater => Self::Agree,
            Ordering::Less => Self::Contradict,
            Ordering::Equal => Self::None,
        }
    }
}

/// The known times at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// The wall clock, nanoseconds since 1970 (UTC).
    pub wall_ns: WallNs,
    /// The boot clock.
    pub boot: Duration,
    /// The stored clock, nanoseconds since 1970 (UTC). Another collector may have advanced it.
    pub kept_ns: Option<WallNs>,
    /// The agents' verdict.
    pub witnesses: Witnesses,
    /// When the oldest row expires, nanoseconds since 1970 (UTC); the largest number if there is none.
    pub first_expiry_ns: WallNs,
    /// The shortest retention of all tables.
    pub shortest: Duration,
}

/// Whether the wall clock is followed, and the reason if not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// It is followed.
    Yes,
    /// It is behind the store's clock by this much. It is followed, because it deletes nothing.
    Behind(Duration),
    /// It is ahead by `ahead`, and is followed after `left` unless agents contradict it.
    NotYet {
        /// How far.
        ahead: Duration,
        /// How much longer it must stay ahead.
        left: Duration,
        /// True if agents agree with it.
        witnessed: bool,
    },
    /// It is ahead by this much, and most agents contradict it.
    Contradicted(Duration),
    /// It is ahead by this much and confirmed; the store's clock catches up.
    CatchingUp(Duration),
}

impl Followed {
    /// How far the wall clock is ahead of the store's, seconds. Negative if it is behind, 0 if it is
    /// followed.
    #[must_use]
    pub fn jump_seconds(self) -> f64 {
        match self {
            Self::Yes => 0.0,
            Self::Behind(by) => -by.as_secs_f64(),
            Self::NotYet { ahead, .. } | Self::Contradicted(ahead) | Self::CatchingUp(ahead) => {
                ahead.as_secs_f64()
            }
        }
    }

    /// The message for people, if any.
    #[must_use]
    pub fn told(self) -> Option<String> {
        let ahead = |by: Duration| {
            format!("the clock is {} ahead of the last time in the store", rough(by))
        };
        match self {
            Self::Yes => None,
            Self::Behind(by) => Some(format!(
                "the clock is {} behind the last time in the store; nothing is deleted by age \
                 meanwhile; check the clock",
                rough(by)
            )),
            Self::NotYet { ahead: by, left, witnessed } => {
                let why = if witnessed { "the agents agree" } else { "no agent is there to ask" };
                Some(format!(
                    "{}; for another {} ({why}) the store deletes old rows by its own clock, after \
                     that by this one; if this one is wrong, set it right",
                    ahead(by),
                    rough(left)
                ))
            }
            Self::Contradicted(by) => Some(format!(
                "{}, and most agents' clocks contradict it; old rows are deleted by the store's \
                 own clock; set the clock right",
                ahead(by)
            )),
            Self::CatchingUp(by) => Some(format!(
                "{} and confirmed; old rows are deleted little by little until it is caught up",
                ahead(by)
            )),
        }
    }
}

/// The store's clock.
#[derive(Debug, Default)]
pub struct StoreClock {
    /// Its time, nanoseconds since 1970 (UTC), and the boot clock at that time.
    now: Option<(WallNs, Duration)>,
    doubt: Option<Doubt>,
}

/// A wall clock that is not followed yet.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// Its first sight, by the boot clock.
    since: Duration,
    /// The wall clock minus the boot clock at that time, nanoseconds.
    offset_ns: i128,
}

impl StoreClock {
    /// Advances the clock. Returns the time by which rows are deleted, nanoseconds since 1970 (UTC),
    /// and whether it is the wall clock.
    pub fn read(&mut self, reading: &Reading) -> (WallNs, Followed) {
        let Reading { wall_ns, boot, kept_ns, .. } = *reading;
        let (last_ns, last_boot) = self.now.unwrap_or_else(|| (kept_ns.unwrap_or(wall_ns), boot));
        let elapsed = boot.saturating_sub(last_boot);
        let ticked_ns = last_ns.saturating_add(ns(elapsed)).max(kept_ns.unwrap_or(WallNs(0)));
        let (clock_ns, followed) = self.follow(reading, ticked_ns, elapsed);
        self.now = Some((clock_ns, boot));
        (clock_ns.min(wall_ns), followed)
    }

    /// The time to store; `None` before the first reading.
    #[must_use]
    pub fn now_ns(&self) -> Option<WallNs> {
        self.now.map(|(now_ns, _)| now_ns)
    }

    fn follow(
        &mut self,
        reading: &Reading,
        clock_ns: WallNs,
        elapsed: Duration,
    ) -> (WallNs, Followed) {
        let Reading { wall_ns, boot, witnesses, .. } = *reading;
        let apart = Duration::from_nanos(wall_ns.abs_diff(clock_ns));
        if apart <= STEP {
            self.doubt = None;
            return (wall_ns, Followed::Yes);
        }
        let offset_ns = i128::from(wall_ns.get()) - i128::from(ns(boot));
        let same = |doubt: &Doubt| doubt.offset_ns.abs_diff(offset_ns) <= STEP.as_nanos();
        let doubt = self.doubt.filter(same).unwrap_or(Doubt { since: boot, offset_ns });
        let doubt = self.doubt.insert(doubt);
        if wall_ns < clock_ns {
            let held = boot.saturating_sub(doubt.since) >= BEHIND;
            return (if held { wall_ns } else { clock_ns }, Followed::Behind(apart));
        }
        if witnesses == Witnesses::Contradict {
            doubt.since = boot;
            return (clock_ns, Followed::Contradicted(apart));
        }
        let witnessed = witnesses == Witnesses::Agree;
        let needed = if witnessed { CONFIRMED_BY_AGENTS } else { CONFIRMED_BY_NOBODY };
        let left = needed.saturating_sub(boot.saturating_sub(doubt.since));
        if !left.is_zero() {
            return (clock_ns, Followed::NotYet { ahead: apart, left, witnessed });
        }
        // Nothing is deleted before the first row expires.
        let from_ns = clock_ns.max(reading.first_expiry_ns);
        let elapsed = elapsed.min(CAUGHT_UP_AT_ONCE).as_nanos();
        let forward = elapsed * u128::from(reading.shortest.as_secs()) / EMPTIED;
        let forward_ns = u64::try_from(forward).unwrap_or(u64::MAX);
        let clock_ns = from_ns.saturating_add(forward_ns).min(wall_ns);
        (clock_ns, Followed::CatchingUp(Duration::from_nanos(wall_ns - clock_ns)))
    }
}

fn ns(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(86_400);
    const LOOK: Duration = Duration::from_secs(600);
    const START_NS: WallNs = WallNs(1_800_000_000_000_000_000);

    /// A collector that looks at the clocks every ten minutes, and a week of rows.
    struct Run {
        clock: StoreClock,
        boot: Duration,
        /// Error of the wall clock, nanoseconds.
        wrong_ns: i64,
        kept_ns: Option<WallNs>,
        witnesses: Witnesses,
        oldest_ns: WallNs,
    }

    impl Run {
        fn new() -> Self {
            let mut run = Self {
                clock: StoreClock::default(),
                boot: DAY,
                wrong_ns: 0,
                kept_ns: Some(START_NS),
                witnesses: Witnesses::None,
                oldest_ns: START_NS - ns(7 * DAY),
            };
            assert_eq!(run.look(), (START_NS, Followed::Yes));
            run
        }

        fn wall_ns(&self) -> WallNs {
            (START_NS + ns(self.boot - DAY)).saturating_add_signed(self.wrong_ns)
        }

        fn look(&mut self) -> (WallNs, Followed) {
            let looked = self.clock.read(&Reading {
                wall_ns: self.wall_ns(),
                boot: self.boot,
                kept_ns: self.kept_ns,
                witnesses: self.witnesses,
                first_expiry_ns: self.oldest_ns + ns(7 * DAY),
                shortest: 7 * DAY,
            });
            self.kept_ns = self.clock.now_ns();
            // Older rows are deleted.
            self.oldest_ns = self.oldest_ns.max(looked.0.saturating_sub(ns(7 * DAY)));
            looked
        }

        /// Runs for a time; returns the result of the last look.
        fn go(&mut self, length: Duration) -> (WallNs, Followed) {
            let end = self.boot + length;
            loop {
                self.boot += LOOK;
                let looked = self.look();
                if self.boot >= end {
                    return looked;
                }
            }
        }

        fn step(&mut self, by: Duration) {
            self.wrong_ns += ns(by).cast_signed();
        }

        fn restart(&mut self) {
            self.clock = StoreClock::default();
        }
    }

    #[test]
    fn a_clock_that_goes_right_is_followed() {
        let mut run = Run::new();
        assert_eq!(run.go(30 * DAY), (run.wall_ns(), Followed::Yes));
        // Sleep counts as time too, and ntpd may adjust the clock slightly.
        run.boot += 2 * DAY;
        run.step(HOUR / 2);
        assert_eq!(run.look(), (run.wall_ns(), Followed::Yes));
    }

    #[test]
    fn a_clock_two_years_ahead_for_some_hours_deletes_nothing_early() {
        let mut run = Run::new();
        run.step(730 * DAY);
        run.restart();
        run.look();
        let (at_ns, followed) = run.go(23 * HOUR);
        assert!(matches!(followed, Followed::NotYet { witnessed: false, .. }), "{followed:?}");
        assert_eq!(at_ns, START_NS + ns(23 * HOUR), "it follows the boot clock");
        run.wrong_ns = 0;
        assert_eq!(run.go(LOOK), (run.wall_ns(), Followed::Yes));
    }

    #[test]
    fn agents_that_contradict_keep_it_from_being_followed_for_as_long_as_they_do() {
        let mut run = Run::new();
        run.step(730 * DAY);
        run.witnesses = Witnesses::Contradict;
        let (at_ns, followed) = run.go(30 * DAY);
        assert!(matches!(followed, Followed::Contradicted(_)));
        assert_eq!(at_ns, START_NS + ns(30 * DAY));
    }

    #[test]
    fn after_three_weeks_off_it_is_followed_once_agents_have_agreed_for_an_hour() {
        let mut run = Run::new();
        run.restart();
        run.step(21 * DAY);
        run.witnesses = Witnesses::Agree;
        let (_, followed) = run.go(HOUR);
        assert!(matches!(followed, Followed::NotYet { witnessed: true, .. }), "{followed:?}");
        let (_, followed) = run.go(HOUR);
        assert!(matches!(followed, Followed::CatchingUp(_)), "{followed:?}");
        assert_eq!(run.go(3 * DAY + HOUR), (run.wall_ns(), Followed::Yes));
    }

    #[test]
    fn even_a_clock_that_fools_it_takes_a_day_to_empty_a_table() {
        let mut run = Run::new();
        run.step(730 * DAY);
        let (_, followed) = run.go(24 * HOUR + LOOK);
        let Followed::CatchingUp(ahead) = followed else { panic!("{followed:?}") };
        let day_ns = run.go(DAY).0;
        let Followed::CatchingUp(left) = run.look().1 else { panic!("all at once") };
        assert!(day_ns < START_NS + ns(11 * DAY), "seven days a day, beside the two that passed");
        assert!(left > ahead - 8 * DAY);
    }

    #[test]
    fn a_clock_in_1970_deletes_nothing_and_leaves_no_trace_if_it_is_set_soon() {
        let mut run = Run::new();
        run.restart();
        run.wrong_ns = -START_NS.to_column();
        let (at_ns, followed) = run.look();
        assert!(matches!(followed, Followed::Behind(_)));
        assert!(at_ns < WallNs(ns(2 * DAY)), "by the earlier of both clocks nothing is old");
        run.wrong_ns = 0;
        assert_eq!(run.go(LOOK), (run.wall_ns(), Followed::Yes));
    }

    #[test]
    fn a_store_once_seen_by_a_clock_far_ahead_recovers_by_itself() {
        let mut run = Run::new();
        run.restart();
        run.kept_ns = Some(START_NS + ns(730 * DAY));
        let (at_ns, followed) = run.look();
        assert_eq!(at_ns, START_NS, "rows are deleted as they should be");
        assert!(matches!(followed, Followed::Behind(_)));
        assert_eq!(run.go(2 * LOOK), (run.wall_ns(), Followed::Yes));
        assert_eq!(run.kept_ns, Some(run.wall_ns()));
    }

    #[test]
    fn after_years_in_1970_catching_up_takes_no_longer() {
        let mut run = Run::new();
        run.wrong_ns = -START_NS.to_column();
        run.oldest_ns = START_NS - ns(7 * DAY);
        run.go(DAY);
        assert!(run.kept_ns < Some(WallNs(ns(9 * DAY))));
        run.wrong_ns = 0;
        run.go(24 * HOUR + LOOK);
        // Two days of rows are due, at less than four hours per day.
        assert_eq!(run.go(8 * HOUR), (run.wall_ns(), Followed::Yes));
    }

    #[test]
    fn most_agents_decide() {
        let year = ns(365 * DAY).cast_signed();
        assert_eq!(Witnesses::of(&[]), Witnesses::None);
        assert_eq!(Witnesses::of(&[5, -7, year]), Witnesses::Agree);
        assert_eq!(Witnesses::of(&[-year]), Witnesses::Contradict);
        assert_eq!(Witnesses::of(&[0, year]), Witnesses::None);
    }
}
