//! The sets of images in which quantizers are compared.

use std::fs;
use std::path::Path;

use bitcodes_train::data::Images;

use crate::autoencoder::PATCH;
use crate::strokes;
use crate::train::Split;

/// A set of training images and test images with its name.
#[derive(Debug)]
pub struct Set {
    /// The name in outcomes and titles.
    pub name: String,
    /// The images.
    pub images: Images,
}

/// Height and width of the largest images.
const MOST_PIXELS: usize = 64;

impl Set {
    /// Returns the set of a name: `digits`, which are built in, `strokes`, which are drawn, or a folder with
    /// MNIST's four files.
    ///
    /// # Errors
    ///
    /// Returns a message if the files cannot be read, or if the autoencoders cannot be trained with the
    /// images.
    pub fn named(name: &str) -> Result<Self, String> {
        let images = match name {
            "digits" => Images::digits(),
            "strokes" => drawn_strokes()?,
            folder => from_folder(Path::new(folder))?,
        };
        let last = Path::new(name).file_name();
        let name = last.map_or(name.into(), |last| last.to_string_lossy().into());
        Ok(Self { name, images })
    }
}

fn drawn_strokes() -> Result<Images, String> {
    let folder = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    strokes::write(folder.path()).map_err(|error| error.to_string())?;
    Images::from_folder(folder.path()).map_err(|error| error.to_string())
}

fn from_folder(folder: &Path) -> Result<Images, String> {
    let of_folder = |what: String| format!("{}: {what}", folder.display());
    // Other errors name the file.
    fs::read_dir(folder).map_err(|error| of_folder(error.to_string()))?;
    let images = Images::from_folder(folder).map_err(|error| error.to_string())?;
    let (height, width) = images.train().size();
    let fits = height == width && height.is_multiple_of(PATCH) && height <= MOST_PIXELS;
    if !fits {
        return Err(of_folder(format!(
            "images of {height}x{width} pixels, expected squares of a multiple of {PATCH} pixels, up to \
             {MOST_PIXELS}x{MOST_PIXELS}"
        )));
    }
    let (found, wanted) = (images.train().len(), Split::LEAST);
    if found < wanted {
        return Err(of_folder(format!(
            "{found} images to train on, expected at least {wanted}"
        )));
    }
    Ok(images)
}
