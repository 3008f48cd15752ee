//! What is wrong with a config file, by line and key.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// Everything that was found wrong. Displays one line for each, as `file:line: key: what, and what is allowed`.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    path: PathBuf,
    problems: Vec<Problem>,
}

#[derive(Debug, PartialEq, Eq)]
struct Problem {
    line: Option<usize>,
    message: String,
}

impl ConfigError {
    /// A problem of the file as a whole.
    pub fn whole_file(path: &Path, message: String) -> Self {
        Self {
            path: path.to_owned(),
            problems: vec![Problem {
                line: None,
                message,
            }],
        }
    }

    /// The one problem that stopped the TOML parser at `offset`.
    pub fn at_offset(path: &Path, text: &str, offset: usize, message: String) -> Self {
        Self {
            path: path.to_owned(),
            problems: vec![Problem {
                line: Some(line_of(text, offset)),
                message,
            }],
        }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { line, message }) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.path.display())?;
            if let Some(line) = line {
                write!(f, "{line}:")?;
            }
            write!(f, " {message}")?;
        }
        Ok(())
    }
}

/// Collects problems while a file that parsed is validated, and finds their lines.
pub struct Problems<'t> {
    text: &'t str,
    found: Vec<Problem>,
}

impl<'t> Problems<'t> {
    /// Nothing wrong yet.
    pub fn new(text: &'t str) -> Self {
        Self {
            text,
            found: Vec::new(),
        }
    }

    /// Notes what is wrong with `key`, written as `section.key`.
    pub fn note(&mut self, key: &str, message: impl fmt::Display) {
        self.found.push(Problem {
            line: self.line(key),
            message: format!("{key}: {message}"),
        });
    }

    /// `value` if nothing was wrong.
    ///
    /// # Errors
    ///
    /// All problems, in the order of the file.
    pub fn finish<T>(mut self, path: &Path, value: T) -> Result<T, ConfigError> {
        if self.found.is_empty() {
            return Ok(value);
        }
        self.found.sort_by_key(|problem| problem.line);
        Err(ConfigError {
            path: path.to_owned(),
            problems: self.found,
        })
    }

    /// The line of a key, or of the nearest table around it that is in the file.
    fn line(&self, key: &str) -> Option<usize> {
        let document = DeTable::parse(self.text).ok()?;
        let mut table = document.get_ref();
        let mut line = None;
        for part in key.split('.') {
            let Some((name, value)) = table.get_key_value(part) else {
                break;
            };
            line = Some(line_of(self.text, name.span().start));
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
        line
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|&byte| byte == b'\n')
        .count()
        + 1
}
