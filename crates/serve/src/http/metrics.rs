//! Metrics in Prometheus' text format, version 0.0.4.

use std::fmt::Write;

use types::metrics::{Kind, Metric};

/// The type that Prometheus expects.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// All values with their help, in the order given.
pub(super) fn render(values: &[(&'static Metric, f64)]) -> String {
    let mut text = String::new();
    for (metric, value) in values {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let name = metric.name;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}", metric.about);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_with_their_help() {
        let text = render(&[(&types::metrics::GROUPS, 9.0)]);
        assert_eq!(
            text,
            "# HELP skein_groups Replicas hosted by this node.\n# TYPE skein_groups gauge\nskein_groups 9\n"
        );
    }
}
