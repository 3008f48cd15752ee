//! `heron-control broker config`: what a broker is to be started with, printed.

use std::net::SocketAddr;

use clap::ValueEnum;
use heron_broker::{Limits, Mosquitto, TlsListener};

use super::foreign::REVOKED_FILE;
use crate::config::Config;

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Product {
    /// Eclipse Mosquitto 2.
    Mosquitto,
    /// EMQX 5.
    Emqx,
    /// RMQTT, which is the embedded broker.
    Rmqtt,
}

/// The files of ours that a broker reads, in its directory: name there, name in the data directory.
pub const COPIES: [(&str, &str); 4] = [
    ("server.pem", "server.pem"),
    ("server.key", "server.key"),
    ("devices.pem", "devices.pem"),
    ("control.pem", "control.pem"),
];

/// The text to install, with what to do as comments.
pub fn config_for(product: Product, config: &Config) -> String {
    match product {
        Product::Mosquitto => mosquitto(config),
        Product::Emqx => emqx(config),
        Product::Rmqtt => rmqtt(config),
    }
}

/// Mosquitto as the configuration has it.
pub fn mosquitto_settings(config: &Config) -> Mosquitto {
    let directory = config.broker.directory(&config.server);
    let listener = |listen: SocketAddr, client_ca: &str| TlsListener {
        listen,
        certificate: directory.join("server.pem"),
        key: directory.join("server.key"),
        client_ca: directory.join(client_ca),
    };
    Mosquitto {
        devices: listener(config.broker.devices, "devices.pem"),
        control: listener(config.broker.control, "control.pem"),
        browsers: config.broker.websocket.address(),
        revoked: directory.join(REVOKED_FILE),
        directory,
        limits: Limits::default(),
    }
}

fn mosquitto(config: &Config) -> String {
    let settings = mosquitto_settings(config);
    format!(
        "# Written by: heron-control broker config --for mosquitto\n\
         # 1. In heron-control.toml: [broker] kind = \"mosquitto\", ports that are not 0, and reload, such as\n\
         #    reload = \"systemctl reload mosquitto\". heron-control writes the files below {directory}\n\
         #    when it starts, and the list of revoked certificates at each change. Mosquitto's group must be able to\n\
         #    read them: mkdir -p {directory} && chgrp mosquitto {directory} && chmod 2750 {directory}\n\
         # 2. This text as /etc/mosquitto/conf.d/heron.conf; no other listener may come before it.\n\
         # 3. Start heron-control, then Mosquitto.\n\
         {text}{go_auth}",
        directory = settings.directory.display(),
        text = settings.config(),
        go_auth = go_auth(config),
    )
}

/// For those who run mosquitto-go-auth: it asks about everything, with the protocol's table in the answers.
fn go_auth(config: &Config) -> String {
    let Some(secret) = &config.broker.hook_secret else {
        return String::new();
    };
    let address = config.server.http_listen.address();
    format!(
        "\n\
         # Instead of the access files, mosquitto-go-auth may ask heron-control ([broker] kind = \"external\"):\n\
         # auth_plugin go-auth.so\n\
         # auth_opt_backends http\n\
         # auth_opt_http_host {host}\n\
         # auth_opt_http_port {port}\n\
         # auth_opt_http_getuser_uri /broker/{secret}/go-auth/user\n\
         # auth_opt_http_superuser_uri /broker/{secret}/go-auth/superuser\n\
         # auth_opt_http_aclcheck_uri /broker/{secret}/go-auth/acl\n\
         # auth_opt_http_params_mode json\n\
         # auth_opt_http_response_mode json\n",
        host = address.ip(),
        port = address.port(),
    )
}

/// The address of the hooks, by plain HTTP on this machine.
fn hooks(config: &Config) -> String {
    let secret = config.broker.hook_secret.as_deref();
    format!(
        "http://{}/broker/{}",
        config.server.http_listen.address(),
        secret.unwrap_or("PUT-broker.hook_secret-HERE")
    )
}

