//! The questions of EMQX and of mosquitto-go-auth, in the forms that they document, and our answers.

use std::path::Path;

use crate::support::{ADMIN, Client, ControlPlane, VIEWER};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heron_control::access::Role;
use heron_control::identity::Bundle;
use heron_control::{Config, Server};
use serde_json::{Value, json};

const SECRET: &str = "0123456789abcdef";

struct Site {
    control: ControlPlane,
    admin: Client,
}

impl Site {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nhttp_listen = \"127.0.0.1:0\"\npublic_host = \"127.0.0.1\"\n\
             data_dir = {:?}\n[broker]\ndevices = \"127.0.0.1:0\"\ncontrol = \"127.0.0.1:0\"\n\
             hook_secret = \"{SECRET}\"\n[turn]\nlisten = \"127.0.0.1:0\"\nrelay_address = \"127.0.0.1\"\n",
            dir.path().join("data")
        );
        let config = Config::parse(&text, Path::new("test.toml")).unwrap();
        let server = Server::start(config).await.unwrap();
        for ((name, password), role) in [(ADMIN, Role::Admin), (VIEWER, Role::Viewer)] {
            let added = server.home().add_person(name, password, role).await;
            added.unwrap();
        }
        let control = ControlPlane { server, dir };
        let admin = control.signed_in(ADMIN).await;
        Self { control, admin }
    }

    async fn camera(&self, name: &str) -> Bundle {
        let added = self
            .admin
            .post("/api/v1/cameras", &json!({ "name": name }))
            .await;
        toml::from_str(added.json()["bundle"].as_str().unwrap()).unwrap()
    }

    /// Asks as a broker does: without a cookie.
    async fn ask(&self, path: &str, question: Value) -> crate::support::Answer {
        let path = format!("/broker/{SECRET}/{path}");
        self.control.client().post(&path, &question).await
    }

    async fn emqx(&self, path: &str, question: Value) -> bool {
        let answer = self.ask(path, question).await;
        assert_eq!(answer.status, 200, "anything else means: ask the next");
        let verdict = answer.json();
        assert_eq!(verdict["is_superuser"], false);
        verdict["result"] == "allow"
    }

    async fn go_auth(&self, path: &str, question: Value) -> bool {
        let answer = self.ask(path, question).await;
        let ok = answer.json()["ok"].as_bool().unwrap();
        assert_eq!(answer.status, if ok { 200 } else { 403 });
        ok
    }

    async fn token(&self) -> (String, String, String) {
        let viewer = self.control.signed_in(VIEWER).await;
        let token = viewer
            .post("/api/v1/browser-token", &json!({}))
            .await
            .json();
        let text = |field: &str| token[field].as_str().unwrap().to_owned();
        (text("tenant"), text("browser"), text("token"))
    }
}

#[tokio::test]
async fn emqx_asks_about_a_camera_until_it_is_revoked() {
    let site = Site::start().await;
    let (bundle, other) = (
        site.camera("Front door").await,
        site.camera("Back door").await,
    );
    let device = bundle.device.as_str();
    let arriving = |client: &str, certificate: &str| {
        json!({ "clientid": client, "username": device, "password": "", "cert_common_name": device,
            "cert_pem": STANDARD.encode(certificate) })
    };
    let own = || arriving(device, &bundle.certificate);
    assert!(site.emqx("authn", own()).await);
    let named_other = arriving(other.device.as_str(), &bundle.certificate);
    assert!(
        !site.emqx("authn", named_other).await,
        "another's client id"
    );
    let another_s = arriving(device, &other.certificate);
    assert!(
        !site.emqx("authn", another_s).await,
        "another's certificate"
    );

    let wants = |action: &str, topic: String, retain: &str| {
        json!({ "clientid": device, "username": device, "cert_common_name": device,
            "action": action, "topic": topic, "retain": retain })
    };
    let tree = format!("cam/1/{}/{device}", bundle.device.shard());
    for (action, rest, retain, allowed) in [
        ("publish", "up/presence", "true", true),
        ("publish", "up/tele", "false", true),
        ("publish", "up/tele", "true", false),
        ("publish", "dn/state/video", "true", false),
        ("subscribe", "dn/#", "", true),
        ("subscribe", "#", "", false),
        ("", "dn/#", "", false),
    ] {
        let question = wants(action, format!("{tree}/{rest}"), retain);
        assert_eq!(
            site.emqx("authz", question).await,
            allowed,
            "{action} {rest}"
        );
    }
    let path = format!("/api/v1/cameras/{device}/revoke");
    let revoked = site.admin.post(&path, &json!({ "reason": "a test" })).await;
    assert_eq!(revoked.status, 204);
    let refused = async {
        while site.emqx("authn", own()).await {}
        while site
            .emqx(
                "authz",
                wants("publish", format!("{tree}/up/presence"), "true"),
            )
            .await
        {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), refused)
        .await
        .expect("both questions are answered with no");
}

