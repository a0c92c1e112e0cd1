//! Parameters of a record that [`compare`](super::compare) has let pass.

use alloc::string::String;
use alloc::vec::Vec;

use bitcodes_format::record::{StoredTensor, Value};
use burn::module::{ModuleMapper, Param};
use burn::tensor::{DType, Int, Tensor, TensorData, backend::Backend};

/// A mapper that puts the parameters of a record into a module.
pub(super) struct Parameters<'a, B: Backend> {
    item: &'a Value<'a>,
    device: &'a B::Device,
    path: Vec<String>,
}

impl<'a, B: Backend> Parameters<'a, B> {
    pub fn of(item: &'a Value<'a>, device: &'a B::Device) -> Self {
        Self {
            item,
            device,
            path: Vec::new(),
        }
    }

    /// Returns the data of the parameter that is visited. `None` if it is Boolean or quantized: the
    /// type of such a parameter has no plain name in a record.
    fn data(&self, dtype: DType) -> Option<TensorData> {
        let param = self.item.at(self.path.iter().map(String::as_str))?;
        let stored = StoredTensor::of(param.get("param")?)?;
        let shape: Vec<usize> = stored.shape.iter().map(|&dim| dim as usize).collect();
        Some(TensorData::from_bytes_vec(
            stored.bytes.to_vec(),
            shape,
            dtype,
        ))
    }
}

/// A parameter without data stays as it is in the module.
impl<B: Backend> ModuleMapper<B> for Parameters<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let Some(data) = self.data(DType::F32) else {
            return param;
        };
        let id = param.id;
        param.transform_for_load(Tensor::from_data(data, self.device), id)
    }

    fn map_int<const D: usize>(
        &mut self,
        param: Param<Tensor<B, D, Int>>,
    ) -> Param<Tensor<B, D, Int>> {
        let Some(data) = self.data(DType::I32) else {
            return param;
        };
        let id = param.id;
        param.transform_for_load(Tensor::from_data(data, self.device), id)
    }

    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}
