//! Which of a camera's modes to use.

use crate::PixelFormat;

/// A range of sizes, or one size when both ends are the same.
#[derive(Debug, Clone, PartialEq)]
pub struct SizeRange {
    /// Smallest width and height.
    pub min: (u32, u32),
    /// Largest width and height.
    pub max: (u32, u32),
    /// Steps between them.
    pub step: (u32, u32),
    /// Frame rates at these sizes, empty when the driver does not say.
    pub rates: Vec<f32>,
}

impl SizeRange {
    /// The one size of the range, or the nearest to what is wanted.
    fn nearest(&self, wanted: (u32, u32)) -> (u32, u32) {
        let fit = |wanted: u32, min: u32, max: u32, step: u32| {
            let bounded = wanted.clamp(min, max.max(min));
            bounded - (bounded - min) % step.max(1)
        };
        (
            fit(wanted.0, self.min.0, self.max.0, self.step.0),
            fit(wanted.1, self.min.1, self.max.1, self.step.1),
        )
    }
}

/// What a camera offers in one pixel format.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The format.
    pub format: PixelFormat,
    /// Its sizes, empty when the driver does not say.
    pub sizes: Vec<SizeRange>,
}

/// A choice among what a camera offers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mode {
    /// Pixel format.
    pub format: PixelFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames a second.
    pub fps: f32,
}

/// What is wanted of a camera.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Frames a second.
    pub fps: f32,
    /// The only format allowed, or none for any but H.265.
    pub format: Option<PixelFormat>,
}

/// The best mode for what is wanted: the nearest size first, then a frame rate that reaches the
/// wanted one, then the format in the order of [`PixelFormat::ALL`].
///
/// So a USB 2 camera that does 1280x720 as YUYV at 10 and as MJPEG at 30 frames a second is used as
/// YUYV when 10 are wanted, and as MJPEG when 30 are.
#[must_use]
pub fn best_mode(offers: &[Offer], wanted: &Wanted) -> Option<Mode> {
    let formats = offers.iter().filter(|offer| match wanted.format {
        Some(format) => format == offer.format,
        None => offer.format != PixelFormat::Hevc,
    });
    let modes = formats.flat_map(|offer| modes(offer, wanted));
    modes.min_by_key(|mode| {
        let distance = mode.width.abs_diff(wanted.size.0) + mode.height.abs_diff(wanted.size.1);
        // Cameras name 29.97 as 30, and the other way round.
        let shortfall = (wanted.fps * 0.99 - mode.fps).max(0.0) * 100.0;
        (distance, shortfall as u32, rank(mode.format))
    })
}

fn rank(format: PixelFormat) -> usize {
    PixelFormat::ALL
        .iter()
        .position(|&candidate| candidate == format)
        .unwrap_or(usize::MAX)
}

fn modes(offer: &Offer, wanted: &Wanted) -> Vec<Mode> {
    let format = offer.format;
    if offer.sizes.is_empty() {
        // Nothing is known, so whatever is wanted may be asked for; the driver answers with what it
        // has.
        return vec![Mode {
            format,
            width: wanted.size.0,
            height: wanted.size.1,
            fps: wanted.fps,
        }];
    }
    let mode = |range: &SizeRange| {
        let (width, height) = range.nearest(wanted.size);
        Mode {
            format,
            width,
            height,
            fps: best_rate(&range.rates, wanted.fps),
        }
    };
    offer.sizes.iter().map(mode).collect()
}

/// The lowest rate that reaches the wanted one, else the highest.
fn best_rate(rates: &[f32], wanted: f32) -> f32 {
    let reaching = rates.iter().copied().filter(|rate| *rate >= wanted * 0.99);
    reaching
        .min_by(f32::total_cmp)
        .or_else(|| rates.iter().copied().max_by(f32::total_cmp))
        .unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn discrete(width: u32, height: u32, rates: &[f32]) -> SizeRange {
        SizeRange {
            min: (width, height),
            max: (width, height),
            step: (1, 1),
            rates: rates.to_vec(),
        }
    }

    /// A common USB 2 camera.
    fn webcam() -> Vec<Offer> {
        vec![
            Offer {
                format: PixelFormat::Mjpeg,
                sizes: vec![
                    discrete(1280, 720, &[30.0, 15.0]),
                    discrete(640, 480, &[30.0]),
                ],
            },
            Offer {
                format: PixelFormat::Yuyv,
                sizes: vec![
                    discrete(1280, 720, &[10.0, 5.0]),
                    discrete(640, 480, &[30.0, 15.0]),
                ],
            },
            Offer {
                format: PixelFormat::H264,
                sizes: vec![discrete(1920, 1080, &[30.0])],
            },
        ]
    }

    fn pick(size: (u32, u32), fps: f32, format: Option<PixelFormat>) -> Mode {
        best_mode(&webcam(), &Wanted { size, fps, format }).unwrap()
    }

    #[test]
    fn raw_is_preferred_where_it_is_fast_enough() {
        let mode = pick((640, 480), 30.0, None);
        assert_eq!((mode.format, mode.fps), (PixelFormat::Yuyv, 30.0));
        assert_eq!(pick((1280, 720), 10.0, None).format, PixelFormat::Yuyv);
        let mode = pick((1280, 720), 30.0, None);
        assert_eq!((mode.format, mode.fps), (PixelFormat::Mjpeg, 30.0));
        assert_eq!(pick((1920, 1080), 30.0, None).format, PixelFormat::H264);
    }

    #[test]
    fn a_fixed_format_is_kept_and_the_nearest_size_taken() {
        let mode = pick((1920, 1080), 30.0, Some(PixelFormat::Yuyv));
        assert_eq!((mode.width, mode.height, mode.fps), (1280, 720, 10.0));
        let wanted = Wanted {
            size: (640, 480),
            fps: 30.0,
            format: Some(PixelFormat::Nv12),
        };
        assert_eq!(best_mode(&webcam(), &wanted), None);
    }

    #[test]
    fn a_driver_that_names_no_sizes_is_asked_for_what_is_wanted() {
        let offers = [Offer {
            format: PixelFormat::Nv12,
            sizes: Vec::new(),
        }];
        let mode = best_mode(
            &offers,
            &Wanted {
                size: (800, 600),
                fps: 25.0,
                format: None,
            },
        )
        .unwrap();
        assert_eq!((mode.width, mode.height, mode.fps), (800, 600, 25.0));
    }

    proptest! {
        #[test]
        fn a_choice_is_always_within_what_is_offered(
            min in (1_u32..500, 1_u32..500), span in (0_u32..3000, 0_u32..3000), step in (0_u32..64, 0_u32..64),
            size in (16_u32..4000, 16_u32..4000), rates in proptest::collection::vec(1.0_f32..120.0, 0..5),
        ) {
            let range = SizeRange { min, max: (min.0 + span.0, min.1 + span.1), step, rates: rates.clone() };
            let offers = [Offer { format: PixelFormat::Yuyv, sizes: vec![range] }];
            let mode = best_mode(&offers, &Wanted { size, fps: 30.0, format: None }).unwrap();
            prop_assert!((min.0..=min.0 + span.0).contains(&mode.width));
            prop_assert!((mode.width - min.0).is_multiple_of(step.0.max(1)));
            prop_assert!((min.1..=min.1 + span.1).contains(&mode.height));
            prop_assert!(rates.is_empty() || rates.contains(&mode.fps));
        }
    }
}
