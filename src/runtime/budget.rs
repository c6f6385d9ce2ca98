//! How much memory what is read from a file may take. Every reader of files that others made asks here, so that a few
//! kilobytes never fill the memory, whatever their headers claim.

/// How often its own size a file may become in memory, beyond what every file may take: far more than data compresses.
const RATIO: u64 = 64;

/// What every file may take, however small it is.
const LEAST: u64 = 1 << 30;

/// More bytes of images than any data set here has: what a damaged header would ask for is refused before memory is.
pub const LARGEST: u64 = 1 << 32;

/// More bytes than one array in a packed file has.
pub const LARGEST_ARRAY: u64 = 1 << 30;

/// More bytes than any archive of a data set inflates to: a few kilobytes must not keep a reader busy for hours.
pub const LONGEST_ARCHIVE: u64 = 1 << 33;

/// More bytes than any member of an archive has, and than a picture's file.
pub const LARGEST_MEMBER: u64 = 1 << 28;

/// More bytes than a picture takes while it is decoded: a few hundred bytes of PNG must not fill the memory.
pub const LARGEST_PICTURE: u64 = 1 << 28;

/// What an entry of an archive takes beside its content: names, and the handle of its tensor.
pub const ENTRY: u64 = 1 << 10;

/// The most dimensions of a tensor: torch has no more.
pub const MOST_DIMENSIONS: usize = 64;

/// The memory that one file may take.
#[derive(Debug, Clone)]
pub struct Budget {
    limit: u64,
    left: u64,
    why: String,
}

impl Budget {
    /// The memory for a file of this many bytes.
    pub fn of(bytes: u64) -> Self {
        Self::within(bytes, free())
    }

    fn within(bytes: u64, free: Option<u64>) -> Self {
        let most = bytes.saturating_mul(RATIO).max(LEAST);
        match free.filter(|free| *free < most) {
            Some(free) => Self { limit: free, left: free, why: "what memory is free".into() },
            None => Self { limit: most, left: most, why: format!("the limit of a file of {}", size(bytes)) },
        }
    }

    /// Takes memory before it is used.
    ///
    /// # Errors
    /// More than is left, in words.
    pub fn take(&mut self, bytes: u64) -> Result<(), String> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.beyond()),
        }
    }

    /// Refuses something that is larger than all the file may take, without taking memory.
    ///
    /// # Errors
    /// More than the limit, in words.
    pub fn allows(&self, bytes: u64) -> Result<(), String> {
        if bytes <= self.limit { Ok(()) } else { Err(self.beyond()) }
    }

    /// All that the file may take.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    fn beyond(&self) -> String {
        format!("it would take more than {} of memory: {}", size(self.limit), self.why)
    }
}

/// A number of bytes for people.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "KiB", "MiB"] {
        if value < 1024.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} GiB")
}

/// Bytes that this process may still take: the system's, its control groups', its own limit on addresses; a part is left
/// to others. `None` where the system does not tell.
pub fn free() -> Option<u64> {
    left().map(|free| free - free / 8)
}

/// The same with nothing left to others.
pub fn left() -> Option<u64> {
    [available(), grouped(), addresses()].into_iter().flatten().min()
}

/// Available memory as the kernel estimates it.
fn available() -> Option<u64> {
    field(&text("/proc/meminfo")?, "MemAvailable:")
}

/// A line `name: 12 kB` in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes.saturating_mul(1024))
}

fn text(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// What is left in the process's control group and those around it.
fn grouped() -> Option<u64> {
    let groups = text("/proc/self/cgroup")?;
    let each = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, own) = (parts.next()?, parts.next()?);
        match controllers {
            "" => {
                around(own, |folder| left_of_group(&format!("/sys/fs/cgroup{folder}"), "memory.max", "memory.current"))
            }
            _ if controllers.split(',').any(|name| name == "memory") => around(own, |folder| {
                let folder = format!("/sys/fs/cgroup/memory{folder}");
                left_of_group(&folder, "memory.limit_in_bytes", "memory.usage_in_bytes")
            }),
            _ => None,
        }
    });
    each.min()
}

/// The least over a group and all that contain it; inside a container the outer ones are not to be seen.
fn around(own: &str, left: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let mut folders = vec![own.trim_end_matches('/')];
    while let Some((outer, _)) = folders.last().and_then(|folder| folder.rsplit_once('/')) {
        folders.push(outer);
    }
    folders.into_iter().filter_map(left).min()
}

/// What a group has left; files in the page cache give way.
fn left_of_group(folder: &str, limit: &str, usage: &str) -> Option<u64> {
    let number = |name: &str| text(&format!("{folder}/{name}"))?.trim().parse::<u64>().ok();
    let cached = text(&format!("{folder}/memory.stat")).map_or(0, |stat| {
        let lines = stat.lines().filter(|line| line.starts_with("inactive_file ") || line.starts_with("active_file "));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    });
    Some(number(limit)?.saturating_sub(number(usage)?.saturating_sub(cached)))
}

/// What the limit on this process's addresses leaves.
#[cfg(target_os = "linux")]
fn addresses() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is valid for the call, which fills the structure.
    let code = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    if code != 0 || limit.rlim_cur == libc::RLIM_INFINITY {
        return None;
    }
    Some(limit.rlim_cur.saturating_sub(field(&text("/proc/self/status")?, "VmSize:")?))
}

#[cfg(not(target_os = "linux"))]
fn addresses() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_takes_a_gibibyte_at_most_and_a_large_one_a_multiple_of_itself() {
        let mut budget = Budget::within(70_000, None);
        assert_eq!(budget.limit(), LEAST);
        budget.take(LEAST - 1).unwrap();
        budget.take(1).unwrap();
        let message = budget.take(1).unwrap_err();
        assert_eq!(message, "it would take more than 1.0 GiB of memory: the limit of a file of 68.4 KiB");
        assert_eq!(Budget::within(1 << 30, None).limit(), RATIO << 30);
        assert!(Budget::within(1 << 30, None).allows((RATIO << 30) + 1).is_err());
    }

    #[test]
    fn no_file_takes_more_than_what_is_free() {
        let mut budget = Budget::within(1 << 30, Some(1000));
        assert!(budget.take(1001).unwrap_err().ends_with("what memory is free"));
        assert!(budget.take(1000).is_ok());
    }

    #[test]
    fn what_is_free_is_told_here() {
        if cfg!(target_os = "linux") {
            assert!(free().is_some_and(|bytes| bytes > 1 << 20));
        }
        assert_eq!(field("MemFree: 1 kB\nMemAvailable:   12 kB\n", "MemAvailable:"), Some(12 << 10));
    }

    #[test]
    fn the_limits_of_all_groups_count() {
        let seen = std::cell::RefCell::new(vec![]);
        let least = around("/a/b", |folder| {
            seen.borrow_mut().push(folder.to_string());
            (folder != "/a/b").then_some(if folder.is_empty() { 5 } else { 3 })
        });
        assert_eq!((least, seen.into_inner()), (Some(3), vec!["/a/b".to_string(), "/a".into(), String::new()]));
    }
}
