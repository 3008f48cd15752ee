//! What a link does when its host's network changes: on a host of its own, over a real wire to a real broker.

use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::time::Duration;

use heron_agent::{Bundle, Link, NetworkWatch, Status};
use heron_net_lab::{End, Namespace, Veth};
use heron_protocol::messages::{Offline, Presence};
use tokio::runtime::{Builder, Runtime};

use crate::support::{Authority, Broker, DEVICE, FAR, Observer, PATIENCE, config, until};

/// A camera's host and a broker's with a wire between them. The wire goes with the hosts.
struct Lab {
    near: Namespace,
    far: Namespace,
}

impl Lab {
    fn new() -> Self {
        let (near, far) = (
            Namespace::new("near").unwrap(),
            Namespace::new("far").unwrap(),
        );
        let (first, second) = (
            End {
                namespace: &near,
                address: "10.79.0.1/24",
            },
            End {
                namespace: &far,
                address: "10.79.0.2/24",
            },
        );
        Veth::between(first, second).unwrap();
        Self { near, far }
    }

    /// Changes the camera's end of the wire.
    fn ip(&self, arguments: &str) {
        let done = self.near.command("ip").args(arguments.split(' ')).status();
        assert!(done.unwrap().success(), "ip {arguments}");
    }

    fn broker(&self, authority: &Authority) -> Broker {
        let start = || Broker::start_at(authority, Ipv4Addr::UNSPECIFIED);
        self.far.run(start).unwrap()
    }

    /// What the control plane would learn of the camera, told as it comes.
    fn watched(&self, authority: &Authority, port: u16) -> Watched {
        let (tell, told) = mpsc::channel();
        let observe = || {
            let runtime = threaded();
            let mut observer = runtime.block_on(Observer::start(authority, port));
            runtime.spawn(async move { while tell.send(observer.presence().await).is_ok() {} });
            runtime
        };
        let runtime = self.far.run(observe).unwrap();
        Watched {
            told,
            _runtime: runtime,
        }
    }
}

/// The camera's presence as it comes.
struct Watched {
    told: mpsc::Receiver<Presence>,
    _runtime: Runtime,
}

impl Watched {
    fn next(&self) -> Presence {
        self.told.recv_timeout(PATIENCE).unwrap()
    }

    /// The next presence of a camera that is back. The keep-alive takes longer than this to notice that it was away.
    fn back(&self, after: &Presence) -> Presence {
        loop {
            let presence = self.told.recv_timeout(PATIENCE / 2).expect("not back");
            if presence.online && presence.seq > after.seq {
                return presence;
            }
        }
    }
}

/// A runtime whose threads are on this thread's host.
fn threaded() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

fn bundle(authority: &Authority, port: u16) -> Bundle {
    let text =
        authority.bundle_text_to(DEVICE, &format!("{FAR}:{port}"), &authority.client(DEVICE));
    Bundle::parse("bundle.toml".as_ref(), &text).unwrap()
}

#[test]
fn addresses_routes_and_links_that_change_are_noticed() {
    let lab = Lab::new();
    lab.near
        .run(|| {
            threaded().block_on(async {
                let mut watch = NetworkWatch::new();
                for change in [
                    "address add 10.79.1.1/24 dev far",
                    "route add 192.0.2.0/24 via 10.79.0.2",
                    "link set far down",
                    "address add 2001:db8::1/64 dev far",
                    "link set far up",
                ] {
                    lab.ip(change);
                    let changed = tokio::time::timeout(PATIENCE, watch.changed()).await;
                    changed.unwrap_or_else(|_| panic!("not noticed: {change}"));
                }
                // And nothing is made up: what one change gives rise to is over soon.
                let quiet = async {
                    let second = Duration::from_secs(1);
                    while tokio::time::timeout(second, watch.changed()).await.is_ok() {}
                };
                tokio::time::timeout(PATIENCE, quiet).await.unwrap();
            });
        })
        .unwrap();
}

/// A link on the near host, which is told of changes there.
struct Linked {
    runtime: Runtime,
    link: Link,
}

impl Linked {
    fn start(lab: &Lab, authority: &Authority, port: u16) -> Self {
        let start = || {
            let runtime = threaded();
            let link = runtime.block_on(async {
                let (link, _down) = Link::start(config(bundle(authority, port)));
                let mut watch = NetworkWatch::new();
                let told = link.clone();
                tokio::spawn(async move {
                    loop {
                        watch.changed().await;
                        told.network_changed();
                    }
                });
                until(&link, Status::Online).await;
                link
            });
            Self { runtime, link }
        };
        lab.near.run(start).unwrap()
    }

    /// Whether it loses its connection within this time.
    fn is_lost(&self, within: Duration) -> bool {
        let mut status = self.link.status();
        self.runtime.block_on(async {
            let lost = status.wait_for(|status| *status != Status::Online);
            tokio::time::timeout(within, lost).await.is_ok()
        })
    }
}

#[test]
fn a_camera_with_another_address_is_back_before_anything_times_out() {
    let lab = Lab::new();
    let authority = Authority::new();
    let broker = lab.broker(&authority);
    let told = lab.watched(&authority, broker.port);
    let _linked = Linked::start(&lab, &authority, broker.port);
    let first = told.next();
    assert!(first.online);

    lab.ip("address del 10.79.0.1/24 dev far");
    lab.ip("address add 10.79.0.3/24 dev far");
    assert_eq!(told.back(&first).last_reason, Some(Offline::Network));
}

#[test]
fn a_connection_that_survives_a_change_goes_on_and_one_that_went_silent_is_replaced() {
    let lab = Lab::new();
    let authority = Authority::new();
    let broker = lab.broker(&authority);
    let told = lab.watched(&authority, broker.port);
    let linked = Linked::start(&lab, &authority, broker.port);
    let first = told.next();

    lab.ip("address add 10.79.7.1/24 dev far");
    assert!(!linked.is_lost(Duration::from_secs(3)), "without need");
    // No way at all: it may come back, and does.
    lab.ip("route add blackhole 10.79.0.2/32");
    assert!(!linked.is_lost(Duration::from_secs(2)), "too early");
    lab.ip("route del blackhole 10.79.0.2/32");
    assert!(!linked.is_lost(Duration::from_secs(3)), "too early");

    // A way that leads nowhere: the probe finds out, and so do the attempts after it.
    lab.ip("neigh replace 10.79.0.2 lladdr 02:00:00:00:00:99 nud permanent dev far");
    lab.ip("address add 10.79.8.1/24 dev far");
    assert!(linked.is_lost(PATIENCE / 2), "a silent connection is kept");
    lab.ip("neigh del 10.79.0.2 dev far");
    lab.ip("address add 10.79.9.1/24 dev far");
    assert_eq!(told.back(&first).last_reason, Some(Offline::Network));
}
