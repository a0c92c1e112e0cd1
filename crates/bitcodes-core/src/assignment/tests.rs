//! Configurations and records of an assignment.

use alloc::string::ToString;

use super::*;
use crate::{Initializer, Schedule};

#[test]
fn json_has_the_settings_of_one_method() {
    let annealed = Independent::new()
        .with_temperature(Schedule::linear(2.0, 1.0, 5))
        .with_initializer(Initializer::UnitOutput);
    for (assignment, json) in [
        (
            Assignment::default(),
            r#"{"method":"joint","beam":8,"unquantized_below":0.06,"balance_weight":0.3}"#,
        ),
        (
            Independent::new().into(),
            r#"{"method":"independent","temperature":1.0,"initializer":"normal"}"#,
        ),
        (
            annealed.into(),
            r#"{"method":"independent","temperature":{"curve":"linear","start":2.0,"end":1.0,"steps":5},"initializer":"unit_output"}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&assignment).unwrap(), json);
        assert_eq!(
            serde_json::from_str::<Assignment>(json).unwrap(),
            assignment
        );
    }
    let old: Assignment = serde_json::from_str(r#"{"method": "joint", "beam": 8}"#).unwrap();
    let without = Joint::new()
        .with_unquantized_below(0.0)
        .with_balance_weight(0.0);
    assert_eq!(old, without.into());
}

#[test]
fn settings_of_another_or_an_unknown_method_are_errors_that_name_both() {
    for (json, wanted) in [
        (
            r#"{"method": "joint", "beam": 8, "temperature": 1}"#,
            "temperature is a setting of the method independent, expected those of the method joint: beam, unquantized_below and balance_weight",
        ),
        (
            r#"{"method": "joint", "beam": 8, "initializer": "normal"}"#,
            "initializer is a setting of the method independent, expected those of the method joint: beam, unquantized_below and balance_weight",
        ),
        (
            r#"{"method": "independent", "temperature": 1, "initializer": "normal", "beam": 8}"#,
            "beam is a setting of the method joint, expected those of the method independent: temperature and initializer",
        ),
        (
            r#"{"method": "independent", "temperature": 1, "initializer": "normal", "unquantized_below": 0}"#,
            "unquantized_below is a setting of the method joint, expected those of the method independent: temperature and initializer",
        ),
        (
            r#"{"method": "independent", "temperature": 1, "initializer": "normal", "balance_weight": 0}"#,
            "balance_weight is a setting of the method joint, expected those of the method independent: temperature and initializer",
        ),
        (
            r#"{"method": "residual", "beam": 8}"#,
            "unknown variant `residual`, expected `independent` or `joint`",
        ),
        (
            r#"{"method": "joint"}"#,
            "the method joint has no beam, expected one",
        ),
        (
            r#"{"method": "independent", "temperature": 1}"#,
            "the method independent has no initializer, expected one",
        ),
        (
            r#"{"method": "joint", "beam": 8, "temperature": null}"#,
            "expected a number, or a curve with start, end and steps",
        ),
        (r#"{"beam": 8}"#, "missing field `method`"),
        (
            r#"{"method": "joint", "beam": 8, "width": 1}"#,
            "unknown field `width`",
        ),
        (r#""independent""#, "expected an assignment, as"),
    ] {
        let error = serde_json::from_str::<Assignment>(json).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[test]
fn a_record_brings_method_and_beam_and_leaves_the_other_settings() {
    let cold: Assignment = Independent::new().with_temperature(0.5).into();
    let wide: Assignment = Joint::new().with_beam(16).into();
    assert_eq!(
        cold.with_record(Assignment::from(Independent::new()).record()),
        cold
    );
    assert_eq!(cold.with_record(wide.record()), wide);
    assert_eq!(wide.with_record(cold.record()), Independent::new().into());
    let broken = AssignmentRecord {
        method: Method::Joint,
        beam: Some(0),
    };
    assert_eq!(wide.with_record(broken), Joint::new().with_beam(1).into());
}

/// If kernels took nothing, everything else would go on, slower.
#[cfg(feature = "flex")]
#[test]
fn kernels_take_rows_and_maps_of_f32_wherever_they_lie() {
    use burn::backend::Flex;

    fn takes<const N: usize>(assignment: Assignment, x: Tensor<Flex, N>) -> bool {
        let rows = Tensor::<Flex, 2>::ones([6, 5], &x.device());
        let inputs = Inputs::of(x);
        let packed = assignment.encode_packed(&inputs, &Codebook { rows });
        packed.is_some_and(|packed| packed.len() == 8)
    }

    let device = Default::default();
    for assignment in [Independent::new().into(), Joint::new().into()] {
        let x = Tensor::<Flex, 2>::ones([8, 7], &device).narrow(1, 1, 5);
        assert!(takes(assignment, x.clone()));
        assert!(takes(
            assignment,
            Tensor::<Flex, 2>::ones([5, 8], &device).transpose()
        ));
        assert!(takes(
            assignment,
            Tensor::<Flex, 3>::ones([2, 5, 4], &device)
        ));
        assert!(!takes(assignment, x.cast(burn::tensor::DType::F64)));
    }
}
