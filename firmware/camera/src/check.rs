//! `heron-camera check`: what is wrong with a config, and with what it names.
#![allow(clippy::print_stdout, reason = "a command's output")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use heron_agent::{Bundle, Claim, Clock, Introduction};
use heron_media::probe::{Report, probe};
use heron_media::{AudioSourceConfig, SourceConfig};

use crate::config::{AudioSource, Config, ConfigError, Enrolment, Problems, Video, VideoSource};

/// Prints one line for each thing that is wrong, or what the camera would use.
pub fn check(path: &Path) -> anyhow::Result<ExitCode> {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => {
            println!("{error}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let (bundle, bundle_good) = match bundle(&config) {
        Ok(line) => (line, true),
        Err(line) => (line, false),
    };
    println!("{bundle}");
    let devices_good = match devices(path, &config) {
        Ok(lines) => {
            println!("{lines}");
            true
        }
        Err(error) => {
            println!("{error}");
            false
        }
    };
    if bundle_good && devices_good {
        println!("{}: good", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// What the bundle leads to, or what is wrong with it; without one, how the camera would enrol.
fn bundle(config: &Config) -> Result<String, String> {
    let path = config.bundle.as_path();
    if !path.exists() {
        return enrolment(&config.enrolment);
    }
    let bundle = Bundle::load(path).map_err(|error| error.to_string())?;
    let complaint = |reason: String| Err(format!("bundle {}: {reason}", path.display()));
    let now = Clock::new().now();
    if let Err(reason) = bundle.validity.check(now) {
        return complaint(format!("certificate: {reason}"));
    }
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        return complaint(format!(
            "others may read the device's private key (mode {mode:o}); run: chmod 600 {}",
            path.display()
        ));
    }
    let left = bundle.validity.until.duration_since(now);
    let days = left.map_or(0, |left| left.as_secs() / 86_400);
    Ok(format!(
        "bundle: device {} of {}, broker {}, certificate valid for {days} days",
        bundle.device, bundle.tenant, bundle.broker
    ))
}

/// How a camera without a bundle would enrol.
fn enrolment(config: &Enrolment) -> Result<String, String> {
    let file = config.claim_file.display();
    match Claim::load(&config.claim_file).map_err(|error| error.to_string())? {
        Some(Claim { server, secret, .. }) => {
            let how = secret.map_or("pairing", |_| "a claim");
            Ok(format!("bundle: none yet; enrols by {how} at {server}"))
        }
        None => match (&config.server, config.by) {
            (Some(server), Introduction::Pairing) => {
                Ok(format!("bundle: none yet; enrols by pairing at {server}"))
            }
            (Some(server), Introduction::Factory) => Ok(format!(
                "bundle: none yet; enrols by the factory list at {server}"
            )),
            (None, _) => Err(format!(
                "bundle: none, and no way to one: neither a claim file {file} nor a `server` in [enrolment]"
            )),
        },
    }
}

/// What the config's sources come to on this machine, or which of them is not there.
fn devices(path: &Path, config: &Config) -> Result<String, ConfigError> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut problems = Problems::new(&text);
    let Video {
        width, height, fps, ..
    } = config.video;
    let found = probe(width, height, fps);
    if let VideoSource::Fixed(source) = &config.video.source
        && let Err((key, reason)) = video(source, &found)
    {
        problems.note(key, reason);
    }
    if let AudioSource::Fixed(AudioSourceConfig::Alsa { device }) = &config.audio.source
        && device == "default"
        && found.pick.audio.is_none()
    {
        problems.note("audio.source", "there is no microphone on this machine");
    }
    let video = config.video.pipeline().source;
    let audio = config.audio.pipeline();
    let audio = audio.as_ref().map_or("none", |audio| audio.source.name());
    let lines = format!("video: {}\naudio: {audio}", video.name());
    problems.finish(path, lines)
}

/// Whether the source is there: the key that is wrong, and why.
fn video(source: &SourceConfig, found: &Report) -> Result<(), (&'static str, String)> {
    match source {
        SourceConfig::Pattern => Ok(()),
        SourceConfig::V4l2 { device: None, .. } if found.cameras.is_empty() => Err((
            "video.source",
            "there is no camera on this machine".to_owned(),
        )),
        SourceConfig::V4l2 { device: None, .. } => Ok(()),
        SourceConfig::V4l2 {
            device: Some(device),
            ..
        } => camera(device, found).map_err(|reason| ("video.device", reason)),
        SourceConfig::Y4m { path } => match fs::metadata(path) {
            Ok(_) => Ok(()),
            Err(error) => Err(("video.path", format!("{}: {error}", path.display()))),
        },
        SourceConfig::Exec { command, .. } => {
            let program = command.first().map_or("", String::as_str);
            if is_program(program) {
                return Ok(());
            }
            Err((
                "video.command",
                format!("{program:?} is not a program on this machine"),
            ))
        }
    }
}

fn camera(device: &Path, found: &Report) -> Result<(), String> {
    let cameras: Vec<_> = found.cameras.iter().map(|camera| &camera.path).collect();
    let here = match cameras.as_slice() {
        [] => "there is no camera on this machine".to_owned(),
        _ => {
            let paths: Vec<_> = cameras
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            format!("cameras here: {}", paths.join(", "))
        }
    };
    let Ok(real) = device.canonicalize() else {
        return Err(format!("{} does not exist; {here}", device.display()));
    };
    if cameras
        .iter()
        .any(|camera| camera.canonicalize().is_ok_and(|camera| camera == real))
    {
        return Ok(());
    }
    Err(format!("{} is not a camera; {here}", device.display()))
}

/// Whether a shell would find this program.
fn is_program(name: &str) -> bool {
    let executable = |path: PathBuf| {
        fs::metadata(path)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return executable(PathBuf::from(name));
    }
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| executable(folder.join(name)))
    })
}
