//! Python's pickles, as far as state dicts need them.
//!
//! A pickle is a program for a machine with a stack and a memo
//! ([its instructions](https://github.com/python/cpython/blob/main/Lib/pickletools.py)). This
//! machine executes nothing of Python's: a call of a function by which PyTorch rebuilds tensors
//! gives a [`Value::Tensor`], and any other call gives [`Value::Other`].

use std::collections::BTreeMap;

use super::torch_objects::{call, storage};
use super::value::{Id, Value};
use crate::FormatError;

/// Follows a pickle; returns all values that it makes, and the place of its result among them.
pub(super) fn read(pickle: &[u8]) -> Result<(Vec<Value>, Id), FormatError> {
    let mut machine = Machine {
        pickle,
        position: 0,
        values: vec![Value::Other],
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        bytes_left: memory_for(pickle.len()),
    };
    match machine.run() {
        Ok(root) => Ok((machine.values, root)),
        Err(reason) => Err(FormatError::Pickle {
            position: machine.position,
            reason,
        }),
    }
}

struct Machine<'a> {
    pickle: &'a [u8],
    position: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: BTreeMap<usize, Id>,
    /// Number of bytes that further values may take.
    bytes_left: usize,
}

/// Returns the number of bytes that the values of a pickle may take. A few bytes of a pickle can make a large value
/// again and again, and no state dict does that. The shortest instruction that a state dict repeats, a small number, has
/// two bytes and makes a value of 32.
pub(super) fn memory_for(pickle_bytes: usize) -> usize {
    pickle_bytes.saturating_mul(32).saturating_add(1 << 16)
}

type Step<T> = Result<T, String>;

/// Limit on the number of values: more than any state dict needs.
const MAX_VALUES: usize = 1 << 22;
/// The place of the one [`Value::Other`].
const OTHER: Id = 0;
/// Limit on the bytes of a class's name: more than any state dict needs. The name is copied each
/// time that two texts are joined to one.
const MAX_GLOBAL: usize = 1 << 10;

