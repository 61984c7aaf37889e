//! Size classes of packets, as in RMON.

use wire::frame::{SIZE_CLASS_MAX, SIZE_CLASSES};

/// Length of the FCS, which RMON's size classes include (RFC 2819, `etherStatsPkts64Octets`).
const FCS_LEN: u64 = 4;

/// Number of lengths without FCS below the last class.
const LENGTHS: usize = 1515;

/// Class by length without FCS: a lookup takes fewer instructions than comparisons with each limit.
static CLASS: [u8; LENGTHS] = {
    assert!(LENGTHS as u64 + FCS_LEN == SIZE_CLASS_MAX[SIZE_CLASSES - 2] + 1);
    let mut classes = [0; LENGTHS];
    let (mut len, mut class) = (0, 0u8);
    while len < LENGTHS {
        if len as u64 + FCS_LEN > SIZE_CLASS_MAX[class as usize] {
            class += 1;
        }
        classes[len] = class;
        len += 1;
    }
    classes
};

/// Class of a packet by its length without FCS, below [`SIZE_CLASSES`].
#[must_use]
#[inline]
pub fn size_class(len: u64) -> usize {
    let class = usize::try_from(len).ok().and_then(|len| CLASS.get(len));
    class.map_or(SIZE_CLASSES - 1, |&class| usize::from(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_lengths_up_to_its_limit_with_the_fcs() {
        for len in 0..3000 {
            let class = SIZE_CLASS_MAX.iter().filter(|&&max| len + FCS_LEN > max).count();
            assert_eq!(size_class(len), class, "{len} bytes without FCS");
        }
        assert_eq!(size_class(u64::MAX), SIZE_CLASSES - 1);
    }

    #[test]
    fn size_classes_include_the_fcs() {
        for (len, class) in [
            (42, 0),
            (60, 0),
            (61, 1),
            (123, 1),
            (124, 2),
            (1019, 4),
            (1020, 5),
            (1514, 5),
            (1515, 6),
        ] {
            assert_eq!(size_class(len), class, "{len} bytes without FCS");
        }
    }
}
