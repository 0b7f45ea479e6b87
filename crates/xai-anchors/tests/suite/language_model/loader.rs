//! Models from folders: scores against transformers, what is refused, and that rows do not see each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde::Deserialize;
use serde_json::{Value, json};
use xai_anchors::FillingParams;
use xai_anchors::language_model::{CandleLanguageModel, LanguageModel, LanguageModelError};

use super::fake::{fills, sampler};

const ARCHITECTURES: [&str; 3] = ["bert", "distilbert", "roberta"];

fn folder(architecture: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/language_models").join(architecture)
}

fn load(architecture: &str) -> CandleLanguageModel {
    CandleLanguageModel::from_directory(folder(architecture)).unwrap()
}

/// What transformers says of a text.
#[derive(Deserialize)]
struct Reference {
    text: String,
    ids: Vec<u32>,
    offsets: Vec<(usize, usize)>,
    /// At every third token.
    logits: Vec<Vec<f64>>,
}

fn reference(architecture: &str) -> Vec<Reference> {
    let path = folder(architecture).join("logits.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn scores_are_those_of_transformers() {
    for architecture in ARCHITECTURES {
        let (model, reference) = (load(architecture), reference(architecture));
        let rows: Vec<&[u32]> = reference.iter().map(|own| &own.ids[..]).collect();
        let positions: Vec<Vec<usize>> =
            rows.iter().map(|row| (0..row.len()).step_by(3).collect()).collect();
        let positions: Vec<&[usize]> = positions.iter().map(|own| &own[..]).collect();
        for (own, row) in reference.iter().zip(&rows) {
            let tokens = model.tokenize(&own.text).unwrap();
            assert_eq!(tokens.iter().map(|token| token.id).collect::<Vec<_>>(), *row);
            let offsets = tokens.iter().map(|token| (token.bytes.start, token.bytes.end));
            // Transformers counts characters, which are bytes here.
            assert_eq!(offsets.collect::<Vec<_>>(), own.offsets);
        }
        let logits = model.logits_at(&rows, &positions).unwrap();
        let expected: Vec<&Vec<f64>> = reference.iter().flat_map(|own| &own.logits).collect();
        assert_eq!(logits.dim(), (expected.len(), model.n_vocabulary()));
        let largest =
            expected.iter().flat_map(|row| row.iter()).fold(1.0, |a: f64, b| a.max(b.abs()));
        // Five decimals are recorded; on the way are two layers of some twenty operations each, on sums of up to
        // twelve terms, so that a hundred roundings of single precision on each side is much.
        let tolerance = 5e-6 + 200.0 * f64::from(f32::EPSILON) * largest;
        for (row, expected) in logits.rows().into_iter().zip(expected) {
            for (&got, &expected) in row.iter().zip(expected) {
                let difference = (f64::from(got) - expected).abs();
                assert!(difference <= tolerance, "{architecture}: {got} is not {expected}");
            }
        }
    }
}

#[test]
fn tokens_are_known_for_what_they_are() {
    for (architecture, mask, head, tail, room) in [
        ("bert", "[MASK]", "the", "##e", 40 - 2),
        ("distilbert", "[MASK]", "the", "##e", 40 - 2),
        // Two positions are never used: RoBERTa counts from behind its padding token.
        ("roberta", "<mask>", "Ġthe", "e", 40 - 2 - 2),
    ] {
        let model = load(architecture);
        assert_eq!(model.token(model.mask_id()), Some(mask));
        assert_eq!(model.special_ids(), [0, 1, 2, 3, 4]);
        assert!(!model.is_subword_tail(head) && model.is_subword_tail(tail));
        assert_eq!(model.max_tokens(), Some(room));
        assert_eq!(model.token(u32::MAX), None);
        // As many tokens as there is room for, and no more.
        let full = vec![7; room + 1];
        assert!(
            model
                .logits_at(&[&full[1..]], &[&[0, room - 1]])
                .unwrap()
                .iter()
                .all(|x| x.is_finite())
        );
        let error = model.logits_at(&[&full], &[&[0]]).unwrap_err().to_string();
        assert!(error.contains("there is room for"), "{error}");
        let error = model.logits_at(&[&[7, 7]], &[&[2]]).unwrap_err().to_string();
        assert!(error.contains("beyond the 2 tokens"), "{error}");
        assert!(model.logits_at(&[&[7]], &[]).is_err());
        assert_eq!(model.logits_at(&[&[7]], &[&[]]).unwrap().dim(), (0, model.n_vocabulary()));
    }
}

/// The words of a text do not depend on how a vocabulary marks them.
#[test]
fn words_are_the_same_for_all_vocabularies() {
    let text = "Soup, (tasty) well-made...  THE end!";
    let expected = ["Soup", "tasty", "well", "made", "THE", "end"];
    for architecture in ARCHITECTURES {
        let model = load(architecture);
        let mut sampler = sampler(&model, FillingParams::default(), text);
        let own: Vec<&str> = sampler.spans().into_iter().map(|span| &text[span]).collect();
        assert_eq!(own, expected);
        let filled = sampler.sample(&[1, 2], 100, 0).unwrap();
        for (sample, kept) in filled.texts.iter().zip(filled.kept.rows()) {
            for ((fill, own), kept) in fills(&sampler, text, sample).iter().zip(expected).zip(kept)
            {
                let is_word = !fill.is_empty() && !fill.contains(char::is_whitespace);
                assert!(if *kept { *fill == own } else { is_word }, "{sample}");
            }
        }
        assert!(filled.kept.column(0).iter().any(|kept| !kept), "the first word is never hidden");
    }
}

#[test]
fn rows_do_not_see_each_other() {
    for architecture in ARCHITECTURES {
        let model = load(architecture);
        let rows: Vec<Vec<u32>> = (1..20)
            .map(|length| (0..length).map(|place| (7 * place + length) % 100).collect())
            .collect();
        let rows: Vec<&[u32]> = rows.iter().map(|row| &row[..]).collect();
        let positions = vec![&[0_usize][..]; rows.len()];
        let together = || model.logits_at(&rows, &positions).unwrap();
        let expected = together();
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(together), expected);
        }
        for (row, expected) in rows.iter().zip(expected.rows()) {
            let alone: Array2<f32> = model.logits_at(&[row], &positions[..1]).unwrap();
            assert_eq!(alone.row(0), expected);
        }
    }
}

