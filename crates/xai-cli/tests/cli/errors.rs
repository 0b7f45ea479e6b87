//! Every way to be wrong: what is said, and with which exit code.

use crate::folder::{Folder, IRIS_JOB, Ran, table_of};

const HEADER: &str = "a,b,c,d,target";

/// A small table that is right.
fn right() -> String {
    table_of(HEADER, &["0.5,1,2,3,x", "1.5,0,1,2,y", "0,2,0,1,x"])
}

/// RunConfig a job in a folder where `file` has been replaced; a last `...` stands for any rest.
#[track_caller]
fn check_run(file: &str, content: &str, arguments: &[&str], code: i32, expected: &str) {
    let folder = Folder::iris();
    folder.write("train.csv", right());
    folder.write("input.csv", right());
    folder.write(file, content);
    let arguments = [&["explain", "job.toml", "--output", "-"], arguments].concat();
    let Ran { code: got, stdout, stderr } = folder.xai(&arguments);
    match expected.strip_suffix("...") {
        Some(start) => assert!(stderr.starts_with(start), "{stderr}\ndoes not start with\n{start}"),
        None => assert_eq!(stderr, format!("{expected}\n")),
    }
    assert_eq!((got, stdout.as_str()), (Some(code), ""), "{file}: {content}");
}

/// Refuses a job that is the right one with `from` replaced by `to`.
#[track_caller]
fn check_job(from: &str, to: &str, expected: &str) {
    assert!(IRIS_JOB.contains(from), "{from}");
    check_run("job.toml", &IRIS_JOB.replacen(from, to, 1), &[], 2, expected);
}

/// Refuses a job that is the right one and more.
#[track_caller]
fn check_more(more: &str, expected: &str) {
    check_run("job.toml", &format!("{IRIS_JOB}{more}"), &[], 2, expected);
}

#[test]
fn the_tables_of_these_tests_are_right() {
    let folder = Folder::iris();
    folder.write("train.csv", right());
    folder.write("input.csv", right());
    assert_eq!(folder.succeed(&["explain", "job.toml", "--output", "-"]).lines().count(), 3);
}

#[test]
fn jobs() {
    check_job(
        "method = \"kernel-shap\"",
        "method = \"lime\"",
        "error: job.toml:1: there is no method `lime`, the methods are `anchor-image`, `anchor-tabular`, `anchor-text`, `cem`, ...",
    );
    check_job("method = \"kernel-shap\"\n", "", "error: job.toml:1: missing field `method`");
    check_job(
        "[model]",
        "sead = 1\n[model]",
        "error: job.toml:2: unknown field `sead`, expected one of `method`, `seed`, `budget`, `model`, `data`, `params`",
    );
    check_job(
        "[model]",
        "seed = \"zero\"\n[model]",
        "error: job.toml:2: invalid type: string \"zero\", expected u64",
    );
    check_job("[model]", "[model", "error: job.toml:2: unclosed table, expected `]`");
    check_job("path = \"iris_mlp.onnx\"\n", "", "error: job.toml:2: missing field `path`");
    check_job(
        "train = \"train.csv\"\n",
        "",
        "error: job.toml: there are no training rows: give `train` in [data]",
    );
    check_job(
        "input = \"input.csv\"\n",
        "",
        "error: job.toml: there is nothing to explain: give `input` in [data] or --input FILE",
    );
    check_more(
        "weights = 1\n",
        "error: job.toml:8: unknown field `weights`, expected one of `train`, `input`, `images`, `background_images`, \
         `column`, `vectors`, `target`, `categories`, `background_rows`, `edges`",
    );
    check_more(
        "background_rows = 0\n",
        "error: job.toml:8: `background_rows` must be from 1 to the 3 rows of `train.csv`, got 0",
    );
    check_more(
        "background_rows = 4\n",
        "error: job.toml:8: `background_rows` must be from 1 to the 3 rows of `train.csv`, got 4",
    );
    let folder = Folder::new();
    let Ran { code, stderr, .. } = folder.xai(&["explain", "none.toml"]);
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("error: cannot read the job file `none.toml`: "), "{stderr}");
}

#[cfg(not(feature = "gradients"))]
#[test]
fn a_method_that_was_left_out_names_its_feature() {
    check_job(
        "kernel-shap",
        "integrated-gradients",
        "error: job.toml:1: `integrated-gradients` is not in this build of the command: build it with `--features gradients`",
    );
}

