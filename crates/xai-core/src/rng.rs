//! Randomness as values: a tree of seeds, each with its own stream.
//!
//! The sampling functions are ours, so that recorded results outlive changes in other crates.

use std::fmt;
use std::str::FromStr;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::params::ParamError;

/// A 256-bit key from which everything random of a run follows.
///
/// Children are independent of each other and of the parent's stream, so that a row, a round or a thread draws from
/// its own seed and the result does not depend on the order of the work.
///
/// Prints as the number it was made from, or as 64 hexadecimal digits for a derived seed; reads back from both.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Seed([u8; 32]);

/// Word position from which children are cut: far beyond what a stream's own reader can reach.
const CHILDREN: u128 = 1 << 66;

impl Seed {
    /// The seed of a number; distinct numbers give independent streams.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Seed(key)
    }

    /// The seed below this one with the given label.
    ///
    /// # Source
    /// 32 bytes of the ChaCha12 stream numbered `label` under this key, read far behind the start, where
    /// [`stream`](Self::stream) reads.
    #[must_use]
    pub fn child(self, label: u64) -> Self {
        let mut rng = ChaCha12Rng::from_seed(self.0);
        rng.set_stream(label);
        rng.set_word_pos(CHILDREN);
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        Seed(key)
    }

    /// The stream of random numbers of this seed, from its start.
    #[must_use]
    pub fn stream(self) -> Stream {
        Stream(ChaCha12Rng::from_seed(self.0))
    }
}

impl From<u64> for Seed {
    fn from(seed: u64) -> Self {
        Seed::new(seed)
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.0.split_at(8);
        if high.iter().all(|&byte| byte == 0) {
            let low = low.try_into().expect("eight bytes");
            return write!(f, "{}", u64::from_le_bytes(low));
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seed({self})")
    }
}

impl FromStr for Seed {
    type Err = ParamError;

    fn from_str(text: &str) -> Result<Self, ParamError> {
        // Sixty-four digits are a key even when none of them is above 9.
        if text.len() < 64
            && let Ok(seed) = text.parse()
        {
            return Ok(Seed::new(seed));
        }
        let refuse = || ParamError {
            name: "seed",
            rule: "a number below 2^64 or 64 hexadecimal digits".to_owned(),
            value: format!("{text:?}"),
        };
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        let mut key = [0; 32];
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| refuse())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| refuse())?;
        }
        Ok(Seed(key))
    }
}

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A stream of random numbers, the same on every platform.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha12Rng);

impl Stream {
    /// The next 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `[0, 1)`, a multiple of 2^-53, uniformly.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number in `0..n`, without bias.
    ///
    /// # Panics
    /// When `n` is 0: there is no such number.
    ///
    /// # Source
    /// Lemire 2019, "Fast random integer generation in an interval", arXiv:1805.10941, algorithm 5.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(0 < n, "no number is below 0");
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the two halves of the product are wanted apart"
        )]
        let halves = |bits: u64| {
            let product = u128::from(bits) * u128::from(n);
            ((product >> 64) as u64, product as u64)
        };
        let (mut high, mut low) = halves(self.bits());
        if low < n {
            let threshold = n.wrapping_neg() % n;
            while low < threshold {
                (high, low) = halves(self.bits());
            }
        }
        high
    }

    /// An index in `0..len`, without bias.
    ///
    /// # Panics
    /// When `len` is 0.
    #[inline]
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    /// A standard normal number: mean 0, variance 1.
    ///
    /// Each call draws its own pair, so that a stream has no state but its position. The logarithm is ours and takes
    /// nothing but the four operations, so that the bits are the same on every platform; it is off by a few units in
    /// the last place.
    ///
    /// # Source
    /// The polar method: Marsaglia & Bray 1964, "A convenient method for generating normal variables", SIAM Review 6.
    #[inline]
    pub fn normal(&mut self) -> f64 {
        loop {
            let (u, v) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let s = u * u + v * v;
            if 0.0 < s && s < 1.0 {
                return u * (-2.0 * logarithm(s) / s).sqrt();
            }
        }
    }

    /// Puts the items into a uniformly random order (Fisher-Yates, from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

/// The natural logarithm of a normal number above 0, by `ln m = 2 artanh((m - 1) / (m + 1))` for `m` between `1/sqrt(2)`
/// and `sqrt(2)`. There the square in the series is below 0.0295, and thirteen terms leave less than 2^-60.
fn logarithm(x: f64) -> f64 {
    const FRACTION: u64 = (1 << 52) - 1;
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as f64 - 1023.0;
    let mut mantissa = f64::from_bits((bits & FRACTION) | 1.0_f64.to_bits());
    if std::f64::consts::SQRT_2 < mantissa {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let series = (0..13).rev().fold(0.0, |sum, k| sum * (t * t) + 1.0 / f64::from(2 * k + 1));
    exponent * std::f64::consts::LN_2 + 2.0 * t * series
}
