//! CUDA, opened at run time: a start on the CPU never pays for loading it, and its absence is a clear sentence.

use super::error::{Error, Result};
use super::run::{device_name, parse_device};
use std::path::{Path, PathBuf};
use tch::Device;

/// The device `--device` asks for, and why `auto` did not take CUDA although there is a driver.
#[derive(Debug)]
pub struct Choice {
    /// Where tensors will live.
    pub device: Device,
    /// What a person should know about the choice.
    pub remark: Option<String>,
}

/// The folder the process has loaded libtorch from (else the one it was linked against).
pub fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let loaded =
        maps.lines().filter_map(|line| line.split_once('/')).map(|(_, path)| PathBuf::from(format!("/{path}")));
    let mut loaded = loaded.filter(|path| path.file_name().is_some_and(|name| name == "libtorch_cpu.so"));
    let folder = loaded.next().and_then(|path| path.parent().map(Path::to_path_buf));
    folder.or_else(|| option_env!("LETHE_LIBTORCH_LIB").map(PathBuf::from))
}

/// The NVIDIA driver in words, when there is one.
pub fn driver() -> Option<String> {
    if let Ok(text) = std::fs::read_to_string("/proc/driver/nvidia/version") {
        let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        return Some(format!("NVIDIA driver {}", version.unwrap_or("of unknown version")));
    }
    // Inside containers and under WSL the library is there without the file.
    // SAFETY: libcuda's initialisers only set up the library itself; it is the one torch would load.
    let library = unsafe { libloading::Library::new("libcuda.so.1") }.ok()?;
    drop(library);
    Some("NVIDIA driver (libcuda.so.1)".into())
}

/// Opens libtorch_cuda and keeps it open; how many devices it sees, or why there are none.
///
/// To be called before anything asks torch about CUDA: torch remembers its first answer.
///
/// # Errors
/// A sentence saying what is missing.
pub fn load() -> std::result::Result<usize, String> {
    let Some(driver) = driver() else {
        return Err("this machine has no NVIDIA driver (neither /proc/driver/nvidia/version nor libcuda.so.1)".into());
    };
    let Some(folder) = libtorch_folder() else { return Err("the folder of libtorch is unknown".into()) };
    let path = folder.join("libtorch_cuda.so");
    if !path.exists() {
        return Err(format!("{} has no libtorch_cuda.so: this libtorch was built for the CPU", folder.display()));
    }
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: torch's own library, from the folder the running libtorch_cpu came from; its initialisers register its
    // kernels. It is never closed, so nothing it registered can dangle.
    match unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => std::mem::forget(library),
        Err(problem) => {
            let detail = std::error::Error::source(&problem).map_or_else(|| problem.to_string(), ToString::to_string);
            return Err(match detail.split_once(": cannot open shared object") {
                Some((library, _)) => format!(
                    "{} is missing, which libtorch_cuda.so needs: run scripts/setup.sh --cuda",
                    library.rsplit(' ').next().unwrap_or(library)
                ),
                None => format!("libtorch_cuda.so cannot be opened: {detail}"),
            });
        }
    }
    match tch::Cuda::device_count() {
        count if count > 0 => Ok(count as usize),
        _ => Err(format!("torch sees no usable GPU through the {driver}; CUDA 13 needs driver 580 or newer")),
    }
}

/// Reads `cpu`, `cuda`, `cuda:N` or `auto`, and opens CUDA when it is asked for or, with `auto`, a driver is there.
///
/// # Errors
/// Not a device; CUDA asked for where there is none, with the reason.
pub fn choose(text: &str) -> Result<Choice> {
    if text == "auto" {
        if driver().is_none() {
            return Ok(Choice { device: Device::Cpu, remark: None });
        }
        return Ok(match load() {
            Ok(_) => Choice { device: Device::Cuda(0), remark: None },
            Err(reason) => Choice { device: Device::Cpu, remark: Some(format!("running on the CPU: {reason}")) },
        });
    }
    let device = parse_device(text).map_err(|_| {
        Error::new("--device", format!("{text:?} is not a device")).hint("use auto, cpu, cuda or cuda:N")
    })?;
    let Device::Cuda(index) = device else { return Ok(Choice { device, remark: None }) };
    match load() {
        Err(reason) => Err(Error::new("--device", format!("{text} is not available: {reason}"))
            .hint("use --device cpu, and see `lethe doctor`")),
        Ok(count) if index >= count => {
            let devices: Vec<_> = (0..count).map(|i| device_name(Device::Cuda(i))).collect();
            Err(Error::new("--device", format!("{text} is not there: this machine has {}", devices.join(", "))))
        }
        Ok(_) => Ok(Choice { device, remark: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_a_device_is_refused_with_the_choices() {
        let Error::Fault(fault) = choose("gpu").unwrap_err() else { panic!("not a fault") };
        assert_eq!(
            (fault.message.as_str(), fault.hint.as_str()),
            ("\"gpu\" is not a device", "use auto, cpu, cuda or cuda:N")
        );
    }

    #[test]
    fn asking_for_cuda_without_a_driver_says_so() {
        if driver().is_none() {
            assert!(choose("cuda:1").unwrap_err().to_string().contains("no NVIDIA driver"));
            assert_eq!(choose("auto").unwrap().device, Device::Cpu);
        }
    }

    #[test]
    fn the_folder_of_libtorch_is_found() {
        assert!(libtorch_folder().is_some_and(|folder| folder.join("libtorch_cpu.so").exists()));
    }
}
