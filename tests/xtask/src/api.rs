//! `cargo xtask api`: schemathesis reads the OpenAPI document of a running control plane, makes up requests in and out of
//! its bounds, and looks whether every answer is one that the document names, and none a server error.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::stack::{Control, LOCAL};
use crate::{build, netns, packages, step, workspace};

const PROFILE: &str = "dev";
/// Of schemathesis.
const VERSION: &str = "4.32.5";
/// What it looks at in every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// How many requests it makes up for each route, beside those at the bounds of every field.
const EXAMPLES: &str = "60";

/// Runs it.
pub fn run() -> Result<()> {
    if !netns::inside() {
        packages::ensure_build()?;
        packages::ensure_peers()?;
        schemathesis()?;
        build::all(PROFILE)?;
    }
    netns::enter()?;
    let folder = workspace::target().join("api");
    let program = build::built(PROFILE).control;
    let control = Control::start(&program, &folder, "127.0.0.1", false)?;
    let account = control.add_user("ada")?;
    control.add_camera("Front door")?;
    let document = folder.join("openapi.json");
    fs::write(
        &document,
        step::output(Command::new(&program).arg("openapi"))?,
    )?;
    let body = serde_json::json!({ "name": account.name, "password": account.password });
    let cookie = sign_in(&folder, &body.to_string())?;
    println!("  schemathesis: {EXAMPLES} requests a route, and the bounds of every field");
    // Signing out would end the test; the rest of the document is walked.
    step::run(
        Command::new(schemathesis()?)
            .arg("run")
            .arg(&document)
            .args(["--url", &format!("http://{LOCAL}")])
            .args(["--header", &format!("Cookie: {cookie}")])
            .args(["--exclude-path", "/api/v1/sign-out"])
            .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"])
            .args(["--max-examples", EXAMPLES, "--continue-on-failure"])
            .args([
                "--request-timeout",
                "20",
                "--seed",
                "1",
                "--warnings",
                "off",
            ])
            .current_dir(&folder),
    )
    .context("the answers above are not in the document that `heron-control openapi` prints")
}

/// Signs in as a browser would; returns the cookie.
fn sign_in(folder: &Path, body: &str) -> Result<String> {
    let jar = folder.join("cookies");
    let url = format!("http://{LOCAL}/api/v1/sign-in");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--cookie-jar"])
        .arg(&jar);
    curl.args([
        "--header",
        "content-type: application/json",
        "--data",
        body,
        &url,
    ]);
    step::output(&mut curl)?;
    // Netscape's form: seven fields with tabs between them, the last two are name and value.
    let text = fs::read_to_string(&jar)?;
    let mut fields = text
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    let cookie = fields.rfind(|fields| fields.len() == 7);
    let cookie = cookie.context("signing in gave no cookie")?;
    Ok(format!("{}={}", cookie[5], cookie[6]))
}

/// The program, brought into the build folder.
fn schemathesis() -> Result<PathBuf> {
    let folder = workspace::tools().join(format!("schemathesis-{VERSION}"));
    let program = folder.join("bin/schemathesis");
    if !program.exists() {
        println!("  Bringing schemathesis {VERSION}");
        step::output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let package = format!("schemathesis=={VERSION}");
        let arguments = [
            "install",
            "--quiet",
            "--disable-pip-version-check",
            &package,
        ];
        step::output(Command::new(folder.join("bin/pip")).args(arguments))?;
    }
    Ok(program)
}
