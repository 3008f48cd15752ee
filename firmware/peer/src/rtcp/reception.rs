//! How a stream of the viewer's arrives: what our receiver reports say (RFC 3550 sections 6.4.2, A.3 and A.8).

use std::time::Instant;

const RR: u8 = 201;

/// Counts the packets of one stream.
#[derive(Debug)]
pub struct Reception {
    ssrc: u32,
    clock_rate: u32,
    first: u64,
    /// The highest sequence number, with its wraps above it.
    highest: u64,
    received: u64,
    /// Expected and received at the last report.
    reported: (u64, u64),
    /// In timestamp units, scaled by 16.
    jitter: u64,
    /// When the last packet came, and its timestamp.
    last: (Instant, u32),
}

impl Reception {
    pub fn new(ssrc: u32, clock_rate: u32, sequence: u16, timestamp: u32, now: Instant) -> Self {
        // One wrap ahead, so that a packet before the first has a number too.
        let first = u64::from(sequence) + 0x1_0000;
        Self {
            ssrc,
            clock_rate,
            first,
            highest: first,
            received: 1,
            reported: (0, 0),
            jitter: 0,
            last: (now, timestamp),
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// A packet came.
    pub fn received(&mut self, sequence: u16, timestamp: u32, now: Instant) {
        self.received += 1;
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead < 0x8000 {
            self.highest += u64::from(ahead);
        }
        let (at, last) = self.last;
        let passed = now.saturating_duration_since(at).as_micros() * u128::from(self.clock_rate);
        let passed = i64::try_from(passed / 1_000_000).unwrap_or(i64::MAX);
        let expected = i64::from(timestamp.wrapping_sub(last) as i32);
        let difference = passed.saturating_sub(expected).unsigned_abs();
        self.jitter = self.jitter - ((self.jitter + 8) >> 4) + difference.min(0xffff_ffff);
        self.last = (now, timestamp);
    }

    /// A report about what came since the last one, sent by `sender`.
    pub fn report(&mut self, sender: u32) -> Vec<u8> {
        let expected = self.highest - self.first + 1;
        let (expected_before, received_before) = self.reported;
        let expected_now = expected - expected_before;
        let lost_now = expected_now.saturating_sub(self.received - received_before);
        self.reported = (expected, self.received);
        let fraction = (lost_now * 256).checked_div(expected_now).unwrap_or(0);
        let lost = expected.saturating_sub(self.received).min(0x7f_ffff) as u32;
        let mut packet = vec![0x81, RR, 0, 7];
        packet.extend(sender.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.push(fraction.min(255) as u8);
        packet.extend(&lost.to_be_bytes()[1..]);
        packet.extend(((self.highest - 0x1_0000) as u32).to_be_bytes());
        packet.extend(((self.jitter >> 4) as u32).to_be_bytes());
        // The viewer's sender reports are not kept: no round trip time for it from here.
        packet.extend([0; 8]);
        packet
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Feedback, read};
    use super::*;

    #[test]
    fn losses_since_the_last_report_are_told() {
        let start = Instant::now();
        let mut reception = Reception::new(5, 48_000, 0xfffe, 0, start);
        for i in 1..8_u32 {
            if i != 3 && i != 4 {
                let at = start + Duration::from_millis(20 * u64::from(i));
                reception.received((0xfffe + i) as u16, 960 * i, at);
            }
        }
        let report = reception.report(9);
        let (messages, whole) = read(&report);
        assert!(whole);
        // Two of eight.
        assert!(matches!(&messages[..], [Feedback::Report(block)] if block.fraction_lost == 64));
        assert_eq!(report[8..12], 5_u32.to_be_bytes());
        assert_eq!(report[13..16], [0, 0, 2]);
        assert_eq!(report[16..20], 0x0001_0005_u32.to_be_bytes());
        assert_eq!(report[20..24], [0; 4], "no jitter");
        let report = reception.report(9);
        assert_eq!(report[12], 0);
    }
}
