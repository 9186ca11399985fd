//! A plot of curves over the number of nodes, both axes logarithmic, as SVG.
//!
//! In: named curves of (nodes, value). Out: a file that any browser shows. Panels stand side by side.

use std::fmt::Write;
use std::path::Path;

use crate::Failure;

const PANEL_WIDTH: f64 = 380.0;
const PANEL_HEIGHT: f64 = 300.0;
const MARGIN: f64 = 55.0;
/// Told apart also in grey.
const COLOURS: [&str; 4] = ["#1b4f72", "#e67e22", "#7d3c98", "#27ae60"];

/// One diagram.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    /// Name and points; x is the number of nodes.
    pub(super) curves: Vec<(String, Vec<(f64, f64)>)>,
    /// A value that is not to be passed.
    pub(super) target: Option<f64>,
}

/// Writes the panels into one file.
pub(super) fn write(path: &Path, heading: &str, panels: &[Panel]) -> Result<(), Failure> {
    std::fs::write(path, svg(heading, panels)?)
        .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

fn svg(heading: &str, panels: &[Panel]) -> Result<String, std::fmt::Error> {
    const COLUMNS: usize = 3;
    let rows = panels.len().div_ceil(COLUMNS);
    let width = PANEL_WIDTH * COLUMNS.min(panels.len()) as f64;
    let height = PANEL_HEIGHT * rows as f64 + 40.0;
    let mut text = String::new();
    writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">"
    )?;
    writeln!(text, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>")?;
    writeln!(text, "<text x=\"{}\" y=\"24\" font-size=\"15\">{}</text>", MARGIN / 2.0, escape(heading))?;
    for (at, panel) in panels.iter().enumerate() {
        let (left, top) = ((at % COLUMNS) as f64 * PANEL_WIDTH, (at / COLUMNS) as f64 * PANEL_HEIGHT + 40.0);
        writeln!(text, "<g transform=\"translate({left},{top})\">")?;
        draw(&mut text, panel)?;
        writeln!(text, "</g>")?;
    }
    text.push_str("</svg>\n");
    Ok(text)
}

fn draw(text: &mut String, panel: &Panel) -> std::fmt::Result {
    let points = || panel.curves.iter().flat_map(|(_, points)| points.iter().copied());
    let values = points().map(|(_, value)| value).chain(panel.target).filter(|value| *value > 0.0);
    let (x_low, x_high) = decades(points().map(|(x, _)| x));
    let (y_low, y_high) = decades(values);
    let (inner_width, inner_height) = (PANEL_WIDTH - 1.5 * MARGIN, PANEL_HEIGHT - 1.9 * MARGIN);
    let x = |value: f64| MARGIN + (value.log10() - x_low) / (x_high - x_low) * inner_width;
    let y = |value: f64| 30.0 + (y_high - value.max(1e-9).log10()) / (y_high - y_low) * inner_height;
    writeln!(
        text,
        "<text x=\"{MARGIN}\" y=\"20\" font-size=\"12\" font-weight=\"bold\">{}</text>",
        escape(&panel.title)
    )?;
    for decade in x_low as i32..=x_high as i32 {
        let at = 10_f64.powi(decade);
        grid(text, (x(at), y(10_f64.powf(y_low))), (x(at), y(10_f64.powf(y_high))))?;
        writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{at}</text>",
            x(at),
            30.0 + inner_height + 15.0
        )?;
    }
    for decade in y_low as i32..=y_high as i32 {
        let at = 10_f64.powi(decade);
        grid(text, (x(10_f64.powf(x_low)), y(at)), (x(10_f64.powf(x_high)), y(at)))?;
        writeln!(text, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{at}</text>", MARGIN - 5.0, y(at) + 4.0)?;
    }
    if let Some(target) = panel.target {
        let (left, right, at) = (x(10_f64.powf(x_low)), x(10_f64.powf(x_high)), y(target));
        writeln!(
            text,
            "<line x1=\"{left:.1}\" y1=\"{at:.1}\" x2=\"{right:.1}\" y2=\"{at:.1}\" stroke=\"#c0392b\" stroke-dasharray=\"5 4\"/>"
        )?;
    }
    for (number, (name, points)) in panel.curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let line: Vec<String> = points.iter().map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
        writeln!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        )?;
        for (at, value) in points {
            writeln!(text, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(*at), y(*value))?;
        }
        let legend = 30.0 + inner_height + 30.0 + 14.0 * (number / 2) as f64;
        let left = MARGIN + (number % 2) as f64 * inner_width / 2.0;
        writeln!(text, "<text x=\"{left:.1}\" y=\"{legend:.1}\" fill=\"{colour}\">{}</text>", escape(name))?;
    }
    Ok(())
}

fn grid(text: &mut String, from: (f64, f64), to: (f64, f64)) -> std::fmt::Result {
    writeln!(
        text,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#dddddd\"/>",
        from.0, from.1, to.0, to.1
    )
}

/// Whole decades around all values.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return (0.0, 1.0);
    }
    let (low, high) = (low.log10().floor(), high.log10().ceil());
    (low, high.max(low + 1.0))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
