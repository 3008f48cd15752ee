//! What the driver does with commands, and with what viewers want.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use heron_congestion::{Level, ViewerId};
use heron_peer::{Certificate, CertificateError};
use heron_protocol::messages::{EndReason, RtcUp};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::control::{Call, ControlError, notification};
use crate::driver::{Command, Driver, Seat, ViewerKey};
use crate::event::{ControlReply, ControlRequest, Event};
use crate::gathering::Gathering;
use crate::hub::{LocalAnswer, Refusal};
use crate::opening::{self, Open};
use crate::talk::TalkEvent;
use crate::viewer::{End, Viewer, Wanted};

impl Driver {
    /// Carries a command out.
    pub(crate) fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Open { open, answer } => self.open(*open, answer, now),
            Command::Candidates {
                session,
                candidates,
            } => {
                if let Some(key) = self.sessions.get(&session).copied() {
                    self.candidates(key, &candidates, now);
                }
            }
            Command::Restart {
                session,
                offer,
                granted,
                ice_servers,
            } => {
                if let Some(key) = self.sessions.get(&session).copied() {
                    self.restart(key, &offer, granted, &ice_servers, now);
                }
            }
            Command::Close { session, end } => {
                if let Some(key) = self.sessions.get(&session).copied() {
                    self.close(key, end, now);
                }
            }
            Command::Located {
                viewer,
                round,
                servers,
            } => self.located(viewer, round, servers, now),
            Command::Resolved {
                viewer,
                round,
                candidate,
            } => self.resolved(viewer, round, &candidate, now),
            Command::NetworkChanged => self.network_changed(now),
            Command::Answer {
                viewer,
                call,
                outcome,
            } => {
                if let Some(seat) = self.seats.get_mut(&viewer) {
                    seat.viewer.answer(call, outcome, now);
                    seat.touched = true;
                }
            }
        }
    }

    /// Ends a session and tells everybody whom it concerns.
    pub(crate) fn close(&mut self, key: ViewerKey, end: End, now: Instant) {
        self.talk_ended(key, false, now);
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        seat.viewer.publish();
        let message = seat.viewer.closed(end);
        seat.viewer.peer().close(now);
        self.send_rest(key, now);
        self.connections.forget(key);
        if let Some(mut seat) = self.seats.remove(&key) {
            seat.viewer.leave(now);
            self.sessions.remove(&seat.viewer.opening.session);
            self.tell(&seat.viewer, message);
            self.registry.leave(&seat.viewer.opening.session);
        }
        self.demux.forget(key);
        self.adaptation.left(key, now);
    }

    /// Does what a viewer wants of others; returns its end if it has come.
    pub(crate) fn wishes(&mut self, key: ViewerKey, now: Instant) -> Option<End> {
        self.seats.get_mut(&key)?.viewer.listen(now);
        while let Some(wanted) = self.seats.get_mut(&key)?.viewer.poll_wanted() {
            match wanted {
                Wanted::Tell(message) => self.tell(&self.seats.get(&key)?.viewer, message),
                Wanted::KeyFrame(rung) => self.adaptation.want_key_frame(rung, now),
                Wanted::Estimate(bps) => {
                    self.adaptation.estimate(key, bps, now);
                    let useful = self.adaptation.useful_bps(key);
                    self.seats.get_mut(&key)?.viewer.set_useful(useful);
                }
                Wanted::Waiting => {
                    self.anew(key, now);
                }
                Wanted::Connected => {
                    self.registry.connected.fetch_add(1, Ordering::Relaxed);
                    self.begin(key, now);
                }
                Wanted::Anew => self.begin(key, now),
                Wanted::Heard(sound) => {
                    if self.floor.heard(key, now) {
                        self.registry.tell(Event::Talk(TalkEvent::Packet {
                            payload: sound.payload,
                            sequence: sound.sequence,
                            timestamp: sound.timestamp,
                        }));
                    }
                }
                Wanted::Call(call) => self.call(key, call, now),
                Wanted::Unreachable => self.talk_ended(key, false, now),
                Wanted::End(end) => return Some(end),
            }
        }
        None
    }

    /// A viewer does not talk any more; `tell` it, when it did not ask for that.
    pub(crate) fn talk_ended(&mut self, key: ViewerKey, tell: bool, now: Instant) {
        let held = self.floor.give(key) || tell;
        if !held {
            return;
        }
        self.registry.tell(Event::Talk(TalkEvent::End));
        if let Some(seat) = self.seats.get_mut(&key).filter(|_| tell) {
            let params = json!({"reason": "nothing was heard"});
            seat.viewer.say(&notification("talk.ended", &params), now);
            seat.touched = true;
        }
    }

    fn open(
        &mut self,
        open: Open,
        answer: Option<oneshot::Sender<Result<LocalAnswer, Refusal>>>,
        now: Instant,
    ) {
        let session = open.opening.session.clone();
        match self.admit(open, now) {
            Ok(sdp) => {
                self.registry.opened.fetch_add(1, Ordering::Relaxed);
                let answered = answer.is_none_or(|answer| {
                    let session = session.clone();
                    answer.send(Ok(LocalAnswer { session, sdp })).is_ok()
                });
                if !answered && let Some(key) = self.sessions.get(&session).copied() {
                    let end = End::new(EndReason::ViewerClosed, "the viewer did not wait");
                    self.close(key, end, now);
                }
            }
            Err((end, refusal)) => {
                self.registry.refused.fetch_add(1, Ordering::Relaxed);
                tracing::info!(session = session.short(), reason = ?end.reason, detail = end.detail, "session refused");
                match answer {
                    Some(answer) => drop(answer.send(Err(refusal))),
                    None => self.registry.tell(Event::Send {
                        session: session.clone(),
                        message: RtcUp::Closed {
                            seq: 0,
                            reason: end.reason,
                            detail: end.detail,
                            stats: None,
                        },
                    }),
                }
                self.registry.leave(&session);
            }
        }
    }

    /// Answers an offer and gives the viewer its seat. Returns the answer.
    fn admit(&mut self, mut open: Open, now: Instant) -> Result<String, (End, Refusal)> {
        let failed = |why: String| {
            let end = End::new(EndReason::Failed, why.clone());
            (end, Refusal::Failed(why))
        };
        if self.ports.is_empty() {
            self.ports = self.config.ports();
        }
        if self.ports.is_empty() {
            return Err(failed("no address for media could be bound".to_owned()));
        }
        let certificate = self
            .certificate()
            .map_err(|error| failed(error.to_string()))?;
        let hosts = self.ports.candidates();
        let (peer, answer) = opening::answer(&mut open, certificate, &hosts, &self.config, now)
            .map_err(|error| {
                let refusal = Refusal::Offer(error.to_string());
                (opening::refused(&error), refusal)
            })?;
        let proof = open
            .granted
            .map(|granted| opening::sign(&self.config, &open.opening.session, granted, &answer))
            .transpose()
            .map_err(|end| (end.clone(), Refusal::Failed(end.detail)))?;

        let key = ViewerId(self.next);
        self.next += 1;
        let wish = opening::wish(&peer);
        let start = Viewer::start_bps();
        let level = self.adaptation.joined(key, wish, start, now);
        self.demux.expect(&answer.ice_ufrag, key);
        self.sessions.insert(open.opening.session.clone(), key);
        let gathering = Gathering::new(self.tls.clone());
        let mut viewer = Viewer::new(open.opening, peer, gathering, level, &self.config, now);
        viewer.set_useful(self.adaptation.useful_bps(key));
        if let Some(proof) = proof {
            viewer.answered(answer.sdp.clone(), proof, now);
        }
        let seat = Seat {
            viewer,
            due: now,
            touched: true,
        };
        self.seats.insert(key, seat);
        self.locate(key, &open.ice_servers);
        self.resolve(key, opening::candidates(&open.offer));
        Ok(answer.sdp)
    }

    /// A viewer that could not show what it takes is not judged by what it has shown.
    fn anew(&mut self, key: ViewerKey, now: Instant) -> Option<Level> {
        let viewer = &mut self.seats.get_mut(&key)?.viewer;
        let (bps, wish) = (viewer.media_bps(), opening::wish(viewer.peer()));
        Some(self.adaptation.connected(key, wish, bps, now))
    }

    /// The picture begins, of the rung that the first guess allows.
    fn begin(&mut self, key: ViewerKey, now: Instant) {
        if let Some(level) = self.anew(key, now)
            && let Some(seat) = self.seats.get_mut(&key)
        {
            seat.viewer.moved(level);
            seat.viewer.want_key_frame();
            let useful = self.adaptation.useful_bps(key);
            seat.viewer.set_useful(useful);
        }
    }

    fn call(&mut self, key: ViewerKey, call: Call, now: Instant) {
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        let rights = seat.viewer.opening.rights;
        let session = seat.viewer.opening.session.clone();
        let outcome = match call.method.as_str() {
            "talk.begin" if !rights.talk => Err(ControlError::not_allowed(&call.method)),
            "talk.begin" => {
                let had = self.floor.is_held_by(key);
                if self.floor.take(key, now) {
                    if !had {
                        self.registry.tell(Event::Talk(TalkEvent::Begin(session)));
                    }
                    Ok(Value::Bool(true))
                } else {
                    Err(ControlError::new(
                        ControlError::BUSY,
                        "somebody else is talking",
                    ))
                }
            }
            "talk.end" => {
                let held = self.floor.is_held_by(key);
                self.talk_ended(key, false, now);
                Ok(Value::Bool(held))
            }
            _ => {
                if let Some(commands) = self.commands.upgrade() {
                    let reply = ControlReply::new(commands, key, call.id);
                    let request = ControlRequest {
                        session,
                        rights,
                        method: call.method,
                        params: call.params,
                    };
                    self.registry.tell(Event::Control { request, reply });
                }
                return;
            }
        };
        if let Some(seat) = self.seats.get_mut(&key) {
            seat.viewer.answer(call.id, outcome, now);
        }
    }

    fn tell(&self, viewer: &Viewer, message: RtcUp) {
        if !viewer.opening.local {
            self.registry.tell(Event::Send {
                session: viewer.opening.session.clone(),
                message,
            });
        }
    }

    /// Made for the first viewer, kept for the others.
    fn certificate(&mut self) -> Result<Arc<Certificate>, CertificateError> {
        if let Some(certificate) = &self.certificate {
            return Ok(Arc::clone(certificate));
        }
        let certificate = Arc::new(Certificate::generate()?);
        self.certificate = Some(Arc::clone(&certificate));
        Ok(certificate)
    }
}