/// A copy of a folder in which one file is another; `None` for none.
fn changed(case: &str, file: &str, contents: Option<&[u8]>) -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("language_models").join(case);
    std::fs::create_dir_all(&copy).unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let to = copy.join(name);
        match contents {
            Some(contents) if name == file => std::fs::write(to, contents).unwrap(),
            None if name == file => std::fs::remove_file(to).unwrap_or_default(),
            _ => std::fs::write(to, std::fs::read(folder("bert").join(name)).unwrap()).unwrap(),
        }
    }
    copy
}

/// The error of a changed folder; its message names the file.
#[track_caller]
fn refused(case: &str, file: &str, contents: Option<&[u8]>) -> LanguageModelError {
    let error = CandleLanguageModel::from_directory(changed(case, file, contents)).err();
    let error = error.unwrap_or_else(|| panic!("{case} was not refused"));
    assert!(error.to_string().contains(file), "{error}");
    error
}

#[test]
fn missing_and_broken_files_are_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let error = refused(&format!("without-{file}"), file, None);
        assert!(matches!(error, LanguageModelError::Io { .. }), "{error}");
        refused(&format!("broken-{file}"), file, Some(b"{}"));
    }
}

#[track_caller]
fn check_json(case: &str, file: &str, change: impl Fn(&mut Value), expected: &str) {
    let mut value: Value =
        serde_json::from_slice(&std::fs::read(folder("bert").join(file)).unwrap()).unwrap();
    change(&mut value);
    let error = refused(case, file, Some(value.to_string().as_bytes()));
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn configurations_are_checked() {
    let check = |case, name: &'static str, value: Value, expected| {
        check_json(case, "config.json", |config| config[name] = value.clone(), expected);
    };
    check("architecture", "model_type", json!("gpt2"), "unknown variant `gpt2`");
    check("activation", "hidden_act", json!("swish"), "unknown variant `swish`");
    check(
        "heads",
        "num_attention_heads",
        json!(3),
        "3 attention heads do not share a hidden size of 8",
    );
    check("no-heads", "num_attention_heads", json!(0), "0 attention heads");
    check("relative", "position_embedding_type", json!("relative_key"), "`relative_key` position");
    check("no-positions", "max_position_embeddings", json!(0), "leave no room");
    check("no-size", "hidden_size", Value::Null, "invalid type: null");
}

