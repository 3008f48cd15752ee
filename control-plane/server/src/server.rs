//! The running control plane: every part, started and stopped in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use heron_protocol::SigningKey;
use heron_turn::TurnServer;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::access::Door;
use crate::api;
use crate::brokers::{FleetBroker, Hooks, control_door};
use crate::clock::unix_ms;
use crate::config::{Config, Host};
use crate::directory::{StoredDirectory, StoredPresence};
use crate::est::EnrolmentCounters;
use crate::home::Home;
use crate::identity::{Gate, ServerCertificate, server_certificate};
use crate::live::Parts;
use crate::signalling::{self, BrowserRegistry, IceProvisioner, Router, RouterConfig};
use crate::store::StoreError;
use crate::tokens::RegisteredTokens;
use crate::turn::{self, Relays, SecretFile};
use crate::web::{self, HttpListener, MqttSocket, Security};

/// How often it is looked whether the secret of the relays is due.
const ROTATION_LOOK: Duration = Duration::from_secs(3600);

/// A control plane. [`Server::stop`] ends it in order; dropping it ends it abruptly.
pub struct Server {
    public_host: Host,
    home: Home,
    broker: Arc<FleetBroker>,
    turn: Option<Arc<TurnServer>>,
    secret: Arc<SecretFile>,
    router: Arc<Router>,
    https: HttpListener,
    http: HttpListener,
    mqtt_sockets: CancellationToken,
    gate: Arc<Gate>,
    following: JoinHandle<()>,
    /// What looks at relays and secrets from time to time.
    looking: Vec<AbortHandle>,
}

impl Server {
    /// Makes what the first start has to make, and starts every part.
    ///
    /// # Errors
    ///
    /// One line: which part, which file or address, and why.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let home = Home::open(&config).await?;
        let public_host = config.public_host();
        let own_certificate = own_certificate(&home, &config)?;
        let left_open = home.store.video_sessions.end_open(
            unix_ms(SystemTime::now()),
            "the control plane was restarted",
        );
        if let count @ 1.. = left_open.await? {
            tracing::info!(count, "video sessions of the last run are marked as ended");
        }

        let browsers = Arc::new(BrowserRegistry::new());
        let certificates = Arc::clone(&home.store.certificates);
        let gate = Arc::new(Gate::open(certificates, SystemTime::now()).await?);
        let broker = FleetBroker::start(
            &config,
            &home,
            &own_certificate,
            Arc::clone(&gate),
            Arc::new(RegisteredTokens::new(Arc::clone(&browsers))),
        );
        let broker = Arc::new(broker.await?);
        // Bound before the claims and the relays' URLs are told where it is.
        let https = Bound::new("server.listen", config.server.listen).await?;
        let secret = Arc::new(SecretFile::open_or_make(&turn::secret_file(&config))?);
        let turn = start_turn(&config, &own_certificate, &secret).await?;
        let embedded = turn
            .as_ref()
            .map(|server| (server, &secret, https.address.port()));
        let relays = Arc::new(Relays::start(&config, embedded)?);
        turn::read_policies(&relays, &home.store).await?;
        turn::read_days(&relays, &home.store).await?;
        let router = Arc::new(start_router(
            &home,
            &broker,
            &relays,
            Arc::clone(&gate),
            Arc::clone(&browsers),
        )?);
        let looking = vec![
            turn::follow(
                Arc::clone(&relays),
                home.store.clone(),
                Arc::downgrade(&router),
            ),
            follow_secret(&secret, turn.as_ref()),
            rotate(Arc::clone(&secret), config.turn.secret_rotation_days),
        ];
        let live = Arc::new(Parts::new(&broker, turn.as_ref(), &relays, &router));
        let following = tokio::spawn({
            let (gate, live) = (Arc::clone(&gate), Arc::clone(&live));
            async move { gate.follow(&*live).await }
        });

