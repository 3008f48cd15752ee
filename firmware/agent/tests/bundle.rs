//! Bundles that are wrong say so by file and field, and never show what they hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;
use std::time::{Duration, SystemTime};

use heron_agent::Bundle;
use support::{Authority, DEVICE};

fn complaint(text: &str) -> String {
    let error = Bundle::parse(Path::new("bundle.toml"), text).expect_err("should be refused");
    let complaint = error.to_string();
    assert!(!complaint.contains("MIGHAgEA"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    complaint
}

#[test]
fn a_good_bundle_leads_to_the_broker() {
    let authority = Authority::new();
    let bundle = authority.bundle(DEVICE, 8883);
    assert_eq!(bundle.device.as_str(), DEVICE);
    assert_eq!(bundle.broker.to_string(), "127.0.0.1:8883");
    assert!(!format!("{bundle:?}").contains("key"));
    bundle.validity.check(SystemTime::now()).unwrap();
}

#[test]
fn each_field_is_named_when_it_is_wrong() {
    let authority = Authority::new();
    let issued = authority.client(DEVICE);
    let good = authority.bundle_text(DEVICE, 8883, &issued);
    for (from, to, expected) in [
        (
            "device = ",
            "devise = ",
            "bundle.toml:1: unknown field `devise`, expected one of `device`",
        ),
        ("tenant = \"home\"\n", "", "missing field `tenant`"),
        (
            "tenant = \"home\"",
            "tenant = 7",
            "bundle.toml:2: invalid type: integer `7`, expected a string",
        ),
        (
            DEVICE,
            "door",
            "bundle.toml:1: device id must match [a-z0-9-]{8,40}",
        ),
        (
            DEVICE,
            "back-door-01",
            "certificate: issued for \"front-door-01\", but this bundle is for device",
        ),
        (":8883", "", "broker: \"127.0.0.1\" is not HOST:PORT"),
        (
            ":8883",
            ":88830",
            "broker: \"127.0.0.1:88830\" is not HOST:PORT",
        ),
        ("BEGIN CERTIFICATE", "BEGIN NOTHING", "ca: "),
        ("BEGIN PRIVATE KEY", "BEGIN NOTHING", "key: not a P-256 key"),
        (
            "BEGIN PUBLIC KEY",
            "BEGIN NOTHING",
            "grant_key: not a P-256 key",
        ),
    ] {
        let bad = good.replacen(from, to, 1);
        let complaint = complaint(&bad);
        assert!(
            complaint.contains(expected),
            "{complaint}\nwanted: {expected}"
        );
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let authority = Authority::new();
    let mut issued = authority.client(DEVICE);
    issued.key = authority.client(DEVICE).key;
    let complaint = complaint(&authority.bundle_text(DEVICE, 8883, &issued));
    assert!(
        complaint.contains("key: does not belong to the certificate"),
        "{complaint}"
    );
}

#[test]
fn an_expired_certificate_says_since_when() {
    let authority = Authority::new();
    let issued = authority.expired_client(DEVICE);
    let text = authority.bundle_text(DEVICE, 8883, &issued);
    let bundle = Bundle::parse(Path::new("bundle.toml"), &text).unwrap();
    let week = Duration::from_secs(7 * 86_400);
    let late = bundle
        .validity
        .check(bundle.validity.until + week)
        .unwrap_err();
    assert!(late.contains("expired 7 days ago"), "{late}");
    let early = bundle
        .validity
        .check(bundle.validity.from - week)
        .unwrap_err();
    assert!(early.contains("becomes valid in 7 days"), "{early}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Bundle::load(Path::new("/nonexistent/bundle.toml")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("bundle /nonexistent/bundle.toml: cannot be read")
    );
}
