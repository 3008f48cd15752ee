//! Makes the small picture of the large one: area averaging, never enlarging.

use std::sync::Arc;

use crate::{Frame, FramePool};

/// One, in the fixed point of the weights.
const ONE: u32 = 256;

/// Scales pictures down to fit a size, keeping their proportions.
#[derive(Debug)]
pub(crate) struct Scaler {
    /// What pictures are to fit in; zero for half of their own.
    limit: (u32, u32),
    pool: FramePool,
    /// How luma and colours are scaled from the size of the latest picture.
    plan: Option<Plan>,
    /// One weighted line.
    line: Vec<u16>,
}

/// The weights for one pair of sizes.
#[derive(Debug)]
struct Plan {
    from: (u32, u32),
    to: (u32, u32),
    columns: [Weights; 2],
    rows: [Weights; 2],
}

/// For each pixel of the small picture: the pixels of the large one below it, and their shares.
#[derive(Debug)]
struct Weights(Vec<(usize, Vec<u16>)>);

impl Scaler {
    /// A scaler to at most `width` times `height`, or half of what comes where they are zero.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self {
            limit: (width, height),
            pool: FramePool::new(),
            plan: None,
            line: Vec::new(),
        }
    }

    /// The picture scaled down, or itself when it fits already.
    pub(crate) fn scale(&mut self, frame: &Arc<Frame>) -> Arc<Frame> {
        let from = (frame.width(), frame.height());
        let to = fitting(from, self.limit);
        if to == from {
            return Arc::clone(frame);
        }
        let mut small = self.pool.frame(to.0, to.1, frame.captured());
        let planes = small.planes_mut();
        let pairs = [
            (planes.y, frame.y(), 0),
            (planes.u, frame.u(), 1),
            (planes.v, frame.v(), 1),
        ];
        // Halving is what the default asks for, and odd colour planes are the one case it cannot do.
        if from == (to.0 * 2, to.1 * 2) {
            for (small, large, chroma) in pairs {
                halve(small, large, from.0 as usize >> chroma);
            }
        } else {
            let plan = match self.plan.take() {
                Some(plan) if (plan.from, plan.to) == (from, to) => plan,
                _ => Plan::new(from, to),
            };
            for (small, large, chroma) in pairs {
                let width = from.0 as usize >> chroma;
                plan.scale(small, large, width, chroma, &mut self.line);
            }
            self.plan = Some(plan);
        }
        Arc::new(small)
    }
}

/// The largest even size with the proportions of `from` that is not above `limit`.
fn fitting(from: (u32, u32), limit: (u32, u32)) -> (u32, u32) {
    let limit = (
        if limit.0 == 0 { from.0 / 2 } else { limit.0 },
        if limit.1 == 0 { from.1 / 2 } else { limit.1 },
    );
    if from.0 <= limit.0 && from.1 <= limit.1 {
        return from;
    }
    let (width, height) = (u64::from(from.0), u64::from(from.1));
    let (most_wide, most_high) = (u64::from(limit.0), u64::from(limit.1));
    let (wide, high) = if most_wide * height <= most_high * width {
        (most_wide, (most_wide * height + width / 2) / width)
    } else {
        ((most_high * width + height / 2) / height, most_high)
    };
    // No encoder takes less than one macroblock.
    let even = |side: u64, most: u32| (side as u32 & !1).clamp(16.min(most), most);
    (even(wide, from.0), even(high, from.1))
}

impl Plan {
    fn new(from: (u32, u32), to: (u32, u32)) -> Self {
        let weights = |from: u32, to: u32| {
            [0, 1].map(|chroma| Weights::new(from as usize >> chroma, to as usize >> chroma))
        };
        Self {
            from,
            to,
            columns: weights(from.0, to.0),
            rows: weights(from.1, to.1),
        }
    }

    /// Scales a plane whose lines are `width` long: first downwards, then across.
    fn scale(
        &self,
        small: &mut [u8],
        large: &[u8],
        width: usize,
        chroma: usize,
        line: &mut Vec<u16>,
    ) {
        let (columns, rows) = (&self.columns[chroma].0, &self.rows[chroma].0);
        let lines = small.chunks_exact_mut(columns.len());
        for (small, (first, weights)) in lines.zip(rows) {
            line.clear();
            line.resize(width, 0);
            let large = large[first * width..].chunks_exact(width);
            for (large, &weight) in large.zip(weights) {
                for (sum, &pixel) in line.iter_mut().zip(large) {
                    *sum += u16::from(pixel) * weight;
                }
            }
            for (pixel, (first, weights)) in small.iter_mut().zip(columns) {
                let shares = line[*first..].iter().zip(weights);
                let sum: u32 = shares
                    .map(|(&sum, &weight)| u32::from(sum) * u32::from(weight))
                    .sum();
                *pixel = ((sum + ONE * ONE / 2) >> 16) as u8;
            }
        }
    }
}

