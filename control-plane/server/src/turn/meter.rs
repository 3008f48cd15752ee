//! How long sessions were relayed, by camera and tenant, day and month (UTC), and which cap that has used up. A state
//! machine without IO, with the time passed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use heron_protocol::{DeviceId, SessionId, TenantId};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::policy::RelayPolicy;

/// More than that is never counted at once: whoever looks once a second has missed something else then.
const LONGEST_STEP: Duration = Duration::from_secs(10);

/// Bytes that relays took for each end of a session, both ways together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relayed {
    /// By the viewer's relay.
    pub viewer: u64,
    /// By the camera's relay.
    pub device: u64,
}

impl Relayed {
    /// Both ends.
    pub const fn total(self) -> u64 {
        self.viewer.saturating_add(self.device)
    }

    /// With what another relay took.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            viewer: self.viewer.saturating_add(other.viewer),
            device: self.device.saturating_add(other.device),
        }
    }
}

/// Whose relayed time is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Account {
    /// All cameras of a tenant.
    Tenant(TenantId),
    /// One camera.
    Camera(DeviceId),
}

/// How long sessions were relayed, all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayedTime {
    /// This day.
    pub day: Duration,
    /// This month.
    pub month: Duration,
}

/// One day of an account, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountDay {
    /// Whose.
    pub account: Account,
    /// Which.
    pub day: Date,
    /// How long.
    pub relayed: Duration,
}

/// A session that is looked at.
#[derive(Debug)]
struct Seen {
    at: Instant,
    bytes: u64,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Meter {
    days: HashMap<(Account, Date), Duration>,
    unwritten: Vec<(Account, Date)>,
    sessions: HashMap<SessionId, Seen>,
}

/// The day of a moment, in UTC.
pub fn day_of(unix_s: u64) -> Date {
    let second = i64::try_from(unix_s).unwrap_or(i64::MAX);
    let stamp = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    stamp.to_zoned(TimeZone::UTC).date()
}

impl Meter {
    /// What a former run had counted.
    pub fn load(&mut self, days: impl IntoIterator<Item = AccountDay>) {
        for AccountDay {
            account,
            day,
            relayed,
        } in days
        {
            self.days.insert((account, day), relayed);
        }
    }

    /// Looks at a session: whether its path is one through a relay, and how many bytes relays took for it so far. The
    /// time since the last look counts if it was relayed. Returns whether it was.
    pub fn look(
        &mut self,
        session: &SessionId,
        accounts: [Account; 2],
        (on_relayed_path, bytes): (bool, u64),
        (now, today): (Instant, Date),
    ) -> bool {
        let seen = self
            .sessions
            .insert(session.clone(), Seen { at: now, bytes });
        let Some(before) = seen else {
            return on_relayed_path;
        };
        let is_relayed = on_relayed_path || bytes > before.bytes;
        if is_relayed {
            let step = now.saturating_duration_since(before.at).min(LONGEST_STEP);
            for account in accounts {
                let key = (account, today);
                *self.days.entry(key.clone()).or_default() += step;
                if !self.unwritten.contains(&key) {
                    self.unwritten.push(key);
                }
            }
        }
        is_relayed
    }

    /// A session is over.
    pub fn forget(&mut self, session: &SessionId) {
        self.sessions.remove(session);
    }

    /// What an account has used.
    pub fn used(&self, account: &Account, today: Date) -> RelayedTime {
        let of_month = self.days.iter().filter(|((whose, day), _)| {
            whose == account && day.year() == today.year() && day.month() == today.month()
        });
        RelayedTime {
            day: self
                .days
                .get(&(account.clone(), today))
                .copied()
                .unwrap_or_default(),
            month: of_month.map(|(_, relayed)| *relayed).sum(),
        }
    }

