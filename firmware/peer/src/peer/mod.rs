//! One viewer's connection: ICE, DTLS, SRTP, RTP and data channels joined.

mod media;
mod reach;
mod receive;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::RngCore;

use crate::channel::{ChannelConfig, ChannelEvent, Channels};
use crate::config::PeerConfig;
use crate::dtls::{Dtls, DtlsEvent, Role};
use crate::event::{CloseReason, PeerEvent, Selected};
use crate::ice::agent::{Agent, Change};
use crate::ice::{Credentials, IceState};
use crate::path::{Path, Transmit};
use crate::rtcp::{FeedbackClock, Reception, goodbye};
use crate::rtp::header::ExtensionIds;
use crate::rtp::stream::{RtpStream, StreamConfig, TransportSequence};
use crate::sdp::OfferError;
use crate::sdp::answer::{self, AnswerParts, VideoSsrcs};
use crate::sdp::offer::{MediaSection, Offer, extension};
use crate::srtp::Srtp;
use crate::stats::PeerStats;

/// How long a handshake may take once there is a path.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long a connection without a path waits for a restart.
const RESTART: Duration = Duration::from_secs(15);

/// An answer to an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The SDP.
    pub sdp: String,
    /// The fingerprint in it: `sha-256 AB:CD:…`.
    pub fingerprint: String,
    /// Our ICE user name fragment: checks for this peer arrive as `{ice_ufrag}:{…}` (RFC 8445 section 7.2.2).
    pub ice_ufrag: String,
}

/// A message that was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No open channel of that name.
    #[error("no such data channel is open")]
    NoChannel,
    /// Larger than either end takes.
    #[error("the message is too large")]
    TooLarge,
    /// Too much waits already.
    #[error("the data channel's queue is full")]
    Full,
}

/// One viewer's WebRTC connection, answering side, without IO.
///
/// After every call that takes `now`, the driver empties [`poll_transmit`](Self::poll_transmit) and
/// [`poll_event`](Self::poll_event), and asks [`poll_timeout`](Self::poll_timeout) when to come back.
#[derive(Debug)]
pub struct Peer {
    config: PeerConfig,
    offer: Offer,
    session_id: u64,
    version: u64,
    cname: String,
    agent: Agent,
    path: Option<Selected>,
    dtls: Dtls,
    srtp: Option<Srtp>,
    channels: Option<Channels>,
    video: Option<RtpStream>,
    audio: Option<RtpStream>,
    transport: TransportSequence,
    feedback_clock: FeedbackClock,
    /// The newest sender reports: when each left, by the middle of its NTP time.
    reports_sent: VecDeque<(u32, Instant)>,
    next_report: Option<Instant>,
    /// The viewer's sound, by SSRC.
    talkers: Vec<Reception>,
    /// When to give up: on the handshake, or on a path.
    deadline: Option<(Instant, CloseReason)>,
    closed: bool,
    transmits: VecDeque<Transmit>,
    events: VecDeque<PeerEvent>,
    stats: PeerStats,
    /// As transport-wide feedback shows it.
    round_trip: Option<Duration>,
}

