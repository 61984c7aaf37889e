//! Random mutations of inputs, for searches without guidance.

/// Numbers at the edges of arithmetic.
const EDGES: [u64; 10] =
    [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];

/// Random numbers from a seed (xorshift64*, Vigna 2016).
#[derive(Debug, Clone, Copy)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap_or(0) % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// An input of the corpus with up to four mutations.
pub fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| corpus.get(random.below(corpus.len()));
    let mut input = pick(random).cloned().unwrap_or_default();
    for _ in 0..=random.below(4) {
        let (at, other) = (random.below(input.len()), random.below(input.len() + 1));
        let range = at.min(other)..at.max(other);
        match random.below(7) {
            0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
            1 if !input.is_empty() => input[at] = random.byte(),
            2 => {
                let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
                let edge = &edge[..1 << random.below(4)];
                let places = input.iter_mut().skip(at);
                places.zip(edge).for_each(|(place, byte)| *place = *byte);
            }
            3 => drop(input.drain(range)),
            4 => {
                let again = input[range].to_vec();
                input.splice(at..at, again);
            }
            5 => input.insert(at, random.byte()),
            _ => {
                let other = pick(random).map_or(&[][..], Vec::as_slice);
                let from = random.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from.min(other.len())..]);
            }
        }
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_the_inputs_and_most_differ() {
        let corpus = [b"one input".to_vec(), b"and another one".to_vec(), Vec::new()];
        let inputs = |seed| {
            let mut random = Random::new(seed);
            (0..1000).map(|_| mutate(&corpus, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(3), inputs(3));
        let mut distinct = inputs(5);
        distinct.sort();
        distinct.dedup();
        assert!(distinct.len() > 500, "{}", distinct.len());
        assert!(mutate(&[], &mut Random::new(1)).len() < 100);
    }
}
