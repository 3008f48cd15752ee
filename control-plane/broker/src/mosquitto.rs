//! What Eclipse Mosquitto (2.0 and later) is to be started with, so that it can stand where the embedded broker stands:
//! three doors, each with its own proof of identity and its own access file.
//!
//! | door | who is there | identity |
//! |---|---|---|
//! | devices | cameras, by TLS | the certificate's common name, which also replaces the MQTT client id; no certificate on the revocation list |
//! | control | heron-control, by TLS | any certificate of the control CA; any client id, so that it can take over a camera's |
//! | browsers | heron-control's WebSocket gateway, on this machine | `{tenant}/{browser}`, set by the gateway, which has checked the token |
//!
//! Where Mosquitto is less strict than the embedded broker: it says yes to every subscription and then delivers only
//! what the access file allows; it takes a will and drops it when it is due; it cannot tell which topics are retained,
//! nor how large each may be (one limit for all), nor whether a shard fits its device. None of it reaches another
//! client, and the control plane passes over what is no topic of the table.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use heron_protocol::topics::Role;
use heron_protocol::{MAX_MESSAGE_BYTES, acl_file};

use crate::config::{Limits, TlsListener};
use crate::listeners::PACKET_OVERHEAD;

/// Where Mosquitto listens, and where its files are.
#[derive(Debug, Clone)]
pub struct Mosquitto {
    /// For cameras.
    pub devices: TlsListener,
    /// For the control plane.
    pub control: TlsListener,
    /// For the gateway: plain MQTT on a loopback address.
    pub browsers: SocketAddr,
    /// Where [`access_files`](Self::access_files) are, under their names.
    pub directory: PathBuf,
    /// The revocation list of the device CA, PEM. It must be there when Mosquitto starts.
    pub revoked: PathBuf,
    /// The same limits as the embedded broker's, as far as Mosquitto has them.
    pub limits: Limits,
}

impl Mosquitto {
    /// The access files: name and content.
    pub fn access_files() -> [(&'static str, String); 3] {
        [
            ("devices.acl", acl_file::mosquitto(Role::Device)),
            ("control.acl", acl_file::mosquitto(Role::Control)),
            ("browsers.acl", acl_file::mosquitto(Role::Browser)),
        ]
    }

    /// `mosquitto.conf`, or a file for its `include_dir`, where no other listener of another's comes before.
    pub fn config(&self) -> String {
        let limits = &self.limits;
        let packet = u64::from(PACKET_OVERHEAD) + MAX_MESSAGE_BYTES as u64;
        let days = limits.session_expiry.as_secs().div_ceil(24 * 3600).max(1);
        format!(
            "# Mosquitto as Heron's broker.\n\
             per_listener_settings true\n\
             sys_interval 0\n\
             set_tcp_nodelay true\n\
             max_packet_size {packet}\n\
             max_keepalive {keep_alive}\n\
             max_inflight_messages {inflight}\n\
             # One figure for all clients: heron-control is sent the retained messages of the whole fleet at once.\n\
             max_queued_messages {queued}\n\
             persistent_client_expiration {days}d\n\
             \n\
             # Cameras. The certificate is the identity, and the client id with it.\n\
             {devices}\
             use_identity_as_username true\n\
             use_username_as_clientid true\n\
             crlfile {revoked}\n\
             {devices_rest}\
             \n\
             # heron-control.\n\
             {control}\
             use_identity_as_username true\n\
             {control_rest}\
             \n\
             # heron-control's gateway for browsers, which checks their tokens. Never in the open.\n\
             listener {port} {address}\n\
             allow_anonymous true\n\
             {browsers_rest}",
            keep_alive = limits.keep_alive_s,
            inflight = limits.inflight,
            queued = limits.control_queued,
            devices = tls(&self.devices),
            revoked = self.revoked.display(),
            devices_rest = self.rest("devices.acl"),
            control = tls(&self.control),
            control_rest = self.rest("control.acl"),
            port = self.browsers.port(),
            address = self.browsers.ip(),
            browsers_rest = self.rest("browsers.acl"),
        )
    }

    fn rest(&self, access: &str) -> String {
        format!(
            "allow_zero_length_clientid false\nmax_qos 1\nacl_file {}\n",
            self.directory.join(access).display()
        )
    }
}

fn tls(listener: &TlsListener) -> String {
    let show = |path: &Path| path.display().to_string();
    format!(
        "listener {} {}\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\nallow_anonymous false\n",
        listener.listen.port(),
        listener.listen.ip(),
        show(&listener.client_ca),
        show(&listener.certificate),
        show(&listener.key),
    )
}
