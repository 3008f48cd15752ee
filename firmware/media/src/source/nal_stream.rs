//! H.264 or H.265 that was encoded elsewhere, on its way to the viewers.

use crate::h264::parameter_sets::ParameterSets;
use crate::h264::{AccessUnitSplitter, Syntax};
use crate::video::{AccessUnit, Rung};
use crate::{SourceError, Timestamp};

/// Makes access units of a byte stream, with the time of their first byte and complete parameter
/// sets.
#[derive(Debug)]
pub(crate) struct NalStream {
    splitter: AccessUnitSplitter,
    sets: ParameterSets,
    began: Option<Timestamp>,
    /// An access unit was flushed before its end: until the next key frame nothing is right.
    damaged: bool,
    /// Pictures that were left out.
    lost: u64,
    /// Flushing early has done damage, so this writer's units end only where the next one begins.
    patient: bool,
}

impl NalStream {
    pub(crate) fn new(syntax: Syntax) -> Self {
        Self {
            splitter: AccessUnitSplitter::new(syntax),
            sets: ParameterSets::new(syntax),
            began: None,
            damaged: false,
            lost: 0,
            patient: false,
        }
    }

    /// Adds bytes that came at `now`, and hands every access unit that is complete to `deliver`.
    pub(crate) fn push(
        &mut self,
        what: &str,
        bytes: &[u8],
        now: Timestamp,
        mut deliver: impl FnMut(AccessUnit),
    ) -> Result<(), SourceError> {
        let began = *self.began.get_or_insert(now);
        if !self.splitter.push(bytes) {
            return Err(SourceError::unusable(
                what,
                "wrote 8 MiB without a complete picture",
            ));
        }
        if self.splitter.skip_torn() {
            self.damaged = true;
            self.patient = true;
        }
        let mut captured = began;
        while let Some(unit) = self.splitter.next_unit() {
            if let Some(unit) = self.finish(unit.data, unit.key, captured) {
                deliver(unit);
            }
            captured = now;
            self.began = Some(now);
        }
        Ok(())
    }

    /// Whether the writer's pause may be taken for the end of an access unit.
    pub(crate) fn may_flush(&self) -> bool {
        !self.patient && self.splitter.has_picture()
    }

    /// Takes the last access unit without waiting for the next one to begin.
    pub(crate) fn flush(&mut self) -> Option<AccessUnit> {
        let captured = self.began.take()?;
        let unit = self.splitter.flush()?;
        self.finish(unit.data, unit.key, captured)
    }

    fn finish(&mut self, data: Vec<u8>, key: bool, captured: Timestamp) -> Option<AccessUnit> {
        self.damaged &= !key;
        let unit = self.whole(data, key, captured).filter(|_| !self.damaged);
        self.lost += u64::from(unit.is_none());
        unit
    }

    /// Pictures that were left out since the last call: torn, or without what a decoder needs.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn whole(&mut self, data: Vec<u8>, key: bool, captured: Timestamp) -> Option<AccessUnit> {
        let data = self.sets.complete(data, key)?;
        let (width, height) = self.sets.size()?;
        Some(AccessUnit {
            rung: Rung::Main,
            data: data.into(),
            key,
            captured,
            width,
            height,
        })
    }
}