impl Machine<'_> {
    fn run(&mut self) -> Step<Id> {
        loop {
            let [instruction] = self.array()?;
            match instruction {
                b'.' => return self.pop(),
                0x80 => self.skip(1)?, // PROTO
                0x95 => self.skip(8)?, // FRAME
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),      // POP
                b'1' => drop(self.pop_mark()?), // POP_MARK
                b'2' => {
                    let top = self.top()?; // DUP
                    self.stack.push(top);
                }

                b'N' | 0x88 | 0x89 => self.push(Value::Other)?, // NONE, NEWTRUE, NEWFALSE
                b'G' => self.push_after_skipping(8)?,           // BINFLOAT
                b'K' => {
                    let [value] = self.array()?; // BININT1
                    self.push(Value::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?); // BININT2
                    self.push(Value::Int(value.into()))?;
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?); // BININT
                    self.push(Value::Int(value.into()))?;
                }
                0x8a => {
                    let length = self.length::<1>()?; // LONG1
                    let value = long(self.bytes(length)?);
                    self.push(value)?;
                }
                b'X' => self.push_text::<4>()?,        // BINUNICODE
                0x8c => self.push_text::<1>()?,        // SHORT_BINUNICODE
                0x8d => self.push_text::<8>()?,        // BINUNICODE8
                b'T' => self.push_text::<4>()?,        // BINSTRING
                b'U' => self.push_text::<1>()?,        // SHORT_BINSTRING
                b'B' | 0x8b => self.push_blob::<4>()?, // BINBYTES, LONG4
                b'C' => self.push_blob::<1>()?,        // SHORT_BINBYTES
                0x8e | 0x96 => self.push_blob::<8>()?, // BINBYTES8, BYTEARRAY8

                b')' => self.push(Value::Tuple(Vec::new()))?,
                0x85 => self.push_tuple(1)?,
                0x86 => self.push_tuple(2)?,
                0x87 => self.push_tuple(3)?,
                b't' => {
                    let items = self.pop_mark()?;
                    self.push(Value::Tuple(items))?;
                }
                b']' => self.push(Value::List(Vec::new()))?,
                b'l' => {
                    let items = self.pop_mark()?; // LIST
                    self.push(Value::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?; // APPEND
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.pop_mark()?; // APPENDS
                    self.append(items)?;
                }
                b'}' => self.push(Value::Dict(Vec::new()))?,
                b'd' => {
                    let items = self.pop_mark()?; // DICT
                    self.push(Value::Dict(Vec::new()))?;
                    self.set(items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?); // SETITEM
                    self.set(vec![key, value])?;
                }
                b'u' => {
                    let items = self.pop_mark()?; // SETITEMS
                    self.set(items)?;
                }
                0x8f => self.push(Value::Other)?, // EMPTY_SET
                0x90 => drop(self.pop_mark()?),   // ADDITEMS
                0x91 => {
                    self.pop_mark()?; // FROZENSET
                    self.push(Value::Other)?;
                }

                b'q' => {
                    let at = self.length::<1>()?; // BINPUT
                    self.remember(at)?;
                }
                b'r' => {
                    let at = self.length::<4>()?; // LONG_BINPUT
                    self.remember(at)?;
                }
                0x94 => self.remember(self.memo.len())?, // MEMOIZE
                b'h' => {
                    let at = self.length::<1>()?; // BINGET
                    self.recall(at)?;
                }
                b'j' => {
                    let at = self.length::<4>()?; // LONG_BINGET
                    self.recall(at)?;
                }

                b'c' => {
                    let (module, name) = (self.line()?, self.line()?); // GLOBAL
                    self.push(Value::Global(format!("{module}.{name}")))?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?); // STACK_GLOBAL
                    self.push(match (&self.values[module], &self.values[name]) {
                        (Value::Text(module), Value::Text(name))
                            if module.len() + name.len() <= MAX_GLOBAL =>
                        {
                            Value::Global(format!("{module}.{name}"))
                        }
                        _ => Value::Other,
                    })?;
                }
                b'Q' => {
                    let id = self.pop()?; // BINPERSID
                    self.push(
                        storage(&self.values, id)
                            .map_or(Value::Other, |s| Value::Storage(Box::new(s))),
                    )?;
                }
                b'R' | 0x81 => {
                    let (arguments, callable) = (self.pop()?, self.pop()?); // REDUCE, NEWOBJ
                    self.push(call(&self.values, callable, arguments)?)?;
                }
                0x92 => {
                    let _ = (self.pop()?, self.pop()?, self.pop()?); // NEWOBJ_EX
                    self.push(Value::Other)?;
                }
                b'o' => {
                    self.pop_mark()?; // OBJ
                    self.push(Value::Other)?;
                }
                b'b' => drop(self.pop()?), // BUILD: the state of an object, ignored
                other => return Err(format!("instruction {other:#04x} is not known here")),
            }
        }
    }

    fn bytes(&mut self, length: usize) -> Step<&[u8]> {
        let rest = &self.pickle[self.position..];
        let Some(bytes) = rest.get(..length) else {
            return Err(format!("{} bytes left, expected {length}", rest.len()));
        };
        self.position += length;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("N bytes"))
    }

    fn skip(&mut self, length: usize) -> Step<()> {
        self.bytes(length).map(|_| ())
    }

    /// Reads an unsigned number of `N` bytes.
    fn length<const N: usize>(&mut self) -> Step<usize> {
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(&self.array::<N>()?);
        let length = u64::from_le_bytes(wide);
        usize::try_from(length).map_err(|_| format!("{length} is too large to address"))
    }

    fn line(&mut self) -> Step<String> {
        let rest = &self.pickle[self.position..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        let length = length.ok_or("a line without an end")?;
        let line = String::from_utf8_lossy(self.bytes(length)?).into_owned();
        self.skip(1)?;
        Ok(line)
    }

    fn push(&mut self, value: Value) -> Step<()> {
        if let Value::Other = value {
            self.stack.push(OTHER);
            return Ok(());
        }
        if self.values.len() >= MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
        let left = self.bytes_left.checked_sub(value.bytes());
        self.bytes_left = left.ok_or_else(|| {
            let most = memory_for(self.pickle.len());
            format!("values of more than {most} bytes, which a pickle of its length does not need")
        })?;
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    fn top(&self) -> Step<Id> {
        let top = self.stack.last().copied();
        top.ok_or_else(|| "the stack is empty".into())
    }

    fn pop(&mut self) -> Step<Id> {
        // Values below the last mark are not for the instructions after it.
        let bottom = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.len() > bottom;
        let top = self.stack.pop_if(|_| above);
        top.ok_or_else(|| "the stack is empty".into())
    }

    fn pop_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("there is no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn push_text<const N: usize>(&mut self) -> Step<()> {
        let length = self.length::<N>()?;
        let text = String::from_utf8_lossy(self.bytes(length)?).into_owned();
        self.push(Value::Text(text))?;
        Ok(())
    }

    fn push_blob<const N: usize>(&mut self) -> Step<()> {
        let length = self.length::<N>()?;
        self.push_after_skipping(length)
    }

    fn push_after_skipping(&mut self, length: usize) -> Step<()> {
        self.skip(length)?;
        self.push(Value::Other)?;
        Ok(())
    }

    fn push_tuple(&mut self, length: usize) -> Step<()> {
        let mut items = (0..length).map(|_| self.pop()).collect::<Step<Vec<Id>>>()?;
        items.reverse();
        self.push(Value::Tuple(items))?;
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Step<()> {
        let top = self.top()?;
        if let Value::List(list) = &mut self.values[top] {
            list.extend(items);
        }
        Ok(())
    }

    /// Adds keys and values, which alternate, to the dict on top.
    fn set(&mut self, items: Vec<Id>) -> Step<()> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(format!("{} keys and values, expected pairs", items.len()));
        }
        let top = self.top()?;
        if let Value::Dict(entries) = &mut self.values[top] {
            entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
        }
        Ok(())
    }

    fn remember(&mut self, at: usize) -> Step<()> {
        let top = self.top()?;
        self.memo.insert(at, top);
        Ok(())
    }

    fn recall(&mut self, at: usize) -> Step<()> {
        let value = self.memo.get(&at).ok_or("nothing is remembered there")?;
        self.stack.push(*value);
        Ok(())
    }
}

/// Reads a little-endian number in two's complement; [`Value::Other`] if it has more than 64 bits.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Other;
    }
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}
