//! A reader of the pickles that `torch.save` writes: data only. Opcodes and names outside a short list are refused, so that
//! nothing in a file can run.
//!
//! Containers live in one arena and values are handles, so that no file can make the reader recurse.

use crate::runtime::{Error, Result};
use std::collections::HashMap;
use std::rc::Rc;
use tch::Kind;

/// A value of the pickle.
#[derive(Debug, Clone)]
pub enum Value {
    None,
    Bool,
    Int(i64),
    Float,
    Text(Rc<str>),
    /// A tuple or list, by its place in the arena.
    Sequence(usize),
    /// A dictionary, by its place in the arena.
    Dict(usize),
    Storage(Rc<Storage>),
    Tensor(Rc<Strided>),
    Global(Global),
}

/// A storage of the archive: the entry `data/<key>`.
#[derive(Debug)]
pub struct Storage {
    pub key: String,
    pub kind: Kind,
    pub count: i64,
}

/// A tensor: a storage seen through offset, shape and strides, unchecked.
#[derive(Debug)]
pub struct Strided {
    pub storage: Rc<Storage>,
    pub offset: i64,
    pub size: Vec<i64>,
    pub stride: Vec<i64>,
}

/// The names a file may mention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Kind),
}

impl Global {
    fn named(module: &str, name: &str) -> Result<Self> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", storage) => Self::Storage(match storage {
                "FloatStorage" => Kind::Float,
                "DoubleStorage" => Kind::Double,
                "HalfStorage" => Kind::Half,
                "BFloat16Storage" => Kind::BFloat16,
                "LongStorage" => Kind::Int64,
                "IntStorage" => Kind::Int,
                "ShortStorage" => Kind::Int16,
                "CharStorage" => Kind::Int8,
                "ByteStorage" => Kind::Uint8,
                "BoolStorage" => Kind::Bool,
                _ => return Err(refused(module, name)),
            }),
            _ => return Err(refused(module, name)),
        })
    }
}

fn refused(module: &str, name: &str) -> Error {
    Error::new("load", format!("the file asks for {module}.{name}, which is not part of a state dict; it was not run"))
        .hint("save the weights alone: torch.save(net.state_dict(), path)")
}

fn corrupt(what: &str) -> Error {
    Error::new("load", format!("the file's pickle is damaged: {what}"))
}

/// A pickle taken in: its value, and the arena that dictionaries point into.
pub struct Pickle {
    pub root: Value,
    dicts: Vec<Vec<(Value, Value)>>,
}

