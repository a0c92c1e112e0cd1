//! Products of many vectors with a matrix, tile by tile.

use core::mem::MaybeUninit;

use aligned_vec::{AVec, avec};
use pulp::{Simd, WithSimd};

use crate::level::Level;
use crate::memory::{as_unwritten, put};
use crate::rows::Rows;

/// A matrix `[inner, columns]`, laid out for products of vectors of `inner` elements with it.
///
/// A tile of a product, some vectors by one or two registers of columns, is summed in registers over
/// the inner axis: its panel of columns is read once for all of its vectors.
#[derive(Debug, Clone)]
pub struct Panels {
    level: Level,
    lanes: usize,
    inner: usize,
    columns: usize,
    /// Panels of consecutive columns, each `[inner][columns of the panel]`, zeros past the last.
    data: AVec<f32>,
}

/// Registers that a panel is wide, but for the last.
const REGISTERS: usize = 2;

/// Inner elements between two looks at whether a vector has them.
const BLOCK: usize = 8;

impl Panels {
    /// Of zeros.
    pub fn new(level: Level, inner: usize, columns: usize) -> Self {
        let lanes = level.run(Lanes);
        let wide: usize = panels(columns, lanes).map(|(_, width)| width).sum();
        Self {
            level,
            lanes,
            inner,
            columns,
            data: avec![0.0; inner * wide],
        }
    }

    /// Elements of the vectors.
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// Elements of a product.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Its instructions.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The panel of a matrix of no more columns than a register has lanes, `[inner][lanes]`.
    pub fn only_panel(&self) -> &[f32] {
        assert!(
            self.columns <= self.lanes,
            "a matrix of {} columns",
            self.columns
        );
        &self.data[..self.inner * self.lanes]
    }

    /// Sets a row.
    pub fn set_row(&mut self, index: usize, row: &[f32]) {
        for (first, width) in panels(self.columns, self.lanes) {
            let part = &row[first..self.columns.min(first + width)];
            let at = self.inner * first + index * width;
            self.data[at..][..part.len()].copy_from_slice(part);
        }
    }

    /// Sets a column.
    pub fn set_column(&mut self, index: usize, column: impl Iterator<Item = f32>) {
        let (first, width) = panels(self.columns, self.lanes)
            .take_while(|&(first, _)| first <= index)
            .last()
            .expect("a matrix has columns");
        let panel = &mut self.data[self.inner * first..][..self.inner * width];
        let elements = panel.iter_mut().skip(index - first).step_by(width);
        elements.zip(column).for_each(|(to, element)| *to = element);
    }

    /// Makes it a matrix of fewer rows, all of which have to be set anew.
    pub fn shrink(&mut self, inner: usize) {
        assert!(
            inner <= self.inner,
            "a matrix of {} rows, asked for {inner}",
            self.inner
        );
        self.inner = inner;
    }

    /// Multiplies vectors of `inner` elements, on this thread.
    pub fn product(&self, x: impl Vectors, keep: impl Keep) {
        assert_eq!(x.inner(), self.inner, "vectors of another length");
        self.level.run(Tiles {
            matrix: self,
            x,
            keep,
        });
    }
}

/// Where each panel begins, and its width.
fn panels(columns: usize, lanes: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    let wide = REGISTERS * lanes;
    (0..columns)
        .step_by(wide)
        .map(move |first| match columns - first {
            rest if rest <= lanes => (first, lanes),
            _ => (first, wide),
        })
}

/// Lanes of a register.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// What is done with a product.
pub trait Keep {
    /// Takes that of a vector from the column `first` on, zeros past the last column.
    fn keep<S: Simd, const WIDE: usize>(
        &mut self,
        simd: S,
        vector: usize,
        first: usize,
        product: [S::f32s; WIDE],
    );
}

/// Puts it in rows.
pub struct Put<'a> {
    /// `[vectors, columns]`, of which every element is written.
    pub rows: &'a mut [MaybeUninit<f32>],
    /// Elements of a row.
    pub columns: usize,
}

impl<'a> Put<'a> {
    /// Over what is there.
    pub fn over(rows: &'a mut [f32], columns: usize) -> Self {
        // SAFETY: products are put there.
        #[expect(unsafe_code, reason = "the same code writes what is new")]
        let rows = unsafe { as_unwritten(rows) };
        Self { rows, columns }
    }
}

impl Keep for Put<'_> {
    #[inline(always)]
    fn keep<S: Simd, const WIDE: usize>(
        &mut self,
        _: S,
        vector: usize,
        first: usize,
        product: [S::f32s; WIDE],
    ) {
        let row = &mut self.rows[vector * self.columns..][..self.columns][first..];
        put::<S, _>(&product, row);
    }
}

/// Adds it to rows.
pub struct Add<'a> {
    /// `[vectors, columns]`
    pub rows: &'a mut [f32],
    /// Elements of a row.
    pub columns: usize,
}

