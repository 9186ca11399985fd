//! A measured figure, and how it is written: as a table for people and as JSON for scripts.
//!
//! Always: every value was measured in this run; a target is what the project asks of itself, never a measurement.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// One figure of one case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// The case it belongs to.
    pub(crate) case: &'static str,
    /// What was measured.
    pub(crate) measure: String,
    /// Unit of every value.
    pub(crate) unit: &'static str,
    /// What this software does.
    pub(crate) ours: f64,
    /// What it should do; `None` where nothing is promised.
    pub(crate) target: Option<Target>,
    /// What others do with the same work, in this run.
    pub(crate) peers: BTreeMap<String, f64>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(into = "f64")]
pub(crate) enum Target {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl From<Target> for f64 {
    fn from(target: Target) -> f64 {
        match target {
            Target::AtMost(value) | Target::AtLeast(value) => value,
        }
    }
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtMost(most) => value <= most,
            Target::AtLeast(least) => value >= least,
        }
    }

    fn shown(self) -> String {
        match self {
            Target::AtMost(most) => format!("<= {}", number(most)),
            Target::AtLeast(least) => format!(">= {}", number(least)),
        }
    }
}

impl Figure {
    /// A figure without target or comparison.
    pub(crate) fn new(case: &'static str, measure: impl Into<String>, unit: &'static str, ours: f64) -> Figure {
        Figure { case, measure: measure.into(), unit, ours, target: None, peers: BTreeMap::new() }
    }

    /// The same with a target.
    pub(crate) fn at_most(self, most: f64) -> Figure {
        Figure { target: Some(Target::AtMost(most)), ..self }
    }

    /// The same with a target.
    pub(crate) fn at_least(self, least: f64) -> Figure {
        Figure { target: Some(Target::AtLeast(least)), ..self }
    }

    /// The same with what another way of doing the work gave.
    pub(crate) fn beside(mut self, name: &str, value: f64) -> Figure {
        self.peers.insert(name.to_owned(), value);
        self
    }
}

/// Figures p50, p90, p99 and max of durations, in milliseconds. The target is for p99. Nothing for no durations.
pub(crate) fn percentiles(
    case: &'static str,
    measure: &str,
    mut durations: Vec<Duration>,
    p99_ms_most: Option<f64>,
) -> Vec<Figure> {
    durations.sort();
    let Some(last) = durations.len().checked_sub(1) else { return Vec::new() };
    // Nearest rank: the smallest value that so many percent do not exceed.
    let at = |percent: usize| durations[((last + 1) * percent).div_ceil(100).saturating_sub(1)];
    [("p50", at(50)), ("p90", at(90)), ("p99", at(99)), ("max", at(100))]
        .into_iter()
        .map(|(name, duration)| {
            let figure = Figure::new(case, format!("{measure}, {name}"), "ms", duration.as_secs_f64() * 1_000.0);
            match p99_ms_most.filter(|_| name == "p99") {
                Some(most) => figure.at_most(most),
                None => figure,
            }
        })
        .collect()
}

/// The figures as lines for people.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut rows = vec![["MEASURE", "OURS", "UNIT", "TARGET", "BESIDE"].map(str::to_owned)];
    for figure in figures {
        let target = figure.target.map_or_else(String::new, |target| {
            format!("{} {}", target.shown(), if target.is_met(figure.ours) { "met" } else { "MISSED" })
        });
        let beside: Vec<String> =
            figure.peers.iter().map(|(name, value)| format!("{name}: {}", number(*value))).collect();
        rows.push([figure.measure.clone(), number(figure.ours), figure.unit.to_owned(), target, beside.join("; ")]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    for [measure, ours, unit, target, beside] in &rows {
        let line = format!(
            "{measure:<a$}  {ours:>b$}  {unit:<c$}  {target:<d$}  {beside}",
            a = widths[0],
            b = widths[1],
            c = widths[2],
            d = widths[3]
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Four digits that matter, no more.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1_000.0 => format!("{value:.0}"),
        middle if middle >= 100.0 => format!("{value:.1}"),
        middle if middle >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let durations = (1..=200).rev().map(Duration::from_millis).collect();
        let figures = percentiles("latency", "x", durations, Some(197.0));
        let values: Vec<f64> = figures.iter().map(|figure| figure.ours).collect();
        assert_eq!(values, [100.0, 180.0, 198.0, 200.0]);
        assert_eq!(figures[2].target, Some(Target::AtMost(197.0)));
        assert!(table(&figures).contains("<= 197.0 MISSED"), "{}", table(&figures));
        assert_eq!(percentiles("latency", "x", vec![Duration::from_millis(7)], None)[0].ours, 7.0);
        assert!(percentiles("latency", "x", Vec::new(), None).is_empty());
    }

    #[test]
    fn json_has_a_number_or_null_as_target() {
        let figure = Figure::new("import", "rate", "records/s", 5.0).beside("loop", 9.0);
        let json = serde_json::to_value(figure).expect("figures are plain values");
        let expected = serde_json::json!({"case": "import", "measure": "rate", "unit": "records/s", "ours": 5.0,
            "target": null, "peers": {"loop": 9.0}});
        assert_eq!(json, expected);
    }
}
