//! Comparison of a record with the module that it is to be loaded into.
//!
//! Both have to have the same tensors and the same methods. The module is visited, and each tensor
//! is looked up in the record by its path, so that no tensor is read back from its device.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bitcodes_format::record::{StoredTensor, Value, method};
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Bool, DType, Int, Shape, Tensor, backend::Backend};

use super::RecordError;
use crate::Joint;
use crate::quantizer::METHOD;

/// Checks that the record of a module, `found`, has the tensors of `module` and no others, and the
/// same methods. Returns the paths of the tensors.
pub(super) fn compare<B: Backend, M: Module<B>>(
    found: &Value,
    module: &M,
) -> Result<BTreeSet<Path>, RecordError> {
    let mut comparison = Comparison {
        found,
        path: Vec::new(),
        lists: BTreeMap::new(),
        tensors: BTreeSet::new(),
        other_method: None,
        first_error: None,
    };
    module.visit(&mut comparison);
    for (path, &wanted) in &comparison.lists {
        let list = at(found, path).and_then(Value::items);
        let found = list.map_or(0, <[Value]>::len);
        if found != wanted {
            return Err(RecordError::Parts {
                path: name(path),
                found,
                wanted,
            });
        }
    }
    // A difference of method explains differences of tensors, so it is reported first.
    if let Some(error) = comparison.other_method.or(comparison.first_error) {
        return Err(error);
    }
    no_others(
        &mut Vec::new(),
        found,
        &comparison.tensors,
        &comparison.lists,
    )?;
    Ok(comparison.tensors)
}

/// A place in a module or a record: fields and indices.
pub(super) type Path = Vec<String>;

/// Returns the path as a module's user writes it: `quantizer.codebook`.
fn name(path: &[String]) -> String {
    path.join(".")
}

/// Returns the value at a path in a record.
fn at<'r, 'a>(record: &'r Value<'a>, path: &[String]) -> Option<&'r Value<'a>> {
    record.at(path.iter().map(String::as_str))
}

struct Comparison<'a> {
    found: &'a Value<'a>,
    path: Path,
    /// Lists of modules and their lengths.
    lists: BTreeMap<Path, usize>,
    tensors: BTreeSet<Path>,
    /// The first difference between methods.
    other_method: Option<RecordError>,
    /// The first other difference.
    first_error: Option<RecordError>,
}

impl Comparison<'_> {
    fn tensor(&mut self, lazy: Shape, dtype: &str, saved: impl FnOnce() -> (Shape, DType)) {
        self.tensors.insert(self.path.clone());
        if self.first_error.is_none() {
            self.first_error = self.compare_tensor(lazy, dtype, saved).err();
        }
    }

    fn compare_tensor(
        &self,
        lazy: Shape,
        dtype: &str,
        saved: impl FnOnce() -> (Shape, DType),
    ) -> Result<(), RecordError> {
        let shape = |shape: Shape| -> Vec<u64> { shape.iter().map(|&dim| dim as u64).collect() };
        let lazy = shape(lazy);
        let param = at(self.found, &self.path).and_then(|param| param.get("param"));
        let Some(stored) = param.and_then(StoredTensor::of) else {
            // The type of such a tensor has no plain name in the record: Burn compares it.
            let has_parts = |dtype| matches!(dtype, DType::Bool(_) | DType::QFloat(_));
            return match param.is_some() && has_parts(saved().1) {
                true => Ok(()),
                false => Err(RecordError::Missing {
                    path: name(&self.path),
                    shape: lazy,
                }),
            };
        };
        if stored.shape != lazy {
            // Some tensors are stored in another shape than they have in the module. Only their
            // value tells the shape.
            let wanted = shape(saved().0);
            if stored.shape != wanted {
                return Err(RecordError::Shape {
                    path: name(&self.path),
                    found: stored.shape,
                    wanted,
                });
            }
        }
        if stored.type_name != dtype {
            return Err(RecordError::Precision {
                path: name(&self.path),
                found: stored.type_name.into(),
                wanted: dtype.into(),
            });
        }
        stored.check_bytes(|| name(&self.path))?;
        let (numbers, _) = stored.bytes.as_chunks();
        let mut numbers = numbers.iter().map(|&number| f32::from_le_bytes(number));
        match numbers.find(|number| dtype == "F32" && !number.is_finite()) {
            None => Ok(()),
            Some(found) => Err(RecordError::NotFinite {
                path: name(&self.path),
                found,
            }),
        }
    }

    /// Compares the method of the quantizer whose assignment is visited with the record's.
    fn method(&mut self, wanted: &str) {
        let (_, quantizer) = self.path.split_last().unwrap_or((&String::new(), &[]));
        let prefix: String = quantizer.iter().map(|step| step.clone() + ".").collect();
        let max = Joint::MAX_BEAM;
        let (path, wanted) = (name(&self.path), wanted.to_string());
        match method(at(self.found, quantizer), &prefix) {
            Ok(method) if method.name() != wanted => {
                let found = method.name().to_string();
                let error = RecordError::Method {
                    path,
                    found,
                    wanted,
                };
                self.other_method.get_or_insert(error);
            }
            Ok(method) => {
                if let Some(found) = method.beam().filter(|beam| !(1..=max).contains(beam)) {
                    let error = RecordError::Beam { path, found, max };
                    self.first_error.get_or_insert(error);
                }
            }
            Err(error) => {
                self.first_error.get_or_insert(error.into());
            }
        }
    }
}

