//! What scripts see of tables of their own: `save_table` and `save_embeddings`, and how their values become columns.

use super::table_files::{self, Columns, Saving};
use crate::data::Dataset;
use crate::eval::metrics::to_json;
use crate::eval::scores::to_host;
use crate::nn::Net;
use crate::runtime::options::describe;
use crate::runtime::{At, Error, Options, Result, Run, interrupt};
use crate::tensor::Tensor;
use rhai::{Array, Dynamic, Map};
use serde_json::Value;
use tch::Kind;

/// Images embedded between two looks at the keyboard.
const EMBEDDED_AT_ONCE: usize = 256;

/// The names of columns.
///
/// # Errors
/// Anything but texts; none; one of them twice.
fn names(given: &[Dynamic]) -> Result<Vec<String>> {
    let names: Option<Vec<String>> = given.iter().map(|name| name.clone().into_string().ok()).collect();
    let names = names
        .filter(|names| !names.is_empty())
        .ok_or_else(|| Error::new("save_table", "needs the names of the columns, an array of strings"))?;
    distinct("save_table", &names)?;
    Ok(names)
}

/// Refuses a name that two columns have.
fn distinct(operation: &str, names: &[String]) -> Result<()> {
    let mut known = std::collections::HashSet::new();
    match names.iter().find(|name| !known.insert(name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Error::new(operation, format!("two columns are called {name:?}")).word(name.as_str())),
    }
}

fn maps(rows: Array) -> Result<Vec<Map>> {
    let map = |row: Dynamic| {
        let kind = describe(&row);
        row.try_cast::<Map>().ok_or_else(|| Error::new("save_table", format!("a row must be a map, got {kind}")))
    };
    rows.into_iter().map(map).collect()
}

/// The values of these columns in rows that are maps; a row must not have others.
fn of_rows(names: Vec<String>, rows: &[Map]) -> Result<Columns> {
    let line = |row: &Map| {
        if let Some(key) = row.keys().find(|key| !names.iter().any(|name| name == key.as_str())) {
            return Err(Error::new("save_table", format!("a row has `{key}`, which is not among the columns"))
                .word(key.as_str())
                .hint(format!("columns: {}", names.join(", "))));
        }
        Ok(names.iter().map(|name| row.get(name.as_str()).map_or(Value::Null, to_json)).collect())
    };
    let lines = rows.iter().map(line).collect::<Result<_>>()?;
    Ok(Columns { names, lines })
}

/// The keys of rows, in order of appearance.
fn keys(rows: &[Map]) -> Vec<String> {
    let mut known = std::collections::HashSet::new();
    rows.iter().flat_map(Map::keys).filter(|key| known.insert(*key)).map(ToString::to_string).collect()
}

/// The elements of a tensor as they are written: whole numbers whole, those of single precision with their own digits.
fn values(operation: &str, tensor: &tch::Tensor) -> Result<Vec<Value>> {
    let kind = tensor.kind();
    let single = matches!(kind, Kind::Float | Kind::Half | Kind::BFloat16);
    let whole = matches!(kind, Kind::Int64 | Kind::Int | Kind::Int16 | Kind::Int8 | Kind::Uint8);
    if kind == Kind::Int64 {
        let flat = tensor.f_to_device(tch::Device::Cpu).at(operation)?.f_contiguous().at(operation)?;
        let mut found = vec![0_i64; flat.numel()];
        let count = found.len();
        flat.f_copy_data(&mut found, count).at(operation)?;
        return Ok(found.into_iter().map(Value::from).collect());
    }
    let value = |x: f64| match kind {
        Kind::Bool => Value::from(x != 0.0),
        _ if whole => Value::from(x as i64),
        _ if single => (x as f32).to_string().parse::<f64>().map_or(Value::Null, Value::from),
        _ => Value::from(x),
    };
    Ok(to_host(operation, tensor)?.into_iter().map(value).collect())
}

/// Columns of a tensor: a vector is one of this name, a matrix one for each of its columns, numbered from 0.
fn of_tensor(operation: &str, name: &str, tensor: &tch::Tensor) -> Result<Vec<(String, Vec<Value>)>> {
    match tensor.size()[..] {
        [_] => Ok(vec![(name.into(), values(operation, tensor)?)]),
        [_, width] => {
            let across = tensor.f_transpose(0, 1).at(operation)?.f_contiguous().at(operation)?;
            let all = values(operation, &across)?;
            let height = if width > 0 { all.len() / width as usize } else { 0 };
            let column = |index: usize| all.iter().skip(index * height).take(height).cloned().collect();
            Ok((0..width as usize).map(|index| (format!("{name}{index}"), column(index))).collect())
        }
        _ => {
            let message = format!("`{name}` must be a vector or a matrix, got shape {:?}", tensor.size());
            Err(Error::new(operation, message).word(name).hint("x.reshape([x.shape[0], -1]) makes a row of each item"))
        }
    }
}

