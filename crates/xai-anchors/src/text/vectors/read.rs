//! Word vectors from files.

use std::io::{self, BufRead, Read};

use ndarray::Array2;

use super::WordVectors;

/// Why word vectors cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorsError {
    /// The reader failed.
    #[error("word vectors cannot be read")]
    Io(#[from] io::Error),

    /// The file is not of the format.
    #[error("entry {entry} of the word vectors must be {rule}")]
    Format {
        /// Which entry, counted from 1; 0 is the head of the file.
        entry: usize,
        /// What is allowed.
        rule: String,
    },
}

/// The most numbers of one vector that are believed.
const MOST_DIMENSIONS: usize = 1 << 16;

impl WordVectors {
    /// Reads the text format of word2vec, which is also that of fastText's `.vec`: a line with the numbers of words and
    /// of dimensions, then a line for each word.
    ///
    /// Files are sorted by how often words occur: `limit` reads only the first words. Letters that are not UTF-8 are
    /// replaced by U+FFFD; of words that occur twice the first counts.
    ///
    /// # Errors
    /// [`VectorsError`] when the reader fails, or at the first entry that is not of the format.
    pub fn read_word2vec(
        mut reader: impl BufRead,
        limit: Option<usize>,
    ) -> Result<Self, VectorsError> {
        let (n_words, n_dimensions) = head(&mut reader)?;
        let read = lines(reader, Some(n_dimensions), limit.unwrap_or(usize::MAX).min(n_words))?;
        let found = read.words.len();
        if limit.is_none() && found < n_words {
            let rule = format!("there: the head announces {n_words} words");
            return Err(VectorsError::Format { entry: found + 1, rule });
        }
        read.finish()
    }

    /// Reads the format of GloVe: a line for each word, the word and then its numbers.
    ///
    /// As [`read_word2vec`](Self::read_word2vec) without the head; the number of dimensions is that of the first line.
    ///
    /// # Errors
    /// As [`read_word2vec`](Self::read_word2vec).
    pub fn read_glove(reader: impl BufRead, limit: Option<usize>) -> Result<Self, VectorsError> {
        lines(reader, None, limit.unwrap_or(usize::MAX))?.finish()
    }

    /// Reads the binary format of word2vec: the head in text, then for each word its letters, a space, and its numbers
    /// as little-endian single precision.
    ///
    /// `limit` and strange letters as in [`read_word2vec`](Self::read_word2vec).
    ///
    /// # Errors
    /// As [`read_word2vec`](Self::read_word2vec).
    pub fn read_word2vec_binary(
        mut reader: impl BufRead,
        limit: Option<usize>,
    ) -> Result<Self, VectorsError> {
        let (n_words, n_dimensions) = head(&mut reader)?;
        let mut read = Entries { n_dimensions, words: Vec::new(), numbers: Vec::new() };
        let mut bytes = vec![0; 4 * n_dimensions];
        for entry in 1..=limit.unwrap_or(usize::MAX).min(n_words) {
            let refuse = |rule: &str| VectorsError::Format { entry, rule: rule.to_owned() };
            let mut word = Vec::new();
            // Nobody's words are longer than a page.
            (&mut reader).take(4096).read_until(b' ', &mut word)?;
            if word.pop() != Some(b' ') {
                return Err(refuse("a word, a space and its numbers"));
            }
            reader.read_exact(&mut bytes)?;
            let letters = word.strip_prefix(b"\n").unwrap_or(&word);
            let numbers = bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value));
            read.push(&String::from_utf8_lossy(letters), numbers).map_err(refuse)?;
        }
        read.finish()
    }
}

/// The numbers of words and of dimensions in the first line.
fn head(reader: &mut impl BufRead) -> Result<(usize, usize), VectorsError> {
    let mut line = Vec::new();
    reader.take(4096).read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    let numbers: Vec<Option<usize>> =
        line.split_whitespace().map(|number| number.parse().ok()).collect();
    match numbers[..] {
        [Some(n_words), Some(n_dimensions)] if (1..=MOST_DIMENSIONS).contains(&n_dimensions) => {
            Ok((n_words, n_dimensions))
        }
        _ => {
            let rule = format!("the numbers of words and of 1 to {MOST_DIMENSIONS} dimensions");
            Err(VectorsError::Format { entry: 0, rule })
        }
    }
}

/// Words and numbers as they are read.
struct Entries {
    n_dimensions: usize,
    words: Vec<String>,
    numbers: Vec<f32>,
}

impl Entries {
    fn push(&mut self, word: &str, numbers: impl Iterator<Item = f32>) -> Result<(), &'static str> {
        let before = self.numbers.len();
        self.numbers.extend(numbers);
        if self.numbers[before..].iter().any(|number| !number.is_finite()) {
            return Err("of finite numbers");
        }
        self.words.push(word.to_owned());
        Ok(())
    }

    fn finish(self) -> Result<WordVectors, VectorsError> {
        if self.words.is_empty() || u32::try_from(self.words.len()).is_err() {
            let rule = "there: between 1 and 2^32 words are needed".to_owned();
            return Err(VectorsError::Format { entry: 1, rule });
        }
        let shape = (self.words.len(), self.n_dimensions);
        let vectors =
            Array2::from_shape_vec(shape, self.numbers).expect("one vector for each word");
        Ok(WordVectors::of(self.words, vectors))
    }
}

