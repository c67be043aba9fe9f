//! How long things took, in a fixed number of buckets.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper ends of the buckets, in microseconds, with what the text says for each: from what an
/// answer out of memory takes to what an upload waits for at most.
const BUCKETS: [(u64, &str); 12] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (30_000_000, "30"),
];

/// Counts of durations.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|(end, _)| micros <= *end);
        if let Some(bucket) = bucket {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Writes the lines of one histogram; `labels` are its own, without braces.
    pub(super) fn write(&self, text: &mut String, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let braced = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{labels}}}")
        };
        let mut sum = 0;
        for ((_, end), bucket) in BUCKETS.iter().zip(&self.buckets) {
            sum += bucket.load(Ordering::Relaxed);
            line(
                text,
                format_args!("{name}_bucket{{{labels}{comma}le=\"{end}\"}} {sum}"),
            );
        }
        // Read last, and never less than the buckets: what is observed meanwhile counts here.
        let count = self.count.load(Ordering::Relaxed).max(sum);
        line(
            text,
            format_args!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}"),
        );
        #[expect(clippy::cast_precision_loss, reason = "a sum of seconds for a graph")]
        let seconds = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        line(text, format_args!("{name}_sum{braced} {seconds}"));
        line(text, format_args!("{name}_count{braced} {count}"));
    }
}

/// Appends a line.
pub(super) fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let written = writeln!(text, "{content}");
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let histogram = Histogram::default();
        for micros in [400, 600, 5_000, 100_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut text = String::new();
        histogram.write(&mut text, "x_seconds", "a=\"b\"");
        for line in [
            "x_seconds_bucket{a=\"b\",le=\"0.0005\"} 1",
            "x_seconds_bucket{a=\"b\",le=\"0.001\"} 2",
            "x_seconds_bucket{a=\"b\",le=\"0.005\"} 3",
            "x_seconds_bucket{a=\"b\",le=\"30\"} 3",
            "x_seconds_bucket{a=\"b\",le=\"+Inf\"} 4",
            "x_seconds_count{a=\"b\"} 4",
            "x_seconds_sum{a=\"b\"} 100.006",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