impl Pickle {
    /// Reads a pickle of protocol 2 to 5.
    ///
    /// # Errors
    /// Opcodes and names that are not needed for tensors; damage.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut machine = Machine { bytes, ..Machine::default() };
        let root = machine.run()?;
        Ok(Self { root, dicts: machine.dicts })
    }

    /// The entries of a dictionary value.
    pub fn entries(&self, value: &Value) -> Option<&[(Value, Value)]> {
        match value {
            Value::Dict(at) => self.dicts.get(*at).map(Vec::as_slice),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    /// Stack heights at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    sequences: Vec<Vec<Value>>,
    dicts: Vec<Vec<(Value, Value)>>,
}

impl<'a> Machine<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let slice = end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| corrupt("it ends too early"))?;
        self.at += length;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| corrupt("it ends too early"))
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn word(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|b| *b == b'\n').ok_or_else(|| corrupt("a name without end"))?;
        let line = self.take(length)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| corrupt("a name that is not text"))
    }

    fn text(&mut self, length: usize) -> Result<()> {
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| corrupt("a string that is not UTF-8"))?;
        self.stack.push(Value::Text(text.into()));
        Ok(())
    }

    fn pop(&mut self) -> Result<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(corrupt("a value is missing"));
        }
        self.stack.pop().ok_or_else(|| corrupt("a value is missing"))
    }

    fn since_mark(&mut self) -> Result<Vec<Value>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or_else(|| corrupt("a mark is missing"))?))
    }

    fn sequence(&mut self, items: Vec<Value>) {
        self.sequences.push(items);
        self.stack.push(Value::Sequence(self.sequences.len() - 1));
    }

    fn dict(&mut self, entries: Vec<(Value, Value)>) {
        self.dicts.push(entries);
        self.stack.push(Value::Dict(self.dicts.len() - 1));
    }

    fn tuple_of(&mut self, count: usize) -> Result<()> {
        let mut items = vec![];
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.sequence(items);
        Ok(())
    }

    fn extend(&mut self, items: Vec<Value>) -> Result<()> {
        match self.stack.last() {
            Some(Value::Sequence(at)) => {
                let list = self.sequences.get_mut(*at).ok_or_else(|| corrupt("a list is missing"))?;
                list.extend(items);
                Ok(())
            }
            _ => Err(corrupt("items without a list")),
        }
    }

    fn insert(&mut self, items: Vec<Value>) -> Result<()> {
        let Some(Value::Dict(at)) = self.stack.last() else { return Err(corrupt("entries without a dictionary")) };
        let dict = self.dicts.get_mut(*at).ok_or_else(|| corrupt("a dictionary is missing"))?;
        let mut items = items.into_iter();
        while let Some(key) = items.next() {
            let value = items.next().ok_or_else(|| corrupt("a key without a value"))?;
            dict.push((key, value));
        }
        Ok(())
    }

    fn remember(&mut self, key: u32) -> Result<()> {
        let value = self.stack.last().cloned().ok_or_else(|| corrupt("nothing to remember"))?;
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<()> {
        let value = self.memo.get(&key).cloned().ok_or_else(|| corrupt("a reference to nothing"))?;
        self.stack.push(value);
        Ok(())
    }

    fn run(&mut self) -> Result<Value> {
        loop {
            let opcode = self.byte()?;
            if opcode == b'.' {
                return self.pop();
            }
            self.execute(opcode)?;
        }
    }

    fn execute(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            0x80 => match self.byte()? {
                2..=5 => Ok(()),
                version => Err(corrupt(&format!("protocol {version}"))),
            },
            0x95 => self.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'}' | b']' | b')' | b't' | b'l' | b'd' | 0x85..=0x87 | b'a' | b'e' | b's' | b'u' => self.container(opcode),
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.memory(opcode),
            b'c' | 0x93 | b'Q' | b'R' | b'b' => self.object(opcode),
            b'0' => self.pop().map(drop),
            _ => self.scalar(opcode),
        }
    }

    fn container(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'}' => self.dict(vec![]),
            b']' | b')' => self.sequence(vec![]),
            b't' | b'l' => {
                let items = self.since_mark()?;
                self.sequence(items);
            }
            b'd' => {
                let items = self.since_mark()?;
                self.dict(vec![]);
                self.insert(items)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.extend(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(vec![key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.insert(items)?;
            }
            _ => self.tuple_of(usize::from(opcode - 0x84))?,
        }
        Ok(())
    }

    fn memory(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'q' => {
                let key = u32::from(self.byte()?);
                self.remember(key)
            }
            b'r' => {
                let key = self.word()?;
                self.remember(key)
            }
            0x94 => self.remember(u32::try_from(self.memo.len()).unwrap_or(u32::MAX)),
            b'h' => {
                let key = u32::from(self.byte()?);
                self.recall(key)
            }
            _ => {
                let key = self.word()?;
                self.recall(key)
            }
        }
    }

    fn scalar(&mut self, opcode: u8) -> Result<()> {
        let value = match opcode {
            b'N' => Value::None,
            0x88 | 0x89 => Value::Bool,
            b'K' => Value::Int(i64::from(self.byte()?)),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(self.array()?))),
            b'J' => Value::Int(i64::from(i32::from_le_bytes(self.array()?))),
            b'G' => {
                self.take(8)?;
                Value::Float
            }
            0x8a => {
                let length = usize::from(self.byte()?);
                let bytes = self.take(length)?;
                if length > 8 {
                    return Err(corrupt("an integer of more than 64 bits"));
                }
                let sign = bytes.last().is_some_and(|last| *last >= 0x80);
                let mut padded = [if sign { 0xff } else { 0 }; 8];
                padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                Value::Int(i64::from_le_bytes(padded))
            }
            b'X' | b'T' => {
                let length = self.word()? as usize;
                return self.text(length);
            }
            0x8c | b'U' => {
                let length = usize::from(self.byte()?);
                return self.text(length);
            }
            _ => {
                let given = format!("the file's pickle uses opcode 0x{opcode:02x}, which a state dict does not need");
                return Err(
                    Error::new("load", given).hint("save the weights alone: torch.save(net.state_dict(), path)")
                );
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn object(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.stack.push(Value::Global(Global::named(module, name)?));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return Err(corrupt("a name that is not text"));
                };
                self.stack.push(Value::Global(Global::named(&module, &name)?));
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(&id)?;
                self.stack.push(storage);
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.reduce(&function, &arguments)?;
            }
            // The state of an ordered dictionary (its `_metadata`) is of no interest.
            _ => {
                self.pop()?;
                if !matches!(self.stack.last(), Some(Value::Dict(_))) {
                    return Err(corrupt("state for something other than a dictionary"));
                }
            }
        }
        Ok(())
    }

    fn items(&self, value: &Value) -> Result<&[Value]> {
        match value {
            Value::Sequence(at) => self.sequences.get(*at).map(Vec::as_slice),
            _ => None,
        }
        .ok_or_else(|| corrupt("a tuple is missing"))
    }

    fn integers(&self, value: &Value) -> Result<Vec<i64>> {
        let integer = |v: &Value| if let Value::Int(n) = v { Ok(*n) } else { Err(corrupt("a shape that is none")) };
        self.items(value)?.iter().map(integer).collect()
    }

    fn storage(&self, id: &Value) -> Result<Value> {
        match self.items(id)? {
            [Value::Text(tag), Value::Global(Global::Storage(kind)), Value::Text(key), _, Value::Int(count)]
                if &**tag == "storage" =>
            {
                let (key, kind, count) = (key.to_string(), *kind, *count);
                Ok(Value::Storage(Rc::new(Storage { key, kind, count })))
            }
            _ => Err(corrupt("a reference that is not to a storage")),
        }
    }

    fn reduce(&mut self, function: &Value, arguments: &Value) -> Result<()> {
        let arguments = self.items(arguments)?;
        let value = match (function, arguments) {
            (Value::Global(Global::OrderedDict), []) => {
                self.dict(vec![]);
                return Ok(());
            }
            (
                Value::Global(Global::RebuildTensor),
                [Value::Storage(storage), Value::Int(offset), size, stride, Value::Bool, ..],
            ) => {
                let (size, stride) = (self.integers(size)?, self.integers(stride)?);
                Value::Tensor(Rc::new(Strided { storage: storage.clone(), offset: *offset, size, stride }))
            }
            (Value::Global(Global::RebuildParameter), [tensor @ Value::Tensor(_), ..]) => tensor.clone(),
            _ => return Err(corrupt("a call that a state dict does not need")),
        };
        self.stack.push(value);
        Ok(())
    }
}
