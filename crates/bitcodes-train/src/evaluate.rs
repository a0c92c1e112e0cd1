//! How well a trained autoencoder does, judged by what its packed bits decode to.

use std::io;

use bitcodes_core::{BitStatistics, CodesError, PackedCodes};
use burn::tensor::backend::Backend;

use crate::autoencoder::Autoencoder;
use crate::data::ImageSet;
use crate::metrics::SquaredError;
use crate::npy::npy;

/// Images as their packed bits give them back.
#[derive(Debug)]
pub struct Reconstructions {
    height: usize,
    width: usize,
    pixels: Vec<f32>,
    /// Of each batch.
    codes: Vec<PackedCodes>,
    error: SquaredError,
    statistics: BitStatistics,
}

impl Reconstructions {
    /// Images that pass through the model together.
    const BATCH: usize = 1024;

    /// Encodes each image of a set, packs the bits, and decodes the image from the packed bits
    /// alone.
    ///
    /// # Errors
    ///
    /// [`CodesError::Device`] where the device cannot be read.
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
            let packed = PackedCodes::from_logits(model.logits(set.tensor(batch, device)))?;
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

    /// The error of the reconstructions against the images.
    pub fn error(&self) -> SquaredError {
        self.error
    }

    /// How the codes of the tokens of the images use their bits.
    pub fn statistics(&self) -> &BitStatistics {
        &self.statistics
    }

    /// The pixels of image `index` in [0, 1], row by row.
    ///
    /// # Panics
    ///
    /// Where there is no such image.
    pub fn pixels(&self, index: usize) -> &[f32] {
        let size = self.height * self.width;
        &self.pixels[index * size..][..size]
    }

    /// All of them as a file of NumPy's, f32 `[images, height, width]`.
    ///
    /// # Errors
    ///
    /// Where the writer gives one; writing to memory gives it none.
    pub fn to_npy(&self) -> io::Result<Vec<u8>> {
        let (height, width) = (self.height as u64, self.width as u64);
        let images = self.pixels.len() as u64 / (height * width);
        npy(&[images, height, width], &self.pixels)
    }

    /// The codes of all as a file of NumPy's, u8 `[images, tokens, ceil(num_bits / 8)]`.
    ///
    /// # Errors
    ///
    /// Where the writer gives one; writing to memory gives it none.
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
