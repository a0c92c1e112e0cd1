//! The end of the program at Ctrl-C and SIGTERM.

use std::io;

/// Makes the program end at SIGINT (Ctrl-C) and SIGTERM, with 128 plus the number of the signal as the exit code,
/// and without a file that is half-written.
///
/// On systems other than Unix, nothing is done: there Ctrl-C ends the program at once and may leave a file whose
/// name begins with `.unfinished-`.
pub(crate) fn end_without_unfinished_files() -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::io::Write;

        use signal_hook::consts::{SIGINT, SIGTERM};
        use signal_hook::iterator::Signals;

        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        // A read from a terminal or a pipe may last for ever, so this thread ends the program itself.
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                bitcodes_train::remove_unfinished_files();
                let name = if signal == SIGINT {
                    "SIGINT"
                } else {
                    "SIGTERM"
                };
                // The first character ends the line of a progress bar. An error cannot be reported.
                let _ = writeln!(
                    io::stderr(),
                    "\nstopped by {name}, before the output was whole"
                );
                std::process::exit(128 + signal);
            }
        });
    }
    Ok(())
}
