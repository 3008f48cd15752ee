//! The level to declare for a picture size and rate (ITU-T H.264 table A-1).

/// A level's limits: macroblocks a second, macroblocks a frame. Bitrates need no look: from 3.1 on
/// every level of the table allows more than a viewer is sent, and OpenH264 raises the level where
/// that is not so.
const LEVELS: [(u32, u32, u8); 7] = [
    (40_500, 1_620, 30),
    (108_000, 3_600, 31),
    (216_000, 5_120, 32),
    (245_760, 8_192, 40),
    (522_240, 8_704, 42),
    (589_824, 22_080, 50),
    (983_040, 36_864, 51),
];

/// The lowest level that pictures of this size at this rate fit in, in tenths: 31 is level 3.1.
/// Nothing below 3.0 is declared: no browser gains by it.
pub(crate) fn level((width, height): (u32, u32), fps: f32) -> u8 {
    let frame = macroblocks_of((width, height));
    let second = (frame as f32 * fps).ceil() as u32;
    let fitting = LEVELS
        .into_iter()
        .find(|limits| second <= limits.0 && frame <= limits.1);
    fitting.map_or(52, |limits| limits.2)
}

/// Macroblocks of a picture.
pub(crate) fn macroblocks_of((width, height): (u32, u32)) -> u32 {
    width.div_ceil(16) * height.div_ceil(16)
}

/// Macroblocks a second that a level (in tenths) allows: those of the highest level of the table
/// that it reaches.
pub(crate) fn macroblocks(level: u8) -> u32 {
    let reached = LEVELS.iter().rev().find(|limits| limits.2 <= level);
    reached.map_or(LEVELS[0].0, |limits| limits.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_sizes_get_their_usual_level() {
        assert_eq!(level((640, 480), 30.0), 30);
        assert_eq!(level((1280, 720), 30.0), 31);
        assert_eq!(level((1280, 720), 60.0), 32);
        assert_eq!(level((1920, 1080), 30.0), 40);
        assert_eq!(level((3840, 2160), 30.0), 51);
    }
}
