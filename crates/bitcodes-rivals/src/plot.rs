//! The plot of PSNR against bits, with a line for each kind of quantizer.

use std::collections::BTreeMap;

use plotters::prelude::*;

use crate::table::Line;

const SIZE: (u32, u32) = (720, 480);
/// Colors that people with red-green blindness can tell apart (Okabe and Ito), none of them too
/// light.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(100, 100, 100),
];

/// Draws the plot and returns it as an SVG picture, or `None` if there is nothing to draw.
///
/// The plot shows the median of each quantizer with the range over its seeds, and a line through
/// the best quantizer of each kind at each number of bits. The autoencoder without a quantizer is a
/// horizontal line. A quantizer is left out if one of its trainings diverged.
pub fn plot(lines: &[Line], title: &str) -> Option<String> {
    let mut kinds: BTreeMap<&str, Vec<(f64, &Line)>> = BTreeMap::new();
    for line in lines {
        let kind = line.first().run.contestant.name.split(' ').next();
        let (least, most) = line.range(|run| run.psnr_db);
        if let (Some(kind), Some(bits)) = (kind, line.first().bits_per_image)
            && least.is_finite()
            && most.is_finite()
        {
            kinds.entry(kind).or_default().push((bits, line));
        }
    }
    let points = || kinds.values().flatten();
    let (mut fewest, mut most) = (f64::INFINITY, 0.0f64);
    let (mut lowest, mut highest) = (f64::INFINITY, 0.0f64);
    for (bits, line) in points() {
        let (low, high) = line.range(|run| run.psnr_db);
        (fewest, most) = (fewest.min(*bits), most.max(*bits));
        (lowest, highest) = (lowest.min(low), highest.max(high));
    }
    let unquantized = lines
        .iter()
        .find(|line| line.first().bits_per_image.is_none());
    let unquantized = unquantized.map(|line| line.median(|run| run.psnr_db));
    let unquantized = unquantized.filter(|level| level.is_finite());
    highest = highest.max(unquantized.unwrap_or(0.0));
    points().next()?;

    let mut text = String::new();
    let mut draw = || -> Result<(), DrawingAreaErrorKind<_>> {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(
                (fewest / 1.2..most * 1.2).log_scale().base(2.0),
                lowest.floor() - 0.5..highest.ceil() + 0.5,
            )?;
        chart
            .configure_mesh()
            .x_desc("bits an image")
            .y_desc("PSNR in dB")
            .x_label_formatter(&|bits| format!("{bits:.0}"))
            .y_label_formatter(&|psnr| format!("{psnr:.1}"))
            .light_line_style(WHITE)
            .draw()?;
        if let Some(level) = unquantized {
            let ends = [(fewest / 1.2, level), (most * 1.2, level)];
            chart
                .draw_series(DashedLineSeries::new(ends, 6, 4, BLACK.into()))?
                .label("not quantized")
                .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], BLACK));
        }
        for ((kind, points), &color) in kinds.iter().zip(COLORS.iter().cycle()) {
            let median = |line: &Line| line.median(|run| run.psnr_db);
            let mut best: Vec<(f64, f64)> = Vec::new();
            let mut by_bits = points.clone();
            by_bits.sort_by(|a, b| {
                a.0.total_cmp(&b.0)
                    .then(median(b.1).total_cmp(&median(a.1)))
            });
            for (bits, line) in &by_bits {
                if best.last().is_none_or(|last| last.0 < *bits) {
                    best.push((*bits, median(line)));
                }
            }
            let width = if *kind == "Bitcodes" { 3 } else { 1 };
            chart
                .draw_series(LineSeries::new(best, color.stroke_width(width)))?
                .label(*kind)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], color.stroke_width(width))
                });
            for (bits, line) in points {
                let (low, high) = line.range(|run| run.psnr_db);
                let range = PathElement::new([(*bits, low), (*bits, high)], color);
                chart.draw_series([range])?;
                chart.draw_series([Circle::new((*bits, median(line)), 3, color.filled())])?;
            }
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE)
            .border_style(RGBColor(200, 200, 200))
            .draw()?;
        area.present()
    };
    draw().expect("writing to a string does not fail");
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcomes::Outcome;
    use crate::table::lines;

    #[test]
    fn a_kind_has_one_line_and_each_quantizer_a_point() {
        let outcomes = [
            Outcome::made_up_of("none", 0, 32.0),
            Outcome::made_up_of("RVQ 2x16", 0, 19.0),
            Outcome::made_up_of("RVQ 2x16", 1, 20.0),
            Outcome::made_up_of("RVQ 2x256", 0, 22.0),
            Outcome::made_up_of("RVQ 4x16", 0, 21.0),
            Outcome::made_up_of("Bitcodes 8", 0, 19.5),
        ];
        let picture = plot(&lines(&outcomes), "digits in mixer").expect("quantizers");
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
        assert_eq!(picture.matches("<circle").count(), 4);
        for name in ["digits in mixer", "RVQ", "Bitcodes", "not quantized"] {
            let found = picture.lines().filter(|line| *line == name).count();
            assert_eq!(found, 1, "{name}");
        }
        assert!(plot(&lines(&outcomes[..1]), "").is_none());
        // Quantizers whose PSNR is not finite are left out, and so is the line of the autoencoder
        // without a quantizer.
        for psnr_db in [f64::NAN, f64::INFINITY] {
            let outcomes = [
                Outcome::made_up_of("none", 0, psnr_db),
                Outcome::made_up_of("Bitcodes 8", 0, 19.5),
                Outcome::made_up_of("RVQ 2x16", 0, psnr_db),
            ];
            let picture = plot(&lines(&outcomes), "").expect("one is left");
            assert_eq!(picture.matches("<circle").count(), 1);
            assert!(!picture.contains("not quantized") && !picture.contains("NaN"));
        }
    }
}
