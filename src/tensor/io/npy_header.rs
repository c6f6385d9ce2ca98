//! Headers of NumPy's arrays: a Python dictionary of `descr` (the element type), `fortran_order` and `shape`, as NumPy itself
//! takes them, those written by Python 2 included.

use py_literal::Value;
use tch::Kind;

/// How deep brackets nest in a header; its reader takes time that doubles with each.
const DEEPEST: usize = 8;

/// A header is a line of text; this is far beyond what NumPy writes.
const LONGEST: usize = 1 << 20;

/// The longest element type that a message shows whole.
const SHOWN: usize = 60;

/// What the elements of an array are.
#[derive(Debug, Clone, PartialEq)]
pub enum Element {
    /// Numbers or truth values that tensors have: the type in a tensor, and the bytes each takes in the file, which are fewer
    /// where an unsigned type is read as the next larger signed one.
    Number { kind: Kind, width: usize, unsigned: bool },
    /// Texts of so many bytes, of 4 a character or of 1.
    Text { width: usize, wide: bool },
    /// Anything else, in words.
    Other(String),
}

/// What a header says.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The element type as the file names it.
    pub name: String,
    pub element: Element,
    /// The first byte of an element is its highest.
    pub big_endian: bool,
    /// Columns first.
    pub fortran: bool,
    pub shape: Vec<i64>,
    /// Where the elements begin.
    pub end: usize,
}

/// Reads the header that an array begins with.
///
/// # Errors
/// What is no header, in words.
pub fn read(bytes: &[u8]) -> Result<Header, String> {
    let (start, end) = extent(bytes)?;
    let text = bytes.get(start..end).unwrap_or_default();
    let text = String::from_utf8(text.to_vec()).unwrap_or_else(|_| text.iter().map(|byte| char::from(*byte)).collect());
    if depth(&text) > DEEPEST {
        return Err(format!("its header cannot be read: brackets nest more than {DEEPEST} deep"));
    }
    let value: Value =
        modern(text.trim()).parse().map_err(|problem| format!("its header cannot be read: {problem}"))?;
    let Value::Dict(entries) = value else { return Err("its header is no dictionary".into()) };
    let find = |name: &str| {
        let named = |(key, _): &&(Value, Value)| matches!(key, Value::String(key) if key == name);
        let found = entries.iter().find(named).map(|(_, value)| value);
        found.ok_or_else(|| format!("its header has no `{name}`"))
    };
    let Value::Boolean(fortran) = find("fortran_order")? else {
        return Err("`fortran_order` in its header is neither True nor False".into());
    };
    let (name, element, big_endian) = described(find("descr")?);
    Ok(Header { name, element, big_endian, fortran: *fortran, shape: sizes(find("shape")?)?, end })
}

/// Where the header starts and ends, by its own length field.
fn extent(bytes: &[u8]) -> Result<(usize, usize), String> {
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err("not an .npy file: it does not begin with NumPy's signature".into());
    }
    let (length, start) = match (bytes.get(6), bytes.get(8..12)) {
        (Some(1), Some([a, b, ..])) => (usize::from(u16::from_le_bytes([*a, *b])), 10),
        (Some(2 | 3), Some([a, b, c, d])) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 12),
        (Some(version), Some(_)) => return Err(format!("version {version} of the .npy format is not known")),
        _ => return Err("the header is cut off (truncated?)".into()),
    };
    if length > LONGEST || start + length > bytes.len() {
        return Err(format!("the header claims {length} bytes, the file has {} (truncated?)", bytes.len()));
    }
    Ok((start, start + length))
}

/// How deep brackets nest.
fn depth(header: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in header.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The header without what only Python 2 wrote: the `L` of long integers, and the prefix of texts (`u'descr'`).
fn modern(header: &str) -> String {
    let letters: Vec<char> = header.chars().collect();
    let (mut modern, mut quote) = (String::with_capacity(header.len()), None);
    for (place, letter) in letters.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|place| letters.get(place));
        let after = letters.get(place + 1);
        match (quote, letter) {
            (Some(open), letter) if open == *letter => quote = None,
            (None, '\'' | '"') => quote = Some(*letter),
            (None, 'L' | 'l') if before.is_some_and(char::is_ascii_digit) => continue,
            (None, 'u' | 'U' | 'b') if matches!(after, Some('\'' | '"')) => continue,
            _ => {}
        }
        modern.push(*letter);
    }
    modern
}

/// A shape.
fn sizes(value: &Value) -> Result<Vec<i64>, String> {
    let wrong = || format!("its shape {value} is none, or too large");
    let (Value::Tuple(sizes) | Value::List(sizes)) = value else { return Err(wrong()) };
    let size = |value: &Value| match value {
        Value::Integer(size) => size.to_string().parse::<i64>().ok().filter(|size| *size >= 0),
        _ => None,
    };
    sizes.iter().map(size).collect::<Option<Vec<i64>>>().ok_or_else(wrong)
}

