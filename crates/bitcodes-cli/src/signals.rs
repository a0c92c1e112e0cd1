//! The end of the program at Ctrl-C and SIGTERM.
//!
//! On systems other than Unix, nothing is done: there Ctrl-C ends the program at once and may leave a file whose
//! name begins with `.unfinished-`.

use std::io;

use burn::train::Interrupter;

/// Makes the program end at SIGINT (Ctrl-C) and SIGTERM, with 128 plus the number of the signal as the exit code,
/// and without a file that is half-written.
pub(crate) fn end_without_unfinished_files() -> io::Result<()> {
    #[cfg(unix)]
    on_signals(|signal, _| {
        // The first character ends the line of a progress bar.
        end(
            signal,
            &format!("\nstopped by {}, before the output was whole", name(signal)),
        )
    })?;
    Ok(())
}

/// Makes the first signal stop the training after a step, with the name of the signal as the reason, and the second
/// end the program at once.
pub(crate) fn stop_training(interrupter: Interrupter) -> io::Result<()> {
    #[cfg(unix)]
    on_signals(move |signal, earlier| match earlier {
        0 => interrupter.stop(Some(name(signal))),
        _ => end(signal, "\nstopped at once"),
    })?;
    #[cfg(not(unix))]
    let _ = interrupter;
    Ok(())
}

/// Returns the exit code of a training that was stopped for this reason, if it is a signal.
pub(crate) fn exit_code(reason: &str) -> Option<u8> {
    #[cfg(unix)]
    {
        let signal = SIGNALS.into_iter().find(|&signal| name(signal) == reason)?;
        u8::try_from(128 + signal).ok()
    }
    #[cfg(not(unix))]
    {
        let _ = reason;
        None
    }
}

#[cfg(unix)]
const SIGNALS: [i32; 2] = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];

#[cfg(unix)]
fn name(signal: i32) -> &'static str {
    match signal {
        signal_hook::consts::SIGINT => "SIGINT",
        _ => "SIGTERM",
    }
}

/// Calls a function with each signal and the number of signals before it, on a thread of its own: the others may
/// wait for ever, for a pipe.
#[cfg(unix)]
fn on_signals(mut act: impl FnMut(i32, usize) + Send + 'static) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new(SIGNALS)?;
    std::thread::spawn(move || {
        for (earlier, signal) in signals.forever().enumerate() {
            act(signal, earlier);
        }
    });
    Ok(())
}

#[cfg(unix)]
fn end(signal: i32, message: &str) {
    use io::Write;

    bitcodes_train::remove_unfinished_files();
    // An error of writing to standard error cannot be reported.
    let _ = writeln!(io::stderr(), "{message}");
    std::process::exit(128 + signal);
}
