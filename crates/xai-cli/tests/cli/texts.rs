//! `xai explain` with anchors of texts.

use xai::anchors::AnchorTextData;
use xai::core::Explanation;
use xai::core::Status;

use crate::folder::Folder;

const JOB: &str = r#"method = "anchor-text"
[model]
path = "model.onnx"
outputs = ["bad", "good"]
vectoriser = "vectoriser.json"
[data]
input = "reviews.txt"
"#;

fn reviews() -> Folder {
    let folder = Folder::new();
    folder.write("job.toml", JOB);
    folder.write("model.onnx", include_bytes!("../../../xai/tests/fixtures/reviews_count.onnx"));
    folder.write("vectoriser.json", include_str!("../../../xai/tests/fixtures/reviews_count.json"));
    folder.write("reviews.txt", include_str!("../../../xai/tests/fixtures/reviews.txt"));
    folder
}

#[track_caller]
fn explain(folder: &Folder) -> Vec<Explanation<AnchorTextData>> {
    let lines = folder.succeed(&["explain", "job.toml", "--output", "-"]);
    lines.lines().map(|line| Explanation::from_json(line).unwrap()).collect()
}

#[test]
fn each_line_is_explained() {
    let folder = reviews();
    let explanations = explain(&folder);
    let texts = folder.read("reviews.txt");
    assert_eq!(explanations.len(), 16);
    for (text, (place, explanation)) in texts.lines().zip(explanations.iter().enumerate()) {
        let data = &explanation.data;
        assert_eq!((explanation.meta.name.as_str(), data.instance.as_str()), ("anchor-text", text));
        // The model knows the reviews that it was trained on.
        assert_eq!(data.result.decision, f64::from(place < 8));
        for (word, [start, end]) in data.anchor.iter().zip(data.byte_spans()) {
            assert_eq!(&text[start..end], word);
        }
        assert!(data.corpus_coverage.is_none());
    }
    assert!(explanations.iter().any(|one| one.data.result.status == Status::Found));
}

/// The texts of a column are those of a file of lines, and the training texts are a corpus.
#[test]
fn a_column_is_a_file_of_texts() {
    let folder = reviews();
    let lines = explain(&folder);
    let rows: String = folder
        .read("reviews.txt")
        .lines()
        .enumerate()
        .map(|(row, text)| format!("{row},\"{}\"\n", text.replace('"', "\"\"")))
        .collect();
    folder.write("reviews.csv", format!("id,review\n{rows}"));
    let job = JOB.replace("reviews.txt", "reviews.csv");
    folder.write("job.toml", format!("{job}column = \"review\"\ntrain = \"reviews.csv\"\n"));
    for (mut own, expected) in explain(&folder).into_iter().zip(lines) {
        let coverage = own.data.corpus_coverage.take().unwrap();
        // The text itself is in the corpus.
        assert!(coverage.exact && coverage.n_rows == 16 && 1 <= coverage.n_covered);
        assert_eq!(own, expected);
    }
}

#[test]
fn similar_words_need_vectors() {
    let folder = reviews();
    let similarity = "[params]\nsampling_strategy = \"similarity\"\n";
    folder.write("job.toml", format!("{JOB}{similarity}"));
    let refused = folder.xai(&["explain", "job.toml"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("job.toml:9: ") && refused.stderr.contains("word vectors"),
        "{}",
        refused.stderr
    );
    folder.write(
        "vectors.txt",
        "good 1 0.4\nbad 1 -0.4\ndull 0.9 -0.5\ngreat 0.9 0.6\nfilm -0.2 1\nstory 0 1\n",
    );
    folder.write("job.toml", format!("{JOB}vectors = \"vectors.txt\"\n{similarity}"));
    let explanations = explain(&folder);
    assert_eq!(explanations.len(), 16);
    // The first text is `A good film with a great cast.`; of its words these have neighbours.
    for word in &explanations[0].data.anchor {
        assert!(["good", "film", "great"].contains(&word.as_str()), "{word}");
    }
    folder.write("vectors.txt", "good 1 0.4\nbad 1\n");
    let refused = folder.xai(&["explain", "job.toml"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("entry 2 of the word vectors"), "{}", refused.stderr);
}

#[test]
fn tables_show_the_text() {
    let folder = reviews();
    let table = folder.succeed(&["explain", "job.toml", "--rows", "10"]);
    let mut lines = table.lines();
    assert!(lines.next().unwrap().starts_with("Row 10: Anchor for bad: "), "{table}");
    assert!(table.contains("[Dull](1)") || table.contains("[dull](1)"), "{table}");
    assert!(table.contains("on fresh samples"), "{table}");
}

#[test]
fn wrong_jobs_are_refused_with_their_place() {
    let folder = reviews();
    let refused = |job: &str, part: &str| {
        folder.write("job.toml", job);
        let ran = folder.xai(&["explain", "job.toml"]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    };
    refused(&JOB.replace("vectoriser = \"vectoriser.json\"\n", ""), "give `vectoriser`");
    refused(&JOB.replace("vectoriser.json", "nowhere.json"), "nowhere.json");
    refused(&JOB.replace("input = \"reviews.txt\"\n", ""), "nothing to explain");
    refused(&format!("{JOB}target = \"a\"\n"), "job.toml:8: `target` is for methods of rows");
    refused(&format!("{JOB}column = \"a\"\n"), "there is no column `a`");
    refused(&format!("{JOB}[params]\ntop-n = 3\n"), "unknown field `top-n`");
    refused(&format!("{JOB}[params]\ntemperature = 0\n"), "job.toml:9: parameter `temperature`");
    refused(
        &JOB.replace("anchor-text", "kernel-shap"),
        "job.toml:5: `vectoriser` is for methods of texts",
    );
    folder.write("vectoriser.json", r#"{"kind": "count", "vocabulary": {"good": 0}}"#);
    refused(JOB, "the vectoriser");
    folder.write("vectoriser.json", r#"{"kind": "count", "vocabulary": {"good": 3}}"#);
    refused(JOB, "`vocabulary` must number its words");
    folder.write("reviews.txt", "");
    folder.write("vectoriser.json", include_str!("../../../xai/tests/fixtures/reviews_count.json"));
    refused(JOB, "there are no texts");
}

/// A line without words costs no other its explanation.
#[test]
fn an_empty_line_is_an_error_of_its_own() {
    let folder = reviews();
    folder.write("reviews.txt", "a good film\n\na bad one\n");
    let ran = folder.xai(&["explain", "job.toml", "--output", "-"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(1), 3));
    assert!(ran.stderr.contains("row 1: the text is empty"), "{}", ran.stderr);
}
