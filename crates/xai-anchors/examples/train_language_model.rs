//! Trains the small masked language model of the tests: `cargo xtask train-language-model`.
//!
//! It reads a text of one sentence a line and writes a folder that
//! [`CandleLanguageModel::from_directory`](xai_anchors::language_model::CandleLanguageModel::from_directory) loads.
//! Everything random is drawn from one seed, so that the same text gives the same model on the same processor.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::disallowed_types,
    reason = "a program that people watch, with small numbers, around a library that wants a hash map"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use serde_json::{Value, json};
use tokenizers::Tokenizer;
use xai_core::{BoxError, Seed, Stream};

const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const HIDDEN: usize = 32;
const INNER: usize = 64;
const HEADS: usize = 2;
const LAYERS: usize = 2;
const POSITIONS: usize = 64;
const EPSILON: f64 = 1e-12;

/// Sentences in one step.
const BATCH: usize = 32;
const STEPS: usize = 700;
const LEARNING_RATE: f64 = 5e-3;
/// How often a token is hidden, that of Devlin et al. 2019.
const HIDDEN_SHARE: f64 = 0.15;

fn main() -> std::result::Result<(), BoxError> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(text), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: train_language_model TEXT FOLDER".into());
    };
    let text = std::fs::read_to_string(text)?;
    let tokenizer = tokenizer(&text)?;
    let n_tokens = tokenizer.get_vocab_size(true);
    let encode = |line| -> std::result::Result<Vec<u32>, BoxError> {
        Ok(tokenizer.encode(line, true)?.get_ids().to_vec())
    };
    let sentences = text.lines().map(encode).collect::<std::result::Result<Vec<_>, _>>()?;
    println!("{} sentences, {n_tokens} tokens", sentences.len());

    let seed = Seed::new(0);
    let model = Model::new(n_tokens, seed.child(0))?;
    let variables = model.variables.values().cloned().collect();
    let mut optimizer = AdamW::new(variables, ParamsAdamW::default())?;
    let mut stream = seed.child(1).stream();
    let mut running = None;
    for step in 0..STEPS {
        // Up for a tenth of the way, then down to nothing.
        let progress = step as f64 / STEPS as f64;
        optimizer.set_learning_rate(LEARNING_RATE * (10.0 * progress).min((1.0 - progress) / 0.9));
        let batch = Batch::draw(&sentences, n_tokens, &mut stream)?;
        let loss = model.loss(&batch)?;
        optimizer.backward_step(&loss)?;
        let loss = f64::from(loss.to_scalar::<f32>()?);
        let mean = running.map_or(loss, |mean: f64| 0.98 * mean + 0.02 * loss);
        running = Some(mean);
        if (step + 1) % 100 == 0 {
            println!("step {:4}: loss {mean:.3}", step + 1);
        }
    }

    std::fs::create_dir_all(&folder)?;
    tokenizer.save(folder.join("tokenizer.json"), false)?;
    let weights: HashMap<&str, Tensor> = model
        .variables
        .iter()
        .map(|(name, weight)| (&name[..], weight.as_tensor().clone()))
        .collect();
    candle_core::safetensors::save(&weights, folder.join("model.safetensors"))?;
    let config = json!({
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "vocab_size": n_tokens,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "hidden_act": "gelu",
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "layer_norm_eps": EPSILON,
        "pad_token_id": 0,
    });
    std::fs::write(folder.join("config.json"), format!("{config:#}\n"))?;
    Ok(())
}

/// A vocabulary of the text's words, and of letters for words it does not have.
fn tokenizer(text: &str) -> std::result::Result<Tokenizer, BoxError> {
    let lower = text.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty());
    let words: BTreeSet<String> = words.map(str::to_owned).collect();
    let signs = [",", ".", "!", "?", "'", "-"].map(str::to_owned);
    let letters: Vec<String> = ('a'..='z').map(String::from).collect();
    let tails = letters.iter().map(|letter| format!("##{letter}"));
    let endings = ["##s", "##ed", "##ing", "##er", "##ly", "##est"].map(str::to_owned);
    let tokens = SPECIAL.map(str::to_owned).into_iter().chain(signs);
    let tokens = tokens.chain(words).chain(letters.iter().cloned()).chain(tails).chain(endings);
    let mut vocabulary: BTreeMap<String, usize> = BTreeMap::new();
    for token in tokens {
        let id = vocabulary.len();
        vocabulary.entry(token).or_insert(id);
    }
    let added: Vec<Value> = SPECIAL
        .iter()
        .map(|token| {
            json!({
                "id": vocabulary[*token], "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true,
            })
        })
        .collect();
    // The file of a tokenizer, as the crate reads and writes it.
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true,
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "BertProcessing",
            "sep": ["[SEP]", vocabulary["[SEP]"]],
            "cls": ["[CLS]", vocabulary["[CLS]"]],
        },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary,
        },
    });
    Tokenizer::from_bytes(file.to_string())
}

