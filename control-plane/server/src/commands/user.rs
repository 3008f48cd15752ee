//! `heron-control user`.

use std::io::{BufRead as _, Write};

use anyhow::Context as _;

use super::ConfigFile;
use crate::access::{Role, generate_password};

/// Longer than any password that is allowed.
const LINE_LONGEST: u64 = 2048;

pub(super) async fn add(
    file: &ConfigFile,
    name: &str,
    role: Option<Role>,
    password_stdin: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let password = if password_stdin {
        read_password()?
    } else {
        generate_password()
    };
    let (_, home) = file.home().await?;
    let role = match role {
        Some(role) => role,
        None if home.store.people.list().await?.is_empty() => Role::Admin,
        None => Role::Viewer,
    };
    let person = home.add_person(name, &password, role).await?;
    let after = serde_json::json!({ "name": person.name, "role": role });
    home.audit("person.add", &person.id, after).await?;
    home.store.close().await;
    if password_stdin {
        writeln!(out, "{} may sign in as {role}", person.name)?;
    } else {
        writeln!(
            out,
            "{} may sign in as {role} with the password {password}",
            person.name
        )?;
    }
    Ok(())
}

fn read_password() -> anyhow::Result<String> {
    let mut line = String::new();
    let stdin = std::io::stdin().lock();
    std::io::Read::take(stdin, LINE_LONGEST)
        .read_line(&mut line)
        .context("cannot read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

pub(super) async fn list(file: &ConfigFile, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let (_, home) = file.home().await?;
    for person in home.store.people.list().await? {
        let added = jiff::Timestamp::from_millisecond(person.added_ms)?;
        writeln!(out, "{:<8}  {added:.0}  {}", person.role, person.name)?;
    }
    home.store.close().await;
    Ok(())
}