impl Weights {
    fn new(from: usize, to: usize) -> Self {
        // A pixel of the small picture covers `from` parts of which a large one has `to`.
        let pixel = |index: usize| {
            let (begin, end) = (index * from, (index + 1) * from);
            let (first, last) = (begin / to, (end - 1) / to);
            let mut given = 0;
            let weights = (first..=last).map(|large| {
                let covered = ((large + 1) * to).min(end) - begin;
                let until = (covered * ONE as usize + from / 2) / from;
                let weight = until - given;
                given = until;
                weight as u16
            });
            (first, weights.collect())
        };
        Self((0..to).map(pixel).collect())
    }
}

/// Averages two by two pixels of a plane whose lines are `width` long.
fn halve(small: &mut [u8], large: &[u8], width: usize) {
    let pairs = large.chunks_exact(width * 2);
    for (small, pair) in small.chunks_exact_mut(width / 2).zip(pairs) {
        let (upper, lower) = pair.split_at(width);
        let squares = upper.chunks_exact(2).zip(lower.chunks_exact(2));
        for (pixel, (upper, lower)) in small.iter_mut().zip(squares) {
            let sum: u16 = [upper[0], upper[1], lower[0], lower[1]]
                .map(u16::from)
                .iter()
                .sum();
            *pixel = ((sum + 2) / 4) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Timestamp;

    fn frame(width: u32, height: u32, paint: impl Fn(usize) -> u8) -> Arc<Frame> {
        let mut frame = FramePool::new().frame(width, height, Timestamp::from_nanos(7));
        for (index, byte) in frame.data_mut().iter_mut().enumerate() {
            *byte = paint(index);
        }
        Arc::new(frame)
    }

    #[test]
    fn sizes_keep_their_proportions_and_are_even() {
        assert_eq!(fitting((1280, 720), (0, 0)), (640, 360));
        assert_eq!(fitting((1280, 720), (640, 480)), (640, 360));
        assert_eq!(fitting((1920, 1080), (640, 480)), (640, 360));
        assert_eq!(fitting((640, 480), (640, 360)), (480, 360));
        assert_eq!(fitting((320, 240), (640, 360)), (320, 240));
        assert_eq!(fitting((720, 1280), (640, 360)), (202, 360));
        assert_eq!(fitting((3840, 16), (0, 0)), (1920, 16));
    }

    #[test]
    fn halving_averages_and_keeps_the_time() {
        let large = frame(32, 32, |index| {
            if index < 1024 {
                (index % 2 * 100) as u8
            } else {
                9
            }
        });
        let small = Scaler::new(0, 0).scale(&large);
        assert_eq!((small.width(), small.height()), (16, 16));
        assert_eq!(small.captured(), large.captured());
        assert!(small.y().iter().all(|&luma| luma == 50));
        assert!(small.u().iter().chain(small.v()).all(|&colour| colour == 9));
    }

    #[test]
    fn what_fits_is_not_touched() {
        let picture = frame(64, 48, |index| index as u8);
        assert!(Arc::ptr_eq(
            &Scaler::new(640, 360).scale(&picture),
            &picture
        ));
    }

    #[test]
    fn a_ramp_stays_a_ramp_at_any_ratio() {
        let large = frame(300, 200, |index| {
            if index < 60_000 {
                (index % 300 * 255 / 299) as u8
            } else {
                128
            }
        });
        let small = Scaler::new(210, 140).scale(&large);
        assert_eq!((small.width(), small.height()), (210, 140));
        for line in small.y().chunks_exact(210) {
            for (x, &luma) in line.iter().enumerate() {
                let expected = (x as f32 + 0.5) / 210.0 * 255.0;
                assert!((f32::from(luma) - expected).abs() < 3.0, "{luma} at {x}");
            }
        }
    }

    proptest! {
        #[test]
        fn one_colour_stays_that_colour(width in 8_u32..200, height in 8_u32..200, wide in 8_u32..200, high in 8_u32..200, colour: u8) {
            let large = frame(width * 2, height * 2, |_| colour);
            let small = Scaler::new(wide * 2, high * 2).scale(&large);
            prop_assert!(small.data().iter().all(|&byte| byte == colour));
            prop_assert!(small.width() <= large.width() && small.height() <= large.height());
        }
    }
}