    /// Which cap of a policy is used up, in words.
    pub fn over(&self, account: &Account, policy: &RelayPolicy, today: Date) -> Option<String> {
        if policy.minutes_per_day.is_none() && policy.minutes_per_month.is_none() {
            return None;
        }
        let used = self.used(account, today);
        let whose = match account {
            Account::Tenant(_) => "organisation",
            Account::Camera(_) => "camera",
        };
        let caps = [
            (policy.minutes_per_day, used.day, "day"),
            (policy.minutes_per_month, used.month, "month"),
        ];
        caps.into_iter().find_map(|(cap, used, time)| {
            let cap = cap.filter(|cap| used >= Duration::from_secs(u64::from(*cap) * 60))?;
            Some(format!(
                "the {whose}'s {cap} relayed minutes of this {time} are used up"
            ))
        })
    }

    /// What has changed since the last call, to be stored. Forgets what is of another month.
    pub fn unwritten(&mut self, today: Date) -> Vec<AccountDay> {
        let changed = std::mem::take(&mut self.unwritten);
        let rows = changed
            .into_iter()
            .filter_map(|key| {
                let relayed = *self.days.get(&key)?;
                let (account, day) = key;
                Some(AccountDay {
                    account,
                    day,
                    relayed,
                })
            })
            .collect();
        self.days
            .retain(|(_, day), _| (day.year(), day.month()) == (today.year(), today.month()));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> SessionId {
        SessionId::from_bits(7)
    }

    fn accounts() -> [Account; 2] {
        [
            Account::Tenant("home".parse().unwrap()),
            Account::Camera("front-door-01".parse().unwrap()),
        ]
    }

    #[test]
    fn only_relayed_time_counts_and_only_once() {
        let mut meter = Meter::default();
        let begin = Instant::now();
        let today = day_of(1_800_000_000);
        let mut look = |second: u64, relayed: bool, bytes: u64| {
            let now = begin + Duration::from_secs(second);
            meter.look(&session(), accounts(), (relayed, bytes), (now, today))
        };
        assert!(!look(0, false, 0));
        assert!(!look(5, false, 0), "direct");
        assert!(look(6, false, 100), "bytes came through a relay");
        assert!(look(8, true, 100));
        assert!(look(1000, true, 100), "a gap counts as little");
        let [_, camera] = accounts();
        let used = meter.used(&camera, today);
        assert_eq!(used.day, Duration::from_secs(1 + 2) + LONGEST_STEP);
        assert_eq!(used.month, used.day);
        assert_eq!(meter.unwritten(today).len(), 2);
        assert!(meter.unwritten(today).is_empty());
    }

    #[test]
    fn a_cap_says_whose_and_which() {
        let mut meter = Meter::default();
        let today = day_of(1_800_000_000);
        let [tenant, camera] = accounts();
        let minutes = |count: u64| Duration::from_secs(count * 60);
        meter.load([
            AccountDay {
                account: camera.clone(),
                day: today,
                relayed: minutes(5),
            },
            AccountDay {
                account: camera.clone(),
                day: today.yesterday().unwrap(),
                relayed: minutes(10),
            },
        ]);
        let cap = |day, month| RelayPolicy {
            minutes_per_day: day,
            minutes_per_month: month,
            ..RelayPolicy::default()
        };
        assert_eq!(meter.over(&camera, &cap(Some(6), None), today), None);
        assert_eq!(
            meter.over(&camera, &cap(Some(5), None), today).unwrap(),
            "the camera's 5 relayed minutes of this day are used up"
        );
        assert_eq!(
            meter.over(&camera, &cap(None, Some(15)), today).unwrap(),
            "the camera's 15 relayed minutes of this month are used up"
        );
        assert_eq!(meter.over(&tenant, &cap(None, Some(1)), today), None);
        assert!(meter.over(&tenant, &cap(Some(0), None), today).is_some());
        let next_month = today.checked_add(jiff::Span::new().days(40)).unwrap();
        assert_eq!(meter.used(&camera, next_month), RelayedTime::default());
    }
}
