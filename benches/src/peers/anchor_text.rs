//! Anchors of texts under comparison: the task, our answers, and what answers are worth.

use anyhow::{Context, Result, ensure};
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};
use xai_anchors::{AnchorTextData, AnchorTextParams, RuleTokenizer, TextAnalyzer, TextResources};
use xai_core::{Explainer, Predictor, Rows, RunConfig, Seed};

use super::{
    Bound, Case, Contender, Goal, Judgement, Measure, Method, PeerMethod, Ratio, RunJudgement,
    RunReport, Sources, TaskAbout,
};
use crate::bag_of_words::BagOfWords;
use crate::models::Model;

/// Fresh texts that the judge draws for each instance.
const FRESH: usize = 10_000;

/// What a side must know to search for anchors of texts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnchorTextSettings {
    /// The texts; an instance is the number of one.
    pub texts: Vec<String>,
    /// The precision that an anchor must have, in `(0, 1]`.
    pub threshold: f64,
    /// What to do with the instances.
    pub runs: Vec<AnchorTextRunSettings>,
}

/// One call of a method for all instances.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnchorTextRunSettings {
    /// The seed.
    pub seed: u64,
}

/// The answer for one instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answer {
    /// Where the words of the anchor begin, in characters.
    starts: Vec<usize>,
    /// The precision that the side claims.
    precision: f64,
    /// The coverage that the side claims.
    coverage: f64,
    /// Whether the side claims to have found an anchor.
    success: bool,
}

/// Sentences of 20 tokens.
const SENTENCES: [&str; 10] = [
    "The plot is thin and slow but both leads are so charming that the film feels warm and good.",
    "A clumsy and boring thriller that wastes a great cast on a stupid story with a weak silly ending.",
    "This is a funny and moving portrait of a family that never feels cheap and stays honest and clear.",
    "The camera work is beautiful and the music is lovely yet nothing can save such a dull empty script.",
    "I expected little from this sequel and still left the cinema disappointed by its lazy and tired old jokes.",
    "Smart writing and a brilliant final act make this small drama one of the best surprises of the year.",
    "The action scenes look fine but the characters are flat and the dialogue is awful from the first line.",
    "An original idea is handled with care and the young actors give strong and touching performances in every scene.",
    "It tries hard to be clever and dark but ends as a boring mess that nobody will ever remember.",
    "Slow at first but then gripping and tense this modest thriller turns out to be an enjoyable night out.",
];

/// Sentences about films and a logistic model over counts of words.
#[allow(clippy::unnecessary_wraps, reason = "generators may fail")]
pub(super) fn tasks(_: &Sources) -> Result<Vec<Case>> {
    let task = TaskAbout {
        name: "anchor-text".to_owned(),
        title: "Anchors of texts".to_owned(),
        about: [
            "10 sentences of 20 tokens, a logistic model over the counts of 40 words, threshold 0.95, the sampler `unknown`, both sides at their defaults otherwise; alibi has a blank English pipeline of spaCy and the model as scikit-learn's `CountVectorizer` and a product.",
            "The precision on fresh samples is judged on 10,000 new texts for each anchor, in which each other token is `UNK` with probability 0.5; `found` is the share of sentences for which the side claims to have met the threshold.",
        ]
        .map(str::to_owned)
        .to_vec(),
        measure: Measure::Speed,
        processor_time: false,
        memory_goal: None,
    };
    let goal = |ratio, bound| Goal { ratio, bound };
    let goals = vec![
        goal(Ratio::Speed, Bound::AtLeast(30.0)),
        goal(Ratio::Quality(PRECISION.to_owned()), Bound::AtLeast(1.0)),
    ];
    let instances = SENTENCES.len();
    let alibi = Contender { peer: "alibi".into(), method: "default".into(), instances, goals };
    Ok(vec![Case {
        task,
        case: "films".to_owned(),
        contenders: vec![alibi],
        model_share_goal: None,
        explainer: Method::AnchorText(AnchorTextSettings {
            texts: SENTENCES.map(str::to_owned).to_vec(),
            threshold: 0.95,
            runs: vec![AnchorTextRunSettings { seed: 0 }],
        }),
        model: Model::BagOfWords(BagOfWords::of_films()),
        data: Array2::zeros((0, 1)),
        instances: (0..instances)
            .map(|text| text as f64)
            .collect::<ndarray::Array1<f64>>()
            .insert_axis(Axis(1)),
    }])
}

