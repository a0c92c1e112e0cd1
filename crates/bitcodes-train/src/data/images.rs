//! Sets of images with labels, read from MNIST's files or embedded in this crate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitcodes_core::BitcodesConfig;
use burn::tensor::{Tensor, TensorData, backend::Backend};

use super::idx::{self, Idx, IdxCause, IdxError};
use crate::autoencoder::{AutoencoderConfig, AutoencoderConfigError};

/// Training images and test images of the same size.
#[derive(Debug, Clone)]
pub struct Images {
    train: Arc<ImageSet>,
    test: Arc<ImageSet>,
}

/// Gray images of one size, each with a label.
#[derive(Debug, PartialEq)]
pub struct ImageSet {
    height: usize,
    width: usize,
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

/// Error of images that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file cannot be read.
    #[error(transparent)]
    Idx(#[from] IdxError),
    /// A file of images holds no image.
    #[error("{}: no images, expected at least 1", .0.display())]
    Empty(PathBuf),
    /// The autoencoder does not take images of this size.
    #[error("{}: {source}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// The reason why the autoencoder does not take the size.
        source: AutoencoderConfigError,
    },
    /// The test images have another size than the training images.
    #[error(
        "{}: test images of {found:?} pixels (height, width), expected {wanted:?} as in training",
        path.display()
    )]
    SizesDiffer {
        /// The file with the test images.
        path: PathBuf,
        /// Height and width of the test images.
        found: (usize, usize),
        /// Height and width of the training images.
        wanted: (usize, usize),
    },
    /// The number of labels is not the number of images.
    #[error("{}: {found} labels, expected {wanted}, one for each image", path.display())]
    Labels {
        /// The file with the labels.
        path: PathBuf,
        /// Number of labels.
        found: usize,
        /// Number of images.
        wanted: usize,
    },
}

impl Images {
    /// Returns the handwritten digits of 8x8 pixels that come with this crate: 1,500 training
    /// images and 297 test images.
    ///
    /// E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits,
    /// [UCI Machine Learning Repository](https://doi.org/10.24432/C50P49), CC BY 4.0.
    pub fn digits() -> Self {
        macro_rules! set {
            ($name:literal) => {
                ImageSet::from_idx(
                    idx::read(
                        &include_bytes!(concat!(
                            "../../data/digits/",
                            $name,
                            "-images-idx3-ubyte.gz"
                        ))[..],
                    )
                    .expect("the file is part of this crate"),
                    idx::read(
                        &include_bytes!(concat!(
                            "../../data/digits/",
                            $name,
                            "-labels-idx1-ubyte.gz"
                        ))[..],
                    )
                    .expect("the file is part of this crate"),
                )
            };
        }
        Self {
            train: Arc::new(set!("train")),
            test: Arc::new(set!("t10k")),
        }
    }