#[test]
fn params() {
    check_more(
        "[params]\nlink = \"logit\"\nnsample = 1\n",
        "error: job.toml:10: unknown field `nsample`, expected one of `nsamples`, `estimator`, `link`, ...",
    );
    check_more(
        "[params]\nlink = \"probit\"\n",
        "error: job.toml:9: unknown variant `probit`, expected `identity` or `logit`",
    );
    check_more(
        "[params]\nnsamples = \"many\"\n",
        "error: job.toml:9: nsamples must be a whole number or \"auto\"",
    );
    // Of the right type and out of range.
    check_more(
        "[params]\nnsamples = 0\n",
        "error: job.toml:9: parameter `nsamples` must be in 1..=2^31 or \"auto\", got 0",
    );
    // Fits no table of this width.
    check_more(
        "[params]\ngroups = [[0, 1, 2, 3, 4]]\n",
        "error: job.toml:9: parameter `groups` must be ...",
    );
}

#[test]
fn tables() {
    let check = |content: &str, expected: &str| {
        // Both tables are read alike.
        check_run("train.csv", content, &[], 2, &format!("error: train.csv{expected}"));
        check_run("input.csv", content, &[], 2, &format!("error: input.csv{expected}"));
    };
    let table = |rows: &[&str]| table_of(HEADER, rows);
    check("", ": the file is empty");
    check(&table(&[]), ": there are no rows below the header");
    check("a,b,c,,target\n", ":1: column 4 of the header has no name");
    check("a,b,c,b,target\n", ":1: two columns are named `b`");
    let good = "0.5,1,2,3,x";
    check(&table(&[good, "0.5,1,abc,3,x"]), ":3: column `c`: expected a number, got `abc`");
    check(&table(&[good, "0.5,1,,3,x"]), ":3: column `c`: the cell is empty");
    check(&table(&[good, "0.5,1, ,3,x"]), ":3: column `c`: the cell is empty");
    check(&table(&["0.5,inf,2,3,x"]), ":2: column `b`: expected a finite number, got `inf`");
    check(&table(&["0.5,NaN,2,3,x"]), ":2: column `b`: expected a finite number, got `NaN`");
    check(
        &table(&[good, good, "0.5,1,2"]),
        ":4: column `d` has no cell: the row has 3 cells, the header 5",
    );
    check(
        &table(&["0.5,1,2,3,x,4"]),
        ":2: there are cells after column `target`: the row has 6 cells, the header 5",
    );
    // Lines are counted as an editor counts them: blank ones too, and with the line breaks of any system.
    check(&table(&[good, "", "", "0.5,1,abc,3,x"]), ":5: column `c`: expected a number, got `abc`");
    check(
        &table(&[good, "", "0.5,1,abc,3,x"]).replace('\n', "\r\n"),
        ":4: column `c`: expected a number, got `abc`",
    );
}

#[test]
fn tables_that_are_no_text() {
    let folder = Folder::iris();
    folder.write("input.csv", b"a,b\n1,\xff\n");
    let Ran { code, stderr, .. } = folder.xai(&["explain", "job.toml"]);
    assert_eq!((code, stderr.as_str()), (Some(2), "error: input.csv:2: the text is not UTF-8\n"));
    let Ran { code, stderr, .. } = folder.xai(&["explain", "job.toml", "--input", "none.csv"]);
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("error: cannot read the table `none.csv`: "), "{stderr}");
}

#[test]
fn columns() {
    check_job(
        "target = \"target\"",
        "target = \"label\"",
        "error: train.csv:1: there is no target column `label`, the columns are `a`, `b`, `c`, `d`, `target`",
    );
    check_run(
        "input.csv",
        &table_of("a,x,c,y", &["1,2,3,4"]),
        &[],
        2,
        "error: input.csv:1: the columns must be those of `train.csv`: missing `b`, `d`; unknown `x`, `y`",
    );
    check_run(
        "input.csv",
        &table_of("a,c,d", &["1,2,3"]),
        &[],
        2,
        "error: input.csv:1: the columns must be those of `train.csv`: missing `b`",
    );
    check_run(
        "train.csv",
        &table_of("target", &["x"]),
        &[],
        2,
        "error: train.csv:1: there is no column besides the target",
    );
}

