//! Tests that the rivals give the same results as `vector-quantize-pytorch`; see
//! `golden/generate.py`.

use std::path::PathBuf;

use bitcodes_rivals::quantizer::{
    FiniteScalarConfig, LookupFreeConfig, Quantizer, ResidualVector, ResidualVectorConfig,
    VectorCodebook,
};
use burn::backend::{Autodiff, Flex};
use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Tensor, TensorData};
use rand::{SeedableRng, rngs::StdRng};
use safetensors::SafeTensors;

type B = Autodiff<Flex>;

const STEPS: usize = 3;

struct Golden(Vec<u8>);

impl Golden {
    fn load(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        Self(std::fs::read(folder.join(format!("{name}.safetensors"))).expect("the file exists"))
    }

    fn bytes<const N: usize>(&self, name: &str) -> (Vec<usize>, Vec<[u8; N]>) {
        let file = SafeTensors::deserialize(&self.0).expect("a safetensors file");
        let tensor = file.tensor(name).expect(name);
        let (elements, rest) = tensor.data().as_chunks::<N>();
        assert!(rest.is_empty(), "{name}: whole elements");
        (tensor.shape().to_vec(), elements.to_vec())
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let (_, elements) = self.bytes(name);
        elements.into_iter().map(f32::from_le_bytes).collect()
    }

    fn integers(&self, name: &str) -> Vec<i64> {
        let (_, elements) = self.bytes(name);
        elements.into_iter().map(i64::from_le_bytes).collect()
    }

    fn tensor<const D: usize>(&self, name: &str) -> Tensor<B, D> {
        let (shape, _) = self.bytes::<4>(name);
        Tensor::from_data(
            TensorData::new(self.floats(name), shape),
            &Default::default(),
        )
    }

    fn linear(&self, name: &str) -> Linear<B> {
        Linear {
            weight: Param::from_tensor(self.tensor(&format!("{name}.weight"))),
            bias: Some(Param::from_tensor(self.tensor(&format!("{name}.bias")))),
        }
    }

    /// Fails unless `found` is near the golden tensor `name`.
    ///
    /// Each value is a sum of at most 48 products, or a quotient of such sums. Each side rounds it
    /// 48 times, each time by up to half an epsilon of the largest value.
    fn assert_close<const D: usize>(&self, found: Tensor<B, D>, name: &str) {
        let wanted = self.floats(name);
        let found: Vec<f32> = found.into_data().iter().collect();
        assert_eq!(found.len(), wanted.len(), "{name}");
        let largest = wanted
            .iter()
            .fold(1.0f32, |max, value| max.max(value.abs()));
        for (index, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            let bound = 48.0 * f32::EPSILON * largest;
            assert!(
                (found - wanted).abs() < bound,
                "{name}, element {index}: {found}, expected {wanted}"
            );
        }
    }

    /// Repeats the training steps of the golden file and compares each. `after` is called with the
    /// quantizer after each step.
    fn assert_steps(&self, mut quantizer: Quantizer<B>, after: impl Fn(&Quantizer<B>, usize)) {
        let mut random = StdRng::seed_from_u64(0);
        for step in 0..STEPS {
            let x = self.tensor::<2>(&format!("{step}.x")).require_grad();
            let quantized = quantizer.forward(x.clone(), &mut random);
            let weighted = quantized.vectors.clone() * self.tensor(&format!("{step}.weight"));
            let mut sum = weighted.sum();
            if let Some(loss) = quantized.loss {
                self.assert_close(loss.clone(), &format!("{step}.loss"));
                sum = sum + loss;
            }
            let gradients = sum.backward();
            let gradient = x.grad(&gradients).expect("x has a gradient");
            self.assert_close(quantized.vectors, &format!("{step}.vectors"));
            self.assert_close(Tensor::from_inner(gradient), &format!("{step}.gradient"));
            let codes = quantized.codes.expect("it quantizes").into_data();
            let codes: Vec<i64> = codes.iter().collect();
            assert_eq!(codes, self.integers(&format!("{step}.indices")));
            after(&quantizer, step);
        }
        let last = self.tensor(&format!("{}.x", STEPS - 1));
        self.assert_close(quantizer.quantize(last).vectors, "quantized");
    }
}

#[test]
fn residual_vector_quantization() {
    let golden = Golden::load("vector");
    let config = ResidualVectorConfig {
        codebooks: 3,
        size: 8,
        commitment: 0.25,
        k_means: false,
        dead_below: 0.0,
    };
    let codebooks = (0..3).map(|index| golden.tensor(&format!("codebook.{index}")));
    let vector = ResidualVector::from_codebooks(codebooks.collect(), &config);
    golden.assert_steps(Quantizer::Vector(vector), |quantizer, step| {
        let Quantizer::Vector(vector) = quantizer else {
            unreachable!("the quantizer is a Quantizer::Vector")
        };
        for (index, codebook) in vector.codebooks().enumerate() {
            golden.assert_close(codebook, &format!("{step}.codebook.{index}"));
        }
    });
}

#[test]
fn k_means() {
    let golden = Golden::load("k_means");
    let rows = golden.tensor::<2>("rows");
    let mut codebook = VectorCodebook::new(rows.clone().narrow(0, 0, 8));
    codebook.k_means(&rows);
    golden.assert_close(codebook.vectors, "means");
    let counts: Vec<f32> = codebook.counts.into_data().iter().collect();
    let wanted: Vec<f32> = golden
        .integers("counts")
        .iter()
        .map(|&n| n as f32)
        .collect();
    assert_eq!(counts, wanted);
}

#[test]
fn finite_scalar_quantization() {
    let golden = Golden::load("scalar");
    let levels = vec![8, 6, 5];
    let mut scalar = FiniteScalarConfig { levels }.init(16, &Default::default());
    scalar.project_in = golden.linear("project_in");
    scalar.project_out = golden.linear("project_out");
    golden.assert_steps(Quantizer::Scalar(scalar), |_, _| ());
}

fn assert_lookup_free(name: &str, entropy: f64) {
    let golden = Golden::load(name);
    let config = LookupFreeConfig {
        num_bits: 8,
        commitment: 0.05,
        entropy,
    };
    let mut lookup_free = config.init(16, &Default::default());
    lookup_free.project_in = golden.linear("project_in");
    lookup_free.project_out = golden.linear("project_out");
    golden.assert_steps(Quantizer::LookupFree(lookup_free), |_, _| ());
}

#[test]
fn lookup_free_quantization() {
    assert_lookup_free("lookup_free", 0.0);
}

#[test]
fn lookup_free_quantization_with_entropy() {
    assert_lookup_free("lookup_free_entropy", 0.1);
}
