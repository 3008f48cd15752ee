//! A topic that is read is written the same, and nobody but its writer may publish there.
#![no_main]

use heron_protocol::{Fingerprint, Topic, acl};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(topic) = text.parse::<Topic>() {
        assert_eq!(topic.to_string(), text);
    }
    let stranger = acl::Client::Device("stranger-01".parse().expect("a valid id"));
    if acl::may_publish(&stranger, text, false).is_ok() {
        assert!(text.contains("/stranger-01/up/"));
    }
    if acl::may_subscribe(&stranger, text).is_ok() {
        assert!(text.contains("/stranger-01/dn/"));
    }
    let _ = Fingerprint::from_sdp(text);
});