#[test]
fn categories() {
    let check = |categories: &str, expected: &str| {
        let folder = Folder::iris();
        folder.write("job.toml", format!("{IRIS_JOB}categories = \"categories.json\"\n"));
        folder.write("train.csv", right());
        folder.write("input.csv", table_of(HEADER, &["0,1,2,3,x", "0,1.5,2,3,x"]));
        folder.write("categories.json", categories);
        let Ran { code, stderr, .. } = folder.xai(&["explain", "job.toml"]);
        assert_eq!((code, stderr), (Some(2), format!("error: {expected}\n")));
    };
    check(
        r#"{"b": ["no", "yes"]}"#,
        "train.csv:4: column `b`: expected an integer code from 0 to 1, got `2`",
    );
    check(
        r#"{"b": ["no", "yes", "perhaps"]}"#,
        "input.csv:3: column `b`: expected an integer code from 0 to 2, got `1.5`",
    );
    check(
        r#"{"target": ["x", "y"]}"#,
        "categories.json: `target` is neither a feature nor an index below 4",
    );
    check(r#"{"4": ["x", "y"]}"#, "categories.json: `4` is neither a feature nor an index below 4");
    check(r#"{"b": []}"#, "categories.json: `b` has no category");
    check(r#"{"b": ["no", "no"]}"#, "categories.json: `b` has the category `no` twice");
    check(
        r#"{"b": ["no"], "1": ["no"]}"#,
        "categories.json: feature `b` is there twice, by name and by index",
    );
    check(
        "[]",
        "categories.json: expected an object from feature names or indices to lists of category names",
    );
    check("{", "categories.json: EOF while parsing an object at line 1 column 1");
}

#[test]
fn models() {
    check_run(
        "train.csv",
        &table_of("a,b,c,d,e,target", &["0,1,2,3,4,x"]),
        &["--input", "train.csv"],
        2,
        "error: the model `iris_mlp.onnx` takes 4 features, the table `train.csv` has 5",
    );
    check_run(
        "iris_mlp.onnx",
        "not a model",
        &[],
        2,
        "error: the model `iris_mlp.onnx` cannot be used: not an ONNX model: ...",
    );
    check_job(
        "iris_mlp.onnx",
        "none.onnx",
        "error: the model `none.onnx` cannot be used: cannot read `none.onnx`: ...",
    );
    check_job(
        "[data]",
        "output = \"logits\"\n[data]",
        "error: the model `iris_mlp.onnx` cannot be used: the model has no output `logits`, ...",
    );
    check_job(
        "[data]",
        "outputs = [\"yes\", \"no\"]\n[data]",
        "error: job.toml:4: `outputs` must name the model's 3 outputs, got 2 names",
    );
}

#[test]
fn selections() {
    let check = |rows: &str, expected: &str| {
        check_run("notes.txt", "", &["--rows", rows], 2, expected);
    };
    let beyond = |range: &str| {
        format!("error: --rows: rows {range} are not there: the input has 3 rows, counted from 0")
    };
    check("1..4", &beyond("1..4"));
    check("3", &beyond("3..4"));
    check("3..", &beyond("3..3"));
    let usage = |rows: &str, problem: &str| {
        format!("error: invalid value '{rows}' for '--rows <A..B>': {problem}\n...")
    };
    check("2..2", &usage("2..2", "the range holds no row: its end is not included"));
    check("x", &usage("x", "expected `A..B`, `A..`, `..B` or a row number"));
    check("-1", "error: ...");
}

#[test]
fn outputs() {
    let folder = Folder::iris();
    let check = |output: &str, code: i32, expected: &str| {
        let Ran { code: got, stderr, .. } =
            folder.xai(&["explain", "job.toml", "--rows", "0", "--output", output]);
        assert_eq!(got, Some(code), "{stderr}");
        assert!(stderr.starts_with(expected), "{stderr}");
    };
    check(
        "rows.csv",
        2,
        "error: invalid value 'rows.csv' for '--output <FILE>': expected a file that ends in",
    );
    check("none/rows.json", 1, "error: cannot write `none/rows.json`: ");
    check("none/rows.jsonl", 1, "error: cannot write `none/rows.jsonl`: ");
}