        let mqtt_sockets = CancellationToken::new();
        let own_https = config.server.certificate.is_none();
        let counters = Arc::new(EnrolmentCounters::default());
        let clients = web::device_certificates(
            home.identity.devices.certificate_pem(),
            Arc::clone(&counters),
        )?;
        let tls = match (&config.server.certificate, &config.server.key) {
            (Some(certificate), Some(key)) => web::HttpsTls::new(certificate, key, clients)?,
            _ => web::HttpsTls::new(&own_certificate.certificate, &own_certificate.key, clients)?,
        };
        let enrolment = home.enrolment(
            public_host.with_port(broker.addresses().devices.port()),
            home.claim_server(&public_host.with_port(https.address.port()), own_https),
        );
        let context = api::Context {
            store: home.store.clone(),
            door: Arc::new(Door::new(home.store.clone())?),
            enrolment: Arc::new(enrolment),
            browsers,
            live,
            gate: Arc::clone(&gate),
            counters,
            relays,
            ca_pem: home.identity.root.certificate_pem().into(),
        };
        let hook_secret = config.broker.hook_secret.as_deref();
        let hooks = hook_secret
            .map(|secret| Hooks::new(secret, Arc::clone(&gate), Arc::clone(&context.browsers)));
        let site = web::site(
            context,
            MqttSocket::new(broker.upstream(), mqtt_sockets.clone()),
            hooks,
        );
        let door = turn.as_ref().map(Arc::downgrade).unwrap_or_default();
        let https = https.serve(Security::Tls(Arc::new(tls), door), site.clone());
        let loopback = config.server.http_listen.address();
        let http = Bound::new("server.http_listen", loopback).await?;
        let http = http.serve(Security::Loopback, site);
        Ok(Self {
            public_host,
            home,
            broker,
            turn,
            secret,
            router,
            https,
            http,
            mqtt_sockets,
            gate,
            following,
            looking,
        })
    }

    /// Where others reach the dashboard and the API.
    pub fn url(&self) -> String {
        format!(
            "https://{}",
            self.public_host.with_port(self.https.address().port())
        )
    }

    /// Where this machine reaches them without TLS.
    pub fn local_url(&self) -> String {
        format!("http://{}", self.http.address())
    }

    /// Where HTTPS listens.
    pub const fn https_address(&self) -> SocketAddr {
        self.https.address()
    }

    /// Where the broker listens.
    pub fn broker_addresses(&self) -> heron_broker::Addresses {
        self.broker.addresses()
    }

    /// The embedded TURN server, unless relays are elsewhere only.
    pub fn turn(&self) -> Option<&TurnServer> {
        self.turn.as_deref()
    }

    /// What TURN credentials are made with.
    pub fn turn_secret(&self) -> &SecretFile {
        &self.secret
    }

    /// Its data directory: to add people and cameras.
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// One line: where to go, and what to trust.
    pub fn summary(&self) -> String {
        format!(
            "Heron is at {} (on this machine also {}); cameras connect to {}; the CA to trust is {}",
            self.url(),
            self.local_url(),
            self.public_host
                .with_port(self.broker.addresses().devices.port()),
            self.home.identity.keep.path("root.pem").display(),
        )
    }

    /// Whether there is nobody yet who could sign in.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn has_no_people(&self) -> Result<bool, StoreError> {
        Ok(self.home.store.people.list().await?.is_empty())
    }

    /// Stops: first nobody new comes in, then sessions are written down, then the parts they used go.
    pub async fn stop(self) {
        let Self {
            home,
            broker,
            turn,
            router,
            https,
            http,
            mqtt_sockets,
            gate,
            following,
            looking,
            ..
        } = self;
        tokio::join!(https.stop(), http.stop());
        following.abort();
        for task in looking {
            task.abort();
        }
        // Whoever asks for figures at this moment holds on to a part: then it ends when they are done.
        if let Some(router) = Arc::into_inner(router) {
            router.stop().await;
        }
        mqtt_sockets.cancel();
        if let Some(broker) = Arc::into_inner(broker) {
            broker.stop().await;
        }
        if let Some(turn) = turn.and_then(Arc::into_inner) {
            turn.stop().await;
        }
        if let Err(error) = gate.write_uses().await {
            tracing::error!(%error, "first uses of certificates could not be written down");
        }
        home.store.close().await;
    }
}

