//! Whether a JPEG file is whole: its compressed data is walked to the end, block by block, without making pixels of it.
//! Decoders fill what is missing with grey and say nothing.

/// Bits that one look into a Huffman table decides.
const LOOK: u32 = 9;

/// More pixels than a picture has.
const MOST_PIXELS: usize = 1 << 28;

/// More scans than a picture comes in.
const MOST_SCANS: usize = 256;

/// What a scan without the end of its data is told as.
const EARLY: &str = "damaged: its compressed data ends before the picture does";

/// What a file without its end is told as.
const CUT: &str = "cut off: the file ends before the picture does";

/// Walks a file; how many bytes follow its end.
///
/// # Errors
/// A file that is cut off or damaged, in words.
pub fn whole(bytes: &[u8]) -> Result<usize, String> {
    let mut file = File { bytes, at: 0, tables: Default::default(), frame: None, interval: 0, scans: 0 };
    loop {
        match file.marker()? {
            0xC4 => file.huffman()?,
            0xC0..=0xC2 => file.frame()?,
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCF => return Err("a kind of JPEG that is not read here".into()),
            0xDA => file.scan()?,
            0xDD => file.interval = u32::from(two(file.segment()?, 0)?),
            0xD9 => return file.finish(),
            0x01 | 0xD0..=0xD8 => {}
            _ => drop(file.segment()?),
        }
    }
}

/// A file as far as it has been read.
struct File<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Huffman tables for the first coefficient and for the others.
    tables: [[Option<Table>; 4]; 2],
    frame: Option<Frame>,
    /// Units between restart markers; 0: there are none.
    interval: u32,
    scans: usize,
}

/// What a picture is made of.
struct Frame {
    progressive: bool,
    width: usize,
    height: usize,
    /// The largest sampling factors.
    most: [usize; 2],
    components: Vec<Component>,
}

/// A channel.
struct Component {
    id: u8,
    sampling: [usize; 2],
    /// Blocks in a row of units.
    stride: usize,
    /// In progressive files, which coefficients of each block are not zero so far.
    history: Vec<u64>,
    /// The coefficients that have come to their last bit.
    complete: u64,
}

/// The part of the coefficients that a scan brings.
#[derive(Clone, Copy)]
struct Band {
    progressive: bool,
    start: u32,
    end: u32,
    /// Whether it adds a bit to coefficients that an earlier scan brought.
    refines: bool,
    /// Whether no later scan adds another.
    last: bool,
}

/// A channel within a scan: its number and its tables.
#[derive(Clone, Copy)]
struct Part {
    component: usize,
    tables: [usize; 2],
}

fn byte(segment: &[u8], at: usize) -> Result<u8, String> {
    segment.get(at).copied().ok_or_else(|| "damaged: a part of its header is too short".into())
}

fn two(segment: &[u8], at: usize) -> Result<u16, String> {
    Ok(u16::from_be_bytes([byte(segment, at)?, byte(segment, at + 1)?]))
}

