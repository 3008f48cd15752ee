//! How many log lines one client may cause. A camera with a fault, or an attacker, repeats itself thousands of times
//! a second; the counters see all of it, the log only the first few.

use std::collections::HashMap;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);
const LINES: u64 = 5;
/// More clients than this share one budget until the oldest windows are over.
const CLIENTS: usize = 1024;

struct Window {
    began: Instant,
    lines: u64,
}

/// Five lines a minute for each client.
#[derive(Default)]
pub(crate) struct LogBudget {
    windows: HashMap<String, Window>,
}

impl LogBudget {
    /// Whether a line about `client` may be written now. If so, says how many were left out before it.
    pub(crate) fn spend(&mut self, client: &str, now: Instant) -> Option<u64> {
        let over = |window: &Window| now.duration_since(window.began) >= WINDOW;
        if !self.windows.contains_key(client) && self.windows.len() >= CLIENTS {
            self.windows.retain(|_, window| !over(window));
        }
        let key = if self.windows.len() < CLIENTS || self.windows.contains_key(client) {
            client
        } else {
            ""
        };
        let window = self.windows.entry(key.to_owned()).or_insert(Window {
            began: now,
            lines: 0,
        });
        let mut left_out = 0;
        if over(window) {
            left_out = window.lines.saturating_sub(LINES);
            *window = Window {
                began: now,
                lines: 0,
            };
        }
        window.lines += 1;
        (window.lines <= LINES).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_are_written_and_the_rest_are_counted() {
        let now = Instant::now();
        let mut budget = LogBudget::default();
        let written = (0..100)
            .filter(|_| budget.spend("loud", now).is_some())
            .count();
        assert_eq!(written, 5);
        assert_eq!(budget.spend("quiet", now), Some(0));
        assert_eq!(budget.spend("loud", now + WINDOW), Some(95));
    }

    #[test]
    fn many_clients_do_not_take_much_memory() {
        let now = Instant::now();
        let mut budget = LogBudget::default();
        for n in 0..10_000 {
            budget.spend(&format!("client-{n}"), now);
        }
        assert!(budget.windows.len() <= CLIENTS + 1);
        assert_eq!(budget.spend("client-1", now + WINDOW), Some(0));
    }
}
