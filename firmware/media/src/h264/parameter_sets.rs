//! Sees to it that every key frame carries its parameter sets.

use crate::h264::{annexb::nal_units, nal, sps};

/// The parameter sets of a stream that was encoded elsewhere.
///
/// Many cameras send SPS and PPS once, when the stream starts. A viewer who joins later could
/// decode nothing, so they are kept and put in front of every key frame that lacks them.
#[derive(Debug, Default)]
pub(crate) struct ParameterSets {
    sps: Vec<u8>,
    pps: Vec<Vec<u8>>,
    size: Option<(u32, u32)>,
}

impl ParameterSets {
    /// Width and height of the pictures, once an SPS was seen.
    pub(crate) fn size(&self) -> Option<(u32, u32)> {
        self.size
    }

    /// Completes an access unit; `None` when it is a key frame that no decoder could begin with.
    pub(crate) fn complete(&mut self, unit: Vec<u8>, key: bool) -> Option<Vec<u8>> {
        let (mut has_sps, mut has_pps) = (false, false);
        for part in nal_units(&unit) {
            match nal::kind(part) {
                nal::SPS => {
                    has_sps = true;
                    self.keep_sps(part);
                }
                nal::PPS => {
                    has_pps = true;
                    self.keep_pps(part);
                }
                _ => {}
            }
        }
        if !key || (has_sps && has_pps) {
            return Some(unit);
        }
        if self.sps.is_empty() || self.pps.is_empty() {
            return None;
        }
        Some(self.prepend(&unit))
    }

    fn keep_sps(&mut self, unit: &[u8]) {
        if self.sps != unit {
            self.sps = unit.to_vec();
            self.pps.clear();
            self.size = sps::picture_size(unit);
        }
    }

    fn keep_pps(&mut self, unit: &[u8]) {
        // Picture parameter sets are few; more than these would be a broken stream.
        if !self.pps.iter().any(|kept| kept == unit) && self.pps.len() < 8 {
            self.pps.push(unit.to_vec());
        }
    }

    fn prepend(&self, unit: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(unit.len() + 64);
        let sets = std::iter::once(&self.sps)
            .chain(&self.pps)
            .map(Vec::as_slice);
        // A delimiter would have to stay first, and nobody needs it.
        let rest = nal_units(unit)
            .filter(|part| !matches!(nal::kind(part), nal::SPS | nal::PPS | nal::DELIMITER));
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
    fn a_key_frame_without_any_sets_is_left_out() {
        assert_eq!(ParameterSets::default().complete(IDR.to_vec(), true), None);
    }
}
