//! tmp
use wire::frame::{Mix, Sample};
/// tmp
#[derive(Debug)]
pub struct IntervalReport {
    /// tmp
    pub samples: Vec<Sample>,
    /// tmp
    pub mixes: Vec<Mix>,
}
