//! A control plane and a camera that belongs to nobody yet: it shows a pairing code and waits.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::build::Binaries;
use crate::equipment::Equipment;
use crate::process::{Process, tied};
use crate::stack::{self, Account, Control, Picture};
use crate::{http, step};

/// How long something may take that is to happen soon.
const SOON: Duration = Duration::from_secs(60);

/// Both, running.
pub struct Newcomer {
    // Declared first: the camera stops before the control plane.
    camera: Process,
    control: Control,
    account: Account,
    equipment: Equipment,
    log: PathBuf,
}

impl Newcomer {
    /// Starts both afresh with their data and logs in `folder`.
    pub fn start(binaries: &Binaries, folder: &Path, host: &str, picture: Picture) -> Result<Self> {
        let control = Control::start(&binaries.control, folder, host, false)?;
        let account = control.add_user("demo")?;
        let equipment = Equipment::new(folder, host)?;
        let config = stack::camera_config("bundle.toml", picture, "", equipment.audio());
        // What a person without a claim file writes: where the control plane is, and who signs for it.
        let authority = fs::read_to_string(folder.join("data/root.pem"))?;
        let enrolment = format!(
            "\n[enrolment]\nserver = \"{}\"\nca = \"\"\"\n{authority}\"\"\"\nserial = \"E2E-0001\"\n",
            control.url()
        );
        fs::write(
            folder.join("heron-camera.toml"),
            config + &equipment.sections() + &enrolment,
        )?;
        let mut command = tied(&binaries.camera);
        command.args(["run", "--config", "heron-camera.toml"]);
        let (name, value) = equipment.environment();
        command.env(name, value);
        let log = folder.join("heron-camera.log");
        let camera = Process::spawn("heron-camera", command, &log, folder)?;
        Ok(Self {
            camera,
            control,
            account,
            equipment,
            log,
        })
    }

    /// What a browser script needs to know.
    pub fn input(&self, output: &Path) -> Value {
        let mut input = stack::input(&self.control, &self.account, output);
        if let (Value::Object(input), Value::Object(more)) = (&mut input, self.equipment.input()) {
            input.extend(more);
        }
        input
    }

    /// What a browser script may ask for.
    pub fn answer(&mut self, what: &str, argument: &str) -> Result<String> {
        match what {
            "pairing-code" => self.pairing_code(),
            "refusals" => Ok(refusals()?.to_string()),
            "refused" => self.refused(argument.parse()?).map(|()| String::new()),
            _ => bail!("a newcomer knows no `{what}`"),
        }
    }

    /// Waits until the camera's log names its code.
    fn pairing_code(&mut self) -> Result<String> {
        step::wait_for("the camera showing a pairing code", SOON, || {
            self.camera.ensure_running()?;
            let log = fs::read_to_string(&self.log).context("the camera's log")?;
            let code = log
                .rsplit_once("pairing code ")
                .and_then(|(_, rest)| rest.split_once(':'));
            Ok(code.map(|(code, _)| code.to_owned()))
        })
    }

    /// Waits until the broker has turned cameras away more often than that, and has none.
    fn refused(&mut self, before: u64) -> Result<()> {
        step::wait_for("the broker refusing the camera", SOON, || {
            self.control.ensure_running()?;
            let out = refusals()? > before && figure("heron_broker_cameras")? == 0;
            Ok(out.then_some(()))
        })
    }
}

/// How many connections the broker has refused.
fn refusals() -> Result<u64> {
    figure("heron_broker_refused_connects_total")
}

/// A figure of the control plane.
fn figure(name: &str) -> Result<u64> {
    let figures = http::get(stack::LOCAL, "/metrics")?;
    figures
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .with_context(|| format!("the control plane has no figure {name}"))
}
