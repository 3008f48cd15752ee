//! What the driver does about the paths to viewers: servers, restarts, hidden names, and networks that change.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use heron_peer::{CandidateKind, Path};
use heron_protocol::Fingerprint;
use heron_protocol::messages::{Candidate, IceServer, RestartReason};
use rustls::{ClientConfig, RootCertStore};

use crate::driver::{Command, Driver, ViewerKey};
use crate::gathering::{Gathered, Gathering};
use crate::interfaces;
use crate::mdns;
use crate::opening;
use crate::servers::{self, Located, Server};
use crate::viewer::Viewer;

/// Questions for hidden names that are under way at once, of all viewers.
pub const MAX_QUESTIONS: usize = 4;

/// How TURN servers are spoken to over TLS. Browsers offer no ALPN (RFC 7443) to them, and neither do we: what the
/// server has must do.
pub fn tls(roots: &Arc<RootCertStore>) -> Option<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| tracing::warn!(%error, "no TURN over TLS"))
        .ok()?
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    Some(Arc::new(config))
}

impl Driver {
    /// What a viewer's servers gave.
    pub(crate) fn gathered(&mut self, key: ViewerKey, now: Instant) {
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        let viewer = &mut seat.viewer;
        while let Some(gathered) = viewer.gathering.poll(now) {
            match gathered {
                Gathered::Candidate(candidate) => {
                    if candidate.kind == CandidateKind::Relay || !viewer.opening.relay_only {
                        viewer.add_local(candidate, now);
                    }
                }
                other => relayed(viewer, other, now),
            }
        }
        while let Some(gathered) = viewer.former.as_mut().and_then(|former| former.poll(now)) {
            relayed(viewer, gathered, now);
        }
    }

    /// Servers of a viewer were looked up.
    pub(crate) fn located(
        &mut self,
        viewer: ViewerKey,
        round: u32,
        servers: Vec<Located>,
        now: Instant,
    ) {
        let hosts = self.ports.hosts();
        if let Some(seat) = self.seats.get_mut(&viewer)
            && seat.viewer.restarts.count() == round
        {
            let viewer = &mut seat.viewer;
            let bases = viewer.bases(&hosts);
            viewer.gathering.ask(servers, bases, now);
            seat.touched = true;
        }
    }

    /// A fresh path under the same keys: the DTLS association, and with it both fingerprints, stay.
    pub(crate) fn restart(
        &mut self,
        key: ViewerKey,
        offer: &str,
        granted: Fingerprint,
        ice_servers: &[IceServer],
        now: Instant,
    ) {
        let hosts = self.ports.candidates();
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        seat.touched = true;
        let viewer = &mut seat.viewer;
        if !viewer.opening.relay_only {
            viewer.set_hosts(&hosts, false, now);
        }
        let answered = viewer
            .peer()
            .restart(offer, now, &mut rand::rng())
            .map_err(|error| opening::refused(&error))
            .and_then(|answer| {
                let session = &viewer.opening.session;
                let proof = opening::sign(&self.config, session, granted, &answer)?;
                Ok((answer, proof))
            });
        match answered {
            Ok((answer, proof)) => {
                self.demux.expect(&answer.ice_ufrag, key);
                viewer.restarted(Gathering::new(self.tls.clone()), now);
                viewer.answered(answer.sdp, proof, now);
                self.locate(key, ice_servers);
                self.resolve(key, opening::candidates(offer));
            }
            Err(end) => self.close(key, end, now),
        }
    }

    /// Looks servers up, in tasks of their own; they come back as commands.
    pub(crate) fn locate(&self, key: ViewerKey, ice_servers: &[IceServer]) {
        let (servers, skipped) = servers::usable(ice_servers);
        if !skipped.is_empty() {
            tracing::info!(urls = ?skipped, "ICE servers passed over: their URLs are of no use here");
        }
        let (Some(commands), Some(seat)) = (self.commands.upgrade(), self.seats.get(&key)) else {
            return;
        };
        let round = seat.viewer.restarts.count();
        let mut by_host: BTreeMap<String, Vec<Server>> = BTreeMap::new();
        for server in servers {
            let host = server.host().to_owned();
            by_host.entry(host).or_default().push(server);
        }
        for (host, servers) in by_host {
            let commands = commands.clone();
            tokio::spawn(async move {
                let addresses = servers::look_up(&host).await;
                let servers = servers.into_iter().map(|server| server.at(&addresses));
                let located = Command::Located {
                    viewer: key,
                    round,
                    servers: servers.collect(),
                };
                let _ = commands.send(located).await;
            });
        }
    }

