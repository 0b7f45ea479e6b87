//! Seeds and streams: recorded numbers that pin the format, and statistics at fixed seeds.
//!
//! Statistical bounds allow five standard errors. A correct generator misses one such bound for one seed in two
//! million, and the seeds are fixed: a failure is a change of the numbers, not chance.

#![allow(
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    clippy::unwrap_used,
    reason = "words are cut on purpose, grid points are exact, and a test may panic"
)]

use std::collections::BTreeSet;

use xai_core::Seed;

// The format -------------------------------------------------------------------------------------------------

/// These numbers are part of the format of recorded explanations: a change of any is a breaking change.
#[test]
fn known_answers() {
    let first = |seed: Seed| {
        let mut stream = seed.stream();
        [stream.bits(), stream.bits(), stream.bits()]
    };
    assert_eq!(
        first(Seed::new(0)),
        [0x53f9_5507_6a9a_f49b, 0xd583_265f_12ce_1f81, 0x1474_e049_bbc3_2904],
    );
    assert_eq!(
        first(Seed::new(1)),
        [0xf6b0_565d_596e_0512, 0x09a2_25cd_f090_f0ee, 0x0f5d_5290_278c_2449],
    );
    assert_eq!(
        first(Seed::new(u64::MAX)),
        [0x61f0_4993_b672_4d77, 0x4bc2_d1e4_3fb3_f5bc, 0x3a93_b276_bf8c_e031],
    );
    assert_eq!(
        first(Seed::new(7).child(3)),
        [0xc1ea_b641_fc84_033d, 0x6f76_1ca3_cba8_9426, 0x710d_d531_921c_6b82],
    );
    let child = |seed: Seed, text: &str| assert_eq!(seed.to_string(), text);
    child(
        Seed::new(0).child(0),
        "6cab5f87863b992a4b4c8e4cebdfef11062160647c4bff20679ebc6aa074eeee",
    );
    child(
        Seed::new(0).child(u64::MAX),
        "3ee8d71cf5e195e63dc3525dd9c38f180ea109918da4ab5323355b46750b5fcf",
    );
    child(
        Seed::new(1).child(2).child(3),
        "b0293b74fe6466338e14f9e1cb8e467247b2e8b3194aed11c36f3122bcf3f97e",
    );
    let mut stream = Seed::new(42).stream();
    assert_eq!([stream.uniform(), stream.uniform()], [0.4320298621284324, 0.16107808043466643]);
    assert_eq!(
        [stream.below(6), stream.below(1 << 63), stream.below(u64::MAX)],
        [4, 6_327_765_374_392_827_586, 1_271_654_222_201_943_272],
    );
    let mut items = [0, 1, 2, 3, 4, 5, 6, 7];
    stream.shuffle(&mut items);
    assert_eq!(items, [6, 4, 2, 5, 3, 0, 7, 1]);
}

/// One block of ChaCha12 (Bernstein 2008), in its original layout: a 64-bit counter and a 64-bit stream number.
fn chacha12(key: [u32; 8], counter: u64, stream: u64) -> [u32; 16] {
    let halves = |word: u64| [word as u32, (word >> 32) as u32];
    let mut state = [0; 16];
    state[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    state[4..12].copy_from_slice(&key);
    state[12..14].copy_from_slice(&halves(counter));
    state[14..].copy_from_slice(&halves(stream));
    let mut x = state;
    for round in 0..12 {
        for i in 0..4 {
            // Columns in even rounds, diagonals in odd ones.
            let [a, b, c, d] = [0, 1, 2, 3].map(|row| 4 * row + (i + row * (round % 2)) % 4);
            for (sum, term, turned, turn) in
                [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]
            {
                x[sum] = x[sum].wrapping_add(x[term]);
                x[turned] = (x[turned] ^ x[sum]).rotate_left(turn);
            }
        }
    }
    std::array::from_fn(|word| x[word].wrapping_add(state[word]))
}

/// The format in full: the key of a number is its little-endian bytes and zeros, a stream reads the blocks of stream
/// number 0 from the start, and a child is the first half of block 2^62 of the stream numbered by its label.
#[test]
fn seeds_are_keys_of_chacha12() {
    for (number, label) in [(0, 0), (1, 5), (0x0123_4567_89ab_cdef, u64::MAX)] {
        let mut key = [0; 8];
        (key[0], key[1]) = (number as u32, (number >> 32) as u32);
        let mut stream = Seed::new(number).stream();
        for counter in 0..4 {
            for pair in chacha12(key, counter, 0).chunks(2) {
                assert_eq!(stream.bits(), u64::from(pair[0]) | u64::from(pair[1]) << 32);
            }
        }
        let child = &chacha12(key, 1 << 62, label)[..8];
        let digits =
            child.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("{byte:02x}"));
        assert_eq!(Seed::new(number).child(label).to_string(), digits.collect::<String>());
    }
}

// The tree ---------------------------------------------------------------------------------------------------