impl PeerMethod for AnchorTextSettings {
    fn explain(&self, case: &Case, instances: &Rows) -> Result<Vec<RunReport>> {
        explain(self, case, instances)
    }

    fn judge(&self, case: &Case, runs: &[RunReport], _: &[RunReport]) -> Result<Judgement> {
        judge(self, case, runs)
    }
}

/// Our answers.
///
/// # Errors
/// Those of the explainer.
fn explain(settings: &AnchorTextSettings, case: &Case, instances: &Rows) -> Result<Vec<RunReport>> {
    let texts = &settings.texts[..instances.nrows()];
    let params = AnchorTextParams::default().with_threshold(settings.threshold);
    let explainer = params.build(TextResources::default())?;
    let run = |run: &AnchorTextRunSettings| {
        let runs = RunConfig::seeded(run.seed);
        let model = case.model.bag_of_words()?;
        explainer.explain(model, &texts[0], runs.run(0))?;
        let explain = |model: &dyn Predictor<[String]>| explainer.explain_many(model, texts, &runs);
        RunReport::timed(model, explain, |explanation| answer(&explanation.data))
    };
    settings.runs.iter().map(run).collect()
}

fn answer(data: &AnchorTextData) -> Answer {
    Answer {
        starts: data.spans().iter().map(|span| span[0]).collect(),
        precision: data.result.precision,
        coverage: data.result.coverage,
        success: data.result.valid,
    }
}

const PRECISION: &str = "precision on fresh samples";
const WORDS: &str = "words";
const FOUND: &str = "found";

/// Precision on fresh samples, words of the anchor, and how often an anchor was found.
///
/// # Errors
/// When an answer has another form, an anchor holds what is no token, or the model fails.
fn judge(settings: &AnchorTextSettings, case: &Case, runs: &[RunReport]) -> Result<Judgement> {
    let model = case.model.bag_of_words()?;
    let judge = |run: &RunReport| {
        let (mut precision, mut words, mut found) = (0.0, 0.0, 0.0);
        for (index, answer) in run.answers.iter().enumerate() {
            let answer: Answer = serde_json::from_value(answer.clone()).context("an answer")?;
            let text = &settings.texts[index];
            let mut stream = Seed::new(0).child(index as u64).stream();
            let tokens = RuleTokenizer.analyze(text);
            for start in &answer.starts {
                let is_token = tokens.iter().any(|token| token.chars[0] == *start);
                ensure!(is_token, "no token of text {index} begins at {start}");
            }
            let perturbed = |_| {
                let (mut fresh, mut end) = (String::new(), 0);
                for token in &tokens {
                    fresh.push_str(&text[end..token.bytes[0]]);
                    end = token.bytes[1];
                    let in_anchor = answer.starts.contains(&token.chars[0]);
                    // Drawn for every token, so that a longer anchor meets the same perturbations of the others.
                    let kept = 0.5 <= stream.uniform() || in_anchor;
                    fresh.push_str(if kept {
                        &text[token.bytes[0]..token.bytes[1]]
                    } else {
                        "UNK"
                    });
                }
                fresh + &text[end..]
            };
            let mut fresh: Vec<String> = (0..FRESH).map(perturbed).collect();
            fresh.push(text.clone());
            #[allow(clippy::disallowed_methods, reason = "the judge asks without a budget")]
            let outputs = model.predict(&fresh).map_err(anyhow::Error::from_boxed)?;
            let class = |row: usize| outputs[[row, 0]] < outputs[[row, 1]];
            let agree = (0..FRESH).filter(|&row| class(row) == class(FRESH)).count();
            precision += agree as f64 / FRESH as f64;
            words += answer.starts.len() as f64;
            found += f64::from(u8::from(answer.success));
        }
        let mean = |name: &str, total: f64| (name.to_owned(), total / run.answers.len() as f64);
        let qualities = vec![mean(PRECISION, precision), mean(WORDS, words), mean(FOUND, found)];
        Ok(RunJudgement { per_player: None, qualities })
    };
    Ok(Judgement { runs: runs.iter().map(judge).collect::<Result<_>>()?, of_truth: 0.0 })
}
