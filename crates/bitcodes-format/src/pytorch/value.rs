//! Values that a pickle makes.

/// Place of a Python value among all the values of a pickle. Values refer to one another as they do
/// in Python, and however deeply they nest, dropping them does not recurse.
pub(super) type Id = usize;

/// A value of Python's.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, as `module.name`.
    Global(String),
    Storage(Box<Storage>),
    Tensor(Box<StridedTensor>),
    /// Anything else.
    Other,
}

impl Value {
    /// Number of bytes of memory that the value takes when it is made.
    pub fn bytes(&self) -> usize {
        let more = match self {
            Self::Int(_) | Self::Other => 0,
            Self::Text(text) | Self::Global(text) => text.len(),
            Self::Tuple(items) | Self::List(items) => size_of_val(&items[..]),
            Self::Dict(entries) => size_of_val(&entries[..]),
            Self::Storage(storage) => storage.bytes(),
            Self::Tensor(tensor) => tensor.bytes(),
        };
        size_of::<Self>() + more
    }
}

impl Storage {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.kind.len() + self.key.len()
    }
}

impl StridedTensor {
    /// Number of bytes of memory that the tensor takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.storage.bytes() + size_of_val(&self.shape[..]) * 2
    }
}

/// The file that holds the elements of tensors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storage {
    /// Name of its type, such as `FloatStorage`.
    pub kind: String,
    /// Name of the file.
    pub key: String,
    /// Number of elements.
    pub elements: usize,
}

/// A tensor as a view of a storage; offset and strides in elements.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StridedTensor {
    pub storage: Storage,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}
