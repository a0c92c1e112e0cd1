//! Evaluation of a trained autoencoder by the images that it decodes from packed codes.

use std::io;

use bitcodes_core::{BitStatistics, CodesError, PackedCodes};
use burn::tensor::backend::Backend;

use crate::autoencoder::Autoencoder;
use crate::data::ImageSet;
use crate::metrics::SquaredError;
use crate::npy::npy;

/// Images that were decoded from the packed codes of a set, with the codes, their statistics and
/// the error.
#[derive(Debug)]
pub struct Reconstructions {
    height: usize,
    width: usize,
    pixels: Vec<f32>,
    /// Packed codes of each batch.
    codes: Vec<PackedCodes>,
    error: SquaredError,
    statistics: BitStatistics,
}

impl Reconstructions {
    /// Number of images in a batch.
    const BATCH: usize = 1024;

    /// Encodes each image of a set, packs the codes, and decodes the images from the packed codes
    /// alone.
    ///
    /// # Errors
    ///
    /// Returns [`CodesError::Device`] if the device cannot be read.
    pub fn of<B: Backend>(
        model: &Autoencoder<B>,
        set: &ImageSet,
        device: &B::Device,
    ) -> Result<Self, CodesError> {
        let (height, width) = set.size();
        let mut pixels = Vec::with_capacity(set.len() * height * width);
        let mut codes = Vec::new();
        let mut statistics = BitStatistics::new(model.quantizer.num_bits());
        let indices: Vec<usize> = (0..set.len()).collect();
        for batch in indices.chunks(Self::BATCH) {
            let packed = model.encode_packed(set.tensor(batch, device))?;
            statistics.update(&packed)?;
            let images = model.decode(packed.unpack(device)).into_data();
            pixels.extend(images.iter::<f32>());
            codes.push(packed);
        }

        let originals = indices.iter().flat_map(|&index| set.pixels(index));
        let differences = pixels.iter().zip(originals).map(|(y, x)| f64::from(y - x));
        let error = SquaredError {
            sum: differences.map(|difference| difference * difference).sum(),
            pixels: pixels.len(),
        };
        Ok(Self {
            height,
            width,
            pixels,
            codes,
            error,
            statistics,
        })
    }

    /// Returns the squared error between the reconstructions and the images.
    pub fn error(&self) -> SquaredError {
        self.error
    }

    /// Returns the statistics of the codes of all tokens.
    pub fn statistics(&self) -> &BitStatistics {
        &self.statistics
    }

    /// Returns the pixels of the reconstruction of image `index`, row by row, each in [0, 1].
    ///
    /// # Panics
    ///
    /// Panics if there is no such image.
    pub fn pixels(&self, index: usize) -> &[f32] {
        let size = self.height * self.width;
        &self.pixels[index * size..][..size]
    }

    /// Returns the reconstructions as the bytes of a NumPy file, f32 `[images, height, width]`.
    ///
    /// # Errors
    ///
    /// Returns [`io::Error`] if the writer fails, which it does not when it writes to memory.
    pub fn to_npy(&self) -> io::Result<Vec<u8>> {
        let (height, width) = (self.height as u64, self.width as u64);
        let images = self.pixels.len() as u64 / (height * width);
        npy(&[images, height, width], &self.pixels)
    }

    /// Returns the packed codes as the bytes of a NumPy file, u8
    /// `[images, tokens, ceil(num_bits / 8)]`.
    ///
    /// # Errors
    ///
    /// Returns [`io::Error`] if the writer fails, which it does not when it writes to memory.
    pub fn codes_to_npy(&self) -> io::Result<Vec<u8>> {
        let images: usize = self.codes.iter().map(|codes| codes.dims()[0]).sum();
        let (tokens, num_bits) = match self.codes.first() {
            Some(codes) => (codes.dims()[1], codes.num_bits()),
            None => (0, 0),
        };
        let row = num_bits.div_ceil(8);
        let bytes = self.codes.iter().flat_map(PackedCodes::as_bytes).copied();
        let bytes: Vec<u8> = bytes.collect();
        npy(&[images as u64, tokens as u64, row as u64], &bytes)
    }
}
