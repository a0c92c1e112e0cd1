//! Files that are whole or missing under their name, whenever the program ends or the power fails.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

/// Error of a file, a folder or standard output that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct Unwritten {
    /// The path, or the words "standard output".
    pub what: String,
    /// The reason why it cannot be written.
    pub source: io::Error,
}

impl Unwritten {
    /// Returns a function that adds the path to an error.
    pub fn to(what: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let what = what.as_ref().display().to_string();
        |source| Self { what, source }
    }
}

/// Writes a file, whole or not at all. A file that exists is replaced.
///
/// # Errors
///
/// Returns [`Unwritten`] if the file cannot be written.
pub fn write_file(path: &Path, contents: &[u8]) -> Result<(), Unwritten> {
    let mut file = WholeFile::create(path)?;
    file.write_all(contents).map_err(Unwritten::to(path))?;
    file.finish()
}

/// A file that is written under another name in its folder, and gets its own name when it is whole.
///
/// Until then, a file that had the name stays as it was. If the value is dropped, nothing is left.
///
/// ```
/// use std::io::Write;
///
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("numbers");
/// let mut file = bitcodes_train::WholeFile::create(&path).unwrap();
/// file.write_all(&[1, 2, 3]).unwrap();
/// assert!(!path.exists());
/// file.finish().unwrap();
/// assert_eq!(std::fs::read(path).unwrap(), [1, 2, 3]);
/// ```
#[derive(Debug)]
pub struct WholeFile {
    /// `None` once it has its name.
    file: Option<NamedTempFile>,
    /// The path as the user gave it, for messages.
    given: PathBuf,
    /// The file to make or to replace, with links followed.
    target: PathBuf,
}

/// The beginning of the name of a file that is not whole.
const PREFIX: &str = ".unfinished-";

/// Returns the name that a file gets when it is whole; `None` if it is not an unfinished one.
pub(crate) fn name_when_whole(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
    // The end is random.
    Some(name.rsplit_once('-')?.0)
}

/// The unfinished files of the program.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all unfinished files, for a program that is about to end at once, on a signal for instance.
///
/// From then on, another thread that begins or finishes a [`WholeFile`] waits for the end of the program.
pub fn remove_unfinished_files() {
    let unfinished = unfinished();
    for path in unfinished.iter() {
        // What cannot be removed stays, under a name that shows it is unfinished.
        let _ = fs::remove_file(path);
    }
    std::mem::forget(unfinished);
}

impl WholeFile {
    /// Begins the file, which shows that it can be written. Links are followed. A device, a pipe or a folder
    /// is not replaced.
    ///
    /// # Errors
    ///
    /// Returns [`Unwritten`] if the folder does not exist or cannot be written to, or if the path is something
    /// other than a file.
    pub fn create(path: &Path) -> Result<Self, Unwritten> {
        Self::begin(path).map_err(Unwritten::to(path))
    }

    fn begin(given: &Path) -> io::Result<Self> {
        let name = given
            .file_name()
            .filter(|_| !given.as_os_str().as_encoded_bytes().ends_with(b"/"));
        let Some(name) = name else {
            let message = "not the name of a file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        let old = match fs::symlink_metadata(given) {
            Ok(_) => Some(fs::metadata(given)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            let message = "not a regular file, expected one or none";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        let target = match old {
            Some(_) => fs::canonicalize(given)?,
            None => given.to_path_buf(),
        };
        let folder = folder_of(&target);
        if !folder.is_dir() {
            let message = format!("no folder {}", folder.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        let mut builder = tempfile::Builder::new();
        let prefix = format!("{PREFIX}{}-", name.to_string_lossy());
        builder.prefix(&prefix);
        // `tempfile` would give the file to its owner alone. With this mode the umask decides, as for
        // any new file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut unfinished = unfinished();
        // The message of `tempfile` has the name of the unfinished file, which means nothing to the user.
        let file = builder.tempfile_in(folder).map_err(without_path)?;
        unfinished.insert(file.path().to_path_buf());
        drop(unfinished);
        let whole = Self {
            file: Some(file),
            given: given.to_path_buf(),
            target,
        };
        if let (Some(old), Some(file)) = (old, &whole.file) {
            file.as_file().set_permissions(old.permissions())?;
        }
        Ok(whole)
    }

    /// Gives the file its name, once the system says that the contents are on the disk.
    ///
    /// # Errors
    ///
    /// Returns [`Unwritten`] if the file cannot be written as a whole. Then nothing is left of it.
    pub fn finish(mut self) -> Result<(), Unwritten> {
        let file = self.file.take().expect("only this function takes it");
        let path = file.path().to_path_buf();
        let finish = || {
            file.as_file().sync_all()?;
            let mut unfinished = unfinished();
            unfinished.remove(&path);
            file.persist(&self.target).map_err(|error| error.error)?;
            sync_folder(folder_of(&self.target))
        };
        finish().map_err(|error| Unwritten::to(&self.given)(without_path(error)))
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            let mut unfinished = unfinished();
            unfinished.remove(file.path());
            // This removes the file.
            drop(file);
        }
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = self.file.as_mut().expect("only `finish` takes it");
        file.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the names in a folder last, as far as the system can: Windows cannot open a folder, and some file
/// systems cannot sync one.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        // A folder that may be written to and not read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

/// The parent of a bare name is the empty path.
fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Returns the system's error, without the path that `tempfile` adds.
fn without_path(error: io::Error) -> io::Error {
    let system = error
        .get_ref()
        .and_then(|inner| inner.source()?.downcast_ref::<io::Error>()?.raw_os_error());
    system.map_or(error, io::Error::from_raw_os_error)
}