/// The columns that a script's value stands for.
fn of_value(operation: &str, name: &str, value: &Dynamic) -> Result<Vec<(String, Vec<Value>)>> {
    if let Some(tensor) = value.read_lock::<Tensor>() {
        return of_tensor(operation, name, &tensor);
    }
    match value.read_lock::<Array>() {
        Some(items) => Ok(vec![(name.into(), items.iter().map(to_json).collect())]),
        None => {
            let message = format!("`{name}` must be an array or a tensor, got {}", describe(value));
            Err(Error::new(operation, message).word(name))
        }
    }
}

/// A table of columns that have to be of one length.
fn beside(operation: &str, columns: Vec<(String, Vec<Value>)>) -> Result<Columns> {
    let Some((first, column)) = columns.first() else { return Ok(Columns::default()) };
    let height = column.len();
    if let Some((name, other)) = columns.iter().find(|(_, column)| column.len() != height) {
        let message = format!("`{name}` has {} values and `{first}` has {height}", other.len());
        return Err(Error::new(operation, message).word(name.as_str()));
    }
    let (names, columns): (Vec<String>, Vec<Vec<Value>>) = columns.into_iter().unzip();
    distinct(operation, &names)?;
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    let lines = (0..height).map(|_| columns.iter_mut().filter_map(Iterator::next).collect()).collect();
    Ok(Columns { names, lines })
}

/// The table that a single value of a script is: an array of maps, a map of columns, a matrix.
fn table(what: &Dynamic) -> Result<Columns> {
    if let Some(tensor) = what.read_lock::<Tensor>() {
        return beside("save_table", of_tensor("save_table", "c", &tensor)?);
    }
    if let Some(columns) = what.read_lock::<Map>() {
        let found = columns.iter().map(|(name, value)| of_value("save_table", name, value));
        return beside("save_table", found.collect::<Result<Vec<_>>>()?.concat());
    }
    if let Some(rows) = what.clone().try_cast::<Array>() {
        let rows = maps(rows)?;
        let names = keys(&rows);
        if names.is_empty() {
            let error = Error::new("save_table", "the table has no columns: there are no rows, or they are empty");
            return Err(error.hint("name the columns: save_table(name, [\"a\", \"b\"], rows)"));
        }
        return of_rows(names, &rows);
    }
    let message = format!("needs rows (an array of maps), columns (a map) or a tensor, got {}", describe(what));
    Err(Error::new("save_table", message))
}

/// A row for each sample: its embedding, its label and its position, then what else was given.
fn embedded(net: &Net, data: &Dataset, more: &Map) -> Result<Columns> {
    let at = "save_embeddings";
    let mut parts = vec![];
    for batch in data.chunks(EMBEDDED_AT_ONCE) {
        interrupt::check()?;
        let batch = batch?;
        let _guard = tch::no_grad_guard();
        parts.push(net.evaluating(|| net.embed(&batch.x))?);
    }
    if parts.is_empty() {
        return Err(Error::new(at, "the data set has no samples"));
    }
    let embeddings = tch::Tensor::f_cat(&parts, 0).at(at)?;
    let flat = embeddings.f_reshape([data.len() as i64, -1]).at(at)?;
    let mut columns = of_tensor(at, "e", &flat)?;
    columns.push(("label".into(), data.labels().into_iter().map(Value::from).collect()));
    columns.push(("index".into(), (0..data.len()).map(Value::from).collect()));
    let files: Option<Vec<Value>> = (0..data.len()).map(|at| Some(data.file(at)?.into())).collect();
    columns.extend(files.filter(|_| !more.contains_key("file")).map(|files| ("file".into(), files)));
    for (name, value) in more {
        columns.extend(of_value(at, name, value)?);
    }
    beside(at, columns)
}

/// Saves a table with the options that scripts give.
fn saved(run: &Run, name: &str, table: &Columns, options: Map) -> Result<Array> {
    let mut o = Options::new("save_table", options);
    let saving = Saving { folder: o.text("folder", "")?, markdown: o.maybe_flag("markdown")? };
    o.finish()?;
    let paths = table_files::save(run, "save_table", name, table, &saving)?;
    Ok(paths.into_iter().map(|path| path.display().to_string().into()).collect())
}

/// What scripts see.
#[rhai::export_module]
#[allow(clippy::unwrap_used)]
pub mod script {
    use crate::data::Dataset;
    use crate::nn::Net;
    use crate::report::table_files::{self, Saving};
    use crate::runtime::places::extension;
    use crate::runtime::{Options, Run, Script};
    use rhai::{Array, Dynamic, Map, NativeCallContext};
    use std::path::Path;