#[test]
fn children_differ_from_each_other_and_from_every_stream() {
    let labels = [0, 1, 2, 3, 255, 256, 1 << 32, u64::MAX - 1, u64::MAX];
    let roots = [Seed::new(0), Seed::new(1), Seed::new(u64::MAX), Seed::new(0).child(0)];
    let mut seeds = BTreeSet::new();
    let mut starts = BTreeSet::new();
    for root in roots {
        seeds.insert(root.to_string());
        let mut stream = root.stream();
        starts.insert(format!("{:016x}{:016x}", stream.bits(), stream.bits()));
        for label in labels {
            seeds.insert(root.child(label).to_string());
            seeds.insert(root.child(label).child(label).to_string());
            let mut stream = root.child(label).stream();
            starts.insert(format!("{:016x}{:016x}", stream.bits(), stream.bits()));
        }
    }
    // `new(0).child(0)` is both a root and a child.
    assert_eq!(seeds.len(), roots.len() * (1 + 2 * labels.len()) - 2);
    assert_eq!(starts.len(), roots.len() * (1 + labels.len()) - 1);
}

#[test]
fn a_child_is_no_part_of_the_streams_start() {
    // The bytes of a stream's start, as a seed would print them.
    for root in [Seed::new(0), Seed::new(9).child(4)] {
        let mut stream = root.stream();
        let words: Vec<u64> = (0..256).map(|_| stream.bits()).collect();
        for label in [0, 1, u64::MAX] {
            let child = root.child(label).to_string();
            for word in &words {
                let digits: String =
                    word.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                assert!(!child.contains(&digits), "{child} holds {digits} of the stream");
            }
        }
    }
}

#[test]
fn a_stream_does_not_depend_on_other_streams() {
    let seed = Seed::new(5).child(1);
    let alone: Vec<u64> = (0..3)
        .map({
            let mut stream = seed.stream();
            move |_| stream.bits()
        })
        .collect();
    let (mut one, mut other) = (seed.stream(), Seed::new(5).child(2).stream());
    for expected in alone {
        other.bits();
        assert_eq!(one.bits(), expected);
    }
}

// Text -------------------------------------------------------------------------------------------------------

#[test]
fn seeds_read_back_from_text_and_json() {
    #[track_caller]
    fn check(seed: Seed, text: &str) {
        assert_eq!(seed.to_string(), text);
        assert_eq!(text.parse::<Seed>().unwrap(), seed);
        let json = serde_json::to_string(&seed).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Seed>(&json).unwrap(), seed);
        assert_eq!(format!("{seed:?}"), format!("Seed({text})"));
    }
    check(Seed::new(0), "0");
    check(Seed::from(42), "42");
    check(Seed::new(u64::MAX), "18446744073709551615");
    let child = Seed::new(0).child(1);
    assert_eq!(child.to_string().len(), 64);
    check(child, &child.to_string());
    // All sixty-four are decimal digits, and still they are a key and no number.
    let digits = "0".repeat(63) + "5";
    check(digits.parse().unwrap(), &digits);
    // A key may be written in either case.
    assert_eq!(child.to_string().to_uppercase().parse::<Seed>().unwrap(), child);
}

#[test]
fn other_texts_are_refused_by_name() {
    for text in [
        "",
        "-1",
        "1.5",
        "seed",
        "18446744073709551616",
        "0x10",
        &"f".repeat(63),
        &"g".repeat(64),
        &"é".repeat(32),
    ] {
        let expected = format!(
            "parameter `seed` must be a number below 2^64 or 64 hexadecimal digits, got {text:?}"
        );
        assert_eq!(text.parse::<Seed>().unwrap_err().to_string(), expected);
        let json = serde_json::to_string(text).unwrap();
        assert_eq!(serde_json::from_str::<Seed>(&json).unwrap_err().to_string(), expected);
    }
}

// Distributions ----------------------------------------------------------------------------------------------

/// Pearson's statistic for equal expectations has mean `k - 1` and variance at most `2 (k - 1)` for `k` cells, so that
/// five standard errors allow `(k - 1) + 5 sqrt(2 (k - 1))`.
#[track_caller]
fn evenly(counts: &[u64]) {
    let n: u64 = counts.iter().sum();
    let expected = n as f64 / counts.len() as f64;
    let statistic: f64 =
        counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
    let freedom = counts.len() as f64 - 1.0;
    let bound = freedom + 5.0 * (2.0 * freedom).sqrt();
    assert!(statistic < bound, "chi-square {statistic}, bound {bound}");
}

#[test]
fn below_is_unbiased() {
    for n in [2_usize, 3, 6, 7, 10, 100] {
        let mut stream = Seed::new(n as u64).stream();
        let mut counts = vec![0; n];
        for _ in 0..1000 * n {
            counts[stream.index(n)] += 1;
        }
        evenly(&counts);
    }
}

/// Without the rejection, a third of the numbers below `3 * 2^62` would be drawn twice as often as the others.
#[test]
fn below_is_unbiased_where_rejection_matters() {
    let n = 3 << 62;
    let mut stream = Seed::new(1).stream();
    // The third of the numbers that is hit twice depends on the method: every remainder and every third is counted.
    let (mut thirds, mut remainders) = ([0; 3], [0; 3]);
    for _ in 0..30_000 {
        let number = stream.below(n);
        assert!(number < n);
        thirds[usize::try_from(number / (1 << 62)).unwrap()] += 1;
        remainders[usize::try_from(number % 3).unwrap()] += 1;
    }
    evenly(&thirds);
    evenly(&remainders);
}

