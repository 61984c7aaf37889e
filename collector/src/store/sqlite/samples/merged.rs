//! Two sources of rows, each by start, as one.

use std::iter::Peekable;

use crate::store::rows::export::Starts;

/// Rows of two sources by start; of those with the same start, the first one's come first. An error comes as
/// soon as it is next.
pub struct Merged<A: Iterator, B: Iterator> {
    first: Peekable<A>,
    second: Peekable<B>,
}

impl<A: Iterator, B: Iterator> Merged<A, B> {
    pub fn of(first: A, second: B) -> Self {
        Self { first: first.peekable(), second: second.peekable() }
    }
}

impl<R, E, A, B> Iterator for Merged<A, B>
where
    R: Starts,
    A: Iterator<Item = Result<R, E>>,
    B: Iterator<Item = Result<R, E>>,
{
    type Item = Result<R, E>;

    fn next(&mut self) -> Option<Self::Item> {
        match (self.first.peek(), self.second.peek()) {
            (Some(Ok(first)), Some(Ok(second))) if second.start_ns() < first.start_ns() => {
                self.second.next()
            }
            (Some(Ok(_)), Some(Err(_))) | (None, _) => self.second.next(),
            _ => self.first.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::WallNs;

    use super::*;
    use crate::store::rows::series::Point;

    fn rows(starts: &[u64], length: u64) -> Vec<Point> {
        let row = |start: &u64| Point {
            start_ns: WallNs(*start),
            interval_ns: length,
            ..Point::default()
        };
        starts.iter().map(row).collect()
    }

    proptest! {
        #[test]
        fn rows_of_both_come_by_start_and_those_of_the_first_before_equal_ones(
            mut first in proptest::collection::vec(0_u64..20, 0..30),
            mut second in proptest::collection::vec(0_u64..20, 0..30),
        ) {
            first.sort_unstable();
            second.sort_unstable();
            let (first, second) = (rows(&first, 1), rows(&second, 2));
            let mut all = [first.clone(), second.clone()].concat();
            all.sort_by_key(|row| row.start_ns);
            let first = first.into_iter().map(Ok::<_, ()>);
            let merged: Result<Vec<Point>, ()> = Merged::of(first, second.into_iter().map(Ok)).collect();
            prop_assert_eq!(merged, Ok(all));
        }
    }

    #[test]
    fn an_error_is_no_end() {
        let first = vec![Ok(Point::default()), Err("damaged")];
        let second = rows(&[5], 1).into_iter().map(Ok);
        let merged: Vec<bool> =
            Merged::of(first.into_iter(), second).map(|row| row.is_ok()).collect();
        assert_eq!(merged, [true, false, true]);
    }
}
