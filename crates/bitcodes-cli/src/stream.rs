//! Blocks that are read, computed and written at the same time.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::mpsc::{channel, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use indicatif::{ProgressBar, ProgressStyle};

use crate::error::CliError;

/// Size of a block of vectors in bytes. Some blocks fit into the cache that all cores share, and a block is
/// enough work for all of them.
const BLOCK_BYTES: usize = 4 << 20;
const MAX_ROWS: usize = 1 << 16;

/// Number of blocks that may wait to be computed, and to be written.
const WAITING: usize = 2;

/// Reads the rows, computes them and writes them, block by block, in order. One thread reads and one writes, while
/// this one computes.
///
/// The functions get the rows of the block, and the memory of an earlier block to use again.
pub(crate) fn stream<I, O>(
    rows: Range<usize>,
    features: usize,
    mut read: impl FnMut(Range<usize>, &mut I) -> Result<(), CliError> + Send,
    mut compute: impl FnMut(Range<usize>, &mut I, &mut O) -> Result<(), CliError>,
    mut write: impl FnMut(&O) -> Result<(), CliError> + Send,
) -> Result<(), CliError>
where
    I: Default + Send,
    O: Default + Send,
{
    let progress = progress(rows.len());
    let block = (BLOCK_BYTES / size_of::<f32>() / features).clamp(1, MAX_ROWS);
    let end = rows.end;
    let blocks = rows
        .step_by(block)
        .map(move |start| start..end.min(start + block));
    thread::scope(|scope| {
        let (to_compute, inputs) = sync_channel::<(Range<usize>, I)>(WAITING);
        let (give_back_input, used_inputs) = channel::<I>();
        let reader = scope.spawn(move || {
            for rows in blocks {
                let mut input = used_inputs.try_recv().unwrap_or_default();
                read(rows.clone(), &mut input)?;
                // Nobody receives it if computing or writing has failed.
                if to_compute.send((rows, input)).is_err() {
                    break;
                }
            }
            Ok(())
        });

        let (to_write, outputs) = sync_channel::<(usize, O)>(WAITING);
        let (give_back_output, used_outputs) = channel::<O>();
        let bar = &progress;
        let writer = scope.spawn(move || {
            for (rows, output) in outputs {
                write(&output)?;
                bar.inc(rows as u64);
                // Nobody receives it after the last block.
                let _ = give_back_output.send(output);
            }
            Ok(())
        });

        let mut computed = Ok(());
        for (rows, mut input) in inputs {
            let mut output = used_outputs.try_recv().unwrap_or_default();
            computed = compute(rows.clone(), &mut input, &mut output);
            if computed.is_err() || to_write.send((rows.len(), output)).is_err() {
                break;
            }
            // Nobody receives it after the last block.
            let _ = give_back_input.send(input);
        }
        drop(to_write);
        let read = join(reader);
        let written = join(writer);
        progress.finish_and_clear();
        // If writing fails, computing ends without an error, and then reading does.
        written.and(computed).and(read)
    })
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Makes a progress bar on standard error. It is hidden if standard error is not a terminal.
fn progress(rows: usize) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{bar:40} {human_pos}/{human_len} vectors, {per_sec}, {eta} left",
    );
    ProgressBar::new(rows as u64).with_style(style.expect("the template is valid"))
}
