//! What the loss of a connection means: the network, the broker, or a certificate.
//!
//! The camera is the only one who sees how its connection failed; the broker only sees it gone. So what
//! is found here is what presence tells after the return.

use std::error::Error;
use std::io;

use heron_protocol::messages::Offline;
use rumqttc::{ConnectReturnCode as Code, ConnectionError, StateError};
use rustls::Error as Tls;

use crate::https::{is_about_us, tls_error};

/// The reason behind an error of the connection.
pub fn reason(error: &ConnectionError) -> Offline {
    match error {
        ConnectionError::Timeout(_) | ConnectionError::DisconnectTimeout => Offline::Network,
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => refused(*code),
        ConnectionError::MqttState(StateError::AwaitPingResp) => Offline::Network,
        other => caused(other),
    }
}

/// A broker that answers, and does not take us.
fn refused(code: Code) -> Offline {
    match code {
        Code::NotAuthorized
        | Code::BadUserNamePassword
        | Code::Banned
        | Code::BadAuthenticationMethod
        | Code::BadClientId
        | Code::ClientIdentifierNotValid => Offline::Certificate,
        _ => Offline::Broker,
    }
}

/// What is at the bottom of an error.
fn caused(error: &(dyn Error + 'static)) -> Offline {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return match tls_error(io) {
                Some(tls) => handshake(tls),
                None => socket(io.kind()),
            };
        }
        if let Some(tls) = inner.downcast_ref::<Tls>() {
            return handshake(tls);
        }
        cause = inner.source();
    }
    Offline::Broker
}

fn handshake(error: &Tls) -> Offline {
    match error {
        Tls::InvalidCertificate(_) => Offline::Certificate,
        Tls::AlertReceived(alert) if is_about_us(*alert) => Offline::Certificate,
        _ => Offline::Broker,
    }
}

/// A machine that answers with a refusal is there; silence and missing routes are the network's.
fn socket(kind: io::ErrorKind) -> Offline {
    match kind {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::InvalidData => Offline::Broker,
        _ => Offline::Network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{AlertDescription, CertificateError};

    #[test]
    fn each_failure_has_the_name_that_helps() {
        let io = |kind: io::ErrorKind| ConnectionError::Io(kind.into());
        let tls =
            |error: Tls| ConnectionError::Io(io::Error::new(io::ErrorKind::InvalidData, error));
        for (error, expected) in [
            (io(io::ErrorKind::ConnectionRefused), Offline::Broker),
            (io(io::ErrorKind::ConnectionReset), Offline::Broker),
            (io(io::ErrorKind::HostUnreachable), Offline::Network),
            (io(io::ErrorKind::TimedOut), Offline::Network),
            (io(io::ErrorKind::Other), Offline::Network),
            (
                ConnectionError::MqttState(StateError::AwaitPingResp),
                Offline::Network,
            ),
            (
                ConnectionError::ConnectionRefused(Code::NotAuthorized),
                Offline::Certificate,
            ),
            (
                ConnectionError::ConnectionRefused(Code::ServerBusy),
                Offline::Broker,
            ),
            (tls(CertificateError::Expired.into()), Offline::Certificate),
            (
                tls(Tls::AlertReceived(AlertDescription::CertificateExpired)),
                Offline::Certificate,
            ),
            (
                tls(Tls::AlertReceived(AlertDescription::InternalError)),
                Offline::Broker,
            ),
        ] {
            assert_eq!(reason(&error), expected, "{error}");
        }
    }
}
