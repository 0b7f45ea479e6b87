//! `xai explain`: where the answers go, and what becomes of them when something fails.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use serde_json::Value;

use crate::folder::{Folder, IRIS_INPUT, IRIS_JOB, Ran, lines};

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let folder = Folder::new();
    folder.succeed(&["demo", "--output", "."]);
    // Sampled values, so that there is something to get wrong.
    let job = folder.read("cancer.toml").replace("\"auto\"\n", "128\n");
    folder.write("cancer.toml", job);
    let run = |threads: &str| {
        let name = format!("{threads}.jsonl");
        let arguments = ["explain", "cancer.toml", "--output", &name, "--threads", threads];
        folder.succeed(&arguments);
        folder.read(&name)
    };
    let one = run("1");
    assert!(lines(&one).iter().all(|explanation| !explanation.data.exact));
    assert_eq!(run("2"), one);
    assert_eq!(run("8"), one);
}

#[test]
fn the_array_holds_the_lines() {
    let folder = Folder::iris();
    assert_eq!(folder.succeed(&["explain", "job.toml", "--output", "a.json"]), "");
    assert_eq!(folder.succeed(&["explain", "job.toml", "--output", "b.jsonl"]), "");
    let stdout = folder.succeed(&["explain", "job.toml", "--output", "-"]);
    assert_eq!(folder.read("b.jsonl"), stdout);
    let array: Vec<Value> = serde_json::from_str(&folder.read("a.json")).unwrap();
    let lines: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(array, lines);
}

