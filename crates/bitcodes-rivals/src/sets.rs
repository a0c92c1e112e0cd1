//! The sets of images in which quantizers are compared.

use std::fs;
use std::path::Path;

use bitcodes_train::data::Images;

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
    if height != width {
        return Err(of_folder(format!(
            "images of {height}x{width} pixels, expected squares"
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

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(count: u8, height: u8, width: u8) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        for set in ["train", "t10k"] {
            let file = |name: &str, bytes: Vec<u8>| {
                fs::write(folder.path().join(format!("{set}-{name}-ubyte")), bytes)
                    .expect("written");
            };
            let pixels = usize::from(count) * usize::from(height) * usize::from(width);
            let header = [0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, height, 0, 0, 0, width];
            file("images-idx3", [&header[..], &vec![7; pixels]].concat());
            let header = [0, 0, 8, 1, 0, 0, 0, count];
            file(
                "labels-idx1",
                [&header[..], &vec![0; count.into()]].concat(),
            );
        }
        let name = folder.path().display().to_string();
        match Set::named(&name) {
            Ok(set) => set.name,
            Err(error) => error,
        }
    }

    #[test]
    fn images_that_cannot_be_trained_on_are_errors() {
        for (size, wanted) in [
            ((8, 12), "images of 8x12 pixels, expected squares"),
            (
                (10, 10),
                "images of 10 x 10 pixels, expected multiples of 4",
            ),
        ] {
            let found = error_of(9, size.0, size.1);
            assert!(found.contains(wanted), "{found}");
        }
        let found = error_of(4, 12, 12);
        assert!(
            found.ends_with("4 images to train on, expected at least 5"),
            "{found}"
        );
        let found = error_of(9, 28, 28);
        assert!(!found.contains("expected"), "{found}");
        assert_eq!(Set::named("digits").expect("built in").name, "digits");
        let found = Set::named("no/such").expect_err("no folder");
        assert!(found.starts_with("no/such: "), "{found}");
    }
}
