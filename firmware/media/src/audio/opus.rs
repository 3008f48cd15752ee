//! Opus (RFC 6716), 48 kHz, 20 ms.

use opus::{Application, Bitrate, Channels, Encoder};

use super::{AudioConfig, OpusApplication, SAMPLE_RATE};
use crate::SourceError;

/// The largest packet of one frame (RFC 6716 section 3.2.1 allows 1275 bytes).
const LARGEST: usize = 1275;
/// Expected loss: with it the encoder adds the redundancy that in-band error correction works with.
const LOSS_PERCENT: i32 = 10;

/// Encodes blocks of 20 ms.
pub(crate) struct OpusEncoder {
    encoder: Encoder,
    bitrate: u32,
}

impl OpusEncoder {
    pub(crate) fn new(config: &AudioConfig) -> Result<Self, SourceError> {
        let channels = if config.channels == 1 {
            Channels::Mono
        } else {
            Channels::Stereo
        };
        let application = match config.application {
            OpusApplication::Voip => Application::Voip,
            OpusApplication::Audio => Application::Audio,
        };
        let mut encoder = Encoder::new(SAMPLE_RATE, channels, application).map_err(failed)?;
        encoder.set_inband_fec(true).map_err(failed)?;
        encoder.set_packet_loss_perc(LOSS_PERCENT).map_err(failed)?;
        encoder.set_bitrate(bits(config.bitrate)).map_err(failed)?;
        Ok(Self {
            encoder,
            bitrate: config.bitrate,
        })
    }

    /// Encodes one block.
    pub(crate) fn encode(&mut self, samples: &[i16]) -> Result<Vec<u8>, SourceError> {
        self.encoder.encode_vec(samples, LARGEST).map_err(failed)
    }

    /// Changes the bitrate from the next block on.
    pub(crate) fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), SourceError> {
        if self.bitrate != bits_per_second {
            self.encoder
                .set_bitrate(bits(bits_per_second))
                .map_err(failed)?;
            self.bitrate = bits_per_second;
        }
        Ok(())
    }
}

fn bits(bits_per_second: u32) -> Bitrate {
    Bitrate::Bits(bits_per_second.cast_signed())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: opus::Error) -> SourceError {
    SourceError::unusable("opus", error.to_string())
}
