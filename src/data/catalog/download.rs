//! Getting one file from a server: what has come is kept and continued, nothing unchecked takes the file's place.

use crate::data::catalog::checksum;
use crate::data::catalog::known_datasets::File as Published;
use crate::runtime::hex::hex;
use crate::runtime::io_error::reason;
use crate::runtime::progress::{Progress, Task};
use crate::runtime::write_place::open_regular;
use crate::runtime::{Error, Result, atomic_file, interrupt};
use crate::tensor::io::safetensors_file::create_folders;
use md5::{Digest, Md5};
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

/// Bytes read at a time.
const BLOCK: usize = 1 << 16;

/// Bytes that make an attempt worth its while.
const ENOUGH: u64 = 1 << 14;

/// How long a server is borne with.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Attempts in a row that bring next to nothing before a server is given up.
    pub tries: u32,
    /// The pause after the first of them; it doubles with each.
    pub pause: Duration,
    /// How long a connection may stay silent.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { tries: 5, pause: Duration::from_secs(1), silence: Duration::from_secs(60) }
    }
}

/// Why an attempt ended without the file.
enum Failure {
    /// Trying again may help.
    Passing(String),
    /// This server will not do, in words.
    Final(String),
    /// Not the server's fault.
    Ours(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// A download that is under way: the file `NAME.part` beside where it will be.
struct Part<'a> {
    published: &'a Published,
    path: PathBuf,
    file: File,
    /// Bytes in it.
    have: u64,
    /// The checksum of those.
    hasher: Md5,
    /// Whether it began with bytes from an earlier process.
    continued: bool,
}

/// Fetches a file to `place`, continuing what an earlier attempt has left. Proxies are those of the environment
/// (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
///
/// # Errors
/// A server that does not have the file, or another one; a checksum that is not the published one; a disk that is full.
pub fn fetch(url: &str, published: &Published, place: &Path, patience: Patience, progress: &Progress) -> Result<()> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(patience.silence))
        .timeout_recv_response(Some(patience.silence))
        .timeout_per_read(Some(patience.silence))
        .user_agent(concat!("lethe/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut part = Part::open(published, place)?;
    let fail = |problem: String| Error::new("fetch", format!("{url}: {problem}"));
    loop {
        receive(&agent, url, &mut part, patience, progress)?;
        match part.verdict() {
            Ok(()) => return part.place(place),
            // Bytes of an earlier process may be those of another version of the file.
            Err(_) if part.continued => part.restart()?,
            Err(problem) => {
                let _ = std::fs::remove_file(&part.path);
                return Err(fail(format!("{problem}; what came was deleted"))
                    .hint("another server may have the right file: --url ADDRESS"));
            }
        }
    }
}

/// Repeats until everything has come, or patience ends.
fn receive(agent: &Agent, url: &str, part: &mut Part<'_>, patience: Patience, progress: &Progress) -> Result<()> {
    let fail = |problem: String| Error::new("fetch", format!("{url}: {problem}"));
    let (mut failed, mut best) = (0, part.have);
    loop {
        if part.published.bytes.is_some_and(|bytes| part.have == bytes) {
            return Ok(());
        }
        let problem = match attempt(agent, url, part, progress) {
            Ok(()) => return Ok(()),
            Err(Failure::Ours(error)) => return Err(error),
            Err(Failure::Final(problem)) => return Err(fail(problem)),
            Err(Failure::Passing(problem)) => problem,
        };
        failed = if part.have >= best + ENOUGH { 1 } else { failed + 1 };
        best = best.max(part.have);
        if failed >= patience.tries {
            let kept = if part.have > 0 { "; what has come is kept, the same command goes on there" } else { "" };
            return Err(fail(format!("{problem} ({failed} attempts){kept}")));
        }
        progress.say(&format!("{url}: {problem}; trying again"));
        interrupt::sleep(patience.pause * 2_u32.saturating_pow(failed - 1))?;
    }
}

/// One request.
fn attempt(agent: &Agent, url: &str, part: &mut Part<'_>, progress: &Progress) -> std::result::Result<(), Failure> {
    interrupt::check()?;
    let mut request = agent.get(url);
    if part.have > 0 {
        request = request.header("Range", format!("bytes={}-", part.have));
    }
    let response = request.call().map_err(|error| unreached(&error))?;
    match response.status() {
        StatusCode::OK => part.restart()?,
        StatusCode::PARTIAL_CONTENT if starts_at(&response) == Some(part.have) => {}
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            part.restart()?;
            return Err(Failure::Passing("the server gave other bytes than were asked for".into()));
        }
        status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => {
            return Err(Failure::Passing(format!("the server answered {status}")));
        }
        status if status.is_server_error() => return Err(Failure::Passing(format!("the server answered {status}"))),
        status => return Err(Failure::Final(format!("the server answered {status}"))),
    }
    let total = number(&response, header::CONTENT_LENGTH).map(|length: u64| length.saturating_add(part.have));
    if let (Some(total), Some(bytes)) = (total, part.published.bytes)
        && total != bytes
    {
        return Err(Failure::Final(format!("the server's file has {total} bytes, the published one {bytes}")));
    }
    let total = total.or(part.published.bytes);
    let task = progress.transfer(part.published.name, total.unwrap_or(0), part.have);
    copy(response, part, task)?;
    match total {
        Some(total) if part.have < total => {
            Err(Failure::Passing(format!("the connection ended after {} of {total} bytes", part.have)))
        }
        Some(total) if part.have > total => Err(Failure::Final(format!("more than the {total} bytes announced came"))),
        _ => Ok(()),
    }
}