/// An address that is taken, and not served yet.
struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    async fn new(key: &str, address: SocketAddr) -> anyhow::Result<Self> {
        let bind = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok::<_, std::io::Error>(Self { listener, address })
        };
        bind.await
            .with_context(|| format!("{key}: cannot listen on {address}"))
    }

    fn serve(self, security: Security, site: axum::Router) -> HttpListener {
        HttpListener::serve(self.listener, self.address, security, site)
    }
}

/// The certificate of our own CA: the broker's in any case, and that of HTTPS unless another is given.
fn own_certificate(home: &Home, config: &Config) -> anyhow::Result<ServerCertificate> {
    let mut names = vec![
        config.public_host().to_string(),
        "localhost".into(),
        "127.0.0.1".into(),
        "::1".into(),
    ];
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if let Ok(hostname) = Host::try_from(hostname.trim().to_owned()) {
        names.push(hostname.to_string());
    }
    let listens = [
        config.server.listen,
        config.broker.devices,
        config.broker.control,
    ]
    .map(|address| address.ip());
    names.extend(
        listens
            .iter()
            .filter(|address| !address.is_unspecified())
            .map(ToString::to_string),
    );
    names.sort();
    names.dedup();
    Ok(server_certificate(
        &home.identity.keep,
        &home.identity.root,
        &names,
        SystemTime::now(),
    )?)
}

/// The embedded TURN server, if there is to be one.
async fn start_turn(
    config: &Config,
    own: &ServerCertificate,
    secret: &SecretFile,
) -> anyhow::Result<Option<Arc<TurnServer>>> {
    if !config.turn.embedded {
        return Ok(None);
    }
    let tls = match (&config.server.certificate, &config.server.key) {
        (Some(certificate), Some(key)) => web::relay_tls(certificate, key)?,
        _ => web::relay_tls(&own.certificate, &own.key)?,
    };
    let server = turn::start_embedded(config, secret, Some(tls)).await?;
    Ok(Some(Arc::new(server)))
}

/// The running server learns of a rotation, whoever did it.
fn follow_secret(secret: &Arc<SecretFile>, turn: Option<&Arc<TurnServer>>) -> AbortHandle {
    let turn = turn.map(Arc::downgrade).unwrap_or_default();
    secret.follow(move |secrets| {
        if let Some(turn) = turn.upgrade() {
            turn.set_secrets(secrets);
        }
    })
}

/// Rotates the secret when it is that many days old; 0: never.
fn rotate(secret: Arc<SecretFile>, days: u32) -> AbortHandle {
    let rotating = tokio::spawn(async move {
        let life = u64::from(days) * 24 * 3600;
        if days == 0 {
            return;
        }
        loop {
            let now = SystemTime::now();
            let now_s = unix_ms(now).cast_unsigned() / 1000;
            if now_s >= secret.since().saturating_add(life)
                && let Err(error) = secret.rotate(now, false)
            {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the secret of the relays could not be rotated"
                );
            }
            tokio::time::sleep(ROTATION_LOOK).await;
        }
    });
    rotating.abort_handle()
}

fn start_router(
    home: &Home,
    broker: &FleetBroker,
    relays: &Arc<Relays>,
    gate: Arc<Gate>,
    browsers: Arc<BrowserRegistry>,
) -> anyhow::Result<Router> {
    let identity = &home.identity;
    Ok(Router::start(RouterConfig {
        broker: control_door(home, broker.addresses().control)?,
        grant_key: SigningKey::from_pem(&identity.grant_key).context("grant.key")?,
        ice: IceProvisioner::new(Arc::clone(relays), Arc::clone(&browsers)),
        directory: Arc::new(StoredDirectory::new(home.store.clone(), gate)),
        log: home.store.session_log(),
        presence: Arc::new(StoredPresence::new(home.store.clone())),
        browsers,
        limits: signalling::Limits::default(),
    }))
}
