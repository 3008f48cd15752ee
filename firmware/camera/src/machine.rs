//! What Linux says of this machine and this process.

use std::fs;
use std::path::Path;
use std::time::Duration;

use heron_protocol::messages::Offline;

use crate::config::is_serial;

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

/// The board's serial number where the firmware tells one, as on a Raspberry Pi.
pub fn serial() -> Option<String> {
    let serial = fs::read_to_string("/proc/device-tree/serial-number").ok()?;
    let serial = serial.trim_matches(['\0', '\n', ' ']);
    is_serial(serial).then(|| serial.to_owned())
}

/// What the kernel's watchdog drivers say of the last reset.
pub fn reset_cause() -> Option<Offline> {
    reset_by(Path::new("/sys/class/watchdog"))
}

/// What threatens this machine now: its supply's voltage, or its heat.
pub fn distress() -> Option<Offline> {
    if voltage_is_low(Path::new("/sys/class/hwmon")) {
        return Some(Offline::UnderVoltage);
    }
    is_critical(Path::new("/sys/class/thermal")).then_some(Offline::Thermal)
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

/// `WDIOF_*` of `linux/watchdog.h`, as the drivers show them in sysfs.
fn reset_by(watchdogs: &Path) -> Option<Offline> {
    const OVERHEAT: u32 = 0x01;
    const POWER_UNDER: u32 = 0x10;
    const CARD_RESET: u32 = 0x20;
    let status = fs::read_dir(watchdogs)
        .ok()?
        .flatten()
        .filter_map(|watchdog| {
            let text = fs::read_to_string(watchdog.path().join("bootstatus")).ok()?;
            text.trim().parse::<u32>().ok()
        })
        .fold(0, |all, status| all | status);
    [
        (OVERHEAT, Offline::Thermal),
        (POWER_UNDER, Offline::UnderVoltage),
        (CARD_RESET, Offline::Watchdog),
    ]
    .into_iter()
    .find_map(|(bit, reason)| (status & bit != 0).then_some(reason))
}

/// The Raspberry Pi's firmware watches its supply, and tells by a hwmon device of this name.
fn voltage_is_low(monitors: &Path) -> bool {
    let line = |path: &Path| fs::read_to_string(path).map(|text| text.trim().to_owned());
    fs::read_dir(monitors).is_ok_and(|monitors| {
        monitors.flatten().any(|monitor| {
            let path = monitor.path();
            line(&path.join("name")).is_ok_and(|name| name == "rpi_volt")
                && line(&path.join("in0_lcrit_alarm")).is_ok_and(|alarm| alarm == "1")
        })
    })
}

/// Whether a zone is as hot as its critical trip point, at which the kernel switches the machine off.
fn is_critical(zones: &Path) -> bool {
    const NEARLY: i64 = 2_000;
    let number = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<i64>().ok();
    let critical = |zone: &Path| {
        (0..16).find_map(|trip| {
            let kind = fs::read_to_string(zone.join(format!("trip_point_{trip}_type"))).ok()?;
            (kind.trim() == "critical")
                .then(|| number(&zone.join(format!("trip_point_{trip}_temp"))))?
        })
    };
    fs::read_dir(zones).is_ok_and(|zones| {
        zones.flatten().any(|zone| {
            let zone = zone.path();
            critical(&zone)
                .zip(number(&zone.join("temp")))
                .is_some_and(|(critical, now)| critical > 0 && now >= critical - NEARLY)
        })
    })
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

    fn device(folder: &Path, name: &str, files: &[(&str, &str)]) {
        let device = folder.join(name);
        fs::create_dir(&device).unwrap();
        for (name, text) in files {
            fs::write(device.join(name), format!("{text}\n")).unwrap();
        }
    }

    #[test]
    fn the_kernel_tells_why_the_machine_was_reset() {
        for (status, expected) in [
            ("0", None),
            ("32", Some(Offline::Watchdog)),
            ("33", Some(Offline::Thermal)),
            ("16", Some(Offline::UnderVoltage)),
            ("what", None),
        ] {
            let watchdogs = tempfile::tempdir().unwrap();
            device(watchdogs.path(), "watchdog0", &[("bootstatus", status)]);
            device(watchdogs.path(), "watchdog1", &[]);
            assert_eq!(reset_by(watchdogs.path()), expected, "{status}");
        }
        assert_eq!(reset_by(Path::new("/nowhere")), None);
    }

    #[test]
    fn low_voltage_and_critical_heat_are_seen() {
        let monitors = tempfile::tempdir().unwrap();
        device(monitors.path(), "hwmon0", &[("name", "cpu_thermal")]);
        device(
            monitors.path(),
            "hwmon1",
            &[("name", "rpi_volt"), ("in0_lcrit_alarm", "0")],
        );
        assert!(!voltage_is_low(monitors.path()));
        fs::write(monitors.path().join("hwmon1/in0_lcrit_alarm"), "1\n").unwrap();
        assert!(voltage_is_low(monitors.path()));

        let zones = tempfile::tempdir().unwrap();
        let trips = [
            ("trip_point_0_type", "passive"),
            ("trip_point_0_temp", "60000"),
            ("trip_point_1_type", "critical"),
            ("trip_point_1_temp", "110000"),
        ];
        device(zones.path(), "thermal_zone0", &trips);
        let heat = |temp: &str| {
            fs::write(zones.path().join("thermal_zone0/temp"), temp).unwrap();
            is_critical(zones.path())
        };
        assert!(!heat("85000") && heat("109000"));
    }

    #[test]
    fn this_process_uses_memory_on_a_machine_that_is_up() {
        assert!(resident_bytes() > 100_000);
        assert!(uptime() > Duration::ZERO);
        assert_eq!(resident("VmPeak: 1 kB\nVmRSS:\t  20 kB\n"), Some(20 * 1024));
        assert_eq!(resident("VmRSS: many\n"), None);
    }
}
