//! Habits from Python and JavaScript, answered with the form of the language: only where a text is refused anyway.

/// Names that are no variables here.
const WORDS: &[(&[&str], &str)] = &[
    (&["None", "null", "nil", "undefined"], "nothing is written ()"),
    (&["True"], "write true"),
    (&["False"], "write false"),
    (&["self"], "a method of a map's closure finds its map in `this`"),
    (&["pass"], "an empty block is {}"),
    (
        &["inf", "Infinity", "math", "np", "torch", "nan", "NaN"],
        "INFINITY() and NAN() are functions here, and tensors need no prefix: zeros([2]), exp(x)",
    ),
    (&["not"], "not a is written !a"),
    (&["and", "or"], "a and b is written a && b, a or b is written a || b"),
    (&["elif"], "write else if"),
    (&["lambda"], "a function without a name is written |x| x + 1"),
];

/// Functions of elsewhere.
const FUNCTIONS: &[(&[&str], &str)] = &[
    (&["str", "repr"], "write x.to_string(), or `${x}` within a text"),
    (&["int"], "write x.to_int(), or parse_int(text)"),
    (&["float"], "write x.to_float(), or parse_float(text)"),
    (&["type", "isinstance", "typeof"], "type_of(x) is the name of a value's type"),
    (&["range"], "0..n is the range of whole numbers below n; range(from, to) and range(from, to, step) are functions"),
    (&["list", "tuple"], "arrays are written [a, b]; tensor.to_array() makes one of a tensor"),
    (&["dict"], "maps are written #{ a: 1 }"),
    (&["set"], "there are no sets; the keys of a map #{ } do"),
    (&["sorted"], "array.order() is a sorted copy"),
    (&["reversed"], "array.reverse() turns an array round in place"),
    (&["open"], "read_text(path) and write_text(path, text) read and write files"),
    (&["console", "printf", "println", "puts", "echo"], "write print(a, b)"),
    (&["raise"], "write throw"),
    (&["Exception", "ValueError", "Error"], "throw takes any value: throw \"reason\""),
    (&["cosine_similarity"], "write (a * b).sum() / (a.norm() * b.norm())"),
    (&["normalize"], "write x / x.norm()"),
    (&["no_grad"], "no_grad is a block: no_grad { .. }"),
];

/// Methods of elsewhere.
const METHODS: &[(&[&str], &str)] = &[
    (&["size"], "x.shape are the sizes of a tensor, x.shape[0] is one of them; array.len() counts items"),
    (&["length", "count"], "x.len() counts items; a tensor has x.numel and x.len"),
    (&["append"], "array.push(item) adds one item, array.append(other) those of another array"),
    (&["tolist", "numpy", "toArray"], "tensor.to_array() makes an array of a tensor"),
    (&["cpu"], "write x.to(\"cpu\")"),
    (&["cuda"], "write x.to(\"cuda\")"),
    (&["items", "entries"], "for key in map.keys() { let value = map[key]; .. } goes through a map"),
    (&["get"], "map[key] or map.key is an entry, () where there is none"),
    (&["format"], "write `text ${value}`, or fmt(value, \".3\")"),
    (&["float", "double"], "write x.to(\"f32\"), x.to(\"f64\") for tensors, x.to_float() for numbers"),
    (&["long", "int"], "write x.to(\"i64\") for tensors, x.to_int() for numbers"),
    (&["dim", "ndim"], "x.rank is the number of a tensor's dimensions"),
    (&["forEach", "foreach"], "write for item in array { .. }"),
    (&["strip"], "text.trim() takes blanks away, in place"),
    (&["upper", "toUpperCase"], "write text.to_upper()"),
    (&["lower", "toLowerCase"], "write text.to_lower()"),
    (&["startswith", "startsWith"], "write text.starts_with(other)"),
    (&["endswith", "endsWith"], "write text.ends_with(other)"),
    (&["eval"], "write net.train_mode(false); evaluation switches by itself"),
    (&["state_dict"], "write net.state()"),
    (&["load_state_dict"], "write net.load_state(state)"),
    (&["named_parameters"], "net.params() is a map of them"),
    (&["clone"], "write x.copy()"),
    (&["has"], "write key in map"),
];

fn listed(list: &[(&[&str], &'static str)], name: &str) -> Option<&'static str> {
    list.iter().find(|(names, _)| names.contains(&name)).map(|(_, hint)| *hint)
}

/// What to write for a word that is no variable.
pub fn word(name: &str) -> Option<&'static str> {
    listed(WORDS, name)
}

/// What to write for a function of elsewhere.
pub fn function(name: &str) -> Option<&'static str> {
    listed(FUNCTIONS, name)
}

/// What to write for a method of elsewhere.
pub fn method(name: &str) -> Option<&'static str> {
    listed(METHODS, name)
}

