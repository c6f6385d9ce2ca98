//! What to write in place of calls and loops that cannot work.

/// What to go through instead of a value that no loop can go through; `None` of all others.
pub fn not_iterable(kind: &str) -> Option<&'static str> {
    match kind {
        "map" => Some("for key in map.keys() { let value = map[key]; .. } goes through the entries"),
        "int" => Some("0..n is the range of whole numbers below n"),
        "float" | "bool" | "()" => Some("loops go through arrays, ranges and batches"),
        "string" => Some("text.chars() are its letters"),
        "Data" => Some("a data set has the parts train, validation and test; part.batches(64) are the batches of one"),
        "Dataset" => Some("data.batches(64) are its batches"),
        _ => None,
    }
}

/// What to write where a function does not take a value of this type.
pub fn advice(name: &str, kinds: &[String]) -> String {
    match (name, kinds.first().map(String::as_str)) {
        ("map" | "filter" | "reduce" | "for_each" | "all" | "some", Some("range")) => {
            format!(
                "a range has no `{name}`: arange(0, 5).to_array().{name}(..) goes through an array, a for loop through the range"
            )
        }
        _ => String::new(),
    }
}