impl Peer {
    /// Answers an offer. `rng` gives SSRCs, sequence numbers and ICE credentials: it must be a secure one.
    ///
    /// # Errors
    ///
    /// [`OfferError`] when nothing allowed could be sent, or a section could not be answered as asked.
    pub fn answer(
        config: PeerConfig,
        offer_sdp: &str,
        now: Instant,
        rng: &mut dyn RngCore,
    ) -> Result<(Self, Answer), OfferError> {
        let offer = Offer::read(offer_sdp, config.rights, config.video_codec)?;
        let dtls = Dtls::new(&config.certificate, offer.fingerprints.clone(), offer.role)
            .map_err(OfferError::Internal)?;
        let ours = Credentials::random(rng);
        let mut agent = Agent::new(
            ours.clone(),
            offer.credentials.clone(),
            (rng.next_u64(), rng.next_u64()),
            now,
        );
        for candidate in &config.candidates {
            agent.add_local(*candidate, now);
        }
        for candidate in &offer.candidates {
            agent.add_remote(candidate.clone(), now);
        }
        let mut stream = |kind, clock_rate| {
            let section = offer.media(kind).filter(|section| section.sends())?;
            Some(RtpStream::new(stream_config(section, clock_rate, rng)))
        };
        let (video, audio) = (stream("video", 90_000), stream("audio", 48_000));
        let max_message = config.max_message;
        let channels = offer.data().map(|section| {
            let limit = section
                .max_message
                .map_or(max_message, |theirs| theirs.min(max_message));
            let channel = ChannelConfig {
                port: section.port,
                max_message: limit,
                max_queued: config.max_queued,
            };
            Channels::new(channel, offer.role == Role::Client)
        });
        let mut peer = Self {
            session_id: rng.next_u64() >> 2,
            version: 1,
            cname: format!("{:016x}", rng.next_u64()),
            config,
            offer,
            agent,
            path: None,
            dtls,
            srtp: None,
            channels,
            video,
            audio,
            transport: TransportSequence::default(),
            feedback_clock: FeedbackClock::default(),
            reports_sent: VecDeque::new(),
            next_report: None,
            talkers: Vec::new(),
            deadline: None,
            closed: false,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            stats: PeerStats::default(),
            round_trip: None,
        };
        let answer = peer.write_answer(&ours);
        peer.pump(now);
        Ok((peer, answer))
    }

    /// Answers a new offer of the same viewer with fresh ICE credentials (RFC 8445 section 9). DTLS and media go
    /// on; the formats stay those of the first offer. Candidates of interfaces are kept and written into the answer;
    /// what STUN and TURN servers gave has to be added anew.
    ///
    /// # Errors
    ///
    /// [`OfferError`] when the offer is of another shape (sections, fingerprint) than the first one.
    pub fn restart(
        &mut self,
        offer_sdp: &str,
        now: Instant,
        rng: &mut dyn RngCore,
    ) -> Result<Answer, OfferError> {
        let offer = Offer::read(offer_sdp, self.config.rights, self.config.video_codec)?;
        if !self.offer.is_same_session(&offer) || self.closed {
            return Err(OfferError::OtherSession);
        }
        let ours = Credentials::random(rng);
        self.agent
            .restart(ours.clone(), offer.credentials.clone(), now);
        for candidate in &offer.candidates {
            self.agent.add_remote(candidate.clone(), now);
        }
        self.offer.credentials = offer.credentials;
        if self.srtp.is_some() {
            self.deadline = None;
        }
        self.version += 1;
        let answer = self.write_answer(&ours);
        self.pump(now);
        Ok(answer)
    }

    fn write_answer(&self, ours: &Credentials) -> Answer {
        let repairs = |kind| self.offer.media(kind)?.format.rtx;
        let fingerprint = self.config.certificate.fingerprint();
        let sdp = answer::write(&AnswerParts {
            offer: &self.offer,
            session_id: self.session_id,
            version: self.version,
            credentials: ours,
            fingerprint,
            candidates: self.agent.locals(),
            trickle: self.config.trickle,
            cname: &self.cname,
            video: self.video.as_ref().map(|stream| VideoSsrcs {
                media: stream.ssrc(),
                repairs: repairs("video").and(stream.rtx_ssrc()),
                parity: stream.fec_ssrc(),
            }),
            audio: self.audio.as_ref().map(RtpStream::ssrc),
            max_message: self.config.max_message,
        });
        Answer {
            sdp,
            fingerprint: fingerprint.to_owned(),
            ice_ufrag: ours.ufrag.clone(),
        }
    }

