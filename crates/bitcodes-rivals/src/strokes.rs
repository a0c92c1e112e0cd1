//! A second set of images, by which no setting was chosen: a few strokes over a shaded background.

use std::path::Path;

use bitcodes_train::{Unwritten, write_file};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// Height and width of the images in pixels.
const SIDE: usize = 8;
/// Number of images in each set, the same as of the digits.
const COUNTS: [(&str, u32); 2] = [("train", 1500), ("t10k", 297)];
const SEED: u64 = 8;

/// Writes the images as MNIST's four files to a folder. A label is the number of strokes minus one.
///
/// # Errors
///
/// Returns [`Unwritten`] if a file cannot be written.
pub fn write(folder: &Path) -> Result<(), Unwritten> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let side = SIDE as u32;
    for (set, count) in COUNTS {
        let mut images = header(3, &[count, side, side]);
        let mut labels = header(1, &[count]);
        for _ in 0..count {
            let (image, strokes) = image(&mut random);
            images.extend(image);
            labels.push(strokes - 1);
        }
        write_file(&folder.join(format!("{set}-images-idx3-ubyte")), &images)?;
        write_file(&folder.join(format!("{set}-labels-idx1-ubyte")), &labels)?;
    }
    Ok(())
}

/// Returns the header of an IDX file of bytes: the type, the number of axes and the size of each.
fn header(axes: u8, sizes: &[u32]) -> Vec<u8> {
    let sizes = sizes.iter().flat_map(|size| size.to_be_bytes());
    [0, 0, 8, axes].into_iter().chain(sizes).collect()
}

/// Draws an image and returns its pixels, row by row, and the number of strokes.
fn image(random: &mut Xoshiro256PlusPlus) -> ([u8; SIDE * SIDE], u8) {
    let ground: f32 = random.random_range(0.0..0.5);
    let slope = [(); 2].map(|()| random.random_range(-0.04..0.04f32));
    let strokes = random.random_range(1..4u8);
    let middle = (SIDE - 1) as f32 / 2.0;
    let mut pixels: [f32; SIDE * SIDE] = std::array::from_fn(|index| {
        let (y, x) = ((index / SIDE) as f32, (index % SIDE) as f32);
        ground + slope[0] * (y - middle) + slope[1] * (x - middle)
    });
    for _ in 0..strokes {
        let mut end = || [(); 2].map(|()| random.random_range(0.0..(SIDE - 1) as f32));
        let (from, to) = (end(), end());
        let width: f32 = random.random_range(0.4..1.2);
        let light: f32 = random.random_range(0.0..1.0);
        for (index, pixel) in pixels.iter_mut().enumerate() {
            let point = [(index / SIDE) as f32, (index % SIDE) as f32];
            let distance = distance(point, from, to) / width;
            // This avoids `exp`, whose last digit is not the same on every machine.
            let cover = 1.0 / (1.0 + distance * distance * distance * distance);
            *pixel += (light - *pixel) * cover;
        }
    }
    let bytes = pixels.map(|pixel| (pixel.clamp(0.0, 1.0) * 255.0).round() as u8);
    (bytes, strokes)
}

/// Returns the distance of a point from the line segment between two others.
fn distance(point: [f32; 2], from: [f32; 2], to: [f32; 2]) -> f32 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let off = [point[0] - from[0], point[1] - from[1]];
    let length = along[0] * along[0] + along[1] * along[1];
    let at = (off[0] * along[0] + off[1] * along[1]) / length.max(1e-6);
    let at = at.clamp(0.0, 1.0);
    let left = [off[0] - at * along[0], off[1] - at * along[1]];
    (left[0] * left[0] + left[1] * left[1]).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcodes_train::data::Images;

    #[test]
    fn the_files_are_images_and_always_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path()).expect("written");
        let images = Images::from_folder(folder.path()).expect("MNIST's files");
        assert_eq!((images.train().len(), images.test().len()), (1500, 297));
        assert_eq!(images.train().size(), (SIDE, SIDE));
        let bytes = |index| -> Vec<u8> {
            let pixels = images.test().pixels(index);
            pixels.map(|pixel| (pixel * 255.0).round() as u8).collect()
        };
        // The last image depends on all draws before it.
        assert_eq!(bytes(296)[..8], [98, 91, 84, 76, 69, 62, 55, 48]);
        let mut labels = images.train().labels().to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels, [0, 1, 2]);
    }
}