/// A record of full precision has f32 and i32, whatever types the module computes in.
impl<B: Backend> ModuleVisitor<B> for Comparison<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.tensor(param.lazy_shape(), "F32", || {
            let saved = param.transform_for_save();
            (saved.shape(), saved.dtype())
        });
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<B, D, Int>>) {
        self.tensor(param.lazy_shape(), "I32", || {
            let saved = param.transform_for_save();
            (saved.shape(), saved.dtype())
        });
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<B, D, Bool>>) {
        self.tensor(param.lazy_shape(), "Bool", || {
            let saved = param.transform_for_save();
            (saved.shape(), saved.dtype())
        });
    }

    fn enter_module(&mut self, name: &str, container: &str) {
        if matches!(container, "Vec" | "Array" | "Tuple") {
            *self.lists.entry(self.path.clone()).or_default() += 1;
        }
        // A quantizer's assignment announces its method by this container.
        if container == METHOD {
            self.method(name);
        }
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}

/// Checks the id of a tensor of a record: Burn panics on one that it cannot read.
pub(super) fn check_id(record: &Value, path: &[String]) -> Result<(), RecordError> {
    let id = at(record, path).and_then(|param| param.get("id"));
    let id = id.and_then(Value::as_text);
    // An id has at most 13 characters, for 8 bytes. Longer ones are an earlier Burn's, or none.
    let readable = |id: &&str| id.len() <= 13 && ParamId::try_deserialize(id).is_some();
    match id.filter(readable) {
        Some(_) => Ok(()),
        None => Err(RecordError::Id {
            path: name(path),
            found: id.map_or("no text".into(), |id| id.chars().take(100).collect()),
        }),
    }
}

