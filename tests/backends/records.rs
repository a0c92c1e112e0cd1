//! Tests of records: a record loads in every later version, and a record that does not match is
//! refused.

use bitcodes_core::record::{self, RecordError};
use bitcodes_core::{Bitcodes, BitcodesConfig, Schedule};
use bitcodes_train::{AutoencoderConfig, read_model};
use bitcodes_workspace::backends::any_seed;
use bitcodes_workspace::golden::{Golden, record as golden_record};
use bitcodes_workspace::on_every_backend;
use burn::module::{Module, Param, ParamId};
use burn::nn::{Linear, LinearConfig, LinearLayout, Relu};
use burn::record::{FullPrecisionSettings, HalfPrecisionSettings, NamedMpkBytesRecorder, Recorder};
use burn::tensor::{Bool, Distribution, Tensor, TensorData, backend::Backend};

on_every_backend!(
    the_record_of_version_0_1_loads,
    a_record_brings_the_codebook_and_the_step_back,
    a_mismatch_is_an_error_and_the_module_stays_as_it_was,
    parameters_alone_make_the_same_model,
    parts_of_a_module_are_compared_by_name,
);

fn codebook<B: Backend>(quantizer: &Bitcodes<B>) -> TensorData {
    quantizer.codebook.val().into_data()
}

/// `tests/golden/README.md` tells how the record was made.
fn the_record_of_version_0_1_loads<B: Backend>(device: &B::Device) {
    let golden = Golden::load("words");
    for (name, step) in [("quantizer.mpk", 7), ("quantizer-without-step.mpk", 0)] {
        let bytes = golden_record(name);
        let config = BitcodesConfig::reference(golden.features, golden.num_bits)
            .with_noise_scale(Schedule::linear(1.0, 0.0, 14));
        let loaded = record::load(&config.init::<B>(device), &bytes, device).unwrap();
        let found = codebook(&loaded).to_vec::<f32>().unwrap();
        assert_eq!(found, golden.floats("codebook"));
        assert_eq!(loaded.step(), step);
        assert_eq!(loaded.noise_scale(), 1.0 - step as f64 / 14.0);

        // Burn itself loads the same record.
        let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
        let record = Recorder::<B>::load(&recorder, bytes.clone(), device).unwrap();
        let by_burn = config.init::<B>(device).load_record(record);
        assert_eq!(codebook(&by_burn), codebook(&loaded));
        assert_eq!(by_burn.step(), step);

        let alone = Bitcodes::<B>::from_record_bytes(&bytes, device).unwrap();
        assert_eq!((alone.num_bits(), alone.features()), (33, 24));
        assert_eq!(codebook(&alone), codebook(&loaded));
    }
}

fn a_record_brings_the_codebook_and_the_step_back<B: Backend>(device: &B::Device) {
    let config = BitcodesConfig::reference(6, 9).with_temperature(Schedule::linear(2.0, 1.0, 4));
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
    assert_eq!((loaded.step(), loaded.temperature()), (1, 1.75));
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
    let other = BitcodesConfig::reference(6, 8).init::<B>(device);
    let error = module.try_load_record(other.into_record()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "codebook has shape [16, 6] in the record, expected [18, 6]"
    );
    let mut same = BitcodesConfig::reference(6, 9).init::<B>(device);
    same.advance();
    let wanted = codebook(&same);
    let loaded = module.try_load_record(same.into_record()).unwrap();
    assert_eq!((codebook(&loaded), loaded.step()), (wanted, 1));
    assert_eq!(
        codebook(&record::load(&module, &whole, device).unwrap()).shape,
        before.shape
    );
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
    /// A layer whose weight is stored transposed.
    columns: Linear<B>,
    optional: Option<Linear<B>>,
    mask: Param<Tensor<B, 1, Bool>>,
    activations: Vec<Relu>,
}

fn parts_of_a_module_are_compared_by_name<B: Backend>(device: &B::Device) {
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

/// Loading a record that is cut at any length, or in which any byte is changed, is an error or
/// gives a module of the same dimensions. It never panics.
#[test]
fn a_damaged_record_is_an_error_or_another_codebook() {
    let _seed = any_seed();
    let device = Default::default();
    let config = BitcodesConfig::reference(3, 2);
    let module = config.init::<Cpu>(&device);
    let whole = record::save::<Cpu, _>(&module).unwrap();
    for length in 0..whole.len() {
        record::load(&module, &whole[..length], &device).unwrap_err();
        Bitcodes::<Cpu>::from_record_bytes(&whole[..length], &device).unwrap_err();
    }
    for at in 0..whole.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= change;
            if let Ok(loaded) = record::load(&module, &damaged, &device) {
                assert_eq!(codebook(&loaded).shape, codebook(&module).shape);
            }
            let _ = Bitcodes::<Cpu>::from_record_bytes(&damaged, &device);
        }
    }
}

#[test]
fn doubles_are_not_rounded_in_silence() {
    let _seed = any_seed();
    let device = Default::default();
    let double = BitcodesConfig::reference(3, 2)
        .init::<Cpu>(&device)
        .codebook
        .val();
    let double = double.cast(burn::tensor::FloatDType::F64);
    let double = Bitcodes::from_codebook(double, &BitcodesConfig::reference(3, 2)).unwrap();
    let error = record::save::<Cpu, _>(&double).unwrap_err();
    assert_eq!(
        error.to_string(),
        "codebook has precision F64 in the record, expected F32 or narrower"
    );
}

#[test]
fn too_few_bytes_for_a_shape_are_an_error_that_names_both() {
    let _seed = any_seed();
    let device = Default::default();
    let module = BitcodesConfig::reference(3, 2).init::<Cpu>(&device);
    let whole = record::save::<Cpu, _>(&module).unwrap();
    // A binary of 48 bytes begins with c4 30. It is made shorter by four bytes.
    let start = whole
        .windows(2)
        .position(|pair| pair == [0xc4, 48])
        .unwrap();
    let mut short = whole.clone();
    short[start + 1] = 44;
    short.drain(start + 2..start + 6);
    for error in [
        record::load(&module, &short, &device)
            .map(|_| ())
            .unwrap_err(),
        Bitcodes::<Cpu>::from_record_bytes(&short, &device)
            .map(|_| ())
            .unwrap_err(),
    ] {
        let wanted = RecordError::ByteCount {
            path: "codebook".into(),
            found: 44,
            wanted: 48,
        };
        assert_eq!(error, wanted);
    }
}
