//! `xai demo`.

use xai::core::Explanation;
use xai::shap::KernelShapData;

use crate::folder::{Folder, Ran};

#[test]
fn the_demo_explains_its_rows_and_leaves_its_files() {
    let folder = Folder::new();
    let stdout = folder.succeed(&["demo"]);
    for said in [
        "Wisconsin",
        "malignant (predicted)",
        "\n and 20 more\n",
        "Mean |SHAP value| of 5 rows",
        "The first biopsy as a rule\n",
        "on fresh samples",
        "Written to `xai-demo`:\n",
        "  explanations.json  the explanations of the first 5",
        "xai explain xai-demo/cancer.toml --rows 5\n",
        "xai explain xai-demo/cancer_anchor.toml --rows 5\n",
    ] {
        assert!(stdout.contains(said), "{said:?} is not in\n{stdout}");
    }
    assert!(stdout.lines().all(|line| line.chars().count() <= 100), "{stdout}");

    let text = folder.read("xai-demo/explanations.json");
    let explanations: Vec<Explanation<KernelShapData>> = serde_json::from_str(&text).unwrap();
    assert_eq!(explanations.len(), 5);
    for explanation in &explanations {
        let data = &explanation.data;
        assert_eq!(data.shap_values.dim(), (2, 30));
        let sums = &data.expected_value + &data.shap_values.sum_axis(xai::ndarray::Axis(1));
        for (sum, prediction) in sums.iter().zip(&data.raw_prediction) {
            assert!((sum - prediction).abs() < 1e-9, "{sum} is not {prediction}");
        }
    }

    // The command it ends with works, in any folder of the user's choice, and gives the same bytes.
    let rows =
        folder.succeed(&["explain", "xai-demo/cancer.toml", "--rows", "..5", "--output", "-"]);
    assert_eq!(crate::folder::lines(&rows), explanations);
}

#[test]
fn the_demo_overwrites_its_own_files_and_no_others() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("here")).unwrap();
    folder.write("here/cancer.toml", "old");
    folder.write("here/notes.txt", "mine");
    folder.succeed(&["demo", "--output", "here"]);
    assert!(folder.read("here/cancer.toml").starts_with("# Why"));
    assert_eq!(folder.read("here/notes.txt"), "mine");
    assert_eq!(std::fs::read_dir(folder.path("here")).unwrap().count(), 7);
}

#[test]
fn the_demo_says_where_it_cannot_write() {
    let folder = Folder::new();
    folder.write("taken", "a file");
    let Ran { code, stdout, stderr } = folder.xai(&["demo", "--output", "taken"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("error: cannot make the folder `taken`: "), "{stderr}");
}
