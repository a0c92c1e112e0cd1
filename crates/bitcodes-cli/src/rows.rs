//! The option `--rows`.

use std::ops::Range;
use std::str::FromStr;

/// Rows of a file, as `A..B`, `A..` or `..B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    start: usize,
    end: Option<usize>,
}

impl Rows {
    /// Returns the rows among those of a file; `Err` has the number of rows that they ask for.
    pub fn among(self, rows: usize) -> Result<Range<usize>, usize> {
        let end = self.end.unwrap_or(rows.max(self.start));
        match end <= rows {
            true => Ok(self.start..end),
            false => Err(end),
        }
    }
}

impl FromStr for Rows {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "expected rows as in 0..1000, 1000.. or ..1000";
        let (start, end) = text.split_once("..").ok_or(WANTED)?;
        let number = |text: &str| text.parse::<usize>().map_err(|_| WANTED);
        let start = match start {
            "" => 0,
            start => number(start)?,
        };
        let end = match end {
            "" => None,
            end => Some(number(end)?),
        };
        match end.is_some_and(|end| end < start) {
            true => Err("the first row is after the last"),
            false => Ok(Self { start, end }),
        }
    }
}
