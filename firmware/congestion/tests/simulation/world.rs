//! A camera and its viewers in virtual time, in steps of a millisecond.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use heron_congestion::{
    Arrival, Class, Estimator, EstimatorConfig, Ladder, LadderConfig, Level, Pacer, PacerConfig,
    ProbeId, Rung, RungTarget, Sent, ViewerId, When, Wish,
};

use crate::encoder::{Encoder, Frame};
use crate::link::{Fate, Link, Path};
use crate::random::Random;
use crate::receiver::{Part, Receiver, Shown};
use crate::tcp::{SEGMENT, Tcp};

const PAYLOAD: f64 = 1100.0;
const OVERHEAD: f64 = 80.0;
const SOUND: f64 = 150.0;

/// What is on a link.
#[derive(Debug, Clone, Copy)]
enum Wire {
    Ours { seq: u64, part: Option<Part> },
    Tcp,
}

#[derive(Debug, Clone, Copy)]
struct Queued {
    bytes: f64,
    part: Part,
}

/// One moment of a viewer.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub at: f64,
    pub target: f64,
    pub standing_ms: f64,
    pub level: Level,
}

pub struct Viewer {
    pub id: ViewerId,
    pub estimator: Estimator,
    pacer: Pacer,
    video: VecDeque<Queued>,
    repairs: VecDeque<Queued>,
    sounds: u32,
    link: Link<Wire>,
    pub receiver: Receiver,
    arriving: Vec<(f64, f64, u64, Option<Part>)>,
    feedback: VecDeque<(f64, Vec<Arrival>)>,
    nacks: Vec<(f64, Queued)>,
    pub tcp: Option<Tcp>,
    next_seq: u64,
    next_frame: u64,
    rung: Option<Rung>,
    needs_key: bool,
    joins: f64,
    /// From joining, when the estimator begins, until media can flow: ICE and DTLS.
    pub connects_ms: f64,
    joined: bool,
    connected: bool,
    /// Feedback is cut off between these times.
    pub deaf: (f64, f64),
    pub can_pad: bool,
    pub samples: Vec<Sample>,
    pub longest_wait: f64,
    random: Random,
}

pub struct World {
    pub epoch: Instant,
    pub now: f64,
    pub ladder: Ladder,
    encoders: [Encoder; 2],
    pub targets: [Option<RungTarget>; 2],
    pub viewers: Vec<Viewer>,
    pub history: Vec<(f64, [Option<RungTarget>; 2])>,
}

impl World {
    pub fn new(config: LadderConfig) -> Self {
        Self {
            epoch: Instant::now(),
            now: 0.0,
            ladder: Ladder::new(config),
            encoders: [Encoder::new(11), Encoder::new(12)],
            targets: [None; 2],
            viewers: Vec::new(),
            history: Vec::new(),
        }
    }

    /// A viewer that joins at a time over a path; returns its index.
    pub fn viewer(&mut self, path: Path, joins: f64) -> usize {
        let index = self.viewers.len();
        let seed = index as u64 + 100;
        let now = self.instant(joins);
        let mut receiver = Receiver::default();
        receiver.clock_offset_ms = 7_654_321.0;
        self.viewers.push(Viewer {
            id: ViewerId(index as u64),
            estimator: Estimator::new(EstimatorConfig::default(), now),
            pacer: Pacer::new(PacerConfig::default(), now),
            video: VecDeque::new(),
            repairs: VecDeque::new(),
            sounds: 0,
            link: Link::new(path, seed),
            receiver,
            arriving: Vec::new(),
            feedback: VecDeque::new(),
            nacks: Vec::new(),
            tcp: None,
            next_seq: 65_000, // wraps soon
            next_frame: 0,
            rung: None,
            needs_key: true,
            joins,
            connects_ms: 0.0,
            joined: false,
            connected: false,
            deaf: (0.0, 0.0),
            can_pad: true,
            samples: Vec::new(),
            longest_wait: 0.0,
            random: Random::new(seed + 1),
        });
        index
    }

    pub fn instant(&self, ms: f64) -> Instant {
        self.epoch + Duration::from_secs_f64(ms / 1e3)
    }

    pub fn run(&mut self, until: f64) {
        while self.now < until {
            self.step();
            self.now += 1.0;
        }
    }

