//! A viewer of another stack receives what the camera's source encoded by itself, and takes it apart.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use heron_peer::{Batch, OfferError, Peer, VideoCodec, VideoFrame};
use rtc::rtp;
use rtc::rtp::codec::av1::Av1Depacketizer;
use rtc::rtp::codec::h265::{H265Packet, H265Payload};
use rtc::rtp::packetizer::Depacketizer;
use support::{Link, Viewer, config};

/// Sends two pictures; returns the viewer's packets of the format with this payload type.
fn received(codec: VideoCodec, payload_type: u8, pictures: &[Bytes; 2]) -> Vec<rtp::Packet> {
    let now = Instant::now();
    let mut link = Link::with_codec(Viewer::new(now), now, codec);
    link.run_until("connected", |link| {
        link.peer.is_connected() && link.viewer.channel_open
    });
    for (i, picture) in pictures.iter().enumerate() {
        let captured_ns = 1_000_000_000 + 33_000_000 * i as u64;
        let frame = VideoFrame::new(codec, picture, i == 0, captured_ns);
        let (mut batch, now) = (Batch::new(), link.now);
        let written = link
            .peer
            .write_video(&frame, 0..usize::MAX, &mut batch, now);
        assert!(written > 3 && batch.packets().iter().all(|packet| packet.len <= 1200));
        link.send_batch(&mut batch);
        link.run_for(Duration::from_millis(33));
    }
    let mut packets = link.viewer.packets.clone();
    packets.sort_by_key(|packet| packet.header.sequence_number);
    assert!(
        packets
            .iter()
            .all(|packet| packet.header.payload_type == payload_type)
    );
    assert_eq!(
        packets.iter().filter(|packet| packet.header.marker).count(),
        2
    );
    packets
}

fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 37 % 251) as u8 | 2).collect()
}

#[test]
fn h265_arrives_as_it_was() {
    let unit = |first: u8, len| [&[first, 1][..], &noise(len)].concat();
    let key = [
        unit(0x40, 20),
        unit(0x42, 40),
        unit(0x44, 9),
        unit(0x26, 5_000),
    ];
    let other = [unit(0x02, 4_000)];
    let stream = |units: &[Vec<u8>]| {
        let parts = units
            .iter()
            .flat_map(|unit| [&[0, 0, 0, 1], &unit[..]].concat());
        Bytes::from_iter(parts)
    };
    let packets = received(VideoCodec::H265, 126, &[stream(&key), stream(&other)]);
    let mut units: Vec<Vec<u8>> = Vec::new();
    for packet in packets {
        let mut parsed = H265Packet::default();
        parsed.depacketize(&packet.payload).unwrap();
        match parsed.payload() {
            H265Payload::H265AggregationPacket(packet) => {
                units.extend(packet.first_unit().map(|unit| unit.nal_unit().to_vec()));
                units.extend(
                    packet
                        .other_units()
                        .iter()
                        .map(|unit| unit.nal_unit().to_vec()),
                );
            }
            H265Payload::H265FragmentationUnitPacket(packet) => {
                if packet.fu_header().s() {
                    units.push(vec![packet.fu_header().fu_type() << 1, 1]);
                }
                units.last_mut().unwrap().extend(packet.payload());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(units == [&key[..], &other].concat(), "the units differ");
}

#[test]
fn av1_arrives_as_it_was() {
    let obu = |kind: u8, body: &[u8]| {
        let len = body.len();
        [
            &[kind << 3 | 2, len as u8 | 0x80, (len >> 7) as u8][..],
            body,
        ]
        .concat()
    };
    let delimiter = [0x12, 0].to_vec();
    let sequence = obu(1, &noise(130));
    let (key, other) = (obu(6, &noise(6_000)), obu(6, &noise(4_000)));
    let pictures = [
        [&delimiter[..], &sequence, &key].concat().into(),
        [&delimiter[..], &other].concat().into(),
    ];
    let packets = received(VideoCodec::Av1, 41, &pictures);
    let mut depacketizer = Av1Depacketizer::new();
    let (mut stream, mut begins) = (Vec::new(), 0);
    for packet in packets {
        stream.extend(depacketizer.depacketize(&packet.payload).unwrap());
        begins += u32::from(depacketizer.n);
    }
    assert!(stream == [sequence, key, other].concat(), "the OBUs differ");
    assert_eq!(begins, 1, "a coded video sequence");
}

#[test]
fn a_viewer_without_the_codec_is_refused() {
    let now = Instant::now();
    let offer = Viewer::new(now)
        .offer(now)
        .replace("AV1/90000", "VP7/90000");
    let mut config = config(now);
    config.video_codec = VideoCodec::Av1;
    let refused = Peer::answer(config, &offer, now, &mut rand::rng()).unwrap_err();
    assert_eq!(refused, OfferError::NoCodec(VideoCodec::Av1));
}
