//! The numbers of alibi's documents that JSON does not have.

/// The bare tokens, the longest first where one is the end of another.
const TOKENS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// The text with the bare tokens NaN, Infinity and -Infinity as strings, which is how native documents have them.
///
/// Tokens inside strings stay as they are; so does all that is no token, for the parser to refuse.
pub(super) fn quote_non_finite(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = if next == '"' {
            string_length(rest)
        } else if let Some(token) = TOKENS.iter().find(|token| is_token(rest, token)) {
            quoted.push('"');
            quoted.push_str(token);
            quoted.push('"');
            rest = &rest[token.len()..];
            continue;
        } else {
            word_length(rest)
        };
        quoted.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    quoted
}

/// Whether the text begins with this token and the token ends there.
fn is_token(text: &str, token: &str) -> bool {
    let after = text.strip_prefix(token);
    after.is_some_and(|after| !after.chars().next().is_some_and(is_in_word))
}

fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.')
}

/// The bytes of the word that the text begins with, or of its first character where that is in no word.
fn word_length(text: &str) -> usize {
    let word = text.find(|c| !is_in_word(c)).unwrap_or(text.len());
    word.max(text.chars().next().map_or(0, char::len_utf8))
}

/// The bytes of the string literal that the text begins with, its quotes included; all of a literal without an end.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (place, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}
