//! Texts that are longer than the language model has room for.

use xai_anchors::language_model::LanguageModelSampler;
use xai_anchors::{Filling, FillingParams};

use super::fake::{Fake, checked, fills, sampler};

/// The tail is the part from the first word on that the head has no room for, byte for byte.
#[track_caller]
fn check_split(text: &str, max_tokens: usize, n_words: usize, tail: Option<&str>) {
    for filling in [Filling::Parallel, Filling::Autoregressive] {
        let mut model = Fake::indifferent();
        model.max_tokens = Some(max_tokens);
        let params = FillingParams::default().with_filling(filling);
        let mut sampler = sampler(&model, params, text);
        assert_eq!(sampler.spans().len(), n_words);
        assert_eq!(sampler.tail().map(|from| &text[from..]), tail);
        for sample in sampler.sample(&[], 20, 0).unwrap().texts {
            assert!(sample.ends_with(tail.unwrap_or_default()), "{sample:?}");
            // Whole words were kept or filled, and all else stayed.
            assert_eq!(fills(&sampler, text, &sample).len(), n_words);
        }
        assert!(model.rows().iter().all(|row| row.len() <= max_tokens));
    }
}

#[test]
fn a_text_is_cut_between_words() {
    check_split("the film was good", 4, 4, None);
    check_split("the film was good", 3, 3, Some("good"));
    check_split("the film was UNREAL .  a\tbad  film", 5, 4, Some(".  a\tbad  film"));
    // Never within a word: "unreal" are two tokens.
    check_split("the film was UNREAL .  a\tbad  film", 4, 3, Some("UNREAL .  a\tbad  film"));
}

#[test]
fn a_long_text_is_cut_at_512_tokens() {
    // Tokens 511 and 512 are one word.
    let text = format!("{}unreal {}", "the film ,was a ".repeat(102) + "bad ", "Good.".repeat(9));
    let n_before = 102 * 5 + 1;
    let tail = format!("unreal {}", "Good.".repeat(9));
    check_split(&text, 512, 102 * 4 + 1, Some(&tail));
    check_split(&text, n_before + 2, 102 * 4 + 2, Some(&tail[7..]));
}

#[test]
fn a_first_word_without_room_is_refused() {
    let mut model = Fake::indifferent();
    model.max_tokens = Some(1);
    let params = checked(FillingParams::default());
    let error = LanguageModelSampler::new(&model, &params, "unreal film").err().unwrap();
    assert!(error.to_string().contains("begun by a word of at most 1 tokens"), "{error}");
    // It is enough for one word that is alone.
    assert_eq!(LanguageModelSampler::new(&model, &params, "film").unwrap().spans().len(), 1);
}