fn emqx(config: &Config) -> String {
    let broker = &config.broker;
    let directory = broker.directory(&config.server);
    let file = |name: &str| directory.join(name).display().to_string();
    let ssl = |client_ca: &str| {
        format!(
            "    certfile = {:?}, keyfile = {:?}, cacertfile = {:?}\n    \
             verify = verify_peer, fail_if_no_peer_cert = true",
            file("server.pem"),
            file("server.key"),
            file(client_ca)
        )
    };
    format!(
        "## Written by: heron-control broker config --for emqx (EMQX 5.8 or later; add to emqx.conf)\n\
         ## In heron-control.toml: [broker] kind = \"external\", and hook_secret. The certificates are written below\n\
         ## {directory} when heron-control starts. Behind these listeners every question goes to heron-control.\n\
         mqtt {{ max_packet_size = 68KB, max_qos_allowed = 1, max_clientid_len = 64 }}\n\
         listeners.tcp.default.enable = false\n\
         listeners.ws.default.enable = false\n\
         listeners.wss.default.enable = false\n\
         listeners.ssl.default.enable = false\n\
         zones.devices.mqtt {{ peer_cert_as_username = cn, peer_cert_as_clientid = cn }}\n\
         zones.control.mqtt {{ peer_cert_as_username = cn }}\n\
         listeners.ssl.devices {{\n  \
           bind = \"{devices}\", zone = devices\n  \
           ssl_options {{\n{devices_ssl}\n  }}\n\
         }}\n\
         listeners.ssl.control {{\n  \
           bind = \"{control}\", zone = control\n  \
           ssl_options {{\n{control_ssl}\n  }}\n\
         }}\n\
         listeners.tcp.browsers {{ bind = \"{browsers}\" }}\n\
         authentication = [{{\n  \
           mechanism = password_based, backend = http, method = post\n  \
           url = \"{hooks}/authn\"\n  \
           headers {{ content-type = \"application/json\" }}\n  \
           body {{\n    \
             clientid = \"${{clientid}}\", username = \"${{username}}\", password = \"${{password}}\"\n    \
             cert_common_name = \"${{cert_common_name}}\", cert_pem = \"${{cert_pem}}\"\n  \
           }}\n\
         }}]\n\
         authorization {{\n  \
           no_match = deny, deny_action = ignore, cache.enable = false\n  \
           sources = [{{\n    \
             type = http, method = post\n    \
             url = \"{hooks}/authz\"\n    \
             headers {{ content-type = \"application/json\" }}\n    \
             body {{\n      \
               clientid = \"${{clientid}}\", username = \"${{username}}\", cert_common_name = \"${{cert_common_name}}\"\n      \
               action = \"${{action}}\", topic = \"${{topic}}\", retain = \"${{retain}}\"\n    \
             }}\n  \
           }}]\n\
         }}\n",
        directory = directory.display(),
        devices = broker.devices,
        devices_ssl = ssl("devices.pem"),
        control = broker.control,
        control_ssl = ssl("control.pem"),
        browsers = broker.websocket.address(),
        hooks = hooks(config),
    )
}

fn rmqtt(config: &Config) -> String {
    let broker = &config.broker;
    format!(
        "# RMQTT is inside heron-control: there is nothing to install. In heron-control.toml, as it is by default:\n\
         [broker]\n\
         kind = \"embedded\"\n\
         devices = \"{}\"\n\
         control = \"{}\"\n\
         # RMQTT on its own does not say in its HTTP questions whether a user name came from a certificate, so it cannot\n\
         # stand in for the embedded one.\n",
        broker.devices, broker.control,
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn printed(product: Product) -> String {
        let text = "[server]\ndata_dir = \"/var/lib/heron\"\n[broker]\nwebsocket = \"127.0.0.1:8885\"\n\
                    hook_secret = \"0123456789abcdef\"";
        let config = Config::parse(text, Path::new("heron-control.toml")).unwrap();
        config_for(product, &config)
    }

    #[test]
    fn each_names_the_doors_and_the_files() {
        let mosquitto = printed(Product::Mosquitto);
        for line in [
            "listener 8883 0.0.0.0",
            "crlfile /var/lib/heron/broker/devices.crl",
            "acl_file /var/lib/heron/broker/browsers.acl",
            "listener 8885 127.0.0.1",
            "# auth_opt_http_aclcheck_uri /broker/0123456789abcdef/go-auth/acl",
        ] {
            assert!(
                mosquitto.lines().any(|one| one == line),
                "{line}\n{mosquitto}"
            );
        }
        let emqx = printed(Product::Emqx);
        for part in [
            "http://127.0.0.1:8080/broker/0123456789abcdef/authn",
            "cacertfile = \"/var/lib/heron/broker/control.pem\"",
            "clientid = \"${clientid}\"",
        ] {
            assert!(emqx.contains(part), "{part}\n{emqx}");
        }
        assert_eq!(emqx.matches('{').count(), emqx.matches('}').count());
        assert!(printed(Product::Rmqtt).contains("nothing to install"));
    }
}
