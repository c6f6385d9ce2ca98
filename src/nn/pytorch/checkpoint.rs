//! The pickles that `torch.save` writes: what their names and calls stand for. Tensors and dictionaries are understood. Anything
//! else is an object of a class that is known by its name alone: it is kept and never run.

use crate::nn::pytorch::pickle;
use crate::nn::pytorch::pickle::{Arena, Dialect, corrupt};
use crate::nn::pytorch::pickle_machine::MOST_STEPS;
use crate::runtime::Result;
use crate::runtime::budget::MOST_DIMENSIONS;
use std::rc::Rc;
use tch::Kind;

/// A value of a checkpoint's pickle.
pub type Value<'a> = pickle::Value<'a, Object<'a>>;

/// Longest name of a storage; torch numbers them.
const LONGEST_KEY: usize = 256;

/// Modules whose functions act on the machine: a file that asks for one is no checkpoint but an attack.
const ACTING: [&str; 26] = [
    "os",
    "posix",
    "nt",
    "ntpath",
    "posixpath",
    "subprocess",
    "sys",
    "shutil",
    "socket",
    "pty",
    "runpy",
    "importlib",
    "ctypes",
    "code",
    "codeop",
    "commands",
    "webbrowser",
    "pickle",
    "_pickle",
    "cPickle",
    "marshal",
    "pip",
    "timeit",
    "cProfile",
    "pdb",
    "asyncio",
];

/// Built-in functions that run what they are given.
const RUNNING: [&str; 8] = ["eval", "exec", "execfile", "compile", "__import__", "open", "input", "breakpoint"];

/// The elements of a storage: of a type that tensors here have, or of another, with the bytes of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Element {
    Known(Kind),
    Other(&'static str, usize),
}

impl Element {
    /// The bytes of one element.
    pub fn width(self) -> usize {
        match self {
            Element::Known(kind) => kind.elt_size_in_bytes(),
            Element::Other(_, width) => width,
        }
    }
}

/// A storage of the file.
#[derive(Debug, Clone)]
pub struct Storage {
    pub key: String,
    pub element: Element,
    pub count: i64,
    /// Where it begins in the storage of this key, in elements: files before PyTorch 1.6 have storages that are views.
    pub start: i64,
}

/// A tensor: a storage seen through offset, shape and strides, unchecked.
#[derive(Debug)]
pub struct Strided {
    pub storage: Rc<Storage>,
    pub offset: i64,
    pub size: Vec<i64>,
    pub stride: Vec<i64>,
}

/// What a file mentions.
#[derive(Debug, Clone)]
pub enum Object<'a> {
    /// A class or function, by module and name.
    Name(&'a str, &'a str),
    /// An object of a class, and the dictionary of what was put into it. What it was made of and its state are entries of it
    /// without a key.
    Instance(Class<'a>, usize),
    Storage(Rc<Storage>),
    Tensor(Rc<Strided>),
    /// A tensor of a kind that is not read, and why.
    Refused(Rc<str>),
}

/// A class by module and name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Class<'a>(pub &'a str, pub &'a str);

impl std::fmt::Display for Class<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |text: &str| text.chars().take(80).collect::<String>();
        write!(f, "{}.{}", short(self.0), short(self.1))
    }
}

/// The pickles that `torch.save` writes.
pub struct Checkpoint;

impl<'a> Dialect<'a> for Checkpoint {
    type Object = Object<'a>;
    const OPERATION: &'static str = "load";
    const CONTENT: &'static str = "a state dict";
    const HINT: &'static str = "save the weights alone: torch.save(net.state_dict(), path)";

