//! The laboratory's H.264 encoder (`tests/arm-lab/heron-h264enc`), shown to be one before anything is built on it: it
//! passes the kernel developers' test of conformance, and what goes in comes out of ffmpeg's decoder bit by bit.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::guest::Guest;
use crate::step;

/// Runs a media tool in the guest.
const TOOLS: &str = "chroot /opt/v4l-utils";
/// The camera's node.
const CAMERA: &str = "/dev/video0";
const FRAMES: usize = 10;

/// Raw pictures to encode: a file in the shared folder.
struct Pictures {
    name: &'static str,
    format: Format,
    width: usize,
    height: usize,
}

/// A raw format, by the names of V4L2 and ffmpeg.
#[derive(Clone, Copy)]
enum Format {
    Nv12,
    Yu12,
}

/// Fails with what the encoder does not do.
pub fn check(guest: &mut Guest, shared: &Path) -> Result<()> {
    let node = guest.run(
        "for name in /sys/class/video4linux/*/name; do grep -q '^heron-h264enc$' $name && \
         basename $(dirname $name); done; true",
        Duration::from_secs(10),
    )?;
    let node = format!("/dev/{}", node.trim());
    comply(guest, &node)?;
    // Neither is whole macroblocks: both are cropped. Noise of few values needs emulation prevention all over.
    let bars = Pictures {
        name: "vivid's bars",
        format: Format::Nv12,
        width: 320,
        height: 180,
    };
    let noise = Pictures {
        name: "noise",
        format: Format::Yu12,
        width: 160,
        height: 90,
    };
    guest.run(
        &format!(
            "{TOOLS} v4l2-ctl -d {CAMERA} --set-fmt-video={} --set-parm=30 --stream-mmap --stream-count={FRAMES} \
             --stream-to=/mnt/in.yuv 2>&1",
            bars.as_options()
        ),
        Duration::from_secs(120),
    )?;
    round_trip(guest, &node, shared, &bars)?;
    fs::write(shared.join("in.yuv"), noise.noise())?;
    round_trip(guest, &node, shared, &noise)
}

/// The kernel developers' own test of drivers; buffers are also imported from the camera.
fn comply(guest: &mut Guest, node: &str) -> Result<()> {
    let printed = guest.run(
        &format!(
            "{TOOLS} v4l2-ctl -d {CAMERA} --set-parm=30 >/dev/null; \
             {TOOLS} v4l2-compliance -d {node} -s 20 -e {CAMERA} 2>&1 | tr '\\r' '\\n'"
        ),
        Duration::from_secs(240),
    )?;
    let total = printed
        .lines()
        .find(|line| line.starts_with("Total for "))
        .with_context(|| format!("v4l2-compliance did not end:\n{printed}"))?;
    println!("  v4l2-compliance, in the guest: {total}");
    if !total.contains("Failed: 0,") {
        let failed: Vec<&str> = printed
            .lines()
            .filter(|line| line.contains("fail: ") || line.ends_with(": FAIL"))
            .collect();
        bail!("v4l2-compliance finds fault:\n{}", failed.join("\n"));
    }
    Ok(())
}

/// Encodes in the guest, decodes here, and compares.
fn round_trip(guest: &mut Guest, node: &str, shared: &Path, pictures: &Pictures) -> Result<()> {
    // Enough bits for every macroblock: with less it would leave some as they were.
    guest.run(
        &format!(
            "{TOOLS} v4l2-ctl -d {node} --set-fmt-video-out={} \
             --set-ctrl=video_bitrate=25000000,video_gop_size=4,repeat_sequence_header=1 \
             --stream-mmap --stream-out-mmap --stream-from=/mnt/in.yuv --stream-to=/mnt/out.h264 2>&1",
            pictures.as_options()
        ),
        Duration::from_secs(120),
    )?;
    let (stream, decoded) = (shared.join("out.h264"), shared.join("out.yuv"));
    step::output(
        Command::new("ffmpeg")
            .args([
                "-v",
                "error",
                "-xerror",
                "-err_detect",
                "explode",
                "-y",
                "-i",
            ])
            .arg(&stream)
            .args(["-f", "rawvideo", "-pix_fmt", pictures.format.ffmpeg()])
            .arg(&decoded),
    )?;
    let given = fs::read(shared.join("in.yuv"))?;
    let back = fs::read(&decoded)?;
    let name = pictures.name;
    if given.len() != FRAMES * pictures.size() || given != back {
        bail!(
            "of {FRAMES} pictures of {name} ({} bytes) the encoder's stream decodes to {} bytes that differ",
            given.len(),
            back.len()
        );
    }
    println!(
        "  heron-h264enc: {FRAMES} pictures of {name}, {}x{}, come back bit by bit, from {} kB of H.264",
        pictures.width,
        pictures.height,
        fs::metadata(stream)?.len() / 1000
    );
    Ok(())
}

impl Pictures {
    /// Bytes a picture.
    fn size(&self) -> usize {
        self.width * self.height * 3 / 2
    }

    /// As v4l2-ctl wants it.
    fn as_options(&self) -> String {
        format!(
            "width={},height={},pixelformat={}",
            self.width,
            self.height,
            self.format.v4l2()
        )
    }

    /// Samples of 0 to 3, the same ones each time; every other picture is as the one before in its lower half.
    fn noise(&self) -> Vec<u8> {
        let mut state = 1_u32;
        let mut samples = Vec::with_capacity(FRAMES * self.size());
        for frame in 0..FRAMES {
            for at in 0..self.size() {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let again = frame % 2 == 1 && at > self.size() / 2;
                samples.push(if again {
                    samples[samples.len() - self.size()]
                } else {
                    (state >> 30) as u8
                });
            }
        }
        samples
    }
}

impl Format {
    fn v4l2(self) -> &'static str {
        match self {
            Self::Nv12 => "NV12",
            Self::Yu12 => "YU12",
        }
    }

    fn ffmpeg(self) -> &'static str {
        match self {
            Self::Nv12 => "nv12",
            Self::Yu12 => "yuv420p",
        }
    }
}
