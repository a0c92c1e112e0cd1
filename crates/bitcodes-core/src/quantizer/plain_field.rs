//! Plain values that a quantizer keeps in its record.

use core::fmt::Debug;
use core::marker::PhantomData;

use burn::module::{
    AutodiffModule, Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor,
};
use burn::record::{PrecisionSettings, Record};
use burn::tensor::backend::{AutodiffBackend, Backend};

use crate::Assignment;

/// A value in the record of a module.
///
/// A module of its own because Burn saves no plain field.
#[derive(Debug)]
pub struct Kept<B: Backend, T> {
    pub(crate) value: T,
    backend: PhantomData<B>,
}

/// What can be kept.
pub trait Plain<B: Backend>: Record<B> + Copy + Debug + Send + Sync {
    /// The value where a record has none, as an earlier version wrote it.
    fn of_earlier_record(self) -> Self;
}

/// The step: it stays as it is.
impl<B: Backend> Plain<B> for usize {
    fn of_earlier_record(self) -> Self {
        self
    }
}

/// There was no choice then.
impl<B: Backend> Plain<B> for Assignment {
    fn of_earlier_record(self) -> Self {
        Self::of_the_reference()
    }
}

impl<B: Backend, T> Kept<B, T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value,
            backend: PhantomData,
        }
    }
}

impl<B: Backend, T: Copy> Clone for Kept<B, T> {
    fn clone(&self) -> Self {
        Self::new(self.value)
    }
}

impl<B: Backend, T: Plain<B>> Module<B> for Kept<B, T> {
    type Record = Option<T>;

    fn into_record(self) -> Self::Record {
        Some(self.value)
    }

    fn load_record(self, record: Self::Record) -> Self {
        Self::new(record.unwrap_or(self.value.of_earlier_record()))
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

impl<B: AutodiffBackend, T: Plain<B> + Plain<B::InnerBackend>> AutodiffModule<B> for Kept<B, T> {
    type InnerModule = Kept<B::InnerBackend, T>;

    fn valid(&self) -> Self::InnerModule {
        Kept::new(self.value)
    }

    fn from_inner(module: Self::InnerModule) -> Self {
        Self::new(module.value)
    }
}

impl<B: Backend, T: Debug> ModuleDisplayDefault for Kept<B, T> {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_debug_attribute("value", &self.value).optional()
    }
}

impl<B: Backend, T: Debug> ModuleDisplay for Kept<B, T> {}

impl<B: Backend> Record<B> for Assignment {
    type Item<S: PrecisionSettings> = Self;

    fn into_item<S: PrecisionSettings>(self) -> Self {
        self
    }

    /// With a beam that a configuration may have.
    fn from_item<S: PrecisionSettings>(item: Self, _: &B::Device) -> Self {
        match item {
            Self::Independent => item,
            Self::Residual { beam } => Self::Residual {
                beam: beam.clamp(1, Self::MAX_BEAM),
            },
        }
    }
}