    /// Candidates of a viewer.
    pub(crate) fn candidates(&mut self, key: ViewerKey, candidates: &[Candidate], now: Instant) {
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        seat.touched = true;
        seat.viewer.add_remote(candidates, now);
        self.resolve(
            key,
            candidates
                .iter()
                .map(|candidate| candidate.candidate.as_str()),
        );
    }

    /// Asks for the addresses behind hidden names, in a task of its own; they come back as commands.
    pub(crate) fn resolve<'a>(&self, key: ViewerKey, candidates: impl Iterator<Item = &'a str>) {
        let (Some(commands), Some(seat)) = (self.commands.upgrade(), self.seats.get(&key)) else {
            return;
        };
        if !self.config.mdns || seat.viewer.opening.relay_only {
            return;
        }
        let hidden = candidates
            .filter_map(|candidate| {
                Some((mdns::hidden(candidate)?.to_owned(), candidate.to_owned()))
            })
            .take(mdns::MAX_NAMES);
        let (names, candidates): (Vec<String>, Vec<String>) = hidden.unzip();
        if names.is_empty() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.questions).try_acquire_owned() else {
            tracing::debug!("hidden names are not asked for: enough are already");
            return;
        };
        let round = seat.viewer.restarts.count();
        let addresses: Vec<_> = self
            .ports
            .hosts()
            .into_iter()
            .filter_map(|address| match address.ip() {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(_) => None,
            })
            .collect();
        tokio::spawn(async move {
            let _permit = permit;
            let found = |name: &str, ip| {
                let of_name = names.iter().zip(&candidates);
                for (_, candidate) in of_name.filter(|(known, _)| *known == name) {
                    let candidate = mdns::shown(candidate, ip);
                    let _ = commands.try_send(Command::Resolved {
                        viewer: key,
                        round,
                        candidate,
                    });
                }
            };
            if let Err(error) = mdns::resolve(&names, &addresses, found).await {
                tracing::debug!(%error, "hidden names cannot be asked for");
            }
        });
    }

    /// A hidden name's address is known.
    pub(crate) fn resolved(&mut self, key: ViewerKey, round: u32, candidate: &str, now: Instant) {
        if let Some(seat) = self.seats.get_mut(&key)
            && seat.viewer.restarts.count() == round
        {
            seat.viewer.peer().add_remote_candidate(candidate, now);
            seat.touched = true;
        }
    }

    /// Addresses or routes of ours changed.
    pub(crate) fn network_changed(&mut self, now: Instant) {
        if self.ports.is_empty() {
            // Bound when the first viewer comes.
            return;
        }
        self.ports.renew();
        let candidates = self.ports.candidates();
        let hosts = self.ports.hosts();
        let ours = match interfaces::ours() {
            Ok(ours) => ours,
            Err(error) => {
                tracing::warn!(%error, "the interfaces are not known");
                return;
            }
        };
        tracing::info!(?hosts, "the network changed");
        for seat in self.seats.values_mut() {
            let viewer = &mut seat.viewer;
            seat.touched = true;
            let had_path = viewer.peer().selected().is_some();
            if !viewer.opening.relay_only {
                viewer.set_hosts(&candidates, true, now);
            }
            let bases = viewer.bases(&hosts);
            viewer.gathering.network_changed(&ours, bases, now);
            if let Some(former) = &mut viewer.former {
                former.network_changed(&ours, &[], now);
            }
            while let Some(gathered) = viewer.gathering.poll(now) {
                match gathered {
                    Gathered::Candidate(candidate) => viewer.add_local(candidate, now),
                    other => relayed(viewer, other, now),
                }
            }
            // Also a viewer that had no path any more: now there may be one.
            let has_path = viewer.peer().selected().is_some();
            if !has_path || !had_path || viewer.is_silent() {
                viewer.want_restart(RestartReason::NetworkChanged, now);
            }
        }
    }
}

/// What came to a relayed address, or became of it.
fn relayed(viewer: &mut Viewer, gathered: Gathered, now: Instant) {
    match gathered {
        Gathered::Data { to, from, datagram } => {
            viewer
                .peer()
                .handle_datagram(Path::udp(to, from), &datagram, now);
        }
        Gathered::Lost(address) => viewer.local_lost(address, RestartReason::RelayLost, now),
        Gathered::Candidate(_) => {}
    }
}