impl<'a> File<'a> {
    /// The next marker; what other bytes lie before it is passed over, as decoders do.
    fn marker(&mut self) -> Result<u8, String> {
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let start = rest.iter().position(|byte| *byte == 0xFF).ok_or(CUT)?;
            let code = rest.iter().skip(start).position(|byte| *byte != 0xFF).ok_or(CUT)? + start;
            self.at += code + 1;
            match rest.get(code) {
                Some(0) | None => {}
                Some(marker) => return Ok(*marker),
            }
        }
    }

    /// The content of a segment.
    fn segment(&mut self) -> Result<&'a [u8], String> {
        let length = usize::from(two(self.bytes, self.at).map_err(|_| CUT)?);
        let content = self.bytes.get(self.at + 2..self.at + length.max(2)).ok_or(CUT)?;
        self.at += length.max(2);
        Ok(content)
    }

    fn huffman(&mut self) -> Result<(), String> {
        let mut rest = self.segment()?;
        while !rest.is_empty() {
            let place = byte(rest, 0)?;
            let counts: [u8; 16] = rest.get(1..17).and_then(|c| c.try_into().ok()).ok_or("damaged: a Huffman table")?;
            let symbols: usize = counts.iter().map(|count| usize::from(*count)).sum();
            let values = rest.get(17..17 + symbols).ok_or("damaged: a Huffman table")?;
            let slot = self.tables.get_mut(usize::from(place >> 4)).and_then(|t| t.get_mut(usize::from(place & 15)));
            *slot.ok_or("damaged: a Huffman table")? = Some(Table::new(&counts, values)?);
            rest = rest.get(17 + symbols..).unwrap_or_default();
        }
        Ok(())
    }

    fn frame(&mut self) -> Result<(), String> {
        let progressive = self.bytes.get(self.at - 1) == Some(&0xC2);
        let header = self.segment()?;
        let (height, width) = (usize::from(two(header, 1)?), usize::from(two(header, 3)?));
        if self.frame.is_some() || width * height > MOST_PIXELS {
            return Err("damaged: a second size, or one beyond all pictures".into());
        }
        let mut components = vec![];
        for number in 0..usize::from(byte(header, 5)?) {
            let factors = byte(header, 7 + 3 * number)?;
            let sampling = [usize::from(factors >> 4), usize::from(factors & 15)];
            if !sampling.iter().all(|factor| (1..=4).contains(factor)) {
                return Err("damaged: sampling factors outside 1..4".into());
            }
            let id = byte(header, 6 + 3 * number)?;
            components.push(Component { id, sampling, stride: 0, history: vec![], complete: 0 });
        }
        let most =
            [0, 1].map(|side| components.iter().filter_map(|c| c.sampling.get(side)).copied().max().unwrap_or(1));
        let units = [width.div_ceil(8 * most[0]), height.div_ceil(8 * most[1])];
        for component in &mut components {
            component.stride = units[0] * component.sampling[0];
            if progressive {
                component.history = vec![0; component.stride * units[1] * component.sampling[1]];
            }
        }
        self.frame = Some(Frame { progressive, width, height, most, components });
        Ok(())
    }

    /// A scan: its header, and its data up to the next marker.
    fn scan(&mut self) -> Result<(), String> {
        let header = self.segment()?;
        self.scans += 1;
        if self.scans > MOST_SCANS {
            return Err("damaged: it has no end of scans".into());
        }
        let frame = self.frame.as_mut().ok_or("damaged: data before the size of the picture")?;
        let count = usize::from(byte(header, 0)?);
        let mut parts = vec![];
        for number in 0..count {
            let (id, tables) = (byte(header, 1 + 2 * number)?, byte(header, 2 + 2 * number)?);
            let component = frame.components.iter().position(|component| component.id == id);
            let component = component.ok_or("damaged: data of an unknown channel")?;
            parts.push(Part { component, tables: [usize::from(tables >> 4), usize::from(tables & 15)] });
        }
        let band = match frame.progressive {
            false => Band { progressive: false, start: 0, end: 63, refines: false, last: true },
            true => Band {
                progressive: true,
                start: u32::from(byte(header, 1 + 2 * count)?),
                end: u32::from(byte(header, 2 + 2 * count)?).min(63),
                refines: byte(header, 3 + 2 * count)? >> 4 != 0,
                last: byte(header, 3 + 2 * count)? & 15 == 0,
            },
        };
        let mut data = Data { bytes: self.bytes, at: self.at, buffer: 0, count: 0, run: 0 };
        let walked = walk(frame, &parts, band, &self.tables, self.interval, &mut data);
        self.at = data.at;
        walked
    }

    fn finish(self) -> Result<usize, String> {
        let components = self.frame.map(|frame| frame.components).unwrap_or_default();
        if components.is_empty() || components.iter().any(|component| component.complete != u64::MAX) {
            return Err("cut off: it ends before all of its scans have come".into());
        }
        Ok(self.bytes.len() - self.at)
    }
}

