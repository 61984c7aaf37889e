//! A listener to all samples as they arrive.

use std::fmt::Debug;

use wire::frame::{Frame, Sample};
use wire::id::ClientId;

/// Takes samples as they arrive, in the task that received them: it must be quick.
pub trait SampleTap: Send + Sync + Debug {
    /// False while nothing comes of them: then they are not even copied.
    fn wants_samples(&self) -> bool;

    /// Takes the samples of a frame that are new.
    fn on_samples(&self, client: &ClientId, samples: &[TappedSample]);

    /// Takes a frame with talkers, which may have come before.
    fn on_talkers(&self, _client: &ClientId, _frame: &Frame) {}
}

/// A sample, and what it is among those of its NIC.
#[derive(Debug, Clone, Copy)]
pub struct TappedSample {
    /// The sample.
    pub sample: Sample,
    /// The speed of the link, bit/s; 0 where there is none to speak of.
    pub speed_bits: u64,
    /// It is the newest: not one of a backlog.
    pub newest: bool,
    /// Its frame has not come before.
    pub fresh: bool,
}
