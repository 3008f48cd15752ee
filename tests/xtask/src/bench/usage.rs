//! What a process uses, as the kernel tells (proc(5)).

use std::fs;

use anyhow::{Context, Result};

/// The unit of processor time in `/proc/PID/stat`: `USER_HZ` is 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;
const MIB: f64 = 1024.0 * 1024.0;

/// Processor time so far, user and system of all threads, in seconds.
pub fn processor_s(id: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The second field is the program's name in brackets, which may hold anything.
    let (_, fields) = stat.rsplit_once(") ").context("an odd /proc/PID/stat")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |index: usize| -> Result<f64> { Ok(fields[index].parse::<u64>()? as f64) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Memory of a process in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident.
    pub rss: f64,
    /// Resident, with what is shared divided among those who share it.
    pub pss: f64,
}

/// What it occupies now.
pub fn memory(id: u32) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
    let of = |name: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let amount = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let amount: f64 = amount.context("an odd /proc/PID/smaps_rollup")?.parse()?;
        Ok(amount * 1024.0 / MIB)
    };
    Ok(Memory {
        rss: of("Rss:")?,
        pss: of("Pss:")?,
    })
}

/// Its threads.
pub fn threads(id: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{id}/task"))?.count())
}

/// Its open files and sockets.
pub fn descriptors(id: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{id}/fd"))?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something_of_everything() {
        let own = std::process::id();
        assert!(processor_s(own).unwrap() >= 0.0);
        let memory = memory(own).unwrap();
        assert!(memory.rss > 0.5 && memory.pss <= memory.rss);
        assert!(threads(own).unwrap() >= 1);
        assert!(descriptors(own).unwrap() >= 3);
    }
}
