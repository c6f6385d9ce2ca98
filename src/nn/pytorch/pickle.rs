//! A reader of pickles that hold data only. Opcodes outside a short list are refused, and so are names that the dialect of the
//! file (torch's state dicts, NumPy's arrays) does not know, so that nothing in a file can run.
//!
//! Containers live in one arena and values are handles, so that no file can make the reader recurse. Texts are slices of the
//! input: a pickle with an image archive in one string costs no second copy.

use crate::runtime::{Error, Result};

/// Largest `data.pkl`: names and shapes alone are far smaller.
pub const LARGEST_PICKLE: u64 = 64 << 20;

/// A value of the pickle; `O` are the objects of its dialect.
#[derive(Debug, Clone)]
pub enum Value<'a, O> {
    None,
    Bool(bool),
    Int(i64),
    /// What nothing here needs: a number of floating point, an integer of more than 64 bits, a text written with escapes.
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
    fn global(module: &'a str, name: &'a str) -> Option<Self::Object>;

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

    /// The dictionary that keeps what is put into an object of a class that behaves like a container.
    fn inside(_object: &Self::Object) -> Option<usize> {
        None
    }
}

/// The error of a name that the dialect does not know.
pub(super) fn refused<'a, D: Dialect<'a>>(module: &str, name: &str) -> Error {
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
    pub(super) sequences: Vec<Vec<Value<'a, D::Object>>>,
    pub(super) dicts: Vec<Vec<Entry<'a, D::Object>>>,
    /// Entries that were copied from one container into another.
    pub(super) copied: usize,
}

impl<'a, D: Dialect<'a>> Arena<'a, D> {
    /// The entries of a dictionary value, or of an object that keeps some.
    pub fn entries(&self, value: &Value<'a, D::Object>) -> Option<&[Entry<'a, D::Object>]> {
        self.dicts.get(Self::dict_of(value)?).map(Vec::as_slice)
    }

    /// The place of the dictionary that a value is or has.
    pub(super) fn dict_of(value: &Value<'a, D::Object>) -> Option<usize> {
        match value {
            Value::Dict(at) => Some(*at),
            Value::Object(object) => D::inside(object),
            _ => None,
        }
    }

    /// Puts an entry into a dictionary, or into an object that keeps some.
    pub fn put(&mut self, value: &Value<'a, D::Object>, entry: Entry<'a, D::Object>) {
        if let Some(dict) = Self::dict_of(value).and_then(|at| self.dicts.get_mut(at)) {
            dict.push(entry);
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

    pub(super) fn sequence(&mut self, items: Vec<Value<'a, D::Object>>) -> Value<'a, D::Object> {
        self.sequences.push(items);
        Value::Sequence(self.sequences.len() - 1)
    }
}

/// A pickle taken in: its value, and the arena that containers point into.
pub struct Pickle<'a, D: Dialect<'a>> {
    pub root: Value<'a, D::Object>,
    pub arena: Arena<'a, D>,
}
