//! Packing: leaves out zero bytes, which counters have many of.
//!
//! Before every 8 bytes, a tag marks the nonzero ones (bit 0 for the first byte), and only those
//! follow. A tag of 0 is followed by the number of further 8-byte groups of zeros. The last group may
//! be shorter. (Based on Cap'n Proto's packing, without its runs of full words:
//! <https://capnproto.org/encoding.html#packing>.)

/// Bytes per tag.
const WORD: usize = 8;

/// Packs bytes. Bytes without zeros grow by an eighth.
#[must_use]
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(bytes.len() + bytes.len() / WORD + 2);
    let mut words = bytes.chunks(WORD).peekable();
    while let Some(word) = words.next() {
        let tag = word.iter().rev().fold(0, |tag: u8, &byte| tag << 1 | u8::from(byte != 0));
        packed.push(tag);
        if tag == 0 {
            let mut more = 0;
            while more < u8::MAX && words.next_if(|word| word.iter().all(|&it| it == 0)).is_some() {
                more += 1;
            }
            packed.push(more);
        } else {
            packed.extend(word.iter().filter(|&&byte| byte != 0));
        }
    }
    packed
}

/// Unpacks `len` bytes; `None` if the input isn't [`pack`]'s output for that many bytes. Allocates no
/// more than `len`.
#[must_use]
pub fn unpack(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    let mut packed = packed.iter();
    while bytes.len() < len {
        let tag = *packed.next()?;
        if tag == 0 {
            let zeros = WORD * (1 + usize::from(*packed.next()?));
            // The last group may be short.
            if bytes.len() + zeros >= len + WORD {
                return None;
            }
            bytes.resize(len.min(bytes.len() + zeros), 0);
            continue;
        }
        for bit in 0..WORD.min(len - bytes.len()) {
            bytes.push(if tag >> bit & 1 == 0 { 0 } else { *packed.next()? });
        }
    }
    packed.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zeros_are_left_out() {
        assert_eq!(pack(&[]), []);
        assert_eq!(pack(&[0, 7, 0, 0, 0, 0, 0, 9]), [0b1000_0010, 7, 9]);
        assert_eq!(pack(&[0; 24]), [0, 2]);
        assert_eq!(pack(&[1, 0, 0]), [1, 1]);
        assert_eq!(pack(&[0; 8 * 257]), [0, 255, 0, 0]);
    }

    #[test]
    fn what_was_not_packed_so_is_refused() {
        assert_eq!(unpack(&[0, 2], 24), Some(vec![0; 24]));
        assert_eq!(unpack(&[0, 2], 23), Some(vec![0; 23]));
        for (packed, len) in
            [(&[0, 2][..], 16), (&[0, 2], 25), (&[0], 8), (&[1], 8), (&[1, 5, 6], 8)]
        {
            assert_eq!(unpack(packed, len), None, "{packed:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_was_packed_comes_out(bytes in prop::collection::vec(prop_oneof![3 => Just(0), 1 => any::<u8>()], 0..3000)) {
            let packed = pack(&bytes);
            prop_assert!(packed.len() <= bytes.len() + bytes.len().div_ceil(WORD) + 1);
            prop_assert_eq!(unpack(&packed, bytes.len()), Some(bytes));
        }

        #[test]
        fn noise_never_panics(bytes: Vec<u8>, len in 0..100_000_usize) {
            let unpacked = unpack(&bytes, len);
            prop_assert!(unpacked.is_none_or(|unpacked| unpacked.len() == len));
        }
    }
}
