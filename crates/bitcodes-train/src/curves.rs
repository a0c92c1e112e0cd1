//! A picture of the metrics of each epoch.

use plotters::prelude::*;

/// The PSNR of an epoch, in dB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct EpochPsnr {
    pub epoch: usize,
    pub train: f64,
    pub test: f64,
}

const SIZE: (u32, u32) = (720, 400);
const TRAIN: RGBColor = RGBColor(100, 100, 100);
const TEST: RGBColor = RGBColor(0, 114, 178);

/// Draws the PSNR of the training images and of the test images over the epochs, as SVG. `None` if there
/// are no epochs.
pub(crate) fn curves(epochs: &[EpochPsnr]) -> Option<String> {
    let values = || epochs.iter().flat_map(|epoch| [epoch.train, epoch.test]);
    let finite = || values().filter(|value| value.is_finite());
    let lowest = finite().reduce(f64::min)?;
    let highest = finite().reduce(f64::max)?;
    let last = epochs.last()?.epoch.max(2);
    let mut text = String::new();
    let mut draw = || -> Result<(), DrawingAreaErrorKind<_>> {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(1..last, lowest - 0.5..highest + 0.5)?;
        chart
            .configure_mesh()
            .x_desc("epoch")
            .y_desc("PSNR in dB")
            .y_label_formatter(&|psnr| format!("{psnr:.1}"))
            .light_line_style(WHITE)
            .draw()?;
        let train: Vec<_> = epochs.iter().map(|one| (one.epoch, one.train)).collect();
        let test: Vec<_> = epochs.iter().map(|one| (one.epoch, one.test)).collect();
        for (name, color, points) in [
            ("training images", TRAIN, train),
            ("test images", TEST, test),
        ] {
            // The points show a training of one epoch, which has no line.
            let line = LineSeries::new(points, color.stroke_width(2)).point_size(2);
            chart.draw_series(line)?.label(name).legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2))
            });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .border_style(BLACK.mix(0.2))
            .background_style(WHITE)
            .draw()?;
        area.present()
    };
    draw().expect("text can be written to");
    Some(text)
}