    fn step(&mut self) {
        let (ms, now) = (self.now, self.instant(self.now));
        for rung in Rung::ALL {
            if let Some(frame) = self.encoders[rung as usize].run(ms, self.targets[rung as usize]) {
                for viewer in &mut self.viewers {
                    if viewer.connected {
                        viewer.offer(rung, frame, self.ladder.level(viewer.id), ms, now);
                    }
                }
            }
        }
        for viewer in &mut self.viewers {
            if ms < viewer.joins {
                continue;
            }
            if !viewer.joined {
                viewer.joined = true;
                let bps = viewer.estimator.estimate().target_bps;
                self.ladder.joined(viewer.id, Wish::default(), bps, now);
                let useful = self.ladder.useful_bps(viewer.id);
                viewer.estimator.set_useful(useful);
            }
            if !viewer.connected && ms >= viewer.joins + viewer.connects_ms {
                viewer.connected = true;
                let bps = viewer.estimator.estimate().target_bps;
                self.ladder.joined(viewer.id, Wish::default(), bps, now);
                self.encoders[0].request_key_frame();
            }
            let before = viewer.estimator.estimate().target_bps;
            viewer.step(ms, now);
            let estimate = viewer.estimator.estimate();
            if estimate.target_bps != before {
                viewer
                    .pacer
                    .set_target(estimate.target_bps, estimate.spare, now);
                self.ladder.estimate(viewer.id, estimate.target_bps, now);
            }
            if ms % 10.0 == 0.0 {
                viewer
                    .estimator
                    .set_useful(self.ladder.useful_bps(viewer.id));
                viewer.samples.push(Sample {
                    at: ms,
                    target: f64::from(estimate.target_bps),
                    standing_ms: viewer.link.standing_ms(ms),
                    level: self.ladder.level(viewer.id).unwrap_or(Level::AudioOnly),
                });
            }
        }
        if ms % 20.0 == 0.0 {
            let decision = self.ladder.decide(now);
            for change in decision.changes {
                if let Some(rung) = change.to.rung() {
                    self.encoders[rung as usize].request_key_frame();
                }
            }
            if decision.rungs != self.targets {
                self.targets = decision.rungs;
                self.history.push((ms, self.targets));
            }
        }
    }
}

impl Viewer {
    /// As heron-session's outlet: another rung from its key frame on.
    fn offer(&mut self, rung: Rung, frame: Frame, level: Option<Level>, ms: f64, now: Instant) {
        let wanted = level.and_then(Level::rung);
        if wanted.is_none() {
            self.rung = None;
            self.clear_video();
            return;
        }
        if wanted == Some(rung) && frame.key && (self.rung != wanted || self.needs_key) {
            self.clear_video();
            self.rung = wanted;
            self.needs_key = false;
        }
        if self.rung != Some(rung) {
            return;
        }
        let packets = (frame.bytes / PAYLOAD).ceil().max(1.0);
        let part = Part {
            frame: self.next_frame,
            captured: ms,
            of: packets as u32,
            key: frame.key,
        };
        self.next_frame += 1;
        for _ in 0..packets as u32 {
            let bytes = (frame.bytes / packets + OVERHEAD).round();
            self.pacer.queued(Class::Video, bytes as usize, now);
            self.video.push_back(Queued { bytes, part });
        }
    }

    fn clear_video(&mut self) {
        // A frame that has begun to leave is finished, so that numbering has no holes here: what waits is not sent.
        let begun = self.video.front().map(|first| first.part.frame);
        while let Some(last) = self.video.back().copied() {
            if Some(last.part.frame) == begun {
                break;
            }
            self.pacer.dropped(Class::Video, last.bytes as usize);
            self.video.pop_back();
        }
    }

    fn step(&mut self, ms: f64, now: Instant) {
        if ms % 20.0 == 0.0 && self.connected {
            self.sounds += 1;
            self.pacer.queued(Class::Audio, SOUND as usize, now);
        }
        self.nacks.retain(|(at, queued)| {
            if *at <= ms {
                self.pacer
                    .queued(Class::Retransmission, queued.bytes as usize, now);
                self.repairs.push_back(*queued);
            }
            *at > ms
        });
        while self.feedback.front().is_some_and(|(at, _)| *at <= ms) {
            if let Some((_, arrivals)) = self.feedback.pop_front() {
                self.estimator.feedback(&arrivals, now);
            }
        }
        if self.estimator.poll_timeout().is_some_and(|at| at <= now) {
            self.estimator.handle_timeout(now);
            if let Some(probe) = self.estimator.poll_probe(now) {
                self.pacer.probe(probe, now);
            }
            let next = self.estimator.poll_timeout();
            assert!(next.is_none_or(|at| at > now), "a driver would spin");
        }
        if self.connected {
            self.send(ms, now);
        }
        self.deliver(ms);
        if (ms - self.joins) % self.link.path.feedback_ms == 0.0 {
            let arrivals = self.receiver.feedback(ms);
            let lost = self.random.chance(self.link.path.feedback_loss)
                || (self.deaf.0..self.deaf.1).contains(&ms);
            if !arrivals.is_empty() && !lost {
                self.feedback
                    .push_back((ms + self.link.path.delay_ms, arrivals));
            }
        }
    }

