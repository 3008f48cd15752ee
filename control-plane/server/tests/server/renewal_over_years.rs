//! Three years of one camera's certificates on a virtual clock: real issuance, real store, real gate. The camera's
//! policy is the documented one: a new key at two thirds of the certificate's life, again with growing pauses until an
//! answer has come, and the old certificate until the new one is stored.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::support::devices::{names, request};
use async_trait::async_trait;
use heron_control::home::Home;
use heron_control::identity::{
    Bouncer, Bundle, CertificateRequest, ClaimServer, Enrolment, Gate, LIFE, NotAdmitted, Purpose,
};
use heron_protocol::DeviceId;
use rand::{Rng as _, SeedableRng as _};
use rcgen::KeyPair;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const FIRST_PAUSE: Duration = HOUR;
const LONGEST_PAUSE: Duration = Duration::from_secs(12 * 3600);

/// Nobody is put out here.
struct Nobody;

#[async_trait]
impl Bouncer for Nobody {
    async fn put_out(&self, device: &DeviceId, reason: &str, _: bool) {
        panic!("{device} is put out: {reason}");
    }
}

struct World {
    enrolment: Enrolment,
    gate: Gate,
    now: SystemTime,
    _dir: tempfile::TempDir,
}

/// One certificate, as its camera knows it.
#[derive(Clone)]
struct Held {
    serial: String,
    issued: SystemTime,
}

struct Camera {
    id: DeviceId,
    held: Held,
    /// The key of a renewal that has begun: kept until it is answered.
    next: Option<KeyPair>,
    pause: Duration,
    ask_at: SystemTime,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(&crate::support::config(dir.path()))
            .await
            .unwrap();
        let now = SystemTime::now();
        let certificates = Arc::clone(&home.store.certificates);
        let server = ClaimServer {
            url: "https://heron.example".into(),
            ca: None,
        };
        Self {
            enrolment: home.enrolment("heron.example:8883".into(), server),
            gate: Gate::open(certificates, now).await.unwrap(),
            now,
            _dir: dir,
        }
    }

    async fn add(&mut self) -> Camera {
        let tenant = self.enrolment.tenant.clone();
        let added = self
            .enrolment
            .add_camera(&tenant, "Roof", self.now)
            .await
            .unwrap();
        self.gate.catch_up(&Nobody, self.now).await.unwrap();
        let bundle: Bundle = toml::from_str(&added.bundle).unwrap();
        let (_, serial) = names(&bundle.certificate);
        Camera {
            id: added.id,
            held: Held {
                serial,
                issued: self.now,
            },
            next: None,
            pause: FIRST_PAUSE,
            ask_at: self.now + LIFE * 2 / 3,
        }
    }

    fn connects(&self, camera: &Camera) -> Result<(), NotAdmitted> {
        let serial = &camera.held.serial;
        self.gate
            .admit(&camera.id, serial, Purpose::Connect, self.now)
    }

    /// What `simplereenroll` does.
    async fn renews(&self, camera: &Camera, key: &KeyPair) -> anyhow::Result<Held> {
        let serial = &camera.held.serial;
        self.gate
            .admit(&camera.id, serial, Purpose::Renew, self.now)?;
        self.gate.write_uses().await?;
        let asked = CertificateRequest::from_der(&request(key, Some(camera.id.as_str())))?;
        let row = self.enrolment.renew(&camera.id, &asked, self.now).await?;
        self.gate.catch_up(&Nobody, self.now).await?;
        Ok(Held {
            serial: row.serial,
            issued: self.now,
        })
    }
}

impl Camera {
    fn expired(&self, now: SystemTime) -> bool {
        now >= self.held.issued + LIFE
    }

