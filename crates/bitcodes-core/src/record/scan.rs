//! How much there is in a record, before any of it is held in memory: a byte of MessagePack can
//! stand for a value that takes fifty, and a header for more than there is.

use alloc::format;
use alloc::string::String;

use rmp::Marker;

/// More than the record of any model has, whose tensors are one value each.
const MAX_VALUES: u64 = 1 << 22;

/// Counts the values of a record; an error where it ends too soon or has too many.
pub(super) fn count_values(bytes: &[u8]) -> Result<u64, String> {
    let mut rest = bytes;
    let (mut count, mut open) = (0, 1u64);
    while open > 0 {
        open -= 1;
        count += 1;
        let [marker] = *take::<1>(&mut rest, bytes)?;
        let (skip, values) = match Marker::from_u8(marker) {
            Marker::FixMap(pairs) => (0, 2 * u64::from(pairs)),
            Marker::Map16 => (0, 2 * length::<2>(&mut rest, bytes)?),
            Marker::Map32 => (0, 2 * length::<4>(&mut rest, bytes)?),
            Marker::FixArray(values) => (0, values.into()),
            Marker::Array16 => (0, length::<2>(&mut rest, bytes)?),
            Marker::Array32 => (0, length::<4>(&mut rest, bytes)?),
            Marker::FixStr(bytes) => (bytes.into(), 0),
            Marker::Str8 | Marker::Bin8 => (length::<1>(&mut rest, bytes)?, 0),
            Marker::Str16 | Marker::Bin16 => (length::<2>(&mut rest, bytes)?, 0),
            Marker::Str32 | Marker::Bin32 => (length::<4>(&mut rest, bytes)?, 0),
            // With a byte for its kind.
            Marker::Ext8 => (1 + length::<1>(&mut rest, bytes)?, 0),
            Marker::Ext16 => (1 + length::<2>(&mut rest, bytes)?, 0),
            Marker::Ext32 => (1 + length::<4>(&mut rest, bytes)?, 0),
            Marker::FixExt1 => (2, 0),
            Marker::FixExt2 => (3, 0),
            Marker::FixExt4 => (5, 0),
            Marker::FixExt8 => (9, 0),
            Marker::FixExt16 => (17, 0),
            Marker::U8 | Marker::I8 => (1, 0),
            Marker::U16 | Marker::I16 => (2, 0),
            Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
            Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
            Marker::FixPos(_)
            | Marker::FixNeg(_)
            | Marker::Null
            | Marker::True
            | Marker::False
            | Marker::Reserved => (0, 0),
        };
        open += values;
        if count + open > MAX_VALUES {
            return Err(format!(
                "{} values, expected at most {MAX_VALUES}",
                count + open
            ));
        }
        let skip = usize::try_from(skip)
            .ok()
            .filter(|&skip| skip <= rest.len());
        rest = skip
            .map(|skip| &rest[skip..])
            .ok_or_else(|| ends_too_soon(bytes))?;
    }
    Ok(count)
}

/// An unsigned number of `N` bytes, the first the most significant.
fn length<const N: usize>(rest: &mut &[u8], bytes: &[u8]) -> Result<u64, String> {
    let digits = take::<N>(rest, bytes)?;
    Ok(digits.iter().fold(0, |n, &digit| n << 8 | u64::from(digit)))
}

fn take<'a, const N: usize>(rest: &mut &'a [u8], bytes: &[u8]) -> Result<&'a [u8; N], String> {
    let (taken, after) = rest
        .split_first_chunk()
        .ok_or_else(|| ends_too_soon(bytes))?;
    *rest = after;
    Ok(taken)
}

fn ends_too_soon(bytes: &[u8]) -> String {
    format!("it ends within a value after {} bytes", bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use rmpv::Value;

    #[test]
    fn counts_what_the_reader_reads() {
        let value = Value::Map(vec![
            (
                Value::from("a"),
                Value::Array(vec![Value::from(70_000); 300]),
            ),
            (Value::from("b"), Value::Binary(vec![7; 100_000])),
            (Value::from("c".repeat(40)), Value::Ext(3, vec![1, 2, 3])),
            (Value::from(-1), Value::F64(0.5)),
            (Value::Nil, Value::Boolean(true)),
        ]);
        let mut bytes = vec![];
        rmpv::encode::write_value(&mut bytes, &value).unwrap();
        assert_eq!(count_values(&bytes), Ok(1 + 5 * 2 + 300));
        for length in 0..1000 {
            let found = count_values(&bytes[..length]).unwrap_err();
            assert!(found.contains("ends within a value"), "{found}");
        }
        // What would take gigabytes, and what claims more than there is.
        let many = [&[0xdd, 0x02, 0, 0, 0][..], &vec![0xc0; 1 << 25]].concat();
        assert!(
            count_values(&many)
                .unwrap_err()
                .starts_with("33554433 values")
        );
        assert!(
            count_values(&[0xdd, 0xff, 0xff, 0xff, 0xff])
                .unwrap_err()
                .contains("values")
        );
    }
}
