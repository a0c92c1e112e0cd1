//! The step of training that a quantizer is at, kept in its record.

use core::marker::PhantomData;

use burn::module::{
    AutodiffModule, Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor,
};
use burn::tensor::backend::{AutodiffBackend, Backend};

/// Counts the steps that the schedules are at.
///
/// A module of its own because Burn saves no plain field. A record without it, as an earlier
/// version wrote it, leaves the count as it is.
#[derive(Debug)]
pub struct TrainingStep<B: Backend> {
    pub(crate) steps: usize,
    backend: PhantomData<B>,
}

impl<B: Backend> TrainingStep<B> {
    pub(crate) fn at(steps: usize) -> Self {
        Self {
            steps,
            backend: PhantomData,
        }
    }
}

impl<B: Backend> Clone for TrainingStep<B> {
    fn clone(&self) -> Self {
        Self::at(self.steps)
    }
}

impl<B: Backend> Module<B> for TrainingStep<B> {
    type Record = Option<usize>;

    fn into_record(self) -> Self::Record {
        Some(self.steps)
    }

    fn load_record(self, record: Self::Record) -> Self {
        Self::at(record.unwrap_or(self.steps))
    }

    fn visit<V: ModuleVisitor<B>>(&self, _: &mut V) {}

    fn map<M: ModuleMapper<B>>(self, _: &mut M) -> Self {
        self
    }

    fn collect_devices(&self, devices: Devices<B>) -> Devices<B> {
        devices
    }

    fn fork(self, _: &B::Device) -> Self {
        self
    }

    fn to_device(self, _: &B::Device) -> Self {
        self
    }
}

impl<B: AutodiffBackend> AutodiffModule<B> for TrainingStep<B> {
    type InnerModule = TrainingStep<B::InnerBackend>;

    fn valid(&self) -> Self::InnerModule {
        TrainingStep::at(self.steps)
    }

    fn from_inner(module: Self::InnerModule) -> Self {
        Self::at(module.steps)
    }
}

impl<B: Backend> ModuleDisplayDefault for TrainingStep<B> {
    fn content(&self, content: Content) -> Option<Content> {
        content.add("steps", &self.steps).optional()
    }
}

impl<B: Backend> ModuleDisplay for TrainingStep<B> {}
