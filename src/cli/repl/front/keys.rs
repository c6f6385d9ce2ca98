//! What bytes of a terminal are: text, keys, pastes, ends of lines. Everything that is no input of a person stops here:
//! bytes that are not UTF-8 become `�`, answers of the terminal and unfinished key sequences are left out.

/// The end of a bracketed paste.
const PASTE_END: &[u8] = b"\x1b[201~";
/// Longest answer of a terminal (a title, a colour) that is recognised as one.
const ANSWER: usize = 4096;
const ESCAPE: u8 = 0x1b;

/// The characters that mean something to the terminal's driver; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Special {
    pub interrupt: u8,
    pub suspend: u8,
    pub quit: u8,
}

/// One thing that was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Text(String),
    /// The end of a line.
    Enter,
    /// A control character or a key sequence, as it is.
    Key(Vec<u8>),
    /// A bracketed paste.
    Paste(String),
    Interrupt,
    Suspend,
    Quit,
}

/// What could not be taken as it came.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Bytes that are not UTF-8.
    pub foreign: usize,
    /// Control characters within text.
    pub control: usize,
}

impl Faults {
    /// What there is to say about them.
    pub fn warnings(self) -> Vec<String> {
        let bytes = |count: usize| if count == 1 { "1 byte that is".into() } else { format!("{count} bytes that are") };
        let letters =
            |n: usize| if n == 1 { "1 control character was".into() } else { format!("{n} control characters were") };
        let foreign = (self.foreign > 0).then(|| format!("{} not UTF-8, read as \u{fffd}", bytes(self.foreign)));
        let control = (self.control > 0).then(|| format!("{} left out", letters(self.control)));
        foreign.into_iter().chain(control).collect()
    }
}

/// Cuts the bytes of a terminal into items.
pub struct Keys {
    special: Special,
    buffer: Vec<u8>,
    /// How much of the buffer has been searched for the end of a paste.
    searched: usize,
    /// Whether the last byte was a carriage return: a line feed behind it belongs to it.
    returned: bool,
    pub faults: Faults,
}

/// What the beginning of the buffer is.
enum Cut {
    /// An item of so many bytes.
    Item(Item, usize),
    /// So many bytes that are nothing.
    Skip(usize),
    /// The rest has not arrived yet.
    Wait,
}

impl Keys {
    pub fn new(special: Special) -> Self {
        Self { special, buffer: vec![], searched: 0, returned: false, faults: Faults::default() }
    }

    /// Takes bytes as they arrive.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether bytes wait for others that belong to them.
    pub fn unfinished(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Whether a paste has begun and not ended.
    pub fn pasting(&self) -> bool {
        self.buffer.starts_with(b"\x1b[200~")
    }

    /// The items there are. `settled`: nothing more has arrived for a while, so that what is unfinished stays so.
    pub fn items(&mut self, settled: bool) -> Vec<Item> {
        let bytes = std::mem::take(&mut self.buffer);
        let (mut items, mut at) = (vec![], 0);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.cut(rest, settled, &items) {
                Cut::Item(item, length) => {
                    items.push(item);
                    at += length;
                }
                Cut::Skip(length) => at += length.max(1),
                Cut::Wait => break,
            }
        }
        self.buffer = bytes.get(at..).unwrap_or_default().to_vec();
        if at > 0 || self.buffer.is_empty() {
            self.searched = self.buffer.len();
        }
        items
    }

