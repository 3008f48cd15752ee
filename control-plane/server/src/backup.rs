//! A backup: one tar file with every table as lines of JSON, the files of the data directory, and at its end a manifest
//! with the checksum of each. So a file that was cut off or changed is known before anything is written.
//!
//! ```text
//! tables/person.jsonl … tables/relayed_day.jsonl     rows, one a line
//! keys/root.key …       keys/turn.secret             keys, certificates, secrets
//! manifest.json                                      versions, and a SHA-256 for each of the above
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Seek as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock::unix_ms;
use crate::config::Config;
use crate::home::{DATABASE, open_store};
use crate::identity::Keep;
use crate::store::{Row, Store, TABLES};
use crate::turn;

/// The form of these files.
const FORM: u32 = 1;
const MANIFEST: &str = "manifest.json";
const SECRET: &str = "turn.secret";
/// No key and no secret comes near it.
const MOST_KEY_BYTES: u64 = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    form: u32,
    /// The version of the tables.
    schema: i64,
    made_ms: i64,
    /// SHA-256 of each file, hexadecimal.
    files: BTreeMap<String, String>,
}

/// What was written or read.
#[derive(Debug, Default)]
pub struct Summary {
    rows: u64,
    keys: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows and {} files of keys", self.rows, self.keys)
    }
}

/// Writes a backup of what the configuration names, while it may be in use.
///
/// # Errors
///
/// One line; then there is no file.
pub async fn write(config: &Config, to: &Path) -> anyhow::Result<Summary> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(to);
    let file = file.with_context(|| to.display().to_string())?;
    let written = write_into(config, file).await;
    if written.is_err() {
        // What is there is of no use.
        let _ = std::fs::remove_file(to);
    }
    written.with_context(|| to.display().to_string())
}

async fn write_into(config: &Config, file: File) -> anyhow::Result<Summary> {
    let keys = keys(config)?;
    ensure!(
        !keys.is_empty(),
        "there is nothing in {}",
        config.server.data_dir.display()
    );
    let keep = Keep::open(&config.server.data_dir)?;
    let store = open_store(config, &keep).await?;
    let mut archive = Archive::new(file);
    let mut summary = Summary::default();
    let mut snapshot = store.snapshot().await?;
    for table in TABLES {
        // A tar says how long a file is before it begins.
        let mut lines = BufWriter::new(tempfile::tempfile()?);
        let rows = snapshot.rows(table, |row: &Row| {
            serde_json::to_writer(&mut lines, row)?;
            Ok::<_, anyhow::Error>(lines.write_all(b"\n")?)
        });
        summary.rows += rows.await.with_context(|| table.to_owned())?;
        archive.add(&format!("tables/{table}.jsonl"), lines.into_inner()?)?;
    }
    drop(snapshot);
    for (name, path) in &keys {
        let key = File::open(path).with_context(|| path.display().to_string())?;
        archive.add(&format!("keys/{name}"), key)?;
    }
    summary.keys = keys.len();
    archive.finish()?;
    store.close().await;
    Ok(summary)
}

/// The files of the data directory that are not the database, and TURN's secret wherever it is.
fn keys(config: &Config) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let dir = &config.server.data_dir;
    let mut keys = BTreeMap::new();
    for entry in dir.read_dir().with_context(|| dir.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let passing = name.starts_with(DATABASE) || name == "lock" || name.ends_with(".new");
        if entry.file_type()?.is_file() && !passing {
            keys.insert(name, entry.path());
        }
    }
    let secret = turn::secret_file(config);
    if secret.exists() {
        keys.insert(SECRET.to_owned(), secret);
    }
    Ok(keys)
}

/// A tar that is written, with the checksums of what is in it.
struct Archive {
    tar: tar::Builder<BufWriter<File>>,
    files: BTreeMap<String, String>,
}

impl Archive {
    fn new(file: File) -> Self {
        Self {
            tar: tar::Builder::new(BufWriter::new(file)),
            files: BTreeMap::new(),
        }
    }

    fn add(&mut self, name: &str, mut file: File) -> io::Result<()> {
        file.rewind()?;
        let mut hash = Sha256::new();
        let bytes = io::copy(&mut file, &mut hash)?;
        file.rewind()?;
        self.put(name, bytes, &mut file.take(bytes))?;
        self.files.insert(name.to_owned(), hex(&hash.finalize()));
        Ok(())
    }

