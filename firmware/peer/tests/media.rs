//! A viewer of another stack receives pictures and sound, loses some, and asks for what it lacks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use heron_peer::{AudioFrame, Batch, Parity, PeerEvent, SrtpProfile, VideoFrame};
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use rtc::rtp;
use support::{Link, MICROPHONE_SSRC, Viewer, access_unit, depacketise, frame};

const FRAME: Duration = Duration::from_millis(33);

fn captured(link: &Link) -> u64 {
    1_000_000_000 + (link.now - link.start).as_nanos() as u64
}

fn show(link: &mut Link, frame: &VideoFrame) -> Batch {
    let mut batch = Batch::new();
    let now = link.now;
    let written = link
        .peer
        .write_video(frame, 0..frame.payloads.len(), &mut batch, now);
    assert_eq!(written, frame.payloads.len());
    batch
}

/// Sends some frames, a picture's time apart.
fn play(link: &mut Link, frames: std::ops::Range<u8>) -> Vec<Bytes> {
    frames
        .map(|number| {
            let key = number % 10 == 0;
            let size = if key { 20_000 } else { 3_000 };
            let frame = frame(number, key, size, captured(link));
            let mut batch = show(link, &frame);
            link.send_batch(&mut batch);
            link.run_for(FRAME);
            access_unit(number, key, size)
        })
        .collect()
}

/// What the viewer received as pictures, in order of their numbers.
fn received(link: &Link) -> Vec<u8> {
    let mut packets: Vec<_> = link
        .viewer
        .packets
        .iter()
        .filter(|packet| packet.header.payload_type != 111 && !packet.payload.is_empty())
        .collect();
    packets.sort_by_key(|packet| packet.header.sequence_number);
    packets.dedup_by_key(|packet| packet.header.sequence_number);
    depacketise(&packets)
}

#[test]
fn frames_arrive_whole_and_in_order() {
    let mut link = Link::connected();
    let sent = play(&mut link, 0..25);
    link.run_for(Duration::from_millis(100));
    assert_eq!(received(&link), sent.concat());
    let stats = link.peer.stats();
    assert_eq!(stats.packets as usize, link.viewer.packets.len());
    assert_eq!(stats.repaired, 0);
}

#[test]
fn a_viewer_without_gcm_is_served() {
    let now = std::time::Instant::now();
    let profile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;
    let viewer = Viewer::with_profiles(now, vec![profile]);
    let mut link = Link::with_viewer(viewer, now, |offer| offer);
    link.run_until("connected", |link| {
        link.peer.is_connected() && link.viewer.channel_open
    });
    assert_eq!(
        link.peer.srtp_profile(),
        Some(SrtpProfile::Aes128CmHmacSha1_80)
    );
    let sent = play(&mut link, 0..12);
    link.run_for(Duration::from_millis(100));
    assert_eq!(received(&link), sent.concat());
}

#[test]
fn a_frames_full_packets_are_of_one_size() {
    let mut link = Link::connected();
    // Past the first report, when the viewer knows the stream.
    play(&mut link, 0..2);
    let frame = frame(3, false, 30_000, captured(&link));
    let batch = show(&mut link, &frame);
    let runs: Vec<_> = batch.runs().collect();
    assert_eq!(runs.len(), 1, "one send for a frame");
    assert!(runs[0].segment <= 1200);
    assert!(
        batch
            .packets()
            .iter()
            .all(|packet| packet.transport_seq.is_some())
    );
}

#[test]
fn rungs_follow_each_other_without_a_seam() {
    let mut link = Link::connected();
    // Two encodings of one picture.
    let main = frame(1, true, 9_000, captured(&link));
    let sub = frame(2, true, 2_000, captured(&link));
    for frame in [&main, &sub] {
        let mut batch = show(&mut link, frame);
        link.send_batch(&mut batch);
        link.run_for(FRAME);
    }
    let mut packets = link.viewer.packets.clone();
    packets.sort_by_key(|packet| packet.header.sequence_number);
    let numbers: Vec<u16> = packets.iter().map(|p| p.header.sequence_number).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert!(
        packets
            .windows(2)
            .all(|pair| pair[0].header.ssrc == pair[1].header.ssrc)
    );
    let stamps: Vec<u32> = packets.iter().map(|p| p.header.timestamp).collect();
    assert_eq!(stamps.last().unwrap().wrapping_sub(stamps[0]), 1);
    let marked = packets.iter().filter(|packet| packet.header.marker);
    assert_eq!(marked.count(), 2);
}

