//! Pickles of protocols 0 and 1, which are text, as one of protocol 2: what writes no calls is told by its bytes alone, so that
//! the reader of pickles stays one. Names and calls come through as they are, for the reader to refuse.

/// Whether bytes are such a pickle: a dictionary that begins without the mark of protocol 2 and above.
pub fn is_text(bytes: &[u8]) -> bool {
    matches!(bytes, [b'(', b'd', ..] | [b'}', ..])
}

/// The same pickle with the opcodes of protocol 2.
///
/// # Errors
/// Opcodes that neither protocol has, texts without end: in words.
pub fn modern(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = vec![0x80, 2];
    let mut at = 0;
    while let Some(opcode) = bytes.get(at) {
        at += 1;
        let rest = bytes.get(at..).unwrap_or_default();
        at += match opcode {
            b'I' | b'L' | b'F' | b'S' | b'V' | b'p' | b'g' => {
                let line = line(rest)?;
                write(*opcode, line, &mut out)?;
                line.len() + 1
            }
            b'c' => {
                let module = line(rest)?.len() + 1;
                let names = module + line(rest.get(module..).unwrap_or_default())?.len() + 1;
                copy(&mut out, *opcode, rest, names)?
            }
            // In both protocols these containers are empty when they are made.
            b'd' | b'l' if out.last() == Some(&b'(') => {
                out.pop();
                out.push(if *opcode == b'd' { b'}' } else { b']' });
                0
            }
            b'K' | b'q' | b'h' => copy(&mut out, *opcode, rest, 1)?,
            b'M' => copy(&mut out, *opcode, rest, 2)?,
            b'J' | b'r' | b'j' => copy(&mut out, *opcode, rest, 4)?,
            b'G' => copy(&mut out, *opcode, rest, 8)?,
            b'U' => copy(&mut out, *opcode, rest, 1 + usize::from(*rest.first().ok_or("it ends too early")?))?,
            b'T' | b'X' => {
                let length = rest.first_chunk::<4>().ok_or("it ends too early")?;
                copy(&mut out, *opcode, rest, 4 + u32::from_le_bytes(*length) as usize)?
            }
            b'(' | b')' | b']' | b'}' | b't' | b'a' | b'e' | b's' | b'u' | b'R' | b'b' | b'N' | b'0' | b'd' | b'l'
            | b'.' => copy(&mut out, *opcode, rest, 0)?,
            _ => return Err(format!("opcode 0x{opcode:02x} is of neither protocol 0 nor 1")),
        };
        if *opcode == b'.' {
            return Ok(out);
        }
    }
    Err("it ends too early".into())
}

/// The text up to the end of a line.
fn line(rest: &[u8]) -> Result<&[u8], String> {
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or("a line without end")?;
    Ok(rest.get(..end).unwrap_or_default())
}

/// An opcode with so many bytes behind it.
fn copy(out: &mut Vec<u8>, opcode: u8, rest: &[u8], length: usize) -> Result<usize, String> {
    out.push(opcode);
    out.extend(rest.get(..length).ok_or("it ends too early")?);
    Ok(length)
}

/// An opcode with a line of text, as one with bytes.
fn write(opcode: u8, line: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let text = || std::str::from_utf8(line).map(|text| text.trim_end_matches(['\r', 'L'])).unwrap_or_default();
    let number = || text().parse::<i64>().map_err(|_| format!("{:?} is no integer", text()));
    match opcode {
        b'I' if text() == "00" => out.push(0x89),
        b'I' if text() == "01" => out.push(0x88),
        b'I' | b'L' => {
            out.extend([0x8A, 8]);
            out.extend(number()?.to_le_bytes());
        }
        b'F' => {
            out.push(b'G');
            out.extend(text().parse::<f64>().map_err(|_| "a number is missing")?.to_be_bytes());
        }
        b'p' | b'g' => {
            out.push(if opcode == b'p' { b'r' } else { b'j' });
            out.extend(u32::try_from(number()?).map_err(|_| "a reference to nothing")?.to_le_bytes());
        }
        b'S' => counted(out, b'T', &unquoted(line)?),
        _ => counted(out, b'X', unescaped(line)?.as_bytes()),
    }
    Ok(())
}

fn counted(out: &mut Vec<u8>, opcode: u8, bytes: &[u8]) {
    out.push(opcode);
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

/// The bytes of a string as Python 2 quotes it.
fn unquoted(line: &[u8]) -> Result<Vec<u8>, String> {
    let wrong = || "a string without quotes".to_string();
    let (mark, rest) = line.split_first().filter(|(mark, _)| matches!(mark, b'\'' | b'"')).ok_or_else(wrong)?;
    let inner = rest.strip_suffix(b"\r").unwrap_or(rest).strip_suffix(&[*mark]).ok_or_else(wrong)?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        bytes.push(match rest.next().ok_or("an escape without end")? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => digits(&mut rest, 2)? as u8,
            other => *other,
        });
    }
    Ok(bytes)
}

/// A text in which characters are escaped as `\uXXXX`, the others are those of Latin-1.
fn unescaped(line: &[u8]) -> Result<String, String> {
    let (mut text, mut rest) = (String::with_capacity(line.len()), line.iter());
    while let Some(byte) = rest.next() {
        let ahead = rest.clone().next();
        let length = match (byte, ahead) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                text.push(char::from(*byte));
                continue;
            }
        };
        rest.next();
        text.push(char::from_u32(digits(&mut rest, length)?).ok_or("a character that is none")?);
    }
    Ok(text)
}

/// The number that so many hexadecimal digits make.
fn digits<'a>(rest: &mut impl Iterator<Item = &'a u8>, length: usize) -> Result<u32, String> {
    let mut number = 0_u32;
    for _ in 0..length {
        let digit = rest.next().and_then(|byte| char::from(*byte).to_digit(16));
        number = (number << 4) | digit.ok_or("an escape that is none")?;
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers_become_those_of_protocol_2() {
        let old = b"(dp0\nS'a\\x00\\'b\\n'\np1\nI-7\nsVx\\u00e9\\u20ac\nL12L\nsS\"q\"\nI01\ns.";
        let new = modern(old).unwrap();
        let expected = [
            &b"\x80\x02}r\0\0\0\0T\x05\0\0\0a\0'b\nr\x01\0\0\0\x8A\x08\xF9\xFF\xFF\xFF\xFF\xFF\xFF\xFFs"[..],
            b"X\x06\0\0\0x\xC3\xA9\xE2\x82\xAC\x8A\x08\x0C\0\0\0\0\0\0\0s",
            b"T\x01\0\0\0q\x88s.",
        ];
        assert_eq!(new, expected.concat());
        for bad in [&b"(dp0\n"[..], b"(dS'a\n.", b"(dp-1\n.", b"(dIx\n.", b"(dU\x09a", b"(d\xFF", b"(dS'\\x0'\ns."] {
            assert!(modern(bad).is_err(), "{bad:?}");
        }
    }
}
