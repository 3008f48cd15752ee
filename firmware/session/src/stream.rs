//! One outgoing RTP stream of one viewer: the headers around the shared payloads, and its sender reports.

use bytes::Bytes;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtp;

use crate::clock::{MediaClock, rtp_units};
use crate::media::{AudioFrame, VideoFrame};

/// Numbers of the header extensions that were negotiated for a stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extensions {
    /// `abs-capture-time`.
    pub capture_time: Option<u8>,
    /// `playout-delay`.
    pub playout_delay: Option<u8>,
}

/// Identity and counters of a stream (RFC 3550 section 5.1).
#[derive(Debug)]
pub struct RtpStream {
    ssrc: u32,
    payload_type: u8,
    clock_rate: u32,
    /// Random, so that streams of two sessions cannot be told apart by their numbers.
    timestamp_offset: u32,
    next_sequence: u16,
    extensions: Extensions,
    packets: u64,
    octets: u64,
}

/// What a stream has sent so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// RTP packets.
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
}

impl RtpStream {
    /// A stream; `random` gives its first sequence number and timestamp offset.
    pub fn new(
        ssrc: u32,
        payload_type: u8,
        clock_rate: u32,
        extensions: Extensions,
        random: u64,
    ) -> Self {
        Self {
            ssrc,
            payload_type,
            clock_rate,
            timestamp_offset: (random >> 32) as u32,
            // The upper half of the numbers is left out, so that the first wrap-around is well after the first
            // report: receivers that lose the first packet otherwise misjudge the roll-over counter (RFC 3711
            // section 3.3.1).
            next_sequence: (random as u16) & 0x7fff,
            extensions,
            packets: 0,
            octets: 0,
        }
    }

    /// The packets of an access unit.
    pub fn video(&mut self, frame: &VideoFrame, clock: &MediaClock) -> Vec<rtp::Packet> {
        let last = frame.payloads.len().saturating_sub(1);
        let payloads = frame.payloads.iter().enumerate();
        payloads
            .map(|(i, payload)| {
                let mut packet = self.packet(payload.clone(), frame.captured_ns, i == last);
                if i == 0 {
                    self.extend(&mut packet.header, frame.captured_ns, clock);
                }
                packet
            })
            .collect()
    }

    /// The packet of a sound frame.
    pub fn audio(&mut self, frame: &AudioFrame, clock: &MediaClock) -> rtp::Packet {
        // The marker begins a talk spurt (RFC 7587 section 4.1): the first packet only, a camera never pauses.
        let first = self.packets == 0;
        let mut packet = self.packet(frame.payload.clone(), frame.captured_ns, first);
        self.extend(&mut packet.header, frame.captured_ns, clock);
        packet
    }

    /// What has been sent.
    pub fn sent(&self) -> Sent {
        Sent {
            packets: self.packets,
            bytes: self.octets,
        }
    }

    /// A sender report for monotonic `now_ns`. NTP and RTP time are those of the same capture instant, so the
    /// viewer can compute when any frame was captured and play sound and picture together.
    pub fn report(&self, now_ns: u64, clock: &MediaClock) -> SenderReport {
        SenderReport {
            ssrc: self.ssrc,
            ntp_time: clock.ntp(now_ns),
            rtp_time: self.timestamp(now_ns),
            // These counters wrap by definition (RFC 3550 section 6.4.1).
            packet_count: self.packets as u32,
            octet_count: self.octets as u32,
            ..SenderReport::default()
        }
    }

    /// The stream's SSRC.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    fn timestamp(&self, captured_ns: u64) -> u32 {
        rtp_units(captured_ns, self.clock_rate).wrapping_add(self.timestamp_offset)
    }

    fn packet(&mut self, payload: Bytes, captured_ns: u64, marker: bool) -> rtp::Packet {
        let sequence_number = self.next_sequence;
        self.next_sequence = sequence_number.wrapping_add(1);
        self.packets += 1;
        self.octets += payload.len() as u64;
        rtp::Packet {
            header: rtp::Header {
                version: 2,
                marker,
                payload_type: self.payload_type,
                sequence_number,
                timestamp: self.timestamp(captured_ns),
                ssrc: self.ssrc,
                ..rtp::Header::default()
            },
            payload,
        }
    }

    fn extend(&self, header: &mut rtp::Header, captured_ns: u64, clock: &MediaClock) {
        let mut set = |id: Option<u8>, value: Bytes| {
            // Both values are short enough for the one-byte form and the ids were checked when negotiated.
            if let Some(id) = id
                && let Err(error) = header.set_extension(id, value)
            {
                tracing::debug!(id, %error, "header extension left out");
            }
        };
        set(
            self.extensions.capture_time,
            Bytes::copy_from_slice(&clock.ntp(captured_ns).to_be_bytes()),
        );
        // Minimum and maximum delay of 0: show each frame as soon as it is decoded.
        set(
            self.extensions.playout_delay,
            Bytes::from_static(&[0, 0, 0]),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use rtc::shared::marshal::Marshal;

    use super::*;

    const CLOCK_START: Duration = Duration::from_secs(1_800_000_000);

    fn stream(extensions: Extensions) -> (RtpStream, MediaClock) {
        (
            RtpStream::new(7, 109, 90_000, extensions, 0x0000_0064_0000_7fff),
            MediaClock::new(0, UNIX_EPOCH + CLOCK_START),
        )
    }

    fn frame(payloads: usize, ms: u64) -> VideoFrame {
        VideoFrame {
            payloads: vec![Bytes::from_static(&[0x41, 1]); payloads],
            key: false,
            captured_ns: ms * 1_000_000,
        }
    }

    #[test]
    fn packets_of_a_frame_share_the_timestamp_and_the_last_is_marked() {
        let (mut stream, clock) = stream(Extensions::default());
        let packets = stream.video(&frame(3, 1000), &clock);
        let seen: Vec<_> = packets
            .iter()
            .map(|p| {
                (
                    p.header.sequence_number,
                    p.header.timestamp,
                    p.header.marker,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (0x7fff, 90_100, false),
                (0x8000, 90_100, false),
                (0x8001, 90_100, true)
            ]
        );
        assert_eq!(
            stream.sent(),
            Sent {
                packets: 3,
                bytes: 6
            }
        );
    }

    #[test]
    fn extensions_ride_on_the_first_packet() {
        let (mut stream, clock) = stream(Extensions {
            capture_time: Some(12),
            playout_delay: Some(5),
        });
        let packets = stream.video(&frame(2, 500), &clock);
        let first = &packets[0].header;
        let expected = ((CLOCK_START.as_secs() + 2_208_988_800) << 32) | 0x8000_0000;
        assert_eq!(first.get_extension(12).unwrap()[..], expected.to_be_bytes());
        assert_eq!(first.get_extension(5).unwrap()[..], [0, 0, 0]);
        assert!(!packets[1].header.extension);
        assert!(packets[0].marshal().unwrap().len() < 60);
    }

    #[test]
    fn a_report_maps_capture_time_exactly() {
        let (mut stream, clock) = stream(Extensions::default());
        let packet = stream.video(&frame(1, 2000), &clock).remove(0);
        let report = stream.report(2_000_000_000, &clock);
        assert_eq!(report.rtp_time, packet.header.timestamp);
        assert_eq!(
            report.ntp_time >> 32,
            CLOCK_START.as_secs() + 2 + 2_208_988_800
        );
        assert_eq!((report.packet_count, report.octet_count), (1, 2));
    }
}
