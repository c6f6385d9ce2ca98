//! A small HTTP server whose faults can be chosen.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is sent for a request.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// Whether `Range` is respected.
    pub ranges: bool,
    /// Added to the start that a partial answer says it has.
    pub shift: u64,
    /// Whether the length is announced.
    pub length: bool,
    /// Another length than that of the body.
    pub announce: Option<u64>,
    /// Bytes after which the connection is closed.
    pub stop_after: Option<usize>,
    /// Bytes between pauses.
    pub block: usize,
    pub pause: Duration,
    /// The silence before anything is sent.
    pub wait: Duration,
    pub location: Option<&'static str>,
}

impl Answer {
    pub fn file(body: Vec<u8>) -> Self {
        Self {
            status: 200,
            body,
            ranges: true,
            shift: 0,
            length: true,
            announce: None,
            stop_after: None,
            block: usize::MAX,
            pause: Duration::ZERO,
            wait: Duration::ZERO,
            location: None,
        }
    }
}

/// A request: its path and where its range starts.
type Request = (String, Option<u64>);

pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers every request by its number and path, each on a thread of its own, until the test ends.
    pub fn start(answer: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let Some((path, start)) = request(&stream) else { return };
                    let number = {
                        let mut log = log.lock().expect("log");
                        log.push((path.clone(), start));
                        log.len() - 1
                    };
                    let _ = reply(stream, &answer(number, &path), start);
                });
            }
        });
        Self { address, seen }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Where the range of each request so far starts.
    pub fn ranges(&self) -> Vec<Option<u64>> {
        self.seen.lock().expect("log").iter().map(|(_, start)| *start).collect()
    }

    /// The path (or, for a proxy, the authority) of each request so far.
    pub fn paths(&self) -> Vec<String> {
        self.seen.lock().expect("log").iter().map(|(path, _)| path.clone()).collect()
    }
}

fn request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_string();
    let mut start = None;
    for line in lines {
        let line = line.ok()?.to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse().ok();
        }
    }
    Some((path, start))
}

fn reply(mut stream: TcpStream, answer: &Answer, start: Option<u64>) -> std::io::Result<()> {
    std::thread::sleep(answer.wait);
    let whole = answer.announce.unwrap_or(answer.body.len() as u64);
    let from = start.filter(|_| answer.ranges && answer.status == 200);
    let status = if from.is_some() { 206 } else { answer.status };
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
    let skip = from.unwrap_or(0);
    if answer.length {
        head += &format!("Content-Length: {}\r\n", whole - skip);
    }
    if from.is_some() {
        head += &format!("Content-Range: bytes {}-{}/{whole}\r\n", skip + answer.shift, whole - 1);
    }
    if let Some(location) = answer.location {
        head += &format!("Location: {location}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let body = answer.body.get(skip as usize..).unwrap_or_default();
    let body = &body[..answer.stop_after.unwrap_or(usize::MAX).min(body.len())];
    for block in body.chunks(answer.block) {
        stream.write_all(block)?;
        stream.flush()?;
        std::thread::sleep(answer.pause);
    }
    Ok(())
}
