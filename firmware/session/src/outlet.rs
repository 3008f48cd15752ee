//! The way of media to one viewer: what waits, and when it may leave; pure, the caller has clock and socket.
//!
//! Pictures of one rung go out at the pacer's speed. Another rung takes over at its next key frame. A viewer that
//! its pacer does not get rid of in time loses the pictures that wait, and everything up to the next key frame,
//! because a decoder can use nothing before it: latency stays bounded for days, and nobody else notices.
//!
//! ```text
//!               offered: key frame of the wanted rung
//!   ┌──────────┐ ────────────────────────────────────► ┌─────────┐
//!   │ needs key│                                       │ sending │ ◄─┐ key frame of another wanted rung
//!   └──────────┘ ◄──────────────────────────────────── └─────────┘ ──┘
//!     ▲      overflow, blocked socket, sound only
//!     └ start
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use heron_congestion::{Class, Estimator, Pacer, PacerConfig, Probe, Rung, Sent as Left, When};
use heron_peer::{AudioFrame, Batch, Peer};

use crate::media::Picture;

/// More pictures than this never wait.
const MAX_PICTURES: usize = 64;

/// Half a second of 20 ms packets.
const MAX_SOUNDS: usize = 25;

/// What a payload grows by on its way: RTP header and extensions, SRTP tag, UDP and IP headers.
const OVERHEAD: usize = 12 + 24 + 16 + 8 + 20;

/// UDP and IP headers, which the path carries too.
const DATAGRAM_OVERHEAD: usize = 8 + 20;

/// A padding packet is at most this long: one byte tells the length of padding (RFC 3550 section 5.1).
const PADDING: usize = 255;

/// What became of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It will be sent.
    Queued,
    /// It is of no use to this viewer now.
    Skipped,
    /// The viewer is too slow: what waited is gone, and a key frame is needed.
    Overflowed,
}

/// What left in one go.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pumped {
    /// When to come back; `None` when nothing waits.
    pub again: Option<Instant>,
    /// Whole pictures whose last packet is in the batch.
    pub pictures: u64,
    /// Whether a picture's first packet is in the batch.
    pub began: bool,
}

/// The sending side of one viewer.
#[derive(Debug)]
pub struct Outlet {
    pacer: Pacer,
    pictures: VecDeque<Waiting>,
    sounds: VecDeque<Arc<AudioFrame>>,
    /// The rung that is being sent.
    rung: Option<Rung>,
    /// The rung that is to be sent.
    wanted: Option<Rung>,
    needs_key: bool,
    max_delay: Duration,
    /// Repair bytes that the pacer knows of.
    repairs: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Waiting {
    picture: Arc<Picture>,
    /// Its first payload that has not left.
    next: usize,
}

impl Outlet {
    /// An outlet for pictures of `wanted`, from a key frame on. `max_delay`: how much may wait, by hand-over time.
    pub fn new(wanted: Option<Rung>, max_delay: Duration, target_bps: u32, now: Instant) -> Self {
        Self {
            pacer: pacer(target_bps, now),
            pictures: VecDeque::new(),
            sounds: VecDeque::new(),
            rung: None,
            wanted,
            needs_key: true,
            max_delay,
            repairs: 0,
            dropped: 0,
        }
    }

    /// The rung on its way, if any.
    pub fn rung(&self) -> Option<Rung> {
        self.rung
    }

    /// The rung whose key frames help: the wanted one.
    pub fn wanted(&self) -> Option<Rung> {
        self.wanted
    }

    /// Whether only a key frame helps.
    pub fn needs_key(&self) -> bool {
        self.wanted.is_some() && (self.needs_key || self.rung != self.wanted)
    }

    /// Pictures that the viewer missed because it or its path was too slow, or because it could not begin there.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Another rung is to be sent from its next key frame on, or none.
    pub fn want(&mut self, rung: Option<Rung>) {
        self.wanted = rung;
        if rung.is_none() {
            self.restart();
        }
    }