#[test]
fn below_one_is_zero() {
    let mut stream = Seed::new(3).stream();
    assert!((0..100).all(|_| stream.below(1) == 0));
}

#[test]
fn uniform_has_the_moments_and_the_grid_it_should() {
    let n = 100_000;
    let mut stream = Seed::new(11).stream();
    let values: Vec<f64> = (0..n).map(|_| stream.uniform()).collect();
    assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
    let grid = 2.0_f64.powi(53);
    assert!(values.iter().all(|value| (value * grid).fract() == 0.0));
    // Half of the numbers are odd on that grid: the last bit is used. Standard error sqrt(n) / 2.
    let odd = values.iter().filter(|&&value| (value * grid) % 2.0 == 1.0).count();
    let n = f64::from(n);
    assert!((odd as f64 - n / 2.0).abs() < 5.0 * n.sqrt() / 2.0);
    // The variance of a number is 1/12, that of its squared deviation 1/80 - 1/144 = 1/180.
    let mean = values.iter().sum::<f64>() / n;
    assert!((mean - 0.5).abs() < 5.0 * (1.0 / 12.0 / n).sqrt());
    let variance = values.iter().map(|value| (value - 0.5).powi(2)).sum::<f64>() / n;
    assert!((variance - 1.0 / 12.0).abs() < 5.0 * (1.0 / 180.0 / n).sqrt());
    // The covariance of neighbours is a mean of products of variance 1/144.
    let products = values.windows(2).map(|pair| (pair[0] - 0.5) * (pair[1] - 0.5));
    assert!((products.sum::<f64>() / n).abs() < 5.0 * (1.0 / 144.0 / n).sqrt());
}

#[test]
fn shuffle_gives_every_order_equally_often() {
    let mut stream = Seed::new(4).stream();
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..24_000 {
        let mut items = [0, 1, 2, 3];
        stream.shuffle(&mut items);
        *counts.entry(items).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 24);
    evenly(&counts.into_values().collect::<Vec<_>>());
}

#[test]
fn shuffle_draws_nothing_when_there_is_no_choice() {
    let mut stream = Seed::new(4).stream();
    stream.shuffle::<u8>(&mut []);
    stream.shuffle(&mut ["alone"]);
    assert_eq!(stream.bits(), Seed::new(4).stream().bits());
}

// Normal numbers ---------------------------------------------------------------------------------------------

#[test]
fn normal_numbers_are_those_of_the_polar_method() {
    for seed in 0..20 {
        let (mut normals, mut uniforms) = (Seed::new(seed).stream(), Seed::new(seed).stream());
        for _ in 0..200 {
            let expected = loop {
                let mut coordinate = || 2.0 * uniforms.uniform() - 1.0;
                let (u, v) = (coordinate(), coordinate());
                let s = u * u + v * v;
                if 0.0 < s && s < 1.0 {
                    break u * (-2.0 * s.ln() / s).sqrt();
                }
            };
            // The two logarithms differ by a few roundings of a number that is at least as large as its last term.
            let got = normals.normal();
            assert!(
                (got - expected).abs() <= 8.0 * f64::EPSILON * expected.abs(),
                "{got} {expected}"
            );
        }
        assert_eq!(normals.bits(), uniforms.bits(), "as many numbers were drawn");
    }
}

#[test]
fn normal_numbers_have_the_moments_they_should() {
    let n = 200_000;
    let mut stream = Seed::new(17).stream();
    let values: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
    let n = f64::from(n);
    // E x^p is 0, 1, 0, 3 and its variance E x^2p - (E x^p)^2 is 1, 2, 15, 96.
    for (power, mean, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let moment = values.iter().map(|value| value.powi(power)).sum::<f64>() / n;
        let bound = 5.0 * f64::sqrt(variance / n);
        assert!((moment - mean).abs() < bound, "moment {power}: {moment}, bound {bound}");
    }
    // Neighbours are independent: a mean of products of variance 1.
    let products = values.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / n;
    assert!(products.abs() < 5.0 / n.sqrt());
    // The normal distribution has 31.7310508% of its mass beyond one and 0.26997961% beyond three.
    for (beyond, share) in [(1.0, 0.317_310_508), (3.0, 0.002_699_796_1)] {
        let counted = values.iter().filter(|value| beyond < value.abs()).count() as f64 / n;
        assert!((counted - share).abs() < 5.0 * f64::sqrt(share * (1.0 - share) / n));
    }
}

/// These numbers are part of the format of recorded explanations.
#[test]
fn known_normal_numbers() {
    let mut stream = Seed::new(42).stream();
    let numbers: [f64; 4] = std::array::from_fn(|_| stream.normal());
    let expected =
        [-0.23893029547745945, 1.1195122891144946, -0.19643777571327325, 0.3960422484160409];
    assert_eq!(numbers, expected);
}
