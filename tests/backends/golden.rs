//! Tests of parity with the reference on every golden file and every backend, in eval and in
//! training.

use bitcodes_core::{
    Bitcodes, BitcodesConfig, BitcodesOutput, Independent, PackedCodes, to_decimal,
};
use bitcodes_workspace::golden::{Golden, NAMES};
use bitcodes_workspace::on_every_backend;
use bitcodes_workspace::plain::{Bounded, Plain, assert_within};
use burn::backend::Autodiff;
use burn::module::Param;
use burn::tensor::{
    Int, Tensor, TensorData,
    backend::{AutodiffBackend, Backend},
};

use crate::gradients::numbers;

/// A bit whose logit is nearer to 0 than this may differ from the golden file, because another
/// order of summation may decide it differently.
const UNDECIDED: f64 = 1e-4;

on_every_backend!(
    eval_gives_the_references_logits_bits_and_outputs,
    training_gives_the_references_outputs_and_gradients,
    many_vectors_have_the_specifications_gradients,
    eval_is_the_same_inside_autodiff,
);

pub fn quantizer<B: Backend>(golden: &Golden, device: &B::Device) -> Bitcodes<B> {
    let config = BitcodesConfig::reference(golden.features, golden.num_bits)
        .with_assignment(Independent::new().with_temperature(golden.temperature));
    let mut quantizer = config.init::<B>(device);
    let data = TensorData::new(
        golden.floats("codebook"),
        [2 * golden.num_bits, golden.features],
    );
    quantizer.codebook = Param::from_tensor(Tensor::from_data(data, device));
    quantizer
}

pub fn tensor<B: Backend>(
    golden: &Golden,
    name: &str,
    last: usize,
    device: &B::Device,
) -> Tensor<B, 3> {
    let [batch, tokens] = golden.leading;
    let data = TensorData::new(golden.floats(name), [batch, tokens, last]);
    Tensor::from_data(data, device)
}

pub fn floats<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

pub fn integers<B: Backend, const D: usize>(tensor: Tensor<B, D, Int>) -> Vec<i64> {
    tensor.into_data().iter::<i64>().collect()
}

/// Panics if a bit differs whose logit is decided. Returns the number of undecided bits, which are
/// not compared.
pub fn assert_bits(found: &[i64], wanted: &[i64], logits: &[Bounded]) -> usize {
    assert_eq!(found.len(), wanted.len());
    let mut undecided = 0;
    for (index, logit) in logits.iter().enumerate() {
        if logit.value.abs() < UNDECIDED {
            undecided += 1;
        } else {
            assert_eq!(found[index], wanted[index], "bit {index}, logit {logit:?}");
        }
    }
    undecided
}

/// The tests below compare with the specification. By this test they compare with the reference
/// too.
#[test]
fn the_plain_specification_equals_the_reference() {
    for name in NAMES {
        let golden = Golden::load(name);
        let plain = Plain::of(&golden);
        let x = golden.floats("x");
        let logits = plain.logits(&x);
        assert_within("logits", &golden.floats("logits"), &logits);
        let bits: Vec<i64> = Plain::bits(&logits).into_iter().map(i64::from).collect();
        let wanted = golden.integers("bits").expect("every file has bits");
        assert_eq!(
            assert_bits(&bits, &wanted, &logits),
            0,
            "{name}: undecided bits"
        );
        assert_within(
            "y",
            &golden.floats("y"),
            &plain.decode(&Plain::bits(&logits)),
        );

        let step = plain.step(&x, &golden.logistic_noise(), &golden.floats("target"));
        assert_within("y_train", &golden.floats("y_train"), &step.quantized);
        assert_within("grad_x", &golden.floats("grad_x"), &step.grad_x);
        assert_within(
            "grad_codebook",
            &golden.floats("grad_codebook"),
            &step.grad_codebook,
        );
    }
}

fn eval_gives_the_references_logits_bits_and_outputs<B: Backend>(device: &B::Device) {
    for name in NAMES {
        let golden = Golden::load(name);
        let plain = Plain::of(&golden);
        let quantizer = quantizer::<B>(&golden, device);
        let x = tensor::<B>(&golden, "x", golden.features, device);

        let logits = plain.logits(&golden.floats("x"));
        assert_within(name, &floats(quantizer.logits(x.clone())), &logits);

        let BitcodesOutput {
            quantized, bits, ..
        } = quantizer.forward(x.clone());
        let wanted = golden.integers("bits").expect("every file has bits");
        let found = integers(bits.clone());
        assert_bits(&found, &wanted, &logits);
        let found: Vec<u8> = found.into_iter().map(|bit| bit as u8).collect();
        assert_within(name, &floats(quantized.clone()), &plain.decode(&found));

        // `forward`, `quantize` and `encode` agree to the last bit, and packed codes keep that.
        let quantized = quantized.into_data();
        assert_eq!(quantizer.quantize(x.clone()).into_data(), quantized);
        assert_eq!(quantizer.encode(x.clone()).into_data(), bits.to_data());
        let packed = PackedCodes::from_bits(bits.clone()).expect("bits");
        let decided = PackedCodes::from_logits(quantizer.logits(x)).expect("at least one bit");
        assert_eq!(decided, packed);
        let words = packed.to_words();
        let again = PackedCodes::from_words(golden.leading, golden.num_bits, &words);
        assert_eq!(again.as_ref(), Ok(&packed));
        assert_eq!(packed.dims(), golden.leading);
        let unpacked = packed.unpack::<B, 3>(device);
        assert_eq!(quantizer.decode(unpacked).into_data(), quantized);

        if let (Some(wanted), true) = (golden.integers("decimal"), golden.num_bits <= 31) {
            let decimal: Tensor<B, 2, Int> = to_decimal(bits).expect("at most 31 bits fit");
            assert_eq!(integers(decimal), wanted);
        }
    }
}

