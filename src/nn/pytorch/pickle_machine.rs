//! The machine that takes a pickle in: all opcodes that keep data, of protocols 0 to 5. It makes values and runs nothing; what
//! a name or a call stands for is asked of the dialect.

use crate::nn::pytorch::pickle::{Arena, Dialect, Pickle, Value, corrupt, refused};
use crate::runtime::{Error, Result};
use std::collections::HashMap;

/// More steps than the pickles here take (CIFAR-100: 300,000): each may cost some hundred bytes, and a few megabytes of an
/// archive inflate to any number of them.
pub(super) const MOST_STEPS: usize = 1 << 22;

impl<'a, D: Dialect<'a>> Pickle<'a, D> {
    /// Reads a pickle of protocol 0 to 5; what follows it is left alone.
    ///
    /// # Errors
    /// Opcodes and names that the dialect does not know; damage.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        Self::first(bytes).map(|(pickle, _)| pickle)
    }

    /// Reads the pickle that bytes begin with, and tells how many of them it has.
    ///
    /// # Errors
    /// Those of [`Pickle::read`].
    pub fn first(bytes: &'a [u8]) -> Result<(Self, usize)> {
        let arena = Arena { sequences: vec![], dicts: vec![], copied: 0 };
        let mut machine = Machine { bytes, at: 0, stack: vec![], marks: vec![], memo: HashMap::new(), arena };
        let root = machine.run()?;
        Ok((Self { root, arena: machine.arena }, machine.at))
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

    /// A text, a string of Python 2 or bytes of Python 3.
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
            Some(object @ Value::Object(_)) => {
                items.into_iter().for_each(|item| self.arena.put(object, (Value::None, item)));
                Ok(())
            }
            _ => Err(corrupt::<D>("items without a list")),
        }
    }

    fn insert(&mut self, items: Vec<Value<'a, D::Object>>) -> Result<()> {
        let at = self.stack.last().and_then(Arena::<D>::dict_of);
        let at = at.ok_or_else(|| corrupt::<D>("entries without a dictionary"))?;
        let dict = self.arena.dicts.get_mut(at).ok_or_else(|| corrupt::<D>("a dictionary is missing"))?;
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
                0..=5 => Ok(()),
                version => Err(corrupt::<D>(&format!("protocol {version}"))),
            },
            0x95 => self.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'}' | b']' | b')' | b't' | b'l' | b'd' | 0x85..=0x87 => self.container(opcode),
            b'a' | b'e' | b's' | b'u' | 0x8f..=0x91 => self.contents(opcode),
            b'q' | b'r' | 0x94 | b'p' | b'h' | b'j' | b'g' => self.memory(opcode),
            b'c' | 0x93 | b'Q' | b'R' | b'b' | 0x81 | 0x92 | b'i' | b'o' => self.object(opcode),
            b'0' => self.pop().map(drop),
            b'1' => self.since_mark().map(drop),
            b'2' => {
                let value = self.pop()?;
                self.stack.push(value.clone());
                self.stack.push(value);
                Ok(())
            }
            b'X' | 0x8c | 0x8d | b'V' | b'T' | b'B' | 0x8e | 0x96 | b'U' | b'C' | b'S' => self.letters(opcode),
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
            _ => self.tuple_of(usize::from(opcode - 0x84))?,
        }
        Ok(())
    }

    /// What is put into a container; sets are lists here.
    fn contents(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            0x8f => self.sequence(vec![]),
            0x91 => {
                let items = self.since_mark()?;
                self.sequence(items);
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.since_mark()?;
                self.extend(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(vec![key, value])?;
            }
            _ => {
                let items = self.since_mark()?;
                self.insert(items)?;
            }
        }
        Ok(())
    }

    fn memory(&mut self, opcode: u8) -> Result<()> {
        let key = match opcode {
            b'q' | b'h' => u32::from(self.byte()?),
            b'r' | b'j' => self.word()?,
            0x94 => u32::try_from(self.memo.len()).unwrap_or(u32::MAX),
            _ => self.decimal()?,
        };
        if matches!(opcode, b'h' | b'j' | b'g') { self.recall(key) } else { self.remember(key) }
    }

    /// A number that is written out in a line.
    fn decimal<N: std::str::FromStr>(&mut self) -> Result<N> {
        self.line()?.trim_end_matches('L').parse().map_err(|_| corrupt::<D>("a number that is none"))
    }

    /// Texts and bytes.
    fn letters(&mut self, opcode: u8) -> Result<()> {
        let length = match opcode {
            b'X' | b'T' | b'B' => self.word()? as usize,
            0x8c | b'U' | b'C' => usize::from(self.byte()?),
            0x8d | 0x8e | 0x96 => usize::try_from(u64::from_le_bytes(self.array()?)).unwrap_or(usize::MAX),
            _ => {
                let line = self.line()?;
                let text = if opcode == b'V' { Some(line) } else { quoted(line) };
                // What is written with escapes would need a copy, and nothing here needs it.
                let plain = text.filter(|text| !text.contains('\\'));
                self.stack.push(plain.map_or(Value::Float, Value::Text));
                return Ok(());
            }
        };
        self.string(length)
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
            b'F' => {
                self.line()?;
                Value::Float
            }
            b'I' => match self.line()? {
                "00" => Value::Bool(false),
                "01" => Value::Bool(true),
                text => text.parse().map_or(Value::Float, Value::Int),
            },
            b'L' => self.line()?.trim_end_matches('L').parse().map_or(Value::Float, Value::Int),
            0x8a => {
                let length = usize::from(self.byte()?);
                self.integer(length)?
            }
            0x8b => {
                let length = self.word()? as usize;
                self.integer(length)?
            }
            _ => {
                let given = format!("the file's pickle uses opcode 0x{opcode:02x}, which {} does not need", D::CONTENT);
                return Err(Error::new(D::OPERATION, given).hint(D::HINT));
            }
        };
        self.stack.push(value);
        Ok(())
    }

    /// An integer of so many bytes.
    fn integer(&mut self, length: usize) -> Result<Value<'a, D::Object>> {
        let bytes = self.take(length)?;
        if length > 8 {
            return Ok(Value::Float);
        }
        let sign = bytes.last().is_some_and(|last| *last >= 0x80);
        let mut padded = [if sign { 0xff } else { 0 }; 8];
        padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(Value::Int(i64::from_le_bytes(padded)))
    }

    /// What a name stands for.
    fn global(module: &'a str, name: &'a str) -> Result<Value<'a, D::Object>> {
        Ok(Value::Object(D::global(module, name).ok_or_else(|| refused::<D>(module, name))?))
    }

    fn object(&mut self, opcode: u8) -> Result<()> {
        let value = match opcode {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                Self::global(module, name)?
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return Err(corrupt::<D>("a name that is not text"));
                };
                Self::global(module, name)?
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                let (class, arguments) = (Self::global(module, name)?, self.since_mark()?);
                let arguments = self.arena.sequence(arguments);
                D::call(&mut self.arena, &class, &arguments)?
            }
            b'o' => {
                let mut arguments = self.since_mark()?.into_iter();
                let class = arguments.next().ok_or_else(|| corrupt::<D>("an object without a class"))?;
                let arguments = self.arena.sequence(arguments.collect());
                D::call(&mut self.arena, &class, &arguments)?
            }
            0x92 => {
                let (_named, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                D::call(&mut self.arena, &class, &arguments)?
            }
            b'Q' => {
                let id = self.pop()?;
                D::outside(&self.arena, &id)?
            }
            b'R' | 0x81 => {
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

/// The text between the quotes of a line.
fn quoted(line: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| line.strip_prefix(quote)?.strip_suffix(quote))
}
