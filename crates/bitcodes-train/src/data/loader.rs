//! A data loader for images whose order is decided by the seed and the epoch.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::tensor::{Tensor, backend::Backend};
use rand::{RngExt, seq::SliceRandom};

use super::ImageSet;
use crate::seed;

/// The images of one training step or test step.
#[derive(Debug, Clone)]
pub struct ImageBatch<B: Backend> {
    /// Parts of the batch, each `[images, height, width]` with pixels in [0, 1]. A step computes
    /// each part on a thread of its own.
    pub parts: Vec<Tensor<B, 3>>,
}

impl<B: Backend> ImageBatch<B> {
    fn new(set: &ImageSet, indices: &[usize], part_size: usize, device: &B::Device) -> Self {
        let parts = indices.chunks(part_size);
        Self {
            parts: parts.map(|part| set.tensor(part, device)).collect(),
        }
    }

    /// Returns the number of pixels in all parts together.
    pub fn pixels(&self) -> usize {
        self.parts
            .iter()
            .map(|part| part.shape().num_elements())
            .sum()
    }
}

/// Loads a set of images batch by batch.
///
/// Each pass over the data of a shuffled loader is one epoch. The loader derives two things from
/// its seed and the epoch's number: the order of the images, and a seed that it gives the backend.
/// So the noise of training is as repeatable as the order.
#[derive(Debug, Clone)]
pub struct ImageLoader<B: Backend> {
    set: Arc<ImageSet>,
    range: Range<usize>,
    batch_size: usize,
    part_size: usize,
    shuffle: Option<Shuffle>,
    device: B::Device,
}

#[derive(Debug)]
struct Shuffle {
    seed: u64,
    epochs_done: AtomicU64,
}

/// A clone continues to count epochs independently of the original.
impl Clone for Shuffle {
    fn clone(&self) -> Self {
        Self {
            seed: self.seed,
            epochs_done: AtomicU64::new(self.epochs_done.load(Ordering::Relaxed)),
        }
    }
}

impl<B: Backend> ImageLoader<B> {
    /// Makes a loader that gives the images in the order of the set.
    ///
    /// # Panics
    ///
    /// Panics if `batch_size` is 0.
    pub fn in_order(set: Arc<ImageSet>, batch_size: usize, device: &B::Device) -> Self {
        assert!(
            batch_size > 0,
            "ImageLoader: batch_size is 0, expected at least 1"
        );
        Self {
            range: 0..set.len(),
            set,
            batch_size,
            part_size: batch_size,
            shuffle: None,
            device: device.clone(),
        }
    }

    /// Makes a loader that shuffles the set anew in each epoch.
    ///
    /// # Panics
    ///
    /// Panics if `batch_size` is 0.
    pub fn shuffled(set: Arc<ImageSet>, batch_size: usize, seed: u64, device: &B::Device) -> Self {
        let shuffle = Shuffle {
            seed,
            epochs_done: AtomicU64::new(0),
        };
        Self {
            shuffle: Some(shuffle),
            ..Self::in_order(set, batch_size, device)
        }
    }

    /// Makes this loader begin with the epoch after the first `epochs`.
    ///
    /// # Panics
    ///
    /// Panics if the loader does not shuffle.
    pub fn after_epochs(self, epochs: usize) -> Self {
        let shuffle = self
            .shuffle
            .expect("ImageLoader: only shuffled epochs differ");
        let shuffle = Shuffle {
            seed: shuffle.seed,
            epochs_done: AtomicU64::new(epochs as u64),
        };
        Self {
            shuffle: Some(shuffle),
            ..self
        }
    }

    /// Makes this loader cut each batch into parts of at most `part_size` images.
    ///
    /// # Panics
    ///
    /// Panics if `part_size` is 0.
    pub fn in_parts_of(self, part_size: usize) -> Self {
        assert!(
            part_size > 0,
            "ImageLoader: part_size is 0, expected at least 1"
        );
        Self { part_size, ..self }
    }
}

