//! Files that a script reads by a literal name and that are not there, unless the script writes them itself.

use crate::host::lint::finding::Raw;
use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};
use std::collections::HashSet;
use std::path::Path;

/// Functions that read a file or a folder, and the place of its name among the arguments; that before a dot counts.
const READERS: &[(&str, usize)] = &[
    ("samples_from", 0),
    ("load_npy", 0),
    ("load_npz", 0),
    ("load_safetensors", 0),
    ("load_pth", 0),
    ("load_data", 0),
    ("load_dataset", 0),
    ("read_text", 0),
    ("leaderboards", 0),
    ("load", 1),
    ("load_split", 2),
];

/// Functions that write where they are told, and the place of the name.
const WRITERS: &[(&str, usize)] =
    &[("write_text", 0), ("save_npy", 0), ("save_npz", 0), ("save_safetensors", 0), ("save", 1)];

/// What a script's own writing leaves open.
#[derive(Default)]
pub struct Written {
    /// Texts that stand in the script elsewhere than as the name of what is read.
    texts: HashSet<String>,
    /// Whether it writes files whose names cannot be told.
    open: bool,
}

/// The place of the name that a function reads.
pub fn reads(function: &str) -> Option<usize> {
    READERS.iter().find(|(name, _)| *name == function).map(|(_, place)| *place)
}

impl Written {
    /// What a script writes, as far as its text tells.
    pub fn of(ast: &AST) -> Self {
        let mut written = Self::default();
        let mut skipped: HashSet<Position> = HashSet::new();
        ast.walk(&mut |path| {
            let (call, method) = match path.last() {
                Some(ASTNode::Stmt(Stmt::FnCall(call, _)) | ASTNode::Expr(Expr::FnCall(call, _))) => (call, 0),
                Some(ASTNode::Expr(Expr::MethodCall(call, _))) => (call, 1),
                Some(ASTNode::Expr(Expr::StringConstant(text, at))) => {
                    if !skipped.contains(at) {
                        written.texts.insert(text.to_string());
                    }
                    return true;
                }
                _ => return true,
            };
            skipped.extend(argument(call, READERS, method).filter(|name| is_text(name)).map(Expr::position));
            written.open |= argument(call, WRITERS, method).is_some_and(|name| !is_text(name));
            true
        });
        written
    }

    /// The finding about a name that is read, if there is no such file and none can come.
    pub fn check(&self, text: &str, certain: bool, file: usize, position: Position) -> Option<Raw> {
        let path = Path::new(text);
        // Writers add an extension to a name without one, and `./` is where the script is anyway.
        let whole = path.strip_prefix("./").unwrap_or(path);
        let comes = |known: &String| {
            let known = Path::new(known).strip_prefix("./").unwrap_or(Path::new(known));
            known == whole
                || known == whole.with_extension("")
                || !known.as_os_str().is_empty() && known.starts_with(whole)
        };
        if self.open || text.is_empty() || path.symlink_metadata().is_ok() || self.texts.iter().any(comes) {
            return None;
        }
        let message = format!("there is no file or folder {text:?}");
        let raw = if certain { Raw::error(file, position, message) } else { Raw::warning(file, position, message) };
        let hint = match (near(path), path.is_absolute()) {
            (Some(near), _) => format!("did you mean {near:?}?"),
            (None, true) => String::new(),
            (None, false) => "names are relative to the folder that lethe is started in".into(),
        };
        Some(raw.hint(hint))
    }
}

fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::StringConstant(..))
}

/// The argument that names a file, in a call of one of these functions.
fn argument<'a>(call: &'a FnCallExpr, list: &[(&str, usize)], method: usize) -> Option<&'a Expr> {
    let place = list.iter().find(|(name, _)| *name == call.name.as_str())?.1;
    call.args.get(place.checked_sub(method)?)
}

/// What lies beside a missing file under nearly the same name.
fn near(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).ok()?.flatten().take(1000);
    let names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let asked = path.file_name()?.to_string_lossy();
    let near = crate::runtime::options::nearest(&asked, names.iter().map(String::as_str))?;
    Some(path.with_file_name(near).display().to_string())
}
