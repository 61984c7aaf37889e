//! The hash of a talker's key.

use super::key::KeyedFlow;

/// Keys of the hash: the same for all tables whose distinct talkers are counted together.
#[derive(Debug, Clone, Copy)]
pub struct Seed(pub(super) [u64; 5]);

impl Seed {
    /// The first digits of pi.
    #[cfg(test)]
    pub(super) const OF_TESTS: Self = Self([
        0x243F_6A88_85A3_08D3,
        0x1319_8A2E_0370_7344,
        0xA409_3822_299F_31D0,
        0x082E_FA98_EC4E_6C89,
        0x4528_21E6_38D0_1377,
    ]);

    /// Random keys.
    ///
    /// # Errors
    /// Those of the system's source of random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut keys = [0; 5];
        for key in &mut keys {
            *key = getrandom::u64()?;
        }
        Ok(Self(keys))
    }

    /// The hash of a flow's key. Sums of products of keyed words are universal (NH, as in UMAC, RFC 4418,
    /// section 5.2.2); the rest spreads them over all bits. IPv4 has no upper half, so it takes one product.
    #[inline]
    pub(super) fn hash(&self, flow: &KeyedFlow) -> u64 {
        let Self([a, b, c, d, e]) = *self;
        let KeyedFlow { far, near, tag, .. } = *flow;
        let pair = |one: u64, two: u64| u128::from(one) * u128::from(two);
        let sum = pair(far.low.wrapping_add(a), u64::from(tag.0).wrapping_add(b))
            .wrapping_add(pair(far.high, c));
        // Keys with the near end have another tag than those without.
        let sum = if tag.is_forwarded() {
            sum.wrapping_add(pair(near.low.wrapping_add(d), near.high.wrapping_add(e)))
        } else {
            sum
        };
        // 2^64 divided by the golden ratio.
        fold(pair(fold(sum), 0x9E37_79B9_7F4A_7C15))
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "its two halves")]
const fn fold(product: u128) -> u64 {
    (product >> 64) as u64 ^ product as u64
}
