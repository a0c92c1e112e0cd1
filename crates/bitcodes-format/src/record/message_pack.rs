//! MessagePack as far as records need it ([specification](https://github.com/msgpack/msgpack)).
//!
//! One byte of MessagePack can stand for a value that takes fifty in memory, and a header of five
//! bytes can announce more values than there is memory for. So announced values are counted before
//! any of them is read, and texts and bytes are borrowed from the file.

use rmp::Marker;

/// A value of a record.
///
/// Values that no record needs are read as [`Other`](Self::Other): Booleans, negative and
/// floating-point numbers, extensions, and texts that are not UTF-8.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Nothing, such as an optional module that is absent.
    Nil,
    /// A whole number that is not negative.
    Number(u64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A list.
    List(Vec<Value<'a>>),
    /// Keys with their values; a key that is no text is read as `""`.
    Map(Vec<(&'a str, Value<'a>)>),
    /// Anything else.
    Other,
}

impl<'a> Value<'a> {
    /// Returns the value under a key of a map; the first if there are several.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let found = self.entries()?.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| value)
    }

    /// Returns the value at the end of a path of keys of maps and indices of lists.
    pub fn at<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Option<&Self> {
        path.into_iter().try_fold(self, |value, step| match value {
            Self::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => value.get(step),
        })
    }

    /// Returns the entries of a map.
    pub fn entries(&self) -> Option<&[(&'a str, Self)]> {
        match self {
            Self::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Returns the items of a list.
    pub fn items(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the text, if the value is one.
    pub fn as_text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the number, if the value is one.
    pub fn as_number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the bytes, if the value is bytes.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Limit on the number of values: more than any record needs, as the bytes of a tensor are one
/// value.
const MAX_VALUES: u64 = 1 << 22;
/// Limit on the depth: more than the modules of any model need.
const MAX_DEPTH: usize = 128;

/// Reads the one value that the bytes hold.
pub(super) fn read(bytes: &[u8]) -> Result<Value<'_>, String> {
    let mut reader = Reader {
        length: bytes.len(),
        rest: bytes,
        announced: 1,
    };
    let value = reader.value(0)?;
    match reader.rest.len() {
        0 => Ok(value),
        after => Err(format!("{after} bytes follow its end")),
    }
}

struct Reader<'a> {
    /// Bytes of the whole record.
    length: usize,
    rest: &'a [u8],
    /// Number of values that the headers so far announce, read or still to come.
    announced: u64,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, String> {
        if depth > MAX_DEPTH {
            return Err(format!("values more than {MAX_DEPTH} deep"));
        }
        let marker = Marker::from_u8(self.bytes(1)?[0]);
        Ok(match marker {
            Marker::Null | Marker::Reserved => Value::Nil,
            Marker::True | Marker::False | Marker::FixNeg(_) => Value::Other,

            Marker::FixPos(number) => Value::Number(number.into()),
            Marker::U8 => Value::Number(self.number(1)?),
            Marker::U16 => Value::Number(self.number(2)?),
            Marker::U32 => Value::Number(self.number(4)?),
            Marker::U64 => Value::Number(self.number(8)?),
            Marker::I8 => self.signed(1)?,
            Marker::I16 => self.signed(2)?,
            Marker::I32 => self.signed(4)?,
            Marker::I64 => self.signed(8)?,
            Marker::F32 => self.other(4)?,
            Marker::F64 => self.other(8)?,

            Marker::FixStr(length) => self.text(length.into())?,
            Marker::Str8 => self.number(1).and_then(|length| self.text(length))?,
            Marker::Str16 => self.number(2).and_then(|length| self.text(length))?,
            Marker::Str32 => self.number(4).and_then(|length| self.text(length))?,
            Marker::Bin8 => self.number(1).and_then(|length| self.blob(length))?,
            Marker::Bin16 => self.number(2).and_then(|length| self.blob(length))?,
            Marker::Bin32 => self.number(4).and_then(|length| self.blob(length))?,

            // An extension has a byte for its kind.
            Marker::FixExt1 => self.other(2)?,
            Marker::FixExt2 => self.other(3)?,
            Marker::FixExt4 => self.other(5)?,
            Marker::FixExt8 => self.other(9)?,
            Marker::FixExt16 => self.other(17)?,
            Marker::Ext8 => self.number(1).and_then(|length| self.other(1 + length))?,
            Marker::Ext16 => self.number(2).and_then(|length| self.other(1 + length))?,
            Marker::Ext32 => self.number(4).and_then(|length| self.other(1 + length))?,

            Marker::FixArray(items) => self.list(items.into(), depth)?,
            Marker::Array16 => self.number(2).and_then(|items| self.list(items, depth))?,
            Marker::Array32 => self.number(4).and_then(|items| self.list(items, depth))?,
            Marker::FixMap(pairs) => self.map(pairs.into(), depth)?,
            Marker::Map16 => self.number(2).and_then(|pairs| self.map(pairs, depth))?,
            Marker::Map32 => self.number(4).and_then(|pairs| self.map(pairs, depth))?,
        })
    }

    fn list(&mut self, items: u64, depth: usize) -> Result<Value<'a>, String> {
        self.announce(items)?;
        let items = (0..items).map(|_| self.value(depth + 1));
        items.collect::<Result<_, _>>().map(Value::List)
    }

    fn map(&mut self, pairs: u64, depth: usize) -> Result<Value<'a>, String> {
        self.announce(2 * pairs)?;
        let pairs = (0..pairs).map(|_| {
            let key = self.value(depth + 1)?;
            Ok((key.as_text().unwrap_or_default(), self.value(depth + 1)?))
        });
        pairs.collect::<Result<_, _>>().map(Value::Map)
    }

    fn announce(&mut self, values: u64) -> Result<(), String> {
        self.announced += values;
        match self.announced {
            ..=MAX_VALUES => Ok(()),
            more => Err(format!("{more} values, expected at most {MAX_VALUES}")),
        }
    }

    fn text(&mut self, length: u64) -> Result<Value<'a>, String> {
        let text = str::from_utf8(self.bytes(length)?);
        Ok(text.map_or(Value::Other, Value::Text))
    }

    fn blob(&mut self, length: u64) -> Result<Value<'a>, String> {
        self.bytes(length).map(Value::Bytes)
    }

    fn other(&mut self, length: u64) -> Result<Value<'a>, String> {
        self.bytes(length).map(|_| Value::Other)
    }

    /// Reads a number of `length` bytes in two's complement.
    fn signed(&mut self, length: u64) -> Result<Value<'a>, String> {
        let number = self.number(length)?;
        let is_negative = number >> (8 * length - 1) == 1;
        Ok(match is_negative {
            true => Value::Other,
            false => Value::Number(number),
        })
    }

    /// Reads an unsigned number of `length` bytes, the most significant first.
    fn number(&mut self, length: u64) -> Result<u64, String> {
        let digits = self.bytes(length)?;
        Ok(digits.iter().fold(0, |n, &digit| n << 8 | u64::from(digit)))
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], String> {
        let length = usize::try_from(length).ok();
        let Some((bytes, rest)) = length.and_then(|length| self.rest.split_at_checked(length))
        else {
            return Err(format!(
                "it ends within a value after {} bytes",
                self.length
            ));
        };
        self.rest = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmp::encode::*;

    #[test]
    fn every_kind_of_value_is_read_and_every_cut_is_an_error() {
        let mut bytes = vec![];
        write_map_len(&mut bytes, 6).unwrap();
        write_str(&mut bytes, "list").unwrap();
        write_array_len(&mut bytes, 300).unwrap();
        for _ in 0..300 {
            write_uint(&mut bytes, 70_000).unwrap();
        }
        write_str(&mut bytes, "bytes").unwrap();
        write_bin(&mut bytes, &[7; 100_000]).unwrap();
        let long = "c".repeat(40);
        write_str(&mut bytes, &long).unwrap();
        write_ext_meta(&mut bytes, 3, 9).unwrap();
        bytes.extend([1, 2, 3]);
        write_sint(&mut bytes, -1).unwrap();
        write_f64(&mut bytes, 0.5).unwrap();
        write_str(&mut bytes, "signed").unwrap();
        write_i16(&mut bytes, 5).unwrap();
        write_str(&mut bytes, "negative").unwrap();
        write_i16(&mut bytes, -5).unwrap();

        let wanted = Value::Map(vec![
            ("list", Value::List(vec![Value::Number(70_000); 300])),
            ("bytes", Value::Bytes(&[7; 100_000])),
            (&long, Value::Other),
            ("", Value::Other),
            ("signed", Value::Number(5)),
            ("negative", Value::Other),
        ]);
        let found = read(&bytes).unwrap();
        assert_eq!(found, wanted);
        assert_eq!(found.at(["list", "299"]), Some(&Value::Number(70_000)));
        assert_eq!(found.at(["list", "300"]), None);
        for length in (0..1000).chain(bytes.len() - 100..bytes.len()) {
            let found = read(&bytes[..length]).unwrap_err();
            assert!(found.contains("ends within a value"), "{found}");
        }
        bytes.push(0);
        assert_eq!(read(&bytes).unwrap_err(), "1 bytes follow its end");
    }

    #[test]
    fn values_that_would_take_gigabytes_are_refused() {
        let many = [&[0xdd, 0x02, 0, 0, 0][..], &vec![0xc0; 1 << 25]].concat();
        let found = read(&many).unwrap_err();
        assert_eq!(found, "33554433 values, expected at most 4194304");
        let found = read(&[0xdd, 0xff, 0xff, 0xff, 0xff]).unwrap_err();
        assert_eq!(found, "4294967296 values, expected at most 4194304");
        // Each of these lists announces as many items as one may.
        let nested = [0xdd, 0x00, 0x30, 0, 0].repeat(3);
        let found = read(&nested).unwrap_err();
        assert_eq!(found, "6291457 values, expected at most 4194304");
        let found = read(&[0xc6, 0xff, 0xff, 0xff, 0xff, 1]).unwrap_err();
        assert_eq!(found, "it ends within a value after 6 bytes");
    }

    #[test]
    fn values_that_nest_without_end_are_refused() {
        let lists = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
        assert!(read(&lists(MAX_DEPTH)).is_ok());
        let found = read(&lists(1 << 20)).unwrap_err();
        assert_eq!(found, "values more than 128 deep");
    }
}
