//! All relays together: who is given which, what they relayed, and who has used up a cap.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use heron_protocol::messages::{IcePolicy, IceServer};
use heron_protocol::{DeviceId, SessionId, TenantId};
use heron_turn::{End, Holder, TurnServer};
use parking_lot::{Mutex, RwLock};

use super::choice::{Candidate, choose};
use super::embedded::{self, Embedded};
use super::meter::{Account, AccountDay, Meter, Relayed, RelayedTime, day_of};
use super::policy::{RelayMode, RelayPolicy};
use super::pools;
use super::provider::{Health, Provider, turn_urls};
use super::secrets::SecretFile;
use crate::config::{Config, DEFAULT_REGION, RegionConfig};

/// For how long after a session's end late figures of it are taken.
const LATE: Duration = Duration::from_secs(60);

/// One relay and its place in the choice.
struct Pool {
    provider: Arc<dyn Provider>,
    region: String,
    capacity: u64,
}

/// A session that was given servers.
#[derive(Debug, Clone)]
struct Open {
    tenant: TenantId,
    camera: DeviceId,
    /// Places of the pools that either end was given.
    pools: Vec<usize>,
    /// As far as it was written down.
    written: Relayed,
    /// When it ended.
    ended: Option<Instant>,
}

/// What is known of tenants and cameras.
#[derive(Debug, Default)]
struct Book {
    tenants: HashMap<TenantId, RelayPolicy>,
    cameras: HashMap<DeviceId, RelayPolicy>,
    /// The region of cameras that are not in the default one.
    regions: HashMap<DeviceId, String>,
}

/// What relays say of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metered {
    /// Which.
    pub session: SessionId,
    /// What was relayed, if that is news.
    pub relayed: Option<Relayed>,
    /// Why it is to end.
    pub over: Option<String>,
}

/// The relays of a control plane. Share it in an `Arc`. All calls return at once.
pub struct Relays {
    pools: Vec<Pool>,
    regions: BTreeMap<String, RegionConfig>,
    mode: RelayMode,
    ttl: Duration,
    book: RwLock<Book>,
    meter: Mutex<Meter>,
    open: Mutex<HashMap<SessionId, Open>>,
}

impl Relays {
    /// The relays of a configuration; `own` is the server of this process, if it has one, with the port of HTTPS.
    /// Call within a tokio runtime.
    ///
    /// # Errors
    ///
    /// One line that names the key or the file.
    pub fn start(
        config: &Config,
        own: Option<(&Arc<TurnServer>, &Arc<SecretFile>, u16)>,
    ) -> anyhow::Result<Self> {
        let turn = &config.turn;
        let mut relays = Self::none();
        relays.regions = turn.regions.clone();
        relays.ttl = config.credential_ttl();
        if turn.relay_only {
            relays.mode = RelayMode::RelayOnly;
        }
        if let Some((server, secret, https_port)) = own {
            let host = config.public_host();
            let ports = embedded::ports(server);
            // Whoever gives TLS a port of its own wants it to be used.
            let tls_port = turn.tls_listen.map_or(https_port, |listen| listen.port());
            let provider = Embedded {
                server: Arc::downgrade(server),
                secret: Arc::clone(secret),
                stun_url: format!("stun:{}", host.with_port(ports.0)),
                turn_urls: if turn.stun_only {
                    Vec::new()
                } else {
                    turn_urls(&host, ports, Some(tls_port))
                },
            };
            relays.pools.push(Pool {
                provider: Arc::new(provider),
                region: turn.region.clone(),
                capacity: turn.capacity as u64,
            });
        }
        let period = Duration::from_secs(turn.probe_s);
        for pool in &turn.pool {
            let provider = pools::provider(pool, period)
                .with_context(|| format!("turn.pool {:?}", pool.name()))?;
            relays.pools.push(Pool {
                provider,
                region: pool.region.clone(),
                capacity: pool.capacity,
            });
        }
        Ok(relays)
    }

    /// No relays: both ends are given nothing.
    pub fn none() -> Self {
        Self {
            pools: Vec::new(),
            regions: BTreeMap::new(),
            mode: RelayMode::default(),
            ttl: Duration::from_secs(600),
            book: RwLock::default(),
            meter: Mutex::default(),
            open: Mutex::default(),
        }
    }

    /// These relays in the default region, with a policy for every camera that has none.
    pub fn of(providers: Vec<Arc<dyn Provider>>, mode: RelayMode) -> Self {
        let pool = |provider| Pool {
            provider,
            region: DEFAULT_REGION.to_owned(),
            capacity: 1000,
        };
        Self {
            pools: providers.into_iter().map(pool).collect(),
            mode,
            ..Self::none()
        }
    }

    /// Which candidates the ends of a camera's sessions may use.
    pub fn ice_policy(&self, tenant: &TenantId, camera: &DeviceId) -> IcePolicy {
        self.mode_of(tenant, camera).ice_policy()
    }

