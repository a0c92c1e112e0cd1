//! Records: golden ones load, and a record that does not match its module is refused.

use bitcodes_core::record::{self, RecordError};
use bitcodes_core::{
    Assignment, Bitcodes, BitcodesConfig, Checkpoint, CheckpointError, FormatError, Independent,
    Joint, Schedule,
};
use bitcodes_train::{AutoencoderConfig, read_model};
use bitcodes_workspace::backends::any_seed;
use bitcodes_workspace::golden::{Golden, record as golden_record};
use bitcodes_workspace::on_every_backend;
use burn::module::{Module, Param, ParamId};
use burn::nn::{Linear, LinearConfig, LinearLayout, Relu};
use burn::record::{FullPrecisionSettings, HalfPrecisionSettings, NamedMpkBytesRecorder, Recorder};
use burn::tensor::{Bool, Distribution, Tensor, TensorData, backend::Backend};

use crate::golden::floats;

on_every_backend!(
    the_golden_record_of_independent_bits_loads,
    the_golden_record_of_joint_bits_loads,
    a_record_brings_the_codebook_and_the_step_back,
    a_record_brings_the_beam_back,
    a_record_of_another_method_is_refused,
    a_record_that_normalizes_and_one_that_does_not_are_told_apart,
    a_mismatch_is_an_error_and_the_module_stays_as_it_was,
    parameters_alone_make_the_same_model,
    the_parts_of_a_module_are_compared_by_name,
);

fn codebook<B: Backend>(quantizer: &Bitcodes<B>) -> TensorData {
    quantizer.codebook.val().into_data()
}

/// The quantizer that a record alone makes.
fn from_record<B: Backend>(
    bytes: &[u8],
    device: &B::Device,
) -> Result<Bitcodes<B>, CheckpointError> {
    Checkpoint::from_bytes(bytes)?.quantizer(None, device)
}

/// The module with a record that Burn reads and loads itself.
fn loaded_by_burn<B: Backend, M: Module<B>>(module: M, bytes: &[u8], device: &B::Device) -> M {
    let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
    let record = Recorder::<B>::load(&recorder, bytes.to_vec(), device).unwrap();
    module.load_record(record)
}

/// `tests/golden/README.md` says how the record was made.
fn the_golden_record_of_independent_bits_loads<B: Backend>(device: &B::Device) {
    let golden = Golden::load("words");
    let bytes = golden_record("quantizer.mpk");
    let config = BitcodesConfig::reference(golden.features, golden.num_bits)
        .with_noise_scale(Schedule::linear(1.0, 0.0, 14));
    let loaded = record::load(&config.init::<B>(device), &bytes, device).unwrap();
    assert_eq!(floats(loaded.codebook.val()), golden.floats("codebook"));
    assert_eq!((loaded.step(), loaded.noise_scale()), (7, 0.5));

    let by_burn = loaded_by_burn(config.init::<B>(device), &bytes, device);
    assert_eq!(codebook(&by_burn), codebook(&loaded));
    assert_eq!(by_burn.step(), 7);

    let alone = from_record::<B>(&bytes, device).unwrap();
    let reference = BitcodesConfig::reference(golden.features, golden.num_bits);
    assert_eq!(alone.config(), reference);
    assert_eq!(codebook(&alone), codebook(&loaded));
    assert_eq!(alone.step(), 7);
}

/// `tests/golden/README.md` says how the record was made.
fn the_golden_record_of_joint_bits_loads<B: Backend>(device: &B::Device) {
    let golden = Golden::load("words");
    let bytes = golden_record("joint.mpk");
    let joint = Assignment::from(Joint::new().with_beam(5));
    let alone = from_record::<B>(&bytes, device).unwrap();
    let config = BitcodesConfig::new(golden.features, golden.num_bits).with_assignment(joint);
    assert_eq!(alone.config(), config);
    // The record alone sets the beam, so that it loads into a module of another one.
    let module = BitcodesConfig::new(golden.features, golden.num_bits).init::<B>(device);
    let loaded = record::load(&module, &bytes, device).unwrap();
    assert_eq!(loaded.assignment(), joint);
    for quantizer in [alone, loaded] {
        assert_eq!(floats(quantizer.codebook.val()), golden.floats("codebook"));
        let normalization = quantizer.normalization.expect("the record has one");
        let wanted: Vec<f32> = (0..golden.features).map(|at| at as f32 / 8.0).collect();
        assert_eq!(floats(normalization.center.val()), wanted);
        assert_eq!(floats(normalization.log_scale.val()), [-0.5]);
    }
}

