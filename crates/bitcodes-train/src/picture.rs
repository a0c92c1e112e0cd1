//! A picture of images over their reconstructions.

use std::collections::HashMap;
use std::io::{self, Cursor};

use image::{GrayImage, ImageFormat, Luma};

use crate::data::ImageSet;
use crate::evaluate::Reconstructions;

/// Images shown side by side.
const COLUMNS: usize = 20;
/// Pixels between images.
const GAP: usize = 4;
/// Height that small images are scaled up to, in pixels.
const HEIGHT: usize = 64;
const BACKGROUND: Luma<u8> = Luma([255]);

/// Images in the upper row and their reconstructions below, a few of each label, as a PNG.
///
/// # Errors
///
/// Where the picture cannot be encoded.
pub fn side_by_side(set: &ImageSet, reconstructions: &Reconstructions) -> io::Result<Vec<u8>> {
    let (height, width) = set.size();
    let scale = (HEIGHT / height).max(1);
    let [cell_width, cell_height] = [width, height].map(|size| size * scale + GAP);
    let shown = some_of_each_label(set.labels());

    let mut picture = GrayImage::from_pixel(
        (shown.len() * cell_width + GAP) as u32,
        (2 * cell_height + GAP) as u32,
        BACKGROUND,
    );
    for (column, &index) in shown.iter().enumerate() {
        let originals: Vec<f32> = set.pixels(index).collect();
        for (row, pixels) in [&originals[..], reconstructions.pixels(index)]
            .iter()
            .enumerate()
        {
            let [left, top] = [column * cell_width + GAP, row * cell_height + GAP];
            for y in 0..height * scale {
                for x in 0..width * scale {
                    let value = pixels[y / scale * width + x / scale];
                    let value = (value * 255.0).round() as u8;
                    picture.put_pixel((left + x) as u32, (top + y) as u32, Luma([value]));
                }
            }
        }
    }

    let mut png = Cursor::new(Vec::new());
    picture
        .write_to(&mut png, ImageFormat::Png)
        .map_err(io::Error::other)?;
    Ok(png.into_inner())
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
