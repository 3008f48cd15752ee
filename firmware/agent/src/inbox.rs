//! What arrives: bytes on a topic to a typed message, or a reason to refuse it.
//!
//! The broker is not trusted, so a message is looked at as if anybody had sent it: its topic must be
//! one of the table, of this device, and of the kinds a camera acts on; its body must keep to the
//! protocol's limits.

use heron_protocol::messages::{DesiredState, RtcDown, Section};
use heron_protocol::{DeviceId, ParseTopicError, Refused, SessionId, Topic, decode};
use thiserror::Error;

/// A message from the control plane.
#[derive(Debug, Clone, PartialEq)]
pub enum Down {
    /// Signalling of a session.
    Rtc {
        /// Which session.
        session: SessionId,
        /// What is said.
        message: RtcDown,
    },
    /// The state that a section should have.
    State {
        /// Which section.
        section: Section,
        /// The wanted fields.
        desired: DesiredState,
    },
}

/// Why a message was not acted on.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Rejected {
    /// The topic is not one of the protocol.
    #[error(transparent)]
    Topic(#[from] ParseTopicError),
    /// The topic is another device's.
    #[error("a message for device {0}")]
    Foreign(DeviceId),
    /// The topic is one that this camera does not listen to.
    #[error("a message on {0}, which a camera does not act on")]
    Unexpected(Topic),
    /// The body breaks the protocol's limits.
    #[error(transparent)]
    Body(#[from] Refused),
}

/// The filters that cover everything [`read`] accepts.
pub fn filters(device: &DeviceId) -> [String; 2] {
    let shard = device.shard();
    [
        format!("cam/1/{shard}/{device}/dn/rtc/+"),
        format!("cam/1/{shard}/{device}/dn/state/+"),
    ]
}

/// Reads a message for `device`. An empty body clears a retained topic and says nothing: `None`.
pub fn read(device: &DeviceId, topic: &[u8], body: &[u8]) -> Result<Option<Down>, Rejected> {
    let topic: Topic = std::str::from_utf8(topic)
        .map_err(|_| ParseTopicError::Unknown)?
        .parse()?;
    if let Some(owner) = topic.device()
        && owner != device
    {
        return Err(Rejected::Foreign(owner.clone()));
    }
    match topic {
        Topic::RtcDown(_, session) => {
            let message = decode(body)?;
            Ok(Some(Down::Rtc { session, message }))
        }
        Topic::DesiredState(..) if body.is_empty() => Ok(None),
        Topic::DesiredState(_, section) => {
            let desired = decode(body)?;
            Ok(Some(Down::State { section, desired }))
        }
        other => Err(Rejected::Unexpected(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heron_protocol::{acl, encode, messages::EndReason};
    use proptest::prelude::*;

    const SESSION: &str = "000102030405060708090a0b0c0d0e0f";

    fn device() -> DeviceId {
        "front-door-01".parse().unwrap()
    }

    fn refusal(topic: &str, body: &[u8]) -> String {
        read(&device(), topic.as_bytes(), body)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn signalling_and_wanted_state_arrive_typed() {
        let message = RtcDown::Close {
            seq: 3,
            reason: EndReason::ViewerClosed,
        };
        let body = encode(&message).unwrap();
        let topic = format!("cam/1/d0/front-door-01/dn/rtc/{SESSION}");
        let session = SESSION.parse().unwrap();
        assert_eq!(
            read(&device(), topic.as_bytes(), &body),
            Ok(Some(Down::Rtc { session, message }))
        );

        let topic = b"cam/1/d0/front-door-01/dn/state/video";
        let down = read(&device(), topic, br#"{"rev": 4, "state": {}}"#).unwrap();
        assert!(matches!(
            down,
            Some(Down::State { section: Section::Video, desired }) if desired.rev == 4
        ));
        assert_eq!(read(&device(), topic, b""), Ok(None), "cleared");
    }

    #[test]
    fn what_is_not_for_this_camera_is_refused_with_a_reason() {
        let rtc = format!("cam/1/d0/front-door-01/dn/rtc/{SESSION}");
        let other: DeviceId = "back-door-01".parse().unwrap();
        let foreign = Topic::RtcDown(other, SESSION.parse().unwrap()).to_string();
        assert_eq!(
            refusal(&foreign, b"{}"),
            "a message for device back-door-01"
        );
        assert!(refusal("cam/1/d0/front-door-01/up/presence", b"{}").contains("does not act on"));
        assert!(refusal("$SYS/broker", b"{}").contains("no such topic"));
        assert!(refusal(&rtc, b"{\"type\": \"open\"").contains("rtc message"));
        assert!(refusal(&rtc, &vec![b' '; 60_000]).contains("60000 bytes"));
    }

    #[test]
    fn the_filters_are_within_what_a_device_may_read() {
        let client = acl::Client::Device(device());
        for filter in filters(&device()) {
            acl::may_subscribe(&client, &filter).unwrap();
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(topic in any::<Vec<u8>>(), body in any::<Vec<u8>>()) {
            let _ = read(&device(), &topic, &body);
            let rtc = format!("cam/1/d0/front-door-01/dn/rtc/{SESSION}");
            let _ = read(&device(), rtc.as_bytes(), &body);
        }
    }
}
