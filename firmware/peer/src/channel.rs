//! Data channels (RFC 8831): SCTP over DTLS by rtc-sctp, and the opening of channels (RFC 8832).
//!
//! The viewer opens; we accept the channel called [`CONTROL`] and reset every other. Messages in both directions are
//! limited in size, and those that wait to be sent in total.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rtc_sctp::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, PayloadProtocolIdentifier as Ppi, ReliabilityType, ServerConfig, StreamEvent,
    TransportConfig,
};
use rtc_shared::TransportProtocol;

use crate::peer::MessageError;

/// The one channel a camera serves.
pub const CONTROL: &str = "control";

/// SCTP belongs to the DTLS association, not to an address: the stack is told a constant one.
const ANYWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 1));

/// Channels of a viewer that are open at a time.
const MAX_CHANNELS: usize = 4;

const OPEN: u8 = 3;
const ACK: u8 = 2;

/// What the channels report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelEvent {
    Open(String),
    Message {
        label: String,
        data: Bytes,
        text: bool,
    },
    Closed(String),
}

/// All channels of a connection.
pub struct Channels {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    client: Option<ClientConfig>,
    open: BTreeMap<u16, String>,
    max_message: usize,
    max_queued: usize,
    dropped: u64,
    events: VecDeque<ChannelEvent>,
}

