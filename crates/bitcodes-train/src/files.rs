//! Names of the files in the folder of a run.

/// What a run is of, as JSON. A folder that has this file holds a run, and the training that writes to it
/// holds a lock on it.
pub const RUN: &str = "run.json";
/// The trained autoencoder, a Burn record in MessagePack.
pub const MODEL: &str = "model.mpk";
/// The configuration of the training and of the model as JSON.
pub const CONFIG: &str = "config.json";
/// MSE and PSNR of each epoch: `epoch,split,mse,psnr_db`.
pub const METRICS: &str = "metrics.csv";
/// The summary of the training as JSON.
pub const SUMMARY: &str = "summary.json";
/// The test images as decoded from their packed codes, f32 `[images, height, width]`.
pub const RECONSTRUCTIONS: &str = "test_reconstructions.npy";
/// A picture of some test images with their reconstructions below them.
pub const PICTURE: &str = "reconstructions.png";
/// A picture of the metrics of each epoch.
pub const CURVES: &str = "curves.svg";
/// The folder of the checkpoints.
pub const CHECKPOINTS: &str = "checkpoint";
/// The last epoch whose checkpoint is whole, as JSON, in the folder of the checkpoints.
pub const WHOLE_EPOCH: &str = "epoch.json";
