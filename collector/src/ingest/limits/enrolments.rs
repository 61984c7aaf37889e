//! Which enrolments run. Anybody can connect and then send nothing, so a silent connection gives way to
//! a new one. Decisions only.

use std::collections::{HashMap, VecDeque};

use super::handshakes::Origin;

/// Enrolments at once. A connection takes up to 320 KiB: 40 MiB.
const IN_ALL: usize = 128;

/// Enrolments at once of one address. Hundreds of hosts behind it enrol at once when a tool sets them
/// up, and each sends its request within a round trip.
const OF_ONE_ADDRESS: usize = 32;

#[derive(Debug)]
struct Place<T> {
    number: u64,
    origin: Origin,
    /// The collector works on its request, so it doesn't give way.
    busy: bool,
    item: T,
}

/// The running enrolments, the oldest first.
#[derive(Debug)]
pub struct Enrolments<T> {
    next: u64,
    places: VecDeque<Place<T>>,
}

impl<T> Default for Enrolments<T> {
    fn default() -> Self {
        Self { next: 0, places: VecDeque::new() }
    }
}

impl<T> Enrolments<T> {
    /// Takes a place for a connection from an address. Returns its number and the connection that gives
    /// way. `None` if every candidate is busy.
    pub fn enter(&mut self, origin: Origin, item: T) -> Option<(u64, Option<T>)> {
        let gives_way = match self.full_of(origin) {
            Some(full) => {
                let oldest = self.places.iter().position(|it| !it.busy && it.origin == full)?;
                self.places.remove(oldest)
            }
            None => None,
        };
        let number = self.next;
        self.next += 1;
        self.places.push_back(Place { number, origin, busy: false, item });
        Some((number, gives_way.map(|it| it.item)))
    }

    /// The address that must give way before another connection of `origin` may come.
    fn full_of(&self, origin: Origin) -> Option<Origin> {
        let (mut of_all, mut idle) = (HashMap::<_, usize>::new(), HashMap::<_, usize>::new());
        for place in &self.places {
            *of_all.entry(place.origin).or_default() += 1;
            *idle.entry(place.origin).or_default() += usize::from(!place.busy);
        }
        if of_all.get(&origin).is_some_and(|it| *it >= OF_ONE_ADDRESS) {
            return Some(origin);
        }
        let most_idle = || idle.into_iter().max_by_key(|(_, idle)| *idle).map(|(it, _)| it);
        (self.places.len() >= IN_ALL).then(most_idle)?
    }

    /// Sets whether the collector works on its request.
    pub fn set_busy(&mut self, number: u64, busy: bool) {
        if let Some(place) = self.places.iter_mut().find(|it| it.number == number) {
            place.busy = busy;
        }
    }

    /// An enrolment is over.
    pub fn leave(&mut self, number: u64) {
        self.places.retain(|it| it.number != number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(n: u8) -> Origin {
        Origin::of([192, 0, 2, n].into())
    }

    #[test]
    fn of_one_address_the_oldest_that_says_nothing_gives_way_and_others_notice_nothing() {
        let mut enrolments = Enrolments::default();
        let (other, _) = enrolments.enter(origin(2), 1000).unwrap();
        for n in 0..OF_ONE_ADDRESS {
            assert_eq!(enrolments.enter(origin(1), n).unwrap().1, None);
        }
        assert_eq!(enrolments.enter(origin(1), 100).unwrap().1, Some(0));
        assert_eq!(enrolments.enter(origin(1), 101).unwrap().1, Some(1));
        enrolments.leave(other);
        assert_eq!(enrolments.places.len(), OF_ONE_ADDRESS);
    }

    #[test]
    fn none_gives_way_while_something_is_done_for_it() {
        let mut enrolments = Enrolments::default();
        let numbers: Vec<u64> =
            (0..OF_ONE_ADDRESS).map(|n| enrolments.enter(origin(1), n).unwrap().0).collect();
        numbers.iter().for_each(|number| enrolments.set_busy(*number, true));
        assert_eq!(enrolments.enter(origin(1), 100), None);
        enrolments.set_busy(numbers[3], false);
        assert_eq!(enrolments.enter(origin(1), 100).unwrap().1, Some(3));
        enrolments.leave(numbers[4]);
        assert_eq!(enrolments.enter(origin(1), 101).unwrap().1, None);
    }

    #[test]
    fn when_all_places_are_taken_the_address_with_most_that_say_nothing_gives_one() {
        let mut enrolments = Enrolments::default();
        assert_eq!(enrolments.enter(origin(9), 1000).unwrap().1, None);
        let addresses = IN_ALL.div_ceil(OF_ONE_ADDRESS);
        for n in 0..IN_ALL - 1 {
            let of = u8::try_from(n % addresses).unwrap();
            assert_eq!(enrolments.enter(origin(of), n).unwrap().1, None);
        }
        let (_, gave_way) = enrolments.enter(origin(10), 1001).unwrap();
        assert!(gave_way.is_some_and(|it| it < addresses), "{gave_way:?}");
        assert_eq!(enrolments.places.len(), IN_ALL);
    }
}
