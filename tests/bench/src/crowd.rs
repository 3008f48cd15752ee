//! Many viewers in one thread.

use std::net::IpAddr;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::viewer::{Counts, Seen, Viewer};
use crate::whep::{Endpoint, Joined};

/// The largest datagram looked at.
const DATAGRAM: usize = 2048;
/// How often answers that have come over HTTP are looked for.
const LOOK: Duration = Duration::from_millis(10);

/// Names a viewer among others.
pub type ViewerId = usize;

/// Viewers of one endpoint.
pub struct Crowd {
    endpoint: Endpoint,
    address: IpAddr,
    members: Vec<Member>,
    next: ViewerId,
    buffer: Vec<u8>,
}

struct Member {
    id: ViewerId,
    viewer: Viewer,
    /// The answer is on its way.
    answer: Option<Receiver<Result<Joined>>>,
    resource: Option<String>,
}

impl Crowd {
    /// Nobody yet; everybody will receive at `address`.
    #[must_use]
    pub fn new(endpoint: Endpoint, address: IpAddr) -> Self {
        Self {
            endpoint,
            address,
            members: Vec::new(),
            next: 0,
            buffer: vec![0; DATAGRAM],
        }
    }

    /// One more; its answer is awaited while the others are served.
    pub fn join(&mut self) -> Result<ViewerId> {
        let (viewer, offer) = Viewer::new(self.address, Instant::now())?;
        let (sender, answer) = channel();
        let endpoint = self.endpoint.clone();
        thread::spawn(move || sender.send(endpoint.join(&offer)));
        let id = self.next;
        self.next += 1;
        self.members.push(Member {
            id,
            viewer,
            answer: Some(answer),
            resource: None,
        });
        Ok(id)
    }

    /// One less: goodbye over DTLS and a DELETE. Returns what it had got.
    pub fn leave(&mut self, id: ViewerId) -> Option<Counts> {
        let place = self.members.iter().position(|member| member.id == id)?;
        let mut member = self.members.swap_remove(place);
        let counts = member.viewer.counts();
        member.viewer.close();
        if let Some(resource) = member.resource {
            let endpoint = self.endpoint.clone();
            // The server's to clean up if it does not answer.
            thread::spawn(move || endpoint.leave(&resource));
        }
        Some(counts)
    }

    /// Everybody leaves, and is waited for.
    pub fn leave_all(&mut self) {
        for mut member in self.members.drain(..) {
            member.viewer.close();
            if let Some(resource) = &member.resource {
                let _ = self.endpoint.leave(resource);
            }
        }
    }

    /// All viewers with their names.
    pub fn viewers(&self) -> impl Iterator<Item = (ViewerId, &Viewer)> {
        self.members
            .iter()
            .map(|member| (member.id, &member.viewer))
    }

    /// A viewer by name.
    pub fn viewer_mut(&mut self, id: ViewerId) -> Option<&mut Viewer> {
        let member = self.members.iter_mut().find(|member| member.id == id)?;
        Some(&mut member.viewer)
    }

    /// What all who are here have got.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for member in &self.members {
            sum.add(&member.viewer.counts());
        }
        sum
    }

    /// Serves everybody until `until`, or until `each` says `true` (enough).
    ///
    /// An error when somebody's offer was refused or a connection ended.
    pub fn serve(
        &mut self,
        until: Instant,
        each: &mut dyn FnMut(ViewerId, Seen) -> bool,
    ) -> Result<()> {
        let mut enough = false;
        loop {
            let now = Instant::now();
            let mut wake = until;
            for member in &mut self.members {
                member.look_for_answer()?;
                if member.viewer.wake() <= now {
                    member.viewer.drive(now)?;
                }
                if !member.viewer.is_alive() {
                    bail!("the server ended the connection of viewer {}", member.id);
                }
                wake = wake.min(member.viewer.wake());
                if member.answer.is_some() {
                    wake = wake.min(now + LOOK);
                }
            }
            if enough || now >= until {
                return Ok(());
            }
            let ready = self.wait(wake.saturating_duration_since(now))?;
            for (member, _) in self
                .members
                .iter_mut()
                .zip(ready)
                .filter(|(_, ready)| *ready)
            {
                let id = member.id;
                member
                    .viewer
                    .receive(&mut self.buffer, &mut |seen| enough |= each(id, seen))
                    .with_context(|| format!("viewer {id}"))?;
            }
        }
    }

    /// Waits for datagrams; says for each member whether there are any.
    fn wait(&self, time: Duration) -> Result<Vec<bool>> {
        let sockets = self.members.iter().map(|member| member.viewer.socket());
        let mut sockets: Vec<_> = sockets
            .map(|socket| PollFd::new(socket, PollFlags::IN))
            .collect();
        let time = Timespec {
            tv_sec: time.as_secs() as _,
            tv_nsec: time.subsec_nanos().into(),
        };
        match poll(&mut sockets, Some(&time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(sockets
            .iter()
            .map(|socket| !socket.revents().is_empty())
            .collect())
    }
}

impl Member {
    fn look_for_answer(&mut self) -> Result<()> {
        let Some(answer) = &self.answer else {
            return Ok(());
        };
        if let Ok(joined) = answer.try_recv() {
            self.answer = None;
            let joined = joined?;
            self.resource = joined.resource;
            self.viewer.answered(&joined.answer)?;
        }
        Ok(())
    }
}
