//! Who may come in now: the store's certificates and standings, held in memory.
//!
//! Every door asks the [`Gate`]: the embedded broker, hooks of foreign brokers, the HTTPS routes for devices. An
//! answer takes no query, so that a thousand cameras may come at once. What the answers change (a certificate's first
//! use) is written behind their back by [`Gate::follow`], which also reads what other processes did to the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use heron_protocol::DeviceId;
use parking_lot::RwLock;
use tokio::sync::Mutex;

use super::admission::{self, NotAdmitted, Purpose, RENEWABLE, millis};
use super::{Authority, IdentityError, RevokedSerial};
use crate::clock::unix_ms;
use crate::store::{CertificateState, Certificates, KnownCamera, Standing, StoreError};

/// How often the store is asked what happened. A revocation by the command line takes this long to arrive.
const POLL: Duration = Duration::from_millis(500);

/// What becomes of a camera that is put out.
#[async_trait]
pub trait Bouncer: Send + Sync {
    /// Ends everything the camera does now: its sessions with that reason, TURN, its connection to the broker.
    /// `removed`: it is no camera of ours any more.
    async fn put_out(&self, device: &DeviceId, reason: &str, removed: bool);
}

/// Decides who may come in.
pub struct Gate {
    store: Arc<dyn Certificates>,
    known: RwLock<HashMap<DeviceId, KnownCamera>>,
    /// The last event that `known` contains.
    followed: Mutex<i64>,
    /// First uses that are not written down yet: serial number and time.
    uses: parking_lot::Mutex<Vec<(String, i64)>>,
    writing: Mutex<()>,
}

