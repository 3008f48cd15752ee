//! What Linux says of this machine and this process.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Changes with each boot; empty where the kernel does not tell.
pub fn boot_id() -> String {
    first_line("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Time since the boot.
pub fn uptime() -> Duration {
    first_line("/proc/uptime")
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or_default()
}

/// The kernel's release.
pub fn kernel() -> String {
    first_line("/proc/sys/kernel/osrelease").unwrap_or_default()
}

/// The board's name where the firmware tells one, as on a Raspberry Pi.
pub fn board() -> Option<String> {
    let model = fs::read_to_string("/proc/device-tree/model").ok()?;
    let model = model.trim_matches(['\0', '\n', ' ']);
    (!model.is_empty()).then(|| model.chars().take(100).collect())
}

/// Memory that this process really uses.
pub fn resident_bytes() -> u64 {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| resident(&status))
        .unwrap_or(0)
}

/// The hottest thermal zone, in degrees Celsius.
pub fn temperature_c() -> Option<f32> {
    hottest(Path::new("/sys/class/thermal"))
}

fn first_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.lines().next()?.trim().to_owned())
}

fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn hottest(zones: &Path) -> Option<f32> {
    fs::read_dir(zones)
        .ok()?
        .flatten()
        .filter_map(|zone| {
            let text = fs::read_to_string(zone.path().join("temp")).ok()?;
            let millidegrees: f32 = text.trim().parse().ok()?;
            Some(millidegrees / 1000.0)
        })
        // An unconnected sensor reports nonsense such as -274.
        .filter(|celsius| (-60.0..200.0).contains(celsius))
        .max_by(f32::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_plausible_zone_counts() {
        let zones = tempfile::tempdir().unwrap();
        for (zone, temp) in [
            ("thermal_zone0", "47250\n"),
            ("thermal_zone1", "51000\n"),
            ("thermal_zone2", "-274000\n"),
            ("cooling_device0", "not a number"),
        ] {
            let zone = zones.path().join(zone);
            fs::create_dir(&zone).unwrap();
            fs::write(zone.join("temp"), temp).unwrap();
        }
        assert_eq!(hottest(zones.path()), Some(51.0));
        assert_eq!(hottest(&zones.path().join("none")), None);
    }

    #[test]
    fn this_process_uses_memory_on_a_machine_that_is_up() {
        assert!(resident_bytes() > 100_000);
        assert!(uptime() > Duration::ZERO);
        assert_eq!(resident("VmPeak: 1 kB\nVmRSS:\t  20 kB\n"), Some(20 * 1024));
        assert_eq!(resident("VmRSS: many\n"), None);
    }
}
