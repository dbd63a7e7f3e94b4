//! Metrics in Prometheus' text format, version 0.0.4.

use std::fmt::Write;

use types::metrics::Metric;

/// The type that Prometheus expects.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// A value of a metric that is told of several things.
#[derive(Clone, Debug)]
pub struct LabelledValue {
    /// The metric, which has a label.
    pub metric: &'static Metric,
    /// Which one; a name of the cluster's own, never any text.
    pub of: String,
    /// The value.
    pub value: f64,
}

/// A histogram of one of several things.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// The metric, which has a label.
    pub metric: &'static Metric,
    /// Which one; a name of the cluster's own, never any text.
    pub of: String,
    /// Where each bucket but the last ends.
    pub borders: Vec<f64>,
    /// How many values lie in each bucket.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: f64,
}

/// All values with their help; those of one metric follow each other.
pub(super) fn render_labelled(values: &[LabelledValue]) -> String {
    let mut text = String::new();
    let mut last = "";
    for LabelledValue { metric, of, value } in values {
        let (name, label) = (metric.name, metric.label.unwrap_or_default());
        if name != last {
            text.push_str(&head(metric));
            last = name;
        }
        let _ = writeln!(text, "{name}{{{label}=\"{of}\"}} {value}");
    }
    text
}

/// All histograms with their help; those of one metric follow each other.
pub(super) fn render_histograms(histograms: &[Histogram]) -> String {
    let mut text = String::new();
    let mut last = "";
    for Histogram { metric, of, borders, counts, sum } in histograms {
        let (name, label) = (metric.name, metric.label.unwrap_or_default());
        if name != last {
            text.push_str(&head(metric));
            last = name;
        }
        // Each bucket of Prometheus has all that is smaller in it.
        let ends = borders.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        let mut all = 0;
        for (end, count) in ends.zip(counts) {
            all += count;
            let _ = writeln!(text, "{name}_bucket{{{label}=\"{of}\",le=\"{end}\"}} {all}");
        }
        let _ =
            writeln!(text, "{name}_sum{{{label}=\"{of}\"}} {sum}\n{name}_count{{{label}=\"{of}\"}} {all}");
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
    let Metric { name, about, .. } = metric;
    format!("# HELP {name} {about}\n# TYPE {name} {}\n", metric.kind.word())
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
        let value =
            |of: &str, value| LabelledValue { metric: &types::metrics::BACKUP_PROVEN, of: of.into(), value };
        let text = render_labelled(&[value("nightly", 1_795_744_860.5), value("weekly", 2.0)]);
        assert_eq!(text.matches("# TYPE").count(), 1);
        let end = "skein_backup_last_proven_timestamp_seconds{schedule=\"nightly\"} 1795744860.5\n\
                   skein_backup_last_proven_timestamp_seconds{schedule=\"weekly\"} 2\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn a_bucket_has_all_that_is_smaller_in_it() {
        let histogram = Histogram {
            metric: &types::metrics::WRITE_SECONDS,
            of: "shop".into(),
            borders: vec![0.001024, 0.002],
            counts: vec![5, 0, 2],
            sum: 1.25,
        };
        let text = render_histograms(&[histogram.clone(), Histogram { of: "other".into(), ..histogram }]);
        assert_eq!(text.matches("# TYPE skein_write_duration_seconds histogram\n").count(), 1);
        let shop = "skein_write_duration_seconds_bucket{namespace=\"shop\",le=\"0.001024\"} 5\n\
                    skein_write_duration_seconds_bucket{namespace=\"shop\",le=\"0.002\"} 5\n\
                    skein_write_duration_seconds_bucket{namespace=\"shop\",le=\"+Inf\"} 7\n\
                    skein_write_duration_seconds_sum{namespace=\"shop\"} 1.25\n\
                    skein_write_duration_seconds_count{namespace=\"shop\"} 7\n";
        assert!(text.contains(shop), "{text}");
    }
}
