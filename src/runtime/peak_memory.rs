//! How much memory has been used at most.

use crate::runtime::Run;
use std::cell::Cell;

/// The largest sample of device memory so far; a run slot.
#[derive(Default)]
struct Highest(Cell<u64>);

/// The process's high-water mark in bytes, where the system tells (Linux).
pub fn process() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Samples the device's memory (after every epoch, and before a row is written); nothing on the CPU.
pub fn sample(run: &Run) {
    if run.device().is_cuda()
        && let Some(bytes) = in_use()
    {
        let highest = run.slot::<Highest>();
        highest.0.set(highest.0.get().max(bytes));
    }
}

/// The largest sample of device memory so far, in bytes.
pub fn device(run: &Run) -> Option<u64> {
    sample(run);
    Some(run.slot::<Highest>().0.get()).filter(|bytes| *bytes > 0)
}

/// Bytes of the current device that are taken, as the driver counts them.
fn in_use() -> Option<u64> {
    type MemGetInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> i32;
    // SAFETY: the driver's library, which torch has open already; closing this handle leaves torch's.
    let library = unsafe { libloading::Library::new("libcuda.so.1") }.ok()?;
    // SAFETY: the signature is that of cuMemGetInfo_v2 in the driver's header: two size_t* out, CUresult.
    let info = unsafe { library.get::<MemGetInfo>(b"cuMemGetInfo_v2\0") }.ok()?;
    let (mut free, mut total) = (0_usize, 0_usize);
    // SAFETY: both pointers are valid for the call; without a context it returns an error code.
    let code = unsafe { info(&mut free, &mut total) };
    (code == 0 && total >= free).then(|| (total - free) as u64)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_process_uses_some_memory() {
        if cfg!(target_os = "linux") {
            assert!(super::process().is_some_and(|bytes| bytes > 1 << 20));
        }
    }
}
