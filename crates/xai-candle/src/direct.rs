//! Convolutions of stride 1 with few outputs, without unfolding.
//!
//! The padded image is one long line, in which a position of the kernel is a distance: the output at `i` is a sum over
//! positions of a weight times the cell at `i` plus the distance.
//! Where a line of the image ends, the sums mean nothing and are left out.
//! Unfolding pays only when many outputs share it.

use pulp::{Arch, Simd, WithSimd};

use super::real::Real;
use super::window::Window;

/// Outputs that share the loads of their cells. The sums of so many outputs and of all `CELLS` computed together stay
/// in registers: 16 cells in single precision and 8 in double.
const OUTPUTS: usize = 4;

/// The most outputs for which this is faster than unfolding and multiplying.
pub(super) const MOST_OUTPUTS: usize = 32;

/// A convolution of one group, ready for many images.
pub(super) struct Direct<T, const CELLS: usize> {
    image: [usize; 2],
    padded: [usize; 2],
    before: [usize; 2],
    out: [usize; 2],
    n_outputs: usize,
    /// The distance of each position of the kernel, channel after channel.
    distances: Vec<usize>,
    /// For each block of outputs, the weights of each position, one for each output.
    weights: Vec<[T; OUTPUTS]>,
    bias: Vec<T>,
    /// The padded image, and cells behind it that only sums without a meaning read.
    line: Vec<T>,
}

impl<T: Real, const CELLS: usize> Direct<T, CELLS> {
    /// `weight(output, channel, y, x)` for a kernel of `window`, whose stride is 1.
    pub(super) fn new(
        window: &Window,
        image: [usize; 2],
        out: [usize; 2],
        [n_outputs, n_channels]: [usize; 2],
        weight: impl Fn(usize, usize, usize, usize) -> T,
        bias: impl Fn(usize) -> T,
    ) -> Self {
        let zero = T::from_f64(0.0);
        let padded = [0, 1].map(|axis| window.before[axis] + image[axis] + window.after[axis]);
        let area = padded[0] * padded[1];
        let [height, width] = window.kernel;
        let positions = || {
            let of_channel = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
            (0..n_channels).flat_map(move |c| of_channel.clone().map(move |(y, x)| (c, y, x)))
        };
        let distance = |(c, y, x): (usize, usize, usize)| {
            c * area + y * window.dilation[0] * padded[1] + x * window.dilation[1]
        };
        let blocks = (0..n_outputs).step_by(OUTPUTS);
        let of_block = |first: usize| {
            let weight = &weight;
            positions().map(move |(c, y, x)| {
                let of_output = |o: usize| {
                    if first + o < n_outputs { weight(first + o, c, y, x) } else { zero }
                };
                std::array::from_fn(of_output)
            })
        };
        Direct {
            image,
            padded,
            before: window.before,
            out,
            n_outputs,
            distances: positions().map(distance).collect(),
            weights: blocks.flat_map(of_block).collect(),
            bias: (0..n_outputs).map(bias).collect(),
            line: vec![zero; n_channels * area + CELLS],
        }
    }

    /// The outputs for the channels of one image.
    pub(super) fn apply(&mut self, channels: &[T], outputs: &mut [T]) {
        let [height, width] = self.image;
        let [padded_height, padded_width] = self.padded;
        let planes = channels.chunks_exact(height * width);
        let padded_planes = self.line.chunks_exact_mut(padded_height * padded_width);
        for (plane, padded) in planes.zip(padded_planes) {
            let lines = padded.chunks_exact_mut(padded_width).skip(self.before[0]);
            for (from, to) in plane.chunks_exact(width).zip(lines) {
                to[self.before[1]..self.before[1] + width].copy_from_slice(from);
            }
        }
        debug_assert_eq!(outputs.len(), self.n_outputs * self.out[0] * self.out[1]);
        Arch::new().dispatch(Apply { convolution: self, outputs });
    }
}

/// A convolution of the image in its line.
struct Apply<'a, T, const CELLS: usize> {
    convolution: &'a Direct<T, CELLS>,
    outputs: &'a mut [T],
}

impl<T: Real, const CELLS: usize> WithSimd for Apply<'_, T, CELLS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // Without an instruction for it, a fused product and sum is slow.
        if S::IS_SCALAR {
            self.run(|weight, cell, sum| sum + weight * cell);
        } else {
            self.run(T::mul_add);
        }
    }
}

impl<T: Real, const CELLS: usize> Apply<'_, T, CELLS> {
    /// `add(weight, cell, sum)` is the sum with the product added.
    #[inline(always)]
    fn run(self, add: impl Fn(T, T, T) -> T + Copy) {
        let Direct { distances, weights, bias, line, padded: [_, padded_width], .. } =
            self.convolution;
        let [height, width] = self.convolution.out;
        let length = (height - 1) * padded_width + width;
        let zero = T::from_f64(0.0);
        for (block, weights) in weights.chunks_exact(distances.len()).enumerate() {
            let first = block * OUTPUTS;
            let bias = std::array::from_fn(|o| bias.get(first + o).copied().unwrap_or(zero));
            for start in (0..length).step_by(CELLS) {
                let sums = sums::<T, CELLS>(&line[start..], distances, weights, bias, add);
                let rows = self.outputs.chunks_exact_mut(height * width).skip(first);
                for (row, sums) in rows.zip(&sums) {
                    scatter(row, sums, start, *padded_width, width);
                }
            }
        }
    }
}

/// The sums of all positions for some cells and outputs.
#[inline(always)]
fn sums<T: Real, const CELLS: usize>(
    line: &[T],
    distances: &[usize],
    weights: &[[T; OUTPUTS]],
    bias: [T; OUTPUTS],
    add: impl Fn(T, T, T) -> T,
) -> [[T; CELLS]; OUTPUTS] {
    let mut sums = bias.map(|bias| [bias; CELLS]);
    for (&distance, weights) in distances.iter().zip(weights) {
        let cells: &[T; CELLS] =
            line[distance..distance + CELLS].try_into().expect("a slice of that length");
        for (sums, &weight) in sums.iter_mut().zip(weights) {
            for (sum, &cell) in sums.iter_mut().zip(cells) {
                *sum = add(weight, cell, *sum);
            }
        }
    }
    sums
}

/// Writes cells of the long line to the lines of an output, without those between the lines.
#[inline(always)]
fn scatter<T: Copy, const CELLS: usize>(
    row: &mut [T],
    sums: &[T; CELLS],
    start: usize,
    padded_width: usize,
    width: usize,
) {
    let (mut y, mut x) = (start / padded_width, start % padded_width);
    let mut sums = sums.as_slice();
    while !sums.is_empty() {
        let cells = (padded_width - x).min(sums.len());
        let inside = width.saturating_sub(x).min(cells);
        // Behind the last line there is nothing to write to.
        if let Some(line) = row.get_mut(y * width + x..y * width + x + inside) {
            line.iter_mut().zip(sums).for_each(|(cell, sum)| *cell = *sum);
        }
        sums = &sums[cells..];
        (y, x) = (y + 1, 0);
    }
}