fn a_record_brings_the_codebook_and_the_step_back<B: Backend>(device: &B::Device) {
    let config = BitcodesConfig::reference(6, 9).with_noise_scale(Schedule::linear(2.0, 1.0, 4));
    let mut saved = config.init::<B>(device);
    saved.advance();
    let bytes = record::save::<B, _>(&saved).unwrap();
    let fresh = config.init::<B>(device);
    let normal = Distribution::Normal(0.0, 1.0);
    let x = Tensor::<B, 2>::random([20, 6], normal, device);
    let wanted = saved.quantize(x.clone()).into_data();
    assert_ne!(fresh.quantize(x.clone()).into_data(), wanted);
    let loaded = record::load(&fresh, &bytes, device).unwrap();
    assert_eq!(loaded.quantize(x).into_data(), wanted);
    assert_eq!((loaded.step(), loaded.noise_scale()), (1, 1.75));
}

fn a_record_brings_the_beam_back<B: Backend>(device: &B::Device) {
    let x = Tensor::<B, 2>::random([60, 4], Distribution::Normal(3.0, 2.0), device);
    for beam in [1, 8] {
        let config = BitcodesConfig::new(4, 6).with_assignment(Joint::new().with_beam(beam));
        let saved = config.try_init_from_sample(x.clone()).unwrap();
        let wanted = saved.encode(x.clone()).into_data();
        let bytes = record::save::<B, _>(&saved).unwrap();
        let alone = from_record::<B>(&bytes, device).unwrap();
        assert_eq!(alone.config(), config);
        assert_eq!(alone.encode(x.clone()).into_data(), wanted);
        let other = BitcodesConfig::new(4, 6).init::<B>(device);
        let loaded = record::load(&other, &bytes, device).unwrap();
        assert_eq!(loaded.assignment(), config.assignment);
        assert_eq!(loaded.encode(x.clone()).into_data(), wanted);
        let by_burn = loaded_by_burn(other.clone(), &bytes, device);
        assert_eq!(by_burn.encode(x.clone()).into_data(), wanted);
        // Parameters alone leave the module's beam as it is.
        let parameters = record::load_parameters(&other, &bytes, device).unwrap();
        assert_eq!(codebook(&parameters), codebook(&saved));
        assert_eq!(parameters.assignment(), other.assignment());
    }
}

fn a_record_of_another_method_is_refused<B: Backend>(device: &B::Device) {
    let joint = BitcodesConfig::new(16, 6);
    let independent = joint.clone().with_assignment(Independent::new());
    // This one does not normalize either: the error names the methods all the same.
    let reference = BitcodesConfig::reference(16, 6);
    for (module, other, found, wanted) in [
        (&joint, &independent, "independent", "joint"),
        (&joint, &reference, "independent", "joint"),
        (&reference, &joint, "joint", "independent"),
    ] {
        let autoencoder = |quantizer: &BitcodesConfig| {
            AutoencoderConfig::new(8, 12, quantizer.clone()).init::<B>(device)
        };
        let bytes = record::save::<B, _>(&autoencoder(other)).unwrap();
        let module = autoencoder(module);
        let error = RecordError::Method {
            path: "quantizer.assignment".into(),
            found: found.into(),
            wanted: wanted.into(),
        };
        let loaded = record::load(&module, &bytes, device).map(|_| ());
        assert_eq!(loaded, Err(error.clone()));
        let parameters = record::load_parameters(&module, &bytes, device).map(|_| ());
        assert_eq!(parameters, Err(error));
    }
}

fn a_record_that_normalizes_and_one_that_does_not_are_told_apart<B: Backend>(device: &B::Device) {
    let with = BitcodesConfig::new(4, 6).init::<B>(device);
    let without = BitcodesConfig::new(4, 6).with_normalize(false);
    let without = without.init::<B>(device);
    for (module, other, wanted) in [
        (
            &with,
            &without,
            "the record has no tensor normalization.center, expected one of shape [4]",
        ),
        (
            &without,
            &with,
            "the record has a tensor normalization.center of shape [4], expected none",
        ),
    ] {
        let bytes = record::save::<B, _>(other).unwrap();
        let error = record::load(module, &bytes, device).unwrap_err();
        assert_eq!(error.to_string(), wanted);
    }
}