#[test]
fn tokenizers_must_be_of_the_model() {
    let rename = |tokenizer: &mut Value| {
        tokenizer["added_tokens"][4]["content"] = json!("[HOLE]");
        let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
        let id = vocabulary.remove("[MASK]").unwrap();
        vocabulary.insert("[HOLE]".to_owned(), id);
    };
    check_json("no-mask", "tokenizer.json", rename, "no token `[MASK]` or `<mask>`");
    let more = |tokenizer: &mut Value| tokenizer["model"]["vocab"]["extraordinary"] = json!(130);
    check_json("too-many", "tokenizer.json", more, "its ids go up to 130, the model's below 130");
}

#[test]
fn tensors_are_checked() {
    type Change = fn(&mut BTreeMap<String, candle_core::Tensor>);
    let check = |case: &str, change: Change| {
        let path = folder("bert").join("model.safetensors");
        let loaded = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
        let mut tensors: BTreeMap<_, _> = loaded.into_iter().collect();
        change(&mut tensors);
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{case}.safetensors"));
        candle_core::safetensors::save(&tensors.into_iter().collect(), &to).unwrap();
        let bytes = std::fs::read(to).unwrap();
        (changed(case, "model.safetensors", Some(&bytes)), bytes)
    };
    const HEAD: &str = "cls.predictions.transform.dense.weight";
    let (_, bytes) = check("no-head", |tensors| drop(tensors.remove(HEAD)));
    let error = refused("no-head", "model.safetensors", Some(&bytes));
    assert!(matches!(&error, LanguageModelError::Missing { name, .. } if name == HEAD), "{error}");

    let (_, bytes) = check("shape", |tensors| {
        let transposed = tensors["bert.encoder.layer.1.output.dense.weight"].t().unwrap();
        tensors.insert(
            "bert.encoder.layer.1.output.dense.weight".to_owned(),
            transposed.contiguous().unwrap(),
        );
    });
    let error = refused("shape", "model.safetensors", Some(&bytes));
    let is_expected = matches!(&error, LanguageModelError::Shape { name, expected, got, .. }
        if name.ends_with("output.dense.weight") && *expected == [8, 12] && *got == [12, 8]);
    assert!(is_expected, "{error}");

    // A decoder of its own and names that come from TensorFlow are all the same model.
    let (folder, _) = check("other-names", |tensors| {
        let words = tensors["bert.embeddings.word_embeddings.weight"].clone();
        tensors.insert("cls.predictions.decoder.weight".to_owned(), words);
        for (new, old) in [("weight", "gamma"), ("bias", "beta")] {
            let tensor = tensors.remove(&format!("bert.embeddings.LayerNorm.{new}")).unwrap();
            tensors.insert(format!("bert.embeddings.LayerNorm.{old}"), tensor);
        }
        let bias = tensors.remove("cls.predictions.bias").unwrap();
        tensors.insert("cls.predictions.decoder.bias".to_owned(), bias);
    });
    let scores = |model: &CandleLanguageModel| model.logits_at(&[&[9, 8, 4, 7]], &[&[2]]).unwrap();
    let other = CandleLanguageModel::from_directory(folder).unwrap();
    assert_eq!(scores(&other), scores(&load("bert")));
}
