//! GStreamer's webrtcbin, by the script `peers/webrtcbin.py`, which also takes the offers.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::{Setting, ready, script};

/// Serves until the process ends.
pub fn serve(setting: &Setting) -> Result<()> {
    let mut source = setting.picture.start()?;
    let mut command = script("webrtcbin.py");
    command.args(["--listen", &setting.listen.to_string()]);
    match setting.picture.raw() {
        Some([raw, kbps]) => {
            let frames = source.stdout.take().context("the source writes nothing")?;
            command.args(["--raw", &raw, "--kbps", &kbps]).stdin(frames)
        }
        None => command.args(["--rtp", "5004"]),
    };
    let mut server = command.stdout(Stdio::piped()).spawn()?;
    let output = server.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    if !line.starts_with("ready") {
        bail!("webrtcbin.py did not get ready");
    }
    ready(server.id());
    let status = server.wait()?;
    let _ = source.kill();
    bail!("webrtcbin.py ended ({status})")
}