/// Sentences with hidden tokens, padded to one length.
struct Batch {
    /// Shape `(BATCH, length)`.
    ids: Tensor,
    /// What is added to the scores of attention, shape `(BATCH, 1, 1, length)`: much below zero for padding.
    padding: Tensor,
    /// The hidden tokens, as places in the flattened batch, and what they were.
    places: Tensor,
    targets: Tensor,
}

impl Batch {
    fn draw(sentences: &[Vec<u32>], n_tokens: usize, stream: &mut Stream) -> Result<Self> {
        let chosen: Vec<&Vec<u32>> =
            (0..BATCH).map(|_| &sentences[stream.index(sentences.len())]).collect();
        let length = chosen.iter().map(|ids| ids.len()).max().unwrap();
        let (mut ids, mut padding) = (Vec::new(), Vec::new());
        let (mut places, mut targets) = (Vec::new(), Vec::new());
        for (row, sentence) in chosen.iter().enumerate() {
            // One token at least, so that every sentence teaches something.
            let certain = 1 + stream.index(sentence.len() - 2);
            for place in 0..length {
                let Some(&token) = sentence.get(place) else {
                    ids.push(0);
                    padding.push(-1e9_f32);
                    continue;
                };
                padding.push(0.0);
                let inside = 0 < place && place + 1 < sentence.len();
                if !inside || place != certain && HIDDEN_SHARE <= stream.uniform() {
                    ids.push(token);
                    continue;
                }
                places.push((row * length + place) as u32);
                targets.push(token);
                // Mostly the mask; now and then another token or the same, which need an opinion, too.
                ids.push(match stream.uniform() {
                    kind if kind < 0.8 => 4,
                    kind if kind < 0.9 => stream.index(n_tokens) as u32,
                    _ => token,
                });
            }
        }
        let device = &Device::Cpu;
        Ok(Batch {
            ids: Tensor::from_vec(ids, (BATCH, length), device)?,
            padding: Tensor::from_vec(padding, (BATCH, 1, 1, length), device)?,
            places: Tensor::new(places, device)?,
            targets: Tensor::new(targets, device)?,
        })
    }
}

/// BERT with its head for hidden words, its weights under the names that transformers gives them.
struct Model {
    variables: BTreeMap<String, Var>,
}

impl Model {
    fn new(n_tokens: usize, seed: Seed) -> Result<Self> {
        let mut stream = seed.stream();
        let mut variables = BTreeMap::new();
        let mut add = |name: &str, shape: &[usize]| -> Result<()> {
            let n: usize = shape.iter().product();
            let constant = |value: f32| vec![value; n];
            let values = if name.ends_with("LayerNorm.weight") {
                constant(1.0)
            } else if name.ends_with("bias") {
                constant(0.0)
            } else {
                (0..n).map(|_| (0.05 * normal(&mut stream)) as f32).collect()
            };
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
            variables.insert(name.to_owned(), Var::from_tensor(&tensor)?);
            Ok(())
        };
        let embeddings = "bert.embeddings";
        add(&format!("{embeddings}.word_embeddings.weight"), &[n_tokens, HIDDEN])?;
        add(&format!("{embeddings}.position_embeddings.weight"), &[POSITIONS, HIDDEN])?;
        add(&format!("{embeddings}.token_type_embeddings.weight"), &[2, HIDDEN])?;
        let mut affine = vec![(format!("{embeddings}.LayerNorm"), HIDDEN, None)];
        for layer in 0..LAYERS {
            let name = |part: &str| format!("bert.encoder.layer.{layer}.{part}");
            for part in ["self.query", "self.key", "self.value", "output.dense"] {
                affine.push((name(&format!("attention.{part}")), HIDDEN, Some(HIDDEN)));
            }
            affine.push((name("attention.output.LayerNorm"), HIDDEN, None));
            affine.push((name("intermediate.dense"), INNER, Some(HIDDEN)));
            affine.push((name("output.dense"), HIDDEN, Some(INNER)));
            affine.push((name("output.LayerNorm"), HIDDEN, None));
        }
        affine.push(("cls.predictions.transform.dense".to_owned(), HIDDEN, Some(HIDDEN)));
        affine.push(("cls.predictions.transform.LayerNorm".to_owned(), HIDDEN, None));
        for (name, to, from) in affine {
            match from {
                Some(from) => add(&format!("{name}.weight"), &[to, from])?,
                None => add(&format!("{name}.weight"), &[to])?,
            }
            add(&format!("{name}.bias"), &[to])?;
        }
        add("cls.predictions.bias", &[n_tokens])?;
        Ok(Model { variables })
    }

