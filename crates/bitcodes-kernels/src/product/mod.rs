//! Products of many vectors with a matrix, tile by tile, the core of encoding and of training.

use aligned_vec::{AVec, avec};
use pulp::{Simd, WithSimd};

use crate::level::Level;
use crate::rows::Rows;

mod epilogue;

pub use epilogue::{AddToRows, Epilogue, StoreRows};

/// A matrix `[inner, columns]`, laid out in panels for products of many vectors with it.
///
/// A panel holds one or two registers of columns. A tile of the product, some vectors by one panel,
/// is summed in registers over the inner axis, so that the panel is read once for all vectors of
/// the tile.
#[derive(Debug, Clone)]
pub struct Panels {
    level: Level,
    lanes: usize,
    inner: usize,
    columns: usize,
    /// Panels of consecutive columns, `[inner][columns]` each, zeros past the last column.
    data: AVec<f32>,
}

/// Width of a panel in registers; the last panel may be one register wide.
const PANEL_REGISTERS: usize = 2;

/// Number of a vector's elements that one bounds check covers.
const CHECKED_ELEMENTS: usize = 8;

impl Panels {
    /// Makes a matrix of zeros.
    pub fn new(level: Level, inner: usize, columns: usize) -> Self {
        let lanes = level.lanes();
        let wide: usize = panels(columns, lanes).map(|(_, width)| width).sum();
        Self {
            level,
            lanes,
            inner,
            columns,
            data: avec![0.0; inner * wide],
        }
    }

    /// Returns the number of rows, which is the number of elements of the vectors to multiply.
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// Returns the number of columns, which is the number of elements of a product.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Returns the level that the panels are laid out for.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Returns the single panel, `[inner][lanes]`, of a matrix whose columns fit into one register.
    pub fn only_panel(&self) -> &[f32] {
        assert!(
            self.columns <= self.lanes,
            "Panels: {} columns, expected at most {}",
            self.columns,
            self.lanes
        );
        &self.data[..self.inner * self.lanes]
    }

    /// Returns the panel, `[inner][columns]`, of a matrix with as many columns as a wide panel.
    pub fn wide_panel_mut(&mut self) -> &mut [f32] {
        assert_eq!(
            self.columns,
            PANEL_REGISTERS * self.lanes,
            "Panels: columns (left), expected a whole panel of them"
        );
        &mut self.data[..self.inner * self.columns]
    }

    /// Sets the row at an index.
    pub fn set_row(&mut self, index: usize, row: &[f32]) {
        for (first, width) in panels(self.columns, self.lanes) {
            let part = &row[first..self.columns.min(first + width)];
            let at = self.inner * first + index * width;
            self.data[at..][..part.len()].copy_from_slice(part);
        }
    }

    /// Sets the column at an index.
    pub fn set_column(&mut self, index: usize, column: impl Iterator<Item = f32>) {
        let (first, width) = panels(self.columns, self.lanes)
            .take_while(|&(first, _)| first <= index)
            .last()
            .expect("a matrix has columns");
        let panel = &mut self.data[self.inner * first..][..self.inner * width];
        let elements = panel.iter_mut().skip(index - first).step_by(width);
        elements.zip(column).for_each(|(to, element)| *to = element);
    }

    /// Reduces the number of rows; every row then has to be set anew.
    pub fn shrink(&mut self, inner: usize) {
        assert!(
            inner <= self.inner,
            "Panels: {inner} rows, expected at most {}",
            self.inner
        );
        self.inner = inner;
    }

    /// Multiplies vectors with the matrix on this thread and hands the products to an epilogue.
    pub fn product(&self, x: impl Vectors, epilogue: impl Epilogue) {
        assert_eq!(
            x.inner(),
            self.inner,
            "Panels: elements of a vector (left), rows of the matrix (right)"
        );
        self.level.run(Product {
            matrix: self,
            x,
            epilogue,
        });
    }
}

/// Iterates over the panels: the index of the first column, and the number of columns.
fn panels(columns: usize, lanes: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    let wide = PANEL_REGISTERS * lanes;
    (0..columns)
        .step_by(wide)
        .map(move |first| match columns - first {
            rest if rest <= lanes => (first, lanes),
            _ => (first, wide),
        })
}

/// Left factor of a product: vectors of `inner` elements each.
pub trait Vectors: Copy {
    /// Returns the number of vectors.
    fn count(self) -> usize;

    /// Returns the number of elements of a vector.
    fn inner(self) -> usize;

    /// Multiplies the `ROWS` vectors from index `first` on with a panel, `[inner]`.
    fn multiply_tile<S: Simd, const ROWS: usize, const WIDE: usize>(
        self,
        simd: S,
        first: usize,
        panel: &[[S::f32s; WIDE]],
    ) -> [[S::f32s; WIDE]; ROWS];
}

