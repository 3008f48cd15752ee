//! A browser's receiving side: transport-wide feedback, and which frames can be shown when.

use std::collections::BTreeMap;
use std::time::Duration;

use heron_congestion::Arrival;

/// A frame's fate at the viewer.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    pub captured: f64,
    pub at: f64,
}

/// A packet of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    pub frame: u64,
    pub captured: f64,
    /// How many packets the frame has.
    pub of: u32,
    pub key: bool,
}

#[derive(Debug, Default)]
pub struct Receiver {
    /// Arrival by number, kept for half a second as libwebrtc does.
    received: BTreeMap<u64, f64>,
    next: Option<u64>,
    pub clock_offset_ms: f64,
    /// Its machine does something else between these times: what arrives then is noticed at the end.
    pub busy: (f64, f64),
    /// Frames not complete yet: packets that arrived.
    frames: BTreeMap<u64, (Part, u32, f64)>,
    next_frame: u64,
    pub shown: Vec<Shown>,
    pub bytes: f64,
}

impl Receiver {
    /// A packet arrived.
    pub fn arrived(&mut self, seq: u64, at: f64, bytes: f64, part: Option<Part>) {
        let at = if (self.busy.0..self.busy.1).contains(&at) {
            self.busy.1
        } else {
            at
        };
        self.bytes += bytes;
        self.received.insert(seq, at);
        self.next = Some(self.next.map_or(seq, |next| next.min(seq)));
        let Some(part) = part else { return };
        let (_, got, last) = self.frames.entry(part.frame).or_insert((part, 0, at));
        *got += 1;
        *last = last.max(at);
        let mut time = *last;
        // Frames are shown in order; a complete key frame lets go of what is missing before it.
        let complete = self.frames[&part.frame].1 >= part.of;
        if complete && part.key && part.frame > self.next_frame {
            self.next_frame = part.frame;
        }
        while let Some((part, got, last)) = self.frames.get(&self.next_frame).copied() {
            if got < part.of {
                break;
            }
            time = time.max(last);
            self.shown.push(Shown {
                captured: part.captured,
                at: time,
            });
            self.next_frame += 1;
        }
        let next = self.next_frame;
        self.frames.retain(|frame, _| *frame >= next);
    }

    /// The feedback message due at `now`.
    pub fn feedback(&mut self, now: f64) -> Vec<Arrival> {
        let Some(next) = self.next else {
            return Vec::new();
        };
        let Some((&last, _)) = self.received.range(..).next_back() else {
            return Vec::new();
        };
        let arrivals = (next..=last)
            .map(|seq| Arrival {
                seq: seq as u16,
                at: self.received.get(&seq).map(|at| {
                    // A quarter of a millisecond, as on the wire.
                    let ms = ((at + self.clock_offset_ms) * 4.0).round() / 4.0;
                    Duration::from_secs_f64(ms.max(0.0) / 1e3)
                }),
            })
            .collect();
        self.next = (last >= next).then_some(last + 1);
        self.received.retain(|_, at| *at > now - 500.0);
        arrivals
    }
}
