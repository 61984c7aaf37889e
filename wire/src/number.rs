//! What types of 64-bit numbers can do. Such a type costs nothing: in memory, on the wire and in JSON it
//! has the layout of its number.

/// What points on a line can do: their distance is a plain number, and two of them can't be added.
macro_rules! point {
    ($name:ident) => {
        impl $name {
            /// Later than any other.
            pub const MAX: Self = Self(u64::MAX);

            /// The plain number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The point so much later, at most [`Self::MAX`].
            #[must_use]
            pub const fn saturating_add(self, distance: u64) -> Self {
                Self(self.0.saturating_add(distance))
            }

            /// The point so much earlier, at least zero.
            #[must_use]
            pub const fn saturating_sub(self, distance: u64) -> Self {
                Self(self.0.saturating_sub(distance))
            }

            /// The point so much earlier; `None` below zero.
            #[must_use]
            pub const fn checked_sub(self, distance: u64) -> Option<Self> {
                match self.0.checked_sub(distance) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }

            /// The distance from an earlier point; zero if that is later.
            #[must_use]
            pub const fn saturating_since(self, earlier: Self) -> u64 {
                self.0.saturating_sub(earlier.0)
            }

            /// The distance from an earlier point; `None` if that is later.
            #[must_use]
            pub const fn checked_since(self, earlier: Self) -> Option<u64> {
                self.0.checked_sub(earlier.0)
            }

            /// The distance between two points, whichever is later.
            #[must_use]
            pub const fn abs_diff(self, other: Self) -> u64 {
                self.0.abs_diff(other.0)
            }

            /// The point that a signed 64-bit column holds.
            #[must_use]
            pub const fn of_column(column: i64) -> Self {
                Self(column.cast_unsigned())
            }

            /// As a signed 64-bit column of a database holds it: points beyond its range become its
            /// largest value.
            #[must_use]
            pub const fn to_column(self) -> i64 {
                if self.0 > i64::MAX.cast_unsigned() { i64::MAX } else { self.0.cast_signed() }
            }
        }

        impl std::ops::Add<u64> for $name {
            type Output = Self;

            #[inline]
            fn add(self, distance: u64) -> Self {
                Self(self.0 + distance)
            }
        }

        impl std::ops::AddAssign<u64> for $name {
            #[inline]
            fn add_assign(&mut self, distance: u64) {
                self.0 += distance;
            }
        }

        impl std::ops::SubAssign<u64> for $name {
            #[inline]
            fn sub_assign(&mut self, distance: u64) {
                self.0 -= distance;
            }
        }

        impl std::ops::Sub<u64> for $name {
            type Output = Self;

            #[inline]
            fn sub(self, distance: u64) -> Self {
                Self(self.0 - distance)
            }
        }

        impl std::ops::Sub for $name {
            type Output = u64;

            #[inline]
            fn sub(self, earlier: Self) -> u64 {
                self.0 - earlier.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

/// What amounts can do: they are added and compared with their own kind only.
macro_rules! amount {
    ($name:ident) => {
        impl $name {
            /// The largest.
            pub const MAX: Self = Self(u64::MAX);

            /// The plain number.
            #[inline]
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// As a floating-point number, for rates and shares: exact up to 2^53.
            #[must_use]
            #[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
            pub const fn as_f64(self) -> f64 {
                self.0 as f64
            }

            /// The sum, at most [`Self::MAX`].
            #[inline]
            #[must_use]
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// The difference, at least zero.
            #[inline]
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// The sum; `None` beyond [`Self::MAX`].
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// The difference; `None` below zero.
            #[must_use]
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(difference) => Some(Self(difference)),
                    None => None,
                }
            }
        }

        impl std::ops::Add for $name {
            type Output = Self;

            #[inline]
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl std::ops::AddAssign for $name {
            #[inline]
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl std::ops::Sub for $name {
            type Output = Self;

            #[inline]
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
                amounts.fold(Self(0), |sum, amount| sum + amount)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

pub(crate) use {amount, point};
