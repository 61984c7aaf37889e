//! How many different talkers there are, from hashes of their keys: HyperLogLog, with the estimator of
//! O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017, algorithm 6), which
//! has no bias at any number.

/// Bits of a hash that choose a register.
const REGISTER_BITS: u32 = 12;

/// Number of registers, a byte each.
const REGISTERS: usize = 1 << REGISTER_BITS;

/// Most leading zeros that are counted, of the bits left.
const ZEROS_MAX: usize = 64 - REGISTER_BITS as usize;

/// A sketch of a set of hashes.
#[derive(Debug, Clone)]
pub struct Distinct {
    registers: Box<[u8]>,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { registers: vec![0; REGISTERS].into() }
    }
}

impl Distinct {
    /// Memory that it takes, bytes.
    pub const BYTES: usize = REGISTERS;

    /// The standard error of an estimate, in parts of it: 1.04 / sqrt(4096).
    pub const ERROR: f64 = 0.01625;

    /// Adds a hash.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a number of bits")]
    pub fn add(&mut self, hash: u64) {
        let register = (hash >> (64 - REGISTER_BITS)) as usize;
        // The bit behind those left bounds the count.
        let rest = hash << REGISTER_BITS | 1 << (REGISTER_BITS - 1);
        let rank = rest.leading_zeros() as u8 + 1;
        let register = &mut self.registers[register];
        *register = (*register).max(rank);
    }

    /// Adds what another sketch has seen.
    pub fn merge(&mut self, other: &Self) {
        for (register, other) in self.registers.iter_mut().zip(&other.registers) {
            *register = (*register).max(*other);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.registers.fill(0);
    }

    /// The estimated number of different hashes.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate, not negative"
    )]
    pub fn estimate(&self) -> u64 {
        let mut registers_of = [0u32; ZEROS_MAX + 2];
        for rank in &self.registers {
            registers_of[usize::from(*rank)] += 1;
        }
        let count = REGISTERS as f64;
        let [none, some @ .., all] = registers_of.map(f64::from);
        let mut z = count * tau(1.0 - all / count);
        for registers in some.into_iter().rev() {
            z = 0.5 * (z + registers);
        }
        z += count * sigma(none / count);
        (count * count / (2.0 * std::f64::consts::LN_2 * z)).round() as u64
    }
}

/// Corrects for registers without any hash.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

/// Corrects for registers with as many zeros as can be.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes of numbers (splitmix64).
    fn hash(n: u64) -> u64 {
        let mut z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    #[test]
    #[allow(clippy::cast_precision_loss, reason = "far from 2^53")]
    fn estimates_are_within_four_standard_errors_at_every_size() {
        let mut distinct = Distinct::default();
        assert_eq!(distinct.estimate(), 0);
        let mut added = 0;
        for size in [1, 10, 100, 1000, 6000, 10_000, 20_000, 100_000, 300_000] {
            (added..size).for_each(|n| distinct.add(hash(n)));
            added = size;
            let off = distinct.estimate() as f64 - size as f64;
            assert!(off.abs() <= 4.0 * Distinct::ERROR * size as f64 + 1.0, "{size}: {off}");
        }
        // Extreme hashes are no different.
        distinct.add(0);
        distinct.add(u64::MAX);
    }

    #[test]
    fn what_was_added_again_or_in_two_halves_is_counted_once() {
        let (mut whole, mut one, mut two) =
            (Distinct::default(), Distinct::default(), Distinct::default());
        for n in 0..20_000 {
            whole.add(hash(n));
            if n < 12_000 {
                one.add(hash(n))
            }
            if n > 8000 {
                two.add(hash(n))
            }
        }
        one.merge(&two);
        assert_eq!(one.estimate(), whole.estimate());
        one.clear();
        assert_eq!(one.estimate(), 0);
    }
}
