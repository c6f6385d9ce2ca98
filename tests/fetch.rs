//! Downloads against servers that behave and servers that do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod server;

use common::{Ended, Place, ended};
use lethe::data::catalog::download::{Patience, fetch};
use lethe::data::catalog::fetch as sets;
use lethe::data::catalog::fetch::Fetched;
use lethe::data::catalog::known_datasets::{File, Form, Known, Reader};
use lethe::data::formats::cifar::Kind;
use lethe::runtime::Run;
use lethe::runtime::progress::Progress;
use lethe::runtime::run::Settings;
use server::{Answer, Server};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// 200,000 bytes without a pattern that a mix-up would leave unchanged.
fn content() -> Vec<u8> {
    (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// The file that holds them.
const FILE: File = File { name: "x.bin", bytes: Some(200_000), md5: Some("MD5"), content_md5: None };

fn file() -> File {
    use md5::{Digest, Md5};
    let sum = Md5::digest(content()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    File { md5: Some(Box::leak(sum.into_boxed_str())), ..FILE }
}

fn patience() -> Patience {
    Patience { tries: 3, pause: Duration::from_millis(1), silence: Duration::from_millis(400) }
}

struct Fetching {
    folder: tempfile::TempDir,
    result: Result<(), String>,
}

impl Fetching {
    fn of(server: &Server) -> Self {
        Self::after(server, &[])
    }

    /// Fetches when `part` has come before.
    fn after(server: &Server, part: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if !part.is_empty() {
            std::fs::write(folder.path().join("x.bin.part"), part).unwrap();
        }
        let place = folder.path().join("x.bin");
        let fetched = fetch(&server.url("x.bin"), &file(), &place, patience(), &Progress::new(true));
        Self { folder, result: fetched.map_err(|error| error.to_string()) }
    }

    fn arrived(&self) {
        assert_eq!(self.result, Ok(()));
        assert!(std::fs::read(self.folder.path().join("x.bin")).unwrap() == content());
        assert_eq!(std::fs::read_dir(self.folder.path()).unwrap().count(), 1, "something is left beside the file");
    }

    fn failed(&self, words: &str) {
        let message = self.result.clone().expect_err("the file was accepted");
        assert!(message.contains(words), "{message}");
        assert!(!self.folder.path().join("x.bin").exists());
    }

    fn kept(&self) -> usize {
        std::fs::metadata(self.folder.path().join("x.bin.part")).map_or(0, |about| about.len() as usize)
    }
}

#[test]
fn a_file_comes_whole_and_nothing_stays_beside_it() {
    let server = Server::start(|_, _| Answer::file(content()));
    Fetching::of(&server).arrived();
    assert_eq!(server.ranges(), [None]);
}

#[test]
fn what_has_come_before_is_continued() {
    let server = Server::start(|_, _| Answer::file(content()));
    Fetching::after(&server, &content()[..150_000]).arrived();
    assert_eq!(server.ranges(), [Some(150_000)]);
    // A part that is whole already needs no server.
    Fetching::after(&server, &content()).arrived();
    assert_eq!(server.ranges().len(), 1);
}

#[test]
fn a_connection_cut_in_the_middle_is_taken_up_again() {
    let server =
        Server::start(|number, _| Answer { stop_after: (number < 4).then_some(45_000), ..Answer::file(content()) });
    Fetching::of(&server).arrived();
    assert_eq!(server.ranges(), [None, Some(45_000), Some(90_000), Some(135_000), Some(180_000)]);
}

#[test]
fn a_connection_that_is_always_cut_at_once_ends_with_what_has_come() {
    let server = Server::start(|number, _| Answer {
        stop_after: Some(if number == 0 { 70_000 } else { 0 }),
        ..Answer::file(content())
    });
    let fetching = Fetching::of(&server);
    fetching.failed("(3 attempts); what has come is kept");
    assert_eq!(fetching.kept(), 70_000);
}

#[test]
fn a_server_without_ranges_starts_over() {
    let server = Server::start(|number, _| Answer {
        ranges: false,
        stop_after: (number == 0).then_some(45_000),
        ..Answer::file(content())
    });
    Fetching::of(&server).arrived();
    assert_eq!(server.ranges(), [None, Some(45_000)]);
}

#[test]
fn a_part_of_another_version_is_noticed_and_fetched_anew() {
    let server = Server::start(|_, _| Answer::file(content()));
    Fetching::after(&server, &[7; 1000]).arrived();
    assert_eq!(server.ranges(), [Some(1000), None]);
    Fetching::after(&server, &[7; 200_001]).arrived();
}

#[test]
fn another_file_is_refused_and_deleted() {
    let mut other = content();
    other[100] ^= 1;
    let server = Server::start(move |_, _| Answer::file(other.clone()));
    let fetching = Fetching::of(&server);
    fetching.failed("its MD5 checksum is ");
    fetching.failed("what came was deleted");
    assert_eq!((fetching.kept(), server.ranges().len()), (0, 1));
    let shorter = Server::start(|_, _| Answer::file(content()[1..].to_vec()));
    Fetching::of(&shorter).failed("the server's file has 199999 bytes, the published one 200000");
    let endless = Server::start(|_, _| Answer { length: false, ..Answer::file(vec![1; 300_000]) });
    Fetching::of(&endless).failed("more bytes came than the published file has");
}

#[test]
fn refusals_are_final_and_passing_trouble_is_not() {
    let absent = Server::start(|_, _| Answer { status: 404, ..Answer::file(vec![]) });
    Fetching::of(&absent).failed("the server answered 404 Not Found");
    assert_eq!(absent.ranges().len(), 1);
    let busy =
        Server::start(|number, _| Answer { status: if number < 2 { 503 } else { 200 }, ..Answer::file(content()) });
    Fetching::of(&busy).arrived();
    let wrong = Server::start(|number, _| Answer { shift: u64::from(number == 0) * 9, ..Answer::file(content()) });
    Fetching::after(&wrong, &content()[..1000]).arrived();
    assert_eq!(wrong.ranges(), [Some(1000), None]);
    let moved = Server::start(|_, path| match path {
        "/x.bin" => Answer { status: 302, location: Some("/moved/y.bin"), ..Answer::file(vec![]) },
        _ => Answer::file(content()),
    });
    Fetching::of(&moved).arrived();
}

#[test]
fn a_slow_server_is_waited_for_and_a_silent_one_is_not() {
    let slow =
        Server::start(|_, _| Answer { pause: Duration::from_millis(20), block: 5000, ..Answer::file(content()) });
    let started = Instant::now();
    Fetching::of(&slow).arrived();
    assert!(started.elapsed() > patience().silence, "the whole took less than one silence: nothing was shown");
    let silent = Server::start(|number, _| Answer {
        pause: Duration::from_secs(3),
        block: 60_000,
        wait: Duration::from_secs(if number == 0 { 0 } else { 3 }),
        ..Answer::file(content())
    });
    let started = Instant::now();
    let fetching = Fetching::of(&silent);
    fetching.failed("the server is silent");
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(fetching.kept(), 60_000);
}

#[test]
fn nobody_listening_is_said_at_once() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{address}/x.bin");
    let error = fetch(&url, &file(), &folder.path().join("x.bin"), patience(), &Progress::new(true)).unwrap_err();
    assert!(error.to_string().contains("no connection"), "{error}");
}

#[test]
fn two_processes_do_not_write_one_file() {
    let server =
        Server::start(|_, _| Answer { pause: Duration::from_millis(30), block: 20_000, ..Answer::file(content()) });
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("x.bin");
    let get = |place: &Path| fetch(&server.url("x.bin"), &file(), place, patience(), &Progress::new(true));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| get(&place).map_err(|error| error.to_string()));
        std::thread::sleep(Duration::from_millis(100));
        let second = get(&place).unwrap_err().to_string();
        assert!(second.contains("another process is fetching this file"), "{second}");
        assert_eq!(first.join().unwrap(), Ok(()));
    });
}