    /// Takes a datagram in: STUN, DTLS, SRTP or SRTCP (RFC 7983).
    pub fn handle_datagram(&mut self, path: Path, datagram: &[u8], now: Instant) {
        if self.closed {
            return;
        }
        let taken = match datagram {
            [0..=3, ..] => self.agent.handle(path, datagram, now),
            // The rest is taken only where ICE has met the viewer.
            _ if !self.is_known(path) => false,
            [20..=63, ..] => self.dtls.handle(datagram, now),
            [128..=191, 192..=223, ..] => self.handle_rtcp(datagram, now),
            [128..=191, ..] => self.handle_rtp(datagram, now),
            _ => {
                self.stats.malformed += 1;
                true
            }
        };
        if taken && matches!(datagram, [128..=191, ..]) {
            self.agent.notice(path, now);
        }
        self.stats.refused += u64::from(!taken);
        self.pump(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        self.agent.handle_timeout(now);
        self.dtls.handle_timeout(now);
        if let Some(channels) = &mut self.channels {
            channels.handle_timeout(now);
        }
        if self.next_report.is_some_and(|due| due <= now) {
            self.send_reports(now);
        }
        self.pump(now);
        if let Some((deadline, reason)) = self.deadline
            && deadline <= now
        {
            self.end(reason, now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called. A time in the past means at once.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        [
            self.agent.poll_timeout(),
            self.dtls.poll_timeout(),
            self.channels.as_ref().and_then(Channels::poll_timeout),
            self.next_report,
            self.deadline.map(|(deadline, _)| deadline),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next datagram of ICE, DTLS, SCTP or RTCP to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        self.events.pop_front()
    }

    /// The path in use: where a [`Batch`](crate::Batch) goes.
    pub fn selected(&self) -> Option<Selected> {
        self.path
    }

    /// Whether packets can be written: a path is selected and DTLS is up.
    pub fn is_connected(&self) -> bool {
        self.path.is_some() && self.srtp.is_some() && !self.closed
    }

    /// Queues a message for a data channel.
    ///
    /// # Errors
    ///
    /// [`MessageError`] when it will not be sent.
    pub fn send_message(
        &mut self,
        label: &str,
        data: &[u8],
        text: bool,
        now: Instant,
    ) -> Result<(), MessageError> {
        let channels = self.channels.as_mut().ok_or(MessageError::NoChannel)?;
        let queued = channels.send(label, data, text, now);
        self.pump(now);
        queued
    }

    /// Counters.
    pub fn stats(&self) -> PeerStats {
        let mut stats = self.stats;
        for stream in self.video.iter().chain(&self.audio) {
            let (packets, bytes) = stream.sent();
            stats.packets += packets;
            stats.bytes += bytes;
            stats.repaired += stream.repaired();
            stats.padding_bytes += stream.padding_bytes();
            let (packets, bytes) = stream.parity();
            stats.fec_packets += packets;
            stats.fec_bytes += bytes;
            stats.protected = stats
                .protected
                .or(stream.protection().map(|fec| fec.packets));
        }
        stats.ice_rtt = self.agent.rtt();
        stats.dropped_messages = self.channels.as_ref().map_or(0, Channels::dropped);
        stats
    }

    /// Ends the connection. What [`poll_transmit`](Self::poll_transmit) gives then is the goodbye to the viewer.
    pub fn close(&mut self, now: Instant) {
        self.end(CloseReason::Local, now);
    }

    /// Whether it has ended, from either side or by failing.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn end(&mut self, reason: CloseReason, now: Instant) {
        if self.closed {
            return;
        }
        if reason != CloseReason::Remote {
            let streams = self.video.iter().chain(&self.audio);
            let ssrcs: Vec<u32> = streams.map(RtpStream::ssrc).collect();
            if self.srtp.is_some() {
                self.send_rtcp(&goodbye(&ssrcs));
            }
            self.dtls.close(now);
        }
        self.flush_dtls();
        self.closed = true;
        self.events.push_back(PeerEvent::Closed(reason));
    }

    /// Passes on what the parts have for each other, for the network and for the driver.
    fn pump(&mut self, now: Instant) {
        while let Some(change) = self.agent.poll_change() {
            match change {
                Change::State(state) => self.ice_moved(state, now),
                Change::Selected(selected) => {
                    self.path = Some(selected);
                    self.events.push_back(PeerEvent::Selected(selected));
                    if self.srtp.is_none() && self.deadline.is_none() {
                        self.deadline = Some((now + HANDSHAKE, CloseReason::DtlsFailed));
                    }
                    self.dtls.start(now);
                }
            }
        }
        while let Some(transmit) = self.agent.poll_transmit() {
            self.transmits.push_back(transmit);
        }
        while let Some(event) = self.dtls.poll_event() {
            match event {
                DtlsEvent::Connected(profile, keys) => match Srtp::new(profile, &keys) {
                    Ok(srtp) => {
                        self.srtp = Some(srtp);
                        self.deadline = None;
                        self.events.push_back(PeerEvent::Connected(profile));
                        if let Some(channels) = &mut self.channels {
                            channels.start(now);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "SRTP could not be keyed");
                        self.end(CloseReason::DtlsFailed, now);
                    }
                },
                DtlsEvent::Data(data) => {
                    if let Some(channels) = &mut self.channels {
                        channels.handle(data.freeze(), now);
                    }
                }
                DtlsEvent::Closed => self.end(CloseReason::Remote, now),
                DtlsEvent::Failed(error) => {
                    tracing::info!(%error, "the DTLS handshake failed");
                    self.end(CloseReason::DtlsFailed, now);
                }
            }
        }
        self.pump_channels(now);
        self.flush_dtls();
    }

    fn pump_channels(&mut self, now: Instant) {
        let Some(channels) = &mut self.channels else {
            return;
        };
        for packet in channels.poll_transmit(now) {
            self.dtls.send(&packet, now);
        }
        while let Some(event) = channels.poll_event() {
            self.events.push_back(match event {
                ChannelEvent::Open(label) => PeerEvent::ChannelOpen { label },
                ChannelEvent::Message { label, data, text } => {
                    PeerEvent::Message { label, data, text }
                }
                ChannelEvent::Closed(label) => PeerEvent::ChannelClosed { label },
            });
        }
    }

    fn flush_dtls(&mut self) {
        while let Some(bytes) = self.dtls.poll_transmit() {
            if let Some(selected) = self.path {
                self.transmits.push_back(Transmit {
                    path: selected.path,
                    bytes: bytes.to_vec(),
                });
            }
        }
    }

    fn ice_moved(&mut self, state: IceState, now: Instant) {
        match state {
            IceState::Failed => {
                // Without consent nothing may be sent any more (RFC 7675 section 5.1).
                self.path = None;
                self.deadline = Some((now + RESTART, CloseReason::IceFailed));
            }
            IceState::Connected if self.srtp.is_some() => self.deadline = None,
            _ => {}
        }
        self.events.push_back(PeerEvent::Ice(state));
    }
}

fn stream_config(section: &MediaSection, clock_rate: u32, rng: &mut dyn RngCore) -> StreamConfig {
    let feedback = |what: &str| {
        section
            .format
            .feedback
            .iter()
            .any(|offered| offered == what)
    };
    StreamConfig {
        ssrc: rng.next_u32(),
        payload_type: section.format.payload_type,
        rtx: section.format.rtx.map(|rtx| (rng.next_u32(), rtx)),
        fec: section
            .format
            .fec
            .as_ref()
            .map(|fec| (rng.next_u32(), fec.payload_type)),
        clock_rate,
        ids: ExtensionIds {
            capture_time: section.extension(extension::CAPTURE_TIME),
            playout_delay: section.extension(extension::PLAYOUT_DELAY),
            transport_seq: section
                .extension(extension::TRANSPORT_SEQ)
                .filter(|_| feedback("transport-cc")),
            mid: section.extension(extension::MID),
        },
        mid: section.mid.clone().into_bytes(),
        random: rng.next_u64(),
    }
}