/// Checks that the value at a path of a record has no other tensors than these, and no other lists
/// of modules.
fn no_others(
    path: &mut Path,
    value: &Value,
    tensors: &BTreeSet<Path>,
    lists: &BTreeMap<Path, usize>,
) -> Result<(), RecordError> {
    let is_tensor = tensors.contains(path);
    let stored = StoredTensor::of(value).or_else(|| value.get("param").and_then(StoredTensor::of));
    if let (false, Some(stored)) = (is_tensor, stored) {
        return Err(RecordError::Unexpected {
            path: name(path),
            shape: stored.shape,
        });
    }
    // Burn panics on a list of modules that is longer in the record.
    let parts = value.items().unwrap_or_default();
    let is_module = |part: &Value| matches!(part, Value::Map(_) | Value::Nil);
    if parts.iter().any(is_module) && !lists.contains_key(path) {
        return Err(RecordError::Parts {
            path: name(path),
            found: parts.len(),
            wanted: 0,
        });
    }
    let named = value.entries().unwrap_or_default().iter();
    let named = named.map(|(key, value)| (key.chars().take(100).collect::<String>(), value));
    let numbered = parts.iter().enumerate();
    let numbered = numbered.map(|(index, value)| (index.to_string(), value));
    for (step, value) in named.chain(numbered) {
        if is_tensor && matches!(&step[..], "id" | "param") {
            continue;
        }
        path.push(step);
        no_others(path, value, tensors, lists)?;
        path.pop();
    }
    Ok(())
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use alloc::vec;
    use burn::backend::Flex;
    use burn::module::{Devices, ModuleMapper};

    type Device = <Flex as burn::tensor::backend::BackendTypes>::Device;

    /// A module as a quantizer is to a visitor: a tensor, and an assignment with a method.
    #[derive(Debug, Clone)]
    struct Quantizer {
        method: &'static str,
        codebook: Param<Tensor<Flex, 1>>,
    }

    impl Module<Flex> for Quantizer {
        type Record = ();

        fn visit<V: ModuleVisitor<Flex>>(&self, visitor: &mut V) {
            visitor.enter_module("codebook", "Struct:Quantizer");
            visitor.visit_float(&self.codebook);
            visitor.exit_module("codebook", "Struct:Quantizer");
            visitor.enter_module("assignment", "Struct:Quantizer");
            visitor.enter_module(self.method, METHOD);
            visitor.exit_module(self.method, METHOD);
            visitor.exit_module("assignment", "Struct:Quantizer");
        }

        fn map<M: ModuleMapper<Flex>>(self, _: &mut M) -> Self {
            self
        }

        fn collect_devices(&self, devices: Devices<Flex>) -> Devices<Flex> {
            devices
        }

        fn fork(self, _: &Device) -> Self {
            self
        }

        fn to_device(self, _: &Device) -> Self {
            self
        }

        fn into_record(self) {}

        fn load_record(self, (): ()) -> Self {
            self
        }
    }

    #[test]
    fn a_record_of_another_method_is_refused_by_name() {
        let zeros = Tensor::zeros([1], &Default::default());
        let module = Quantizer {
            method: "joint",
            codebook: Param::from_tensor(zeros),
        };
        let tensor = |length| {
            let param = Value::Map(vec![
                ("bytes", Value::Bytes(&[0; 4])),
                ("shape", Value::List(vec![Value::Number(length)])),
                ("dtype", Value::Text("F32")),
            ]);
            Value::Map(vec![("param", param)])
        };
        let record = |assignment: Option<Value<'static>>, length| {
            let assignment = assignment.map(|assignment| ("assignment", assignment));
            let codebook = ("codebook", tensor(length));
            Value::Map([codebook].into_iter().chain(assignment).collect())
        };
        let assignment =
            |name, beam| Value::Map(vec![("method", Value::Text(name)), ("beam", beam)]);
        let joint = |beam| Some(assignment("joint", Value::Number(beam)));
        let tensors = compare(&record(joint(256), 1), &module).unwrap();
        assert_eq!(Vec::from_iter(tensors), [["codebook"]]);
        for (record, wanted) in [
            (
                // The other shape is not mentioned: the method explains it.
                record(Some(assignment("independent", Value::Nil)), 2),
                "the record decides bits by the method independent at assignment, expected joint",
            ),
            (
                record(Some(Value::Map(vec![])), 1),
                "assignment.method is missing in the record, expected independent or joint",
            ),
            (
                record(Some(assignment("joint", Value::Nil)), 1),
                "assignment.beam is nothing in the record, expected a number for the method joint",
            ),
            (
                record(Some(assignment("independent", Value::Number(8))), 1),
                "assignment.beam is 8 in the record, expected nothing for the method independent",
            ),
            (
                record(None, 1),
                "assignment.method is missing in the record, expected independent or joint",
            ),
            (
                record(joint(257), 1),
                "assignment has a beam of 257 in the record, expected 1 to 256",
            ),
            (
                record(None, 2),
                "codebook has shape [2] in the record, expected [1]",
            ),
        ] {
            let error = compare(&record, &module).unwrap_err();
            assert_eq!(error.to_string(), wanted);
        }
    }
}