    /// Servers for one end of a session, whose viewer is at that address.
    pub fn servers(
        &self,
        holder: (&TenantId, &DeviceId, &SessionId, End),
        viewer: Option<IpAddr>,
        now: SystemTime,
    ) -> Vec<IceServer> {
        let (tenant, camera, session, end) = holder;
        let region = match end {
            End::Viewer => self.region_of_viewer(viewer),
            End::Device => self.region_of_camera(camera),
        };
        let chosen = self.chosen(&region, session.as_str());
        let holder = Holder {
            tenant: tenant.to_string(),
            device: camera.to_string(),
            session: session.to_string(),
            end,
        };
        let is_direct = self.mode_of(tenant, camera) == RelayMode::DirectOnly
            || self.over(tenant, camera, now).is_some();
        let mut servers = self.minted(&chosen, &holder, self.ttl, now);
        if is_direct {
            servers.retain(|server| server.username.is_empty());
        } else {
            self.remember((tenant, camera, session), &chosen);
        }
        servers
    }

    /// Servers to test a network with, without a session.
    pub fn self_test(&self, tenant: &TenantId, ttl: Duration, now: SystemTime) -> Vec<IceServer> {
        let session = SessionId::from_bits(rand::random());
        let holder = Holder {
            tenant: tenant.to_string(),
            device: "self-test".to_owned(),
            session: session.to_string(),
            end: End::Viewer,
        };
        let chosen = self.chosen(DEFAULT_REGION, session.as_str());
        self.minted(&chosen, &holder, ttl, now)
    }

    /// A session is over: nothing is relayed for it any more, where that can be had.
    pub fn ended(&self, session: &SessionId) {
        let pools = {
            let mut open = self.open.lock();
            let Some(open) = open.get_mut(session) else {
                return;
            };
            open.ended.get_or_insert_with(Instant::now);
            open.pools.clone()
        };
        self.meter.lock().forget(session);
        for place in pools {
            self.pools[place].provider.end_session(session);
        }
    }

    /// Looks at every session: what was relayed since the last look, and who has used up a cap. `on_relayed_path` are
    /// the sessions that say so themselves. Call about once a second.
    pub fn look(
        &self,
        on_relayed_path: &[SessionId],
        (now, calendar): (Instant, SystemTime),
    ) -> Vec<Metered> {
        let today = day_of(unix_s(calendar));
        let mut open = self.open.lock();
        let mut all = Vec::new();
        for (session, open) in open.iter_mut() {
            let relayed = open
                .pools
                .iter()
                .filter_map(|place| self.pools[*place].provider.relayed(session))
                .fold(Relayed::default(), Relayed::plus);
            let news = (relayed != open.written).then_some(relayed);
            open.written = relayed;
            let mut over = None;
            if open.ended.is_none() {
                let accounts = [
                    Account::Tenant(open.tenant.clone()),
                    Account::Camera(open.camera.clone()),
                ];
                let on_path = on_relayed_path.contains(session);
                let is_relayed = self.meter.lock().look(
                    session,
                    accounts,
                    (on_path, relayed.total()),
                    (now, today),
                );
                let must_relay = self.mode_of(&open.tenant, &open.camera) == RelayMode::RelayOnly;
                if is_relayed || must_relay {
                    over = self.over(&open.tenant, &open.camera, calendar);
                }
            }
            if news.is_some() || over.is_some() {
                all.push(Metered {
                    session: session.clone(),
                    relayed: news,
                    over,
                });
            }
        }
        open.retain(|_, open| open.ended.is_none_or(|ended| now < ended + LATE));
        all
    }

    /// Relayed time that is not written down yet.
    pub fn unwritten(&self, now: SystemTime) -> Vec<AccountDay> {
        self.meter.lock().unwritten(day_of(unix_s(now)))
    }

    /// What a former run had counted.
    pub fn load(&self, days: Vec<AccountDay>) {
        self.meter.lock().load(days);
    }

    /// How long sessions of an account were relayed.
    pub fn used(&self, account: &Account, now: SystemTime) -> RelayedTime {
        self.meter.lock().used(account, day_of(unix_s(now)))
    }

    /// Policies as they are stored: from now on they hold.
    pub fn set_policies(
        &self,
        tenants: HashMap<TenantId, RelayPolicy>,
        cameras: HashMap<DeviceId, RelayPolicy>,
    ) {
        let mut book = self.book.write();
        book.tenants = tenants;
        book.cameras = cameras;
    }