    /// The estimate changed, bits/s, and whether the path has room to spare.
    pub fn set_target(&mut self, bps: u32, spare: bool, now: Instant) {
        self.pacer.set_target(bps, spare, now);
    }

    /// Sends a probe.
    pub fn probe(&mut self, probe: Probe, now: Instant) {
        self.pacer.probe(probe, now);
    }

    /// Offers a picture of any rung.
    pub fn offer(&mut self, picture: &Arc<Picture>, now: Instant) -> Offered {
        let frame = &picture.frame;
        if self.wanted == Some(picture.rung) && frame.key && self.needs_key() {
            // What the viewer still has coming of the other rung is older than this.
            self.drop_pictures(false);
            self.rung = self.wanted;
            self.needs_key = false;
        } else if self.rung != Some(picture.rung) || self.needs_key {
            if self.needs_key && self.wanted == Some(picture.rung) {
                self.dropped += 1;
            }
            return Offered::Skipped;
        } else if self.is_late(picture) {
            self.drop_pictures(false);
            if !frame.key {
                self.dropped += 1;
                self.needs_key = true;
                return Offered::Overflowed;
            }
        }
        for payload in &frame.payloads {
            self.pacer
                .queued(Class::Video, payload.len() + OVERHEAD, now);
        }
        self.pictures.push_back(Waiting {
            picture: Arc::clone(picture),
            next: 0,
        });
        Offered::Queued
    }

    /// Offers sound; the oldest gives way when too much waits.
    pub fn offer_sound(&mut self, sound: &Arc<AudioFrame>, now: Instant) {
        if self.sounds.len() >= MAX_SOUNDS
            && let Some(oldest) = self.sounds.pop_front()
        {
            self.pacer
                .dropped(Class::Audio, oldest.payload.len() + OVERHEAD);
        }
        self.pacer
            .queued(Class::Audio, sound.payload.len() + OVERHEAD, now);
        self.sounds.push_back(Arc::clone(sound));
    }

    /// The path of before carries nothing: what waits for it is given up, and the pace is that of a new path.
    pub fn begin_anew(&mut self, target_bps: u32, now: Instant) {
        self.drop_pictures(true);
        self.needs_key = true;
        self.sounds.clear();
        self.repairs = 0;
        self.pacer = pacer(target_bps, now);
    }

    /// The socket has no room: pictures that wait are given up.
    pub fn blocked(&mut self) {
        self.drop_pictures(true);
        self.needs_key = true;
    }

    /// Writes what may leave now into `batch`, and tells `estimator`. `finished` learns of every picture whose
    /// last packet left.
    pub fn pump(
        &mut self,
        peer: &mut Peer,
        estimator: &mut Estimator,
        batch: &mut Batch,
        now: Instant,
        mut finished: impl FnMut(&Picture),
    ) -> Pumped {
        let mut pumped = Pumped::default();
        let asked = peer.repair_bytes();
        if asked > self.repairs {
            self.pacer
                .queued(Class::Retransmission, asked - self.repairs, now);
        } else {
            self.pacer
                .dropped(Class::Retransmission, self.repairs - asked);
        }
        self.repairs = asked;
        loop {
            let (class, probe) = match self.pacer.next(now) {
                When::Now { class, probe } => (class, probe),
                When::At(at) => {
                    pumped.again = Some(at);
                    return pumped;
                }
                When::Idle => return pumped,
            };
            let before = batch.packets().len();
            match class {
                Class::Audio => self.write_sound(peer, batch, now),
                Class::Retransmission => self.write_repair(peer, batch, now),
                Class::Video => self.write_payload(peer, batch, now, &mut pumped, &mut finished),
                // Parity leaves with what it protects: the pacer never asks for it.
                Class::Padding | Class::Parity => self.write_padding(peer, batch, now),
            }
            for packet in batch.packets().iter().skip(before) {
                if let Some(seq) = packet.transport_seq {
                    estimator.sent(Left {
                        seq,
                        size: packet.len + DATAGRAM_OVERHEAD,
                        at: now,
                        probe,
                    });
                }
            }
        }
    }

