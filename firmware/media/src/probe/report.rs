//! The report as a page for a person.

use std::fmt;

use super::{Pick, Report};
use crate::v4l2::{CameraInfo, SizeRange};

/// Formats of a kind that are named; the rest are counted.
const OTHERS_NAMED: usize = 6;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Cameras")?;
        if self.cameras.is_empty() {
            writeln!(f, "  none")?;
        }
        for camera in &self.cameras {
            write_camera(f, camera)?;
        }
        writeln!(f, "\nHardware encoders")?;
        if self.encoders.is_empty() {
            writeln!(f, "  none")?;
        }
        for encoder in &self.encoders {
            writeln!(
                f,
                "  {}  {} ({}): {}",
                encoder.path.display(),
                encoder.card,
                encoder.driver,
                encoder.formats.join(", ")
            )?;
            writeln!(f, "    {} of {}", encoder.limits, named(&encoder.inputs))?;
        }
        writeln!(f, "\nMicrophones")?;
        if self.microphones.is_empty() {
            writeln!(f, "  none")?;
        }
        for microphone in &self.microphones {
            writeln!(f, "  {}  {}", microphone.name, microphone.description)?;
        }
        writeln!(f, "\nHeron would pick\n{}", self.pick)
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.video {
            Some((path, mode)) => {
                let (width, height, fps) = (mode.width, mode.height, mode.fps);
                writeln!(
                    f,
                    "  video  {}: {} {width}x{height} at {fps} fps",
                    path.display(),
                    mode.format
                )?;
            }
            None => writeln!(f, "  video  the pattern: there is no camera")?,
        }
        writeln!(
            f,
            "  encoder  {}: {}",
            self.encoder.name, self.encoder.reason
        )?;
        match &self.audio {
            Some(name) => write!(f, "  audio  {name}"),
            None => write!(f, "  audio  the tone: there is no microphone"),
        }
    }
}

fn write_camera(f: &mut fmt::Formatter<'_>, camera: &CameraInfo) -> fmt::Result {
    writeln!(
        f,
        "  {}  {} ({}, {})",
        camera.path.display(),
        camera.card,
        camera.driver,
        camera.bus
    )?;
    for offer in &camera.offers {
        writeln!(f, "    {}", offer.format)?;
        for size in &offer.sizes {
            writeln!(f, "      {}", describe(size))?;
        }
    }
    let others: Vec<_> = camera
        .others
        .iter()
        .map(|other| format!("{} ({})", other.fourcc, other.description))
        .collect();
    if !others.is_empty() {
        writeln!(f, "    not usable: {}", named(&others))?;
    }
    if camera.offers.is_empty() {
        writeln!(
            f,
            "    a camera like this needs a program in front: source = \"exec\" with rpicam-vid"
        )?;
    }
    Ok(())
}

/// The first of some names. The kernel's test camera has sixty formats.
fn named(names: &[String]) -> String {
    let (first, rest) = names.split_at(names.len().min(OTHERS_NAMED));
    let rest = match rest.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{rest}", first.join(", "))
}

fn describe(size: &SizeRange) -> String {
    let (min, max) = (size.min, size.max);
    let pixels = if min == max {
        format!("{}x{}", min.0, min.1)
    } else {
        format!("{}x{} to {}x{}", min.0, min.1, max.0, max.1)
    };
    if size.rates.is_empty() {
        return pixels;
    }
    let rates: Vec<_> = size
        .rates
        .iter()
        .map(|rate| ((rate * 100.0).round() / 100.0).to_string())
        .collect();
    format!("{pixels} at {} fps", rates.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelFormat;
    use crate::encoder::EncoderPick;
    use crate::probe::MicrophoneInfo;
    use crate::v4l2::m2m::Limits;
    use crate::v4l2::{EncoderInfo, Mode, Offer, OtherFormat};

    #[test]
    fn the_page_tells_what_there_is_and_what_is_picked() {
        let size = SizeRange {
            min: (1280, 720),
            max: (1280, 720),
            step: (1, 1),
            rates: vec![30.0, 14.985],
        };
        let mode = Mode {
            format: PixelFormat::Yuyv,
            width: 1280,
            height: 720,
            fps: 30.0,
        };
        let report = Report {
            cameras: vec![CameraInfo {
                path: "/dev/video0".into(),
                card: "HD Camera".to_owned(),
                driver: "uvcvideo".to_owned(),
                bus: "usb-1.2".to_owned(),
                offers: vec![Offer {
                    format: PixelFormat::Yuyv,
                    sizes: vec![size],
                }],
                others: vec![OtherFormat {
                    fourcc: "GREY".to_owned(),
                    description: "8-bit Greyscale".to_owned(),
                }],
            }],
            encoders: vec![EncoderInfo {
                path: "/dev/video11".into(),
                card: "bcm2835-codec-encode".to_owned(),
                driver: "bcm2835-codec".to_owned(),
                formats: vec!["H264".to_owned()],
                inputs: vec!["YU12".to_owned(), "NV12".to_owned()],
                limits: Limits::new("bcm2835-codec", None, None),
            }],
            microphones: vec![MicrophoneInfo {
                name: "default".to_owned(),
                description: "Default".to_owned(),
            }],
            pick: Pick {
                video: Some(("/dev/video0".into(), mode)),
                encoder: EncoderPick {
                    name: "bcm2835-codec (/dev/video11)".to_owned(),
                    reason: "hardware".to_owned(),
                },
                audio: None,
            },
        };
        let page = report.to_string();
        for line in [
            "  /dev/video0  HD Camera (uvcvideo, usb-1.2)",
            "      1280x720 at 30, 14.99 fps",
            "    not usable: GREY (8-bit Greyscale)",
            "  /dev/video11  bcm2835-codec-encode (bcm2835-codec): H264",
            "    up to 1920x1080 at 30 fps, 1280x720 at 68 fps of YU12, NV12",
            "  video  /dev/video0: yuyv 1280x720 at 30 fps",
            "  encoder  bcm2835-codec (/dev/video11): hardware",
            "  audio  the tone: there is no microphone",
        ] {
            assert!(
                page.lines().any(|printed| printed == line),
                "{line}\n{page}"
            );
        }
    }
}