/// What to write for a construct of elsewhere in a line that the parser refuses, or in the one before it.
pub fn syntax(text: &str, line: usize) -> Option<&'static str> {
    let lines: Vec<&str> = text.lines().take(line.max(1)).collect();
    let mut above = lines.iter().rev().filter(|line| !line.trim().is_empty());
    above.next().and_then(|line| in_line(line)).or_else(|| above.next().and_then(|line| in_line(line)))
}

/// The same for one line.
fn in_line(line: &str) -> Option<&'static str> {
    let parts = pieces(line);
    let words: Vec<&str> = parts.iter().map(String::as_str).collect();
    let first = words.first().copied().unwrap_or_default();
    let next = words.get(1).copied().unwrap_or_default();
    statement(first, next, &words)
        .or_else(|| literal(line, &words))
        .or_else(|| operator(&words))
        .or_else(|| bracket(&words))
}

/// Statements that begin with a word of elsewhere.
fn statement(first: &str, next: &str, words: &[&str]) -> Option<&'static str> {
    let has = |word: &str| words.contains(&word);
    let block = words.last() == Some(&":");
    Some(match first {
        "def" | "function" | "func" | "async" => "functions are written fn name(a, b) { .. }",
        "class" | "struct" => "there are no classes: a map #{ .. } holds values and closures",
        "from" if has("import") => "write import \"std/unlearn\" as unlearn;",
        "import" if next != TEXT => "write import \"path\" as name;",
        "elif" | "elsif" => "write else if condition { .. }",
        "}" if next == "elif" => "write else if condition { .. }",
        "try" if block => "write try { .. } catch (error) { .. }",
        "except" | "finally" => "write try { .. } catch (error) { .. }",
        "raise" => "write throw \"reason\";",
        "with" => "there is no with: no_grad { .. } and timed \"name\" { .. } are blocks, files need not be closed",
        "var" => "variables are declared by let",
        "pass" => "an empty block is {}",
        "del" => "nothing has to be deleted; x = () lets go of a value",
        "assert" if next != "(" => "write assert(a == b, \"message\");",
        "print" if next != "(" => "write print(a, b);",
        "global" | "nonlocal" => {
            "functions see their parameters and global constants: pass the value, or use a closure |x| .."
        }
        "@" => "there are no decorators",
        "for" if next == "(" && (has("let") || has("var")) => "write for i in 0..n { .. }",
        "for" if next == "(" && words.windows(2).any(|two| two == ["#", "{"]) => {
            "for key in map.keys() { let value = map[key]; .. } goes through the entries"
        }
        "let" if next == "(" || next == "[" || next == "{" => {
            "there is no unpacking: let a = pair[0]; let b = pair[1];"
        }
        "let" | "const" if words.get(2) == Some(&",") => {
            "declare one variable a statement: let a = pair[0]; let b = pair[1];"
        }
        "let" | "const" if words.get(2) == Some(&":") => "variables have no declared types: let x = 3;",
        "fn" if has(":") || has("->") => "parameters and results have no declared types: fn name(a, b) { .. }",
        "if" | "for" | "while" | "else" if block => "blocks stand in braces: if a { .. }, for x in list { .. }",
        "return" if words.get(2) == Some(&",") => "return an array, [a, b], or a map, #{ a: a, b: b }",
        "if" | "while" if lone_equals(words) => "= assigns; == compares",
        _ if is_name(first) && next == "," && has("=") => "there is no unpacking: let a = pair[0]; let b = pair[1];",
        _ => return None,
    })
}

/// Texts and comments of elsewhere.
fn literal(line: &str, words: &[&str]) -> Option<&'static str> {
    let pair = |a: fn(&str) -> bool, b: &str| words.windows(2).any(|two| matches!(two, [x, y] if a(x) && *y == b));
    if line.contains("\"\"\"") {
        return Some("texts of several lines stand between back-ticks: `..`");
    }
    if pair(|word| matches!(word, "f" | "F" | "fr" | "rf"), TEXT) || words.contains(&"f'") {
        return Some("values stand in back-ticks: `loss ${x}`");
    }
    if words.contains(&QUOTED) {
        return Some("texts stand in double quotes, \"abc\"; single quotes hold one letter");
    }
    let hash = words.iter().position(|word| *word == "#")?;
    (words.get(hash + 1) != Some(&"{")).then_some("comments begin with //")
}