/// Takes the body as it comes.
fn copy(response: Response<Body>, part: &mut Part<'_>, mut task: Task) -> std::result::Result<(), Failure> {
    let mut body = response.into_body().into_reader();
    let mut block = vec![0; BLOCK];
    loop {
        interrupt::check()?;
        let count = match body.read(&mut block) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Passing(broken(&error))),
        };
        let Some(bytes) = block.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        if part.published.bytes.is_some_and(|most| part.have + count as u64 > most) {
            return Err(Failure::Final("more bytes came than the published file has".into()));
        }
        part.append(bytes)?;
        task.by(count);
    }
}

/// Where a partial answer starts: `bytes 100-199/200`.
fn starts_at(response: &Response<Body>) -> Option<u64> {
    let text = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

fn number(response: &Response<Body>, name: header::HeaderName) -> Option<u64> {
    response.headers().get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Why no answer came.
fn unreached(error: &ureq::Error) -> Failure {
    use std::io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable, NotFound};
    match error {
        ureq::Error::HostNotFound => Failure::Final("no such server (is there a network?)".into()),
        ureq::Error::Io(problem)
            if matches!(
                problem.kind(),
                ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable | NotFound
            ) =>
        {
            Failure::Final(format!("no connection: {}", broken(problem)))
        }
        ureq::Error::Io(problem) => Failure::Passing(broken(problem)),
        ureq::Error::Timeout(_) => Failure::Passing("the server is silent".into()),
        ureq::Error::Protocol(_) => Failure::Passing(error.to_string()),
        other => Failure::Final(other.to_string()),
    }
}

/// What a connection that broke says.
fn broken(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    match (inner, error.kind()) {
        (Some(ureq::Error::Timeout(_)), _) | (_, std::io::ErrorKind::TimedOut) => "the server is silent".into(),
        (_, std::io::ErrorKind::UnexpectedEof) => "the connection ended early".into(),
        _ => reason(error),
    }
}

impl<'a> Part<'a> {
    /// Opens what an earlier attempt has left, or nothing, for this process alone.
    fn open(published: &'a Published, place: &Path) -> Result<Self> {
        let mut name = place.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let fail = |error: std::io::Error| Error::file("fetch", &path, reason(&error));
        if let Some(folder) = path.parent() {
            create_folders(folder).map_err(|error| Error::file("fetch", folder, reason(&error)))?;
        }
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = open_regular(&mut options, &path).map_err(fail)?;
        // Where the file system has no locks, the checksum has the last word.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(Error::file("fetch", &path, "another process is fetching this file"));
        }
        let mut part = Self { published, path: path.clone(), file, have: 0, hasher: Md5::new(), continued: false };
        let reader = part.file.try_clone().map_err(fail)?;
        part.have = checksum::feed(&path, reader, &mut part.hasher)?;
        part.continued = part.have > 0;
        if published.bytes.is_some_and(|bytes| part.have > bytes) {
            part.restart()?;
        }
        Ok(part)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Error::file("fetch", &self.path, reason(&error)))?;
        self.hasher.update(bytes);
        self.have += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what has come.
    fn restart(&mut self) -> Result<()> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|error| Error::file("fetch", &self.path, reason(&error)))?;
        (self.have, self.hasher, self.continued) = (0, Md5::new(), false);
        Ok(())
    }

    /// Whether the bytes are those published.
    fn verdict(&self) -> std::result::Result<(), String> {
        let ours = hex(&self.hasher.clone().finalize());
        match self.published.md5 {
            Some(md5) if md5 != ours => Err(format!("its MD5 checksum is {ours}, the published one {md5}")),
            _ => Ok(()),
        }
    }

    /// Puts the file where it belongs.
    fn place(self, place: &Path) -> Result<()> {
        atomic_file::put(&self.file, &self.path, place).map_err(|error| Error::file("fetch", place, reason(&error)))
    }
}
