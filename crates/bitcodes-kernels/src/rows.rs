//! Vectors in memory.

/// Vectors of equal length, each contiguous, at equal distances.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    data: &'a [f32],
    count: usize,
    features: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// Vectors of `features` elements, one after the other.
    ///
    /// # Panics
    ///
    /// Where `features` is 0 or does not divide the elements.
    pub fn new(data: &'a [f32], features: usize) -> Self {
        assert!(
            features > 0 && data.len().is_multiple_of(features),
            "Rows: {} elements, expected vectors of {features}",
            data.len()
        );
        Self::strided(data, data.len() / features, features, features)
    }

    /// `count` vectors of `features` elements, of which the `r`-th begins at `r * stride`.
    ///
    /// # Panics
    ///
    /// Where `features` is 0 or above the stride, or the last vector ends past the data.
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

    /// Vectors.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Elements of a vector.
    pub fn features(&self) -> usize {
        self.features
    }

    /// One vector.
    ///
    /// # Panics
    ///
    /// Where there is none of this number.
    pub fn row(&self, index: usize) -> &'a [f32] {
        assert!(index < self.count, "Rows: vector {index} of {}", self.count);
        &self.data[index * self.stride..][..self.features]
    }

    /// All elements, where nothing lies between the vectors.
    pub fn as_slice(&self) -> Option<&'a [f32]> {
        (self.stride == self.features).then(|| &self.data[..self.count * self.features])
    }

    /// Every vector.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [f32]> + use<'a> {
        let rows = *self;
        (0..self.count).map(move |index| rows.row(index))
    }

    /// The first vectors, and the others.
    ///
    /// # Panics
    ///
    /// Where there are not so many.
    pub fn split_at(&self, count: usize) -> (Self, Self) {
        assert!(
            count <= self.count,
            "Rows: {count} vectors of {}",
            self.count
        );
        // The last vector ends before the next would begin.
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
