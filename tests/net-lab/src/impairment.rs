//! How bad a link is.

use std::time::Duration;

/// What a link does to the packets of one direction.
///
/// A packet first waits for its turn at the bottleneck (`rate`, `queue`), and then travels (`delay`,
/// `jitter`), if it is not lost there. So lost packets have used up the rate, as they do on a radio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impairment {
    /// Bits a second of IP packets; none: as fast as they come. Zero lets nothing through.
    pub rate: Option<u64>,
    /// How much may wait at the bottleneck; a packet that does not fit is dropped.
    pub queue: Queue,
    /// What every packet takes.
    pub delay: Duration,
    /// What a packet may take beyond that, uniform from 0. Packets still arrive in order, as they do
    /// where jitter comes from queues: one that is late holds up those behind it.
    pub jitter: Duration,
    /// The part of packets that is lost, 0 to 1.
    pub loss: f64,
    /// The part of packets that others overtake, 0 to 1.
    pub reorder: f64,
    /// How much later than its turn such a packet arrives.
    pub reorder_by: Duration,
    /// The part of packets that arrives twice, 0 to 1.
    pub duplicate: f64,
}

impl Impairment {
    /// A perfect link. Where a rate is added, 300 ms of it may wait.
    pub const NONE: Self = Self {
        rate: None,
        queue: Queue::Time(Duration::from_millis(300)),
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0.0,
        reorder: 0.0,
        reorder_by: Duration::from_millis(10),
        duplicate: 0.0,
    };
}

/// The capacity of a bottleneck's queue, the packet that is being sent included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// So many bytes of IP packets.
    Bytes(u64),
    /// What the rate carries in this time: it holds fewer bytes when the rate falls.
    Time(Duration),
}

impl Queue {
    /// In bytes at a rate in bits a second.
    pub(crate) fn bytes(self, rate: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Time(time) => {
                let bytes = u128::from(rate) * time.as_nanos() / 8_000_000_000;
                u64::try_from(bytes).unwrap_or(u64::MAX)
            }
        }
    }
}
