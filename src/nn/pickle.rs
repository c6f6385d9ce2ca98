//! A reader of pickles that hold data only. Opcodes outside a short list are refused, and so are names that the dialect of the
//! file (torch's state dicts, NumPy's arrays) does not know, so that nothing in a file can run.
//!
//! Containers live in one arena and values are handles, so that no file can make the reader recurse. Texts are slices of the
//! input: a pickle with an image archive in one string costs no second copy.

use crate::runtime::{Error, Result};
use std::collections::HashMap;

/// More steps than the pickles here take (CIFAR-100: 300,000): each may cost some hundred bytes, and a few megabytes of an
/// archive inflate to any number of them.
const MOST_STEPS: usize = 1 << 22;

/// A value of the pickle; `O` are the objects of its dialect.
#[derive(Debug, Clone)]
pub enum Value<'a, O> {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Text(&'a str),
    /// A string that is not UTF-8: what Python 2 calls a string, Python 3 bytes.
    Bytes(&'a [u8]),
    /// A tuple or list, by its place in the arena.
    Sequence(usize),
    /// A dictionary, by its place in the arena.
    Dict(usize),
    Object(O),
}

impl<'a, O> Value<'a, O> {
    /// A string's bytes, whether it is text or not.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Value::Text(text) => Some(text.as_bytes()),
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// What a kind of file may name, and what its names and calls stand for.
pub trait Dialect<'a>: Sized {
    /// Names and what calls of them make.
    type Object: Clone;
    /// The function the user called.
    const OPERATION: &'static str;
    /// What the file should hold, in words: "a state dict".
    const CONTENT: &'static str;
    /// What to do when it holds something else.
    const HINT: &'static str;

    /// The object that a name stands for, if it is one of those allowed.
    fn global(module: &str, name: &str) -> Option<Self::Object>;

    /// What calling `function` gives.
    ///
    /// # Errors
    /// A call that the dialect does not know.
    fn call(
        arena: &mut Arena<'a, Self>,
        function: &Value<'a, Self::Object>,
        arguments: &Value<'a, Self::Object>,
    ) -> Result<Value<'a, Self::Object>>;

    /// What giving `object` a state makes of it.
    ///
    /// # Errors
    /// An object that has no state.
    fn state(
        arena: &mut Arena<'a, Self>,
        object: Value<'a, Self::Object>,
        state: &Value<'a, Self::Object>,
    ) -> Result<Value<'a, Self::Object>>;

    /// What a reference to something outside the pickle stands for.
    ///
    /// # Errors
    /// A reference the dialect does not know.
    fn outside(arena: &Arena<'a, Self>, id: &Value<'a, Self::Object>) -> Result<Value<'a, Self::Object>>;
}

fn refused<'a, D: Dialect<'a>>(module: &str, name: &str) -> Error {
    let message = format!("the file asks for {module}.{name}, which is not part of {}; it was not run", D::CONTENT);
    Error::new(D::OPERATION, message).hint(D::HINT)
}

/// The error of a pickle that is damaged.
pub fn corrupt<'a, D: Dialect<'a>>(what: &str) -> Error {
    Error::new(D::OPERATION, format!("the file's pickle is damaged: {what}"))
}

/// A key and its value.
pub type Entry<'a, O> = (Value<'a, O>, Value<'a, O>);

/// The containers of a pickle.
pub struct Arena<'a, D: Dialect<'a>> {
    sequences: Vec<Vec<Value<'a, D::Object>>>,
    dicts: Vec<Vec<Entry<'a, D::Object>>>,
}

impl<'a, D: Dialect<'a>> Arena<'a, D> {
    /// The entries of a dictionary value.
    pub fn entries(&self, value: &Value<'a, D::Object>) -> Option<&[Entry<'a, D::Object>]> {
        match value {
            Value::Dict(at) => self.dicts.get(*at).map(Vec::as_slice),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    ///
    /// # Errors
    /// Any other value.
    pub fn items(&self, value: &Value<'a, D::Object>) -> Result<&[Value<'a, D::Object>]> {
        match value {
            Value::Sequence(at) => self.sequences.get(*at).map(Vec::as_slice),
            _ => None,
        }
        .ok_or_else(|| corrupt::<D>("a tuple is missing"))
    }

    /// The items of a tuple or list of integers.
    ///
    /// # Errors
    /// Any other value.
    pub fn integers(&self, value: &Value<'a, D::Object>) -> Result<Vec<i64>> {
        let integer = |v: &Value<'a, D::Object>| {
            if let Value::Int(n) = v { Ok(*n) } else { Err(corrupt::<D>("a number is missing")) }
        };
        self.items(value)?.iter().map(integer).collect()
    }

    /// A new, empty dictionary.
    pub fn dict(&mut self) -> Value<'a, D::Object> {
        self.dicts.push(vec![]);
        Value::Dict(self.dicts.len() - 1)
    }

    fn sequence(&mut self, items: Vec<Value<'a, D::Object>>) -> Value<'a, D::Object> {
        self.sequences.push(items);
        Value::Sequence(self.sequences.len() - 1)
    }
}

/// A pickle taken in: its value, and the arena that containers point into.
pub struct Pickle<'a, D: Dialect<'a>> {
    pub root: Value<'a, D::Object>,
    pub arena: Arena<'a, D>,
}

impl<'a, D: Dialect<'a>> Pickle<'a, D> {
    /// Reads a pickle of protocol 2 to 5.
    ///
    /// # Errors
    /// Opcodes and names that the dialect does not need; damage.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let arena = Arena { sequences: vec![], dicts: vec![] };
        let mut machine = Machine { bytes, at: 0, stack: vec![], marks: vec![], memo: HashMap::new(), arena };
        let root = machine.run()?;
        Ok(Self { root, arena: machine.arena })
    }
}

