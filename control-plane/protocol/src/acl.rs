//! Who may publish and subscribe where, computed from [`TABLE`].
//!
//! A client is confined to its own tree: a device to `cam/1/{shard}/{device}`, a browser to
//! `view/1/{tenant}/{browser}`. There it may publish on the rows whose writer it is, and subscribe to what the
//! control plane writes for it. The control plane may subscribe to both trees.

use std::fmt;

use thiserror::Error;

use crate::topics::{Role, Row, TABLE, parameter_name};
use crate::{BrowserId, DeviceId, ParseTopicError, TenantId, Topic};

/// An authenticated MQTT client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Client {
    /// By the common name of its certificate.
    Device(DeviceId),
    /// By a certificate of the control plane's own CA, on its own listener.
    Control,
    /// By a short-lived token.
    Browser {
        /// Whose cameras it may see.
        tenant: TenantId,
        /// Its place in the tree.
        browser: BrowserId,
    },
}

/// Why a publish, a will or a subscription is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Denied {
    /// Not a topic of the table.
    #[error(transparent)]
    Topic(#[from] ParseTopicError),
    /// Somebody else is the topic's writer.
    #[error("another role writes this topic")]
    Writer,
    /// The topic is in another device's or browser's tree.
    #[error("the topic is in another client's tree")]
    Tree,
    /// Retained where the table keeps nothing.
    #[error("messages on this topic are not retained")]
    Retained,
    /// A will on a topic that is none.
    #[error("a will may only be on the client's presence topic")]
    Will,
    /// A filter that reaches further than the client may read.
    #[error("the filter reaches outside {allowed}")]
    Filter {
        /// What the client may subscribe to.
        allowed: String,
    },
}

impl Client {
    /// The role this client has in the table.
    pub const fn role(&self) -> Role {
        match self {
            Self::Device(_) => Role::Device,
            Self::Control => Role::Control,
            Self::Browser { .. } => Role::Browser,
        }
    }

    /// The filters this client may subscribe to, or to any part of.
    pub fn readable(&self) -> Vec<String> {
        match self {
            Self::Device(device) => vec![format!("cam/1/{}/{device}/dn/#", device.shard())],
            Self::Control => vec!["cam/1/#".into(), "view/1/#".into()],
            Self::Browser { tenant, browser } => vec![format!("view/1/{tenant}/{browser}/dn/#")],
        }
    }

    /// The filters that cover what this client may publish on: the rows it writes, in its own tree.
    pub fn writable(&self) -> Vec<String> {
        TABLE
            .iter()
            .filter(|row| row.writer == self.role())
            .map(|row| self.fill(row))
            .collect()
    }

    /// A row's pattern with this client's own ids filled in and `+` for the rest.
    fn fill(&self, row: &Row) -> String {
        let own = |part: &'static str| match (parameter_name(part), self) {
            (None, _) => part.to_owned(),
            (Some("shard"), Self::Device(device)) => device.shard().to_string(),
            (Some("device"), Self::Device(device)) => device.to_string(),
            (Some("tenant"), Self::Browser { tenant, .. }) => tenant.to_string(),
            (Some("browser"), Self::Browser { browser, .. }) => browser.to_string(),
            (Some(_), _) => "+".to_owned(),
        };
        row.pattern
            .split('/')
            .map(own)
            .collect::<Vec<_>>()
            .join("/")
    }

    fn owns(&self, topic: &Topic) -> bool {
        match self {
            Self::Device(device) => topic.browser().is_none() && topic.device() == Some(device),
            Self::Control => true,
            Self::Browser { tenant, browser } => topic.browser() == Some((tenant, browser)),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(device) => write!(f, "device {device}"),
            Self::Control => f.write_str("control plane"),
            Self::Browser { tenant, browser } => write!(f, "browser {browser} of {tenant}"),
        }
    }
}

/// Whether `client` may publish on `topic`; the row tells how large the body may be.
///
/// # Errors
///
/// [`Denied`].
pub fn may_publish(client: &Client, topic: &str, retain: bool) -> Result<&'static Row, Denied> {
    let topic: Topic = topic.parse()?;
    let row = topic.row();
    if !client.owns(&topic) {
        return Err(Denied::Tree);
    }
    if row.writer != client.role() {
        return Err(Denied::Writer);
    }
    if retain && !row.retained {
        return Err(Denied::Retained);
    }
    Ok(row)
}

/// Whether `client` may leave a will on `topic`.
///
/// # Errors
///
/// [`Denied`].
pub fn may_will(client: &Client, topic: &str, retain: bool) -> Result<&'static Row, Denied> {
    let row = may_publish(client, topic, retain)?;
    if row.will { Ok(row) } else { Err(Denied::Will) }
}

