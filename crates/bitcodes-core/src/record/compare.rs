//! A record beside the module that it is to be loaded into: the same tensors, and no others.
//!
//! The module is visited and its tensors looked up in the record by their names, so that none is
//! read back from its device.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Bool, DType, Int, Shape, Tensor, backend::Backend};
use rmpv::Value;

use super::RecordError;

/// A tensor as a record holds it.
pub(super) struct Stored<'a> {
    pub shape: Vec<u64>,
    dtype: &'a str,
    pub bytes: &'a [u8],
}

impl<'a> Stored<'a> {
    pub fn of(value: &'a Value) -> Option<Self> {
        let dims = get(value, "shape")?.as_array()?;
        Some(Self {
            shape: dims.iter().map(Value::as_u64).collect::<Option<_>>()?,
            dtype: get(value, "dtype")?.as_str()?,
            bytes: get(value, "bytes")?.as_slice()?,
        })
    }

    pub fn check_bytes(&self, path: impl FnOnce() -> String) -> Result<(), RecordError> {
        let size = match self.dtype {
            "F64" | "I64" | "U64" => 8,
            "F32" | "I32" | "U32" | "Flex32" => 4,
            "F16" | "BF16" | "I16" | "U16" => 2,
            _ => 1,
        };
        let wanted = self
            .shape
            .iter()
            .fold(size, |bytes: u64, &dim| bytes.saturating_mul(dim));
        match self.bytes.len() {
            found if found as u64 == wanted => Ok(()),
            found => Err(RecordError::ByteCount {
                path: path(),
                found,
                wanted,
            }),
        }
    }
}

/// Checks that the record of a module `found` has the tensors of `module` and no others; they are
/// returned.
pub(super) fn compare<B: Backend, M: Module<B>>(
    found: &Value,
    module: &M,
) -> Result<BTreeSet<Path>, RecordError> {
    let mut comparison = Comparison {
        found,
        path: Vec::new(),
        lists: BTreeMap::new(),
        tensors: BTreeSet::new(),
        first_error: None,
    };
    module.visit(&mut comparison);
    for (path, &wanted) in &comparison.lists {
        let list = at(found, path).and_then(Value::as_array);
        let found = list.map_or(0, Vec::len);
        if found != wanted {
            return Err(RecordError::Parts {
                path: name(path),
                found,
                wanted,
            });
        }
    }
    if let Some(error) = comparison.first_error {
        return Err(error);
    }
    no_others(&mut Vec::new(), found, &comparison)?;
    Ok(comparison.tensors)
}

/// Where something is in a module or a record: fields and indices.
pub(super) type Path = Vec<String>;

/// As a module's user knows it, `quantizer.codebook`.
fn name(path: &[String]) -> String {
    path.join(".")
}

/// What stands at a place in a record.
pub(super) fn at<'a>(record: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(record, |value, step| match value {
        Value::Array(parts) => parts.get(step.parse::<usize>().ok()?),
        _ => get(value, step),
    })
}

struct Comparison<'a> {
    found: &'a Value,
    path: Path,
    /// Lists of modules and their lengths.
    lists: BTreeMap<Path, usize>,
    tensors: BTreeSet<Path>,
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
        let param = at(self.found, &self.path).and_then(|param| get(param, "param"));
        let Some(stored) = param.and_then(Stored::of) else {
            // Types that have parts are not written by a name: Burn compares them.
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
            // Some are stored otherwise than they are held, which takes their value to know.
            let wanted = shape(saved().0);
            if stored.shape != wanted {
                return Err(RecordError::Shape {
                    path: name(&self.path),
                    found: stored.shape,
                    wanted,
                });
            }
        }
        if stored.dtype != dtype {
            return Err(RecordError::Precision {
                path: name(&self.path),
                found: stored.dtype.into(),
                wanted: dtype.into(),
            });
        }
        stored.check_bytes(|| name(&self.path))
    }
}

/// Records of full precision are in f32 and i32, whatever the module computes in.
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
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}

/// Checks the id of a tensor of a record: Burn panics on one that it cannot read.
pub(super) fn check_id(record: &Value, path: &[String]) -> Result<(), RecordError> {
    let id = at(record, path).and_then(|param| get(param, "id"));
    let id = id.and_then(Value::as_str);
    // Ids of more than 13 characters (8 bytes) are those of an earlier Burn, and longer ones none.
    let readable = |id: &&str| id.len() <= 13 && ParamId::try_deserialize(id).is_some();
    match id.filter(readable) {
        Some(_) => Ok(()),
        None => Err(RecordError::Id {
            path: name(path),
            found: id.map_or("no text".into(), |id| id.chars().take(100).collect()),
        }),
    }
}

/// Checks that a part of a record has no other tensors and lists of modules than the module.
fn no_others(path: &mut Path, value: &Value, module: &Comparison) -> Result<(), RecordError> {
    let is_tensor = module.tensors.contains(path);
    let stored = Stored::of(value).or_else(|| get(value, "param").and_then(Stored::of));
    if let (false, Some(stored)) = (is_tensor, stored) {
        return Err(RecordError::Unexpected {
            path: name(path),
            shape: stored.shape,
        });
    }
    // Burn panics where a list of modules is longer than it should be.
    let parts = value.as_array().map_or(&[][..], Vec::as_slice);
    let of_modules = parts.iter().any(|part| part.is_map() || part.is_nil());
    if of_modules && !module.lists.contains_key(path) {
        return Err(RecordError::Parts {
            path: name(path),
            found: parts.len(),
            wanted: 0,
        });
    }
    let named = value.as_map().into_iter().flatten().map(|(key, value)| {
        let key = key.as_str().unwrap_or_default();
        (key.chars().take(100).collect::<String>(), value)
    });
    let numbered = parts.iter().enumerate();
    let numbered = numbered.map(|(index, value)| (index.to_string(), value));
    for (step, value) in named.chain(numbered) {
        if is_tensor && matches!(&step[..], "id" | "param") {
            continue;
        }
        path.push(step);
        no_others(path, value, module)?;
        path.pop();
    }
    Ok(())
}

pub(super) fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let entries = value.as_map()?;
    entries
        .iter()
        .find_map(|(name, value)| (name.as_str() == Some(key)).then_some(value))
}
