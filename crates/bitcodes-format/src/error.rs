//! Reasons why a file gives no quantizer.

/// Error of a file that cannot be read, or that has no quantizer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The bytes are in no container that is known here.
    #[error(
        "neither PyTorch's zip archive nor safetensors nor a Burn record: {bytes} bytes, the first \
         {first:02x?} (torch.save of a state dict in its default form writes the archive)"
    )]
    Unknown {
        /// Number of bytes.
        bytes: usize,
        /// The first few bytes.
        first: Vec<u8>,
    },
    /// The bytes are in a container whose reader this build leaves out.
    #[error("{found}, which this build does not read (feature `{feature}` of bitcodes-format)")]
    LeftOut {
        /// The container.
        found: &'static str,
        /// The feature of this crate that brings its reader.
        feature: &'static str,
    },
    /// A PyTorch file in the form from before version 1.6.
    #[error("PyTorch's older form, expected its zip archive, as torch.save writes it by default")]
    OlderForm,
    /// The safetensors are damaged.
    #[error("safetensors: {0}, in {1} bytes")]
    Safetensors(String, usize),
    /// The PyTorch archive is damaged, or lacks the files of a state dict.
    #[error("PyTorch archive: {0}")]
    Archive(String),
    /// The pickle of a PyTorch file cannot be followed.
    #[error("PyTorch archive: data.pkl, byte {position}: {reason}")]
    Pickle {
        /// Position in the pickle.
        position: usize,
        /// The reason why the pickle cannot be followed.
        reason: String,
    },
    /// A tensor needs more bytes than its storage in a PyTorch file has.
    #[error("{name}: its storage has {found} bytes, expected {wanted}")]
    Storage {
        /// Name of the tensor.
        name: String,
        /// Bytes of the storage.
        found: usize,
        /// Bytes that the tensor needs.
        wanted: String,
    },
    /// The bytes are no whole Burn record.
    #[error("not a record: {0}, expected MessagePack with metadata and item, whole")]
    NotARecord(String),
    /// A tensor of a record has more or fewer bytes than its shape needs.
    #[error("{path} has {found} bytes, expected {wanted} by its shape")]
    ByteCount {
        /// Path of the tensor.
        path: String,
        /// Bytes of the tensor.
        found: usize,
        /// Bytes that the shape needs.
        wanted: u64,
    },
    /// A plain field of a quantizer's record is missing or has a wrong value.
    #[error("{path} is {found} in the record, expected {wanted}")]
    Field {
        /// Path of the field.
        path: String,
        /// The value there.
        found: String,
        /// The values that are possible.
        wanted: &'static str,
    },
    /// The file has no tensor of this name.
    #[error("no tensor {wanted}, found {}", listed(found))]
    NoTensor {
        /// The name that was looked for.
        wanted: String,
        /// The names of all tensors.
        found: Vec<String>,
    },
    /// A PyTorch file has no dict of tensors.
    #[error(
        "no dict of tensors: save the state dict, as by torch.save(module.state_dict(), path), and not the module, \
         a list or a single tensor"
    )]
    NoTensors,
    /// Several codebooks could be meant, and no prefix says which.
    #[error("{} codebooks, expected one, or a prefix that says which: {}", found.len(), listed(found))]
    Ambiguous {
        /// The names of all codebooks.
        found: Vec<String>,
    },
    /// The codebook has a shape that no quantizer has.
    #[error("{name} has shape {found:?}, expected [2 * num_bits, features], neither of them 0")]
    CodebookShape {
        /// Name of the codebook.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A tensor has another shape than the quantizer's other parts ask for.
    #[error("{name} has shape {found:?}, expected {wanted:?}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// Its shape by the other parts.
        wanted: Vec<usize>,
    },
    /// A tensor of the normalization is missing.
    #[error("no tensor {wanted}, which its {asked_by} asks for")]
    Missing {
        /// The name that was looked for.
        wanted: String,
        /// The part of the file that says that the quantizer normalizes.
        asked_by: &'static str,
    },
    /// The file has a normalization, but no metadata that say how it is used: Python saved the
    /// tensors of a file of ours again, without the metadata.
    #[error("{found} is there, but no metadata that say how bits are decided")]
    NoMetadata {
        /// Name of the normalization's tensor.
        found: String,
    },
    /// The file has a normalization, but says that its quantizer does not normalize.
    #[error("{found} is there, but by its {said_by} the quantizer does not normalize")]
    Unused {
        /// Name of the normalization's tensor.
        found: String,
        /// The part of the file that says so.
        said_by: &'static str,
    },
    /// A tensor has elements of a type that is not read.
    #[error("{name} has type {found}, expected {wanted}")]
    Type {
        /// Name of the tensor.
        name: String,
        /// Type of its elements.
        found: String,
        /// The types that are read.
        wanted: &'static str,
    },
    /// A tensor of a quantizer has NaN or an infinite value.
    #[error("{name} has a value of {found}, expected finite numbers")]
    NotFinite {
        /// Name of the tensor.
        name: String,
        /// The first such value.
        found: f64,
    },
    /// The metadata of a file of ours cannot be read.
    #[error("its metadata has the {key} {found:?}: {reason}")]
    Metadata {
        /// The kind of entry: the configuration, or the step.
        key: &'static str,
        /// The entry, at most 200 characters of it.
        found: String,
        /// The reason why the entry cannot be read.
        reason: String,
    },
}

/// Lists the first few names.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = |name: &String| match name.as_str() {
        "" => "a tensor without a name".to_string(),
        name => name.to_string(),
    };
    let first: Vec<String> = names.iter().take(SHOWN).map(shown).collect();
    match names.len().saturating_sub(SHOWN) {
        0 if names.is_empty() => "none".into(),
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Returns at most 200 characters of a text from a file, for an error.
#[cfg(any(feature = "record", feature = "safetensors"))]
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}