/// Whether `client` may subscribe to `filter`. Shared subscriptions and `$`-topics are outside every tree.
///
/// # Errors
///
/// [`Denied::Filter`], naming what is allowed.
pub fn may_subscribe(client: &Client, filter: &str) -> Result<(), Denied> {
    let readable = client.readable();
    if readable.iter().any(|allowed| covers(allowed, filter)) {
        return Ok(());
    }
    Err(Denied::Filter {
        allowed: readable.join(" and "),
    })
}

/// Whether every topic that matches `filter` also matches `allowed`, which ends in `#` and has no `+`.
fn covers(allowed: &str, filter: &str) -> bool {
    let Some(prefix) = allowed.strip_suffix('#') else {
        return allowed == filter;
    };
    // `a/#` also matches `a` itself (MQTT 5 section 4.7.1.2), which no row of the table is.
    filter.starts_with(prefix) && filter.len() > prefix.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topics::testing::one_of_each;

    fn device(name: &str) -> Client {
        Client::Device(name.parse().unwrap())
    }

    fn browser(tenant: &str, name: &str) -> Client {
        Client::Browser {
            tenant: tenant.parse().unwrap(),
            browser: name.parse().unwrap(),
        }
    }

    fn topics() -> Vec<Topic> {
        one_of_each(
            &"front-door-01".parse().unwrap(),
            &"home".parse().unwrap(),
            &"browser-01".parse().unwrap(),
        )
    }

    #[test]
    fn each_topic_has_exactly_one_writer() {
        let clients = [
            device("front-door-01"),
            Client::Control,
            browser("home", "browser-01"),
        ];
        for topic in topics() {
            let retain = topic.row().retained;
            let writers: Vec<_> = clients
                .iter()
                .filter(|client| may_publish(client, &topic.to_string(), retain).is_ok())
                .collect();
            assert_eq!(writers.len(), 1, "{topic}");
            assert_eq!(writers[0].role(), topic.row().writer);
        }
    }

    #[test]
    fn a_stranger_may_do_nothing() {
        for stranger in [
            device("back-door-01"),
            browser("home", "browser-02"),
            browser("work", "browser-01"),
        ] {
            for topic in topics() {
                let topic = topic.to_string();
                assert!(
                    may_publish(&stranger, &topic, false).is_err(),
                    "{stranger} publishes {topic}"
                );
                assert!(
                    may_will(&stranger, &topic, true).is_err(),
                    "{stranger} wills {topic}"
                );
                assert!(
                    may_subscribe(&stranger, &topic).is_err(),
                    "{stranger} subscribes {topic}"
                );
            }
        }
    }

    #[test]
    fn a_device_reads_what_is_written_for_it_and_nothing_wider() {
        let own = device("front-door-01");
        for good in [
            "cam/1/d0/front-door-01/dn/#",
            "cam/1/d0/front-door-01/dn/rtc/+",
            "cam/1/d0/front-door-01/dn/state/video",
        ] {
            assert_eq!(may_subscribe(&own, good), Ok(()), "{good}");
        }
        for bad in [
            "#",
            "+/#",
            "cam/#",
            "cam/1/+/front-door-01/dn/#",
            "cam/1/d0/front-door-01/#",
            "cam/1/d0/front-door-01/dn/",
            "cam/1/d0/front-door-01/up/#",
            "cam/1/d0/+/dn/rtc/+",
            "$SYS/#",
            "$share/g/cam/1/d0/front-door-01/dn/#",
            "view/1/#",
            "cam/1/d0/front-door-011/dn/#",
        ] {
            assert!(may_subscribe(&own, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_presence_is_a_will_and_only_kept_rows_are_retained() {
        let own = device("front-door-01");
        assert!(may_will(&own, "cam/1/d0/front-door-01/up/presence", true).is_ok());
        assert!(matches!(
            may_will(&own, "cam/1/d0/front-door-01/up/tele", false),
            Err(Denied::Will)
        ));
        assert!(matches!(
            may_publish(&own, "cam/1/d0/front-door-01/up/tele", true),
            Err(Denied::Retained)
        ));
    }

    #[test]
    fn the_writable_filters_are_the_rows_of_the_role() {
        assert_eq!(device("front-door-01").writable().len(), 8);
        assert!(
            device("front-door-01")
                .writable()
                .contains(&"cam/1/d0/front-door-01/up/rtc/+".to_owned())
        );
        assert_eq!(
            browser("home", "browser-01").writable(),
            ["view/1/home/browser-01/up/rtc/+"]
        );
    }

    proptest::proptest! {
        #[test]
        fn a_filter_that_is_allowed_matches_only_the_own_tree(filter in "[cam1/d0frontdoor+#$-]{0,40}") {
            if may_subscribe(&device("front-door-01"), &filter).is_ok() {
                proptest::prop_assert!(filter.starts_with("cam/1/d0/front-door-01/dn/"));
            }
        }
    }
}
