//! `heron-camera check` and `devices` as a person meets them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "../../agent/tests/support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use support::{Authority, DEVICE};
use tempfile::TempDir;

fn heron_camera(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_heron-camera"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// A folder with a good bundle and this config.
fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let bundle = authority.bundle_text(DEVICE, 8883, &authority.client(DEVICE));
    write(folder.path(), "bundle.toml", &bundle);
    write(
        folder.path(),
        "camera.toml",
        &format!("bundle = \"bundle.toml\"\n{config}"),
    );
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// What `check` prints, and whether it found everything good.
fn check(folder: &TempDir) -> (String, bool) {
    let output = heron_camera(folder.path(), &["check", "--config", "camera.toml"]);
    (
        String::from_utf8(output.stdout).unwrap(),
        output.status.success(),
    )
}

#[test]
fn a_good_config_tells_what_it_leads_to() {
    let folder = folder("[video]\nsource = \"pattern\"\n[audio]\nsource = \"tone\"\n");
    let (printed, good) = check(&folder);
    assert!(good, "{printed}");
    assert!(
        printed.starts_with(
            "bundle: device front-door-01 of home, broker 127.0.0.1:8883, certificate valid for "
        ),
        "{printed}"
    );
    assert!(
        printed.ends_with("\nvideo: pattern\naudio: tone\ncamera.toml: good\n"),
        "{printed}"
    );
}

#[test]
fn what_is_wrong_is_told_by_line_and_key() {
    for (config, complaint) in [
        (
            "[video]\nsource = \"pattern\"\nfsp = 30\n",
            "camera.toml:4: video.fsp: unknown field `fsp`, expected one of `source`, `device`, `path`, `command`, \
             `width`, `height`, `fps`, `format`, `stream`, `bitrate_kbps`, `gop_s`, `encoder`, `sub`\n",
        ),
        (
            "[video]\nfps = \"fast\"\n",
            "camera.toml:3: video.fps: invalid type: string \"fast\", expected a whole number\n",
        ),
        (
            "[video]\nfps = 0\nwidth = 5000\n",
            "camera.toml:3: video.fps: is 0; allowed: 1 to 120\n\
             camera.toml:4: video.width: is 5000; allowed: 16 to 3840\n",
        ),
    ] {
        let (printed, good) = check(&folder(config));
        assert!(!good);
        assert_eq!(printed, complaint);
    }
}

#[test]
fn a_device_that_is_missing_is_told_by_line_and_key() {
    for (config, complaint) in [
        (
            "[video]\nsource = \"v4l2\"\ndevice = \"/dev/video987\"\n",
            "camera.toml:4: video.device: /dev/video987 does not exist; ",
        ),
        (
            "[video]\nsource = \"v4l2\"\ndevice = \"/dev/null\"\n",
            "camera.toml:4: video.device: /dev/null is not a camera; ",
        ),
        (
            "[video]\nsource = \"y4m\"\npath = \"gone.y4m\"\n",
            "camera.toml:4: video.path: gone.y4m: No such file or directory",
        ),
        (
            "[video]\nsource = \"exec\"\ncommand = [\"no-such-program\"]\n",
            "camera.toml:4: video.command: \"no-such-program\" is not a program on this machine",
        ),
    ] {
        let (printed, good) = check(&folder(config));
        assert!(!good);
        assert!(
            printed.lines().any(|line| line.starts_with(complaint)),
            "{printed}"
        );
    }
}

#[test]
fn a_bundle_that_cannot_be_used_is_told() {
    let pattern = "[video]\nsource = \"pattern\"\n[audio]\nsource = \"none\"\n";
    let authority = Authority::new();
    let expired = authority.bundle_text(DEVICE, 8883, &authority.expired_client(DEVICE));
    let folder = folder(pattern);

    write(folder.path(), "bundle.toml", &expired);
    let (printed, good) = check(&folder);
    assert!(!good);
    assert!(
        printed.starts_with("bundle bundle.toml: certificate: the device certificate expired "),
        "{printed}"
    );

    let good_text = authority.bundle_text(DEVICE, 8883, &authority.client(DEVICE));
    fs::write(folder.path().join("bundle.toml"), good_text).unwrap();
    fs::set_permissions(
        folder.path().join("bundle.toml"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let (printed, good) = check(&folder);
    assert!(!good);
    assert!(
        printed.contains("(mode 644); run: chmod 600 bundle.toml"),
        "{printed}"
    );

    fs::remove_file(folder.path().join("bundle.toml")).unwrap();
    let (printed, _) = check(&folder);
    assert!(
        printed.starts_with("bundle: none, and no way to one: neither a claim file "),
        "{printed}"
    );
    fs::write(folder.path().join("claim.toml"), "server = \"https://h").unwrap();
    let config = fs::read_to_string(folder.path().join("camera.toml")).unwrap();
    let config = config.replace(
        "[video]",
        "[enrolment]\nclaim_file = \"claim.toml\"\n[video]",
    );
    write(folder.path(), "camera.toml", &config);
    let (printed, good) = check(&folder);
    assert!(
        !good && printed.starts_with("claim file claim.toml:1: "),
        "{printed}"
    );
    let claim = "server = \"https://heron.example:8443\"\nclaim = \"secret\"\n";
    write(folder.path(), "claim.toml", claim);
    let (printed, _) = check(&folder);
    assert!(
        printed.starts_with("bundle: none yet; enrols by a claim at https://heron.example:8443\n"),
        "{printed}"
    );
}

#[test]
fn run_refuses_a_bad_config_with_the_same_words() {
    let folder = folder("[video]\nfps = 0\n");
    let output = heron_camera(folder.path(), &["run", "--config", "camera.toml"]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("camera.toml:3: video.fps: is 0; allowed: 1 to 120"),
        "{said}"
    );
}

#[test]
fn devices_lists_everything_with_a_pick() {
    let output = heron_camera(Path::new("/"), &["devices"]);
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    for heading in ["Cameras", "Microphones", "Heron would pick"] {
        assert!(printed.lines().any(|line| line == heading), "{printed}");
    }
}
