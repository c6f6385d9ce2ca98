//! The codes of errors: what each means, how it comes about, how it is mended. A message's code follows from its words.

/// A kind of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Code {
    /// `E0101`.
    pub code: &'static str,
    /// What it is, in one line.
    pub title: &'static str,
    /// Parts of messages, any of which belongs to it; a part that starts with ^ begins the message.
    #[serde(skip)]
    says: &'static [&'static str],
    /// What it means.
    pub text: &'static str,
    /// A script that gives it.
    pub wrong: &'static str,
    /// The same, mended.
    pub right: &'static str,
}

/// All of them; the first that a message belongs to counts.
pub const CODES: &[Code] = &[
    Code {
        code: "E0001",
        title: "the script ends too early",
        says: &["^syntax: the script ends too early"],
        text: "A bracket, a brace or a quote is still open at the end of the text, or a statement is not complete.",
        wrong: "let a = 1 +",
        right: "let a = 1 + 2;",
    },
    Code {
        code: "E0002",
        title: "a text or a comment is never closed",
        says: &["^syntax: this string has no closing quote", "^syntax: this comment is never closed"],
        text: "Texts in double quotes end in their line, texts of several lines stand between back-ticks; /* needs its own */.",
        wrong: "let a = \"open;\nprint(a);",
        right: "let a = \"closed\";\nprint(a);",
    },
    Code {
        code: "E0003",
        title: "a word of the language is used as a name",
        says: &["is a reserved word"],
        text: "Some words are reserved, even those that the language does not use: new, var, async, spawn and others.",
        wrong: "let new = 1;",
        right: "let fresh = 1;",
    },
    Code {
        code: "E0004",
        title: "a minus before **",
        says: &["a minus before ** is ambiguous"],
        text: "In mathematics -a ** b is -(a ** b), in the language it would be (-a) ** b: write the brackets.",
        wrong: "let a = 2;\nlet b = -a ** 2;",
        right: "let a = 2;\nlet b = -(a ** 2);",
    },
    Code {
        code: "E0005",
        title: "a constant is assigned to",
        says: &["annot modify constant", "annot assign to constant", "onstant value"],
        text: "What const declares keeps its value; what may change is declared by let.",
        wrong: "const N = 1;\nN = 2;",
        right: "let n = 1;\nn = 2;",
    },
    Code {
        code: "E0006",
        title: "syntax that the language does not have",
        says: &["^syntax: "],
        text: "Statements end in ;, blocks stand in braces, options in maps #{ a: 1 }. Where a line looks like Python or \
               JavaScript, the help names the form of the language.",
        wrong: "if 1 > 0:\n    print(1)",
        right: "if 1 > 0 {\n    print(1);\n}",
    },
    Code {
        code: "E0101",
        title: "an unknown function",
        says: &["^unknown function `"],
        text: "No function of this name is defined in the script, by the language or by the library: `lethe doc` lists them. A \
               function of an imported script is called by the name of the import, own::f(x).",
        wrong: "let x = rnadn([2]);",
        right: "let x = randn([2]);",
    },
    Code {
        code: "E0102",
        title: "an unknown variable",
        says: &["^unknown variable `"],
        text: "No variable of this name is in sight. Functions see their parameters and global constants alone; closures see \
               the variables around them.",
        wrong: "let k = 2;\nfn scaled(x) { x * k }\nprint(scaled(3));",
        right: "let k = 2;\nfn scaled(x, k) { x * k }\nprint(scaled(3, k));",
    },
    Code {
        code: "E0103",
        title: "a wrong number of arguments",
        says: &[" takes no arguments, got", " argument, got", " arguments, got"],
        text: "The function exists, but not with as many arguments; the notes below the line show how it is called.",
        wrong: "let x = zeros(3, 4, 5);",
        right: "let x = zeros([3, 4, 5]);",
    },
    Code {
        code: "E0104",
        title: "arguments of a type that the function does not take",
        says: &[" does not take ("],
        text: "The function exists, but not for values of these types; the notes say which argument is of another type.",
        wrong: "let x = randn(\"abc\");",
        right: "let x = randn([2, 3]);",
    },
    Code {
        code: "E0105",
        title: "an unknown method",
        says: &["^unknown method `"],
        text: "Nothing that stands behind a dot has this name. `lethe doc Tensor` and the like list what a type has.",
        wrong: "let x = ones([2]);\nlet y = x.size();",
        right: "let x = ones([2]);\nlet y = x.shape;",
    },
    Code {
        code: "E0106",
        title: "an unknown property",
        says: &[" has no property `", "^nothing has a property `"],
        text: "Values of this type have no property of this name, or no result of a function of the library has such a key.",
        wrong: "let d = dataset(\"digits\");\nprint(d.trian);",
        right: "let d = dataset(\"digits\");\nprint(d.train);",
    },
    Code {
        code: "E0107",
        title: "an operator between types that do not go together",
        says: &["` is not defined for "],
        text: "The operator exists, but not between values of these types. Numbers and texts are joined in back-ticks.",
        wrong: "let a = #{ a: 1 } - 1;",
        right: "let a = #{ a: 1 };\nlet b = a.a - 1;",
    },
    Code {
        code: "E0108",
        title: "a variable is called",
        says: &[" is a variable and cannot be called"],
        text: "A variable that holds a function is called by .call(..).",
        wrong: "let f = |x| x + 1;\nlet y = f(2);",
        right: "let f = |x| x + 1;\nlet y = f.call(2);",
    },
    Code {
        code: "E0109",
        title: "a function is used as a method",
        says: &["is a function of this script, not a method"],
        text: "A function that is called as a method finds its value in `this`, not in its first parameter.",
        wrong: "fn twice(x) { 2 * x }\nlet y = 3;\nprint(y.twice());",
        right: "fn twice(x) { 2 * x }\nlet y = 3;\nprint(twice(y));",
    },
    Code {
        code: "E0110",
        title: "a callback is given other arguments than it takes",
        says: &["^the callback is given "],
        text: "A closure must have as many parameters as the function gives it values.",
        wrong: "let a = [1, 2].map(|x, y, z| x);",
        right: "let a = [1, 2].map(|x| x);",
    },
    Code {
        code: "E0111",
        title: "a value that no loop can go through",
        says: &["^a for loop cannot go through "],
        text: "Loops go through arrays, ranges, and the batches of a dataset. The entries of a map are reached by its keys.",
        wrong: "let m = #{ a: 1 };\nfor x in m { print(x); }",
        right: "let m = #{ a: 1 };\nfor key in m.keys() { print(key, m[key]); }",
    },
    Code {
        code: "E0112",
        title: "a value is indexed by what is no index",
        says: &[" cannot be indexed by ", "^expected an index of type "],
        text: "Arrays are indexed by whole numbers, maps by texts, tensors by whole numbers, ranges, arrays and masks.",
        wrong: "let d = dataset(\"digits\");\nprint(d[0]);",
        right: "let d = dataset(\"digits\");\nprint(d.train.labels[0]);",
    },
    Code {
        code: "E0113",
        title: "something other than true or false is a condition",
        says: &["^expected bool, got", "^expected a result of type"],
        text: "Conditions are true or false: numbers are compared, tensors of one element are read with .item().",
        wrong: "let n = 1;\nif n { print(n); }",
        right: "let n = 1;\nif n > 0 { print(n); }",
    },
    Code {
        code: "E0114",
        title: "a function calls itself without end",
        says: &["^stack overflow"],
        text: "Functions may call each other 256 levels deep.",
        wrong: "fn f(x) { f(x + 1) }\nf(0);",
        right: "fn f(x) { if x > 3 { x } else { f(x + 1) } }\nf(0);",
    },
    Code {
        code: "E0201",
        title: "an unknown option",
        says: &["unknown option `"],
        text: "The function does not have this option; the notes list those it has. Arguments such as a dimension are no \
               options: x.mean(0).",
        wrong: "let net = convnet(dataset(\"digits\"), #{ widht: 8 });",
        right: "let net = convnet(dataset(\"digits\"), #{ width: 8 });",
    },
    Code {
        code: "E0202",
        title: "an option of a wrong type or out of range",
        says: &["` must be ", "` must hold "],
        text: "The option exists, but does not take this value: the message says what it takes.",
        wrong: "let net = convnet(dataset(\"digits\"), #{ width: \"wide\" });",
        right: "let net = convnet(dataset(\"digits\"), #{ width: 8 });",
    },
    Code {
        code: "E0203",
        title: "an option of a method with the name of one of unlearn::run",
        says: &["a method cannot have an option `", "belongs to unlearn::run"],
        text: "unlearn::run takes name, variant, seed and others for itself, so a method cannot declare them.",
        wrong: "fn own(task, opt) {\n    let o = options(opt, #{ seed: 1 });\n    task.model()\n}",
        right: "fn own(task, opt) {\n    let o = options(opt, #{ draws: 1 });\n    task.model()\n}",
    },
    Code {
        code: "E0301",
        title: "an unknown data set",
        says: &["there is no data set \""],
        text: "`lethe list datasets` lists the names. load_data(folder), load_dataset(path) and dataset_from(images, labels) take \
               your own data.",
        wrong: "let d = dataset(\"digts\");",
        right: "let d = dataset(\"digits\");",
    },
    Code {
        code: "E0302",
        title: "an unknown unlearner",
        says: &["there is no unlearner \""],
        text: "`lethe list unlearners` lists the names. A function of the script is passed by its name without quotes; a \
               method in a file name.rhai is found beside the script.",
        wrong: "let d = dataset(\"digits\");\nlet task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.1 });\n\
                unlearn::run(\"scurb\", task, #{ epochs: 1 });",
        right: "let d = dataset(\"digits\");\nlet task = forget(convnet(d, #{ width: 4 }), d, #{ fraction: 0.1 });\n\
                unlearn::run(\"scrub\", task, #{ epochs: 1 });",
    },
    Code {
        code: "E0303",
        title: "an unknown model",
        says: &["there is no model \""],
        text: "`lethe list models` lists the names.",
        wrong: "let task = load_task(\"digits/convnett\");",
        right: "print(\"digits/convnet\");",
    },
    Code {
        code: "E0304",
        title: "an unknown condenser or metric",
        says: &["there is no condenser \"", "there is no metric \""],
        text: "`lethe list condensers` and `lethe list metrics` list the names.",
        wrong: "metric_direction(\"mia_acu\");",
        right: "metric_direction(\"mia_auc\");",
    },
    Code {
        code: "E0305",
        title: "a name that must be dataset/model",
        says: &["expected \"dataset/model\""],
        text: "load_task takes the data set and the model in one name.",
        wrong: "let task = load_task(\"digits\");",
        right: "print(\"digits/convnet\");",
    },
    Code {
        code: "E0401",
        title: "a module that is not there",
        says: &["^module \"", "^there is no module ", "^unknown module `"],
        text: "import \"path\" looks beside the script, in the current folder and on LETHE_PATH; the library's modules begin with \
               std/. A module is used under the name behind `as`.",
        wrong: "import \"unlearn\" as u;",
        right: "import \"std/unlearn\" as u;",
    },
    Code {
        code: "E0402",
        title: "a module without the function or variable",
        says: &["^module `"],
        text: "The module is there, but does not export this name; its functions are listed by `lethe doc` where it is of the \
               library. Private functions cannot be reached.",
        wrong: "let layer = nn::liner(2, 3);",
        right: "let layer = nn::linear(2, 3);",
    },
    Code {
        code: "E0403",
        title: "modules import each other in a circle",
        says: &["circular import"],
        text: "A script cannot import one that imports it: what both need belongs into a third.",
        wrong: "import \"circle\" as c;",
        right: "import \"std/unlearn\" as c;",
    },
    Code {
        code: "E0404",
        title: "a file that is not there",
        says: &["^there is no file or folder ", "No such file or directory"],
        text: "Names of files are relative to the folder that lethe is started in.",
        wrong: "let t = load_npy(\"nowhere.npy\");",
        right: "let path = temporary_path(\"a.npy\");\nsave_npy(path, ones([2]));\nlet t = load_npy(path);",
    },
    Code {
        code: "E0501",
        title: "shapes that do not go together",
        says: &["do not broadcast", "inner sizes", "shape"],
        text: "Tensors are joined element by element when their sizes are equal or one, counted from the last; a matrix \
               product needs equal inner sizes.",
        wrong: "let x = ones([2, 3]) + ones([4]);",
        right: "let x = ones([2, 3]) + ones([3]);",
    },
    Code {
        code: "E0502",
        title: "a failed assertion",
        says: &["^assert", "assertion"],
        text: "assert and assert_close stop the script when what they are given does not hold.",
        wrong: "assert(1 > 2);",
        right: "assert(2 > 1);",
    },
    Code {
        code: "W0001",
        title: "a division of whole numbers that loses its fraction",
        says: &["is a division of integers and gives"],
        text: "7 / 2 is 3 between whole numbers.",
        wrong: "let x = 7 / 2;",
        right: "let x = 7.0 / 2;",
    },
    Code {
        code: "W0002",
        title: "a function of the script takes the place of a built-in one",
        says: &["takes the place of the built-in one"],
        text: "Every call in this script runs the script's function, those that mean the built-in one, too.",
        wrong: "fn mean(x) { x }",
        right: "fn own_mean(x) { x }",
    },
];