    /// Returns a hash of all pixels (FNV-1a), which tells sets of images apart.
    pub fn hash(&self) -> u64 {
        let sets = [&self.train, &self.test].into_iter();
        let pixels = sets.flat_map(|set| (0..set.len()).flat_map(|index| set.pixels(index)));
        pixels.fold(0xcbf2_9ce4_8422_2325, |hash: u64, pixel| {
            (hash ^ u64::from(pixel.to_bits())).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// Returns the training images.
    pub fn train(&self) -> &Arc<ImageSet> {
        &self.train
    }

    /// Returns the test images.
    pub fn test(&self) -> &Arc<ImageSet> {
        &self.test
    }

    /// Reads only the test images of a folder, from MNIST's files `t10k-images-idx3-ubyte` and
    /// `t10k-labels-idx1-ubyte`, gzipped or not.
    ///
    /// # Errors
    ///
    /// Returns [`DataError`] if a file is missing or broken.
    pub fn test_from_folder(folder: &Path) -> Result<Arc<ImageSet>, DataError> {
        Ok(Arc::new(ImageSet::from_folder(folder, TEST)?))
    }

    /// Reads training and test images from the four files of MNIST in a folder.
    ///
    /// The files are `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, and for the test
    /// images `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`. Each may be gzipped, have a dot before
    /// `idx`, or lie in `MNIST/raw`. Without labels, all labels are 0.
    ///
    /// # Errors
    ///
    /// Returns [`DataError`] if a file is missing or broken, or if sizes do not match.
    pub fn from_folder(folder: &Path) -> Result<Self, DataError> {
        let [train, test] = [TRAIN, TEST].map(|split| ImageSet::from_folder(folder, split));
        let (train, test) = (train?, test?);
        let (found, wanted) = (test.size(), train.size());
        if found != wanted {
            return Err(DataError::SizesDiffer {
                path: folder.join(images_name(TEST)),
                found,
                wanted,
            });
        }
        Ok(Self {
            train: Arc::new(train),
            test: Arc::new(test),
        })
    }
}

/// Prefix of the names of MNIST's files of training images.
const TRAIN: &str = "train";
/// Prefix of the names of MNIST's files of test images.
const TEST: &str = "t10k";

fn images_name(split: &str) -> String {
    format!("{split}-images-idx3-ubyte")
}

fn labels_name(split: &str) -> String {
    format!("{split}-labels-idx1-ubyte")
}

/// Returns the paths that images are read from in a folder, whether there is such a file or not.
pub fn data_files(folder: &Path) -> Vec<PathBuf> {
    let names = [TRAIN, TEST].map(|split| [images_name(split), labels_name(split)]);
    let both = |name: &String| idx::paths(folder, name);
    names.iter().flatten().flat_map(both).collect()
}

impl ImageSet {
    fn from_folder(folder: &Path, split: &str) -> Result<Self, DataError> {
        let images_name = images_name(split);
        let labels_name = labels_name(split);
        let images = idx::open::<3>(folder, &images_name)?;
        let labels = match idx::open::<1>(folder, &labels_name) {
            // Labels only order the images of a picture.
            Err(error) if matches!(error.cause, IdxCause::Missing) => None,
            labels => Some(labels?),
        };

        // What the headers say is checked before the data are read.
        let [count, height, width] = images.shape;
        let path = images.path.clone();
        if count == 0 {
            return Err(DataError::Empty(path));
        }
        let any = BitcodesConfig::new(AutoencoderConfig::FEATURES, 1);
        let model = AutoencoderConfig::new(height, width, any);
        if let Err(source) = model.validate() {
            return Err(DataError::Size { path, source });
        }
        let labels = match labels {
            Some(labels) if labels.shape != [count] => {
                return Err(DataError::Labels {
                    path: labels.path,
                    found: labels.shape[0],
                    wanted: count,
                });
            }
            labels => labels,
        };
        let images = images.read()?;
        let labels = match labels {
            Some(labels) => labels.read()?,
            None => Idx {
                shape: [count],
                data: vec![0; count],
            },
        };
        Ok(Self::from_idx(images, labels))
    }

    fn from_idx(images: Idx<3>, labels: Idx<1>) -> Self {
        let [_, height, width] = images.shape;
        Self {
            height,
            width,
            pixels: images.data,
            labels: labels.data,
        }
    }

    /// Returns the number of images.
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns the height and width in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Returns the label of each image.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Returns the pixels of image `index`, row by row, each in [0, 1].
    ///
    /// # Panics
    ///
    /// Panics if there is no such image.
    pub fn pixels(&self, index: usize) -> impl Iterator<Item = f32> {
        let size = self.height * self.width;
        let pixels = &self.pixels[index * size..][..size];
        pixels.iter().map(|&pixel| f32::from(pixel) / 255.0)
    }

    /// Returns the images at `indices` as a tensor `[images, height, width]` in [0, 1].
    ///
    /// # Panics
    ///
    /// Panics if there is no such image.
    pub fn tensor<B: Backend>(&self, indices: &[usize], device: &B::Device) -> Tensor<B, 3> {
        let pixels: Vec<f32> = indices.iter().flat_map(|&i| self.pixels(i)).collect();
        let data = TensorData::new(pixels, [indices.len(), self.height, self.width]);
        Tensor::from_data(data, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_there() {
        let Images { train, test } = Images::digits();
        assert_eq!((train.len(), test.len()), (1500, 297));
        assert_eq!((train.size(), test.size()), ((8, 8), (8, 8)));
        let mut classes = train.labels().to_vec();
        classes.sort_unstable();
        classes.dedup();
        assert_eq!(classes, (0..10).collect::<Vec<u8>>());
        let brightest = (0..test.len())
            .flat_map(|i| test.pixels(i))
            .fold(0.0, f32::max);
        assert_eq!(brightest, 1.0);
    }
}