impl Gate {
    /// Over what is stored at `now`.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn open(store: Arc<dyn Certificates>, now: SystemTime) -> Result<Self, StoreError> {
        // The events first: what happens between the two queries is read twice, not missed.
        let last = store.last_event().await?;
        let known = store.known(None, unix_ms(now), millis(RENEWABLE)).await?;
        Ok(Self {
            store,
            known: RwLock::new(known.into_iter().collect()),
            followed: Mutex::new(last),
            uses: parking_lot::Mutex::default(),
            writing: Mutex::default(),
        })
    }

    /// Whether `device` may connect with the certificate of that serial number (lower-case hexadecimal without leading
    /// zeros). Its first connection makes a pending certificate the active one.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted`].
    pub fn admit(
        &self,
        device: &DeviceId,
        serial: &str,
        purpose: Purpose,
        now: SystemTime,
    ) -> Result<(), NotAdmitted> {
        let now_ms = unix_ms(now);
        let pending = {
            let known = self.known.read();
            let camera = known.get(device).ok_or(NotAdmitted::UnknownCamera)?;
            let certificate = admission::admit(camera, serial, purpose, now_ms)?;
            certificate.state == CertificateState::Pending
        };
        if pending {
            if let Some(camera) = self.known.write().get_mut(device) {
                admission::used(camera, serial, now_ms);
            }
            self.uses.lock().push((serial.to_owned(), now_ms));
        }
        Ok(())
    }

    /// Whether anything of the camera may be accepted now: why not, if not.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted`], about the camera and not about a certificate of it.
    pub fn standing(&self, device: &DeviceId) -> Result<(), NotAdmitted> {
        let known = self.known.read();
        // A camera without a certificate has nothing to be refused for.
        known.get(device).map_or(Ok(()), admission::standing)
    }

    /// The serial numbers that no door accepts at `now` although their certificates are in date.
    pub fn revoked(&self, now: SystemTime) -> Vec<RevokedSerial> {
        let now_ms = unix_ms(now);
        let mut revoked = Vec::new();
        for camera in self.known.read().values() {
            for certificate in &camera.certificates {
                let verdict =
                    admission::admit(camera, &certificate.serial, Purpose::Connect, now_ms);
                let in_date = certificate.not_after_ms > now_ms;
                if let (Err(refused), true) = (verdict, in_date) {
                    let since_ms = certificate.ended_ms.or(camera.since_ms);
                    revoked.push(RevokedSerial {
                        serial: certificate.serial.clone(),
                        since_ms: since_ms.unwrap_or(certificate.issued_ms),
                        refused,
                    });
                }
            }
        }
        revoked.sort_by(|a, b| a.serial.cmp(&b.serial));
        revoked
    }

    /// The list of those, signed by the device CA, for brokers that read one (RFC 5280 section 5). PEM.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Make`].
    pub fn revocation_list(
        &self,
        devices: &Authority,
        now: SystemTime,
    ) -> Result<String, IdentityError> {
        devices.revocation_list(&self.revoked(now), now)
    }

    /// Reads what happened in the store since the last call, by whichever process, and puts out who lost its standing.
    ///
    /// # Errors
    ///
    /// The store's; then the next call reads it.
    pub async fn catch_up(&self, bouncer: &dyn Bouncer, now: SystemTime) -> Result<(), StoreError> {
        // One at a time, so that a later state is never replaced by an earlier one.
        let mut followed = self.followed.lock().await;
        let (changed, last) = self.store.events(*followed).await?;
        if changed.is_empty() {
            return Ok(());
        }
        let mut fresh = self
            .store
            .known(Some(&changed), unix_ms(now), millis(RENEWABLE))
            .await?;
        let mut out = Vec::new();
        {
            let mut known = self.known.write();
            for device in &changed {
                let before = known.get(device).map(admission::standing);
                let Some(mut camera) = fresh.remove(device) else {
                    known.remove(device);
                    continue;
                };
                if let Some(held) = known.get(device) {
                    keep_uses(held, &mut camera);
                }
                if let Err(refused) = admission::standing(&camera)
                    && before != Some(Err(refused.clone()))
                {
                    out.push((device.clone(), refused, camera.removed));
                }
                known.insert(device.clone(), camera);
            }
        }
        *followed = last;
        drop(followed);
        for (device, refused, removed) in out {
            tracing::warn!(%device, reason = %refused, "a camera is put out");
            let reason = if removed {
                "the camera was removed".to_owned()
            } else {
                refused.to_string()
            };
            bouncer.put_out(&device, &reason, removed).await;
        }
        Ok(())
    }

    /// Follows the store and writes first uses down, for ever. One task of the server does this.
    pub async fn follow(&self, bouncer: &dyn Bouncer) {
        let mut tick = tokio::time::interval(POLL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut trouble = String::new();
        loop {
            tick.tick().await;
            let done = async {
                self.write_uses().await?;
                self.catch_up(bouncer, SystemTime::now()).await
            };
            match done.await {
                Ok(()) => trouble.clear(),
                Err(error) => {
                    // The same reason again says nothing new.
                    let error = format!("{:#}", anyhow::Error::from(error));
                    if error != trouble {
                        tracing::error!(error, "the identities cannot be followed");
                        trouble = error;
                    }
                }
            }
        }
    }

    /// Writes down the first uses so far.
    ///
    /// # Errors
    ///
    /// The store's; then the next call writes them.
    pub async fn write_uses(&self) -> Result<(), StoreError> {
        // One at a time: whoever comes second returns when the first one's are written, too.
        let _turn = self.writing.lock().await;
        let uses = std::mem::take(&mut *self.uses.lock());
        if uses.is_empty() {
            return Ok(());
        }
        let written = self.store.used(&uses).await;
        if written.is_err() {
            self.uses.lock().extend(uses);
        }
        written
    }

    /// How many cameras are kept out, for monitoring.
    pub fn kept_out(&self) -> usize {
        let known = self.known.read();
        let out = |camera: &&KnownCamera| !camera.removed && camera.standing != Standing::Trusted;
        known.values().filter(out).count()
    }
}

