//! A toy VQ autoencoder around [`bitcodes_core::Bitcodes`], trained with Burn's learner.
//!
//! An MLP-Mixer turns each 4x4 patch of an image into a token, a vector of 16 features. The
//! quantizer turns each token into a few bits, and a second mixer decodes the image. With 8 bits
//! per token, an 8x8 image becomes 32 bits.
//!
//! Without the default feature `learner` the crate holds only the autoencoder and the functions
//! that load it.
//!
//! ```
//! # #[cfg(all(feature = "flex", feature = "learner"))] {
//! use bitcodes_core::BitcodesConfig;
//! use bitcodes_train::{
//!     AutoencoderConfig, Execution, Job, Origin, Progress, RunFolder, TrainConfig, data::Images, train,
//! };
//! use burn::backend::{Autodiff, Flex};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let images = Images::digits();
//! let origin = Origin { backend: "flex".into(), data: None, images: format!("{:016x}", images.hash()) };
//! let job = Job {
//!     quantizer: BitcodesConfig::new(AutoencoderConfig::FEATURES, 8),
//!     config: TrainConfig::new().with_epochs(1),
//!     images,
//!     run: RunFolder::next_in(folder.path(), origin).unwrap(),
//!     execution: Execution { backend: "flex".into(), images_per_thread: None },
//!     progress: Progress::Silent,
//!     interrupter: Default::default(),
//! };
//! let summary = train::<Autodiff<Flex>>(&job, &Default::default()).unwrap();
//! assert_eq!(summary.bits_per_image, 32);
//! # }
//! ```

#[doc(no_inline)]
pub use bitcodes_core;

mod autoencoder;
pub mod files;
mod load;
mod mixer;

#[cfg(feature = "learner")]
mod checkpoints;
#[cfg(feature = "learner")]
mod code_metrics;
#[cfg(feature = "learner")]
mod config;
#[cfg(feature = "learner")]
mod curves;
#[cfg(feature = "learner")]
pub mod data;
#[cfg(feature = "learner")]
mod epoch_log;
#[cfg(feature = "learner")]
mod evaluate;
#[cfg(feature = "learner")]
mod live;
#[cfg(feature = "learner")]
mod metrics;
#[cfg(feature = "learner")]
mod npy;
#[cfg(feature = "learner")]
mod picture;
#[cfg(feature = "learner")]
mod run;
#[cfg(feature = "learner")]
mod seed;
#[cfg(feature = "learner")]
mod step;
#[cfg(feature = "learner")]
mod train;
#[cfg(feature = "learner")]
mod whole_file;
#[cfg(feature = "learner")]
mod workers;

pub use autoencoder::{Autoencoder, AutoencoderConfig, AutoencoderConfigError, AutoencoderOutput};
pub use load::{
    LoadCause, LoadError, LoadedRun, WholeEpoch, load_model, read_config, read_model, whole_epoch,
};
pub use mixer::{Mixer, MixerBlock, Mlp};

#[cfg(feature = "learner")]
pub use self::{
    checkpoints::WholeFileRecorder,
    code_metrics::CodeMetric,
    config::{RunConfig, TrainConfig, TrainConfigError},
    evaluate::Reconstructions,
    metrics::{
        BatchCodes, BatchMeasures, BatchOutput, ReconstructionMetric, SquaredError, psnr_db,
    },
    npy::npy,
    picture::side_by_side,
    run::{Origin, RunError, RunFolder, read_run_config, run_files},
    train::{Execution, Job, Progress, Summary, TrainError, train},
    whole_file::{Unwritten, WholeFile, remove_unfinished_files, write_file},
};