/// A data set of one file, which is `x.bin`.
fn one_file(urls: &'static [&'static str]) -> Known {
    let files: &'static [File] = Box::leak(vec![file()].into_boxed_slice());
    let form = Form { reader: Reader::CifarBinary(Kind::Ten), files };
    let forms: &'static [Form] = Box::leak(vec![form].into_boxed_slice());
    let classes: &'static [&'static str] = &["a", "b"];
    let (mean, std): (&'static [f64], &'static [f64]) = (&[0.5], &[0.5]);
    let (name, summary) = ("own", "");
    Known { name, summary, classes, mean, std, counts: [1, 1, 0], balanced: None, forms, places: &[], urls }
}

#[test]
fn servers_are_tried_in_turn_and_a_sound_file_is_left_alone() {
    let (absent, good) = (
        Server::start(|_, _| Answer { status: 404, ..Answer::file(vec![]) }),
        Server::start(|_, _| Answer::file(content())),
    );
    let (run, folder) = (Run::new(Settings::default()), tempfile::tempdir().unwrap());
    let (known, home) = (one_file(&[]), folder.path().join("own"));
    let urls = [absent.url(""), good.url("")];
    let get = |urls: &[String]| sets::fetch(&known, &home, urls, patience(), &run);
    assert_eq!(get(&urls).unwrap(), [Fetched::New(home.join("x.bin"))]);
    assert_eq!(get(&urls).unwrap(), [Fetched::Present(home.join("x.bin"))]);
    assert_eq!((absent.ranges().len(), good.ranges().len()), (1, 1));
    std::fs::write(home.join("x.bin"), "damaged").unwrap();
    let Err(lethe::runtime::Error::Fault(fault)) = get(&urls[..1]) else { panic!("fetched") };
    assert!(fault.notes[0].contains("404") && fault.hint.contains("put x.bin (200 kB, MD5 "), "{fault:?}");
    assert_eq!(std::fs::read(home.join("x.bin")).unwrap(), b"damaged");
    assert_eq!(get(&urls).unwrap(), [Fetched::New(home.join("x.bin"))]);
}

