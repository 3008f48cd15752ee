//! `cargo xtask bench`: figures held against the budgets, beside a peer in the same run.

mod first_frame;

use anyhow::Result;
use clap::Subcommand;

/// What can be measured.
#[derive(Subcommand)]
pub enum What {
    /// From the click to the first frame, phase by phase, in Chromium.
    FirstFrame {
        /// How often to start.
        #[arg(long, default_value_t = 30)]
        starts: u32,
        /// The cargo profile of the binaries.
        #[arg(long, default_value = "dev")]
        profile: String,
    },
}

/// Measures, prints the table, and fails when a budget was missed.
pub fn run(what: &What) -> Result<()> {
    match what {
        What::FirstFrame { starts, profile } => first_frame::run(*starts, profile),
    }
}
