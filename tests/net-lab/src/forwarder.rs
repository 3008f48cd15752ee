//! The driver of a link: a thread between two TUN devices.

use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use crate::{Counters, End, Impairment, LabError, Link, tun};

/// Larger than any packet that a device with the usual MTU of 1500 gives.
const LARGEST: usize = 2048;

/// A direction of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first end to the second.
    Forth,
    /// From the second end to the first.
    Back,
}

/// A link between two hosts, perfect until told otherwise. On each host the device that leads to the
/// other has the other's name. Dropped, the devices are gone.
#[derive(Debug)]
pub struct Forwarder {
    links: Arc<Mutex<[Link; 2]>>,
    /// A byte wakes the thread, the end of the pipe ends it.
    wake: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Links two hosts. The seed decides the fate of packets.
    ///
    /// # Errors
    /// When a TUN device cannot be made (rights, `/dev/net/tun`, the name taken) or `ip` refuses the
    /// address.
    pub fn between(first: End<'_>, second: End<'_>, seed: u64) -> Result<Self, LabError> {
        let [a, b] = [first.namespace, second.namespace];
        let devices = [tun::open(a, b.name())?, tun::open(b, a.name())?];
        a.set_up(b.name(), first.address)?;
        b.set_up(a.name(), second.address)?;
        // Two seeds that share no draws for a long time.
        let new = |seed| Link::new(Impairment::NONE, seed);
        let links = Arc::new(Mutex::new([new(seed), new(!seed)]));
        let (woken, wake) = io::pipe().map_err(LabError::Thread)?;
        let driver = Driver {
            devices,
            links: Arc::clone(&links),
        };
        let thread = std::thread::Builder::new()
            .name("net-lab".to_owned())
            .spawn(move || driver.run(woken))
            .map_err(LabError::Thread)?;
        Ok(Self {
            links,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Changes what happens to packets of one direction from now on.
    pub fn set(&self, direction: Direction, impairment: Impairment) {
        lock(&self.links)[direction as usize].set(impairment, Instant::now());
        if let Some(mut wake) = self.wake.as_ref() {
            // Only a thread that has ended cannot be woken.
            let _ = wake.write_all(&[0]);
        }
    }

    /// What has become of the packets of one direction.
    #[must_use]
    pub fn counters(&self, direction: Direction) -> Counters {
        lock(&self.links)[direction as usize].counters()
    }

    /// How much waits at the bottleneck of one direction, in bytes.
    #[must_use]
    pub fn queued_bytes(&self, direction: Direction) -> u64 {
        lock(&self.links)[direction as usize].queued_bytes()
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// No state of a link is left half changed, so one that panicked is still good.
fn lock(links: &Mutex<[Link; 2]>) -> MutexGuard<'_, [Link; 2]> {
    links.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Driver {
    /// The first end's and the second end's.
    devices: [File; 2],
    links: Arc<Mutex<[Link; 2]>>,
}

impl Driver {
    fn run(&self, mut woken: io::PipeReader) {
        loop {
            let next = self.pass();
            let wait = next.map(|at| at.saturating_duration_since(Instant::now()));
            let wait = wait.map(|wait: Duration| Timespec {
                tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            });
            let mut ready = [
                PollFd::new(&self.devices[0], PollFlags::IN),
                PollFd::new(&self.devices[1], PollFlags::IN),
                PollFd::new(&woken, PollFlags::IN),
            ];
            match poll(&mut ready, wait.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            let changed = !ready[2].revents().is_empty();
            if changed && !matches!(woken.read(&mut [0; 16]), Ok(1..)) {
                return;
            }
        }
    }

    /// Takes in what has come, lets out what has arrived; returns when there is more to do.
    fn pass(&self) -> Option<Instant> {
        /// At most so many at once from one side, so that the other has its turn.
        const BATCH: usize = 64;
        let mut links = lock(&self.links);
        let mut packet = [0; LARGEST];
        for (from, link) in links.iter_mut().enumerate() {
            let (mut input, mut output) = (&self.devices[from], &self.devices[1 - from]);
            for _ in 0..BATCH {
                // "Nothing there" and "device down" alike: there is nothing to take in.
                let Ok(length) = input.read(&mut packet) else {
                    break;
                };
                link.push(packet[..length].to_vec(), Instant::now());
            }
            while let Some(packet) = link.pop(Instant::now()) {
                // A host whose device is down receives nothing, as in life.
                let _ = output.write(&packet);
            }
        }
        links.iter().filter_map(Link::next_at).min()
    }
}
