//! Metrics in Prometheus' text format, version 0.0.4.

use std::fmt::Write;

use types::metrics::{Kind, Metric};

/// The type that Prometheus expects.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// A value of a metric that is told of several things.
#[derive(Clone, Debug)]
pub struct LabelledValue {
    /// The metric.
    pub metric: &'static Metric,
    /// What kind of thing: the name of the label.
    pub label: &'static str,
    /// Which one; a name of the cluster's own, never any text.
    pub of: String,
    /// The value.
    pub value: f64,
}

/// All values with their help; those of one metric follow each other.
pub(super) fn render_labelled(values: &[LabelledValue]) -> String {
    let mut text = String::new();
    let mut last = "";
    for LabelledValue { metric, label, of, value } in values {
        let name = metric.name;
        if name != last {
            text.push_str(&head(metric));
            last = name;
        }
        let _ = writeln!(text, "{name}{{{label}=\"{of}\"}} {value}");
    }
    text
}

/// All values with their help, in the order given.
pub(super) fn render(values: &[(&'static Metric, f64)]) -> String {
    let mut text = String::new();
    for (metric, value) in values {
        text.push_str(&head(metric));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {value}", metric.name);
    }
    text
}

fn head(metric: &Metric) -> String {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    let Metric { name, about, .. } = metric;
    format!("# HELP {name} {about}\n# TYPE {name} {kind}\n")
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

    #[test]
    fn a_metric_of_several_things_has_its_help_once() {
        let value = |of: &str, value| LabelledValue {
            metric: &types::metrics::BACKUP_PROVEN,
            label: "schedule",
            of: of.into(),
            value,
        };
        let text = render_labelled(&[value("nightly", 1_795_744_860.5), value("weekly", 2.0)]);
        assert_eq!(text.matches("# TYPE").count(), 1);
        let end = "skein_backup_last_proven_timestamp_seconds{schedule=\"nightly\"} 1795744860.5\n\
                   skein_backup_last_proven_timestamp_seconds{schedule=\"weekly\"} 2\n";
        assert!(text.ends_with(end), "{text}");
    }
}
