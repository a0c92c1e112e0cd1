//! A temporary folder in which tests run the program.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A temporary folder of one test.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bitcodes"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.0.path());
        command
    }

    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a script of bash in the folder.
    pub fn shell(&self, script: &str) -> Output {
        let mut shell = Command::new("bash");
        let shell = shell.args(["-c", script]).current_dir(self.0.path());
        shell.output().unwrap()
    }

    /// Runs the program, which has to succeed, and returns its standard output.
    pub fn succeed(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the program, which has to fail with a one-line error, and returns that line.
    pub fn fail(&self, code: i32, arguments: &str) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error.lines().count(), 1, "{arguments}: {error}");
        assert!(error.starts_with("error: "), "{arguments}: {error}");
        error.trim_end().to_string()
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Writes a data set in MNIST's file format, of images that are bright on the left or on the
    /// right.
    pub fn write_data(&self, folder: &str, images: usize, height: usize, width: usize) {
        fs::create_dir_all(self.path(folder)).unwrap();
        let bright = |image: usize, x: usize| (x < width / 2) == image.is_multiple_of(2);
        let pixels = (0..images).flat_map(|image| {
            (0..height * width).map(move |at| if bright(image, at % width) { 230 } else { 20 })
        });
        let labels = (0..images).map(|image| (image % 2) as u8);
        let (pixels, labels) = (pixels.collect::<Vec<u8>>(), labels.collect::<Vec<u8>>());
        for split in ["train", "t10k"] {
            self.write_idx(
                &format!("{folder}/{split}-images-idx3-ubyte"),
                0x803,
                &[images, height, width],
                &pixels,
            );
            self.write_idx(
                &format!("{folder}/{split}-labels-idx1-ubyte"),
                0x801,
                &[images],
                &labels,
            );
        }
    }

    pub fn write_idx(&self, name: &str, magic: u32, sizes: &[usize], data: &[u8]) {
        let mut file = fs::File::create(self.path(name)).unwrap();
        file.write_all(&magic.to_be_bytes()).unwrap();
        for &size in sizes {
            file.write_all(&(size as u32).to_be_bytes()).unwrap();
        }
        file.write_all(data).unwrap();
    }
}
