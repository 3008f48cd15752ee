//! What the way out carries: numbered packets at an even rate, to a relay and back to this camera.
//!
//! There and back is more than a picture's way, so the estimate is low where the way in is the narrower one; in most
//! homes it is the way out. The rate is what the picture may need twice over, not more: it is a test, not a flood.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::turn::Allocation;
use super::wire::Trouble;

/// How long packets are sent.
const LASTS: Duration = Duration::from_secs(2);
/// How long the last may take to come back.
const LATE: Duration = Duration::from_millis(500);
/// Packets leave together that often.
const TICK: Duration = Duration::from_millis(10);
/// Of a packet.
const PAYLOAD: usize = 1000;
/// IP and UDP.
const HEADERS: usize = 28;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// In bits a second, with headers.
    pub sent_bps: u64,
    /// What came back of it, likewise.
    pub back_bps: u64,
}

impl Carried {
    /// Whether nearly all came back: the way may carry more.
    pub fn is_all(self) -> bool {
        self.back_bps * 100 >= self.sent_bps * 95
    }
}

/// Sends at a rate in bits a second through a relay that brought something back before.
pub async fn measure(relay: &mut Allocation, bps: u64) -> Result<Carried, Trouble> {
    let relayed = relay.relayed;
    let mut payload = vec![0; PAYLOAD];
    let packet_bits = ((PAYLOAD + HEADERS) * 8) as u64;
    let per_tick = bps as f64 * TICK.as_secs_f64() / packet_bits as f64;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let (mut owed, mut number, mut sent, mut back) = (0.0, 0_u32, 0_u64, 0_u64);
    let mut last_back = began;
    let end = began + LASTS;
    loop {
        let over = Instant::now() >= end;
        tokio::select! {
            received = relay.receive() => {
                if received?.from == relayed {
                    back += 1;
                    last_back = Instant::now();
                }
            }
            _ = ticks.tick(), if !over => {
                owed += per_tick;
                while owed >= 1.0 {
                    owed -= 1.0;
                    payload[..4].copy_from_slice(&number.to_be_bytes());
                    number = number.wrapping_add(1);
                    relay.send(relayed, &payload).await?;
                    sent += 1;
                }
            }
            () = sleep_until(end + LATE) => break,
        }
        if over && back >= sent {
            break;
        }
    }
    let rate = |packets: u64, over: Duration| {
        (packets as f64 * packet_bits as f64 / over.max(LASTS).as_secs_f64()) as u64
    };
    Ok(Carried {
        sent_bps: rate(sent, LASTS),
        back_bps: rate(back, last_back - began),
    })
}
