//! Asking for a password.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The longest line that is a password.
const LONGEST: u64 = 4096;

/// The first line of standard input; on a terminal it is asked for, and not shown.
pub fn read(name: &str, from_pipe: bool) -> anyhow::Result<String> {
    let input = std::io::stdin();
    let hidden = (!from_pipe && input.is_terminal())
        .then(|| {
            let mut errors = std::io::stderr();
            write!(errors, "Password of {name}: ").and_then(|()| errors.flush())?;
            Hidden::new()
        })
        .transpose()?;
    let mut line = String::new();
    let mut bounded = std::io::Read::take(input.lock(), LONGEST);
    bounded.read_line(&mut line).context("standard input")?;
    drop(hidden);
    let password = line.trim_end_matches(['\n', '\r']);
    anyhow::ensure!(!password.is_empty(), "no password was given");
    Ok(password.to_owned())
}

/// While it lives, the terminal does not show what is typed.
struct Hidden(Termios);

impl Hidden {
    fn new() -> anyhow::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
        let _ = writeln!(std::io::stderr());
    }
}
