//! What a hardware encoder can do at most.

use std::fmt;

use crate::encoder::level;

/// Sizes that people ask for, the largest first: what a refusal proposes.
const USUAL: [(u32, u32); 6] = [
    (3840, 2160),
    (2560, 1440),
    (1920, 1080),
    (1280, 720),
    (640, 360),
    (320, 180),
];

/// What a hardware encoder can do at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Widest and highest picture, in pixels.
    pub size: (u32, u32),
    /// Macroblocks (16x16 pixels) a second.
    pub macroblocks: u32,
}

impl Limits {
    /// The limits by what a driver says: its largest size, and the highest H.264 level (in tenths)
    /// that its control offers. A driver that does not say gets level 4.0, which all blocks reach.
    pub(crate) fn new(
        driver: &str,
        largest: Option<(u32, u32)>,
        highest_level: Option<u8>,
    ) -> Self {
        let (mut size, mut highest) =
            (largest.unwrap_or((1920, 1920)), highest_level.unwrap_or(40));
        if driver.starts_with("bcm2835-codec") {
            // Its control offers levels above what the block reaches in real time, and wider
            // pictures make its firmware fail when the stream starts.
            size = (size.0.min(2048), size.1.min(2048));
            highest = highest.min(40);
        }
        Self {
            size,
            macroblocks: level::macroblocks(highest),
        }
    }

    /// The highest rate at a size, in frames a second; none if the size is too large at any rate.
    #[must_use]
    pub fn fastest(&self, (width, height): (u32, u32)) -> Option<u32> {
        let fits = width <= self.size.0 && height <= self.size.1;
        let macroblocks = level::macroblocks_of((width, height));
        Some(self.macroblocks / macroblocks.max(1)).filter(|&fps| fits && fps > 0)
    }

    /// Fails with what would fit, unless pictures of this size and rate do.
    pub(crate) fn check(&self, size: (u32, u32), fps: f32) -> Result<(), String> {
        let fits = self
            .fastest(size)
            .is_some_and(|fastest| fps <= fastest as f32 + 0.99);
        if fits {
            return Ok(());
        }
        let rate = |size| self.fastest(size).map(|fps| (size, fps));
        let slower = rate(size).filter(|most| most.1 >= 5);
        let smaller = USUAL
            .into_iter()
            .filter_map(rate)
            .find(|most| most.1 as f32 + 0.99 >= fps.min(30.0));
        // The same picture less often, or a smaller one as often.
        let most = slower.filter(|most| most.1 >= 15).or(smaller).or(slower);
        let (width, height) = size;
        Err(match most {
            Some((most, most_fps)) => format!(
                "{width}x{height} at {} fps is too much: {}x{} at {most_fps} fps is the most",
                fps.round(),
                most.0,
                most.1
            ),
            None => format!(
                "{width}x{height} is too much: {}x{} is the most",
                self.size.0, self.size.1
            ),
        })
    }
}

impl fmt::Display for Limits {
    /// Such as `up to 1920x1080 at 30 fps, 1280x720 at 68 fps`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rates = USUAL
            .into_iter()
            .filter_map(|size| Some((size, self.fastest(size)?)))
            .filter(|(size, fps)| *fps >= 15 && size.1 >= 720);
        let rates: Vec<_> = rates
            .map(|((width, height), fps)| format!("{width}x{height} at {fps} fps"))
            .collect();
        if rates.is_empty() {
            return write!(f, "up to {}x{}", self.size.0, self.size.1);
        }
        write!(f, "up to {}", rates.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pi_s_block_is_refused_what_it_cannot_do_and_told_what_it_can() {
        let pi = Limits::new("bcm2835-codec", Some((4096, 4096)), Some(51));
        assert!(pi.check((1920, 1080), 30.0).is_ok());
        assert!(pi.check((1920, 1080), 29.97).is_ok());
        assert!(pi.check((1280, 720), 60.0).is_ok());
        for (size, fps, line) in [
            (
                (1920, 1080),
                60.0,
                "1920x1080 at 60 fps is too much: 1920x1080 at 30 fps is the most",
            ),
            (
                (2560, 1440),
                30.0,
                "2560x1440 at 30 fps is too much: 1920x1080 at 30 fps is the most",
            ),
            (
                (1280, 720),
                90.0,
                "1280x720 at 90 fps is too much: 1280x720 at 68 fps is the most",
            ),
        ] {
            assert_eq!(pi.check(size, fps).unwrap_err(), line);
        }
        assert_eq!(
            pi.to_string(),
            "up to 1920x1080 at 30 fps, 1280x720 at 68 fps"
        );
    }

    #[test]
    fn a_driver_that_says_little_is_trusted_little() {
        let unknown = Limits::new("other", None, None);
        assert_eq!(unknown.fastest((1920, 1080)), Some(30));
        assert_eq!(unknown.fastest((2560, 1440)), None);
        let strange = Limits::new("other", Some((16, 16)), Some(0));
        assert_eq!(
            strange.check((640, 480), 30.0).unwrap_err(),
            "640x480 is too much: 16x16 is the most"
        );
        let strong = Limits::new("other", Some((4096, 2304)), Some(51));
        assert_eq!(strong.fastest((3840, 2160)), Some(30));
    }
}
