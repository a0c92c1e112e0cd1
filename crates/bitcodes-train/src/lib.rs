//! A toy VQ autoencoder around [`bitcodes_core::Bitcodes`], trained with Burn's learner.
//!
//! 4x4 patches of an image become tokens of 16 features by an MLP-Mixer, each token a few bits by
//! the quantizer, and a second mixer makes the image again. With 8 bits a token an 8x8 image is
//! 32 bits.
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use bitcodes_train::{Execution, Job, Progress, RunFolder, TrainConfig, data::Images, train};
//! use burn::backend::{Autodiff, Flex};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let job = Job {
//!     config: TrainConfig::new().with_epochs(1),
//!     images: Images::digits(),
//!     run: RunFolder::next_in(folder.path()).unwrap(),
//!     execution: Execution { backend: "flex".into(), images_per_thread: None },
//!     progress: Progress::Silent,
//! };
//! let summary = train::<Autodiff<Flex>>(&job, &Default::default()).unwrap();
//! assert_eq!(summary.bits_per_image, 32);
//! # }
//! ```

#[doc(no_inline)]
pub use bitcodes_core;

mod autoencoder;
mod code_metrics;
mod config;
pub mod data;
mod evaluate;
mod load;
mod metrics;
mod mixer;
mod npy;
mod picture;
mod progress;
mod run;
mod seed;
mod step;
mod train;

pub use autoencoder::{Autoencoder, AutoencoderConfig, AutoencoderConfigError, AutoencoderOutput};
pub use code_metrics::CodeMetric;
pub use config::{RunConfig, TrainConfig, TrainConfigError};
pub use evaluate::Reconstructions;
pub use load::{LoadError, load_model};
pub use metrics::{
    BatchCodes, BatchMeasures, BatchOutput, ReconstructionMetric, SquaredError, psnr_db,
};
pub use mixer::{Mixer, MixerBlock, Mlp};
pub use npy::npy;
pub use picture::side_by_side;
pub use run::{RunError, RunFolder, Unwritten, WholeFileRecorder, files, write_file};
pub use train::{Execution, Job, Progress, Summary, TrainError, train};
