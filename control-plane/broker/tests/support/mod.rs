//! What the broker's tests share: certificates, a running broker, and clients that are not ours.
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

pub mod bridge;
pub mod client;
pub mod doors;
pub mod mosquitto;
pub mod pki;
pub mod raw;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use heron_broker::{
    Broker, BrokerConfig, BrokerStats, BrowserAccess, EveryDevice, Limits, TlsListener,
    TokenRefused, TokenVerifier,
};
use heron_protocol::topics::TABLE;

pub use client::{Client, Connecting};
pub use pki::Pki;

/// Longer than anything here takes, so that only a failure waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const CAMERA: &str = "front-door-01";
pub const OTHER_CAMERA: &str = "back-door-01";
pub const TENANT: &str = "home";
pub const BROWSER: &str = "browser-01";
pub const OTHER_BROWSER: &str = "browser-02";

/// Knows its tokens by heart.
#[derive(Default)]
pub struct Tokens(HashMap<String, BrowserAccess>);

impl Tokens {
    pub fn with(mut self, token: &str, tenant: &str, browser: &str, life: Duration) -> Self {
        let access = BrowserAccess {
            tenant: tenant.parse().unwrap(),
            browser: browser.parse().unwrap(),
            expires: SystemTime::now() + life,
        };
        self.0.insert(token.to_owned(), access);
        self
    }

    /// A token for `BROWSER` and one for `OTHER_BROWSER`, both good for the test's time.
    pub fn usual() -> Self {
        Self::default()
            .with("token-01", TENANT, BROWSER, Duration::from_secs(600))
            .with("token-02", TENANT, OTHER_BROWSER, Duration::from_secs(600))
    }
}

#[async_trait::async_trait]
impl TokenVerifier for Tokens {
    async fn verify(&self, token: &str) -> Result<BrowserAccess, TokenRefused> {
        self.0
            .get(token)
            .cloned()
            .ok_or_else(|| TokenRefused("not one of ours".into()))
    }
}

/// A broker on ports of its own, and the certificates to reach it.
pub struct Site {
    pub pki: Pki,
    pub broker: Broker,
}

impl Site {
    pub async fn start() -> Self {
        Self::start_with(Tokens::usual(), Limits::default()).await
    }

    pub async fn start_with(tokens: Tokens, limits: Limits) -> Self {
        let pki = Pki::new();
        let broker = Broker::start(config(&pki, tokens, limits)).await.unwrap();
        Self { pki, broker }
    }

    /// A camera that connects as itself.
    pub fn camera(&self, device: &str) -> Connecting {
        Connecting::tls(
            device,
            self.broker.addresses().devices,
            &self.pki,
            Some(&self.pki.device(device)),
        )
    }

    pub fn control(&self) -> Connecting {
        Connecting::tls(
            "control",
            self.broker.addresses().control,
            &self.pki,
            Some(&self.pki.control("control")),
        )
    }

    /// A browser behind the bridge that stands for the HTTPS server.
    pub async fn browser(&self, browser: &str, token: &str) -> Connecting {
        let port = bridge::start(self.broker.addresses().websocket).await;
        Connecting::plain(browser, port).credentials(browser, token)
    }

    /// Waits until the counters are as wished.
    pub async fn stats(&self, wished: impl Fn(&BrokerStats) -> bool) -> BrokerStats {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let stats = self.broker.stats().await;
            if wished(&stats) {
                return stats;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "the counters never came to what was wished: {stats:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub fn config(pki: &Pki, tokens: Tokens, limits: Limits) -> BrokerConfig {
    let listener = |client_ca: &str| TlsListener {
        listen: "127.0.0.1:0".parse().unwrap(),
        certificate: pki.path("server.pem"),
        key: pki.path("server.key"),
        client_ca: pki.path(client_ca),
    };
    BrokerConfig {
        devices: listener("device-ca.pem"),
        control: listener("control-ca.pem"),
        websocket: "127.0.0.1:0".parse().unwrap(),
        gate: Arc::new(EveryDevice),
        tokens: Arc::new(tokens),
        limits,
    }
}

/// One topic of each row of the protocol's table, for this camera and browser.
pub fn topics(
    device: &str,
    tenant: &str,
    browser: &str,
) -> Vec<(&'static heron_protocol::topics::Row, String)> {
    let shard = device
        .parse::<heron_protocol::DeviceId>()
        .unwrap()
        .shard()
        .to_string();
    let session = "0123456789abcdef0123456789abcdef";
    TABLE
        .iter()
        .map(|row| {
            let topic = row
                .pattern
                .replace("{shard}", &shard)
                .replace("{device}", device)
                .replace("{tenant}", tenant)
                .replace("{browser}", browser)
                .replace("{section}", "video")
                .replace("{session}", session)
                .replace("{call}", session)
                .replace("{name}", "one")
                .replace("{id}", "one");
            topic
                .parse::<heron_protocol::Topic>()
                .expect("a new parameter in the table needs a value above");
            (row, topic)
        })
        .collect()
}

/// A topic of a camera's tree.
pub fn topic(device: &str, rest: &str) -> String {
    let shard = device.parse::<heron_protocol::DeviceId>().unwrap().shard();
    format!("cam/1/{shard}/{device}/{rest}")
}
