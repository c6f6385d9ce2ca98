//! Lets the binary and the tests find libtorch without `LD_LIBRARY_PATH`: the folder torch-sys linked against becomes
//! their run path.

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-env=LETHE_LIBTORCH_LIB={folder}");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
