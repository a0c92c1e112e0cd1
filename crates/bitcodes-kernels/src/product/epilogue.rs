//! Uses of the products of a tile while they are in registers.

use core::mem::MaybeUninit;

use pulp::Simd;

use crate::memory::{as_uninit, store_registers};

/// Last step of a product, which uses each result while it is in registers.
pub trait Epilogue {
    /// Uses the product of one vector with one panel.
    ///
    /// `first` is the index of the panel's first column; `product` is zero past the last column.
    fn finish<S: Simd, const WIDE: usize>(
        &mut self,
        simd: S,
        vector: usize,
        first: usize,
        product: [S::f32s; WIDE],
    );
}

/// Epilogue that stores the products in rows and writes every element of them.
pub struct StoreRows<'a> {
    /// `[vectors, columns]`
    pub rows: &'a mut [MaybeUninit<f32>],
    /// Number of columns of the matrix.
    pub columns: usize,
}

impl<'a> StoreRows<'a> {
    /// Makes an epilogue that overwrites initialized rows.
    pub fn over(rows: &'a mut [f32], columns: usize) -> Self {
        // SAFETY: only products are stored there, which are initialized.
        #[expect(
            unsafe_code,
            reason = "the same code writes initialized and new memory"
        )]
        let rows = unsafe { as_uninit(rows) };
        Self { rows, columns }
    }
}

impl Epilogue for StoreRows<'_> {
    #[inline(always)]
    fn finish<S: Simd, const WIDE: usize>(
        &mut self,
        _: S,
        vector: usize,
        first: usize,
        product: [S::f32s; WIDE],
    ) {
        let row = &mut self.rows[vector * self.columns..][..self.columns][first..];
        store_registers::<S, _>(&product, row);
    }
}

/// Epilogue that adds the products to rows.
pub struct AddToRows<'a> {
    /// `[vectors, columns]`
    pub rows: &'a mut [f32],
    /// Number of columns of the matrix.
    pub columns: usize,
}

impl Epilogue for AddToRows<'_> {
    #[inline(always)]
    fn finish<S: Simd, const WIDE: usize>(
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
