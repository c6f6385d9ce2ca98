//! Which method has which look: the same in every picture of a run.

use std::cell::RefCell;

/// Names in the order in which pictures first showed them; a run slot.
#[derive(Default)]
pub struct Looks(RefCell<Vec<String>>);

impl Looks {
    /// The look of a name; a new name gets the next one.
    pub fn of(&self, name: &str) -> usize {
        let mut names = self.0.borrow_mut();
        names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.into());
            names.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_look() {
        let looks = Looks::default();
        assert_eq!(["a", "b", "a", "c", "b"].map(|name| looks.of(name)), [0, 1, 0, 2, 1]);
    }
}
