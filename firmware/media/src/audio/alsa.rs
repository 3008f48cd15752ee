//! A microphone through ALSA.

use std::time::{Duration, Instant};

use alsa::pcm::{Access, Format, HwParams, PCM, TstampType};
use alsa::{Direction, ValueOr};

use super::block::duration;
use super::{AudioSource, Heard, PACKET_SAMPLES, SAMPLE_RATE, Samples};
use crate::{SourceError, Timestamp};

/// What one interrupt brings: half a packet, so that a packet waits for at most 10 ms.
const PERIOD: i64 = PACKET_SAMPLES as i64 / 2;
/// What the device may hold while this thread is kept from reading.
const BUFFER: i64 = PERIOD * 16;
/// A microphone that delivers nothing this long is wedged.
const SILENCE: Duration = Duration::from_secs(5);
/// A timestamp older than this is by another clock.
const OLDEST: Duration = Duration::from_secs(2);

/// An open, capturing microphone.
pub(crate) struct Microphone {
    what: String,
    pcm: PCM,
    channels: u16,
    heard: Instant,
}

impl Microphone {
    /// Opens a device by itself, or where it cannot do what is needed, with ALSA's conversion in
    /// front.
    pub(crate) fn open(device: &str, channels: u16) -> Result<Self, SourceError> {
        let what = format!("alsa: {device}");
        // What the ALSA library has to say besides its error codes it would write to the standard
        // error.
        let remarks = alsa::Output::local_error_handler();
        let mut first_error = None;
        for name in names(device) {
            // A microphone with the other number of channels is as good: the mixing is ours.
            for channels in [channels, 3 - channels] {
                match start(&name, channels) {
                    Ok(pcm) => {
                        tracing::info!(channels, "{what} is open");
                        return Ok(Self {
                            what,
                            pcm,
                            channels,
                            heard: Instant::now(),
                        });
                    }
                    Err(error) => _ = first_error.get_or_insert(error),
                }
            }
        }
        if let Ok(remarks) = remarks {
            tracing::debug!(
                "{what}: {}",
                remarks.borrow().to_string().trim().replace('\n', "; ")
            );
        }
        Err(first_error.map_or_else(
            || SourceError::unusable(&what, "has no name"),
            |error| refused(&what, error),
        ))
    }

    /// When the oldest sample that can be read was captured.
    ///
    /// The status holds time and fill level of one moment; where the driver gives no time, this
    /// moment is taken.
    fn captured(&self) -> alsa::Result<Timestamp> {
        let now = Timestamp::now();
        let status = self.pcm.status()?;
        let time = status.get_htstamp();
        #[allow(
            clippy::useless_conversion,
            reason = "the parts of a timespec are narrower on 32-bit systems"
        )]
        let stamp =
            Timestamp::from_parts(time.tv_sec.into(), time.tv_nsec.into()).plausible(now, OLDEST);
        let waiting = usize::try_from(status.get_delay().max(status.get_avail())).unwrap_or(0);
        Ok(stamp.minus(duration(waiting)))
    }

    fn read(&mut self, timeout: Duration) -> alsa::Result<Option<Samples>> {
        if !self.pcm.wait(u32::try_from(timeout.as_millis()).ok())? {
            return Ok(None);
        }
        let captured = self.captured()?;
        let mut data = vec![0; PACKET_SAMPLES * usize::from(self.channels)];
        let frames = match self.pcm.io_i16()?.readi(&mut data) {
            Err(error) if error.errno() == libc::EAGAIN => 0,
            result => result?,
        };
        data.truncate(frames * usize::from(self.channels));
        Ok((frames > 0).then_some(Samples { data, captured }))
    }
}

impl AudioSource for Microphone {
    fn next(&mut self, timeout: Duration) -> Result<Heard, SourceError> {
        match self.read(timeout) {
            Ok(Some(samples)) => {
                self.heard = Instant::now();
                Ok(Heard::Samples(samples))
            }
            Ok(None) if self.heard.elapsed() > SILENCE => {
                let reason = format!("has delivered nothing for {} s", SILENCE.as_secs());
                Err(SourceError::lost(&self.what, reason))
            }
            Ok(None) => Ok(Heard::Idle),
            // Read too late, or the machine has slept: the stream can be started again.
            Err(error) if matches!(error.errno(), libc::EPIPE | libc::ESTRPIPE) => {
                let restarted = self
                    .pcm
                    .try_recover(error, true)
                    .and_then(|()| self.pcm.start());
                restarted.map_err(|error| refused(&self.what, error))?;
                Ok(Heard::Overrun)
            }
            Err(error) => Err(refused(&self.what, error)),
        }
    }

    fn channels(&self) -> u16 {
        self.channels
    }
}

/// The names to try: the device as it is, then with conversion.
pub(super) fn names(device: &str) -> Vec<String> {
    let converting = match device.strip_prefix("hw:") {
        Some(rest) => Some(format!("plughw:{rest}")),
        None if device.starts_with("plug") => None,
        None => Some(format!("plug:'{device}'")),
    };
    std::iter::once(device.to_owned())
        .chain(converting)
        .collect()
}

/// Opens a device at 48 kHz, 16 bits, and starts it.
fn start(name: &str, channels: u16) -> alsa::Result<PCM> {
    let pcm = PCM::new(name, Direction::Capture, true)?;
    {
        let hardware = HwParams::any(&pcm)?;
        hardware.set_access(Access::RWInterleaved)?;
        hardware.set_format(Format::s16())?;
        hardware.set_channels(channels.into())?;
        hardware.set_rate(SAMPLE_RATE, ValueOr::Nearest)?;
        hardware.set_period_size_near(PERIOD, ValueOr::Nearest)?;
        hardware.set_buffer_size_near(BUFFER)?;
        pcm.hw_params(&hardware)?;
    }
    {
        let software = pcm.sw_params_current()?;
        software.set_tstamp_mode(true)?;
        // Plugins without a clock of their own refuse the type; their timestamps are then checked
        // for sense.
        let _ = software.set_tstamp_type(TstampType::Monotonic);
        software.set_avail_min(PERIOD)?;
        pcm.sw_params(&software)?;
    }
    pcm.start()?;
    Ok(pcm)
}

/// Says in a few words what ALSA says with numbers.
pub(super) fn refused(what: &str, error: alsa::Error) -> SourceError {
    match error.errno() {
        libc::ENODEV | libc::EBADFD | libc::ENXIO => SourceError::lost(what, "was unplugged"),
        libc::ENOENT => SourceError::unusable(what, "there is no such device"),
        libc::EBUSY => SourceError::unusable(what, "is in use by another program"),
        libc::EINVAL => {
            SourceError::unusable(what, "cannot do 16 bits at 48 kHz in one or two channels")
        }
        errno => {
            let error = std::io::Error::from_raw_os_error(errno);
            SourceError::io(what)(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversion_is_tried_second() {
        assert_eq!(names("hw:1,0"), ["hw:1,0", "plughw:1,0"]);
        assert_eq!(names("default"), ["default", "plug:'default'"]);
        assert_eq!(names("plughw:1"), ["plughw:1"]);
    }

    #[test]
    fn a_missing_device_is_named() {
        let error = Microphone::open("hw:CARD=nowhere", 1)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("alsa: hw:CARD=nowhere"), "{error}");
    }
}