/// First uses that are not written yet are not forgotten by reading.
fn keep_uses(held: &KnownCamera, fresh: &mut KnownCamera) {
    for one in &held.certificates {
        if let (CertificateState::Active, Some(at_ms)) = (one.state, one.first_used_ms) {
            admission::used(fresh, &one.serial, at_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex as Shared;

    use super::*;
    use crate::store::{CameraRow, CertificateRow, Store, Ticket};

    const NOW: i64 = 1_800_000_000_000;

    /// Notes who is put out.
    #[derive(Default)]
    struct Door(Shared<Vec<(String, String, bool)>>);

    #[async_trait]
    impl Bouncer for Door {
        async fn put_out(&self, device: &DeviceId, reason: &str, removed: bool) {
            let line = (device.to_string(), reason.to_owned(), removed);
            self.0.lock().push(line);
        }
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(NOW.unsigned_abs())
    }

    async fn add(store: &Store, number: usize) -> DeviceId {
        let id: DeviceId = format!("camera-{number:04}").parse().unwrap();
        let tenant = "home".parse().unwrap();
        let camera = CameraRow::new(id.clone(), tenant, id.to_string(), NOW);
        let certificate = CertificateRow {
            serial: format!("a{number}"),
            camera: id.clone(),
            pem: String::new(),
            fingerprint: String::new(),
            key_sha256: format!("{number}"),
            issued_ms: NOW,
            not_after_ms: NOW + 1000,
            state: CertificateState::Pending,
            first_used_ms: None,
            ended_ms: None,
            reason: None,
        };
        let enrolled = store
            .enrolments
            .enrol(Ticket::Person, &camera, &certificate);
        enrolled.await.unwrap();
        id
    }

    fn admitted(gate: &Gate, device: &DeviceId, serial: &str) -> Result<(), NotAdmitted> {
        gate.admit(device, serial, Purpose::Connect, now())
    }

    #[tokio::test]
    async fn a_fleet_that_comes_at_once_is_admitted_without_the_store_and_written_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).await.unwrap();
        let mut fleet = Vec::new();
        for number in 0..200 {
            fleet.push(add(&store, number).await);
        }
        let certificates = Arc::clone(&store.certificates);
        let gate = Gate::open(certificates, now()).await.unwrap();
        // With the store gone they are admitted all the same.
        store.close().await;
        for (number, device) in fleet.iter().enumerate() {
            assert_eq!(admitted(&gate, device, &format!("a{number}")), Ok(()));
        }
        assert!(gate.write_uses().await.is_err());

        let store = Store::open(&dir.path().join("db")).await.unwrap();
        let gate = Gate {
            store: Arc::clone(&store.certificates),
            ..gate
        };
        gate.write_uses().await.unwrap();
        for device in &fleet {
            let row = &store.certificates.of_camera(device).await.unwrap()[0];
            assert_eq!(
                (row.state, row.first_used_ms),
                (CertificateState::Active, Some(NOW)),
                "what could not be written is written later"
            );
        }
    }

    #[tokio::test]
    async fn what_another_process_does_is_followed_and_acted_on_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("db");
        let (ours, theirs) = (
            Store::open(&file).await.unwrap(),
            Store::open(&file).await.unwrap(),
        );
        let certificates = Arc::clone(&ours.certificates);
        let gate = Gate::open(certificates, now()).await.unwrap();
        let door = Door::default();
        let (one, two) = (add(&theirs, 1).await, add(&theirs, 2).await);
        assert_eq!(admitted(&gate, &one, "a1"), Err(NotAdmitted::UnknownCamera));
        gate.catch_up(&door, now()).await.unwrap();
        assert_eq!(admitted(&gate, &one, "a1"), Ok(()));
        assert_eq!(
            admitted(&gate, &one, "a2"),
            Err(NotAdmitted::UnknownCertificate),
            "another camera's"
        );

        let (standing, why) = (Standing::Revoked, Some("stolen"));
        let revoke = theirs.certificates.set_standing(&one, standing, why, NOW);
        assert!(revoke.await.unwrap());
        let tenant = "home".parse().unwrap();
        assert!(
            theirs
                .cameras
                .remove(&tenant, two.as_str(), NOW)
                .await
                .unwrap()
        );
        for _ in 0..2 {
            gate.catch_up(&door, now()).await.unwrap();
        }
        let out = [
            ("camera-0001", "the camera was revoked: stolen", false),
            ("camera-0002", "the camera was removed", true),
        ];
        let out = out.map(|(id, why, removed)| (id.to_owned(), why.to_owned(), removed));
        assert_eq!(*door.0.lock(), out);
        let serials: Vec<_> = gate
            .revoked(now())
            .into_iter()
            .map(|one| one.serial)
            .collect();
        assert_eq!(serials, ["a1", "a2"]);
        assert_eq!(gate.kept_out(), 1);
    }
}