/// Operators of elsewhere.
fn operator(words: &[&str]) -> Option<&'static str> {
    let has = |word: &str| words.contains(&word);
    let pair = |a: &str, b: &str| words.windows(2).any(|two| matches!(two, [x, y] if *x == a && *y == b));
    let operand = |word: &str| is_name(word) || matches!(word, "(" | "!" | TEXT);
    let between = |word: &str| {
        let at = words.iter().position(|one| *one == word);
        at.is_some_and(|at| at > 0 && words.get(at + 1).is_some_and(|next| operand(next)))
    };
    if has("if") && has("else") && !has("{") {
        return Some("a choice is written if a { b } else { c }");
    }
    if pair("not", "in") {
        return Some("write !(x in list)");
    }
    if between("and") || between("or") {
        return word("and");
    }
    if words.windows(2).any(|two| matches!(two, ["not", next] if operand(next))) {
        return word("not");
    }
    if between("is") {
        return Some("x is y is written x == y; nothing is written ()");
    }
    if has("lambda") {
        return word("lambda");
    }
    if has("===") || has("!==") {
        return Some("write == and !=");
    }
    if has("++") || has("--") {
        return Some("write x += 1, x -= 1");
    }
    if has("=>") && !has("switch") {
        return word("lambda");
    }
    if has("?") && has(":") {
        return Some("a choice is written if a { b } else { c }");
    }
    let value = |word: &str| is_name(word) || word == ")" || word == "]" || word == TEXT;
    words.windows(3).any(|three| matches!(three, [a, "/", "/"] if value(a))).then_some("whole numbers are divided by /")
}