impl Vectors for Rows<'_> {
    fn count(self) -> usize {
        self.len()
    }

    fn inner(self) -> usize {
        self.features()
    }

    #[inline(always)]
    fn multiply_tile<S: Simd, const ROWS: usize, const WIDE: usize>(
        self,
        simd: S,
        first: usize,
        panel: &[[S::f32s; WIDE]],
    ) -> [[S::f32s; WIDE]; ROWS] {
        let mut sums = [[simd.splat_f32s(0.0); WIDE]; ROWS];
        let (blocks, rest) = panel.as_chunks::<CHECKED_ELEMENTS>();
        // `for` loops are compiled into this function, the closure of an array's `map` is not.
        let mut x: [&[f32]; ROWS] = [&[]; ROWS];
        for (row, x) in x.iter_mut().enumerate() {
            *x = self.row(first + row);
        }
        let mut here = [&[0.0; CHECKED_ELEMENTS]; ROWS];
        for (block, columns) in blocks.iter().enumerate() {
            for (here, x) in here.iter_mut().zip(x) {
                *here = x[block * CHECKED_ELEMENTS..]
                    .first_chunk()
                    .expect("elements");
            }
            for (element, columns) in columns.iter().enumerate() {
                for (sums, x) in sums.iter_mut().zip(&here) {
                    multiply_add(simd, sums, x[element], columns);
                }
            }
        }
        for (element, columns) in (panel.len() - rest.len()..).zip(rest) {
            for (sums, x) in sums.iter_mut().zip(x) {
                multiply_add(simd, sums, x[element], columns);
            }
        }
        sums
    }
}

/// Vectors that are the columns of a matrix `[inner, count]`.
#[derive(Clone, Copy)]
pub struct ColumnVectors<'a> {
    data: &'a [f32],
    count: usize,
}

impl<'a> ColumnVectors<'a> {
    /// Views a matrix with rows of `count` elements.
    pub fn new(data: &'a [f32], count: usize) -> Self {
        Self { data, count }
    }
}

impl Vectors for ColumnVectors<'_> {
    fn count(self) -> usize {
        self.count
    }

    fn inner(self) -> usize {
        self.data.len() / self.count
    }

    #[inline(always)]
    fn multiply_tile<S: Simd, const ROWS: usize, const WIDE: usize>(
        self,
        simd: S,
        first: usize,
        panel: &[[S::f32s; WIDE]],
    ) -> [[S::f32s; WIDE]; ROWS] {
        let mut sums = [[simd.splat_f32s(0.0); WIDE]; ROWS];
        for (row, columns) in self.data.chunks_exact(self.count).zip(panel) {
            let x: &[f32; ROWS] = row[first..].first_chunk().expect("elements");
            for (sums, &x) in sums.iter_mut().zip(x) {
                multiply_add(simd, sums, x, columns);
            }
        }
        sums
    }
}

/// Adds the product of one element of a vector and one row of a panel to the vector's sums.
#[inline(always)]
fn multiply_add<S: Simd, const WIDE: usize>(
    simd: S,
    sums: &mut [S::f32s; WIDE],
    x: f32,
    columns: &[S::f32s; WIDE],
) {
    let x = simd.splat_f32s(x);
    for (sum, &column) in sums.iter_mut().zip(columns) {
        *sum = simd.mul_add_e_f32s(x, column, *sum);
    }
}

/// Product of vectors with a matrix, to be run at a level.
struct Product<'a, X, E> {
    matrix: &'a Panels,
    x: X,
    epilogue: E,
}

impl<X: Vectors, E: Epilogue> WithSimd for Product<'_, X, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The sums of a tile fill the registers that its factors leave free.
        match S::REGISTER_COUNT {
            32.. => self.compute::<S, 8>(simd),
            _ => self.compute::<S, 6>(simd),
        }
    }
}

// for each tile of ROWS vectors:
//     for each panel of the matrix:
//         sums[0..ROWS] = 0                          // registers, one or two a vector
//         for i in 0..inner:
//             for each vector r of the tile:
//                 sums[r] += x[r][i] * panel[i]      // all columns of the panel at once
//         for each vector r of the tile:
//             epilogue(r, panel, sums[r])
//
// The vectors that do not fill a tile are tiles of one vector. Their sums have the same order, so
// that a vector's product does not depend on its neighbors.
impl<X: Vectors, E: Epilogue> Product<'_, X, E> {
    #[inline(always)]
    fn compute<S: Simd, const ROWS: usize>(mut self, simd: S) {
        let count = self.x.count();
        let whole = count - count % ROWS;
        for index in (0..whole).step_by(ROWS) {
            self.tiles::<S, ROWS>(simd, index);
        }
        for index in whole..count {
            self.tiles::<S, 1>(simd, index);
        }
    }

    /// Multiplies the `ROWS` vectors from `index` on with each panel.
    #[inline(always)]
    fn tiles<S: Simd, const ROWS: usize>(&mut self, simd: S, index: usize) {
        let Panels {
            inner,
            columns,
            lanes,
            ref data,
            ..
        } = *self.matrix;
        for (first, width) in panels(columns, lanes) {
            let (panel, _) = S::as_simd_f32s(&data[inner * first..][..inner * width]);
            match width > lanes {
                true => self.tile::<S, ROWS, PANEL_REGISTERS>(simd, index, first, panel),
                false => self.tile::<S, ROWS, 1>(simd, index, first, panel),
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const WIDE: usize>(
        &mut self,
        simd: S,
        index: usize,
        first: usize,
        panel: &[S::f32s],
    ) {
        let panel = panel.as_chunks::<WIDE>().0;
        let products = self.x.multiply_tile::<S, ROWS, WIDE>(simd, index, panel);
        for (row, &product) in products.iter().enumerate() {
            self.epilogue.finish(simd, index + row, first, product);
        }
    }
}
