//! The parameters of a record that [`compare`](super::compare) has let pass.

use alloc::string::String;
use alloc::vec::Vec;

use burn::module::{ModuleMapper, Param};
use burn::tensor::{Bool, DType, Int, Tensor, TensorData, backend::Backend};
use rmpv::Value;

use super::compare::{Stored, at, get};

/// Puts the parameters of a record into the module that is mapped.
pub(super) struct Parameters<'a, B: Backend> {
    item: &'a Value,
    device: &'a B::Device,
    path: Vec<String>,
}

impl<'a, B: Backend> Parameters<'a, B> {
    pub fn of(item: &'a Value, device: &'a B::Device) -> Self {
        Self {
            item,
            device,
            path: Vec::new(),
        }
    }

    fn data(&self, dtype: DType) -> TensorData {
        let stored = at(self.item, &self.path)
            .and_then(|param| get(param, "param"))
            .and_then(Stored::of)
            .expect("the record was compared with the module");
        let shape: Vec<usize> = stored.shape.iter().map(|&dim| dim as usize).collect();
        TensorData::from_bytes_vec(stored.bytes.to_vec(), shape, dtype)
    }
}

impl<B: Backend> ModuleMapper<B> for Parameters<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let tensor = Tensor::from_data(self.data(DType::F32), self.device);
        let id = param.id;
        param.transform_for_load(tensor, id)
    }

    fn map_int<const D: usize>(
        &mut self,
        param: Param<Tensor<B, D, Int>>,
    ) -> Param<Tensor<B, D, Int>> {
        let tensor = Tensor::from_data(self.data(DType::I32), self.device);
        let id = param.id;
        param.transform_for_load(tensor, id)
    }

    fn map_bool<const D: usize>(
        &mut self,
        param: Param<Tensor<B, D, Bool>>,
    ) -> Param<Tensor<B, D, Bool>> {
        // Masks and the like: as the module has them.
        param
    }

    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}