/// Walks all units of a scan.
fn walk(
    frame: &mut Frame,
    parts: &[Part],
    band: Band,
    tables: &[[Option<Table>; 4]; 2],
    interval: u32,
    data: &mut Data<'_>,
) -> Result<(), String> {
    let alone = parts.len() == 1;
    let blocks = |size: usize, factor: usize, most: usize| (size * factor).div_ceil(most).div_ceil(8);
    let (columns, rows) = match parts.first().and_then(|part| frame.components.get(part.component)).filter(|_| alone) {
        Some(only) => (
            blocks(frame.width, only.sampling[0], frame.most[0]),
            blocks(frame.height, only.sampling[1], frame.most[1]),
        ),
        None => (frame.width.div_ceil(8 * frame.most[0]), frame.height.div_ceil(8 * frame.most[1])),
    };
    let (mut left, mut restarts) = (interval, 0_u8);
    for unit in 0..columns * rows {
        if interval > 0 && left == 0 {
            data.restart(restarts)?;
            (left, restarts) = (interval, (restarts + 1) % 8);
        }
        left = left.saturating_sub(1);
        let (row, column) = (unit / columns, unit % columns);
        for part in parts {
            let Some(component) = frame.components.get_mut(part.component) else { continue };
            let table = |kind: usize| {
                let place = part.tables.get(kind).copied().unwrap_or_default();
                let table = tables.get(kind).and_then(|tables| tables.get(place)).and_then(Option::as_ref);
                table.ok_or_else(|| "damaged: a Huffman table is missing".to_string())
            };
            let [across, down] = if alone { [1, 1] } else { component.sampling };
            for inner in 0..across * down {
                let place = (row * down + inner / across) * component.stride + column * across + inner % across;
                let mut spare = 0;
                let history = component.history.get_mut(place).unwrap_or(&mut spare);
                match band {
                    Band { progressive: false, .. } => data.baseline(table(0)?, table(1)?)?,
                    Band { start: 0, refines: true, .. } => data.skip(1)?,
                    Band { start: 0, .. } => data.first(table(0)?)?,
                    Band { refines: false, .. } => data.others(table(1)?, band, history)?,
                    _ => data.refined(table(1)?, band, history)?,
                }
            }
        }
    }
    for part in parts.iter().filter(|_| band.last) {
        if let Some(component) = frame.components.get_mut(part.component) {
            (band.start..=band.end).for_each(|place| component.complete |= 1 << place);
        }
    }
    Ok(())
}

/// Compressed data, bit by bit.
struct Data<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Bits that were read and not used, the next one highest.
    buffer: u64,
    count: u32,
    /// Blocks that bring nothing more.
    run: u32,
}