    /// Where cameras are: each with its site and its tags.
    pub fn set_places<'a>(
        &self,
        cameras: impl Iterator<Item = (DeviceId, Option<&'a str>, &'a [String])>,
    ) {
        if self.regions.is_empty() {
            return;
        }
        let regions = cameras.filter_map(|(camera, site, tags)| {
            let (name, _) = self.regions.iter().find(|(_, region)| {
                site.is_some_and(|site| region.sites.iter().any(|one| one == site))
                    || tags.iter().any(|tag| region.tags.contains(tag))
            })?;
            Some((camera, name.clone()))
        });
        self.book.write().regions = regions.collect();
    }

    /// Whether places of cameras matter.
    pub fn has_regions(&self) -> bool {
        !self.regions.is_empty()
    }

    /// Every relay with its region and how it is.
    pub fn overview(&self) -> Vec<(String, String, Health)> {
        self.pools
            .iter()
            .map(|pool| {
                let health = pool.provider.health();
                (pool.provider.name().to_owned(), pool.region.clone(), health)
            })
            .collect()
    }

    fn mode_of(&self, tenant: &TenantId, camera: &DeviceId) -> RelayMode {
        let (camera, tenant) = self.policies(tenant, camera);
        camera.relay_mode(&tenant, self.mode)
    }

    fn policies(&self, tenant: &TenantId, camera: &DeviceId) -> (RelayPolicy, RelayPolicy) {
        let book = self.book.read();
        let camera = book.cameras.get(camera).cloned().unwrap_or_default();
        let tenant = book.tenants.get(tenant).cloned().unwrap_or_default();
        (camera, tenant)
    }

    /// Which cap is used up.
    fn over(&self, tenant: &TenantId, camera: &DeviceId, now: SystemTime) -> Option<String> {
        let (of_camera, of_tenant) = self.policies(tenant, camera);
        let today = day_of(unix_s(now));
        let meter = self.meter.lock();
        meter
            .over(&Account::Camera(camera.clone()), &of_camera, today)
            .or_else(|| meter.over(&Account::Tenant(tenant.clone()), &of_tenant, today))
    }

    fn region_of_viewer(&self, address: Option<IpAddr>) -> String {
        let there = address.map(|address| address.to_canonical());
        let region = there.and_then(|address| {
            let has =
                |region: &RegionConfig| region.networks.iter().any(|block| block.contains(address));
            self.regions.iter().find(|(_, region)| has(region))
        });
        region.map_or_else(|| DEFAULT_REGION.to_owned(), |(name, _)| name.clone())
    }

    fn region_of_camera(&self, camera: &DeviceId) -> String {
        let book = self.book.read();
        let region = book.regions.get(camera).cloned();
        region.unwrap_or_else(|| DEFAULT_REGION.to_owned())
    }

    fn chosen(&self, region: &str, session: &str) -> Vec<usize> {
        let candidates: Vec<Candidate<'_>> = self
            .pools
            .iter()
            .enumerate()
            .map(|(place, pool)| {
                let health = pool.provider.health();
                Candidate {
                    name: pool.provider.name(),
                    region: &pool.region,
                    capacity: pool.capacity,
                    allocations: health.allocations.unwrap_or_else(|| self.given_to(place)),
                    usable: health.usable,
                }
            })
            .collect();
        choose(&candidates, region, DEFAULT_REGION, session)
    }

    /// How many open sessions were given a relay: its load, where it does not tell.
    fn given_to(&self, place: usize) -> u64 {
        let open = self.open.lock();
        let live = open.values().filter(|open| open.ended.is_none());
        live.filter(|open| open.pools.contains(&place)).count() as u64
    }

    fn minted(
        &self,
        chosen: &[usize],
        holder: &Holder,
        ttl: Duration,
        now: SystemTime,
    ) -> Vec<IceServer> {
        let now = unix_s(now);
        let mut servers: Vec<IceServer> = chosen
            .iter()
            .flat_map(|place| self.pools[*place].provider.servers(holder, now, ttl))
            .collect();
        // STUN first and once: one reflexive address is enough.
        servers.sort_by_key(|server| !server.username.is_empty());
        let stun = servers
            .iter()
            .filter(|server| server.username.is_empty())
            .count();
        servers.drain(..stun.saturating_sub(1));
        servers
    }

    fn remember(
        &self,
        (tenant, camera, session): (&TenantId, &DeviceId, &SessionId),
        chosen: &[usize],
    ) {
        let (of_camera, of_tenant) = self.policies(tenant, camera);
        if let Some(rate) = of_camera.bps(&of_tenant) {
            for place in chosen {
                self.pools[*place].provider.limit(session, rate);
            }
        }
        let mut open = self.open.lock();
        let open = open.entry(session.clone()).or_insert_with(|| Open {
            tenant: tenant.clone(),
            camera: camera.clone(),
            pools: Vec::new(),
            written: Relayed::default(),
            ended: None,
        });
        for place in chosen {
            if !open.pools.contains(place) {
                open.pools.push(*place);
            }
        }
    }
}

fn unix_s(now: SystemTime) -> u64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
