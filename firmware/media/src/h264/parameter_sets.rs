//! Sees to it that every key frame carries its parameter sets.

use crate::h264::annexb::nal_units;
use crate::syntax::{Set, Syntax, Unit};

/// The parameter sets of a stream that was encoded elsewhere.
///
/// Many cameras send them once, when the stream starts. A viewer who joins later could decode nothing, so they are kept
/// and put in front of every key frame that lacks them.
#[derive(Debug, Default)]
pub(crate) struct ParameterSets {
    syntax: Syntax,
    /// Of H.265 alone.
    video: Vec<u8>,
    sequence: Vec<u8>,
    pictures: Vec<Vec<u8>>,
    size: Option<(u32, u32)>,
}

impl ParameterSets {
    pub(crate) fn new(syntax: Syntax) -> Self {
        Self {
            syntax,
            ..Self::default()
        }
    }

    /// Whose sets these are.
    pub(crate) fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// Width and height of the pictures, once a sequence parameter set was seen.
    pub(crate) fn size(&self) -> Option<(u32, u32)> {
        self.size
    }

    /// Completes an access unit; `None` when it is a key frame that no decoder could begin with.
    pub(crate) fn complete(&mut self, unit: Vec<u8>, key: bool) -> Option<Vec<u8>> {
        let mut missing =
            [Set::Video, Set::Sequence, Set::Picture].map(|set| self.syntax.needs(set));
        for part in nal_units(&unit) {
            if let Some(Unit::Set(set)) = self.syntax.unit(part) {
                missing[set as usize] = false;
                self.keep(set, part);
            }
        }
        if !key || missing == [false; 3] {
            return Some(unit);
        }
        let lacks_video = self.syntax.needs(Set::Video) && self.video.is_empty();
        if lacks_video || self.sequence.is_empty() || self.pictures.is_empty() {
            return None;
        }
        Some(self.prepend(&unit))
    }

    fn keep(&mut self, set: Set, unit: &[u8]) {
        match set {
            Set::Video if self.video != unit => self.video = unit.to_vec(),
            Set::Sequence if self.sequence != unit => {
                self.sequence = unit.to_vec();
                self.pictures.clear();
                self.size = self.syntax.picture_size(unit);
            }
            // Picture parameter sets are few; more than these would be a broken stream.
            Set::Picture
                if self.pictures.len() < 8 && !self.pictures.iter().any(|kept| kept == unit) =>
            {
                self.pictures.push(unit.to_vec());
            }
            Set::Video | Set::Sequence | Set::Picture => {}
        }
    }

    fn prepend(&self, unit: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(unit.len() + 128);
        let sets = [&self.video, &self.sequence]
            .into_iter()
            .chain(&self.pictures)
            .map(Vec::as_slice)
            .filter(|set| !set.is_empty());
        // A delimiter would have to stay first, and nobody needs it.
        let rest = nal_units(unit).filter(|part| {
            let unit = self.syntax.unit(part);
            !matches!(unit, Some(Unit::Set(_) | Unit::Delimiter))
        });
        for part in sets.chain(rest) {
            whole.extend_from_slice(&[0, 0, 0, 1]);
            whole.extend_from_slice(part);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[
        0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x47, 0xfe, 0xc8,
    ];
    const PPS: &[u8] = &[0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80];
    const IDR: &[u8] = &[0, 0, 0, 1, 0x65, 0x88, 0x84, 0x21];

    #[test]
    fn later_key_frames_get_the_sets_of_the_first() {
        let mut sets = ParameterSets::default();
        let first = [SPS, PPS, IDR].concat();
        assert_eq!(sets.complete(first.clone(), true), Some(first.clone()));
        assert_eq!(sets.complete(IDR.to_vec(), true), Some(first));
    }

    #[test]
    fn h265_needs_a_third_set() {
        const VPS: &[u8] = &[0, 0, 0, 1, 0x40, 0x01, 0x0c, 0x01];
        const SPS: &[u8] = &[0, 0, 0, 1, 0x42, 0x01, 0x01, 0x01];
        const PPS: &[u8] = &[0, 0, 0, 1, 0x44, 0x01, 0xc1, 0x72];
        const IDR: &[u8] = &[0, 0, 0, 1, 0x26, 0x01, 0xaf, 0x09];
        let mut sets = ParameterSets::new(Syntax::H265);
        assert_eq!(sets.complete([SPS, PPS, IDR].concat(), true), None);
        let whole = [VPS, SPS, PPS, IDR].concat();
        assert_eq!(sets.complete(whole.clone(), true), Some(whole.clone()));
        assert_eq!(sets.complete(IDR.to_vec(), true), Some(whole));
    }

    #[test]
    fn a_key_frame_without_any_sets_is_left_out() {
        assert_eq!(ParameterSets::default().complete(IDR.to_vec(), true), None);
    }
}
