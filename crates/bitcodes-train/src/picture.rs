//! A picture that shows images and their reconstructions.

use std::collections::HashMap;

use crate::data::ImageSet;
use crate::evaluate::Reconstructions;

/// Number of images in a row.
const COLUMNS: usize = 20;
/// Distance between images in pixels.
const GAP: usize = 4;
/// Height in pixels that small images are enlarged to.
const HEIGHT: usize = 64;
const BACKGROUND: u8 = 255;

/// Returns a PNG with a few images of each label in the upper row and their reconstructions in the
/// lower row.
///
/// # Errors
///
/// Returns [`png::EncodingError`] if the picture cannot be encoded.
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

/// Returns the indices of up to [`COLUMNS`] images, in the order of their labels, with as many
/// images of each label as fit.
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