fn a_mismatch_is_an_error_and_the_module_stays_as_it_was<B: Backend>(device: &B::Device) {
    let module = BitcodesConfig::reference(6, 9).init::<B>(device);
    let before = codebook(&module);
    let save = |features, num_bits| {
        let other = BitcodesConfig::reference(features, num_bits).init::<B>(device);
        record::save::<B, _>(&other).unwrap()
    };
    let half = NamedMpkBytesRecorder::<HalfPrecisionSettings>::default();
    let half = Recorder::<B>::record(&half, module.clone().into_record(), ()).unwrap();
    let whole = save(6, 9);
    let linear = burn::nn::LinearConfig::new(6, 18).init::<B>(device);
    let linear = record::save::<B, _>(&linear).unwrap();
    for (bytes, wanted) in [
        (
            save(7, 9),
            "codebook has shape [18, 7] in the record, expected [18, 6]",
        ),
        (
            save(6, 8),
            "codebook has shape [16, 6] in the record, expected [18, 6]",
        ),
        (
            half,
            "codebook has precision F16 in the record, expected F32",
        ),
        (
            linear,
            "the record has no tensor codebook, expected one of shape [18, 6]",
        ),
        (whole[..whole.len() / 2].to_vec(), "not a record: "),
        (vec![], "not a record: "),
        (b"{\"json\": 1}".to_vec(), "not a record: "),
        (
            [&whole[..], b"more"].concat(),
            "not a record: 4 bytes follow its end",
        ),
    ] {
        let error = record::load(&module, &bytes, device)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(wanted), "{error}");
        assert_eq!(codebook(&module), before);
    }
    let loaded = record::load(&module, &whole, device).unwrap();
    assert_eq!(codebook(&loaded).shape, before.shape);
}

fn parameters_alone_make_the_same_model<B: Backend>(device: &B::Device) {
    let config = AutoencoderConfig::new(8, 12, BitcodesConfig::reference(16, 9));
    let mut saved = config.init::<B>(device);
    saved.quantizer.advance();
    let bytes = record::save::<B, _>(&saved).unwrap();
    let read = read_model::<B>(&config, &bytes, device).unwrap();
    let images = Tensor::random([5, 8, 12], Distribution::Uniform(0.0, 1.0), device);
    let [wanted, found] = [&saved, &read].map(|model| model.logits(images.clone()).into_data());
    assert_eq!(found, wanted);
    // The step is not a parameter.
    assert_eq!((saved.quantizer.step(), read.quantizer.step()), (1, 0));

    let whole = record::load(&config.init::<B>(device), &bytes, device).unwrap();
    assert_eq!(whole.logits(images).into_data(), wanted);
    assert_eq!(whole.quantizer.step(), 1);

    let other = AutoencoderConfig::new(8, 12, BitcodesConfig::reference(16, 8));
    for wrong in [
        read_model::<B>(&other, &bytes, device).map(|_| ()),
        read_model::<B>(&config, &bytes[..bytes.len() - 1], device).map(|_| ()),
    ] {
        let error = wrong.unwrap_err().to_string();
        let shape = "quantizer.codebook has shape [18, 16] in the record, expected [16, 16]";
        assert!(
            error == shape || error.starts_with("not a record: "),
            "{error}"
        );
    }
}

#[derive(Module, Debug)]
struct Parts<B: Backend> {
    list: Vec<Linear<B>>,
    /// Stored with its axes exchanged.
    columns: Linear<B>,
    optional: Option<Linear<B>>,
    mask: Param<Tensor<B, 1, Bool>>,
    activations: Vec<Relu>,
}

fn the_parts_of_a_module_are_compared_by_name<B: Backend>(device: &B::Device) {
    let parts = |length: usize, has_optional: bool| Parts::<B> {
        list: (0..length)
            .map(|_| LinearConfig::new(2, 3).init(device))
            .collect(),
        columns: LinearConfig::new(2, 3)
            .with_layout(LinearLayout::Col)
            .init(device),
        mask: Param::initialized(ParamId::new(), Tensor::from_data([true, false], device)),
        activations: (0..length - 1).map(|_| Relu::new()).collect(),
        optional: has_optional.then(|| LinearConfig::new(3, 2).with_bias(false).init(device)),
    };
    let bytes = record::save::<B, _>(&parts(2, true)).unwrap();
    let numbers = |parts: &Parts<B>| {
        let weights = [&parts.list[1], &parts.columns].map(|linear| linear.weight.val());
        weights.map(|weight| weight.into_data())
    };
    let whole = record::load(&parts(2, true), &bytes, device).unwrap();
    let parameters = record::load_parameters(&parts(2, true), &bytes, device).unwrap();
    assert_eq!(numbers(&parameters), numbers(&whole));

    for (module, wanted) in [
        (parts(3, true), "list has 2 parts in the record, expected 3"),
        (parts(1, true), "list has 2 parts in the record, expected 1"),
        (
            parts(2, false),
            "the record has a tensor optional.weight of shape [3, 2], expected none",
        ),
    ] {
        let errors = [
            record::load(&module, &bytes, device).unwrap_err(),
            record::load_parameters(&module, &bytes, device).unwrap_err(),
        ];
        assert_eq!(errors.map(|error| error.to_string()), [wanted, wanted]);
    }
    let without = record::save::<B, _>(&parts(2, false)).unwrap();
    let error = record::load_parameters(&parts(2, true), &without, device).unwrap_err();
    let wanted = "the record has no tensor optional.weight, expected one of shape [3, 2]";
    assert_eq!(error.to_string(), wanted);
}