/// Up to `limit` lines of a word and its numbers; the first line has their counts, when no limit is given.
fn lines(
    mut reader: impl BufRead,
    n_dimensions: Option<usize>,
    limit: usize,
) -> Result<Entries, VectorsError> {
    let n = n_dimensions.unwrap_or(0);
    let mut read = Entries { n_dimensions: n, words: Vec::new(), numbers: Vec::new() };
    let mut line = Vec::new();
    while read.words.len() < limit {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r', ' ']);
        if text.is_empty() {
            continue;
        }
        let entry = read.words.len() + 1;
        if entry == 1 && n_dimensions.is_none() {
            read.n_dimensions = text.split(' ').count() - 1;
        }
        let n = read.n_dimensions;
        let refuse = |rule: String| VectorsError::Format { entry, rule };
        if !(1..=MOST_DIMENSIONS).contains(&n) {
            return Err(refuse(format!("a word and 1 to {MOST_DIMENSIONS} numbers")));
        }
        // From the end: some words of GloVe contain spaces.
        let mut fields: Vec<&str> = text.rsplitn(n + 1, ' ').collect();
        let word = fields.pop().unwrap_or_default();
        let numbers: Option<Vec<f32>> =
            fields.iter().rev().map(|value| value.parse().ok()).collect();
        let numbers = numbers.filter(|value| value.len() == n);
        let numbers = numbers.ok_or_else(|| refuse(format!("a word and {n} numbers")))?;
        read.push(word, numbers.into_iter()).map_err(|rule| refuse(rule.to_owned()))?;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::{VectorsError, WordVectors};

    const GLOVE: &str = "good 1 0.5 -2\nnew york 0 1 2e-1\nb\u{e9}b\u{e9} 3 4 5\n";

    fn binary() -> Vec<u8> {
        let mut file = b"3 3\n".to_vec();
        let words = [("good", [1.0, 0.5, -2.0_f32]), ("new york", [0.0, 1.0, 0.2])];
        for (word, numbers) in words.map(|(word, value)| (word.replace(' ', "_"), value)) {
            file.extend(word.bytes().chain([b' ']));
            file.extend(numbers.iter().flat_map(|value| value.to_le_bytes()));
            file.push(b'\n');
        }
        // Some writers leave out the line feed.
        file.extend("b\u{e9}b\u{e9} ".bytes());
        file.extend([3.0, 4.0, 5.0_f32].iter().flat_map(|value| value.to_le_bytes()));
        file
    }

    #[test]
    fn all_formats_give_the_same() {
        let glove = WordVectors::read_glove(GLOVE.as_bytes(), None).unwrap();
        assert_eq!(glove.words(), ["good", "new york", "b\u{e9}b\u{e9}"]);
        assert_eq!(glove.n_dimensions(), 3);
        let text = format!("3 3\n{GLOVE}").replace('\n', " \r\n");
        assert_eq!(WordVectors::read_word2vec(text.as_bytes(), None).unwrap(), glove);
        let binary = WordVectors::read_word2vec_binary(&binary()[..], None).unwrap();
        assert_eq!(binary.vectors, glove.vectors);
        assert_eq!(binary.words(), ["good", "new_york", "b\u{e9}b\u{e9}"]);
    }

    #[test]
    fn a_limit_reads_the_first_words() {
        for limit in [1, 2] {
            let of = |read: WordVectors| read.words().len();
            let limited = Some(limit);
            assert_eq!(of(WordVectors::read_glove(GLOVE.as_bytes(), limited).unwrap()), limit);
            assert_eq!(
                of(WordVectors::read_word2vec_binary(&binary()[..], limited).unwrap()),
                limit
            );
        }
    }

    #[test]
    fn what_is_not_of_the_format_is_refused_with_its_place() {
        let place = |read: Result<WordVectors, VectorsError>| match read {
            Err(VectorsError::Format { entry, .. }) => Some(entry),
            Err(VectorsError::Io(_)) => None,
            Ok(read) => panic!("{:?}", read.words()),
        };
        let text = |file: &str| place(WordVectors::read_word2vec(file.as_bytes(), None));
        assert_eq!(text(""), Some(0));
        assert_eq!(text("good 1 2\n"), Some(0));
        assert_eq!(text("1 0\n"), Some(0));
        assert_eq!(text("0 3\n"), Some(1));
        assert_eq!(text("2 2\na 1 2\n"), Some(2));
        assert_eq!(text("2 2\na 1 2\nb 1 x\n"), Some(2));
        assert_eq!(text("2 2\na 1 2\nb 1 nan\n"), Some(2));
        let glove = |file: &str| place(WordVectors::read_glove(file.as_bytes(), None));
        assert_eq!(glove(""), Some(1));
        assert_eq!(glove("word\n"), Some(1));
        assert_eq!(glove("a 1 2\nb 1\n"), Some(2));
        let cut = &binary()[..20];
        assert_eq!(place(WordVectors::read_word2vec_binary(cut, None)), None);
        assert_eq!(place(WordVectors::read_word2vec_binary(&b"1 3\nword"[..], None)), Some(1));
    }
}
