//! `heron-camera run`: starts everything, passes messages between the parts, and stops in order.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use heron_agent::{AgentConfig, Bundle, Clock, Down, Link, NetworkWatch, Parting};
use heron_protocol::Refused;
use heron_protocol::messages::{EndReason, Offline, Section};
use heron_session::{Calendar, Event, Hub, HubConfig};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::config::Config;
use crate::control::Control;
use crate::enrolling::{self, Aborted};
use crate::figures::{Figures, Sources};
use crate::identity::{Change, Identity};
use crate::media::Media;
use crate::possession::Possession;
use crate::report::{self, Reporter};
use crate::self_test::{self, SelfTest};
use crate::talk::Talk;
use crate::{local_view, machine, metrics, service, wiring};

const FIRMWARE: &str = env!("CARGO_PKG_VERSION");
const TELEMETRY: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_secs(1);
/// The parts of a stop; together they stay below 5 s.
const CLOSE_SESSIONS: Duration = Duration::from_millis(1500);
const CLOSE_DEVICES: Duration = Duration::from_millis(400);

/// Why a service ended.
enum End {
    /// Somebody said so.
    Stopped,
    /// The camera was enrolled anew: it begins again as another device.
    Enrolled,
}

/// Runs until SIGTERM or SIGINT.
pub fn run(path: &Path) -> anyhow::Result<ExitCode> {
    let config = Config::load(path)?;
    let runtime = tokio::runtime::Runtime::new().context("the async runtime does not start")?;
    let outcome = runtime.block_on(live(&config));
    // A thread that hangs in a driver must not keep the process.
    runtime.shutdown_background();
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Enrols where that is needed, and serves, for as long as nobody says stop.
async fn live(config: &Config) -> anyhow::Result<()> {
    let clock = Clock::new();
    let mut signals = Signals::listen()?;
    let (mut parting, mut last_reason) =
        Parting::open(&config.bundle, &machine::boot_id(), machine::reset_cause());
    loop {
        let Some(bundle) = enrolling::bundle(config, &clock, &mut signals).await? else {
            parting.stopping(Offline::Shutdown);
            return Ok(());
        };
        if let Err(reason) = bundle.validity.check(clock.now()) {
            // Not fatal: the clock may be set later, and the certificate renewed.
            warn!("{reason}");
        }
        let started = Started {
            bundle,
            clock: clock.clone(),
            last_reason: last_reason.take(),
        };
        let _possession = possession(&config.bundle);
        match serve(config, started, &mut signals, &mut parting).await? {
            End::Stopped => return Ok(()),
            End::Enrolled => info!("this camera was enrolled anew"),
        }
    }
}

/// Takes possession of the device on this machine, as far as that can be told.
fn possession(bundle: &Path) -> Option<Possession> {
    let taken = Possession::take(bundle);
    match &taken {
        Ok(Some(_)) => {}
        Ok(None) => warn!("another process here is this camera too, or `heron-camera doctor` runs"),
        Err(error) => warn!("no lock beside {}: {error}", bundle.display()),
    }
    taken.ok().flatten()
}

/// Who a service is, and what it knows at its start.
struct Started {
    bundle: Bundle,
    clock: Clock,
    last_reason: Option<Offline>,
}

async fn serve(
    config: &Config,
    started: Started,
    signals: &mut Signals,
    parting: &mut Parting,
) -> anyhow::Result<End> {
    let Started {
        bundle,
        clock,
        last_reason,
    } = started;
    let video = config.video.pipeline();
    let audio = config.audio.pipeline();
    let (hub, mut events) = Hub::new(hub_config(&bundle, &clock, config));
    let media = Media::start(video.clone(), audio.clone(), &hub).context("media does not start")?;
    let uptime_ms = u64::try_from(machine::uptime().as_millis()).unwrap_or(u64::MAX);
    info!(device = %bundle.device, broker = %bundle.broker, video = video.source.name(), "heron-camera {FIRMWARE}");
    let mut agent = AgentConfig::new(bundle.clone(), FIRMWARE, machine::boot_id(), uptime_ms);
    agent.clock = clock.clone();
    agent.last_reason = last_reason;
    let (link, mut down) = Link::start(agent);
    let mut identity = Identity::start(config, &link, &bundle, &clock);
    let sources = Sources {
        media: Arc::new(media),
        hub,
        link,
    };
    let mut servers = Vec::new();
    if let Some(address) = config.metrics {
        servers.push(Aborted(metrics::serve(address, sources.clone()).await?));
    }
    if let Some(local) = &config.local_view {
        let hub = sources.hub.clone();
        servers.push(Aborted(
            local_view::serve(local, hub, Arc::clone(&sources.media)).await?,
        ));
    }
    let talk = Talk::new(config.audio.speaker(), Arc::clone(&sources.media));
    let testing = self_test::Settings {
        server: config.enrolment.server.clone(),
        clock,
        bitrate_bps: wiring::bitrate_bps(&config.video, &config.audio),
    };
    let self_test = Arc::new(SelfTest::start(testing, sources.link.clone()));
    let mut network = NetworkWatch::new();
    let mut camera = Camera::new(
        sources,
        Reporter::new(video, audio, FIRMWARE),
        talk,
        self_test,
    );
    service::ready("started");

    let mut look = every(LOOK);
    let mut telemetry = every(TELEMETRY);
    let mut watchdog = service::alive_interval().map(every);
    let end = loop {
        tokio::select! {
            name = signals.next() => {
                info!("stopping: {name}");
                service::stopping();
                parting.stopping(Offline::Shutdown);
                break End::Stopped;
            }
            Some(event) = events.recv() => camera.event(event),
            message = down.recv() => match message {
                Some(message) => camera.down(message),
                None => bail!("the link to the control plane ended"),
            },
            change = identity.next() => match change {
                Change::Renewed(bundle) => camera.sources.hub.renew(bundle.identity),
                Change::Enrolled => break End::Enrolled,
            },
            () = network.changed() => camera.network_changed(),
            _ = look.tick() => {
                camera.look();
                parting.distress(machine::distress());
            }
            _ = telemetry.tick() => camera.telemetry(),
            () = tick(&mut watchdog) => camera.alive(),
        }
    };
    for server in servers {
        server.end().await;
    }
    let reason = match end {
        End::Stopped => Offline::Shutdown,
        End::Enrolled => Offline::Restart,
    };
    camera.stop(&mut events, reason).await;
    Ok(end)
}

fn hub_config(
    bundle: &Bundle,
    clock: &Clock,
    Config {
        session,
        video,
        audio,
        ..
    }: &Config,
) -> HubConfig {
    let mut config = HubConfig::new(
        bundle.device.clone(),
        bundle.identity.clone(),
        bundle.grant_key.clone(),
    );
    let clock = clock.clone();
    config.calendar = Calendar::new(move || clock.now());
    config.max_viewers = session.max_viewers;
    config.udp_port = session.udp_port;
    config.tcp = session.tcp;
    config.talk = audio.loudspeaker.is_some();
    match bundle.relay_roots() {
        Ok(roots) => config.turn_roots = Arc::new(roots),
        Err(error) => warn!("relays over TLS are of no use: {error}"),
    }
    config.ladder = wiring::ladder(video, audio);
    config.video_codec = wiring::codec(&video.source);
    if !session.bind.is_empty() {
        config.bind = session.bind.iter().map(ToString::to_string).collect();
    }
    config
}

/// The parts, and what the main loop does with them.
struct Camera {
    sources: Sources,
    reporter: Reporter,
    talk: Talk,
    control: Control,
    self_test: Arc<SelfTest>,
    started: Instant,
    alive: bool,
    status: String,
}

impl Camera {
    fn new(sources: Sources, reporter: Reporter, talk: Talk, self_test: Arc<SelfTest>) -> Self {
        Self {
            control: Control::new(Arc::clone(&sources.media), Arc::clone(&self_test)),
            self_test,
            sources,
            reporter,
            talk,
            started: Instant::now(),
            alive: true,
            status: String::new(),
        }
    }

    /// From the hub.
    fn event(&mut self, event: Event) {
        match event {
            Event::Send { session, message } => {
                log_refused(self.sources.link.publish_rtc(session, &message));
            }
            Event::KeyFrameWanted { rung } => {
                self.sources
                    .media
                    .request_key_frame(wiring::media_rung(rung));
            }
            Event::Targets(wanted) => self.sources.media.set_targets(wiring::targets(wanted)),
            Event::Demand { viewers } => self.sources.media.set_sound(viewers > 0),
            Event::Talk(event) => self.talk.event(event),
            Event::Control { request, reply } => self.control.call(request, reply),
        }
    }

    /// From the control plane.
    fn down(&mut self, message: Down) {
        match message {
            Down::Rtc { session, message } => self.sources.hub.handle(&session, message),
            Down::State { section, desired } => {
                self.reporter.desired(section, &desired);
                self.report(section, &self.figures());
            }
        }
    }

    /// Once a second: watches media, and tells what changed. The link drops what did not.
    fn look(&mut self) {
        self.alive = self.sources.media.supervise(Instant::now());
        let figures = self.figures();
        for section in report::SECTIONS {
            self.report(section, &figures);
        }
        let broker = if figures.online {
            "online"
        } else {
            "no broker"
        };
        let status = format!(
            "{broker}, {} viewers, video {}",
            figures.viewers(),
            figures.video.source
        );
        if status != self.status {
            service::status(&status);
            self.status = status;
        }
    }

    fn figures(&self) -> Figures {
        Figures {
            self_test: self.self_test.found(),
            ..self.sources.figures()
        }
    }

    /// An address or a route changed: the link, the viewers' paths and the picture of the network are looked after.
    fn network_changed(&self) {
        self.sources.link.network_changed();
        self.sources.hub.network_changed();
        self.self_test.network_changed();
    }

    fn report(&self, section: Section, figures: &Figures) {
        let state = self.reporter.state(section, figures);
        log_refused(self.sources.link.publish_state(section, &state));
    }

    fn telemetry(&self) {
        let telemetry = report::telemetry(&self.sources.figures(), self.started.elapsed());
        log_refused(self.sources.link.publish_tele(&telemetry));
    }

    /// Tells systemd that we are well, which the main loop is by being here, if media is too.
    fn alive(&self) {
        if self.alive {
            service::alive();
        }
    }

    /// Viewers are told, then the control plane, then the devices are closed.
    async fn stop(mut self, events: &mut mpsc::UnboundedReceiver<Event>, reason: Offline) {
        let hub = self.sources.hub.clone();
        let closing = hub.close_all(
            EndReason::CameraShutdown,
            "the camera's service was stopped",
        );
        let goodbyes = async {
            tokio::pin!(closing);
            loop {
                tokio::select! {
                    () = &mut closing => return,
                    Some(event) = events.recv() => self.event(event),
                }
            }
        };
        if timeout(CLOSE_SESSIONS, goodbyes).await.is_err() {
            warn!("some viewers were not told that the camera stops");
        }
        while let Ok(event) = events.try_recv() {
            self.event(event);
        }
        self.sources.link.stop(reason).await;
        let devices = tokio::task::spawn_blocking(move || self.sources.media.stop());
        if timeout(CLOSE_DEVICES, devices).await.is_err() {
            warn!("a media device does not close; leaving it to the kernel");
        }
        info!("stopped");
    }
}

/// Our own messages keep to the limits; if one does not, a person should know.
fn log_refused(outcome: Result<(), Refused>) {
    if let Err(reason) = outcome {
        warn!("a message of ours breaks the protocol's limits: {reason}");
    }
}

/// What asks the service to stop.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT")?,
        })
    }

    /// The name of the signal that came. May be dropped and called again.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Ticks from now on, and not faster after a delay.
pub fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// The next tick, or never.
pub async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}
