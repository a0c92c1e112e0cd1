//! A picture of images over their reconstructions.

use std::collections::HashMap;

use crate::data::ImageSet;
use crate::evaluate::Reconstructions;

/// Images shown side by side.
const COLUMNS: usize = 20;
/// Pixels between images.
const GAP: usize = 4;
/// Height that small images are scaled up to, in pixels.
const HEIGHT: usize = 64;
const BACKGROUND: u8 = 255;

/// Images in the upper row and their reconstructions below, a few of each label, as a PNG.
///
/// # Errors
///
/// Where the picture cannot be encoded.
pub fn side_by_side(
    set: &ImageSet,
    reconstructions: &Reconstructions,
) -> Result<Vec<u8>, png::EncodingError> {
    let (height, width) = set.size();
    let scale = (HEIGHT / height).max(1);
    let [cell_width, cell_height] = [width, height].map(|size| size * scale + GAP);
    let shown = some_of_each_label(set.labels());
    let [picture_width, picture_height] = [shown.len() * cell_width + GAP, 2 * cell_height + GAP];

    let mut picture = vec![BACKGROUND; picture_width * picture_height];
    for (column, &index) in shown.iter().enumerate() {
        let originals: Vec<f32> = set.pixels(index).collect();
        let rows = [&originals[..], reconstructions.pixels(index)];
        for (row, pixels) in rows.into_iter().enumerate() {
            let [left, top] = [column * cell_width + GAP, row * cell_height + GAP];
            for y in 0..height * scale {
                let line = &mut picture[(top + y) * picture_width + left..][..width * scale];
                for (x, pixel) in line.iter_mut().enumerate() {
                    let value = pixels[y / scale * width + x / scale];
                    *pixel = (value * 255.0).round() as u8;
                }
            }
        }
    }

    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture_width as u32, picture_height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&picture)?;
    Ok(bytes)
}

/// Up to [`COLUMNS`] indices, as many of each label as fit, in the order of the labels.
fn some_of_each_label(labels: &[u8]) -> Vec<usize> {
    let mut seen = HashMap::new();
    let mut order: Vec<(usize, u8, usize)> = labels
        .iter()
        .enumerate()
        .map(|(index, &label)| {
            let earlier = seen.entry(label).or_insert(0);
            *earlier += 1;
            (*earlier, label, index)
        })
        .collect();
    order.sort_unstable();
    order.truncate(COLUMNS);
    order.sort_unstable_by_key(|&(earlier, label, _)| (label, earlier));
    order.into_iter().map(|(_, _, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_of_each_label_as_fit() {
        assert_eq!(some_of_each_label(&[3, 1, 3, 1, 2]), [1, 3, 4, 0, 2]);
        let labels: Vec<u8> = (0..100).map(|i| i % 10).collect();
        let shown = some_of_each_label(&labels);
        assert_eq!(shown.len(), COLUMNS);
        assert_eq!(shown[..4], [0, 10, 1, 11]);
        assert!(some_of_each_label(&[]).is_empty());
    }
}
