//! A quantizer of plain slices, which keeps its memory between calls.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::codebook::Codebook;
use crate::decode::Decoder;
use crate::encode::Encoder;
use crate::joint::{EncodeTask, JointEncoder, Normalization, Tile};
use crate::layout::row_bytes;
use crate::noise::Noise;
use crate::rows::Rows;
use crate::tasks::{PART_VECTORS, Task, add_elements, run_in_parts};

/// A quantizer of vectors in the host's memory: it normalizes, encodes, decodes and reconstructs.
///
/// It is made once, with all its tables, and is then called for one vector or for many. To encode up to 512
/// vectors, or to decode fewer than 128 codes, it uses the calling thread alone and allocates nothing. (The
/// first vector that needs the plain search, see [`JointEncoder`], allocates memory once, and later calls
/// use it again.) Larger batches are shared among all threads if the feature `threads` is enabled. A
/// vector's code does not depend on the others. Threads of a service need a clone each, which copies the
/// tables.
///
/// ```
/// use bitcodes_kernels::{Codebook, Quantizer, Rows, joint::Normalization};
///
/// let codebook = [-0.5, 0.5, -0.25, 0.25]; // two bits for numbers
/// let normalization = Normalization { factor: 0.1, center: &[1.0] }; // 0.1 x - 1
/// let mut quantizer = Quantizer::joint(Codebook::new(&codebook, 1), Some(normalization), 8);
/// let (mut code, mut x) = ([0], [0.0]);
/// quantizer.encode(Rows::new(&[13.0], 1), &mut code);
/// assert_eq!(code, [0b01]);
/// quantizer.reconstruct(&code, &mut x);
/// assert_eq!(x, [12.5]); // (0.5 - 0.25 + 1) / 0.1
/// ```
#[derive(Debug, Clone)]
pub struct Quantizer {
    bits: Bits,
    decoder: Decoder,
    normalization: Option<Normalized>,
}

/// The method of deciding bits, and the memory it needs for some vectors.
#[derive(Debug, Clone)]
enum Bits {
    Independent {
        encoder: Encoder,
        /// `[NORMALIZED_VECTORS, features]`; empty if vectors are not normalized.
        memory: Vec<f32>,
    },
    Joint(Box<JointBits>),
}

/// A search for joint bits, and its memory.
#[derive(Debug, Clone)]
struct JointBits {
    encoder: JointEncoder,
    memory: Tile,
}

/// Number of vectors that are normalized at a time.
const NORMALIZED_VECTORS: usize = 32;

impl Quantizer {
    /// Makes a quantizer whose bits are decided independently, as by [`Encoder`].
    ///
    /// # Panics
    ///
    /// Panics if the center has other features than the codebook.
    pub fn independent(codebook: Codebook<'_>, normalization: Option<Normalization<'_>>) -> Self {
        let memory = match normalization {
            Some(_) => NORMALIZED_VECTORS * codebook.features(),
            None => 0,
        };
        let bits = Bits::Independent {
            encoder: Encoder::new(codebook),
            memory: vec![0.0; memory],
        };
        Self::new(bits, codebook, normalization)
    }

    /// Makes a quantizer whose bits are decided jointly, as by [`JointEncoder`], with the number of
    /// candidates of its search.
    ///
    /// # Panics
    ///
    /// Panics if `beam` is 0, or if the center has other features than the codebook.
    pub fn joint(
        codebook: Codebook<'_>,
        normalization: Option<Normalization<'_>>,
        beam: usize,
    ) -> Self {
        let encoder = JointEncoder::new(codebook, normalization, beam);
        let memory = Tile::new(&encoder, Noise::None);
        let bits = Bits::Joint(Box::new(JointBits { encoder, memory }));
        Self::new(bits, codebook, normalization)
    }

    fn new(bits: Bits, codebook: Codebook<'_>, normalization: Option<Normalization<'_>>) -> Self {
        if let Some(Normalization { center, .. }) = normalization {
            assert_eq!(
                center.len(),
                codebook.features(),
                "Quantizer: elements of the center (left), features of the codebook (right)"
            );
        }
        Self {
            bits,
            decoder: Decoder::new(codebook),
            normalization: normalization.map(Normalized::new),
        }
    }

    /// Returns the number of elements of a vector.
    pub fn features(&self) -> usize {
        self.decoder.features()
    }

    /// Returns the number of bits of a code.
    pub fn num_bits(&self) -> usize {
        self.decoder.num_bits()
    }

    /// Returns the number of bytes of a packed code.
    pub fn code_bytes(&self) -> usize {
        row_bytes(self.num_bits())
    }