/// The code that a message belongs to.
pub fn of(message: &str) -> Option<&'static Code> {
    let belongs = |part: &str| match part.strip_prefix('^') {
        Some(start) => message.starts_with(start),
        None => message.contains(part),
    };
    CODES.iter().find(|code| code.says.iter().any(|part| belongs(part)))
}

/// The code of this name, in any letters.
pub fn find(name: &str) -> Option<&'static Code> {
    CODES.iter().find(|code| code.code.eq_ignore_ascii_case(name))
}

/// The codes nearest to a name that is none.
pub fn near(name: &str) -> Vec<&'static str> {
    let name = name.to_uppercase();
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    let distance = |code: &&Code| {
        let whole = strsim::damerau_levenshtein(&name, code.code);
        if digits.is_empty() { whole } else { whole.min(1 + strsim::damerau_levenshtein(&digits, &code.code[1..])) }
    };
    let mut all: Vec<&Code> = CODES.iter().filter(|code| distance(code) <= 2).collect();
    all.sort_by_key(distance);
    all.iter().take(3).map(|code| code.code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Host, lint};
    use crate::runtime::run::Settings;

    /// The code of what goes wrong with a script: of a finding, else of how it ends.
    fn codes(host: &Host, text: &str) -> Vec<&'static str> {
        let report = lint::check(host, "script.rhai", text);
        let found: Vec<_> =
            report.findings.iter().filter_map(|found| of(&found.message)).map(|code| code.code).collect();
        if report.errors() > 0 || !found.is_empty() {
            return found;
        }
        let ended = host.compile("script.rhai", text).and_then(|ast| host.run_script(&ast));
        ended
            .err()
            .and_then(|error| of(&host.diagnose(&error, "script.rhai").message))
            .map(|code| code.code)
            .into_iter()
            .collect()
    }

    #[test]
    fn every_example_gives_its_code_and_is_mended() {
        let host = Host::new(Settings { quiet: true, ..Settings::default() });
        for code in CODES.iter().filter(|code| code.code != "E0403") {
            assert!(codes(&host, code.wrong).contains(&code.code), "{}: {:?}", code.code, codes(&host, code.wrong));
            let right = lint::check(&host, "script.rhai", code.right);
            assert!(right.findings.is_empty(), "{}: {:?}", code.code, right.findings);
            if !code.right.contains("unlearn::run") {
                let ended = host.compile("script.rhai", code.right).and_then(|ast| host.run_script(&ast));
                assert!(ended.is_ok(), "{}: {ended:?}", code.code);
            }
        }
    }

    #[test]
    fn codes_are_in_order_and_near_ones_are_found() {
        let ordered = CODES.windows(2).all(|two| two[0].code < two[1].code);
        assert!(ordered && find("e0101").is_some() && find("E9999").is_none());
        assert!(near("E101").contains(&"E0101") && near("102").contains(&"E0102") && near("nonsense").is_empty());
    }
}
