//! The backends that Bitcodes knows, in one list.
//!
//! A user's code is bounded by `B: Backend` and nothing more. A known backend is recognized by the
//! type of its tensors, which covers every element type of the GPU backends, and inside of
//! `Autodiff` every strategy of checkpointing. Any other backend computes by the portable tensor
//! operations.

#[cfg(feature = "autodiff")]
use core::any::Any;
use core::any::TypeId;

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

/// Code that runs on a known backend.
#[cfg(feature = "autodiff")]
pub(crate) trait OnKnown {
    /// The result of the code.
    type Output;

    /// Runs the code on the backend `K`.
    fn run<K: Backend>(self) -> Self::Output;
}

macro_rules! known_backends {
    (
        host memory: $($host_feature:literal $Host:ident),*;
        device memory: $($device_feature:literal $Device:ident),*;
    ) => {
        /// A backend that Bitcodes knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Known {
            $( #[cfg(feature = $host_feature)] $Host, )*
            $( #[cfg(feature = $device_feature)] $Device, )*
        }

        impl Known {
            /// All known backends of this build.
            #[cfg(all(test, feature = "autodiff"))]
            pub const ALL: &[Self] = &[
                $( #[cfg(feature = $host_feature)] Self::$Host, )*
                $( #[cfg(feature = $device_feature)] Self::$Device, )*
            ];

            /// Recognizes `B` as a known backend, not inside of `Autodiff`.
            pub fn of<B: Backend>() -> Option<Self> {
                let tensor = TypeId::of::<FloatTensor<B>>();
                $(
                    #[cfg(feature = $host_feature)]
                    if tensor == TypeId::of::<FloatTensor<burn::backend::$Host>>() {
                        return Some(Self::$Host);
                    }
                )*
                $(
                    #[cfg(feature = $device_feature)]
                    if tensor == TypeId::of::<FloatTensor<burn::backend::$Device>>() {
                        return Some(Self::$Device);
                    }
                )*
                let _ = tensor;
                None
            }

            /// Recognizes `B` as `Autodiff` around a known backend, and returns that backend.
            #[cfg(feature = "autodiff")]
            pub fn inside_autodiff<B: Backend>() -> Option<Self> {
                let tensor = TypeId::of::<FloatTensor<B>>();
                $(
                    #[cfg(feature = $host_feature)]
                    if tensor == TypeId::of::<FloatTensor<burn::backend::Autodiff<burn::backend::$Host>>>() {
                        return Some(Self::$Host);
                    }
                )*
                $(
                    #[cfg(feature = $device_feature)]
                    if tensor == TypeId::of::<FloatTensor<burn::backend::Autodiff<burn::backend::$Device>>>() {
                        return Some(Self::$Device);
                    }
                )*
                let _ = tensor;
                None
            }

            /// Returns whether the backend's tensors lie in the host's memory.
            pub fn is_in_host_memory(self) -> bool {
                match self {
                    $( #[cfg(feature = $host_feature)] Self::$Host => true, )*
                    $( #[cfg(feature = $device_feature)] Self::$Device => false, )*
                }
            }

            /// Runs code on the backend.
            #[cfg(feature = "autodiff")]
            pub fn run<Code: OnKnown>(self, code: Code) -> Code::Output {
                let _ = &code;
                match self {
                    $(
                        #[cfg(feature = $host_feature)]
                        Self::$Host => code.run::<burn::backend::$Host>(),
                    )*
                    $(
                        #[cfg(feature = $device_feature)]
                        Self::$Device => code.run::<burn::backend::$Device>(),
                    )*
                }
            }

            /// Runs code on a backend whose tensors lie in the host's memory. The code is not
            /// compiled for any other.
            #[cfg(feature = "autodiff")]
            pub fn run_in_host_memory<Code: OnKnown>(self, code: Code) -> Option<Code::Output> {
                let _ = &code;
                match self {
                    $(
                        #[cfg(feature = $host_feature)]
                        Self::$Host => Some(code.run::<burn::backend::$Host>()),
                    )*
                    $(
                        #[cfg(feature = $device_feature)]
                        Self::$Device => None,
                    )*
                }
            }
        }
    };
}

known_backends! {
    host memory: "flex" Flex, "ndarray" NdArray;
    device memory: "wgpu" Wgpu, "cuda" Cuda;
}

/// Returns whether the values of `B`'s tensors lie in the host's memory, also inside of `Autodiff`.
pub(crate) fn has_values_in_host_memory<B: Backend>() -> bool {
    let known = Known::of::<B>();
    #[cfg(feature = "autodiff")]
    let known = known.or_else(Known::inside_autodiff::<B>);
    known.is_some_and(Known::is_in_host_memory)
}

/// Returns a value as another type. Panics unless both types are the same.
#[cfg(feature = "autodiff")]
pub(crate) fn same<A: 'static, T: 'static>(value: A) -> T {
    let mut slot = Some(value);
    let same = (&mut slot as &mut dyn Any).downcast_mut::<Option<T>>();
    same.and_then(Option::take)
        .expect("the types were compared")
}

#[cfg(all(test, feature = "flex", feature = "autodiff"))]
mod tests {
    use super::*;
    use burn::backend::Autodiff;
    use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
    use burn::backend::*;

    /// If a backend were not recognized, every other test would pass on the portable operations.
    #[test]
    fn every_backend_is_recognized_alone_and_inside_autodiff_with_any_checkpointing() {
        fn check<K: Backend>(wanted: Known) {
            assert_eq!(Known::of::<K>(), Some(wanted));
            assert_eq!(Known::inside_autodiff::<K>(), None);
            assert_eq!(Known::of::<Autodiff<K>>(), None);
            assert_eq!(Known::inside_autodiff::<Autodiff<K>>(), Some(wanted));
            let balanced = Known::inside_autodiff::<Autodiff<K, BalancedCheckpointing>>();
            assert_eq!(balanced, Some(wanted));
        }
        check::<Flex>(Known::Flex);
        #[cfg(feature = "ndarray")]
        check::<NdArray>(Known::NdArray);
        #[cfg(feature = "wgpu")]
        check::<Wgpu>(Known::Wgpu);
        #[cfg(feature = "cuda")]
        check::<Cuda>(Known::Cuda);
    }
}