    /// Encodes vectors to packed codes in the order of [`layout`](crate::layout).
    ///
    /// # Shapes
    ///
    /// - `x`: `[vectors, features]`
    /// - `packed`: `[vectors, code_bytes]`, overwritten
    ///
    /// # Panics
    ///
    /// Panics if `x` has other features than the codebook, or if `packed` has another shape.
    pub fn encode(&mut self, x: Rows<'_>, packed: &mut [u8]) {
        let (features, bytes) = (self.features(), self.code_bytes());
        assert!(
            x.features() == features && packed.len() == x.len() * bytes,
            "Quantizer: {} vectors of {} and {} bytes, expected vectors of {features} and rows of {bytes}",
            x.len(),
            x.features(),
            packed.len(),
        );
        let is_one_part = x.len() <= PART_VECTORS;
        match &mut self.bits {
            Bits::Joint(joint) if is_one_part => {
                let task = EncodeTask {
                    encoder: &joint.encoder,
                    x,
                    first: 0,
                    noise: Noise::None,
                    packed,
                    logits: None,
                };
                task.run_with(&mut joint.memory);
            }
            Bits::Joint(joint) => joint.encoder.encode(x, Noise::None, packed),
            Bits::Independent { encoder, memory } => match &self.normalization {
                None => encoder.encode(x, packed),
                Some(normalization) => {
                    let task = NormalizeTask {
                        encoder,
                        normalization,
                        x,
                        packed,
                    };
                    match is_one_part {
                        true => task.run_with(memory),
                        false => run_in_parts(task),
                    }
                }
            },
        }
    }

    /// Decodes packed codes to vectors, in the units of normalized vectors.
    ///
    /// # Shapes
    ///
    /// - `packed`: `[codes, code_bytes]`
    /// - `vectors`: `[codes, features]`, overwritten
    ///
    /// # Panics
    ///
    /// Panics if `packed` is not whole rows, or if `vectors` has another shape.
    pub fn decode(&self, packed: &[u8], vectors: &mut [f32]) {
        self.decoder.decode(packed, vectors);
    }

    /// Decodes packed codes to vectors, in the units of the vectors that are encoded:
    /// `(decoded + center) / factor`.
    ///
    /// # Shapes
    ///
    /// - `packed`: `[codes, code_bytes]`
    /// - `vectors`: `[codes, features]`, overwritten
    ///
    /// # Panics
    ///
    /// As [`decode`](Self::decode).
    pub fn reconstruct(&self, packed: &[u8], vectors: &mut [f32]) {
        self.decode(packed, vectors);
        if let Some(Normalized { factor, center }) = &self.normalization {
            let scale = 1.0 / factor;
            for vector in vectors.chunks_exact_mut(center.len()) {
                add_elements(vector, center);
                vector.iter_mut().for_each(|element| *element *= scale);
            }
        }
    }
}

/// A normalization that owns its center.
#[derive(Debug, Clone)]
struct Normalized {
    factor: f32,
    center: Vec<f32>,
}

impl Normalized {
    fn new(Normalization { factor, center }: Normalization<'_>) -> Self {
        Self {
            factor,
            center: center.to_vec(),
        }
    }
}

/// Vectors to normalize and to encode independently.
struct NormalizeTask<'a> {
    encoder: &'a Encoder,
    normalization: &'a Normalized,
    x: Rows<'a>,
    packed: &'a mut [u8],
}

impl NormalizeTask<'_> {
    /// Runs the task on this thread, in memory for `NORMALIZED_VECTORS` vectors.
    fn run_with(self, memory: &mut [f32]) {
        let (features, bytes) = (self.encoder.features(), row_bytes(self.encoder.num_bits()));
        let Normalized { factor, center } = self.normalization;
        let mut x = self.x;
        for packed in self.packed.chunks_mut(NORMALIZED_VECTORS * bytes) {
            let (here, after) = x.split_at(packed.len() / bytes);
            let normalized = &mut memory[..here.len() * features];
            for (to, from) in normalized.chunks_exact_mut(features).zip(here.iter()) {
                for ((to, from), center) in to.iter_mut().zip(from).zip(center) {
                    *to = factor * from - center;
                }
            }
            self.encoder.encode(Rows::new(normalized, features), packed);
            x = after;
        }
    }
}

impl Task for NormalizeTask<'_> {
    type Output = ();

    fn vectors(&self) -> usize {
        self.x.len()
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let Self {
            encoder,
            normalization,
            ..
        } = self;
        let (x, x_after) = self.x.split_at(vectors);
        let bytes = row_bytes(encoder.num_bits());
        let (packed, packed_after) = self.packed.split_at_mut(vectors * bytes);
        let part = |x, packed| NormalizeTask {
            encoder,
            normalization,
            x,
            packed,
        };
        (part(x, packed), part(x_after, packed_after))
    }

    fn run(self) {
        let mut memory = vec![0.0; NORMALIZED_VECTORS * self.encoder.features()];
        self.run_with(&mut memory);
    }

    fn join((): (), (): ()) {}
}