/// Name, element type and whether it is big-endian.
fn described(descr: &Value) -> (String, Element, bool) {
    let Value::String(name) = descr else {
        let name: String = descr.to_string().chars().take(SHOWN).collect();
        return (name, Element::Other("structured elements".into()), false);
    };
    let (order, rest) = match name.chars().next() {
        Some(order @ ('<' | '>' | '=' | '|')) => (order, name.get(1..).unwrap_or_default()),
        _ => ('=', name.as_str()),
    };
    (name.chars().take(SHOWN).collect(), element(rest), order == '>')
}

/// An element type without its byte order, by any of the names that NumPy takes.
fn element(name: &str) -> Element {
    let number = |kind, width| Element::Number { kind, width, unsigned: false };
    let unsigned = |kind, width| Element::Number { kind, width, unsigned: true };
    match name {
        "f2" | "e" | "half" | "float16" => number(Kind::Half, 2),
        "f4" | "f" | "single" | "float32" => number(Kind::Float, 4),
        "f8" | "d" | "double" | "float64" | "float" => number(Kind::Double, 8),
        "i1" | "b" | "int8" | "byte" => number(Kind::Int8, 1),
        "i2" | "h" | "short" | "int16" => number(Kind::Int16, 2),
        "i4" | "i" | "intc" | "int32" => number(Kind::Int, 4),
        "i8" | "l" | "q" | "p" | "int64" | "int" | "int_" | "intp" | "longlong" => number(Kind::Int64, 8),
        "b1" | "?" | "bool" | "bool_" => number(Kind::Bool, 1),
        "u1" | "B" | "uint8" | "ubyte" => number(Kind::Uint8, 1),
        "u2" | "H" | "ushort" | "uint16" => unsigned(Kind::Int, 2),
        "u4" | "I" | "uintc" | "uint32" => unsigned(Kind::Int64, 4),
        "u8" | "L" | "Q" | "P" | "uint64" | "uint" | "uintp" | "ulonglong" => unsigned(Kind::Int64, 8),
        _ => other(name),
    }
}

/// An element type that is no number of a tensor's.
fn other(name: &str) -> Element {
    let digits = |prefix: &str| name.strip_prefix(prefix).and_then(|digits| digits.parse::<usize>().ok());
    if let Some(width) = digits("U").and_then(|letters| letters.checked_mul(4)) {
        return Element::Text { width, wide: true };
    }
    if let Some(width) = digits("S").or_else(|| digits("a")) {
        return Element::Text { width, wide: false };
    }
    let words = match name.chars().next() {
        Some('O') => "Python objects, which would have to be run",
        Some('c' | 'F' | 'D' | 'G') => "complex numbers",
        Some('M') => "dates",
        Some('m') => "spans of time",
        Some('V') => "raw bytes",
        Some('f' | 'g') => "floating-point numbers of another width",
        Some('i' | 'u') => "integers of another width",
        _ => "an unknown element type",
    };
    Element::Other(words.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Result<Header, String> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        read(&bytes)
    }

    #[test]
    fn every_spelling_that_numpy_takes_is_taken() {
        let of =
            |descr: &str| header(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, 3)}}")).unwrap();
        for float in ["<f4", "=f4", "f4", "|f4", "float32", "f", "single"] {
            let found = of(float);
            assert_eq!(found.element, Element::Number { kind: Kind::Float, width: 4, unsigned: false }, "{float}");
            assert!(!found.big_endian && found.shape == [2, 3]);
        }
        assert!(of(">i8").big_endian);
        assert_eq!(of("u2").element, Element::Number { kind: Kind::Int, width: 2, unsigned: true });
        assert_eq!(of("<U3").element, Element::Text { width: 12, wide: true });
        for other in ["|O", "<c8", "<M8[ns]", "<f16", "|V5", "zz", ""] {
            assert!(matches!(of(other).element, Element::Other(_)), "{other}");
        }
    }

    #[test]
    fn headers_of_python_2_and_terse_ones_are_read() {
        let old = header("{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }   \n").unwrap();
        assert_eq!(old.shape, [2, 3]);
        let unicode = header("{u'shape':(12L,),u'fortran_order':True,u'descr':u'<i8'}").unwrap();
        assert_eq!((unicode.shape, unicode.fortran, unicode.name.as_str()), (vec![12], true, "<i8"));
        assert_eq!(header("{'descr':'f8','fortran_order':False,'shape':()}").unwrap().shape, [0_i64; 0]);
        let fields = header("{'descr': [('x', '<f4'), ('y', '<i2', (2,))], 'fortran_order': False, 'shape': (4,)}");
        assert!(matches!(fields.unwrap().element, Element::Other(words) if words.contains("structured")));
    }

    #[test]
    fn what_is_no_header_is_told() {
        for (text, word) in [
            ("{'descr': '<f4', 'shape': (2,)}", "no `fortran_order`"),
            ("{'fortran_order': False, 'shape': (2,)}", "no `descr`"),
            ("{'descr': '<f4', 'fortran_order': 1, 'shape': (2,)}", "neither True nor False"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "shape"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': 3}", "shape"),
            ("[1, 2]", "no dictionary"),
            ("{", "cut off"),
        ] {
            let said = header(text).unwrap_err();
            assert!(said.contains(word), "{text}: {said}");
        }
    }
}
