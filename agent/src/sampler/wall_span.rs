//! Spans of wall time that are made of whole samples.

use std::ops::Range;

use wire::WallNs;

/// A span that ends at a multiple of its length in wall time, as the sample in which that falls does.
#[derive(Debug)]
pub(super) struct WallSpan {
    len_ns: u64,
    /// Wall time at which it began.
    start_ns: Option<WallNs>,
    /// Its duration so far, regardless of the wall clock.
    lasted_ns: u64,
}

impl WallSpan {
    /// Begins with the first sample.
    pub const fn new(len_ns: u64) -> Self {
        Self { len_ns, start_ns: None, lasted_ns: 0 }
    }

    /// Adds a sample, which covers this wall time; `last`: no other follows. Returns start and duration
    /// of the span if it ends with that sample, or if the wall clock was set back.
    pub fn add(&mut self, wall: &Range<WallNs>, last: bool) -> Option<(WallNs, u64)> {
        let start_ns = *self.start_ns.get_or_insert(wall.start);
        self.lasted_ns += wall.end - wall.start;
        let due = (start_ns + 1).next_multiple_of(self.len_ns);
        let stepped_back = wall.start < start_ns;
        (wall.end >= due || stepped_back || last).then(|| {
            self.start_ns = None;
            (start_ns, std::mem::take(&mut self.lasted_ns).max(1))
        })
    }
}
