//! The codebook: one pair of vectors for each bit.

/// A borrowed codebook `[2 * num_bits, features]` whose shape is checked.
///
/// Rows `2p` and `2p + 1` are the pair of bit `p`: the first vector stands for 0, the second for 1.
#[derive(Debug, Clone, Copy)]
pub struct Codebook<'a> {
    elements: &'a [f32],
    features: usize,
}

impl<'a> Codebook<'a> {
    /// Borrows the elements of a codebook and checks that they are whole pairs.
    ///
    /// # Shapes
    ///
    /// - `elements`: `[2 * num_bits, features]`
    ///
    /// # Panics
    ///
    /// Panics if `features` is 0, or if `elements` are not one or more whole pairs of vectors.
    pub fn new(elements: &'a [f32], features: usize) -> Self {
        let count = elements.len();
        assert!(
            features > 0
                && count > 0
                && count.is_multiple_of(2)
                && (count / 2).is_multiple_of(features),
            "Codebook: {count} elements, expected one or more pairs of vectors of {features} features"
        );
        Self { elements, features }
    }

    /// Returns the number of elements of a vector.
    pub fn features(self) -> usize {
        self.features
    }

    /// Returns the number of bits of a code, which is the number of pairs.
    pub fn num_bits(self) -> usize {
        self.elements.len() / (2 * self.features)
    }

    /// Iterates over the pairs, `[vector for 0, vector for 1]`.
    pub fn pairs(self) -> impl ExactSizeIterator<Item = [&'a [f32]; 2]> + Clone {
        self.elements
            .chunks_exact(2 * self.features)
            .map(move |pair| [&pair[..self.features], &pair[self.features..]])
    }

    /// Iterates over the differences of the pairs, each an iterator over its `features` elements.
    ///
    /// The difference of bit `p` is `codebook[2p + 1] - codebook[2p]`.
    pub fn differences(
        self,
    ) -> impl ExactSizeIterator<Item = impl ExactSizeIterator<Item = f32> + Clone> + Clone {
        self.pairs()
            .map(|[zero, one]| zero.iter().zip(one).map(|(zero, one)| one - zero))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn pairs_and_differences_are_those_of_consecutive_rows() {
        let elements = [1.0, 2.0, 4.0, 8.0, 0.5, 0.25, 0.0, -1.0];
        let codebook = Codebook::new(&elements, 2);
        assert_eq!((codebook.features(), codebook.num_bits()), (2, 2));
        let pairs: Vec<[&[f32]; 2]> = codebook.pairs().collect();
        let wanted: [[&[f32]; 2]; 2] = [[&[1.0, 2.0], &[4.0, 8.0]], [&[0.5, 0.25], &[0.0, -1.0]]];
        assert_eq!(pairs, wanted);
        let differences: Vec<Vec<f32>> = codebook.differences().map(Iterator::collect).collect();
        assert_eq!(differences, [[3.0, 6.0], [-0.5, -1.25]]);
    }

    #[test]
    #[should_panic(
        expected = "Codebook: 9 elements, expected one or more pairs of vectors of 3 features"
    )]
    fn an_odd_number_of_vectors_is_refused() {
        Codebook::new(&[0.0; 9], 3);
    }

    #[test]
    #[should_panic(
        expected = "Codebook: 8 elements, expected one or more pairs of vectors of 3 features"
    )]
    fn parts_of_vectors_are_refused() {
        Codebook::new(&[0.0; 8], 3);
    }

    #[test]
    #[should_panic(
        expected = "Codebook: 0 elements, expected one or more pairs of vectors of 3 features"
    )]
    fn a_codebook_without_pairs_is_refused() {
        Codebook::new(&[], 3);
    }

    #[test]
    #[should_panic(
        expected = "Codebook: 4 elements, expected one or more pairs of vectors of 0 features"
    )]
    fn vectors_without_features_are_refused() {
        Codebook::new(&[0.0; 4], 0);
    }
}