fn training_gives_the_references_outputs_and_gradients<B: Backend>(device: &B::Device) {
    for name in NAMES {
        let golden = Golden::load(name);
        let quantizer = quantizer::<Autodiff<B>>(&golden, device);
        let [x, target] = ["x", "target"].map(|tensor| golden.floats(tensor));
        let values = [x, golden.logistic_noise(), target];
        assert_step(
            name,
            &quantizer,
            golden.temperature,
            golden.leading,
            values,
            device,
        );
    }
}

/// A product of 320 vectors is computed in several parts on a GPU; 331 is a prime number and cannot
/// be cut.
fn many_vectors_have_the_specifications_gradients<B: Backend>(device: &B::Device) {
    for (vectors, features, num_bits) in [(320, 3, 5), (331, 3, 5), (192, 4, 1), (128, 1, 5)] {
        let some = |count: usize, seed| -> Vec<f32> {
            let numbers = numbers(count, seed);
            numbers.into_iter().map(|number| number as f32).collect()
        };
        let codebook = some(2 * num_bits * features, 4);
        let codebook = TensorData::new(codebook, [2 * num_bits, features]);
        let config = BitcodesConfig::reference(features, num_bits);
        let quantizer =
            config.try_init_from_codebook::<Autodiff<B>>(Tensor::from_data(codebook, device));
        let [x, target] = [1, 2].map(|seed| some(vectors * features, seed));
        let values = [x, some(vectors * num_bits, 3), target];
        let name = format!("{vectors} x {features} x {num_bits}");
        assert_step(
            &name,
            &quantizer.unwrap(),
            1.0,
            [1, vectors],
            values,
            device,
        );
    }
}

/// Computes a training step on `mean((y - target)^2)` and panics unless bits, output and gradients
/// are the specification's.
///
/// The values are `[x, noise, target]`.
fn assert_step<B: AutodiffBackend>(
    name: &str,
    quantizer: &Bitcodes<B>,
    temperature: f64,
    [batch, tokens]: [usize; 2],
    [x, noise, target]: [Vec<f32>; 3],
    device: &B::Device,
) {
    let codebook = quantizer.codebook.val();
    let plain = Plain::new(&floats(codebook.clone()), quantizer.features(), temperature);
    let wanted = plain.step(&x, &noise, &target);

    let tensor = |values: Vec<f32>, last: usize| {
        let data = TensorData::new(values, [batch, tokens, last]);
        Tensor::<B, 3>::from_data(data, device)
    };
    let target = tensor(target, quantizer.features());
    let noise = tensor(noise, quantizer.num_bits());
    let x = tensor(x, quantizer.features()).require_grad();
    let out = quantizer.forward_with_noise(x.clone(), noise);

    let bits: Vec<u8> = integers(out.bits)
        .into_iter()
        .map(|bit| bit as u8)
        .collect();
    assert_eq!(bits, wanted.bits, "{name}: bits of training");
    assert_within(name, &floats(out.quantized.clone()), &wanted.quantized);

    let gradients = (out.quantized - target).powi_scalar(2).mean().backward();
    let grad_x = x.grad(&gradients).expect("a gradient of x");
    assert_within(name, &floats(grad_x), &wanted.grad_x);
    let grad_codebook = codebook
        .grad(&gradients)
        .expect("a gradient of the codebook");
    assert_within(name, &floats(grad_codebook), &wanted.grad_codebook);
}

fn eval_is_the_same_inside_autodiff<B: Backend>(device: &B::Device) {
    use burn::module::AutodiffModule;
    for name in NAMES {
        let golden = Golden::load(name);
        let trained = quantizer::<Autodiff<B>>(&golden, device);
        let eval = quantizer::<B>(&golden, device);
        let x = tensor::<B>(&golden, "x", golden.features, device);
        let wanted = eval.forward(x.clone());
        let found = trained.valid().forward(x.clone());
        assert_eq!(found.quantized.into_data(), wanted.quantized.into_data());
        // A backend inside `Autodiff` may take another path, which rounds differently.
        let x = Tensor::<Autodiff<B>, 3>::from_inner(x);
        let bits = integers(wanted.bits);
        assert_eq!(integers(trained.encode(x.clone())), bits, "{name}");
        let bits: Vec<u8> = bits.iter().map(|&bit| bit as u8).collect();
        let within = Plain::of(&golden).decode(&bits);
        assert_within(name, &floats(trained.quantize(x)), &within);
    }
}
