//! A control plane in this process, a swarm of odd cameras with two good ones among them, and a person's dashboard.

use std::path::Path;
use std::time::Duration;

use heron_control::access::Role;
use heron_control::{Config, Server};
use heron_protocol::DeviceId;
use heron_protocol::messages::ViewDown;
use heron_swarm::{
    Behaviour, Changes, Control, Dashboard, Identity, Mix, Options, Person, Swarm, add_cameras,
    blink,
};
use serde_json::Value;

/// How long anything may take before it counts as not happening.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Odd cameras.
pub const ODD: usize = 10;
/// Cameras beside them that are to notice nothing.
const GOOD: usize = 2;

pub struct Neighbourhood {
    pub control: Control,
    pub swarm: Swarm,
    pub odd: Vec<Identity>,
    dashboard: Dashboard,
    server: Server,
    _folder: tempfile::TempDir,
}

impl Neighbourhood {
    /// Ten cameras of that behaviour and two good ones, which are online when this returns.
    pub async fn with(behaviour: Behaviour) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(config(folder.path())).await.unwrap();
        let person = Person {
            name: "Ada".into(),
            password: "correct horse".into(),
        };
        server
            .home()
            .add_person(&person.name, &person.password, Role::Admin)
            .await
            .unwrap();
        let ca = std::fs::read(folder.path().join("data/root.pem")).unwrap();
        let url = format!("https://{}", server.https_address());
        let mut control = Control::new(&url, Some(&ca)).unwrap();
        control.sign_in(&person).await.unwrap();

        let identities = add_cameras(&control, ODD + GOOD).await.unwrap();
        let options = Options {
            mix: Mix::of(behaviour, ODD),
            ..Options::default()
        };
        let swarm = Swarm::start(identities.clone(), &options).await;
        let good = swarm.good().count();
        let mut online = swarm.figures().online();
        within(
            "good cameras online",
            online.wait_for(|online| *online == good),
        )
        .await
        .unwrap();
        let mut dashboard = Dashboard::connect(&control).await.unwrap();
        within("a dashboard", dashboard.view.ready()).await;
        Self {
            odd: identities[..ODD].to_vec(),
            control,
            swarm,
            dashboard,
            server,
            _folder: folder,
        }
    }

    /// The good cameras answer whoever wants to watch, their coming and going is seen, and none lost its connection.
    pub async fn good_cameras_notice_nothing(&mut self) {
        let good: Vec<_> = self.swarm.good().cloned().collect();
        assert_eq!(good.len(), GOOD);
        for camera in &good {
            let said = self.watch(camera).await;
            assert!(matches!(said, ViewDown::Answer { .. }), "{said:?}");
        }
        let changes: Changes = blink(&self.swarm, &mut self.dashboard.view, GOOD, 10.0).await;
        assert_eq!((changes.seen, changes.missing), (2 * GOOD, 0));
        assert_eq!(self.swarm.figures().counted().borrow().lost, 0);
    }

    /// What a camera answers to somebody who wants to watch it.
    pub async fn watch(&mut self, camera: &DeviceId) -> ViewDown {
        within("an answer", self.dashboard.watch(camera))
            .await
            .unwrap()
    }

    /// A figure of the control plane's own.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = self.control.get("/metrics").await.unwrap();
        let value = text.lines().find_map(|line| {
            let (key, value) = line.split_once(' ')?;
            (key == name).then(|| value.parse().unwrap())
        });
        value.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// What the API tells of the odd cameras.
    pub async fn odd_cameras(&self) -> Vec<Value> {
        let mut cameras = Vec::new();
        for identity in &self.odd {
            let path = format!("/api/v1/cameras/{}", identity.device());
            let text = self.control.get(&path).await.unwrap();
            cameras.push(serde_json::from_str(&text).unwrap());
        }
        cameras
    }

    /// Waits until the swarm has counted that much.
    pub async fn counted(&self, what: &str, enough: impl Fn(&heron_swarm::Counted) -> bool) {
        let mut counted = self.swarm.figures().counted();
        let met = within(what, counted.wait_for(enough)).await;
        drop(met.unwrap());
    }

    pub async fn stop(self) {
        self.swarm.stop().await;
        self.server.stop().await;
    }
}

pub async fn within<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, happens).await;
    outcome.unwrap_or_else(|_| panic!("no {what} within {PATIENCE:?}"))
}

/// All ports chosen by the system, everything in `folder`.
fn config(folder: &Path) -> Config {
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nhttp_listen = \"127.0.0.1:0\"\npublic_host = \"127.0.0.1\"\n\
         data_dir = {:?}\n[broker]\ndevices = \"127.0.0.1:0\"\ncontrol = \"127.0.0.1:0\"\n\
         [turn]\nlisten = \"127.0.0.1:0\"\nrelay_address = \"127.0.0.1\"\n",
        folder.join("data")
    );
    Config::parse(&text, Path::new("test.toml")).unwrap()
}
