//! Tells the code, the comments and the literals of a Rust source apart.

/// What a stretch of source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// What the compiler reads, apart from literals.
    Code,
    /// A comment, of documentation or not.
    Comment,
    /// A string or character literal.
    Literal,
}

/// The source with spaces for everything but the wanted parts; lines keep their numbers.
pub(super) fn only(source: &str, wanted: &[Part]) -> String {
    let mut kept = String::with_capacity(source.len());
    let mut rest = source;
    while !rest.is_empty() {
        let (part, length) = first_part(rest);
        let (stretch, after) = rest.split_at(length);
        if wanted.contains(&part) {
            kept.push_str(stretch);
        } else {
            kept.extend(stretch.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = after;
    }
    kept
}

/// The part at the start of a source that is not empty, and its length in bytes, at least 1.
fn first_part(source: &str) -> (Part, usize) {
    if source.starts_with("//") {
        return (Part::Comment, source.find('\n').unwrap_or(source.len()));
    }
    if source.starts_with("/*") {
        return (Part::Comment, block_comment(source));
    }
    if let Some(body) = source.strip_prefix('"') {
        return (Part::Literal, 1 + quoted(body, '"'));
    }
    if let Some(body) = source.strip_prefix('\'') {
        // A quote that opens no character literal starts a lifetime or a label.
        let second = body.chars().nth(1);
        let is_literal = body.starts_with('\\') || second == Some('\'');
        return if is_literal { (Part::Literal, 1 + quoted(body, '\'')) } else { (Part::Code, 1) };
    }
    // Whole words, so that the `r` that opens a raw string is not the end of a name.
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word = source.find(|c| !is_word(c)).unwrap_or(source.len());
    if let ("r" | "br" | "cr", after) = source.split_at(word)
        && let hashes = after.len() - after.trim_start_matches('#').len()
        && let Some(body) = after[hashes..].strip_prefix('"')
    {
        let end = format!("\"{}", "#".repeat(hashes));
        let body_length = body.find(&end).map_or(body.len(), |at| at + end.len());
        return (Part::Literal, word + hashes + 1 + body_length);
    }
    (Part::Code, word.max(source.chars().next().map_or(1, char::len_utf8)))
}

/// The length of a block comment; they nest.
fn block_comment(source: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while let Some(step) = source[at..].find(['/', '*']) {
        at += step;
        let (change, length) = match &source[at..] {
            rest if rest.starts_with("/*") => (1, 2),
            rest if rest.starts_with("*/") => (-1, 2),
            _ => (0, 1),
        };
        depth += change;
        at += length;
        if depth == 0 {
            return at;
        }
    }
    source.len()
}

/// The length of a literal's body with its closing quote.
fn quoted(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::{Part, only};

    #[track_caller]
    fn check(source: &str, wanted: Part, expected: &str) {
        let kept = only(source, &[wanted]);
        let words: Vec<&str> = kept.split_whitespace().collect();
        assert_eq!(words.join(" "), expected, "{wanted:?} of {source}");
        assert_eq!(kept.lines().count(), source.lines().count());
    }

    #[test]
    fn parts_are_told_apart() {
        check("a // b\nc", Part::Code, "a c");
        check("a // b\nc", Part::Comment, "// b");
        check("a /* b /* c */ \n d */ e", Part::Code, "a e");
        check(r#"f("x // y", z)"#, Part::Code, "f( , z)");
        check(r#"f("x \" // y", z)"#, Part::Literal, r#""x \" // y""#);
        check("f(r#\"x\" // y\"#, z)", Part::Code, "f( , z)");
        check("f(br\"\\\", z)", Part::Code, "f( , z)");
        check("r#type + over\"text\"", Part::Code, "r#type + over");
        check("match c { '\"' => 1, '\\'' => 2, 'é' => 3 } // x", Part::Comment, "// x");
        check("fn f<'a>(x: &'a str) {} // it's", Part::Code, "fn f<'a>(x: &'a str) {}");
        check("\"never closed", Part::Code, "");
    }
}
