//! Writes metrics one after another as OpenMetrics text. Pure: no I/O.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

use crate::counters::{BUCKETS, Histogram};

/// No labels, for metrics that have none.
type NoLabels = [(&'static str, &'static str); 0];

/// Writes metrics one after another.
pub(super) struct Writer<'a>(pub(super) DescriptorEncoder<'a>);

impl Writer<'_> {
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabels, u64, u64>(&value, None)
    }

    pub(super) fn counters<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl Iterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in values {
            let labels = [(label, value)];
            metric.encode_family(&labels)?.encode_counter::<NoLabels, u64, u64>(&count, None)?;
        }
        Ok(())
    }

    pub(super) fn counters_by_two<'v>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; 2],
        values: impl Iterator<Item = ([&'v str; 2], u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for ([first, second], count) in values {
            let labels = [(labels[0], first), (labels[1], second)];
            metric.encode_family(&labels)?.encode_counter::<NoLabels, u64, u64>(&count, None)?;
        }
        Ok(())
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    pub(super) fn gauges<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl Iterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (value, count) in values {
            let labels = [(label, value)];
            metric.encode_family(&labels)?.encode_gauge(&count)?;
        }
        Ok(())
    }

    pub(super) fn seconds(&mut self, name: &str, help: &str, kind: MetricType, value: f64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        match kind {
            MetricType::Counter => metric.encode_counter::<NoLabels, f64, u64>(&value, None),
            _ => metric.encode_gauge(&value),
        }
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, times: &Histogram) -> fmt::Result {
        let seconds = |micros| Duration::from_micros(micros).as_secs_f64();
        let bounds = BUCKETS.into_iter().map(seconds).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(times.buckets).collect();
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let exemplars: Option<&HashMap<usize, Exemplar<NoLabels, f64>>> = None;
        metric.encode_histogram(seconds(times.sum_micros), times.count(), &buckets, exemplars)
    }
}
