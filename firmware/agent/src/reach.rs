//! How far a camera gets with its broker, step by step: for whoever looks for a fault, beside the link or without one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{AsyncClient, ConnectionError, Event, Packet};
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::bundle::Bundle;
use crate::connection;
use crate::https::{is_about_us, tls_error};
use crate::path::Path;

/// Each step; a small board needs a while for its half of TLS.
const STEP: Duration = Duration::from_secs(8);
/// A broker that does not want our certificate says so at once (TLS 1.3: after the handshake).
const REFUSAL: Duration = Duration::from_millis(700);

/// How far it went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// TLS is up, and our certificate was not refused.
    Tls,
    /// The broker accepted this device.
    Mqtt,
}

/// What was in the way.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Hindrance {
    /// No TCP connection: no name, no route, nobody who listens.
    #[error("no TCP connection: {0}")]
    Tcp(String),
    /// Something that does not speak TLS as it should.
    #[error("no TLS: {0}")]
    Tls(String),
    /// The broker's certificate is not one that we trust.
    #[error("its certificate is not trusted: {0}")]
    Untrusted(String),
    /// The broker does not trust our certificate.
    #[error("it does not accept this camera's certificate: {0}")]
    Unaccepted(String),
    /// It is no MQTT broker, or refused to take us.
    #[error("no MQTT connection: {0}")]
    Mqtt(String),
}

/// Tries the broker of a bundle. `connect`: also as this device, which puts out a link that is up elsewhere, so only for
/// a device without one; what the broker keeps for it stays there.
///
/// # Errors
///
/// [`Hindrance`]: the first step that went wrong.
pub async fn reach_broker(bundle: &Bundle, connect: bool) -> Result<Reached, Hindrance> {
    let broker = &bundle.broker;
    let address = (broker.host.as_str(), broker.port);
    let stream = timeout(STEP, TcpStream::connect(address))
        .await
        .unwrap_or_else(|_| Err(silence()))
        .map_err(|error| Hindrance::Tcp(error.to_string()))?;
    let name = ServerName::try_from(broker.host.clone())
        .map_err(|error| Hindrance::Tls(error.to_string()))?;
    let handshake = TlsConnector::from(Arc::clone(&bundle.tls)).connect(name, stream);
    let mut stream = timeout(STEP, handshake)
        .await
        .unwrap_or_else(|_| Err(silence()))
        .map_err(|error| sorted(&error))?;
    match timeout(REFUSAL, stream.read(&mut [0; 1])).await {
        Err(_) | Ok(Ok(1..)) => {}
        Ok(Ok(0)) => return Err(Hindrance::Mqtt("it hung up at once".to_owned())),
        Ok(Err(error)) => return Err(sorted(&error)),
    }
    if !connect {
        return Ok(Reached::Tls);
    }
    drop(stream);
    timeout(2 * STEP, mqtt(bundle))
        .await
        .unwrap_or_else(|_| Err(Hindrance::Mqtt(silence().to_string())))
}

async fn mqtt(bundle: &Bundle) -> Result<Reached, Hindrance> {
    let options = connection::options(bundle, false, &Path::default());
    let (_client, mut events) = AsyncClient::builder(options).capacity(1).build();
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => return Ok(Reached::Mqtt),
            Ok(_) => {}
            // What it keeps for this device is there, and it would have gone on with it.
            Err(ConnectionError::SessionStateMismatch { .. }) => return Ok(Reached::Mqtt),
            Err(ConnectionError::Io(error)) => return Err(sorted(&error)),
            Err(error) => return Err(Hindrance::Mqtt(error.to_string())),
        }
    }
}

fn silence() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer")
}

fn sorted(error: &io::Error) -> Hindrance {
    let text = error.to_string();
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(_)) => Hindrance::Untrusted(text),
        Some(rustls::Error::AlertReceived(alert)) if is_about_us(*alert) => {
            Hindrance::Unaccepted(text)
        }
        _ => Hindrance::Tls(text),
    }
}
