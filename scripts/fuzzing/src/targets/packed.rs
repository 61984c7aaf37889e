//! Packed frames of an agent: packing alone, and the archive of differences in it.

use wire::codec;
use wire::pack::{pack, unpack};

use super::codec::{check, with_header};
use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "packed",
    about: "an agent's packed frame (wire::pack, wire::predict, wire::codec)",
    input_max: 64 * KIB,
    // 64 KiB may unpack to the allowed 1 MiB.
    memory_max: 8 * MIB,
    run,
};

/// `codec::kind::PACKED_FRAME`, which never changes.
const KIND: u8 = 12;

fn run(input: &[u8]) {
    // As received: a length, then the packed bytes.
    if let Ok(received) = codec::decode(&with_header(KIND, input)) {
        check(received);
    }
    if let Some((len, packed)) = input.split_first_chunk() {
        let len = u32::from_le_bytes(*len).min(codec::LEN_MAX) as usize;
        if let Some(bytes) = unpack(packed, len) {
            assert_eq!(bytes.len(), len);
            assert_eq!(unpack(&pack(&bytes), len).as_deref(), Some(&bytes[..]));
        }
    }
    // The input as an archive of differences.
    let packed = pack(input);
    assert!(packed.len() <= input.len() + input.len().div_ceil(8) + 1);
    assert_eq!(unpack(&packed, input.len()).as_deref(), Some(input));
    let len = u32::try_from(input.len()).unwrap().to_le_bytes();
    if let Ok(received) = codec::decode(&with_header(KIND, &[&len, &packed[..]].concat())) {
        check(received);
    }
}