    fn put(&mut self, name: &str, bytes: u64, from: &mut dyn Read) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o600);
        self.tar.append_data(&mut header, name, from)
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let manifest = Manifest {
            form: FORM,
            schema: Store::schema(),
            made_ms: unix_ms(SystemTime::now()),
            files: std::mem::take(&mut self.files),
        };
        let json = serde_json::to_vec_pretty(&manifest)?;
        self.put(MANIFEST, json.len() as u64, &mut json.as_slice())?;
        self.tar.into_inner()?.into_inner()?.sync_all()?;
        Ok(())
    }
}

/// Fills the data directory and the database that the configuration names; both must be empty.
///
/// # Errors
///
/// One line; then database and directory are as they were.
pub async fn restore(config: &Config, from: &Path) -> anyhow::Result<Summary> {
    let read = async {
        check(from)?;
        fill(config, from).await
    };
    read.await.with_context(|| from.display().to_string())
}

/// Reads a backup once, and says what is wrong with it.
fn check(from: &Path) -> anyhow::Result<()> {
    let (mut files, mut manifest) = (BTreeMap::new(), None);
    let mut archive = tar::Archive::new(BufReader::new(File::open(from)?));
    let whole = (|| {
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().into_owned();
            if name == MANIFEST {
                manifest = Some(serde_json::from_reader::<_, Manifest>(
                    entry.take(MOST_KEY_BYTES),
                )?);
                continue;
            }
            let mut hash = Sha256::new();
            io::copy(&mut entry, &mut hash)?;
            files.insert(name, hex(&hash.finalize()));
        }
        Ok::<_, io::Error>(())
    })();
    let Some(manifest) = manifest.filter(|_| whole.is_ok()) else {
        bail!("not a whole backup of heron-control: it ends before its manifest");
    };
    let Manifest { form, schema, .. } = manifest;
    let ours = Store::schema();
    ensure!(
        form == FORM,
        "a backup of form {form}; form {FORM} is what this version reads"
    );
    ensure!(
        schema == ours,
        "its tables are of version {schema} and those of this heron-control of {ours}: restore it with the version \
         that made it, and update then"
    );
    let differs = |(name, sum): &(&String, &String)| files.get(*name) != Some(sum);
    let strange = files
        .keys()
        .find(|name| !manifest.files.contains_key(*name));
    let damaged = manifest.files.iter().find(differs).map(|(name, _)| name);
    match damaged.or(strange) {
        Some(name) => bail!("damaged: {name} is not what its manifest says"),
        None => Ok(()),
    }
}

async fn fill(config: &Config, from: &Path) -> anyhow::Result<Summary> {
    let dir = &config.server.data_dir;
    let keep = Keep::open(dir)?;
    ensure!(
        keys(config)?.is_empty(),
        "{} is in use: give server.data_dir another directory, or empty this one",
        dir.display()
    );
    let store = open_store(config, &keep).await?;
    let Some(mut database) = store.refill().await? else {
        bail!("there is something in the database already: a backup is restored into an empty one");
    };
    let (mut summary, mut written) = (Summary::default(), Vec::new());
    let filled = async {
        for entry in tar::Archive::new(BufReader::new(File::open(from)?)).entries()? {
            let entry = entry?;
            let name = entry.path()?.to_string_lossy().into_owned();
            if let Some(key) = name.strip_prefix("keys/") {
                let to = place(config, key).with_context(|| format!("damaged: {name}"))?;
                let mut options = OpenOptions::new();
                let file = options.write(true).create_new(true).mode(0o600).open(&to);
                let mut file = file.with_context(|| to.display().to_string())?;
                written.push(to);
                io::copy(&mut entry.take(MOST_KEY_BYTES), &mut file)?;
                file.sync_all()?;
                summary.keys += 1;
            } else if let Some(table) = TABLES
                .iter()
                .find(|table| name == format!("tables/{table}.jsonl"))
            {
                for line in BufReader::new(entry).lines() {
                    let row: Row = serde_json::from_str(&line?).with_context(|| name.clone())?;
                    database
                        .put(table, &row)
                        .await
                        .with_context(|| name.clone())?;
                    summary.rows += 1;
                }
            }
        }
        Ok::<_, anyhow::Error>(database.finish().await?)
    };
    let filled = filled.await;
    store.close().await;
    if let Err(error) = filled {
        for path in written {
            let _ = std::fs::remove_file(path);
        }
        return Err(error);
    }
    Ok(summary)
}

/// Where a file of keys belongs.
fn place(config: &Config, name: &str) -> anyhow::Result<PathBuf> {
    if name == SECRET {
        return Ok(turn::secret_file(config));
    }
    let plain = Path::new(name).file_name().is_some_and(|last| last == name);
    plain
        .then(|| config.server.data_dir.join(name))
        .ok_or_else(|| anyhow!("{name:?} is not the name of a file"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
