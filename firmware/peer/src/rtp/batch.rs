//! Encrypted packets on their way to a socket: one buffer, reused, laid out for UDP segmentation offload.

/// What the kernel takes in one `UDP_SEGMENT` send (`UDP_MAX_SEGMENTS` before Linux 6.9).
const MAX_SEGMENTS: usize = 64;

/// The largest UDP payload over IPv4.
const MAX_RUN_BYTES: usize = 65_507;

/// Whole SRTP packets, one behind the other. Keeps its memory when cleared.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) packets: Vec<BatchPacket>,
    /// Bytes left free in front of every packet.
    pub(crate) headroom: usize,
}

/// A packet of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPacket {
    /// Its length on the wire (UDP payload), in bytes.
    pub len: usize,
    /// Its transport-wide sequence number, where that was negotiated.
    pub transport_seq: Option<u16>,
}

/// Packets for one send with UDP segmentation offload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    /// The packets.
    pub bytes: &'a [u8],
    /// The size of every packet but the last, which may be shorter.
    pub segment: usize,
    /// How many there are.
    pub count: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch that leaves `headroom` bytes (zeros) in front of every packet, for the header of a TURN channel
    /// (RFC 8656 section 12.4). [`datagrams`](Self::datagrams), [`datagrams_mut`](Self::datagrams_mut),
    /// [`runs`](Self::runs) and [`len`](Self::len) count it in; [`BatchPacket::len`] does not.
    pub fn with_headroom(headroom: usize) -> Self {
        Self {
            headroom,
            ..Self::default()
        }
    }

    /// Forgets the packets, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Bytes of all packets.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The packets in order, for the estimator.
    pub fn packets(&self) -> &[BatchPacket] {
        &self.packets
    }

    /// The packets in order, one by one, for sends without offload.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        self.packets.iter().map_while(move |packet| {
            let (datagram, after) = rest.split_at_checked(self.headroom + packet.len)?;
            rest = after;
            Some(datagram)
        })
    }

    /// As [`datagrams`](Self::datagrams), to write into the headroom.
    pub fn datagrams_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let headroom = self.headroom;
        let mut rest = &mut self.bytes[..];
        self.packets.iter().map_while(move |packet| {
            let all = std::mem::take(&mut rest);
            let (datagram, after) = all.split_at_mut_checked(headroom + packet.len)?;
            rest = after;
            Some(datagram)
        })
    }

    /// The packets in order, in runs that can go out in one send each.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let (mut next, mut at) = (0, 0);
        std::iter::from_fn(move || {
            let length = |at: usize| Some(self.packets.get(at)?.len + self.headroom);
            let segment = length(next)?;
            let (mut count, mut size) = (0, 0);
            while let Some(len) = length(next + count)
                && len <= segment
                && count < MAX_SEGMENTS
                && size + len <= MAX_RUN_BYTES
            {
                count += 1;
                size += len;
                if len < segment {
                    break;
                }
            }
            // A packet is never larger than a run.
            let count = count.max(1);
            let size = size.max(segment);
            let bytes = &self.bytes[at..at + size];
            next += count;
            at += size;
            Some(Run {
                bytes,
                segment,
                count,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(sizes: &[usize]) -> Batch {
        let mut batch = Batch::new();
        for (i, len) in sizes.iter().copied().enumerate() {
            batch.bytes.extend(std::iter::repeat_n(i as u8, len));
            batch.packets.push(BatchPacket {
                len,
                transport_seq: None,
            });
        }
        batch
    }

    #[test]
    fn a_shorter_packet_ends_a_run_and_a_longer_one_begins_the_next() {
        let batch = batch(&[60, 1200, 1200, 300, 1200, 1200]);
        let runs: Vec<_> = batch.runs().map(|run| (run.segment, run.count)).collect();
        assert_eq!(runs, [(60, 1), (1200, 3), (1200, 2)]);
    }

    #[test]
    fn headroom_is_left_in_front_of_every_packet() {
        let mut batch = Batch::with_headroom(4);
        for len in [10, 6] {
            batch.bytes.extend([0; 4]);
            batch.bytes.extend(vec![9; len]);
            batch.packets.push(BatchPacket {
                len,
                transport_seq: None,
            });
        }
        batch.datagrams_mut().for_each(|packet| packet[0] = 0x40);
        let datagrams: Vec<_> = batch.datagrams().map(<[u8]>::len).collect();
        assert_eq!(datagrams, [14, 10]);
        let run = batch.runs().next().unwrap();
        assert_eq!((run.segment, run.count, run.bytes.len()), (14, 2, 24));
        assert_eq!((run.bytes[14], run.bytes[18]), (0x40, 9));
    }

    proptest! {
        #[test]
        fn runs_hold_every_packet_once_in_order(sizes in prop::collection::vec(1_usize..1400, 0..300)) {
            let batch = batch(&sizes);
            let mut split = Vec::new();
            for run in batch.runs() {
                prop_assert!(run.count <= MAX_SEGMENTS && run.bytes.len() <= MAX_RUN_BYTES);
                let before = split.len();
                split.extend(run.bytes.chunks(run.segment).map(<[u8]>::to_vec));
                prop_assert_eq!(split.len() - before, run.count);
            }
            let packets: Vec<_> = batch.datagrams().map(<[u8]>::to_vec).collect();
            prop_assert_eq!(split, packets);
        }
    }
}
