//! The level to declare for a picture size and rate (ITU-T H.264 table A-1).

use openh264::encoder::Level;

/// A level's limits: macroblocks a second, macroblocks a frame. Bitrates need no look: from 3.1 on
/// every level of the table allows more than a viewer is sent, and OpenH264 raises the level where
/// that is not so.
const LEVELS: [(u32, u32, Level); 7] = [
    (40_500, 1_620, Level::Level_3_0),
    (108_000, 3_600, Level::Level_3_1),
    (216_000, 5_120, Level::Level_3_2),
    (245_760, 8_192, Level::Level_4_0),
    (522_240, 8_704, Level::Level_4_2),
    (589_824, 22_080, Level::Level_5_0),
    (983_040, 36_864, Level::Level_5_1),
];

/// The lowest level that pictures of this size at this rate fit in. Nothing below 3.0 is declared:
/// no browser gains by it.
pub(super) fn level((width, height): (u32, u32), fps: f32) -> Level {
    let frame = width.div_ceil(16) * height.div_ceil(16);
    let second = (frame as f32 * fps).ceil() as u32;
    let fitting = LEVELS
        .into_iter()
        .find(|limits| second <= limits.0 && frame <= limits.1);
    fitting.map_or(Level::Level_5_2, |limits| limits.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_sizes_get_their_usual_level() {
        assert!(matches!(level((640, 480), 30.0), Level::Level_3_0));
        assert!(matches!(level((1280, 720), 30.0), Level::Level_3_1));
        assert!(matches!(level((1280, 720), 60.0), Level::Level_3_2));
        assert!(matches!(level((1920, 1080), 30.0), Level::Level_4_0));
        assert!(matches!(level((3840, 2160), 30.0), Level::Level_5_1));
    }
}