struct Machine<'a, D: Dialect<'a>> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a, D::Object>>,
    /// Stack heights at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a, D::Object>>,
    arena: Arena<'a, D>,
}

impl<'a, D: Dialect<'a>> Machine<'a, D> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let slice =
            end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| corrupt::<D>("it ends too early"))?;
        self.at += length;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| corrupt::<D>("it ends too early"))
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn word(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|b| *b == b'\n').ok_or_else(|| corrupt::<D>("a name without end"))?;
        let line = self.take(length)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| corrupt::<D>("a name that is not text"))
    }

    fn text(&mut self, length: usize) -> Result<()> {
        let text = std::str::from_utf8(self.take(length)?);
        self.stack.push(Value::Text(text.map_err(|_| corrupt::<D>("a text that is not UTF-8"))?));
        Ok(())
    }

    /// A string of Python 2 or bytes of Python 3.
    fn string(&mut self, length: usize) -> Result<()> {
        let bytes = self.take(length)?;
        self.stack.push(std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text));
        Ok(())
    }

    fn pop(&mut self) -> Result<Value<'a, D::Object>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(corrupt::<D>("a value is missing"));
        }
        self.stack.pop().ok_or_else(|| corrupt::<D>("a value is missing"))
    }

    fn since_mark(&mut self) -> Result<Vec<Value<'a, D::Object>>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or_else(|| corrupt::<D>("a mark is missing"))?))
    }

    fn sequence(&mut self, items: Vec<Value<'a, D::Object>>) {
        let sequence = self.arena.sequence(items);
        self.stack.push(sequence);
    }

    fn dict(&mut self) {
        let dict = self.arena.dict();
        self.stack.push(dict);
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

    fn extend(&mut self, items: Vec<Value<'a, D::Object>>) -> Result<()> {
        match self.stack.last() {
            Some(Value::Sequence(at)) => {
                let list = self.arena.sequences.get_mut(*at).ok_or_else(|| corrupt::<D>("a list is missing"))?;
                list.extend(items);
                Ok(())
            }
            _ => Err(corrupt::<D>("items without a list")),
        }
    }

    fn insert(&mut self, items: Vec<Value<'a, D::Object>>) -> Result<()> {
        let Some(Value::Dict(at)) = self.stack.last() else { return Err(corrupt::<D>("entries without a dictionary")) };
        let dict = self.arena.dicts.get_mut(*at).ok_or_else(|| corrupt::<D>("a dictionary is missing"))?;
        let mut items = items.into_iter();
        while let Some(key) = items.next() {
            let value = items.next().ok_or_else(|| corrupt::<D>("a key without a value"))?;
            dict.push((key, value));
        }
        Ok(())
    }

    fn remember(&mut self, key: u32) -> Result<()> {
        let value = self.stack.last().cloned().ok_or_else(|| corrupt::<D>("nothing to remember"))?;
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<()> {
        let value = self.memo.get(&key).cloned().ok_or_else(|| corrupt::<D>("a reference to nothing"))?;
        self.stack.push(value);
        Ok(())
    }

    fn run(&mut self) -> Result<Value<'a, D::Object>> {
        for _ in 0..MOST_STEPS {
            let opcode = self.byte()?;
            if opcode == b'.' {
                return self.pop();
            }
            self.execute(opcode)?;
        }
        Err(corrupt::<D>(&format!("more than {MOST_STEPS} steps")))
    }

    fn execute(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            0x80 => match self.byte()? {
                2..=5 => Ok(()),
                version => Err(corrupt::<D>(&format!("protocol {version}"))),
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
            b'}' => self.dict(),
            b']' | b')' => self.sequence(vec![]),
            b't' | b'l' => {
                let items = self.since_mark()?;
                self.sequence(items);
            }
            b'd' => {
                let items = self.since_mark()?;
                self.dict();
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
            0x88 | 0x89 => Value::Bool(opcode == 0x88),
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
                    return Err(corrupt::<D>("an integer of more than 64 bits"));
                }
                let sign = bytes.last().is_some_and(|last| *last >= 0x80);
                let mut padded = [if sign { 0xff } else { 0 }; 8];
                padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                Value::Int(i64::from_le_bytes(padded))
            }
            b'X' => {
                let length = self.word()? as usize;
                return self.text(length);
            }
            0x8c => {
                let length = usize::from(self.byte()?);
                return self.text(length);
            }
            b'T' | b'B' => {
                let length = self.word()? as usize;
                return self.string(length);
            }
            b'U' | b'C' => {
                let length = usize::from(self.byte()?);
                return self.string(length);
            }
            // Bytes that can be changed, of protocol 5, and long ones.
            0x8e | 0x96 => {
                let length = u64::from_le_bytes(self.array()?);
                return self.string(usize::try_from(length).unwrap_or(usize::MAX));
            }
            _ => {
                let given = format!("the file's pickle uses opcode 0x{opcode:02x}, which {} does not need", D::CONTENT);
                return Err(Error::new(D::OPERATION, given).hint(D::HINT));
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn object(&mut self, opcode: u8) -> Result<()> {
        let value = match opcode {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                Value::Object(D::global(module, name).ok_or_else(|| refused::<D>(module, name))?)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return Err(corrupt::<D>("a name that is not text"));
                };
                Value::Object(D::global(module, name).ok_or_else(|| refused::<D>(module, name))?)
            }
            b'Q' => {
                let id = self.pop()?;
                D::outside(&self.arena, &id)?
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                D::call(&mut self.arena, &function, &arguments)?
            }
            _ => {
                let (state, object) = (self.pop()?, self.pop()?);
                D::state(&mut self.arena, object, &state)?
            }
        };
        self.stack.push(value);
        Ok(())
    }
}
