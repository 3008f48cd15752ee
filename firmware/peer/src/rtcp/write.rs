//! Sender reports with a description of their source (RFC 3550 sections 6.4.1 and 6.5), and the goodbye (6.6).

const SR: u8 = 200;
const SDES: u8 = 202;
const BYE: u8 = 203;
const CNAME: u8 = 1;

/// What a sender report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport {
    pub ssrc: u32,
    /// 64-bit NTP timestamp.
    pub ntp: u64,
    /// The same instant on the stream's RTP clock.
    pub rtp: u32,
    pub packets: u32,
    pub octets: u32,
}

impl SenderReport {
    /// The middle 32 bits of the NTP timestamp, as report blocks quote them (RFC 3550 section 4).
    pub fn ntp_middle(&self) -> u32 {
        (self.ntp >> 16) as u32
    }
}

/// A compound packet: the reports, then who sends. `cname` is at most 255 bytes.
pub fn compound(reports: &[SenderReport], cname: &str) -> Vec<u8> {
    let mut packet = Vec::with_capacity(reports.len() * 28 + 32);
    for report in reports {
        packet.extend([0x80, SR, 0, 6]);
        packet.extend(report.ssrc.to_be_bytes());
        packet.extend(report.ntp.to_be_bytes());
        packet.extend(report.rtp.to_be_bytes());
        packet.extend(report.packets.to_be_bytes());
        packet.extend(report.octets.to_be_bytes());
    }
    let start = packet.len();
    // At most 31 sources; there are two.
    packet.extend([0x80 | reports.len().min(31) as u8, SDES, 0, 0]);
    for report in reports.iter().take(31) {
        packet.extend(report.ssrc.to_be_bytes());
        packet.extend([CNAME, cname.len().min(255) as u8]);
        packet.extend(cname.bytes().take(255));
        // One zero byte at least ends the list of items.
        let size = packet.len() - start;
        packet.resize(start + (size + 1).next_multiple_of(4), 0);
    }
    let words = ((packet.len() - start) / 4 - 1) as u16;
    packet[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
    packet
}

/// The streams end.
pub fn goodbye(ssrcs: &[u32]) -> Vec<u8> {
    let count = ssrcs.len().min(31);
    let mut packet = vec![0x80 | count as u8, BYE, 0, count as u8];
    packet.extend(ssrcs.iter().take(31).flat_map(|ssrc| ssrc.to_be_bytes()));
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_and_their_description_are_laid_out_as_in_rfc_3550() {
        let report = SenderReport {
            ssrc: 0x0102_0304,
            ntp: 0x1111_2222_3333_4444,
            rtp: 5,
            packets: 6,
            octets: 7,
        };
        let packet = compound(&[report, report], "abc");
        assert_eq!(packet[..8], [0x80, 200, 0, 6, 1, 2, 3, 4]);
        assert_eq!(report.ntp_middle(), 0x2222_3333);
        let description = &packet[56..];
        let chunk = [1, 2, 3, 4, 1, 3, b'a', b'b', b'c', 0, 0, 0];
        assert_eq!(description[..4], [0x82, 202, 0, 6]);
        assert_eq!(description[4..16], chunk);
        assert_eq!(description[16..], chunk);
        assert_eq!(goodbye(&[9]), [0x81, 203, 0, 1, 0, 0, 0, 9]);
    }
}