    fn global(module: &'a str, name: &'a str) -> Option<Object<'a>> {
        let top = module.split('.').next().unwrap_or_default();
        let running = matches!(top, "builtins" | "__builtin__") && RUNNING.contains(&name);
        (!running && !ACTING.contains(&top)).then_some(Object::Name(module, name))
    }

    fn call(arena: &mut Arena<'a, Self>, function: &Value<'a>, arguments: &Value<'a>) -> Result<Value<'a>> {
        let given = arena.items(arguments)?;
        let class = match (function, given) {
            // Python's general ways of making an object say its class first.
            (
                Value::Object(Object::Name("copy_reg" | "copyreg", _)),
                [Value::Object(Object::Name(module, name)), ..],
            )
            | (Value::Object(Object::Name(module, name)), _) => Class(module, name),
            (Value::Object(Object::Instance(class, _)), _) => *class,
            _ => return Err(corrupt::<Self>("a call of something that is no function")),
        };
        match class {
            Class("collections", "OrderedDict" | "defaultdict") | Class("builtins" | "__builtin__", "dict") => {
                let pairs = given.first().cloned();
                dictionary(arena, pairs.as_ref())
            }
            Class("torch", "Size") if matches!(given, [Value::Sequence(_)]) => {
                Ok(given.first().cloned().unwrap_or(Value::None))
            }
            Class("torch._utils" | "torch._tensor" | "torch.nn.parameter" | "torch", name)
                if name.starts_with("_rebuild") || name == "Parameter" =>
            {
                let arguments = given.to_vec();
                Ok(rebuilt(arena, name, &arguments))
            }
            _ => {
                let arguments = arguments.clone();
                Ok(instance(arena, class, arguments))
            }
        }
    }

    fn state(arena: &mut Arena<'a, Self>, object: Value<'a>, state: &Value<'a>) -> Result<Value<'a>> {
        // The state of an ordered dictionary (its `_metadata`) and of a tensor is of no interest.
        if matches!(object, Value::Object(Object::Instance(..))) {
            arena.put(&object, (Value::None, state.clone()));
        }
        Ok(object)
    }

    fn outside(arena: &Arena<'a, Self>, id: &Value<'a>) -> Result<Value<'a>> {
        let (kind, key, count, view) = match arena.items(id)? {
            [Value::Text("storage"), Value::Object(Object::Name(_, kind)), key, _, Value::Int(count), view @ ..] => {
                (*kind, key, *count, view)
            }
            // Old files keep the source of a class beside it.
            [Value::Text("module"), class @ Value::Object(_), ..] => return Ok(class.clone()),
            _ => return Err(corrupt::<Self>("a reference that is not to a storage")),
        };
        let key = match key {
            Value::Text(key) if key.len() <= LONGEST_KEY => (*key).to_string(),
            Value::Int(key) => key.to_string(),
            _ => return Err(corrupt::<Self>("a storage without a name")),
        };
        let start = match view {
            [view @ Value::Sequence(_)] => match arena.items(view)? {
                [_, Value::Int(start), Value::Int(_)] => *start,
                _ => return Err(corrupt::<Self>("a view of a storage without its place")),
            },
            _ => 0,
        };
        Ok(Value::Object(Object::Storage(Rc::new(Storage { key, element: element(kind), count, start }))))
    }

    fn inside(object: &Object<'a>) -> Option<usize> {
        if let Object::Instance(_, at) = object { Some(*at) } else { None }
    }
}

/// A new object of a class that is not known here, with what it was made of.
fn instance<'a>(arena: &mut Arena<'a, Checkpoint>, class: Class<'a>, arguments: Value<'a>) -> Value<'a> {
    let Value::Dict(at) = arena.dict() else { return Value::None };
    let made = Value::Object(Object::Instance(class, at));
    if arena.items(&arguments).is_ok_and(|items| !items.is_empty()) {
        arena.put(&made, (Value::None, arguments));
    }
    made
}

/// A dictionary, of a list of pairs if one is given.
fn dictionary<'a>(arena: &mut Arena<'a, Checkpoint>, pairs: Option<&Value<'a>>) -> Result<Value<'a>> {
    let made = arena.dict();
    let entries: Vec<_> = match pairs {
        Some(pairs @ Value::Dict(_)) => arena.entries(pairs).unwrap_or_default().to_vec(),
        Some(pairs @ Value::Sequence(_)) => {
            let pair = |pair: &Value<'a>| match arena.items(pair) {
                Ok([key, value]) => Some((key.clone(), value.clone())),
                _ => None,
            };
            arena.items(pairs)?.iter().filter_map(pair).collect()
        }
        _ => vec![],
    };
    // A pickle can name one long list again and again.
    arena.copied += entries.len();
    if arena.copied > MOST_STEPS {
        return Err(corrupt::<Checkpoint>("dictionaries that are copied too often"));
    }
    entries.into_iter().for_each(|entry| arena.put(&made, entry));
    Ok(made)
}