#[test]
fn what_was_lost_is_sent_again() {
    let mut link = Link::connected();
    play(&mut link, 0..3);
    let mut count = 0_u32;
    // Every seventh packet of picture size is lost, repairs too.
    link.lose = Box::new(move |datagram| {
        let media = datagram[0] >= 128 && datagram.len() > 300;
        count += u32::from(media);
        media && count.is_multiple_of(7)
    });
    for number in 3..40 {
        play(&mut link, number..number + 1);
        let mut batch = Batch::new();
        let now = link.now;
        assert_eq!(
            link.peer.repair_bytes() > 0,
            link.peer.write_repairs(100_000, &mut batch, now) > 0
        );
        link.send_batch(&mut batch);
    }
    let stats = link.peer.stats();
    assert!(stats.nacks > 10 && stats.repaired > 10, "{stats:?}");
    let reports = link.events.iter().filter_map(|event| match event {
        PeerEvent::Report(report) => report.rtt,
        _ => None,
    });
    let rtt = reports.last().expect("a round trip time");
    assert!(
        rtt >= Duration::from_millis(19) && rtt < Duration::from_millis(40),
        "{rtt:?}"
    );
}

#[test]
fn requests_for_key_frames_are_passed_on() {
    let mut link = Link::connected();
    play(&mut link, 0..3);
    link.run_until("a track", |link| !link.viewer.receivers.is_empty());
    let (ssrc, now) = (link.viewer.packets[0].header.ssrc, link.now);
    let pli = PictureLossIndication {
        sender_ssrc: 1,
        media_ssrc: ssrc,
    };
    link.viewer.send_rtcp(Box::new(pli), ssrc, now);
    link.run_until("a request", |link| {
        link.events.contains(&PeerEvent::KeyFrameRequested)
    });
    let fir = FullIntraRequest {
        sender_ssrc: 1,
        media_ssrc: ssrc,
        fir: vec![FirEntry {
            ssrc,
            sequence_number: 1,
        }],
    };
    let now = link.now;
    link.viewer.send_rtcp(Box::new(fir), ssrc, now);
    link.run_for(Duration::from_millis(50));
    assert_eq!(link.peer.stats().key_frame_requests, 2);
}

#[test]
fn a_flood_of_requests_is_counted_and_answered_within_limits() {
    let mut link = Link::connected();
    play(&mut link, 0..20);
    let ssrc = link.viewer.packets[0].header.ssrc;
    for _ in 0..200 {
        let nacks = (0..=u16::MAX)
            .step_by(1000)
            .map(|packet_id| NackPair {
                packet_id,
                lost_packets: 0xffff,
            })
            .collect();
        let nack = TransportLayerNack {
            sender_ssrc: 1,
            media_ssrc: ssrc,
            nacks,
        };
        let now = link.now;
        link.viewer.send_rtcp(Box::new(nack), ssrc, now);
        let pli = PictureLossIndication {
            sender_ssrc: 1,
            media_ssrc: ssrc,
        };
        link.viewer.send_rtcp(Box::new(pli), ssrc, now);
        link.step();
    }
    link.run_for(Duration::from_millis(50));
    let stats = link.peer.stats();
    assert!(stats.key_frame_requests >= 150, "{stats:?}");
    assert!(stats.not_repaired > 100_000, "{stats:?}");
    let mut batch = Batch::new();
    let now = link.now;
    link.peer.write_repairs(usize::MAX, &mut batch, now);
    assert!(batch.len() < 200_000);
}