impl Keep for Add<'_> {
    #[inline(always)]
    fn keep<S: Simd, const WIDE: usize>(
        &mut self,
        _: S,
        vector: usize,
        first: usize,
        product: [S::f32s; WIDE],
    ) {
        let row = &mut self.rows[vector * self.columns..][..self.columns][first..];
        let product: &[f32] = bytemuck::cast_slice(&product);
        row.iter_mut()
            .zip(product)
            .for_each(|(sum, &part)| *sum += part);
    }
}

/// Vectors that are multiplied.
pub trait Vectors: Copy {
    /// Vectors.
    fn count(self) -> usize;

    /// Elements of each.
    fn inner(self) -> usize;

    /// The products of `ROWS` of them with a panel, `[inner]`.
    fn tile<S: Simd, const ROWS: usize, const WIDE: usize>(
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
    fn tile<S: Simd, const ROWS: usize, const WIDE: usize>(
        self,
        simd: S,
        first: usize,
        panel: &[[S::f32s; WIDE]],
    ) -> [[S::f32s; WIDE]; ROWS] {
        let mut sums = [[simd.splat_f32s(0.0); WIDE]; ROWS];
        let (blocks, rest) = panel.as_chunks::<BLOCK>();
        // Loops rather than arrays' `map`, which is not compiled into its caller.
        let mut x: [&[f32]; ROWS] = [&[]; ROWS];
        for (row, x) in x.iter_mut().enumerate() {
            *x = self.row(first + row);
        }
        let mut here = [&[0.0; BLOCK]; ROWS];
        for (block, columns) in blocks.iter().enumerate() {
            for (here, x) in here.iter_mut().zip(x) {
                *here = x[block * BLOCK..].first_chunk().expect("elements");
            }
            for (element, columns) in columns.iter().enumerate() {
                for (sums, x) in sums.iter_mut().zip(&here) {
                    add(simd, sums, x[element], columns);
                }
            }
        }
        for (element, columns) in (panel.len() - rest.len()..).zip(rest) {
            for (sums, x) in sums.iter_mut().zip(x) {
                add(simd, sums, x[element], columns);
            }
        }
        sums
    }
}

/// The columns of a matrix `[inner, count]`.
#[derive(Clone, Copy)]
pub struct Columns<'a> {
    data: &'a [f32],
    count: usize,
}

impl<'a> Columns<'a> {
    /// Of a matrix with rows of `count` elements.
    pub fn new(data: &'a [f32], count: usize) -> Self {
        Self { data, count }
    }
}

impl Vectors for Columns<'_> {
    fn count(self) -> usize {
        self.count
    }

    fn inner(self) -> usize {
        self.data.len() / self.count
    }

    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const WIDE: usize>(
        self,
        simd: S,
        first: usize,
        panel: &[[S::f32s; WIDE]],
    ) -> [[S::f32s; WIDE]; ROWS] {
        let mut sums = [[simd.splat_f32s(0.0); WIDE]; ROWS];
        for (row, columns) in self.data.chunks_exact(self.count).zip(panel) {
            let x: &[f32; ROWS] = row[first..].first_chunk().expect("elements");
            for (sums, &x) in sums.iter_mut().zip(x) {
                add(simd, sums, x, columns);
            }
        }
        sums
    }
}

/// Adds the products of an element of a vector with a row of a panel.
#[inline(always)]
fn add<S: Simd, const WIDE: usize>(
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

/// Vectors by tiles.
struct Tiles<'a, X, K> {
    matrix: &'a Panels,
    x: X,
    keep: K,
}

impl<X: Vectors, K: Keep> WithSimd for Tiles<'_, X, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many sums as registers hold beside what is multiplied.
        match S::REGISTER_COUNT {
            32.. => self.compute::<S, 8>(simd),
            _ => self.compute::<S, 6>(simd),
        }
    }
}

impl<X: Vectors, K: Keep> Tiles<'_, X, K> {
    #[inline(always)]
    fn compute<S: Simd, const ROWS: usize>(mut self, simd: S) {
        let count = self.x.count();
        let whole = count - count % ROWS;
        for index in (0..whole).step_by(ROWS) {
            self.rows::<S, ROWS>(simd, index);
        }
        for index in whole..count {
            self.rows::<S, 1>(simd, index);
        }
    }

    /// The vectors from `index` on.
    #[inline(always)]
    fn rows<S: Simd, const ROWS: usize>(&mut self, simd: S, index: usize) {
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
                true => self.tile::<S, ROWS, REGISTERS>(simd, index, first, panel),
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
        let products = self.x.tile::<S, ROWS, WIDE>(simd, index, panel);
        for (row, &product) in products.iter().enumerate() {
            self.keep.keep(simd, index + row, first, product);
        }
    }
}