    fn write_sound(&mut self, peer: &mut Peer, batch: &mut Batch, now: Instant) {
        match self.sounds.pop_front() {
            Some(sound) => {
                peer.write_audio(&sound, batch, now);
                self.pacer
                    .sent(Class::Audio, sound.payload.len() + OVERHEAD, now);
            }
            None => self.pacer.dropped(Class::Audio, usize::MAX),
        }
    }

    fn write_repair(&mut self, peer: &mut Peer, batch: &mut Batch, now: Instant) {
        let written = peer.write_repairs(1, batch, now);
        let left = peer.repair_bytes();
        if written == 0 {
            self.pacer.dropped(Class::Retransmission, usize::MAX);
        } else {
            self.pacer.sent(
                Class::Retransmission,
                self.repairs.saturating_sub(left),
                now,
            );
        }
        self.repairs = if written == 0 { 0 } else { left };
    }

    fn write_payload(
        &mut self,
        peer: &mut Peer,
        batch: &mut Batch,
        now: Instant,
        pumped: &mut Pumped,
        finished: &mut impl FnMut(&Picture),
    ) {
        let Some(waiting) = self.pictures.front_mut() else {
            self.pacer.dropped(Class::Video, usize::MAX);
            return;
        };
        let frame = &waiting.picture.frame;
        let (at, before) = (waiting.next, batch.packets().len());
        peer.write_video(frame, at..at + 1, batch, now);
        pumped.began |= at == 0;
        let bytes = frame.payloads.get(at).map_or(0, bytes::Bytes::len);
        waiting.next += 1;
        if waiting.next >= frame.payloads.len() {
            finished(&waiting.picture);
            pumped.pictures += 1;
            self.pictures.pop_front();
        }
        self.pacer.sent(Class::Video, bytes + OVERHEAD, now);
        for parity in batch.packets().iter().skip(before + 1) {
            self.pacer
                .sent(Class::Parity, parity.len + DATAGRAM_OVERHEAD, now);
        }
    }

    fn write_padding(&mut self, peer: &mut Peer, batch: &mut Batch, now: Instant) {
        let before = batch.len();
        if peer.write_padding(PADDING, batch, now) == 0 {
            self.pacer.end_probe();
        } else {
            self.pacer.sent(
                Class::Padding,
                batch.len() - before + DATAGRAM_OVERHEAD,
                now,
            );
        }
    }

    fn is_late(&self, picture: &Picture) -> bool {
        let too_long = self.pictures.front().is_some_and(|oldest| {
            picture
                .handed
                .saturating_duration_since(oldest.picture.handed)
                > self.max_delay
        });
        too_long || self.pictures.len() >= MAX_PICTURES
    }

    fn restart(&mut self) {
        self.drop_pictures(true);
        self.rung = None;
        self.needs_key = true;
    }

    /// Drops what waits; a picture that has begun to leave is finished unless `all`.
    fn drop_pictures(&mut self, all: bool) {
        let begun = self.pictures.front().is_some_and(|first| first.next > 0);
        let keep = usize::from(begun && !all);
        for waiting in self.pictures.drain(keep.min(self.pictures.len())..) {
            let rest = waiting.picture.frame.payloads.iter().skip(waiting.next);
            let bytes = rest.map(|payload| payload.len() + OVERHEAD).sum();
            self.pacer.dropped(Class::Video, bytes);
            self.dropped += 1;
        }
    }
}

fn pacer(target_bps: u32, now: Instant) -> Pacer {
    let config = PacerConfig {
        target_bps,
        ..PacerConfig::default()
    };
    Pacer::new(config, now)
}