    fn cut(&mut self, rest: &[u8], settled: bool, before: &[Item]) -> Cut {
        let Some(&first) = rest.first() else { return Cut::Wait };
        let fed = std::mem::take(&mut self.returned);
        let special = |byte: u8| byte != 0 && first == byte;
        match first {
            b'\n' if fed => Cut::Skip(1),
            b'\r' | b'\n' => {
                self.returned = first == b'\r';
                Cut::Item(Item::Enter, 1)
            }
            _ if special(self.special.interrupt) => Cut::Item(Item::Interrupt, 1),
            _ if special(self.special.suspend) => Cut::Item(Item::Suspend, 1),
            _ if special(self.special.quit) => Cut::Item(Item::Quit, 1),
            ESCAPE => self.sequence(rest, settled),
            0 => {
                self.faults.control += 1;
                Cut::Skip(1)
            }
            b'\t' if !indents(rest, before) => Cut::Item(Item::Key(vec![first]), 1),
            byte if is_control(byte) && byte != b'\t' => Cut::Item(Item::Key(vec![first]), 1),
            _ => self.text(rest, settled),
        }
    }

    /// Text up to a control character; a tabulator belongs to it where it indents.
    fn text(&mut self, rest: &[u8], settled: bool) -> Cut {
        let blank = rest.iter().position(|byte| *byte != b'\t' && *byte != b' ').unwrap_or(rest.len());
        let tail = rest.get(blank..).unwrap_or_default();
        let length = blank + tail.iter().position(|byte| is_control(*byte)).unwrap_or(tail.len());
        let whole = rest.get(..length).unwrap_or_default();
        let ready = if length == rest.len() && !settled { complete(whole) } else { length };
        if ready == 0 {
            return Cut::Wait;
        }
        let (text, foreign) = decoded(whole.get(..ready).unwrap_or_default());
        self.faults.foreign += foreign;
        Cut::Item(Item::Text(text), ready)
    }

    /// What begins with an escape character.
    fn sequence(&mut self, rest: &[u8], settled: bool) -> Cut {
        let unfinished = |length: usize| if settled { Cut::Skip(length) } else { Cut::Wait };
        match rest.get(1) {
            None if settled => Cut::Item(Item::Key(vec![ESCAPE]), 1),
            None => Cut::Wait,
            Some(b'[') => self.control_sequence(rest, settled),
            Some(b'O') => match rest.get(2) {
                None => unfinished(2),
                Some(byte) if is_control(*byte) || *byte >= 0x80 => Cut::Skip(2),
                Some(_) => Cut::Item(Item::Key(rest.get(..3).unwrap_or_default().to_vec()), 3),
            },
            Some(b']' | b'P' | b'X' | b'^' | b'_') => match answer(rest) {
                Some(length) => Cut::Skip(length),
                None if !settled && rest.len() < ANSWER && !rest.iter().any(|byte| matches!(byte, b'\r' | b'\n')) => {
                    Cut::Wait
                }
                // An answer that broke off; in front of a line it was no answer but a key.
                None if settled && !rest.iter().any(|byte| matches!(byte, b'\r' | b'\n')) => Cut::Skip(rest.len()),
                None => Cut::Skip(2),
            },
            // Alt-Enter and Alt with a letter; an escape before anything else is one by itself, which does nothing.
            Some(byte @ (b'\r' | b'\n' | 0x7f | 0x20..0x7f)) => Cut::Item(Item::Key(vec![ESCAPE, *byte]), 2),
            Some(_) => Cut::Skip(1),
        }
    }