impl<B: Backend> DataLoader<B, ImageBatch<B>> for ImageLoader<B> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<ImageBatch<B>> + 'a> {
        let mut order: Vec<usize> = self.range.clone().collect();
        if let Some(shuffle) = &self.shuffle {
            let epoch = 1 + shuffle.epochs_done.fetch_add(1, Ordering::Relaxed);
            let mut rng = seed::epoch_rng(shuffle.seed, epoch);
            order.shuffle(&mut rng);
            B::seed(&self.device, rng.random());
        }
        Box::new(Batches {
            loader: self,
            order,
            done: 0,
        })
    }

    fn num_items(&self) -> usize {
        self.range.len()
    }

    fn to_device(&self, device: &B::Device) -> Arc<dyn DataLoader<B, ImageBatch<B>>> {
        Arc::new(Self {
            device: device.clone(),
            ..self.clone()
        })
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<B, ImageBatch<B>>> {
        Arc::new(Self {
            range: self.range.start + start..self.range.start + end,
            ..self.clone()
        })
    }
}

struct Batches<'a, B: Backend> {
    loader: &'a ImageLoader<B>,
    order: Vec<usize>,
    done: usize,
}

impl<B: Backend> Iterator for Batches<'_, B> {
    type Item = ImageBatch<B>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.order[self.done..];
        let indices = &rest[..rest.len().min(self.loader.batch_size)];
        if indices.is_empty() {
            return None;
        }
        self.done += indices.len();
        let ImageLoader {
            set,
            part_size,
            device,
            ..
        } = self.loader;
        Some(ImageBatch::new(set, indices, *part_size, device))
    }
}

impl<B: Backend> DataLoaderIterator<ImageBatch<B>> for Batches<'_, B> {
    fn progress(&self) -> Progress {
        Progress::new(self.done, self.order.len())
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::data::Images;
    use burn::backend::Flex;

    fn epoch(loader: &ImageLoader<Flex>) -> Vec<Vec<f32>> {
        let batches = loader.iter().map(|batch| batch.parts[0].to_data());
        batches
            .flat_map(|data| {
                let pixels = data.to_vec::<f32>().unwrap();
                pixels.chunks(64).map(<[f32]>::to_vec).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn an_epoch_is_every_image_once_in_an_order_that_seed_and_epoch_decide() {
        let set = Images::digits().test().clone();
        let load = |seed| ImageLoader::<Flex>::shuffled(set.clone(), 64, seed, &Default::default());
        let (a, b, other) = (load(1), load(1), load(2));

        let first = epoch(&a);
        assert_eq!(first, epoch(&b));
        let second = epoch(&a);
        assert_eq!(second, epoch(&b));
        assert_eq!(second, epoch(&load(1).after_epochs(1)));
        assert_ne!(first, second);
        assert_ne!(first, epoch(&other));

        let sorted = |mut images: Vec<Vec<f32>>| {
            images.sort_by(|x, y| x.partial_cmp(y).unwrap());
            images
        };
        let all = epoch(&ImageLoader::in_order(
            set.clone(),
            100,
            &Default::default(),
        ));
        let in_order: Vec<Vec<f32>> = (0..set.len()).map(|i| set.pixels(i).collect()).collect();
        assert_eq!(all, in_order);
        assert_eq!(sorted(first), sorted(all));
    }

    #[test]
    fn slices_and_progress_count_images() {
        let set = Images::digits().test().clone();
        let loader = ImageLoader::<Flex>::in_order(set.clone(), 4, &Default::default());
        let part = loader.slice(10, 17).slice(1, 7);
        assert_eq!(part.num_items(), 6);
        let mut batches = part.iter();
        assert_eq!(batches.next().unwrap().parts[0].dims(), [4, 8, 8]);
        assert_eq!(batches.progress().items_processed, 4);
        let last = batches.next().unwrap().parts[0].to_data();
        let wanted: Vec<f32> = [15, 16].iter().flat_map(|&i| set.pixels(i)).collect();
        assert_eq!(last.to_vec::<f32>().unwrap(), wanted);
        assert!(batches.next().is_none());
    }
}
