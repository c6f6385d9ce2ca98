//! What is known of the value of an expression before it is evaluated.

use rhai::{Dynamic, Expr, Position};
use std::collections::HashMap;

/// A key of a literal map, its place, and what is known of its value.
pub type Key = (String, Position, Value);

/// What is known of a value.
#[derive(Debug, Clone, Default)]
pub struct Value {
    /// The script's name of its type; empty when it is not known.
    pub kind: String,
    /// The constants that it may be; empty when it is not known to be one of these.
    pub constants: Vec<Dynamic>,
    /// The keys, when it is a literal map.
    pub keys: Option<Vec<Key>>,
    /// What is known of the items, when it is a literal array.
    pub items: Option<Vec<(Position, Value)>>,
}

impl Value {
    /// Nothing but the type.
    pub fn of(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }

    /// A constant, of the script's place.
    pub fn constant(value: &Dynamic, position: Position) -> Self {
        let kind = kind_of(value);
        let keys = value.read_lock::<rhai::Map>().map(|map| {
            map.iter().map(|(key, value)| (key.to_string(), position, Self::constant(value, position))).collect()
        });
        let items = value
            .read_lock::<rhai::Array>()
            .map(|items| items.iter().map(|item| (position, Self::constant(item, position))).collect());
        let plain = keys.is_none() && items.is_none() && !kind.is_empty() && kind != "function";
        Self { kind, constants: if plain { vec![value.clone()] } else { vec![] }, keys, items }
    }

    /// One of several values.
    pub fn any_of(values: impl IntoIterator<Item = Self>) -> Self {
        let mut all: Vec<Self> = values.into_iter().collect();
        let Some(first) = all.pop() else { return Self::default() };
        let same = all.iter().all(|one| one.kind == first.kind);
        let known = !first.constants.is_empty() && all.iter().all(|one| !one.constants.is_empty());
        let constants = all.iter().chain([&first]).flat_map(|one| one.constants.clone());
        let constants = if known { constants.collect() } else { vec![] };
        Self { kind: if same { first.kind.clone() } else { String::new() }, constants, ..Self::default() }
    }

    /// The texts that it may be; none when one of them is not known.
    pub fn texts(&self) -> Vec<String> {
        let texts = self.constants.iter().filter(|one| one.is_string()).map(ToString::to_string);
        texts.collect::<Vec<_>>()
    }

    /// What is left when something may have changed the value in place.
    pub fn changed(&self) -> Self {
        Self::of(self.kind.clone())
    }
}

/// The script's name for the type of a constant.
pub fn kind_of(value: &Dynamic) -> String {
    let kind = match value.type_name() {
        "i64" => "int",
        "f64" => "float",
        "bool" => "bool",
        "char" => "char",
        "()" => "()",
        "map" => "map",
        "array" => "array",
        "Fn" => "function",
        _ if value.is_string() => "string",
        _ if value.is_map() => "map",
        _ if value.is_array() => "array",
        _ if value.is_fnptr() => "function",
        name if name.contains("Range") || name.contains("range") => "range",
        _ => "",
    };
    kind.into()
}

/// What a literal says of itself; `None` of everything that is none.
pub fn literal(expr: &Expr) -> Option<Value> {
    let position = expr.position();
    match expr {
        Expr::DynamicConstant(value, _) => Some(Value::constant(value, position)),
        Expr::BoolConstant(value, _) => Some(Value::constant(&(*value).into(), position)),
        Expr::IntegerConstant(value, _) => Some(Value::constant(&(*value).into(), position)),
        Expr::FloatConstant(value, _) => Some(Value::constant(&(**value).into(), position)),
        Expr::CharConstant(value, _) => Some(Value::constant(&(*value).into(), position)),
        Expr::StringConstant(value, _) => Some(Value::constant(&value.clone().into(), position)),
        Expr::Unit(_) => Some(Value::of("()")),
        _ => None,
    }
}

/// What an operator makes of values.
pub fn operated(operator: &str, values: &[Value]) -> Value {
    let kinds: Vec<&str> = values.iter().map(|value| value.kind.as_str()).collect();
    let numbers = |kind: &&str| matches!(*kind, "int" | "float");
    let arithmetic = matches!(operator, "+" | "-" | "*" | "/" | "%" | "**");
    let kind = match kinds.as_slice() {
        ["int", "int"] if operator == ".." || operator == "..=" => "range",
        [_, _] if matches!(operator, "==" | "!=") && kinds.iter().all(numbers) => "bool",
        [one] if matches!(operator, "-" | "+") && numbers(one) => one,
        ["bool"] if operator == "!" => "bool",
        ["int", "int"] if arithmetic && operator != "**" => "int",
        [a, b] if arithmetic && numbers(a) && numbers(b) && [*a, *b].contains(&"float") => "float",
        [a, b]
            if arithmetic && [*a, *b].contains(&"Tensor") && [a, b].iter().all(|k| numbers(k) || ***k == *"Tensor") =>
        {
            "Tensor"
        }
        ["string", _] if operator == "+" => "string",
        _ => "",
    };
    Value::of(kind)
}

/// The variables in sight and what is known of each.
#[derive(Default)]
pub struct Scope {
    names: Vec<String>,
    values: HashMap<String, Vec<Value>>,
}

impl Scope {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Adds a variable.
    pub fn declare(&mut self, name: &str, value: Value) {
        self.names.push(name.into());
        self.values.entry(name.into()).or_default().push(value);
    }

    /// Forgets all but the first variables.
    pub fn truncate(&mut self, length: usize) {
        for name in self.names.drain(length..) {
            if let Some(values) = self.values.get_mut(&name) {
                values.pop();
            }
        }
    }

    /// What is known of a variable; `None` when there is none of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).and_then(|values| values.last())
    }
}