    /// Lets an hour of the camera pass. `away`: the control plane does not answer. `lost`: its answer does not arrive.
    async fn hour(&mut self, world: &World, away: bool, lost: bool) {
        if world.now < self.ask_at {
            return;
        }
        let key = match self.next.take() {
            Some(key) => key,
            None => KeyPair::generate().unwrap(),
        };
        let answer = if away {
            None
        } else {
            let renewed = world.renews(self, &key).await;
            Some(renewed.unwrap()).filter(|_| !lost)
        };
        match answer {
            Some(held) => {
                self.ask_at = held.issued + LIFE * 2 / 3;
                self.held = held;
                self.pause = FIRST_PAUSE;
            }
            None => {
                self.next = Some(key);
                self.ask_at = world.now + self.pause;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Three years by the hour. Where the control plane is away, the certificate's own time decides.
async fn three_years(
    world: &mut World,
    camera: &mut Camera,
    mut away: impl FnMut(SystemTime, &Camera) -> bool,
    mut lost: impl FnMut() -> bool,
) -> usize {
    let end = world.now + 3 * YEAR;
    let (mut renewals, mut serial) = (0, camera.held.serial.clone());
    while world.now < end {
        let is_away = away(world.now, camera);
        camera.hour(world, is_away, lost()).await;
        assert!(!camera.expired(world.now), "without a valid certificate");
        if !is_away {
            world.connects(camera).unwrap();
        }
        if camera.held.serial != serial {
            serial.clone_from(&camera.held.serial);
            renewals += 1;
        }
        world.now += HOUR;
    }
    renewals
}

#[tokio::test]
async fn a_camera_that_is_always_there_renews_every_sixty_days() {
    let mut world = World::new().await;
    let mut camera = world.add().await;
    let renewals = three_years(&mut world, &mut camera, |_, _| false, || false).await;
    assert_eq!(renewals, 3 * 365 / 60);
}

#[tokio::test]
async fn the_control_plane_is_away_for_20_days_whenever_a_renewal_is_due() {
    let mut world = World::new().await;
    let mut camera = world.add().await;
    let mut until = None;
    let away = |now: SystemTime, camera: &Camera| {
        // It leaves in the hour in which the camera would ask for the first time.
        let due = camera.next.is_none() && now >= camera.ask_at;
        if due {
            until = Some(now + 20 * DAY);
        }
        until.is_some_and(|until| now < until)
    };
    let renewals = three_years(&mut world, &mut camera, away, || false).await;
    assert!((12..=14).contains(&renewals), "{renewals}");
}

#[tokio::test]
async fn answers_get_lost_and_the_control_plane_comes_and_goes() {
    for seed in 0..6 {
        let mut world = World::new().await;
        let mut camera = world.add().await;
        let mut chance = rand::rngs::StdRng::seed_from_u64(seed);
        let mut losing = rand::rngs::StdRng::seed_from_u64(seed + 100);
        let mut until = world.now;
        let away = |now: SystemTime, _: &Camera| {
            // Away once a fortnight or so, for up to 20 days.
            if now >= until + DAY && chance.random_bool(1.0 / (14.0 * 24.0)) {
                until = now + DAY * chance.random_range(1..=20);
            }
            now < until
        };
        let lost = || losing.random_bool(0.6);
        let renewals = three_years(&mut world, &mut camera, away, lost).await;
        assert!(renewals >= 12, "seed {seed}: {renewals}");
    }
}

#[tokio::test]
async fn power_goes_between_storing_a_certificate_and_using_it() {
    let mut world = World::new().await;
    let mut camera = world.add().await;
    world.connects(&camera).unwrap();
    let old = camera.held.clone();
    world.now = camera.ask_at;
    camera.hour(&world, false, false).await;
    let new = camera.held.clone();
    assert_ne!(new.serial, old.serial);
    // Never used: the old one is the one in use, for as long as it lasts.
    world.now += 25 * DAY;
    camera.held = old;
    world.connects(&camera).unwrap();
    // The new one after all. From then on the old one has a day.
    camera.held = new;
    world.connects(&camera).unwrap();
    world.gate.write_uses().await.unwrap();
}

#[tokio::test]
async fn a_camera_that_was_off_for_200_days_comes_back_by_renewing() {
    let mut world = World::new().await;
    let mut camera = world.add().await;
    world.connects(&camera).unwrap();
    world.now += 200 * DAY;
    assert_eq!(world.connects(&camera), Err(NotAdmitted::Expired));
    camera.hour(&world, false, false).await;
    world.connects(&camera).unwrap();
    assert!(!camera.expired(world.now));

    world.now += LIFE + 366 * DAY;
    let key = KeyPair::generate().unwrap();
    let refused = world.renews(&camera, &key).await.map(|_| ()).unwrap_err();
    assert!(
        refused.to_string().contains("enrol the camera anew"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_restart_forgets_nothing_that_was_written() {
    let mut world = World::new().await;
    let mut camera = world.add().await;
    world.connects(&camera).unwrap();
    world.now = camera.ask_at;
    let old = camera.held.clone();
    camera.hour(&world, false, false).await;
    world.connects(&camera).unwrap();
    world.gate.write_uses().await.unwrap();
    let certificates = Arc::clone(&world.enrolment.store.certificates);
    world.gate = Gate::open(certificates, world.now).await.unwrap();
    world.connects(&camera).unwrap();
    world.now += DAY;
    camera.held = old;
    assert_eq!(world.connects(&camera), Err(NotAdmitted::Superseded));
    // It is in date, so brokers that do not ask are told by the list.
    let list = world
        .gate
        .revocation_list(&world.enrolment.devices, world.now);
    let list = list.unwrap();
    let (_, list) = parse_x509_pem(list.as_bytes()).unwrap();
    let (_, list) = CertificateRevocationList::from_der(&list.contents).unwrap();
    let serials: Vec<_> = list
        .iter_revoked_certificates()
        .map(|one| one.serial().to_str_radix(16))
        .collect();
    assert_eq!(serials, [camera.held.serial]);
    let ca = world.enrolment.devices.certificate_pem();
    let (_, ca) = parse_x509_pem(ca.as_bytes()).unwrap();
    let ca = ca.parse_x509().unwrap();
    list.verify_signature(ca.public_key()).unwrap();
}
