//! The kernels on slices.

use bitcodes_core::{Bitcodes, Joint, Normalization, PackedCodes};
use bitcodes_kernels::layout::row_bytes;
use bitcodes_kernels::{Codebook, Decoder, Encoder, JointEncoder, Noise, Rows, joint};
use burn::tensor::{Tensor, backend::Backend};

use super::Config;

/// The kernels of a codebook, with the vectors to encode and memory for the results.
pub struct Packed {
    features: usize,
    encoder: AnyEncoder,
    decoder: Decoder,
    x: Vec<f32>,
    bytes: Vec<u8>,
    vectors: Vec<f32>,
}

/// An encoder of either method.
enum AnyEncoder {
    Independent(Encoder),
    Joint(JointEncoder),
}

impl Packed {
    /// Makes the kernels of the quantizer's codebook, to encode `x [1, vectors, features]`.
    pub fn new<B: Backend>(bitcodes: &Bitcodes<B>, method: Config, x: Tensor<B, 3>) -> Self {
        let features = bitcodes.features();
        let values = |tensor: Tensor<B, 1>| -> Vec<f32> { tensor.into_data().iter().collect() };
        let codebook = values(bitcodes.codebook.val().flatten(0, 1));
        let pairs = Codebook::new(&codebook, features);
        let x = values(x.flatten(0, 2));
        let bytes = vec![0; x.len() / features * row_bytes(bitcodes.num_bits())];
        let encoder = match method {
            Config::New => {
                let normalization = bitcodes.normalization.as_ref().map(|normalization| {
                    let log_scale: f32 = values(normalization.log_scale.val()).iter().sum();
                    let factor = Normalization::<B>::DEVIATION as f32 / log_scale.exp();
                    (factor, values(normalization.center.val()))
                });
                let normalization = normalization.as_ref();
                let normalization = normalization.map(|(factor, center)| joint::Normalization {
                    factor: *factor,
                    center,
                });
                AnyEncoder::Joint(JointEncoder::new(pairs, normalization, Joint::new().beam))
            }
            Config::Reference => AnyEncoder::Independent(Encoder::new(pairs)),
        };
        Self {
            features,
            encoder,
            decoder: Decoder::new(pairs),
            vectors: vec![0.0; x.len()],
            x,
            bytes,
        }
    }

    pub fn encode(&mut self) {
        let x = Rows::new(&self.x, self.features);
        match &self.encoder {
            AnyEncoder::Independent(encoder) => encoder.encode(x, &mut self.bytes),
            AnyEncoder::Joint(encoder) => encoder.encode(x, Noise::None, &mut self.bytes),
        }
    }

    pub fn decode(&mut self) {
        self.decoder.decode(&self.bytes, &mut self.vectors);
    }

    /// Compares the kernels' results with the quantizer's.
    ///
    /// # Errors
    ///
    /// A message that names the first difference.
    pub fn check<B: Backend>(
        &mut self,
        bitcodes: &Bitcodes<B>,
        x: Tensor<B, 3>,
    ) -> Result<(), String> {
        self.encode();
        self.decode();
        let out = bitcodes.forward(x);
        let codes = PackedCodes::from_bits(out.bits).map_err(|error| error.to_string())?;
        let num_bits = bitcodes.num_bits() as f64;
        let all = num_bits * codes.len() as f64;
        let pairs = codes.as_bytes().iter().zip(&self.bytes);
        let apart: u32 = pairs.map(|(a, b)| (a ^ b).count_ones()).sum();
        // Rounding decides a few bits whose logits are near 0.
        if f64::from(apart) > 1e-5 * all {
            return Err(format!(
                "{apart} of {all} packed bits differ from the quantizer's"
            ));
        }
        let wanted = out.quantized.into_data();
        let bytes = row_bytes(bitcodes.num_bits());
        let features = bitcodes.features();
        let codes = codes.as_bytes().chunks(bytes).zip(self.bytes.chunks(bytes));
        let same = codes.map(|(a, b)| a == b);
        let rows = wanted.iter::<f32>().collect::<Vec<_>>();
        for (row, (same, found)) in same.zip(self.vectors.chunks(features)).enumerate() {
            let wanted = &rows[row * features..][..features];
            let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-5 * num_bits as f32;
            if same && found.iter().zip(wanted).any(far) {
                return Err(format!(
                    "vector {row} decoded from packed codes differs from the quantizer's"
                ));
            }
        }
        Ok(())
    }
}