    /// Saves a table. The extension of the name says as what: `.csv` (numbers in full; what is missing or not finite is empty),
    /// `.md` (a Markdown table, four significant figures) or `.json` (an array of objects); a name without an extension asks for
    /// CSV and Markdown. Returns the paths.
    ///
    /// The table is an array of rows, each a map (its columns are those named, else the keys in order of appearance), or a map of
    /// columns, each an array or a tensor (a matrix `e` gives the columns `e0`, `e1`, ..), or a matrix.
    ///
    /// A relative name is below the run's output folder (`lethe run --out`), else below the current folder.
    ///
    /// # Signature
    /// save_table(name: string, columns: array of string, rows: array of map, #{ folder: string = "", markdown: bool = true }) -> array
    /// save_table(name: string, table: array of map | map | Tensor, #{ folder: string = "", markdown: bool = true }) -> array
    ///
    /// # Options
    /// - `folder` (string, ""): a folder that a relative name is below
    /// - `markdown` (bool, true): of a name without an extension, the Markdown table too
    ///
    /// # Example
    /// ```rhai
    /// let paths = save_table(temporary_path("rows"), ["name", "value"], [#{ name: "a, b", value: 0.25 }, #{ name: "c" }]);
    /// assert(read_text(paths[0]) == "name,value\n\"a, b\",0.25\nc,\n");
    /// assert(read_text(paths[1]).contains("| c | – |"));
    /// let columns = #{ e: tensor([[0.5, 1.0], [1.5, 2.0]]), label: ["cat", "dog"] };
    /// assert(read_text(save_table(temporary_path("e.csv"), columns)[0]) == "e0,e1,label\n0.5,1.0,cat\n1.5,2.0,dog\n");
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn save_table(
        context: NativeCallContext,
        name: &str,
        columns: Array,
        rows: Array,
        options: Map,
    ) -> Script<Array> {
        let table = super::of_rows(super::names(&columns)?, &super::maps(rows)?)?;
        Ok(super::saved(&Run::of(&context), name, &table, options)?)
    }

    #[rhai_fn(name = "save_table", return_raw, volatile)]
    pub fn save_table_plain(context: NativeCallContext, name: &str, columns: Array, rows: Array) -> Script<Array> {
        save_table(context, name, columns, rows, Map::new())
    }

    #[rhai_fn(name = "save_table", return_raw, volatile)]
    pub fn save_table_of(context: NativeCallContext, name: &str, table: Dynamic, options: Map) -> Script<Array> {
        Ok(super::saved(&Run::of(&context), name, &super::table(&table)?, options)?)
    }

    #[rhai_fn(name = "save_table", return_raw, volatile)]
    pub fn save_table_of_plain(context: NativeCallContext, name: &str, table: Dynamic) -> Script<Array> {
        Ok(super::saved(&Run::of(&context), name, &super::table(&table)?, Map::new())?)
    }

    /// Saves a network's embeddings of a data set as a table, a row for each sample: `e0`, `e1`, .. (what the last linear layer
    /// sees), `label`, `index` (the position in the data set), `file` where samples come from files, and what columns are given
    /// besides. The extension of the name says as what, see `save_table`; without one it is CSV. Returns the path.
    ///
    /// # Signature
    /// save_embeddings(name: string, net: Net, data: Dataset, #{ columns: map = #{} }) -> string
    ///
    /// # Options
    /// - `columns` (map, none): further columns by name, each an array or a tensor with a value for each sample
    ///
    /// # Example
    /// ```rhai
    /// let test = dataset("digits").test.take(5);
    /// let net = convnet(test, #{ width: 4, depth: 1 });
    /// let path = save_embeddings(temporary_path("e.csv"), net, test, #{ columns: #{ name: ["a", "b", "c", "d", "e"] } });
    /// assert(read_text(path).split("\n")[0].ends_with(",label,index,name"));
    /// ```
    #[rhai_fn(return_raw, volatile)]
    pub fn save_embeddings(
        context: NativeCallContext,
        name: &str,
        net: Net,
        data: Dataset,
        options: Map,
    ) -> Script<String> {
        let mut o = Options::new("save_embeddings", options);
        let more = o.map("columns")?;
        o.finish()?;
        let table = super::embedded(&net, &data, &more)?;
        // A Markdown table of embeddings is of use to nobody, unless it is asked for.
        let bare = extension(Path::new(name)).is_none();
        let saving = Saving { markdown: bare.then_some(false), ..Saving::default() };
        let paths = table_files::save(&Run::of(&context), "save_embeddings", name, &table, &saving)?;
        Ok(paths.into_iter().next().map(|path| path.display().to_string()).unwrap_or_default())
    }

    #[rhai_fn(name = "save_embeddings", return_raw, volatile)]
    pub fn save_embeddings_plain(context: NativeCallContext, name: &str, net: Net, data: Dataset) -> Script<String> {
        save_embeddings(context, name, net, data, Map::new())
    }
}