    /// `ESC [ parameters letter`: a key, a paste, or an answer of the terminal.
    fn control_sequence(&mut self, rest: &[u8], settled: bool) -> Cut {
        if self.pasting_at(rest) {
            return self.paste(rest, settled);
        }
        let body = rest.get(2..).unwrap_or_default();
        let Some(end) = body.iter().position(|byte| !(0x20..0x40).contains(byte)) else {
            return if settled { Cut::Skip(rest.len()) } else { Cut::Wait };
        };
        let last = body.get(end).copied().unwrap_or(0);
        // The Linux console's function keys: ESC [ [ A.
        if last == b'[' && end == 0 {
            return match body.get(1) {
                Some(b'A'..=b'E') => Cut::Item(Item::Key(rest.get(..4).unwrap_or_default().to_vec()), 4),
                Some(_) => Cut::Skip(3),
                None if settled => Cut::Skip(3),
                None => Cut::Wait,
            };
        }
        if !(0x40..0x7f).contains(&last) {
            return Cut::Skip(2 + end);
        }
        let length = 3 + end;
        let parameters = body.get(..end).unwrap_or_default();
        let plain = parameters.iter().all(|byte| byte.is_ascii_digit() || *byte == b';') && end <= 4;
        let known = matches!(last, b'A'..=b'D' | b'F' | b'H' | b'P'..=b'S' | b'Z' | b'~' | b'^' | b'@' | b'a'..=b'd');
        // `ESC [ row ; column R` is where the cursor is; with a 1 in front it is F3 with a modifier.
        let answer = last == b'R' && !parameters.starts_with(b"1;") || parameters == b"201";
        if plain && known && !answer {
            return Cut::Item(Item::Key(rest.get(..length).unwrap_or_default().to_vec()), length);
        }
        Cut::Skip(length)
    }

    fn pasting_at(&self, rest: &[u8]) -> bool {
        rest.starts_with(b"\x1b[200~")
    }

