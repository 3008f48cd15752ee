//! The digits of the clock that a person reads: five by seven cells each.

/// Cells across one glyph.
pub(crate) const WIDTH: usize = 5;
/// Cells down one glyph.
pub(crate) const HEIGHT: usize = 7;
/// Characters in `HH:MM:SS.mmm`.
pub(crate) const CLOCK: usize = 12;

/// A glyph: one byte a row, the highest of the five low bits leftmost.
pub(crate) type Glyph = [u8; HEIGHT];

const DIGITS: [Glyph; 10] = [
    [
        0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110,
    ],
    [
        0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110,
    ],
    [
        0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111,
    ],
    [
        0b11111, 0b00010, 0b00100, 0b00110, 0b00001, 0b10001, 0b01110,
    ],
    [
        0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010,
    ],
    [
        0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110,
    ],
    [
        0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110,
    ],
    [
        0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000,
    ],
    [
        0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110,
    ],
    [
        0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100,
    ],
];
const COLON: Glyph = [0, 0b00100, 0b00100, 0, 0b00100, 0b00100, 0];
const POINT: Glyph = [0, 0, 0, 0, 0, 0b00100, 0b00100];

/// The time of day (UTC) of a unix time as `HH:MM:SS.mmm`.
pub(crate) fn time_of_day(unix_ms: u64) -> [Glyph; CLOCK] {
    let (seconds, millis) = (unix_ms / 1000 % 86_400, unix_ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let digit = |value: u64, place: u64| DIGITS[(value / place % 10) as usize];
    [
        digit(hours, 10),
        digit(hours, 1),
        COLON,
        digit(minutes, 10),
        digit(minutes, 1),
        COLON,
        digit(seconds, 10),
        digit(seconds, 1),
        POINT,
        digit(millis, 100),
        digit(millis, 10),
        digit(millis, 1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_is_spelt_out() {
        let spelt = time_of_day(((13 * 60 + 45) * 60 + 6) * 1000 + 789);
        let expected = [1, 3, 4, 5, 0, 6, 7, 8, 9].map(|digit| DIGITS[digit]);
        let digits: Vec<Glyph> = spelt
            .into_iter()
            .filter(|glyph| *glyph != COLON && *glyph != POINT)
            .collect();
        assert_eq!(digits, expected);
    }
}
