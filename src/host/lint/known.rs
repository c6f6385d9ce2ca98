//! The functions an engine knows, by name and number of arguments.

use rhai::{Engine, FnNamespace};
use std::collections::{BTreeSet, HashMap};

/// Numbers of arguments by name.
pub type Arities = HashMap<String, BTreeSet<usize>>;

/// What the parser treats as functions without their being registered.
const KEYWORDS: &[&str] =
    &["print", "debug", "type_of", "call", "curry", "eval", "Fn", "is_def_fn", "is_def_var", "is_shared"];

/// What can be called without being defined by a script.
pub struct Known {
    /// Functions called by their bare name, methods included.
    pub functions: Arities,
    /// Those of them that are not methods of a type.
    pub plain: Arities,
    /// Functions called as `space::name`.
    pub spaces: HashMap<String, Arities>,
}

impl Known {
    /// Everything registered with the engine.
    pub fn of(engine: &Engine) -> Self {
        let mut known = Self { functions: Arities::new(), plain: Arities::new(), spaces: HashMap::new() };
        let list = engine.collect_fn_metadata(
            None,
            |info| {
                let metadata = info.metadata;
                let global = info.namespace.is_empty() || metadata.namespace == FnNamespace::Global;
                let method = metadata.params_info.first().is_some_and(|first| first.contains("&mut "));
                let found =
                    (info.namespace.to_string(), metadata.name.to_string(), metadata.num_params, global, method);
                (!metadata.name.contains('$')).then_some(found)
            },
            true,
        );
        for (space, name, arity, global, method) in list {
            if global && !method {
                known.plain.entry(name.clone()).or_default().insert(arity);
            }
            if global {
                known.functions.entry(name.clone()).or_default().insert(arity);
            }
            if !space.is_empty() {
                known.spaces.entry(space).or_default().entry(name).or_default().insert(arity);
            }
        }
        known
    }

    /// Whether a bare name with so many arguments can be called.
    pub fn takes(&self, name: &str, arguments: usize) -> bool {
        is_keyword(name) || self.functions.get(name).is_some_and(|arities| arities.contains(&arguments))
    }
}

/// Whether the parser itself knows this function.
pub fn is_keyword(name: &str) -> bool {
    KEYWORDS.contains(&name)
}

/// `1 argument`, `2 or 3 arguments`, `no arguments`.
pub fn arguments(arities: impl IntoIterator<Item = usize>) -> String {
    let mut all: Vec<usize> = arities.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    match all.as_slice() {
        [] | [0] => "no arguments".into(),
        [1] => "1 argument".into(),
        [.., _] => {
            let texts: Vec<_> = all.iter().map(ToString::to_string).collect();
            format!("{} arguments", texts.join(" or "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_counted_in_words() {
        assert_eq!(arguments([0]), "no arguments");
        assert_eq!(arguments([1]), "1 argument");
        assert_eq!(arguments([3, 2, 3]), "2 or 3 arguments");
    }
}
