//! Long addresses of a row: what all have in common is kept once. Networks are alike in their beginning, and
//! hosts with numbers of their own in the zeros before these.

/// Bytes of an address.
const LENGTH: usize = 16;

/// Addresses of which each has bytes in common with all others: a beginning, and a piece after the first
/// bytes that differ.
#[derive(Debug, Clone, Copy)]
pub struct LongAddresses<'a> {
    beginning: &'a [u8],
    middle: &'a [u8],
    /// So many of the bytes that differ come after the middle.
    ending: usize,
    /// The bytes of each address that differ.
    differing: &'a [u8],
}

/// Packs addresses: the bytes of each that differ, and what they have in common, if that takes less.
pub fn pack(addresses: &[[u8; LENGTH]]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let Some((first, others)) = addresses.split_first() else { return (None, None) };
    let is_alike = |at: &usize| others.iter().all(|it| it[*at] == first[*at]);
    let start = (0..LENGTH).take_while(is_alike).count();
    // The longest piece behind.
    let piece = |from: usize| from..from + (from..LENGTH).take_while(is_alike).count();
    let pieces = (start..LENGTH).map(piece).filter(|it| !it.is_empty());
    let middle = pieces.max_by_key(ExactSizeIterator::len).unwrap_or(LENGTH..LENGTH);
    let ending = LENGTH - middle.end;
    // Three lengths come before, and a column has a length of its own.
    let saved = (addresses.len() - 1) * (start + middle.len());
    if others.is_empty() || saved <= 4 {
        return (Some(addresses.concat()), None);
    }
    let lengths = [start, middle.len(), ending].map(|it| u8::try_from(it).unwrap_or_default());
    let alike = [&lengths, &first[..start], &first[middle.clone()]].concat();
    let differing = |it: &[u8; LENGTH]| [&it[start..middle.start], &it[middle.end..]].concat();
    (Some(addresses.iter().flat_map(differing).collect()), Some(alike))
}

impl<'a> LongAddresses<'a> {
    /// Those of a row; `None` if its columns contradict each other.
    pub fn of(differing: Option<&'a [u8]>, alike: Option<&'a [u8]>) -> Option<Self> {
        let differing = differing.unwrap_or_default();
        let (lengths, pieces) = alike.unwrap_or(&[0; 3]).split_first_chunk()?;
        let [beginning, middle, ending] = lengths.map(usize::from);
        let (beginning, rest) = pieces.split_at_checked(beginning)?;
        let fits = rest.len() == middle && beginning.len() + middle + ending < LENGTH;
        let addresses = Self { beginning, middle: rest, ending, differing };
        (fits && differing.len().is_multiple_of(addresses.width())).then_some(addresses)
    }

    /// Bytes of each address that differ.
    const fn width(&self) -> usize {
        LENGTH - self.beginning.len() - self.middle.len()
    }

    /// The address at a place.
    pub fn get(&self, at: usize) -> Option<[u8; LENGTH]> {
        let from = at.checked_mul(self.width())?;
        let (before, behind) = self
            .differing
            .get(from..from.checked_add(self.width())?)?
            .split_at_checked(self.width() - self.ending)?;
        let mut address = [0; LENGTH];
        let bytes = [self.beginning, before, self.middle, behind].into_iter().flatten();
        address.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(addresses: &[&str]) -> (usize, Option<Vec<u8>>) {
        let of = |it: &&str| it.parse::<std::net::Ipv6Addr>().unwrap().octets();
        let addresses: Vec<_> = addresses.iter().map(of).collect();
        let (differing, alike) = pack(&addresses);
        (differing.unwrap_or_default().len(), alike)
    }

    #[test]
    fn the_beginning_and_the_longest_piece_behind_are_kept_once() {
        let hosts = ["2001:db8:0:a::1:2", "2001:db8:0:b::7:9", "2001:db8:0:c::2:1"];
        let alike = [&[7, 5, 3][..], &[0x20, 1, 0xd, 0xb8, 0, 0, 0], &[0; 5]].concat();
        assert_eq!(packed(&hosts), (12, Some(alike)));
        let networks = ["2001:db8:1::", "2001:db8:2::", "2001:db8:3::"];
        let alike = [&[5, 10, 0][..], &[0x20, 1, 0xd, 0xb8, 0], &[0; 10]].concat();
        assert_eq!(packed(&networks), (3, Some(alike)));
    }

    #[test]
    fn what_is_hardly_alike_is_kept_as_it_was_before() {
        for (addresses, bytes) in [
            (&[][..], 0),
            (&["2001:db8::1"], 16),
            (&["2001:db8:a:b:c:d:e:f", "2a01:1:2:3:4:5:6:7"], 32),
        ] {
            assert_eq!(packed(addresses), (bytes, None), "{addresses:?}");
        }
    }

    fn any_addresses() -> impl Strategy<Value = Vec<[u8; LENGTH]>> {
        // Few values of each byte, so that some are alike.
        let address = prop::array::uniform16(prop_oneof![3 => Just(0_u8), 1 => 0_u8..3]);
        prop::collection::btree_set(prop_oneof![address, any::<[u8; LENGTH]>()], 0..128)
            .prop_map(|it| it.into_iter().collect())
    }

    proptest! {
        #[test]
        fn addresses_are_read_back(addresses in any_addresses()) {
            let (differing, alike) = pack(&addresses);
            let read = LongAddresses::of(differing.as_deref(), alike.as_deref()).unwrap();
            for (at, address) in addresses.iter().enumerate() {
                prop_assert_eq!(read.get(at), Some(*address));
            }
            prop_assert_eq!(read.get(addresses.len()), None);
            let bytes = |it: &Option<Vec<u8>>| it.as_ref().map_or(0, Vec::len);
            prop_assert!(bytes(&differing) + bytes(&alike) <= addresses.len() * LENGTH);
        }

        #[test]
        fn no_bytes_are_read_beyond_their_end(
            differing in any::<Option<Vec<u8>>>(),
            alike in prop::option::of(prop::collection::vec(prop_oneof![0_u8..17, any::<u8>()], 0..24)),
            at in prop_oneof![0..20_usize, any::<usize>()],
        ) {
            if let Some(read) = LongAddresses::of(differing.as_deref(), alike.as_deref()) {
                let count = differing.as_ref().map_or(0, Vec::len) / read.width();
                prop_assert_eq!(read.get(at).is_some(), at < count);
            }
        }
    }
}
