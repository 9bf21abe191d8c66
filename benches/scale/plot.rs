//! Lines on a chart, as SVG.

use std::path::PathBuf;

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

/// Width and height in pixels.
const SIZE: (u32, u32) = (760, 400);
const FONT: &str = "sans-serif";

pub(crate) struct Chart<'a> {
    /// `docs/scale-FILE.svg`
    pub(crate) file: &'a str,
    pub(crate) title: &'a str,
    pub(crate) x: Axis,
    pub(crate) y: &'a str,
}

pub(crate) struct Axis {
    title: &'static str,
    is_log: bool,
}

pub(crate) struct Line {
    pub(crate) label: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Axis {
    pub(crate) fn log(title: &'static str) -> Axis {
        Axis { title, is_log: true }
    }

    pub(crate) fn linear(title: &'static str) -> Axis {
        Axis { title, is_log: false }
    }
}

impl Chart<'_> {
    pub(crate) fn draw(&self, lines: &[Line]) {
        let xs = || lines.iter().flat_map(|line| line.points.iter().map(|point| point.0));
        let (first, last) = (xs().fold(f64::INFINITY, f64::min), xs().fold(0.0, f64::max));
        if self.x.is_log {
            self.draw_over((first..last).log_scale(), lines);
        } else {
            self.draw_over(first..last, lines);
        }
    }

    fn draw_over<X>(&self, x: X, lines: &[Line])
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let highest = lines.iter().flat_map(|line| &line.points).fold(0.0, |most: f64, point| most.max(point.1));
        let out = std::env::var_os("SCALE_OUT")
            .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/docs").into(), PathBuf::from);
        let path = out.join(format!("scale-{}.svg", self.file));
        let area = SVGBackend::new(&path, SIZE).into_drawing_area();
        area.fill(&WHITE).unwrap();
        let mut builder = ChartBuilder::on(&area);
        builder.caption(self.title, (FONT, 18)).margin(14).x_label_area_size(44).y_label_area_size(64);
        let mut chart = builder.build_cartesian_2d(x, 0.0..highest * 1.15).unwrap();
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(self.x.title).y_desc(self.y).light_line_style(WHITE).label_style((FONT, 13)).draw().unwrap();
        for (line, color) in lines.iter().zip([BLUE, RED]) {
            let points = || line.points.iter().copied();
            let series = chart.draw_series(LineSeries::new(points(), color.stroke_width(2))).unwrap();
            series
                .label(line.label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
            chart.draw_series(points().map(|point| Circle::new(point, 3, color.filled()))).unwrap();
        }
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperLeft).label_font((FONT, 13)).draw().unwrap();
        area.present().unwrap();
    }
}