/// What stands in brackets.
fn bracket(words: &[&str]) -> Option<&'static str> {
    let mut open: Vec<(usize, &str)> = vec![];
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| words.get(at)).copied().unwrap_or_default();
        let behind = words.get(at + 1).copied().unwrap_or_default();
        match (*word, open.last().copied()) {
            ("(" | "[" | "{", _) => open.push((at, word)),
            (")" | "]" | "}", _) => drop(open.pop()),
            ("for", Some((_, "[" | "(" | "{"))) if words.contains(&"in") && !words.contains(&"{") => {
                return Some(
                    "there are no comprehensions: list.map(|x| 2 * x), list.filter(|x| x > 1), or a loop with push",
                );
            }
            (":", Some((from, "["))) if from > 0 => {
                return Some("ranges are slices: tensor[0..2], array.extract(0..2)");
            }
            ("=", Some((from, "(")))
                if is_name(before) && from > 0 && words.get(from - 1).is_some_and(|name| is_name(name)) =>
            {
                return Some(match before {
                    "dim" | "axis" | "dims" => {
                        "the dimension is an argument of its own: x.mean(0); options follow in a map, x.mean(0, #{ keepdim: true })"
                    }
                    _ => "arguments have no names; options stand in a map: train(net, data, #{ lr: 0.1 })",
                });
            }
            (":", Some((from, "{")))
                if before == TEXT && from.checked_sub(1).and_then(|at| words.get(at)) != Some(&"#") =>
            {
                return Some("maps begin with a hash sign: #{ a: 1 }");
            }
            ("**", Some((_, "("))) if matches!(before, "(" | ",") && is_name(behind) => {
                return Some("a map of options is passed as it is, as the last argument");
            }
            (",", Some((from, "("))) => {
                let outside = from.checked_sub(1).and_then(|at| words.get(at)).copied().unwrap_or_default();
                if matches!(outside, "=" | "return" | "," | "[" | "in") || from == 0 {
                    return Some("there are no tuples: write an array, [a, b]");
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether an `=` stands where something is compared.
fn lone_equals(words: &[&str]) -> bool {
    words
        .iter()
        .position(|word| *word == "=")
        .is_some_and(|at| words.iter().take(at).all(|word| *word != "{" && *word != "let"))
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Stands for a text.
const TEXT: &str = "\"";
/// Stands for what is in single quotes and no letter.
const QUOTED: &str = "'..'";

/// The words, numbers and signs of a line, without its texts and comments.
fn pieces(line: &str) -> Vec<String> {
    const DOUBLE: [&str; 12] = ["===", "!==", "++", "--", "=>", "==", "!=", "<=", ">=", "**", "->", "::"];
    const ASSIGN: [&str; 5] = ["+=", "-=", "*=", "/=", "%="];
    let letters: Vec<char> = line.chars().collect();
    let (mut found, mut at) = (vec![], 0);
    while let Some(letter) = letters.get(at).copied() {
        let rest: String = letters.iter().skip(at).take(3).collect();
        if letter.is_whitespace() {
            at += 1;
        } else if letter.is_alphanumeric() || letter == '_' {
            let word: String = letters.iter().skip(at).take_while(|c| c.is_alphanumeric() || **c == '_').collect();
            at += word.chars().count();
            found.push(word);
        } else if matches!(letter, '"' | '`' | '\'') {
            let inside = letters.iter().skip(at + 1).position(|c| *c == letter).unwrap_or(letters.len());
            let escaped = letters.get(at + 1) == Some(&'\\');
            let one = letter == '\'' && (inside == 1 || escaped);
            found.push(if letter == '\'' && !one { QUOTED.into() } else { TEXT.into() });
            at = at.saturating_add(inside).saturating_add(2);
        } else if rest.starts_with("//") && !found.last().is_some_and(|word: &String| is_name(word)) {
            break;
        } else if rest.starts_with("//") {
            // Behind a value it is a comment, or a division of elsewhere.
            let tail: String = letters.iter().skip(at + 2).collect();
            if !tail.trim_start().starts_with(|c: char| c.is_ascii_digit()) {
                break;
            }
            found.extend(["/".to_string(), "/".to_string()]);
            at += 2;
        } else {
            let longer = DOUBLE.iter().chain(&ASSIGN).find(|sign| rest.starts_with(**sign));
            let sign = longer.map_or_else(|| letter.to_string(), ToString::to_string);
            at += sign.chars().count();
            found.push(sign);
        }
    }
    while found.last().is_some_and(|word| word == ";") {
        found.pop();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhai::Engine;

    /// Constructs of elsewhere, each with a word of what is to be written instead.
    const FOREIGN: &[(&str, &str)] = &[
        ("def f(x):\n    return x", "fn name"),
        ("function f(x) { x }", "fn name"),
        ("class A:", "no classes"),
        ("from x import y", "import \"std/unlearn\""),
        ("if x {\n} elif y {\n}", "else if"),
        ("try:\n    f()", "catch"),
        ("raise \"no\"", "throw"),
        ("with open(\"x\") as f:", "no with"),
        ("var x = 1;", "let"),
        ("let f = lambda x: x + 1;", "|x|"),
        ("let f = x => x + 1;", "|x|"),
        ("let a = x and y;", "&&"),
        ("let a = x or y;", "||"),
        ("let a = not x;", "!a"),
        ("let a = x is y;", "=="),
        ("if x not in y { }", "!(x in"),
        ("print(f\"loss {x}\");", "${x}"),
        ("print('abc');", "double quotes"),
        ("let y = x[0:2];", "tensor[0..2]"),
        ("let y = x[:2];", "tensor[0..2]"),
        ("let y = [i * 2 for i in x];", "comprehensions"),
        ("let (a, b) = f();", "no unpacking"),
        ("let [a, b] = f();", "no unpacking"),
        ("let a, b = f();", "one variable"),
        ("a, b = f()", "no unpacking"),
        ("let t = (1, 2);", "no tuples"),
        ("return (1, 2);", "no tuples"),
        ("for i in 0..3:\n    f(i)", "braces"),
        ("if x > 1:\n    f(x)", "braces"),
        ("while x > 1:\n    f(x)", "braces"),
        ("train(net, data, lr=0.1);", "#{ lr"),
        ("let m = x.mean(dim=0);", "argument of its own"),
        ("let m = x.mean(axis=0);", "argument of its own"),
        ("f(x, **options);", "as it is"),
        ("# a comment", "//"),
        ("let x = 1; # a comment", "//"),
        ("if x = 1 { }", "=="),
        ("x++;", "+= 1"),
        ("let y = a ? b : c;", "if a { b }"),
        ("let y = b if a else c;", "if a { b }"),
        ("if x === 1 { }", "=="),
        ("let x: int = 3;", "no declared types"),
        ("fn f(x: int) { x }", "no declared types"),
        ("fn f(x) -> int { x }", "no declared types"),
        ("let m = {\"a\": 1};", "hash sign"),
        ("for (let i = 0; i < 3; i++) { }", "0..n"),
        ("print x", "print(a, b)"),
        ("assert x == 1", "assert("),
        ("global x", "closure"),
        ("@decorator\nfn f() { }", "decorators"),
        ("let t = \"\"\"one\ntwo\"\"\";", "back-ticks"),
        ("for (k, v) in #{ a: 1 } { }", "map.keys()"),
        ("del x", "deleted"),
    ];

    #[test]
    fn constructs_of_elsewhere_are_refused_and_answered() {
        let engine = Engine::new();
        for (text, answer) in FOREIGN {
            let problem = engine.compile(text).expect_err(text);
            let line = problem.1.line().unwrap_or_else(|| text.lines().count());
            let hint = syntax(text, line).unwrap_or_default();
            assert!(hint.contains(answer), "{text}\n{problem}\n{hint:?}");
        }
    }

    #[test]
    fn slips_that_are_no_habits_are_left_alone() {
        for text in
            ["let a = (1 + 2;", "f(a, b", "let x = [1, 2;", "foo(1) bar", "let = 3;", "if x { y ", "let m = #{ a: 1;"]
        {
            assert_eq!(syntax(text, 1), None, "{text}");
        }
    }
}