    fn send(&mut self, ms: f64, now: Instant) {
        let segments = self.tcp.as_mut().map_or(0, |tcp| tcp.run(ms));
        for _ in 0..segments {
            self.link.send(ms, SEGMENT, Wire::Tcp);
        }
        while let When::Now { class, probe } = self.pacer.next(now) {
            let (bytes, part) = match class {
                Class::Audio => {
                    self.sounds = self.sounds.saturating_sub(1);
                    (SOUND, None)
                }
                Class::Retransmission => match self.repairs.pop_front() {
                    Some(queued) => (queued.bytes, Some(queued.part)),
                    None => unreachable!("the pacer knows of a repair that is not there"),
                },
                Class::Video => match self.video.pop_front() {
                    Some(queued) => {
                        self.longest_wait = self.longest_wait.max(ms - queued.part.captured);
                        (queued.bytes, Some(queued.part))
                    }
                    None => unreachable!("the pacer knows of a packet that is not there"),
                },
                // Before the first picture there is no timestamp to pad with.
                Class::Padding if !self.can_pad || self.next_frame == 0 => {
                    self.pacer.end_probe();
                    continue;
                }
                Class::Padding => (255.0, None),
                Class::Parity => unreachable!("the pacer never asks for parity"),
            };
            self.pacer.sent(class, bytes as usize, now);
            self.put(bytes, part, probe, ms, now);
        }
    }

    fn put(
        &mut self,
        bytes: f64,
        part: Option<Part>,
        probe: Option<ProbeId>,
        ms: f64,
        now: Instant,
    ) {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.estimator.sent(Sent {
            seq: seq as u16,
            size: bytes as usize,
            at: now,
            probe,
        });
        self.link.send(ms, bytes, Wire::Ours { seq, part });
    }

    fn deliver(&mut self, ms: f64) {
        let back = self.link.path.delay_ms;
        let (arriving, nacks, tcp) = (&mut self.arriving, &mut self.nacks, &mut self.tcp);
        self.link.run(ms + 1.0, |fate| match fate {
            Fate::Arrived(at, packet) => match packet.what {
                Wire::Ours { seq, part } => arriving.push((at, packet.bytes, seq, part)),
                Wire::Tcp => {
                    if let Some(tcp) = tcp {
                        tcp.arrived(at, back);
                    }
                }
            },
            Fate::Lost(at, packet) => match packet.what {
                // The next packet shows the gap, and the NACK travels back.
                Wire::Ours {
                    part: Some(part), ..
                } => nacks.push((
                    at + 2.0 * back + 20.0,
                    Queued {
                        bytes: packet.bytes,
                        part,
                    },
                )),
                Wire::Ours { .. } => {}
                Wire::Tcp => {
                    if let Some(tcp) = tcp {
                        tcp.lost(at, 2.0 * back + 20.0);
                    }
                }
            },
        });
        let mut due: Vec<_> = self.arriving.extract_if(.., |(at, ..)| *at <= ms).collect();
        due.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (at, bytes, seq, part) in due {
            self.receiver.arrived(seq, at, bytes, part);
        }
    }

    /// Frames shown in a span of time.
    pub fn shown(&self, from: f64, to: f64) -> impl Iterator<Item = &Shown> {
        self.receiver
            .shown
            .iter()
            .filter(move |shown| (from..to).contains(&shown.at))
    }

    /// The longest time without a new picture.
    pub fn longest_freeze(&self, from: f64, to: f64) -> f64 {
        let mut last = from;
        let mut longest: f64 = 0.0;
        for shown in self.shown(from, to) {
            longest = longest.max(shown.at - last);
            last = shown.at;
        }
        longest.max(to - last)
    }

    /// The part of the frames in a span that were shown later than `late_ms` after capture.
    pub fn late(&self, from: f64, to: f64, late_ms: f64) -> f64 {
        let all = self.shown(from, to).count().max(1);
        let late = self
            .shown(from, to)
            .filter(|shown| shown.at - shown.captured > late_ms);
        late.count() as f64 / all as f64
    }

    pub fn samples(&self, from: f64, to: f64) -> impl Iterator<Item = &Sample> {
        self.samples
            .iter()
            .filter(move |sample| (from..to).contains(&sample.at))
    }

    pub fn mean_target(&self, from: f64, to: f64) -> f64 {
        let targets: Vec<f64> = self.samples(from, to).map(|s| s.target).collect();
        targets.iter().sum::<f64>() / targets.len().max(1) as f64
    }

    pub fn most_standing(&self, from: f64, to: f64) -> f64 {
        self.samples(from, to)
            .map(|s| s.standing_ms)
            .fold(0.0, f64::max)
    }

    /// When the target first reached `bps` after `from`.
    pub fn reached(&self, bps: f64, from: f64) -> Option<f64> {
        self.samples(from, f64::MAX)
            .find(|s| s.target >= bps)
            .map(|s| s.at - from)
    }

    /// When the target first fell to `bps` after `from`.
    pub fn fell(&self, bps: f64, from: f64) -> Option<f64> {
        self.samples(from, f64::MAX)
            .find(|s| s.target <= bps)
            .map(|s| s.at - from)
    }
}