    fn paste(&mut self, rest: &[u8], settled: bool) -> Cut {
        let from = self.searched.saturating_sub(PASTE_END.len()).clamp(6, rest.len());
        let tail = rest.get(from..).unwrap_or_default();
        let end = tail.windows(PASTE_END.len()).position(|window| window == PASTE_END).map(|at| from + at);
        if end.is_none() && !settled {
            self.searched = rest.len();
            return Cut::Wait;
        }
        self.searched = 0;
        let end = end.unwrap_or(rest.len());
        let (text, foreign) = decoded(rest.get(6..end).unwrap_or_default());
        self.faults.foreign += foreign;
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let clean: String = text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect();
        self.faults.control += text.chars().count() - clean.chars().count();
        Cut::Item(Item::Paste(clean), (end + PASTE_END.len()).min(rest.len()))
    }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// Whether a tabulator indents a line that came at once, rather than asks for completion.
fn indents(rest: &[u8], before: &[Item]) -> bool {
    let first = matches!(before.last(), None | Some(Item::Enter));
    let next = rest.iter().find(|byte| **byte != b'\t' && **byte != b' ');
    first && next.is_some_and(|byte| !is_control(*byte))
}

/// How many bytes can be decoded without waiting for the rest of a character.
fn complete(bytes: &[u8]) -> usize {
    let cut = (1..=3.min(bytes.len())).find(|back| {
        let Some(lead) = bytes.get(bytes.len() - back) else { return false };
        let length = match lead {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 0,
        };
        length > *back
    });
    bytes.len() - cut.unwrap_or(0)
}

/// The text of bytes, and how many of them are not UTF-8.
pub fn decoded(bytes: &[u8]) -> (String, usize) {
    let foreign = bytes.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    (String::from_utf8_lossy(bytes).into_owned(), foreign)
}

/// The length of an answer of the terminal such as `ESC ] 11 ; rgb:.. BEL`.
fn answer(rest: &[u8]) -> Option<usize> {
    let body = rest.get(..rest.len().min(ANSWER))?;
    let end = body.iter().enumerate().skip(2).find(|(_, byte)| matches!(**byte, 0x07 | ESCAPE | b'\r' | b'\n'))?;
    match end {
        (at, 0x07) => Some(at + 1),
        (at, &ESCAPE) if rest.get(at + 1) == Some(&b'\\') => Some(at + 2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(Special { interrupt: 3, suspend: 26, quit: 28 })
    }

    fn all(bytes: &[u8]) -> Vec<Item> {
        let mut keys = keys();
        keys.push(bytes);
        let mut items = keys.items(false);
        items.extend(keys.items(true));
        items
    }

    fn text(text: &str) -> Item {
        Item::Text(text.into())
    }

    fn key(bytes: &[u8]) -> Item {
        Item::Key(bytes.to_vec())
    }

    const ENTER: Item = Item::Enter;

    #[test]
    fn lines_that_arrive_together_are_apart() {
        assert_eq!(
            all(b"ab\rcd\r\nef\n\rg"),
            [text("ab"), ENTER, text("cd"), ENTER, text("ef"), ENTER, ENTER, text("g")]
        );
        assert_eq!(all(b"x\r"), [text("x"), ENTER]);
        assert_eq!(all(b"\tlet a\r\tb"), [text("\tlet a"), ENTER, text("\tb")]);
        assert_eq!(all(b"conv\t\r"), [text("conv"), key(b"\t"), ENTER]);
        assert_eq!(all(b"\t"), [key(b"\t")]);
        assert_eq!(all(b"a\x03b\x1ac"), [text("a"), Item::Interrupt, text("b"), Item::Suspend, text("c")]);
    }

    #[test]
    fn foreign_bytes_are_replaced_and_counted() {
        let mut keys = keys();
        keys.push(b"a\xff\xfeb\0c\xc3");
        assert_eq!(keys.items(false), [text("a\u{fffd}\u{fffd}b"), text("c")]);
        assert!(keys.unfinished());
        keys.push(b"\xa9\r");
        assert_eq!(keys.items(false), [text("é"), ENTER]);
        assert_eq!(keys.faults, Faults { foreign: 2, control: 1 });
        assert_eq!(all(b"\xe2\x82"), [text("\u{fffd}")]);
    }

    #[test]
    fn keys_pass_and_answers_of_the_terminal_do_not() {
        assert_eq!(all(b"\x1b[A\x1bOH\x1b[3~\x1bb"), [key(b"\x1b[A"), key(b"\x1bOH"), key(b"\x1b[3~"), key(b"\x1bb")]);
        assert_eq!(all(b"\x1b[24;1R1\x1b]11;rgb:0/0/0\x071\x1b[?62;c1\x1b[I"), [text("1"), text("1"), text("1")]);
        assert_eq!(all(b"\x1b"), [key(b"\x1b")]);
        assert_eq!(all(b"\x1b[12"), []);
        assert_eq!(all(b"\x1b]11;rgb:0"), []);
        assert_eq!(all(b"\x1b]1\r"), [text("1"), ENTER]);
        assert_eq!(all(b"\x1b[12\r1\r"), [ENTER, text("1"), ENTER]);
        assert_eq!(all(b"\x1b\x1b[A"), [key(b"\x1b[A")]);
        assert_eq!(all(b"\x1b\x03"), [Item::Interrupt]);
    }

    #[test]
    fn pastes_are_one_item_whatever_is_in_them() {
        let paste = |text: &str| Item::Paste(text.into());
        assert_eq!(all(b"\x1b[200~a\r\n\tb\x03\x1b[A\xff\x1b[201~c"), [paste("a\n\tb[A\u{fffd}"), text("c")]);
        assert_eq!(all(b"\x1b[200~never ended\r"), [paste("never ended\n")]);
        assert_eq!(all(b"\x1b[201~a"), [text("a")]);
        let mut keys = keys();
        for byte in b"x\x1b[200~ab\x1b[201~y" {
            keys.push(&[*byte]);
            let items = keys.items(false);
            assert!(items.len() < 2, "{items:?}");
        }
        keys.push(b"\x1b[200~ab");
        assert!(keys.items(false).is_empty() && keys.pasting());
        keys.push(b"\x1b[201~");
        assert_eq!(keys.items(false), [paste("ab")]);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic_or_hang_and_letters_between_are_kept(bytes in proptest::collection::vec(0_u8.., 0..80)) {
            let mut keys = keys();
            keys.push(&bytes);
            keys.items(false);
            keys.items(true);
            proptest::prop_assert!(!keys.unfinished());
        }
    }
}
