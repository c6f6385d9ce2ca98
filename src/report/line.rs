//! One line of a file of results: a map in JSON, read strictly, so that nothing in it is dropped unseen.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The row that a line is.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(line: &[u8]) -> Result<Value, String> {
    let zeros = line.iter().filter(|byte| **byte == 0).count();
    if zeros > 0 {
        return Err(format!("{zeros} zero bytes, as a crash of the machine leaves them"));
    }
    let text = std::str::from_utf8(line).map_err(|problem| format!("no UTF-8 after byte {}", problem.valid_up_to()))?;
    match serde_json::from_str(text) {
        Ok(Strict(row)) if row.is_object() => Ok(row),
        Ok(Strict(other)) => Err(format!("{}, not a row", kind(&other))),
        Err(problem) if problem.is_eof() => Err("the line breaks off".into()),
        Err(problem) => {
            let text = problem.to_string();
            let reason = text.split(" at line ").next().unwrap_or_default();
            Err(format!("no JSON: {reason} (column {})", problem.column()))
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "a map",
    }
}

/// A value whose maps have every key once.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = vec![];
        while let Some(Strict(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((key, Strict(value))) = fields.next_entry::<String, Strict>()? {
            if all.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} twice")));
            }
            all.insert(key, value);
        }
        Ok(all.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_as_they_were_written() {
        let text = r#"{"b":1,"a":[-2,0.1,1e300,18446744073709551615,null,true,"é\n"],"c":{"d":{}}}"#;
        let row = parse(text.as_bytes()).unwrap();
        assert_eq!(row, serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(row.to_string(), text.replace("1e300", "1e+300"));
        assert!(parse(b"{\"a\":1}\r").is_ok(), "line ends of another system");
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let cases: [(&[u8], &str); 9] = [
            (b"nonsense", "no JSON: expected ident (column 2)"),
            (b"{\"a\":1} {\"b\":2}", "no JSON: trailing characters"),
            (b"{\"a\":1", "breaks off"),
            (b"7", "a number, not a row"),
            (b"[]", "an array, not a row"),
            (b"{\"a\":1,\"a\":2}", "the key \"a\" twice"),
            (b"{\"m\":{\"a\":1,\"a\":2}}", "the key \"a\" twice"),
            (b"\0\0\0{\"a\":1}", "3 zero bytes"),
            (b"{\"a\":\"\xff\"}", "no UTF-8 after byte 6"),
        ];
        for (line, expected) in cases {
            let found = parse(line).unwrap_err();
            assert!(found.contains(expected), "{found}");
        }
    }
}