#[test]
fn transport_feedback_names_packets_that_were_sent() {
    let mut link = Link::connected();
    play(&mut link, 0..20);
    let arrivals: Vec<_> = link
        .events
        .iter()
        .filter_map(|event| match event {
            PeerEvent::Arrivals(arrivals) => Some(arrivals.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    assert!(arrivals.len() > 50);
    assert!(arrivals.iter().all(|arrival| arrival.at.is_some()));
    let times: Vec<_> = arrivals.iter().filter_map(|arrival| arrival.at).collect();
    let span = *times.last().unwrap() - times[0];
    assert!(
        span > Duration::from_millis(300) && span < Duration::from_millis(700),
        "{span:?}"
    );
    assert_eq!(link.peer.stats().unknown_acknowledgements, 0);
}

/// The viewer's own decoder (of another stack) makes up for what is lost, and nothing is sent again.
#[test]
fn what_was_lost_is_made_of_what_came() {
    let now = std::time::Instant::now();
    let mut link = Link::with_viewer(Viewer::with_fec(now), now, |offer| offer);
    link.run_until("connected", |link| {
        link.peer.is_connected() && link.viewer.channel_open
    });
    assert!(link.peer.can_protect());
    let parity = Some(Parity {
        packets: 4,
        span: Duration::from_millis(200),
    });
    link.peer.protect(parity);
    // Until the viewer has reported it may not know the stream: nothing is protected.
    let mut sent = play(&mut link, 0..1);
    assert_eq!(link.peer.stats().fec_packets, 0);
    sent.extend(play(&mut link, 1..59));
    // One of ten is lost; of a group and its parity never two. Pictures of one packet, because that stack writes
    // packets anew for its parity, and leaves out the padding that makes a picture's packets equally long.
    let mut count = 0_u32;
    link.lose = Box::new(move |datagram| {
        let media = datagram[0] >= 128 && !(192..224).contains(&datagram[1]);
        count += u32::from(media);
        media && count.is_multiple_of(10)
    });
    let before = link.peer.stats();
    for number in 59..=255 {
        let frame = frame(number, false, 900, captured(&link));
        sent.push(access_unit(number, false, 900));
        let mut batch = show(&mut link, &frame);
        if number > 250 {
            link.lose = Box::new(|_| false);
        }
        link.send_batch(&mut batch);
        link.run_for(FRAME);
    }
    link.run_for(Duration::from_millis(100));
    assert!(received(&link) == sent.concat(), "the pictures differ");
    let stats = link.peer.stats();
    assert_eq!((stats.repaired, stats.protected), (0, Some(4)));
    let bytes = stats.bytes - before.bytes;
    let share = (stats.fec_bytes - before.fec_bytes) as f64 / bytes as f64;
    assert!((0.2..0.26).contains(&share), "{share}");
}

#[test]
fn parity_fits_where_the_largest_packet_fits() {
    let now = std::time::Instant::now();
    let mut link = Link::with_viewer(Viewer::with_fec(now), now, |offer| offer);
    link.run_until("connected", |link| {
        link.peer.is_connected() && link.viewer.channel_open
    });
    play(&mut link, 0..60);
    link.peer.protect(Some(Parity {
        packets: 2,
        span: Duration::from_millis(100),
    }));
    let frame = frame(61, false, 30_000, captured(&link));
    let batch = show(&mut link, &frame);
    assert!(batch.packets().len() > frame.payloads.len() + 8);
    // With the header of a TURN channel.
    assert!(batch.packets().iter().all(|packet| packet.len + 4 <= 1200));
}

#[test]
fn padding_probes_the_path_and_disturbs_nothing() {
    let mut link = Link::connected();
    let mut sent = play(&mut link, 0..3);
    let (mut batch, now) = (Batch::new(), link.now);
    let packets = link.peer.write_padding(5_000, &mut batch, now);
    assert!(packets > 10 && batch.len() >= 5_000 && batch.len() < 5_400);
    assert_eq!(batch.runs().count(), 1);
    link.send_batch(&mut batch);
    sent.extend(play(&mut link, 3..6));
    link.run_for(Duration::from_millis(100));
    assert_eq!(received(&link), sent.concat());
    assert!(link.peer.stats().padding_bytes > 3_000);
}

#[test]
fn sound_is_sent_with_its_own_clock() {
    let mut link = Link::connected();
    let mut batch = Batch::new();
    for i in 0..5_u8 {
        let frame = AudioFrame {
            payload: Bytes::copy_from_slice(&[0xfc, i, 1]),
            captured_ns: 1_000_000_000 + u64::from(i) * 20_000_000,
        };
        let now = link.now;
        assert_eq!(link.peer.write_audio(&frame, &mut batch, now), 1);
    }
    link.send_batch(&mut batch);
    link.run_until("sound", |link| link.viewer.packets.len() == 5);
    let stamps: Vec<u32> = link
        .viewer
        .packets
        .iter()
        .map(|packet| packet.header.timestamp)
        .collect();
    assert!(
        stamps
            .windows(2)
            .all(|pair| pair[1].wrapping_sub(pair[0]) == 960)
    );
    assert_eq!(link.viewer.packets[4].payload[..], [0xfc, 4, 1]);
}

#[test]
fn the_viewers_sound_is_heard_and_reported_on() {
    let now = std::time::Instant::now();
    let viewer = Viewer::with_microphone(now, true);
    let mut link = Link::with_viewer(viewer, now, |offer| offer);
    assert!(link.peer.has_talk() && link.peer.has_audio());
    link.run_until("connected", |link| {
        link.peer.is_connected()
            && link
                .viewer
                .states
                .contains(&RTCPeerConnectionState::Connected)
    });
    let talks = link.viewer.talks.unwrap();
    for i in 0..50_u8 {
        let packet = rtp::Packet {
            header: rtp::Header {
                version: 2,
                payload_type: 111,
                sequence_number: u16::from(i),
                timestamp: 960 * u32::from(i),
                ssrc: MICROPHONE_SSRC,
                ..rtp::Header::default()
            },
            payload: Bytes::copy_from_slice(&[0xfc, i]),
        };
        let now = link.now;
        let mut sender = link.viewer.pc.rtp_sender(talks).unwrap();
        sender.write_rtp(now, packet).unwrap();
        link.run_for(Duration::from_millis(20));
    }
    let sounds: Vec<_> = link
        .events
        .iter()
        .filter_map(|event| match event {
            PeerEvent::Sound(sound) => Some(sound.clone()),
            _ => None,
        })
        .collect();
    assert!(sounds.len() >= 49, "{}", sounds.len());
    assert!(sounds.iter().enumerate().all(|(i, sound)| {
        usize::from(sound.sequence) == i
            && sound.timestamp == 960 * i as u32
            && sound.payload[..] == [0xfc, i as u8]
    }));
    assert_eq!(link.peer.stats().malformed, 0);
}

#[test]
fn nothing_is_written_before_the_path_is_up() {
    let mut link = Link::new();
    let frame = frame(1, true, 5_000, 1_000_000_000);
    let (mut batch, now) = (Batch::new(), link.now);
    assert_eq!(link.peer.write_video(&frame, 0..9, &mut batch, now), 0);
    assert_eq!(link.peer.write_padding(1000, &mut batch, now), 0);
    assert!(batch.is_empty());
}

#[test]
fn reports_tell_the_capture_clock() {
    let mut link = Link::connected();
    let seen = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&seen);
    link.lose = Box::new(move |datagram| {
        // SRTCP leaves the first packet's type readable.
        if datagram[0] >= 128 && datagram[1] == 200 {
            *counter.lock().unwrap() += 1;
        }
        false
    });
    play(&mut link, 0..90);
    let reports = *seen.lock().unwrap();
    assert!((5..=7).contains(&reports), "{reports}");
}

/// Time this thread has spent on a CPU: a measurement beside other work counts only its own.
fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// Run with `cargo test -p heron-peer --release --test media -- --ignored --nocapture cost`.
#[test]
#[ignore = "a measurement, not a test"]
fn cost_of_a_packet() {
    let mut link = Link::connected();
    play(&mut link, 0..3);
    let mut batch = Batch::new();
    let now = link.now;
    let frames: Vec<_> = (0..100)
        .map(|i| frame(i, false, 110_000, 2_000_000_000 + u64::from(i) * 33_000_000))
        .collect();
    for round in 0..10 {
        let (start, mut packets) = (on_cpu(), 0);
        for frame in &frames {
            batch.clear();
            packets += link
                .peer
                .write_video(frame, 0..frame.payloads.len(), &mut batch, now);
        }
        let took = on_cpu() - start;
        let size = batch.packets()[0].len;
        println!(
            "round {round}: {} ns a packet of {size} bytes, {packets} packets",
            took.as_nanos() / packets as u128
        );
    }
}
