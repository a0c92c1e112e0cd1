//! Plain values that a quantizer keeps in its record.

use core::fmt::Debug;
use core::marker::PhantomData;

use burn::module::{
    AutodiffModule, Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor,
};
use burn::record::{PrecisionSettings, Record};
use burn::tensor::backend::{AutodiffBackend, Backend};
use serde::{Serialize, de::DeserializeOwned};

use crate::assignment::{Assignment, AssignmentRecord};

/// Container type that tells a module visitor that the name is a method.
pub(crate) const METHOD: &str = "Method";

/// A plain value in the record of a module. It is a module of its own, as Burn saves no plain field.
#[derive(Debug)]
pub struct PlainField<B: Backend, T> {
    pub(crate) value: T,
    backend: PhantomData<B>,
}

/// A value that can be a [`PlainField`].
pub trait Plain: Copy + Debug + Send + Sync {
    /// The part of the value that a record holds.
    type Stored: Serialize + DeserializeOwned + Clone + Debug + Send + Sync;

    /// Returns the part for a record.
    fn stored(&self) -> Self::Stored;

    /// Returns the value with the part of a record.
    fn with_stored(self, stored: Self::Stored) -> Self;

    /// Returns the name of the method, if the value is an assignment, so that a visitor can compare
    /// it.
    fn method_name(&self) -> Option<&'static str> {
        None
    }
}

/// The step of the schedules.
impl Plain for usize {
    type Stored = Self;

    fn stored(&self) -> Self {
        *self
    }

    fn with_stored(self, stored: Self) -> Self {
        stored
    }
}

impl Plain for Assignment {
    type Stored = AssignmentRecord;

    fn stored(&self) -> AssignmentRecord {
        self.record()
    }

    fn with_stored(self, stored: AssignmentRecord) -> Self {
        self.with_record(stored)
    }

    fn method_name(&self) -> Option<&'static str> {
        Some(self.method().name())
    }
}

/// The record of a [`PlainField`].
#[derive(Debug, Clone)]
pub struct PlainRecord<T>(T);

impl<B: Backend, T> Record<B> for PlainRecord<T>
where
    T: Serialize + DeserializeOwned + Clone + Send,
{
    type Item<S: PrecisionSettings> = T;

    fn into_item<S: PrecisionSettings>(self) -> T {
        self.0
    }

    fn from_item<S: PrecisionSettings>(item: T, _: &B::Device) -> Self {
        Self(item)
    }
}

impl<B: Backend, T> PlainField<B, T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value,
            backend: PhantomData,
        }
    }
}

impl<B: Backend, T: Copy> Clone for PlainField<B, T> {
    fn clone(&self) -> Self {
        Self::new(self.value)
    }
}

impl<B: Backend, T: Plain> Module<B> for PlainField<B, T> {
    type Record = PlainRecord<T::Stored>;

    fn into_record(self) -> Self::Record {
        PlainRecord(self.value.stored())
    }

    fn load_record(self, record: Self::Record) -> Self {
        Self::new(self.value.with_stored(record.0))
    }

    fn visit<V: ModuleVisitor<B>>(&self, visitor: &mut V) {
        if let Some(method) = self.value.method_name() {
            visitor.enter_module(method, METHOD);
            visitor.exit_module(method, METHOD);
        }
    }

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

impl<B: AutodiffBackend, T: Plain> AutodiffModule<B> for PlainField<B, T> {
    type InnerModule = PlainField<B::InnerBackend, T>;

    fn valid(&self) -> Self::InnerModule {
        PlainField::new(self.value)
    }

    fn from_inner(module: Self::InnerModule) -> Self {
        Self::new(module.value)
    }
}

impl<B: Backend, T: Debug> ModuleDisplayDefault for PlainField<B, T> {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_debug_attribute("value", &self.value).optional()
    }
}

impl<B: Backend, T: Debug> ModuleDisplay for PlainField<B, T> {}
