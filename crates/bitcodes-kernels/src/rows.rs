//! Views of vectors in memory.

/// A borrowed batch of vectors of equal length, each contiguous, at a constant stride.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    data: &'a [f32],
    count: usize,
    features: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// Views a slice as adjacent vectors of `features` elements.
    ///
    /// # Panics
    ///
    /// Panics if `features` is 0 or does not divide the number of elements.
    pub fn new(data: &'a [f32], features: usize) -> Self {
        assert!(
            features > 0 && data.len().is_multiple_of(features),
            "Rows: {} elements, expected vectors of {features}",
            data.len()
        );
        Self::strided(data, data.len() / features, features, features)
    }

    /// Views a slice as `count` vectors of `features` elements; vector `r` begins at `r * stride`.
    ///
    /// # Panics
    ///
    /// Panics if `features` is 0 or above the stride, or if the last vector ends past the data.
    pub fn strided(data: &'a [f32], count: usize, features: usize, stride: usize) -> Self {
        assert!(
            0 < features && features <= stride,
            "Rows: {features} features at a stride of {stride}, expected at least 1 and no overlap"
        );
        let end = match count {
            0 => Some(0),
            _ => stride
                .checked_mul(count - 1)
                .and_then(|last| last.checked_add(features)),
        };
        assert!(
            end.is_some_and(|end| end <= data.len()),
            "Rows: {} elements, expected {count} vectors of {features} at a stride of {stride}",
            data.len()
        );
        Self {
            data,
            count,
            features,
            stride,
        }
    }

    /// Returns the number of vectors.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether there are no vectors.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the number of elements of a vector.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Returns the vector at an index.
    ///
    /// # Panics
    ///
    /// Panics if `index` is not below [`len`](Self::len).
    pub fn row(&self, index: usize) -> &'a [f32] {
        assert!(index < self.count, "Rows: vector {index} of {}", self.count);
        &self.data[index * self.stride..][..self.features]
    }

    /// Returns all elements as one slice if the vectors are adjacent.
    pub fn as_slice(&self) -> Option<&'a [f32]> {
        (self.stride == self.features).then(|| &self.data[..self.count * self.features])
    }

    /// Iterates over the vectors.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [f32]> + use<'a> {
        let rows = *self;
        (0..self.count).map(move |index| rows.row(index))
    }

    /// Splits the view into its first `count` vectors and the others.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than `count` vectors.
    pub fn split_at(&self, count: usize) -> (Self, Self) {
        assert!(
            count <= self.count,
            "Rows: {count} vectors of {}",
            self.count
        );
        // The data may end with the last vector, before a whole stride.
        let at = (count * self.stride).min(self.data.len());
        let (first, rest) = self.data.split_at(at);
        let part = |data, count| Self {
            data,
            count,
            ..*self
        };
        (part(first, count), part(rest, self.count - count))
    }
}