type Cpu = burn::backend::Flex;

/// Every cut is an error; every change of a byte is an error or gives a module of the same
/// dimensions, and none panics.
#[test]
fn damage_is_an_error_or_another_codebook() {
    let _seed = any_seed();
    let device = Default::default();
    let config = BitcodesConfig::reference(3, 2);
    let module = config.init::<Cpu>(&device);
    let whole = record::save::<Cpu, _>(&module).unwrap();
    for length in 0..whole.len() {
        record::load(&module, &whole[..length], &device).unwrap_err();
        from_record::<Cpu>(&whole[..length], &device).unwrap_err();
    }
    for at in 0..whole.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= change;
            if let Ok(loaded) = record::load(&module, &damaged, &device) {
                assert_eq!(codebook(&loaded).shape, codebook(&module).shape);
            }
            if let Ok(alone) = from_record::<Cpu>(&damaged, &device) {
                assert_eq!(codebook(&alone).shape, codebook(&module).shape);
            }
        }
    }
}

#[test]
fn doubles_are_not_rounded_without_a_word() {
    let _seed = any_seed();
    let device = Default::default();
    let double = BitcodesConfig::reference(3, 2)
        .init::<Cpu>(&device)
        .codebook
        .val();
    let double = double.cast(burn::tensor::FloatDType::F64);
    let config = BitcodesConfig::reference(3, 2);
    let double = config.try_init_from_codebook(double).unwrap();
    let error = record::save::<Cpu, _>(&double).unwrap_err();
    assert_eq!(
        error.to_string(),
        "codebook has precision F64 in the record, expected F32 or narrower"
    );
}

#[test]
fn fewer_bytes_than_the_shape_needs_are_an_error_that_names_them() {
    let _seed = any_seed();
    let device = Default::default();
    let module = BitcodesConfig::reference(3, 2).init::<Cpu>(&device);
    let whole = record::save::<Cpu, _>(&module).unwrap();
    // c4 30 begins a binary of 48 bytes, which is made shorter by four.
    let start = whole
        .windows(2)
        .position(|pair| pair == [0xc4, 48])
        .unwrap();
    let mut short = whole.clone();
    short[start + 1] = 44;
    short.drain(start + 2..start + 6);
    let wanted = FormatError::ByteCount {
        path: "codebook".into(),
        found: 44,
        wanted: 48,
    };
    let loaded = record::load(&module, &short, &device).map(|_| ());
    assert_eq!(loaded, Err(RecordError::Format(wanted.clone())));
    let alone = from_record::<Cpu>(&short, &device).unwrap_err();
    assert_eq!(alone.to_string(), wanted.to_string());
}

/// The golden records are what `record::save` writes: saved again, a loaded one has the same item.
#[test]
fn a_golden_record_is_saved_as_it_was() {
    let _seed = any_seed();
    let device = Default::default();
    // Before the item stand metadata, with the version of Burn.
    let item = |bytes: &[u8]| {
        let start = bytes.windows(5).position(|part| part == b"\xa4item");
        bytes[start.expect("a record has an item")..].to_vec()
    };
    for (name, config) in [
        ("quantizer.mpk", BitcodesConfig::reference(24, 33)),
        ("joint.mpk", BitcodesConfig::new(24, 33)),
    ] {
        let golden = golden_record(name);
        let loaded = record::load(&config.init::<Cpu>(&device), &golden, &device).unwrap();
        let saved = record::save::<Cpu, _>(&loaded).unwrap();
        assert!(item(&saved) == item(&golden), "{name} is saved otherwise");
    }
}
