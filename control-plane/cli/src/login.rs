//! Signing in and out.

use std::fs;

use anyhow::Context as _;
use hyper::Method;
use serde_json::json;

use crate::arguments::Login;
use crate::http::Client;
use crate::password;
use crate::session::Session;
use crate::table::clean;

/// Signs in and keeps the session.
pub async fn sign_in(login: Login) -> anyhow::Result<String> {
    let ca = login
        .ca
        .map(|file| fs::read_to_string(&file).with_context(|| file.display().to_string()));
    let ca = ca.transpose()?;
    let client = Client::new(login.server.clone(), ca.as_deref(), None)?;
    let password = password::read(&login.name, login.password_stdin)?;
    let body = json!({ "name": login.name, "password": password });
    let answer = client.ask(Method::POST, "/sign-in", Some(&body)).await?;
    let cookie = answer.cookie.context("the control plane set no cookie")?;
    let text = format!(
        "Signed in to {} as {} ({}).\n",
        login.server,
        clean(answer.json["name"].as_str().unwrap_or(&login.name)),
        clean(answer.json["role"].as_str().unwrap_or("role unknown")),
    );
    Session {
        server: login.server,
        cookie,
        ca,
    }
    .save()?;
    Ok(text)
}

/// Ends the session, here and there.
pub async fn sign_out() -> anyhow::Result<String> {
    let session = Session::load()?;
    let ended = session.client()?.post("/sign-out", None).await;
    Session::forget()?;
    ended.context("the session is forgotten here, but not ended there")?;
    Ok("Signed out.\n".to_owned())
}