#[tokio::test]
async fn emqx_is_told_when_a_browser_s_token_ends() {
    let site = Site::start().await;
    let (tenant, browser, token) = site.token().await;
    let question = json!({ "clientid": browser, "username": browser, "password": token });
    let verdict = site.ask("authn", question).await.json();
    assert_eq!(verdict["result"], "allow");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let left = verdict["expire_at"].as_u64().unwrap() - now.unwrap().as_secs();
    assert!((500..=600).contains(&left), "{left} s");
    for (client, name, password) in [
        (browser.as_str(), browser.as_str(), "wrong"),
        ("browser-01", browser.as_str(), token.as_str()),
        (browser.as_str(), "heron-control", token.as_str()),
    ] {
        let question = json!({ "clientid": client, "username": name, "password": password });
        assert!(!site.emqx("authn", question).await, "{client} {name}");
    }
    for (topic, allowed) in [
        (format!("view/1/{tenant}/{browser}/dn/#"), true),
        (format!("view/1/work/{browser}/dn/#"), false),
        ("cam/1/#".into(), false),
    ] {
        let question = json!({ "clientid": browser, "username": browser, "action": "subscribe", "topic": topic });
        assert_eq!(site.emqx("authz", question).await, allowed, "{topic}");
    }
}

#[tokio::test]
async fn the_control_plane_is_known_by_its_certificate() {
    let site = Site::start().await;
    let named =
        |name: &str| json!({ "clientid": "control.1", "username": name, "cert_common_name": name });
    assert!(site.emqx("authn", named("heron-control")).await);
    let wants = |client: &str, topic: &str| {
        json!({ "clientid": client, "username": "heron-control", "cert_common_name": "heron-control",
            "action": "publish", "topic": topic, "retain": "true" })
    };
    let camera = site.camera("Front door").await.device;
    let tree = format!("cam/1/{}/{camera}", camera.shard());
    let state = format!("{tree}/dn/state/video");
    let presence = format!("{tree}/up/presence");
    assert!(site.emqx("authz", wants("control.1", &state)).await);
    assert!(!site.emqx("authz", wants("control.1", &presence)).await);
    assert!(
        site.emqx("authz", wants(camera.as_str(), &presence)).await,
        "its last word"
    );
}

#[tokio::test]
async fn mosquitto_go_auth_asks_about_users_and_topics() {
    let site = Site::start().await;
    let (tenant, browser, token) = site.token().await;
    let user =
        |password: &str| json!({ "username": browser, "password": password, "clientid": browser });
    assert!(site.go_auth("go-auth/user", user(&token)).await);
    assert!(!site.go_auth("go-auth/user", user("wrong")).await);
    assert!(
        !site
            .go_auth("go-auth/superuser", json!({ "username": browser }))
            .await
    );
    let device = site.camera("Front door").await.device;
    let acl = |name: &str, topic: &str, acc: u8| json!({ "username": name, "clientid": name, "topic": topic, "acc": acc });
    let call = "0123456789abcdef0123456789abcdef";
    let (up, down) = (
        format!("view/1/{tenant}/{browser}/up/rtc/{call}"),
        format!("view/1/{tenant}/{browser}/dn/rtc/{call}"),
    );
    let camera_up = format!("cam/1/{}/{device}/up/presence", device.shard());
    for (name, topic, acc, allowed) in [
        (browser.as_str(), up.as_str(), 2, true),
        (&browser, &up, 1, false),
        (&browser, &down, 1, true),
        (&browser, &down, 4, true),
        (&browser, &down, 2, false),
        (&browser, &down, 3, false),
        (&browser, &camera_up, 2, false),
        (device.as_str(), &camera_up, 2, true),
        (device.as_str(), &up, 2, false),
        (device.as_str(), "$SYS/#", 4, false),
    ] {
        let answer = site.go_auth("go-auth/acl", acl(name, topic, acc)).await;
        assert_eq!(answer, allowed, "{name} {topic} {acc}");
    }
}

#[tokio::test]
async fn without_the_secret_nothing_is_allowed_and_without_one_nobody_is_asked() {
    let site = Site::start().await;
    let (_, browser, token) = site.token().await;
    let question = json!({ "clientid": browser, "username": browser, "password": token });
    let client = site.control.client();
    let other = client
        .post("/broker/another-secret-00/authn", &question)
        .await;
    assert_eq!(other.json()["result"], "deny");
    let user = client
        .post("/broker/another-secret-00/go-auth/user", &question)
        .await;
    assert_eq!(user.status, 403);
    let plain = ControlPlane::start().await;
    let nobody = plain
        .client()
        .post(&format!("/broker/{SECRET}/authn"), &question)
        .await;
    assert_ne!(nobody.status, 200);
}
