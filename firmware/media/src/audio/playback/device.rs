//! A loudspeaker through ALSA.

use std::time::{Duration, Instant};

use alsa::pcm::{Access, Format, HwParams, PCM};
use alsa::{Direction, ValueOr};

use crate::SourceError;
use crate::audio::SAMPLE_RATE;
use crate::audio::alsa::{names, refused};
use crate::audio::block::duration;

/// Samples written at once: 10 ms.
pub(super) const PERIOD: usize = SAMPLE_RATE as usize / 100;
/// What the device holds: enough for a thread that is kept waiting a while.
const BUFFER: i64 = PERIOD as i64 * 4;
/// A loudspeaker that takes nothing this long is wedged.
const SILENCE: Duration = Duration::from_secs(2);
/// A device that took this much more than time has passed has no clock of its own.
const AHEAD: Duration = Duration::from_millis(200);

/// An open, playing loudspeaker, mono.
pub(super) struct Loudspeaker {
    what: String,
    pcm: PCM,
    began: Instant,
    written: usize,
    /// How often it had nothing to play.
    underruns: u64,
}

impl Loudspeaker {
    /// Opens a device by itself, or where it cannot do what is needed, with ALSA's conversion in
    /// front.
    pub(super) fn open(device: &str) -> Result<Self, SourceError> {
        let what = format!("alsa: {device}");
        // What the ALSA library has to say besides its error codes it would write to the standard
        // error.
        let _remarks = alsa::Output::local_error_handler();
        let mut first_error = None;
        for name in names(device) {
            match start(&name) {
                Ok(pcm) => {
                    return Ok(Self {
                        what,
                        pcm,
                        began: Instant::now(),
                        written: 0,
                        underruns: 0,
                    });
                }
                Err(error) => _ = first_error.get_or_insert(error),
            }
        }
        Err(first_error.map_or_else(
            || SourceError::unusable(&what, "has no name"),
            |error| refused(&what, error),
        ))
    }

    /// Plays a block, waiting until the device has room for it.
    pub(super) fn play(&mut self, block: &[i16]) -> Result<(), SourceError> {
        let begun = Instant::now();
        let mut rest = block;
        while !rest.is_empty() {
            match self.write(rest) {
                Ok(count) => rest = &rest[count..],
                // Written too late, or the machine has slept: it goes on from here.
                Err(error) if matches!(error.errno(), libc::EPIPE | libc::ESTRPIPE) => {
                    self.underruns += 1;
                    let recovered = self.pcm.try_recover(error, true);
                    recovered.map_err(|error| refused(&self.what, error))?;
                }
                Err(error) => return Err(refused(&self.what, error)),
            }
            if begun.elapsed() > SILENCE {
                let reason = format!("has taken nothing for {} s", SILENCE.as_secs());
                return Err(SourceError::lost(&self.what, reason));
            }
        }
        self.written += block.len();
        self.hold_back();
        Ok(())
    }

    /// How long from now until what is written next sounds.
    pub(super) fn delay(&self) -> Duration {
        let waiting = self.pcm.delay().unwrap_or(0);
        duration(usize::try_from(waiting).unwrap_or(0))
    }

    pub(super) fn take_underruns(&mut self) -> u64 {
        std::mem::take(&mut self.underruns)
    }

    fn write(&self, samples: &[i16]) -> alsa::Result<usize> {
        if !self.pcm.wait(Some(100))? {
            return Ok(0);
        }
        match self.pcm.io_i16()?.writei(samples) {
            Err(error) if error.errno() == libc::EAGAIN => Ok(0),
            result => result,
        }
    }

    /// A file takes samples as quickly as they come; it is played in real time all the same.
    fn hold_back(&mut self) {
        let ahead = duration(self.written).saturating_sub(self.began.elapsed());
        if ahead > AHEAD {
            std::thread::sleep(duration(PERIOD));
        }
    }
}

/// Opens a device at 48 kHz, 16 bits, mono.
fn start(name: &str) -> alsa::Result<PCM> {
    let pcm = PCM::new(name, Direction::Playback, true)?;
    {
        let hardware = HwParams::any(&pcm)?;
        hardware.set_access(Access::RWInterleaved)?;
        hardware.set_format(Format::s16())?;
        hardware.set_channels(1)?;
        hardware.set_rate(SAMPLE_RATE, ValueOr::Nearest)?;
        hardware.set_period_size_near(PERIOD as i64, ValueOr::Nearest)?;
        hardware.set_buffer_size_near(BUFFER)?;
        pcm.hw_params(&hardware)?;
    }
    {
        let software = pcm.sw_params_current()?;
        software.set_start_threshold(PERIOD as i64 * 2)?;
        software.set_avail_min(PERIOD as i64)?;
        pcm.sw_params(&software)?;
    }
    pcm.prepare()?;
    Ok(pcm)
}
