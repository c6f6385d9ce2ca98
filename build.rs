//! Lets the binary and the tests find libtorch without `LD_LIBRARY_PATH`: the folder torch-sys linked against becomes
//! their run path. Embeds the scripts of `stdlib/`.

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-env=LETHE_LIBTORCH_LIB={folder}");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
    if let Err(error) = embed_stdlib() {
        println!("cargo:warning=stdlib could not be listed: {error}");
    }
}

/// Lists the scripts of `stdlib/` as a table `name, text`, so that a file added there is embedded without further ado.
fn embed_stdlib() -> std::io::Result<()> {
    let root = std::path::PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("stdlib");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = vec![];
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                println!("cargo:rerun-if-changed={}", path.display());
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rhai") {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut table = String::from("&[\n");
    for path in &files {
        let name = path.strip_prefix(&root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let text = path.to_string_lossy();
        table.push_str(&format!("    ({:?}, include_str!({text:?})),\n", format!("std/{name}")));
    }
    table.push_str("]\n");
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR").unwrap_or_default());
    std::fs::write(out.join("stdlib.rs"), table)
}
