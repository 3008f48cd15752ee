//! Prometheus' text format (version 0.0.4): families of samples with labels.

use std::fmt::{Display, Write};

use heron_histogram::Snapshot;

/// A text in the making. Every name gets the prefix `heron_`.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// One label: its name and its value.
pub type Label<'a> = (&'a str, &'a str);

impl Exposition {
    /// A value that goes up and down, or one that only grows: `kind` is `gauge` or `counter`.
    pub fn single(&mut self, kind: &str, name: &str, help: &str, value: impl Display) {
        self.family(kind, name, help);
        self.sample(name, &[], value);
    }

    /// Begins a family; its samples follow.
    pub fn family(&mut self, kind: &str, name: &str, help: &str) {
        // Writing to a String does not fail.
        let _ = write!(
            self.text,
            "# HELP heron_{name} {help}\n# TYPE heron_{name} {kind}\n"
        );
    }

    /// A sample of the family begun last.
    pub fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        let _ = writeln!(self.text, "heron_{name}{} {value}", braces(labels));
    }

    /// The buckets, sum and count of one histogram of the family begun last, in seconds.
    pub fn histogram(&mut self, name: &str, labels: &[Label<'_>], snapshot: &Snapshot) {
        let bucket = format!("{name}_bucket");
        let with = |bound: &str, value: u64, this: &mut Self| {
            let labels: Vec<Label<'_>> = labels.iter().copied().chain([("le", bound)]).collect();
            this.sample(&bucket, &labels, value);
        };
        for (bound, count) in snapshot.cumulative() {
            with(&bound.as_secs_f64().to_string(), count, self);
        }
        with("+Inf", snapshot.count(), self);
        self.sample(&format!("{name}_sum"), labels, snapshot.sum().as_secs_f64());
        self.sample(&format!("{name}_count"), labels, snapshot.count());
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.text
    }
}

fn braces(labels: &[Label<'_>]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let quoted = labels.iter().map(|(name, value)| {
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    });
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use heron_histogram::Histogram;

    use super::*;

    #[test]
    fn labels_are_quoted_and_histograms_cumulative() {
        let histogram = Histogram::new();
        histogram.record(Duration::from_millis(2));
        histogram.record(Duration::from_millis(40));
        let mut text = Exposition::default();
        text.family("histogram", "stage_seconds", "How long.");
        let labels = [("stage", "a \"b\"\n")];
        text.histogram("stage_seconds", &labels, &histogram.snapshot());
        let text = text.finish();
        let line = |start: &str| {
            text.lines()
                .find(|line| line.starts_with(start))
                .unwrap_or_else(|| panic!("no {start} in\n{text}"))
        };
        assert!(line("heron_stage_seconds_bucket").contains("stage=\"a \\\"b\\\"\\n\",le="));
        assert!(text.contains("le=\"+Inf\"} 2\n"));
        assert!(line("heron_stage_seconds_count").ends_with(" 2"));
        assert!(line("heron_stage_seconds_sum").ends_with(" 0.042"));
    }
}
