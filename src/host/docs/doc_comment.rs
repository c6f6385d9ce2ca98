//! Reads a doc comment: summary, text, signature, options, errors, example.

use serde::Serialize;

/// What a doc comment says.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct Doc {
    /// The first paragraph, in one line.
    pub summary: String,
    /// What follows it, paragraphs kept.
    pub text: String,
    /// The lines of `# Signature`.
    pub signature: Vec<String>,
    /// The items of `# Options`.
    pub options: Vec<OptionDoc>,
    /// The text of `# Errors`.
    pub errors: String,
    /// The code of `# Example`.
    pub example: String,
}

/// One option of a function.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct OptionDoc {
    /// The key.
    pub name: String,
    /// Type and default as written: `float, 1.0`.
    pub detail: String,
    /// What it does.
    pub text: String,
}

/// The text of comments without their markers.
fn lines(comments: &[String]) -> Vec<String> {
    let stripped = |line: &str| {
        let line = line.trim_start();
        let line = ["///", "//!", "/**", "**/", "*/"].iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line);
        line.strip_prefix(' ').unwrap_or(line).trim_end().to_string()
    };
    comments.iter().flat_map(|comment| comment.lines()).map(stripped).collect()
}

/// Reads the doc comments of one item.
pub fn parse(comments: &[String]) -> Doc {
    let mut doc = Doc::default();
    let mut section = String::new();
    let mut body: Vec<String> = vec![];
    let mut fenced = false;
    for line in lines(comments) {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        match line.strip_prefix("# ").filter(|_| !fenced) {
            Some(heading) => {
                doc.take(&section, &body);
                section = heading.trim().to_lowercase();
                body.clear();
            }
            None => body.push(line),
        }
    }
    doc.take(&section, &body);
    doc
}

impl Doc {
    /// Stores the body of a section.
    fn take(&mut self, section: &str, body: &[String]) {
        match section {
            "" => self.take_text(body),
            "signature" => self.signature = body.iter().filter(|line| is_content(line)).cloned().collect(),
            "options" => self.options = options(body),
            "errors" => self.errors = join(body.iter().map(String::as_str)),
            "example" | "examples" => self.example = code(body),
            other => {
                let text = format!("{}: {}", capital(other), paragraphs(body));
                self.text = [self.text.as_str(), &text]
                    .iter()
                    .filter(|t| !t.is_empty())
                    .copied()
                    .collect::<Vec<_>>()
                    .join("\n\n");
            }
        }
    }

    fn take_text(&mut self, body: &[String]) {
        let body = body.iter().skip_while(|line| line.is_empty()).cloned().collect::<Vec<_>>();
        let end = body.iter().position(String::is_empty).unwrap_or(body.len());
        let (first, rest) = body.split_at(end);
        self.summary = join(first.iter().map(String::as_str));
        self.text = paragraphs(rest);
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

fn is_content(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with("```")
}

fn join<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Paragraphs joined to one line each; lists and code keep their lines.
fn paragraphs(body: &[String]) -> String {
    let mut blocks: Vec<String> = vec![];
    let mut fenced = false;
    let mut open = false;
    for line in body {
        let fence = line.starts_with("```");
        let own_line = fenced || fence || line.starts_with(['-', '*', '|', ' ']);
        if line.is_empty() && !fenced {
            open = false;
        } else if let Some(block) = blocks.last_mut().filter(|_| open) {
            block.push(if own_line { '\n' } else { ' ' });
            block.push_str(line);
        } else {
            blocks.push(line.clone());
            open = true;
        }
        fenced ^= fence;
    }
    blocks.join("\n\n")
}

/// The code between the fences, or all of it when there are none.
fn code(body: &[String]) -> String {
    let mut fenced = false;
    let has_fence = body.iter().any(|line| line.starts_with("```"));
    let mut kept: Vec<&str> = vec![];
    for line in body {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced || !has_fence {
            kept.push(line);
        }
    }
    kept.join("\n").trim_matches('\n').to_string()
}

/// Items of the form ``- `name` (type, default): text``, continued on further lines.
fn options(body: &[String]) -> Vec<OptionDoc> {
    let mut found: Vec<OptionDoc> = vec![];
    for line in body.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
        match line.strip_prefix("- ").and_then(option) {
            Some(option) => found.push(option),
            None => {
                if let Some(last) = found.last_mut() {
                    last.text.push_str(if last.text.is_empty() { "" } else { " " });
                    last.text.push_str(line);
                }
            }
        }
    }
    found
}

fn option(item: &str) -> Option<OptionDoc> {
    let (name, mut rest) = item.strip_prefix('`')?.split_once('`')?;
    let mut name = name.to_string();
    // Several options may share one line: `a`, `b`: text.
    while let Some((next, after)) = rest.strip_prefix(", `").and_then(|more| more.split_once('`')) {
        name = format!("{name}, {next}");
        rest = after;
    }
    let rest = rest.trim_start();
    let (detail, text) = match rest.strip_prefix('(') {
        Some(inner) => {
            let mut depth = 1;
            let end = inner.char_indices().find(|(_, letter)| {
                depth += i32::from(*letter == '(') - i32::from(*letter == ')');
                depth == 0
            });
            let end = end.map_or(inner.len(), |(at, _)| at);
            (inner.get(..end)?, inner.get(end + 1..).unwrap_or_default())
        }
        None => ("", rest),
    };
    let text = text.trim_start_matches([':', ' ']).trim();
    Some(OptionDoc { name, detail: detail.into(), text: text.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_of_the_house_is_read() {
        let comment = "/// Squared maximum mean\n/// discrepancy.\n///\n/// More text,\n/// continued.\n///\n/// # Signature\n\
                       /// mmd(x: Tensor[n]) -> Tensor[]\n///\n/// # Options\n/// - `sigma` (float, 1.0): width of the kernel,\n\
                       ///   as in the paper\n/// - `pool` (\"avg\" | \"max\" (default)): how\n///\n/// # Errors\n/// Never.\n///\n\
                       /// # Example\n/// ```rhai\n/// # not a heading\n/// assert(1 == 1);\n/// ```";
        let doc = parse(&[comment.into()]);
        assert_eq!(doc.summary, "Squared maximum mean discrepancy.");
        assert_eq!(doc.text, "More text, continued.");
        assert_eq!(doc.signature, ["mmd(x: Tensor[n]) -> Tensor[]"]);
        assert_eq!(doc.options.len(), 2);
        assert_eq!(doc.options[0].detail, "float, 1.0");
        assert_eq!(doc.options[0].text, "width of the kernel, as in the paper");
        assert_eq!(doc.options[1].detail, "\"avg\" | \"max\" (default)");
        assert_eq!(doc.errors, "Never.");
        assert_eq!(doc.example, "# not a heading\nassert(1 == 1);");
    }

    #[test]
    fn options_may_share_a_line() {
        let doc = parse(&["/// One.\n///\n/// # Options\n/// - `a`, `b` (int, 1): as above".into()]);
        assert_eq!((doc.options[0].name.as_str(), doc.options[0].text.as_str()), ("a, b", "as above"));
    }

    #[test]
    fn lists_keep_their_lines() {
        let doc = parse(&["/// One.\n///\n/// Two\n/// - a\n/// - b\n///\n/// Three".into()]);
        assert_eq!(doc.text, "Two\n- a\n- b\n\nThree");
    }
}
