//! How the control plane reaches the broker, whosever it is: by TLS, with a certificate of its own CA.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::home::Home;
use crate::identity::{CONTROL_NAME, Subject};
use crate::signalling::BrokerAddress;
use crate::web;

/// The certificate is made at each start, and is to outlast the run.
const LIFE: Duration = Duration::from_secs(3600 * 24 * 3600);

/// The broker's listener for the control plane at `control`, and what to show there.
///
/// # Errors
///
/// One line, when the certificate cannot be made.
pub fn control_door(home: &Home, control: SocketAddr) -> anyhow::Result<BrokerAddress> {
    let identity = &home.identity;
    let subject = Subject::Client(CONTROL_NAME);
    let certificate = identity.control.issue(&subject, LIFE, SystemTime::now())?;
    Ok(BrokerAddress {
        host: match control.ip() {
            address if address.is_unspecified() => "localhost".to_owned(),
            address => address.to_string(),
        },
        port: control.port(),
        tls: web::client_config(identity.root.certificate_pem(), &certificate)?,
    })
}