/// What the offer's application section says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelConfig {
    /// `a=sctp-port`.
    pub port: u16,
    /// The largest message of either end, in bytes.
    pub max_message: usize,
    /// How many bytes may wait.
    pub max_queued: usize,
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl Channels {
    /// `client`: we begin, as the DTLS client does.
    pub fn new(config: ChannelConfig, client: bool) -> Self {
        // The association enforces the limit when sending; what comes in is bounded by the receive buffer.
        let transport = TransportConfig::default()
            .with_sctp_port(config.port)
            .with_max_message_size(u32::try_from(config.max_message).unwrap_or(u32::MAX))
            .with_max_receive_buffer_size(
                u32::try_from(config.max_message.saturating_mul(4)).unwrap_or(u32::MAX),
            );
        let (client, server) = if client {
            (Some(ClientConfig::new(transport)), None)
        } else {
            (None, Some(Arc::new(ServerConfig::new(transport))))
        };
        Self {
            endpoint: Endpoint::new(
                ANYWHERE,
                TransportProtocol::UDP,
                Arc::new(EndpointConfig::default()),
                server,
            ),
            association: None,
            client,
            open: BTreeMap::new(),
            max_message: config.max_message,
            max_queued: config.max_queued,
            dropped: 0,
            events: VecDeque::new(),
        }
    }

    /// DTLS is up.
    pub fn start(&mut self, now: Instant) {
        if let Some(config) = self.client.take() {
            match self.endpoint.connect(now, config, ANYWHERE) {
                Ok(association) => self.association = Some(association),
                Err(error) => tracing::debug!(%error, "SCTP could not begin"),
            }
        }
    }

    /// Takes a packet in.
    pub fn handle(&mut self, packet: Bytes, now: Instant) {
        match self.endpoint.handle(now, ANYWHERE, None, packet) {
            Some((handle, DatagramEvent::NewAssociation(association)))
                if self.association.is_none() =>
            {
                self.association = Some((handle, association));
            }
            Some((handle, DatagramEvent::AssociationEvent(event))) => {
                if let Some((ours, association)) = &mut self.association
                    && *ours == handle
                {
                    association.handle_event(event);
                }
            }
            _ => {}
        }
        self.poll(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some((_, association)) = &mut self.association
            && association.poll_timeout().is_some_and(|due| due <= now)
        {
            association.handle_timeout(now);
            self.poll(now);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.association.as_ref()?.1.poll_timeout()
    }

    /// The next packets to send.
    pub fn poll_transmit(&mut self, now: Instant) -> Vec<Bytes> {
        let Some((_, association)) = &mut self.association else {
            return Vec::new();
        };
        let mut packets = Vec::new();
        while let Some(transmit) = association.poll_transmit(now) {
            if let Payload::RawEncode(raw) = transmit.message {
                packets.extend(raw);
            }
        }
        packets
    }

    pub fn poll_event(&mut self) -> Option<ChannelEvent> {
        self.events.pop_front()
    }

    /// Messages that went nowhere.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Queues a message.
    pub fn send(
        &mut self,
        label: &str,
        data: &[u8],
        text: bool,
        now: Instant,
    ) -> Result<(), MessageError> {
        let refused = |error, dropped: &mut u64| {
            *dropped += 1;
            Err(error)
        };
        let id = self.open.iter().find(|(_, open)| *open == label);
        let (Some((id, _)), Some((_, association))) = (id, &mut self.association) else {
            return refused(MessageError::NoChannel, &mut self.dropped);
        };
        if data.len() > self.max_message {
            return refused(MessageError::TooLarge, &mut self.dropped);
        }
        let Ok(mut stream) = association.stream(*id) else {
            return refused(MessageError::NoChannel, &mut self.dropped);
        };
        if stream.buffered_amount().unwrap_or_default() + data.len() > self.max_queued {
            return refused(MessageError::Full, &mut self.dropped);
        }
        // SCTP carries no empty message: one byte stands for it (RFC 8831 section 6.6).
        let (kind, data) = match (text, data.is_empty()) {
            (true, false) => (Ppi::String, data),
            (true, true) => (Ppi::StringEmpty, &[0][..]),
            (false, false) => (Ppi::Binary, data),
            (false, true) => (Ppi::BinaryEmpty, &[0][..]),
        };
        match stream.write_with_ppi(now, data, kind) {
            Ok(_) => Ok(()),
            Err(_) => refused(MessageError::TooLarge, &mut self.dropped),
        }
    }

    /// Reads what the association has to say.
    fn poll(&mut self, now: Instant) {
        let mut readable = Vec::new();
        let mut lost = false;
        let Some((handle, association)) = &mut self.association else {
            return;
        };
        while let Some(event) = association.poll() {
            match event {
                Event::Stream(StreamEvent::Readable { id }) => readable.push(id),
                Event::Stream(StreamEvent::Finished { id } | StreamEvent::Stopped { id, .. }) => {
                    if let Some(label) = self.open.remove(&id) {
                        self.events.push_back(ChannelEvent::Closed(label));
                    }
                }
                Event::HandshakeFailed { .. } => lost = true,
                // The stack reports a stream's end as the association's loss, stream by stream.
                Event::AssociationLost { id, .. } => {
                    if let Some(label) = self.open.remove(&id) {
                        self.events.push_back(ChannelEvent::Closed(label));
                    }
                }
                _ => {}
            }
        }
        let handle = *handle;
        while let Some(event) = association.poll_endpoint_event() {
            self.endpoint.handle_event(handle, event);
            lost = true;
        }
        for id in readable {
            self.read(id, now);
        }
        if lost {
            self.association = None;
            let labels = std::mem::take(&mut self.open).into_values();
            self.events.extend(labels.map(ChannelEvent::Closed));
        }
    }

    fn read(&mut self, id: u16, now: Instant) {
        while let Some((_, association)) = &mut self.association
            && let Ok(mut stream) = association.stream(id)
            && let Ok(Some(chunks)) = stream.read_sctp()
        {
            let Ok(data) = chunks.to_payload(self.max_message) else {
                self.dropped += 1;
                continue;
            };
            let data = data.freeze();
            match chunks.ppi {
                Ppi::Dcep => self.open(id, &data, now),
                Ppi::String => self.deliver(id, data, true),
                Ppi::Binary => self.deliver(id, data, false),
                Ppi::StringEmpty => self.deliver(id, Bytes::new(), true),
                Ppi::BinaryEmpty => self.deliver(id, Bytes::new(), false),
                _ => self.dropped += 1,
            }
        }
    }

    fn deliver(&mut self, id: u16, data: Bytes, text: bool) {
        match self.open.get(&id) {
            Some(label) => self.events.push_back(ChannelEvent::Message {
                label: label.clone(),
                data,
                text,
            }),
            None => self.dropped += 1,
        }
    }

    /// A message of the opening protocol.
    fn open(&mut self, id: u16, message: &[u8], now: Instant) {
        let Some((_, association)) = &mut self.association else {
            return;
        };
        let Ok(mut stream) = association.stream(id) else {
            return;
        };
        match Opening::read(message) {
            Some(opening) if opening.label == CONTROL && self.open.len() < MAX_CHANNELS => {
                let (unordered, reliability) = opening.reliability();
                let _ = stream.set_reliability_params(
                    unordered,
                    reliability,
                    opening.reliability_parameter,
                );
                if let Err(error) = stream.write_with_ppi(now, &[ACK], Ppi::Dcep) {
                    tracing::debug!(%error, "a data channel could not be accepted");
                    return;
                }
                let label = opening.label.to_owned();
                self.open.insert(id, label.clone());
                self.events.push_back(ChannelEvent::Open(label));
            }
            Some(_) => {
                // Not one of ours: the stream is reset, which closes the channel (RFC 8831 section 6.7).
                let _ = stream.close(now);
                self.dropped += 1;
            }
            None => self.dropped += 1,
        }
    }
}

/// `DATA_CHANNEL_OPEN` (RFC 8832 section 5.1).
#[derive(Debug, PartialEq, Eq)]
struct Opening<'a> {
    channel_type: u8,
    reliability_parameter: u32,
    label: &'a str,
}

impl<'a> Opening<'a> {
    fn read(message: &'a [u8]) -> Option<Self> {
        let (head, rest) = message.split_first_chunk::<12>()?;
        if head[0] != OPEN {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([head[8], head[9]]));
        Some(Self {
            channel_type: head[1],
            reliability_parameter: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            label: std::str::from_utf8(rest.get(..length)?).ok()?,
        })
    }

    fn reliability(&self) -> (bool, ReliabilityType) {
        let kind = match self.channel_type & 0x7f {
            1 => ReliabilityType::Rexmit,
            2 => ReliabilityType::Timed,
            _ => ReliabilityType::Reliable,
        };
        (self.channel_type & 0x80 != 0, kind)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_opening_is_read() {
        let message = b"\x03\x81\0\0\0\0\0\x05\0\x07\0\x01controlx";
        let opening = Opening::read(message).unwrap();
        assert_eq!(
            (opening.label, opening.reliability_parameter),
            ("control", 5)
        );
        assert!(matches!(
            opening.reliability(),
            (true, ReliabilityType::Rexmit)
        ));
        assert_eq!(Opening::read(&message[..18]), None);
    }

    proptest! {
        #[test]
        fn any_message_is_read_or_refused(message: Vec<u8>, tail: Vec<u8>) {
            let _ = Opening::read(&message);
            let _ = Opening::read(&[&[OPEN], &tail[..]].concat());
        }

        #[test]
        fn any_packet_is_taken(packet: Vec<u8>, client: bool) {
            let now = Instant::now();
            let config = ChannelConfig { port: 5000, max_message: 1000, max_queued: 1000 };
            let mut channels = Channels::new(config, client);
            channels.start(now);
            channels.handle(packet.into(), now);
            let _ = channels.poll_transmit(now);
        }
    }
}