/// The tensor that one of torch's functions makes, or why it is not read.
fn rebuilt<'a>(arena: &Arena<'a, Checkpoint>, function: &str, arguments: &[Value<'a>]) -> Value<'a> {
    let refused = |why: String| Value::Object(Object::Refused(why.into()));
    match (function, arguments) {
        (
            "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3",
            [Value::Object(Object::Storage(storage)), Value::Int(offset), size, stride, rest @ ..],
        ) => {
            let storage = match rest {
                [_, _, Value::Object(Object::Name("torch", dtype)), ..] if function.ends_with("v3") => {
                    retyped(storage, dtype)
                }
                _ => Ok(Rc::clone(storage)),
            };
            match storage.and_then(|storage| strided(arena, storage, *offset, size, stride)) {
                Ok(tensor) => Value::Object(Object::Tensor(Rc::new(tensor))),
                Err(why) => refused(why),
            }
        }
        ("_rebuild_parameter" | "_rebuild_parameter_with_state" | "Parameter", [tensor, ..]) if is_tensor(tensor) => {
            tensor.clone()
        }
        ("Parameter", []) => refused("a parameter without values".into()),
        // A class derived from a tensor: the function that makes the tensor, the class, its arguments.
        (
            "_rebuild_from_type_v2" | "_rebuild_from_type",
            [Value::Object(Object::Name("torch._utils" | "torch._tensor", inner)), _, given, ..],
        ) if !inner.contains("from_type") => {
            arena.items(given).map_or(Value::None, |given| rebuilt(arena, inner, given))
        }
        _ => refused(format!("{}, which is not read here", described(function))),
    }
}

fn is_tensor(value: &Value<'_>) -> bool {
    matches!(value, Value::Object(Object::Tensor(_) | Object::Refused(_)))
}

/// What a function of torch's makes, in words.
fn described(function: &str) -> String {
    let kinds = [
        ("sparse", "a sparse tensor"),
        ("qtensor", "a quantised tensor"),
        ("meta", "a tensor without values"),
        ("nested", "a nested tensor"),
        ("from_numpy", "a tensor of another device"),
    ];
    let known = kinds.iter().find(|(part, _)| function.contains(part));
    known.map_or_else(|| format!("a tensor made by {}", Class("torch", function)), |(_, words)| (*words).to_string())
}

fn strided<'a>(
    arena: &Arena<'a, Checkpoint>,
    storage: Rc<Storage>,
    offset: i64,
    size: &Value<'a>,
    stride: &Value<'a>,
) -> std::result::Result<Strided, String> {
    // Checked before it is copied: a pickle can name one long tuple again and again.
    let length = |value: &Value<'a>| arena.items(value).map_or(0, <[_]>::len);
    if length(size).max(length(stride)) > MOST_DIMENSIONS {
        return Err(format!("a tensor of more than {MOST_DIMENSIONS} dimensions"));
    }
    match (arena.integers(size), arena.integers(stride)) {
        (Ok(size), Ok(stride)) => Ok(Strided { storage, offset, size, stride }),
        _ => Err("a tensor without a shape".into()),
    }
}

/// A storage of bytes seen as elements of a type.
fn retyped(storage: &Rc<Storage>, dtype: &str) -> std::result::Result<Rc<Storage>, String> {
    let kind = match dtype {
        "float32" => Kind::Float,
        "float64" => Kind::Double,
        "float16" => Kind::Half,
        "bfloat16" => Kind::BFloat16,
        "int64" => Kind::Int64,
        "int32" => Kind::Int,
        "int16" => Kind::Int16,
        "int8" => Kind::Int8,
        "uint8" => Kind::Uint8,
        "bool" => Kind::Bool,
        other => return Err(format!("a tensor of {}, which has no counterpart here", Class("torch", other))),
    };
    let width = kind.elt_size_in_bytes();
    let bytes = (storage.count.max(0) as usize).saturating_mul(storage.element.width());
    let whole = i64::try_from(bytes / width).unwrap_or(0);
    let mut changed = Storage::clone(storage);
    (changed.element, changed.count) = (Element::Known(kind), whole);
    Ok(Rc::new(changed))
}

/// The elements of one of torch's classes of storages.
fn element(name: &str) -> Element {
    Element::Known(match name {
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
        "ComplexFloatStorage" => return Element::Other("complex numbers", 8),
        "ComplexDoubleStorage" => return Element::Other("complex numbers", 16),
        "QInt8Storage" | "QUInt8Storage" => return Element::Other("quantised numbers", 1),
        "QInt32Storage" => return Element::Other("quantised numbers", 4),
        "UntypedStorage" => return Element::Other("bytes without a type", 1),
        _ => return Element::Other("an unknown type", 1),
    })
}