impl Data<'_> {
    /// Reads bytes until there are as many bits as one step may need, or the data ends.
    fn fill(&mut self) {
        while self.count <= 56 {
            let Some(byte) = self.bytes.get(self.at).copied() else { return };
            if byte == 0xFF {
                if self.bytes.get(self.at + 1) != Some(&0) {
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    fn early(&self) -> String {
        if self.bytes.get(self.at + 1).is_none() { CUT.into() } else { EARLY.into() }
    }

    fn bits(&mut self, count: u32) -> Result<u32, String> {
        if self.count < count {
            self.fill();
            if self.count < count {
                return Err(self.early());
            }
        }
        let value = if count == 0 { 0 } else { self.buffer >> (64 - count) };
        self.buffer <<= count;
        self.count -= count;
        Ok(value as u32)
    }

    fn skip(&mut self, count: u32) -> Result<(), String> {
        self.bits(count).map(drop)
    }

    fn symbol(&mut self, table: &Table) -> Result<u32, String> {
        if self.count < 16 {
            self.fill();
        }
        let (length, symbol) = table.find((self.buffer >> 48) as u16).ok_or("damaged: no such Huffman code")?;
        if length > self.count {
            return Err(self.early());
        }
        self.buffer <<= length;
        self.count -= length;
        Ok(symbol)
    }

    /// The restart marker of this number; what is left before it is padding.
    fn restart(&mut self, number: u8) -> Result<(), String> {
        (self.buffer, self.count, self.run) = (0, 0, 0);
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let marker = |pair: &&[u8]| matches!(pair, [0xFF, code] if *code != 0 && *code != 0xFF);
        let found = rest.windows(2).enumerate().find(|(_, pair)| marker(pair)).ok_or(CUT)?;
        if found.1.last() != Some(&(0xD0 + number)) {
            return Err(EARLY.into());
        }
        self.at += found.0 + 2;
        Ok(())
    }

    /// All coefficients of a block.
    fn baseline(&mut self, first: &Table, others: &Table) -> Result<(), String> {
        self.first(first)?;
        let mut place = 1;
        while place < 64 {
            let symbol = self.symbol(others)?;
            match (symbol >> 4, symbol & 15) {
                (15, 0) => place += 16,
                (_, 0) => break,
                (zeros, bits) => {
                    place = coefficient(place + zeros, 63)? + 1;
                    self.skip(bits)?;
                }
            }
        }
        Ok(())
    }

    /// The first coefficient of a block.
    fn first(&mut self, table: &Table) -> Result<(), String> {
        let bits = self.symbol(table)?;
        if bits > 16 { Err("damaged: no such difference".into()) } else { self.skip(bits) }
    }

    /// Other coefficients of a block, for the first time.
    fn others(&mut self, table: &Table, band: Band, history: &mut u64) -> Result<(), String> {
        if self.run > 0 {
            self.run -= 1;
            return Ok(());
        }
        let mut place = band.start;
        while place <= band.end {
            let symbol = self.symbol(table)?;
            match (symbol >> 4, symbol & 15) {
                (15, 0) => place += 16,
                (length, 0) => {
                    self.run = (1 << length) - 1 + self.bits(length)?;
                    break;
                }
                (zeros, bits) => {
                    place = coefficient(place + zeros, band.end)?;
                    *history |= 1 << place;
                    self.skip(bits)?;
                    place += 1;
                }
            }
        }
        Ok(())
    }

    /// One more bit of a block's coefficients, and those that are new.
    fn refined(&mut self, table: &Table, band: Band, history: &mut u64) -> Result<(), String> {
        let mut place = band.start;
        while place <= band.end && self.run == 0 {
            let symbol = self.symbol(table)?;
            let (mut zeros, new) = (symbol >> 4, symbol & 15 != 0);
            if new {
                self.skip(1)?;
            } else if zeros < 15 {
                self.run = (1 << zeros) + self.bits(zeros)?;
                break;
            }
            while place <= band.end {
                if *history >> place & 1 == 1 {
                    self.skip(1)?;
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                place += 1;
            }
            if new {
                *history |= 1 << coefficient(place, band.end)?;
            }
            place += 1;
        }
        if self.run > 0 {
            self.run -= 1;
            let known = (place..=band.end).filter(|place| *history >> place & 1 == 1).count();
            (0..known).try_for_each(|_| self.skip(1))?;
        }
        Ok(())
    }
}

/// A coefficient's place within the block.
fn coefficient(place: u32, last: u32) -> Result<u32, String> {
    if place <= last { Ok(place) } else { Err("damaged: a coefficient beyond its block".into()) }
}

/// A Huffman table.
struct Table {
    /// Length and symbol of the code that these first bits start with; 0: it is longer.
    short: Vec<(u8, u8)>,
    /// For each length, one more than the largest code, and what to add to a code for its symbol's place.
    long: [(i32, i32); 17],
    symbols: Vec<u8>,
}

impl Table {
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, String> {
        let mut table = Self { short: vec![(0, 0); 1 << LOOK], long: [(0, 0); 17], symbols: symbols.to_vec() };
        let (mut code, mut place) = (0_i32, 0_i32);
        for (length, count) in (1_u32..).zip(counts) {
            let count = i32::from(*count);
            if code + count > 1 << length {
                return Err("damaged: a Huffman table".into());
            }
            if let Some(long) = table.long.get_mut(length as usize) {
                *long = (code + count, place - code);
            }
            for _ in (0..count).filter(|_| length <= LOOK) {
                let start = (code as usize) << (LOOK - length);
                let symbol = symbols.get(place as usize).copied().unwrap_or_default();
                let entries = table.short.get_mut(start..start + (1 << (LOOK - length))).unwrap_or_default();
                entries.fill((length as u8, symbol));
                (code, place) = (code + 1, place + 1);
            }
            if length > LOOK {
                (code, place) = (code + count, place + count);
            }
            code <<= 1;
        }
        Ok(table)
    }

    /// Length and symbol of the code that sixteen bits start with.
    fn find(&self, bits: u16) -> Option<(u32, u32)> {
        match self.short.get(usize::from(bits >> (16 - LOOK))) {
            Some((length, symbol)) if *length > 0 => return Some((u32::from(*length), u32::from(*symbol))),
            _ => {}
        }
        (LOOK + 1..=16).find_map(|length| {
            let (end, shift) = self.long.get(length as usize)?;
            let code = i32::from(bits >> (16 - length));
            let symbol = self.symbols.get(usize::try_from(code + shift).ok()?).filter(|_| code < *end)?;
            Some((length, u32::from(*symbol)))
        })
    }
}
