//! Samples as they arrive.

use std::sync::atomic::Ordering;
use std::time::Duration;

use wire::id::ClientId;

use super::super::owner::Owner;
use super::super::samples::values;
use super::super::state::Value;
use super::{Engine, PATIENCE, now};
use crate::live::{SampleTap, TappedSample};

impl SampleTap for Engine {
    fn wants_samples(&self) -> bool {
        self.wants_samples.load(Ordering::Relaxed)
    }

    fn on_samples(&self, client: &ClientId, samples: &[TappedSample]) {
        let (owner, now) = (Owner::Client(client.clone()), now());
        let mut shard = self.shard(&owner);
        let (in_force, tagged) = (self.in_force(), self.tagged());
        let holder = shard.entry(owner.clone()).or_default();
        holder.keep_to(&owner, &in_force, &tagged);
        for at in holder.chosen.clone() {
            let rule = &in_force.rules.rules[at];
            for sample in samples {
                for (direction, value) in values(rule, sample).into_iter().flatten() {
                    let part = (at, Some(sample.sample.nic), direction);
                    let value = Value {
                        value,
                        measured_ns: sample.sample.start_ns,
                        patience: PATIENCE
                            .max(Duration::from_nanos(sample.sample.interval_ns.saturating_mul(3))),
                    };
                    self.take(holder, &owner, &in_force, (part, &value, ""), now);
                }
            }
        }
    }
}
