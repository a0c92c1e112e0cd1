//! Objects that make up a state dict in PyTorch's pickles: storages, tensors, parameters.

use super::value::{Id, Storage, StridedTensor, Value};

/// Limits on the axes of a tensor and on the length of a name: more than any state dict needs. Both
/// are small because a few bytes of a pickle can have them copied again and again.
const MAX_RANK: usize = 64;
const MAX_NAME: usize = 256;

/// Returns the storage that PyTorch names by `("storage", type, key, device, elements)`.
pub(super) fn storage(values: &[Value], id: Id) -> Option<Storage> {
    let Value::Tuple(parts) = &values[id] else {
        return None;
    };
    let &[tag, kind, key, _, elements] = &parts[..] else {
        return None;
    };
    let parts = [tag, kind, key, elements].map(|part| &values[part]);
    let [
        Value::Text(tag),
        Value::Global(kind),
        Value::Text(key),
        Value::Int(elements),
    ] = parts
    else {
        return None;
    };
    (tag == "storage" && key.len() <= MAX_NAME && kind.len() <= MAX_NAME).then_some(())?;
    Some(Storage {
        kind: kind.rsplit('.').next().unwrap_or(kind).to_string(),
        key: key.clone(),
        elements: usize::try_from(*elements).ok()?,
    })
}

/// Returns the result of a call: a dict, a tensor, or [`Value::Other`] for every other callable.
pub(super) fn call(values: &[Value], callable: Id, arguments: Id) -> Result<Value, String> {
    let (Value::Global(name), Value::Tuple(arguments)) = (&values[callable], &values[arguments])
    else {
        return Ok(Value::Other);
    };
    // There may be millions of arguments; seven are looked at.
    let arguments = arguments.iter().take(7).map(|&id| &values[id]);
    let arguments: Vec<&Value> = arguments.collect();
    match (name.as_str(), &arguments[..]) {
        ("collections.OrderedDict", []) | ("collections.defaultdict", _) => {
            Ok(Value::Dict(Vec::new()))
        }
        // PyTorch writes the metadata of a tensor only if they change its values: `neg` and `conj`.
        ("torch._utils._rebuild_tensor_v2", [_, _, _, _, _, _, Value::Dict(metadata)])
            if !metadata.is_empty() =>
        {
            let keys = metadata.iter().take(4).map(|&(key, _)| match &values[key] {
                Value::Text(key) => key.chars().take(20).collect(),
                _ => "?".to_string(),
            });
            let keys: Vec<String> = keys.collect();
            Err(format!(
                "a tensor that is a view with {}, expected a plain one: save tensor.resolve_neg()",
                keys.join(", ")
            ))
        }
        (
            "torch._utils._rebuild_tensor_v2",
            [Value::Storage(storage), offset, shape, strides, ..],
        ) => {
            let (shape, strides) = (sizes(values, shape)?, sizes(values, strides)?);
            if shape.len() != strides.len() {
                return Err(format!("shape {shape:?} with strides {strides:?}"));
            }
            Ok(Value::Tensor(Box::new(StridedTensor {
                storage: (**storage).clone(),
                offset: size(offset)?,
                shape,
                strides,
            })))
        }
        (
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
            [Value::Tensor(tensor), ..],
        ) => Ok(Value::Tensor(tensor.clone())),
        _ => Ok(Value::Other),
    }
}

fn sizes(values: &[Value], tuple: &Value) -> Result<Vec<usize>, String> {
    match tuple {
        Value::Tuple(items) if items.len() > MAX_RANK => Err(format!(
            "a tensor of {} axes, expected at most {MAX_RANK}",
            items.len()
        )),
        Value::Tuple(items) => items.iter().map(|&id| size(&values[id])).collect(),
        _ => Err("a tensor's sizes are no tuple".into()),
    }
}

fn size(value: &Value) -> Result<usize, String> {
    match value {
        Value::Int(size) => usize::try_from(*size).map_err(|_| format!("a size of {size}")),
        _ => Err("a tensor's size is no number".into()),
    }
}
