//! The access rules as an `acl_file` of Mosquitto, generated from [`TABLE`].
//!
//! Mosquitto knows a client by its user name: the device id, from the certificate's common name, or
//! `{tenant}/{browser}` for a browser, which the control plane's gateway sets. It knows patterns of topics, not what
//! their levels mean. So it confines each client to its own tree and direction, and what is no topic of the table
//! within that tree reaches the control plane, which passes it over: a wrong shard, an unknown section.

use std::fmt::Write as _;

use crate::topics::{Role, TABLE, parameter_name};

/// What stands for the user name in a pattern: a device's id, or a browser's tenant and id together.
const USER: &str = "%u";
/// What stands for the MQTT client id.
const CLIENT: &str = "%c";

/// `acl_file` of Mosquitto (mosquitto.conf(5)), for a listener that has clients of this role only.
pub fn mosquitto(role: Role) -> String {
    let (write, read) = filters(role);
    let mut file = format!("# {}\n", summary(role));
    for (verb, filters) in [("write", write), ("read", read)] {
        for filter in filters {
            // Patterns hold for every user, and on this listener all users have the same role.
            let _ = writeln!(file, "pattern {verb} {filter}");
        }
    }
    file
}

fn summary(role: Role) -> &'static str {
    match role {
        Role::Device => "A camera writes its own rows and reads what is written for it.",
        Role::Control => "The control plane reads everything and writes its own rows.",
        Role::Browser => "A browser writes its own rows and reads what is written for it.",
    }
}

/// What clients of a role may write and read.
fn filters(role: Role) -> (Vec<String>, Vec<String>) {
    let mut write: Vec<_> = TABLE
        .iter()
        .filter(|row| row.writer == role)
        .map(|row| fill(row.pattern, role))
        .collect();
    if role == Role::Control {
        // To put a camera out, the control plane takes its client id over, and speaks its last word in its place:
        // Mosquitto 2.0 forgets a delayed will then.
        write.push(format!("cam/1/+/{CLIENT}/up/presence"));
    }
    let read = match role {
        Role::Control => vec!["cam/1/#".to_owned(), "view/1/#".to_owned()],
        Role::Device => vec![format!("cam/1/+/{USER}/dn/#")],
        Role::Browser => vec![format!("view/1/{USER}/dn/#")],
    };
    (write, read)
}

/// A row's pattern with the client's own name filled in and `+` for the rest.
fn fill(pattern: &'static str, role: Role) -> String {
    let level = |part: &'static str| match (parameter_name(part), role) {
        (None, _) => Some(part),
        (Some("device"), Role::Device) => Some(USER),
        // The browser's name has both levels.
        (Some("tenant"), Role::Browser) => None,
        (Some("browser"), Role::Browser) => Some(USER),
        (Some(_), _) => Some("+"),
    };
    pattern
        .split('/')
        .filter_map(level)
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_has_its_rows_and_one_tree_to_read() {
        let file = mosquitto(Role::Device);
        assert!(file.contains("\npattern write cam/1/+/%u/up/presence\n"));
        assert!(file.contains("\npattern write cam/1/+/%u/up/state/+\n"));
        assert!(file.ends_with("\npattern read cam/1/+/%u/dn/#\n"));
        assert_eq!(file.matches(" write ").count(), 8);
        assert!(!file.contains("/dn/state") && !file.contains("view"));
    }

    #[test]
    fn a_browser_s_name_is_its_place_in_the_tree() {
        let file = mosquitto(Role::Browser);
        assert!(file.contains("\npattern write view/1/%u/up/rtc/+\npattern read view/1/%u/dn/#\n"));
        assert_eq!(file.lines().count(), 3);
    }

    #[test]
    fn every_row_has_one_writer() {
        let roles = [Role::Device, Role::Control, Role::Browser];
        let lines: usize = roles
            .map(|role| mosquitto(role).matches("pattern write").count())
            .iter()
            .sum();
        assert_eq!(lines, TABLE.len() + 1, "and a camera's last word");
    }
}