fn lethe(place: &Place, arguments: &[&str]) -> assert_cmd::Command {
    let mut command = place.lethe(arguments);
    for name in
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"]
    {
        command.env_remove(name);
    }
    command.env("LETHE_DATA", place.path("sets"));
    command
}

fn run(place: &Place, arguments: &[&str]) -> Ended {
    ended(lethe(place, arguments).output().unwrap())
}

#[test]
fn the_command_says_what_every_server_said_and_which_file_to_put_where() {
    let place = Place::new();
    let server = Server::start(|_, _| Answer { status: 404, ..Answer::file(vec![]) });
    let ended = run(&place, &["data", "fetch", "svhn", "--url", &server.url("")]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{}", ended.stderr);
    let home = place.path("sets/svhn").display().to_string();
    for words in
        ["train_32x32.mat of svhn could not be fetched", "404", "e26dedcc434d2e4c54c9b2d4a06d8373", &home, "--url"]
    {
        assert!(ended.stderr.contains(words), "{words} in {}", ended.stderr);
    }
    assert_eq!(run(&place, &["data", "fetch", "svnh"]).code, 2);
    assert_eq!(run(&place, &["data", "fetch"]).code, 2);
    assert!(run(&place, &["data", "fetch", "svnh"]).stderr.contains("did you mean \"svhn\"?"));
}

#[test]
fn mirrors_of_the_configuration_come_before_the_published_servers() {
    let place = Place::new();
    let server = Server::start(|_, _| Answer::file(b"too short".to_vec()));
    let mirror = |text: String| drop(place.write("config/config.toml", text));
    mirror(format!("[mirrors]\nmnist = \"{}\"\n", server.url("some/folder")));
    // The published server is replaced by a proxy that nobody runs, so that the test stays on this machine.
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = lethe(&place, &["data", "fetch", "mnist"]);
    command.env("HTTPS_PROXY", format!("http://{proxy}")).env("NO_PROXY", "127.0.0.1");
    let ended = ended(command.output().unwrap());
    assert_eq!(ended.code, 1);
    assert_eq!(server.paths(), ["/some/folder/train-images-idx3-ubyte.gz"]);
    assert!(ended.stderr.contains("the server's file has 9 bytes, the published one 9912422"), "{}", ended.stderr);
    mirror("[mirrors]\nmnits = \"http://127.0.0.1:9/\"\n".into());
    let ended = run(&place, &["data", "fetch", "mnist"]);
    assert!(
        ended.stderr.contains("did you mean \"mnist\"?") && ended.stderr.contains("config.toml"),
        "{}",
        ended.stderr
    );
}

#[test]
fn proxies_of_the_environment_are_used() {
    let place = Place::new();
    let proxy = Server::start(|_, _| Answer { status: 403, ..Answer::file(vec![]) });
    let mut command = lethe(&place, &["data", "fetch", "svhn"]);
    command.env("http_proxy", proxy.url(""));
    let ended = ended(command.output().unwrap());
    assert_eq!(ended.code, 1);
    assert!(!proxy.paths().is_empty(), "{}", ended.stderr);
    assert!(proxy.paths()[0].contains("ufldl.stanford.edu"), "{:?}", proxy.paths());
}

#[test]
fn ctrl_c_keeps_what_has_come_and_the_next_call_goes_on_there() {
    let place = Place::new();
    let server = Server::start(|_, _| Answer {
        announce: Some(182_040_794),
        pause: Duration::from_millis(20),
        block: 10_000,
        ..Answer::file(vec![3; 2_000_000])
    });
    let start = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lethe"));
        command.args(["data", "fetch", "svhn", "--url", &server.url("")]).current_dir(place.folder.path());
        command.env("LETHE_DATA", place.path("sets")).env("LETHE_CONFIG", place.path("config")).env("NO_PROXY", "*");
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let part: PathBuf = place.path("sets/svhn/train_32x32.mat.part");
    let size = || std::fs::metadata(&part).map_or(0, |about| about.len());
    let interrupted = |least: u64| {
        let child = start();
        let until = Instant::now() + Duration::from_secs(20);
        while size() < least && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        ended(child.wait_with_output().unwrap())
    };
    let first = interrupted(30_000);
    assert_eq!(first.code, 130, "{}", first.stderr);
    let kept = size();
    assert!(kept >= 30_000);
    assert_eq!(interrupted(kept + 30_000).code, 130);
    assert_eq!(server.ranges(), [None, Some(kept)]);
}
