//! The running control plane: every part, started and stopped in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use heron_protocol::SigningKey;
use heron_protocol::messages::IcePolicy;
use heron_turn::{Quotas, Secret, Secrets, TurnConfig, TurnServer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
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
use crate::web::{self, HttpListener, MqttSocket, Security};

/// The realm of TURN (RFC 8489 section 9.2); clients show it to nobody.
const REALM: &str = "heron";

/// A control plane. [`Server::stop`] ends it in order; dropping it ends it abruptly.
pub struct Server {
    public_host: Host,
    home: Home,
    broker: Arc<FleetBroker>,
    turn: Arc<TurnServer>,
    router: Arc<Router>,
    https: HttpListener,
    http: HttpListener,
    mqtt_sockets: CancellationToken,
    gate: Arc<Gate>,
    following: JoinHandle<()>,
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
        let turn = Arc::new(start_turn(&config, &home).await?);
        let router = Arc::new(start_router(
            &config,
            &home,
            &broker,
            &turn,
            Arc::clone(&gate),
            Arc::clone(&browsers),
        )?);
        let live = Arc::new(Parts::new(&broker, &turn, &router));
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
            (Some(certificate), Some(key)) => web::server_config(certificate, key, clients)?,
            _ => web::server_config(&own_certificate.certificate, &own_certificate.key, clients)?,
        };
        // Bound before the claims are told where it is.
        let https = Bound::new("server.listen", config.server.listen).await?;
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
            ca_pem: home.identity.root.certificate_pem().into(),
        };
        let secret = config.broker.hook_secret.as_deref();
        let hooks = secret
            .map(|secret| Hooks::new(secret, Arc::clone(&gate), Arc::clone(&context.browsers)));
        let site = web::site(
            context,
            MqttSocket::new(broker.upstream(), mqtt_sockets.clone()),
            hooks,
        );
        let https = https.serve(Security::Tls(tls), site.clone());
        let loopback = config.server.http_listen.address();
        let http = Bound::new("server.http_listen", loopback).await?;
        let http = http.serve(Security::Loopback, site);
        Ok(Self {
            public_host,
            home,
            broker,
            turn,
            router,
            https,
            http,
            mqtt_sockets,
            gate,
            following,
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

    /// Where TURN listens.
    pub fn turn_address(&self) -> SocketAddr {
        self.turn.local_addr()
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
            ..
        } = self;
        tokio::join!(https.stop(), http.stop());
        following.abort();
        // Whoever asks for figures at this moment holds on to a part: then it ends when they are done.
        if let Some(router) = Arc::into_inner(router) {
            router.stop().await;
        }
        mqtt_sockets.cancel();
        if let Some(broker) = Arc::into_inner(broker) {
            broker.stop().await;
        }
        if let Some(turn) = Arc::into_inner(turn) {
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

async fn start_turn(config: &Config, home: &Home) -> anyhow::Result<TurnServer> {
    let turn = TurnServer::start(TurnConfig {
        listen: config.turn.listen,
        relay_address: config.relay_address(),
        relay_ports: config.turn.relay_ports.ports(),
        realm: REALM.to_owned(),
        secrets: Secrets {
            current: Secret::new(home.identity.turn_secret.as_bytes()),
            previous: None,
        },
        allow_peers: config.turn.allow_peers.clone(),
        quotas: Quotas::default(),
    });
    turn.await.context("the TURN server does not start")
}

fn start_router(
    config: &Config,
    home: &Home,
    broker: &FleetBroker,
    turn: &Arc<TurnServer>,
    gate: Arc<Gate>,
    browsers: Arc<BrowserRegistry>,
) -> anyhow::Result<Router> {
    let identity = &home.identity;
    let turn_host = config.public_host().with_port(turn.local_addr().port());
    let ice = IceProvisioner {
        stun_urls: vec![format!("stun:{turn_host}")],
        turn_urls: vec![format!("turn:{turn_host}?transport=udp")],
        secret: Secret::new(identity.turn_secret.as_bytes()),
        ttl: config.credential_ttl(),
        policy: if config.turn.relay_only {
            IcePolicy::Relay
        } else {
            IcePolicy::All
        },
        server: Some(Arc::clone(turn)),
    };
    Ok(Router::start(RouterConfig {
        broker: control_door(home, broker.addresses().control)?,
        grant_key: SigningKey::from_pem(&identity.grant_key).context("grant.key")?,
        ice,
        directory: Arc::new(StoredDirectory::new(home.store.clone(), gate)),
        log: home.store.session_log(),
        presence: Arc::new(StoredPresence::new(home.store.clone())),
        browsers,
        limits: signalling::Limits::default(),
    }))
}
