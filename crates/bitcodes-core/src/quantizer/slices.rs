//! The same quantizer on plain slices in the host's memory.

use alloc::vec::Vec;

use bitcodes_kernels::joint::Normalization as OfKernels;
use bitcodes_kernels::{Codebook, Quantizer};
use burn::tensor::{TensorData, backend::Backend, read_sync};

use super::Bitcodes;
use crate::codes::read;
use crate::{CodesError, Normalization};

impl<B: Backend> Bitcodes<B> {
    /// Makes a quantizer of the same parameters that takes slices: for a service that gets one vector at
    /// a time, say. It keeps its tables and memory, so that a call allocates nothing, and needs no
    /// backend. In a browser use [`to_slices_async`](Self::to_slices_async).
    ///
    /// It computes in f32 on the CPU. On a backend in the host's memory it gives the bits of
    /// [`encode`](Self::encode) without noise. Those of a GPU, of f64 and of a codebook in half precision
    /// may differ where rounding decides.
    ///
    /// ```
    /// # #[cfg(feature = "flex")] {
    /// use bitcodes_core::{BitcodesConfig, kernels::Rows};
    /// use bitcodes_core::burn::backend::Flex;
    ///
    /// let bitcodes = BitcodesConfig::new(4, 8).init::<Flex>(&Default::default());
    /// let mut quantizer = bitcodes.to_slices().unwrap();
    /// let (mut code, mut again) = ([0; 1], [0.0; 4]);
    /// quantizer.encode(Rows::new(&[0.1, 0.2, -0.3, 0.4], 4), &mut code);
    /// quantizer.reconstruct(&code, &mut again);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`CodesError::Device`] if the device fails.
    pub fn to_slices(&self) -> Result<Quantizer, CodesError> {
        read_sync(self.to_slices_async())
    }

    /// Does the same as [`to_slices`](Self::to_slices) for devices that are read asynchronously.
    ///
    /// # Errors
    ///
    /// As [`to_slices`](Self::to_slices).
    pub async fn to_slices_async(&self) -> Result<Quantizer, CodesError> {
        let codebook = numbers(&read(self.codebook.val()).await?);
        let codebook = Codebook::new(&codebook, self.features());
        let normalization = match &self.normalization {
            Some(Normalization { center, log_scale }) => {
                let center = numbers(&read(center.val()).await?);
                let log_scale = read(log_scale.val()).await?.iter::<f64>().sum();
                Some((Normalization::<B>::factor(log_scale) as f32, center))
            }
            None => None,
        };
        let normalization = normalization.as_ref().map(|(factor, center)| OfKernels {
            factor: *factor,
            center,
        });
        Ok(self.assignment().on_slices(codebook, normalization))
    }
}

fn numbers(data: &TensorData) -> Vec<f32> {
    data.iter().collect()
}
