//! Options of a running OpenH264 encoder. Its safe wrapper has none of them, so they go through its
//! raw interface.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use openh264::encoder::Encoder;
use openh264_sys2::{
    ENCODER_OPTION, ENCODER_OPTION_BITRATE, ENCODER_OPTION_FRAME_RATE, ENCODER_OPTION_MAX_BITRATE,
    ENCODER_OPTION_TRACE_LEVEL, SBitrateInfo, SPATIAL_LAYER_0, WELS_LOG_QUIET,
};

/// Keeps the encoder from writing warnings to the standard error of the process.
pub(super) fn silence(encoder: &mut Encoder) -> Result<(), String> {
    let mut level: c_int = WELS_LOG_QUIET;
    set(encoder, ENCODER_OPTION_TRACE_LEVEL, &mut level)
}

/// Changes the target and the ceiling. The target may at no moment be above the ceiling.
pub(super) fn set_bitrate(encoder: &mut Encoder, current: u32, wanted: u32) -> Result<(), String> {
    let both = [ENCODER_OPTION_MAX_BITRATE, ENCODER_OPTION_BITRATE];
    let order = if wanted > current {
        both
    } else {
        [both[1], both[0]]
    };
    for option in order {
        let mut info = SBitrateInfo {
            iLayer: SPATIAL_LAYER_0,
            iBitrate: c_int::try_from(wanted).unwrap_or(c_int::MAX),
        };
        set(encoder, option, &mut info)?;
    }
    Ok(())
}

/// Changes the frame rate that the rate control reckons with.
pub(super) fn set_frame_rate(encoder: &mut Encoder, fps: f32) -> Result<(), String> {
    let mut fps = fps;
    set(encoder, ENCODER_OPTION_FRAME_RATE, &mut fps)
}

/// Sets an option. Private, so that each option above meets the type OpenH264 expects for it.
fn set<T>(encoder: &mut Encoder, option: ENCODER_OPTION, value: &mut T) -> Result<(), String> {
    // SAFETY: the encoder lives, since we borrow it; `SetOption` reads a value of the option's
    // type, which the callers above pass, during the call only. Before the first picture it accepts
    // nothing but the trace level, and says so.
    let result = unsafe {
        encoder
            .raw_api()
            .set_option(option, std::ptr::from_mut(value).cast::<c_void>())
    };
    if result == 0 {
        Ok(())
    } else {
        Err(format!("option {option} was refused with {result}"))
    }
}