#[test]
fn tables_show_names_values_and_the_mean() {
    let folder = Folder::iris();
    let names = "outputs = [\"setosa\", \"versicolor\", \"virginica\"]\n[data]\n";
    folder.write("job.toml", IRIS_JOB.replace("[data]\n", names));
    let stdout = folder.succeed(&["explain", "job.toml", "--rows", "1..3"]);
    for said in [
        "Row 1: KernelSHAP\n",
        "Row 2: KernelSHAP\n",
        "\nsetosa (predicted)\n",
        "sepal length (cm)",
        "-1.181205",
        "│██████████",
        "Mean importances\n",
        "Mean |SHAP value| of 2 rows\n",
        "feature             setosa   versicolor   virginica",
    ] {
        assert!(stdout.contains(said), "{said:?} is not in\n{stdout}");
    }
    assert!(!stdout.contains("output "), "{stdout}");
    // The names are in the explanations, and nothing else of them changes.
    let named = folder.succeed(&["explain", "job.toml", "--output", "-"]);
    assert!(named.contains(r#""output_names":["setosa","versicolor","virginica"]"#), "{named}");
    folder.write("job.toml", IRIS_JOB);
    let numbered = folder.succeed(&["explain", "job.toml", "--output", "-"]);
    let names = r#""output_names":["setosa","versicolor","virginica"]"#;
    assert_eq!(named.replace(names, r#""output_names":["0","1","2"]"#), numbered);
    // One row has no mean.
    let stdout = folder.succeed(&["explain", "job.toml", "--rows", "1"]);
    assert!(stdout.contains("output 0 (predicted)") && !stdout.contains("Mean"), "{stdout}");
}

/// The iris rows, with one in which the network's own arithmetic overflows.
fn with_a_bad_row(row: usize) -> String {
    let mut lines: Vec<&str> = IRIS_INPUT.lines().collect();
    lines[row + 1] = "1e300,-1e300,1e300,1e300,0";
    lines.join("\n") + "\n"
}

#[test]
fn a_row_that_fails_costs_no_other_row() {
    let folder = Folder::iris();
    let good = folder.succeed(&["explain", "job.toml", "--output", "-"]);
    folder.write("input.csv", with_a_bad_row(7));
    let error = "the model's output must be finite, got NaN at [0, 0]";
    let check = |Ran { code, stderr, .. }: &Ran| {
        let expected =
            format!("error: row 7: {error}\nerror: 1 of 40 rows could not be explained\n");
        assert_eq!((code, stderr), (&Some(1), &expected));
    };

    let ran = folder.xai(&["explain", "job.toml", "--output", "-"]);
    check(&ran);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[7], format!(r#"{{"schema":"xai-error/1","row":7,"error":"{error}"}}"#));
    for (row, (line, good)) in lines.iter().zip(good.lines()).enumerate() {
        if row != 7 && *line != good {
            // It shared the call that failed and was asked again alone: both are counted, and nothing else differs.
            let [mut line, mut good] =
                [*line, good].map(|line| serde_json::from_str(line).unwrap());
            let [asked, once] = [&mut line, &mut good].map(|line: &mut Value| {
                line["meta"].as_object_mut().unwrap().remove("queries").unwrap().as_u64().unwrap()
            });
            assert_eq!((line, asked), (good, 2 * once), "row {row}");
        }
    }
    assert_eq!(lines.len(), 40);

    check(&folder.xai(&["explain", "job.toml", "--output", "a.json"]));
    let array: Vec<Value> = serde_json::from_str(&folder.read("a.json")).unwrap();
    assert_eq!((array.len(), &array[7]["row"]), (40, &Value::from(7)));

    // Rows keep their numbers when only some are asked for; tables leave the row out.
    let ran = folder.xai(&["explain", "job.toml", "--rows", "6..9"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.starts_with(&format!("error: row 7: {error}\n")), "{ran:?}");
    assert!(ran.stdout.contains("Row 6") && !ran.stdout.contains("Row 7"), "{ran:?}");
    assert!(ran.stdout.contains("of 2 rows"), "{ran:?}");
}

#[test]
fn a_killed_run_keeps_the_lines_it_had_written() {
    let folder = Folder::new();
    folder.succeed(&["demo", "--output", "."]);
    let arguments = ["explain", "cancer.toml", "--output", "rows.jsonl", "--threads", "1"];
    let mut child = folder.command(&arguments).spawn().unwrap();
    let written = || std::fs::read_to_string(folder.path("rows.jsonl")).unwrap_or_default();
    while !written().contains('\n') && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The kill may cut the line that is being written; those before it are whole.
    let text = written();
    let kept = lines(&text[..text.rfind('\n').map_or(0, |end| end + 1)]);
    assert!(!kept.is_empty());
    let array = folder.read("explanations.json");
    let first: Vec<Value> = serde_json::from_str(&array).unwrap();
    for (row, (kept, mut first)) in kept.iter().zip(first).enumerate() {
        assert_eq!(first.as_object_mut().unwrap().remove("row"), Some(Value::from(row)));
        assert_eq!(serde_json::to_value(kept).unwrap(), first);
    }
}

#[test]
fn an_old_array_stays_whole_until_the_new_one_is() {
    let folder = Folder::iris();
    folder.write("a.json", "old");
    folder.write("bad.csv", "nothing");
    let ran = folder.xai(&["explain", "job.toml", "--output", "a.json", "--input", "bad.csv"]);
    assert_eq!((ran.code, folder.read("a.json").as_str()), (Some(2), "old"));
    folder.succeed(&["explain", "job.toml", "--output", "a.json", "--rows", "0"]);
    assert!(folder.read("a.json").starts_with("[\n{"));
    // Nothing is left of the file it was written to first.
    let names = std::fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().starts_with('.')).count(), 0);
}

#[cfg(unix)]
#[test]
fn the_array_has_the_permissions_of_any_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::iris();
    folder.write("other", "");
    folder.succeed(&["explain", "job.toml", "--output", "a.json", "--rows", "0"]);
    let mode = |name: &str| std::fs::metadata(folder.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("a.json"), mode("other"));
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let folder = Folder::iris();
    // More than fits the pipe, so that the command is still writing when the reader leaves.
    let rows: String = IRIS_INPUT.lines().skip(1).map(|line| format!("{line}\n")).collect();
    folder.write("input.csv", format!("{IRIS_INPUT}{}", rows.repeat(20)));
    for arguments in [&["explain", "job.toml", "--output", "-"][..], &["explain", "job.toml"]] {
        let mut child = folder.command(arguments).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        drop(stdout);
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
        assert!(!line.is_empty());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failed_run() {
    let folder = Folder::iris();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output =
        folder.command(&["explain", "job.toml", "--output", "-"]).stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.starts_with("error: the explanations cannot be written: "), "{stderr}");
}

#[test]
fn progress_is_for_terminals() {
    let folder = Folder::iris();
    // The standard error of these runs is a pipe; `succeed` requires that nothing was written to it.
    for progress in ["auto", "never"] {
        folder.succeed(&["explain", "job.toml", "--output", "-", "--progress", progress]);
    }
}

#[test]
fn documents_have_the_layout_of_alibi_on_request() {
    let folder = Folder::iris();
    let written = folder
        .succeed(&["explain", "job.toml", "--rows", "..2", "--format", "alibi", "--output", "-"]);
    let native = folder.succeed(&["explain", "job.toml", "--rows", "..2", "--output", "-"]);
    assert_eq!(written.lines().count(), 2);
    for (alibi, native) in written.lines().zip(native.lines()) {
        let (alibi, native): (Value, Value) =
            (serde_json::from_str(alibi).unwrap(), serde_json::from_str(native).unwrap());
        assert_eq!(alibi["meta"]["name"], "KernelShap");
        assert_eq!(alibi["meta"]["type"], serde_json::json!(["blackbox"]));
        // alibi has an axis of instances behind that of the outputs.
        for (output, values) in native["data"]["shap_values"].as_array().unwrap().iter().enumerate()
        {
            assert_eq!(alibi["data"]["shap_values"][output][0], *values);
        }
    }
    let refused = folder.xai(&["explain", "job.toml", "--format", "alibi"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--format: tables have no layout"), "{}", refused.stderr);
}
