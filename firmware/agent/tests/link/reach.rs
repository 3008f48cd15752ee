//! How far a camera gets with its broker, told by the step that went wrong.

use std::path::Path;
use std::time::Duration;

use heron_agent::{Bundle, Hindrance, Link, Reached, Status, reach_broker};

use crate::support::{Authority, Broker, DEVICE, Tap, config, until};

/// Trusts one authority and has a certificate of another.
fn mixed(trusted: &Authority, issuer: &Authority, port: u16) -> Bundle {
    let text = trusted.bundle_text(DEVICE, port, &issuer.client(DEVICE));
    Bundle::parse(Path::new("bundle.toml"), &text).unwrap()
}

#[tokio::test]
async fn a_broker_that_takes_the_camera_is_reached_and_a_link_that_is_up_stays_up() {
    let authority = Authority::new();
    let broker = Broker::start(&authority);
    let bundle = authority.bundle(DEVICE, broker.port);
    assert_eq!(reach_broker(&bundle, true).await, Ok(Reached::Mqtt));

    let (link, _down) = Link::start(config(bundle.clone()));
    until(&link, Status::Online).await;
    assert_eq!(reach_broker(&bundle, false).await, Ok(Reached::Tls));
    let mut status = link.status();
    let lost = status.wait_for(|status| *status != Status::Online);
    let lost = tokio::time::timeout(Duration::from_secs(1), lost).await;
    assert!(lost.is_err(), "the link was put out");
}

#[tokio::test]
async fn what_is_in_the_way_is_told() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let broker = Broker::start(&authority);
    for connect in [true, false] {
        let nobody = reach_broker(&authority.bundle(DEVICE, 1), connect).await;
        assert!(matches!(nobody, Err(Hindrance::Tcp(_))), "{nobody:?}");
        let foreign = mixed(&stranger, &authority, broker.port);
        let foreign = reach_broker(&foreign, connect).await;
        assert!(
            matches!(foreign, Err(Hindrance::Untrusted(_))),
            "{foreign:?}"
        );
        let text = authority.bundle_text(DEVICE, broker.port, &authority.expired_client(DEVICE));
        let expired = Bundle::parse(Path::new("bundle.toml"), &text).unwrap();
        let expired = reach_broker(&expired, connect).await;
        assert!(
            matches!(expired, Err(Hindrance::Unaccepted(_))),
            "{expired:?}"
        );
        // A listener with nobody behind it.
        let dead = Tap::open(1).await;
        let dead = reach_broker(&authority.bundle(DEVICE, dead.port), connect).await;
        assert!(matches!(dead, Err(Hindrance::Tls(_))), "{dead:?}");
    }
}
