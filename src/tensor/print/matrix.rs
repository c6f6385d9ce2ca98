//! Small matrices in columns.

use super::values;
use crate::runtime::Result;
use crate::tensor::dtype::kind_of;

/// Most rows and columns of a matrix that is shown.
const SIDE: i64 = 20;
/// Most elements: two matrices of 12 x 12.
const MOST: usize = 288;
/// Widest line.
const WIDTH: usize = 100;

/// The rows of a small matrix, or of a small stack of them, numbers below each other; `None` when they are better summarised.
pub fn columns(tensor: &tch::Tensor) -> Option<Result<String>> {
    let shape = tensor.size();
    let [outer @ .., rows, columns] = shape.as_slice() else { return None };
    let small = *rows <= SIDE && *columns <= SIDE && (1..=MOST).contains(&tensor.numel());
    if !small {
        return None;
    }
    let cells = match values(tensor, kind_of(tensor)) {
        Ok(cells) => cells,
        Err(error) => return Some(Err(error)),
    };
    let lines = aligned(&cells, *columns as usize);
    if lines.iter().any(|line| line.chars().count() > WIDTH) {
        return None;
    }
    let mut text = vec![];
    for (place, matrix) in lines.chunks(*rows as usize).enumerate() {
        if !outer.is_empty() {
            text.push(format!("  {:?}", position(outer, place)));
        }
        text.extend_from_slice(matrix);
    }
    Some(Ok(text.join("\n")))
}

/// The index of a matrix within a stack.
fn position(outer: &[i64], place: usize) -> Vec<usize> {
    let mut rest = place;
    let mut index: Vec<usize> = vec![];
    for size in outer.iter().rev() {
        let size = usize::try_from(*size).unwrap_or(1).max(1);
        index.push(rest % size);
        rest /= size;
    }
    index.reverse();
    index
}

/// Lines of `columns` cells each; within a column the decimal points stand below each other.
fn aligned(cells: &[String], columns: usize) -> Vec<String> {
    let split =
        |cell: &str| cell.find(['.', 'e']).filter(|_| cell.starts_with(|c: char| c == '-' || c.is_ascii_digit()));
    let whole = |cell: &str| split(cell).unwrap_or(cell.len());
    let mut before = vec![0; columns];
    let mut behind = vec![0; columns];
    for (i, cell) in cells.iter().enumerate() {
        let (column, whole) = (i % columns, whole(cell));
        if let (Some(before), Some(behind)) = (before.get_mut(column), behind.get_mut(column)) {
            *before = whole.max(*before);
            *behind = (cell.len() - whole).max(*behind);
        }
    }
    let pad = |column: usize, cell: &str| {
        let (left, right) = (before.get(column).unwrap_or(&0), behind.get(column).unwrap_or(&0));
        let whole = whole(cell);
        format!(
            "  {}{cell}{}",
            " ".repeat(left - whole.min(*left)),
            " ".repeat(right + whole - cell.len().min(right + whole))
        )
    };
    let line = |row: &[String]| -> String {
        row.iter().enumerate().map(|(column, cell)| pad(column, cell)).collect::<String>().trim_end().into()
    };
    cells.chunks(columns.max(1)).map(line).collect()
}
