//! Brings the built dashboard to where it is embedded from. Without one, a page that says so takes its place.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><title>Heron</title>\
    <p>This heron-control was built without the dashboard. Build control-plane/dashboard first, then this again.</p>";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=migrations");
    let built = Path::new("../dashboard/dist");
    println!("cargo::rerun-if-changed={}", built.display());

    let out =
        PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?).join("dashboard");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    if built.join("index.html").exists() {
        copy(built, &out)
    } else {
        println!(
            "cargo::warning=the dashboard is not built: heron-control will show a page that says so"
        );
        fs::write(out.join("index.html"), NOT_BUILT)
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