    fn weight(&self, name: &str) -> &Tensor {
        &self.variables[name]
    }

    fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let product = x.broadcast_matmul(&self.weight(&format!("{name}.weight")).t()?)?;
        product.broadcast_add(self.weight(&format!("{name}.bias")))
    }

    fn normalized(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let centered = x.broadcast_sub(&x.mean_keepdim(candle_core::D::Minus1)?)?;
        let variance = centered.sqr()?.mean_keepdim(candle_core::D::Minus1)?;
        let normalized = centered.broadcast_div(&(variance + EPSILON)?.sqrt()?)?;
        normalized
            .broadcast_mul(self.weight(&format!("{name}.weight")))?
            .broadcast_add(self.weight(&format!("{name}.bias")))
    }

    /// The mean negative log-likelihood of the hidden tokens.
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let (n_rows, length) = batch.ids.dims2()?;
        let of = |name: &str| self.weight(&format!("bert.embeddings.{name}_embeddings.weight"));
        let words = of("word").index_select(&batch.ids.flatten_all()?, 0)?;
        let positions = of("position")
            .narrow(0, 0, length)?
            .broadcast_add(&of("token_type").narrow(0, 0, 1)?)?;
        let x = words.reshape((n_rows, length, HIDDEN))?.broadcast_add(&positions)?;
        let mut x = self.normalized("bert.embeddings.LayerNorm", &x)?;
        for layer in 0..LAYERS {
            let name = |part: &str| format!("bert.encoder.layer.{layer}.{part}");
            let heads = |part: &str| {
                let x = self.linear(&name(part), &x)?;
                x.reshape((n_rows, length, HEADS, HIDDEN / HEADS))?.transpose(1, 2)?.contiguous()
            };
            let (query, key) = (heads("attention.self.query")?, heads("attention.self.key")?);
            let scores = (query.matmul(&key.t()?)? / ((HIDDEN / HEADS) as f64).sqrt())?;
            let scores = scores.broadcast_add(&batch.padding)?;
            let weights = candle_nn::ops::softmax(&scores, candle_core::D::Minus1)?;
            let attended = weights.matmul(&heads("attention.self.value")?)?;
            let attended = attended.transpose(1, 2)?.reshape((n_rows, length, HIDDEN))?;
            let attended = self.linear(&name("attention.output.dense"), &attended)?;
            x = self.normalized(&name("attention.output.LayerNorm"), &(attended + &x)?)?;
            let inner = self.linear(&name("intermediate.dense"), &x)?.gelu_erf()?;
            let outer = self.linear(&name("output.dense"), &inner)?;
            x = self.normalized(&name("output.LayerNorm"), &(outer + &x)?)?;
        }
        let x = x.reshape((n_rows * length, HIDDEN))?.index_select(&batch.places, 0)?;
        let x = self.linear("cls.predictions.transform.dense", &x)?.gelu_erf()?;
        let x = self.normalized("cls.predictions.transform.LayerNorm", &x)?;
        let logits =
            x.matmul(&of("word").t()?)?.broadcast_add(self.weight("cls.predictions.bias"))?;
        candle_nn::loss::cross_entropy(&logits.to_dtype(DType::F32)?, &batch.targets)
    }
}

/// A standard normal number (Box & Muller 1958).
fn normal(stream: &mut Stream) -> f64 {
    let (radius, angle) = (1.0 - stream.uniform(), stream.uniform());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}
