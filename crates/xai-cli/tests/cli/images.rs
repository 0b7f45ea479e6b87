//! `xai explain` with anchors of images.

use serde_json::Value;
use xai::anchors::image::{AnchorImageData, Dtype, decode};
use xai::core::Explanation;
use xai::core::Status;

use crate::folder::{Folder, Ran};

const JOB: &str = r#"method = "anchor-image"
[model]
path = "digits.onnx"
outputs = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
[data]
images = ["digits"]
[params]
n_covered_ex = 0
"#;

const FILES: [(&str, &[u8]); 6] = [
    ("0_is_9.png", include_bytes!("../fixtures/digits/0_is_9.png")),
    ("1_is_8.png", include_bytes!("../fixtures/digits/1_is_8.png")),
    ("2_is_2.png", include_bytes!("../fixtures/digits/2_is_2.png")),
    ("3_is_3.png", include_bytes!("../fixtures/digits/3_is_3.png")),
    ("4_is_0.png", include_bytes!("../fixtures/digits/4_is_0.png")),
    ("5_is_0.png", include_bytes!("../fixtures/digits/5_is_0.png")),
];

/// A folder with the job, the network and six scans.
fn digits() -> Folder {
    let folder = Folder::new();
    folder.write("job.toml", JOB);
    folder.write("digits.onnx", include_bytes!("../fixtures/digits.onnx"));
    std::fs::create_dir(folder.path("digits")).unwrap();
    for (name, bytes) in FILES {
        folder.write(&format!("digits/{name}"), bytes);
    }
    folder.write("digits/notes.txt", "not an image");
    folder
}

/// The explanations, each with the file that its line names.
#[track_caller]
fn explain(folder: &Folder, more: &[&str]) -> Vec<(String, Explanation<AnchorImageData>)> {
    let lines = folder.succeed(&[&["explain", "job.toml", "--output", "-"], more].concat());
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        (value["file"].as_str().unwrap().to_owned(), Explanation::from_json(line).unwrap())
    };
    lines.lines().map(line).collect()
}

#[test]
fn the_images_of_a_folder_are_explained_in_the_order_of_their_names() {
    let folder = digits();
    // The pixels that the network was trained on.
    folder.write("job.toml", JOB.replacen("[data]", "pixels = [-0.5, 0.5]\n[data]", 1));
    let explanations = explain(&folder, &[]);
    assert_eq!(explanations.len(), FILES.len());
    for ((file, explanation), (name, bytes)) in explanations.iter().zip(FILES) {
        assert_eq!(file, &format!("digits/{name}"));
        let data = &explanation.data;
        assert_eq!(data.instance, decode(bytes, 1, Dtype::Float).unwrap());
        // The network knows the digits that the names have, all but one: TensorFlow says so, too.
        let digit = if name == "1_is_8.png" { 1 } else { name.as_bytes()[5] - b'0' };
        assert_eq!(data.result.decision, f64::from(digit), "{name}");
        if data.result.status == Status::Found {
            assert!(
                data.result.valid && 0.9 <= data.result.precision,
                "{name}: {}",
                data.result.precision
            );
        }
    }
    assert!(explanations.iter().any(|(_, one)| one.data.result.status == Status::Found));
    let some = explain(&folder, &["--rows", "2..4"]);
    assert_eq!(some, explanations[2..4]);
    let one = explain(&folder, &["--input", "digits/4_is_0.png"]);
    assert_eq!(one, explanations[4..5]);
    let array = ["explain", "job.toml", "--output", "a.json", "--threads", "1"];
    folder.succeed(&array);
    let array: Vec<Explanation<AnchorImageData>> =
        serde_json::from_str(&folder.read("a.json")).unwrap();
    assert!(array.iter().eq(explanations.iter().map(|(_, own)| own)));
}

#[test]
fn the_same_job_gives_the_same_bytes() {
    let folder = digits();
    let run = |threads: &str| {
        folder.succeed(&["explain", "job.toml", "--output", "-", "--threads", threads])
    };
    assert_eq!(run("1"), run("4"));
}

/// Six by four colours and two models with the same weights in either order.
fn colors(layout: &str) -> Folder {
    let folder = Folder::new();
    folder.write("colors_first.onnx", include_bytes!("../fixtures/colors_first.onnx"));
    folder.write("colors_last.onnx", include_bytes!("../fixtures/colors_last.onnx"));
    folder.write("colors.png", include_bytes!("../fixtures/colors.png"));
    let job = "method = \"anchor-image\"\n[model]\npath = \"colors_LAYOUT.onnx\"\n[data]\nimages = [\"colors.png\"]\n[params]\nsegmentation_fn = { slic = { n_segments = 6 } }\n";
    folder.write("job.toml", job.replace("LAYOUT", layout));
    folder
}

/// The model's input says the order, and the same weights in another order decide alike.
#[test]
fn layouts_are_permuted() {
    let last = colors("last").succeed(&["explain", "job.toml", "--output", "-"]);
    let folder = colors("first");
    assert_eq!(folder.succeed(&["explain", "job.toml", "--output", "-"]), last);
    let job = folder.read("job.toml");
    let with = |layout: &str| job.replace("[data]", &format!("layout = \"{layout}\"\n[data]"));
    folder.write("job.toml", with("channels-first"));
    assert_eq!(folder.succeed(&["explain", "job.toml", "--output", "-"]), last);
    folder.write("job.toml", with("channels-last"));
    let Ran { code, stderr, .. } = folder.xai(&["explain", "job.toml"]);
    assert_eq!(code, Some(2));
    assert_eq!(
        stderr,
        "error: job.toml:4: the model `colors_first.onnx` takes images of the shape [3, 6, 4], and `image_shape` with \
         this layout is height 6, width 4, channels 3\n"
    );
}

/// A score that is computed here decides, for the numbers that the pixels become; turned upside down it has the other
/// sign.
#[test]
fn pixels_are_what_the_model_takes() {
    let folder = colors("last");
    let job = folder.read("job.toml");
    let decision = |pixels: &str, dtype: &str| {
        let job = job.replace("[data]", &format!("pixels = {pixels}\n[data]"));
        folder.write("job.toml", format!("{job}dtype = \"{dtype}\"\n"));
        explain(&folder, &[]).remove(0).1.data.result.decision
    };
    let image = decode(include_bytes!("../fixtures/colors.png"), 3, Dtype::Float).unwrap();
    // The score of the first class, less that of the other, for pixels `low + (high - low) p`.
    let expected = |low: f64, high: f64| {
        let score = |((row, column, channel), pixel): ((usize, usize, usize), &f64)| {
            let sign = match (channel, column) {
                (0, 0 | 1) => 1.0,
                (2, 2 | 3) => -1.0,
                _ => 0.0,
            };
            sign * (1.0 + row as f64 / 8.0) * (low + (high - low) * pixel)
        };
        let score: f64 = 0.5 + image.indexed_iter().map(score).sum::<f64>();
        // No rounding decides.
        assert!(0.01 < score.abs(), "{score}");
        f64::from(score < 0.0)
    };
    for dtype in ["float", "u8"] {
        assert_eq!(decision("\"unit\"", dtype), expected(0.0, 1.0));
        assert_eq!(decision("\"byte\"", dtype), expected(0.0, 255.0));
        assert_eq!(decision("[1.0, 0.0]", dtype), expected(1.0, 0.0));
        assert_eq!(decision("[1.0, -1.0]", dtype), expected(1.0, -1.0));
        // (p - 1) / 0.5 is from -2 to 0.
        let table = "{ mean = [1, 1, 1], std = [0.5, 0.5, 0.5] }";
        assert_eq!(decision(table, dtype), expected(-2.0, 0.0));
    }
    assert_ne!(expected(0.0, 1.0), expected(1.0, 0.0));
}

#[test]
fn a_background_replaces_superpixels() {
    let folder = digits();
    let job = JOB
        .replace("[params]", "background_images = [\"digits/0_is_9.png\", \"digits\"]\n[params]");
    folder.write("job.toml", job);
    for (_, explanation) in explain(&folder, &["--rows", "..2"]) {
        assert_eq!(explanation.data.images_background, Some([7, 8, 8, 1]));
    }
}

#[test]
fn pictures_are_drawn() {
    let folder = digits();
    let arguments = ["--rows", "4", "--pictures", "pictures/of"];
    let explanations = explain(&folder, &arguments);
    let [(_, explanation)] = explanations.as_slice() else { panic!("one image") };
    let read = |name: &str| std::fs::read(folder.path("pictures/of").join(name)).unwrap();
    assert_eq!(read("4_is_0.overlay.png"), explanation.data.overlay_png());
    let mask = decode(&read("4_is_0.mask.png"), 1, Dtype::Float).unwrap();
    for ((row, column, _), &value) in mask.indexed_iter() {
        assert_eq!(value == 1.0, explanation.data.mask()[[row, column]]);
    }
    assert_eq!(std::fs::read_dir(folder.path("pictures/of")).unwrap().count(), 2);
    // Two images of one name would share a picture.
    folder.write("4_is_0.jpg", FILES[4].1);
    let job = JOB.replace("\"digits\"", "\"digits\", \"4_is_0.jpg\"");
    folder.write("job.toml", job);
    let Ran { code, stderr, .. } = folder.xai(&["explain", "job.toml", "--pictures", "p"]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("`digits/4_is_0.png` and `4_is_0.jpg` would both be drawn"),
        "{stderr}"
    );
    let Ran { code, stderr, .. } = Folder::iris().xai(&["explain", "job.toml", "--pictures", "p"]);
    assert_eq!(
        (code, stderr.as_str()),
        (Some(2), "error: --pictures: `kernel-shap` draws no pictures\n")
    );
}

#[test]
fn tables_name_the_file_and_the_class() {
    let text = digits().succeed(&["explain", "job.toml", "--rows", "4"]);
    assert!(text.starts_with("digits/4_is_0.png: Anchor for zero: superpixel"), "{text}");
    assert!(text.contains("[picture of 256 by 256 pixels"), "{text}");
    assert!(text.contains("on fresh samples"), "{text}");
}

#[test]
fn wrong_jobs_are_refused_with_their_place() {
    let folder = digits();
    let refused = |job: &str, expected: &str| {
        folder.write("job.toml", job);
        let Ran { code, stdout, stderr } = folder.xai(&["explain", "job.toml", "--output", "-"]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    };
    let with = |from: &str, to: &str| {
        assert!(JOB.contains(from), "{from}");
        JOB.replace(from, to)
    };
    let model = |line: &str| with("[data]", &format!("{line}\n[data]"));
    let params = |line: &str| format!("{JOB}{line}\n");
    refused(&with("images = [\"digits\"]\n", ""), "give `images` in [data]");
    refused(&with("\"digits\"", ""), "give `images` in [data]");
    refused(&with("\"digits\"", "\"none.png\""), "cannot read the image `none.png`: ");
    refused(
        &with("\"digits\"", "\"digits/notes.txt\""),
        "the image `digits/notes.txt` cannot be used: the bytes are not a readable PNG or JPEG",
    );
    refused(
        &with("[params]", "input = \"a.csv\"\n[params]"),
        "job.toml:7: `input` is for methods of rows or texts, and `anchor-image` explains images",
    );
    refused(
        &with("anchor-image", "kernel-shap").replace("n_covered_ex = 0\n", ""),
        "job.toml:6: `images` is for methods of images, and `kernel-shap` explains rows",
    );
    refused(&model("layout = \"hwc\""), "job.toml:5: unknown variant `hwc`");
    refused(&model("pixels = \"dark\""), "job.toml:5: `pixels` must be \"byte\", \"unit\"");
    refused(&model("pixels = [1, 1]"), "job.toml:5: `pixels` must be two different finite numbers");
    refused(
        &model("pixels = { mean = [0, 0, 0], std = [1, 1, 1] }"),
        "job.toml:5: `pixels` must be a finite mean and a positive std for each of 1 channels",
    );
    refused(
        &model("layout = \"channels-last\""),
        "job.toml:5: the model `digits.onnx` takes images of the shape [1, 8, 8]",
    );
    refused(&model("image_shape = [8, 8, 2]"), "job.toml:5: `image_shape` must be");
    refused(&model("image_shape = [8, 0, 1]"), "job.toml:5: `image_shape` must be");
    refused(&params("p_sample = 2.0"), "job.toml:9: parameter `p_sample` must be");
    refused(
        &model("image_shape = [8, 8, 3]"),
        "the model `digits.onnx` takes 64 features, the image `digits/0_is_9.png` has 192",
    );
    // Another shape than the first image's, and than that of the params.
    std::fs::write(folder.path("digits/6.png"), include_bytes!("../fixtures/colors.png")).unwrap();
    let other = "the image `digits/6.png` has the shape (6, 4, 1), expected (8, 8, 1)";
    refused(JOB, other);
    refused(&model("image_shape = [8, 8, 1]"), other);
    refused(
        &with("\"digits\"", "\"digits/6.png\""),
        "the image `digits/6.png` has 6 x 4 pixels, and the model takes 64 numbers",
    );
    std::fs::create_dir(folder.path("empty")).unwrap();
    refused(&with("\"digits\"", "\"empty\""), "the folder `empty` has no PNG or JPEG file");
}

#[test]
fn the_schema_says_that_lines_name_their_file() {
    let text = Folder::new().succeed(&["schema", "anchor-image"]);
    let schema: Value = serde_json::from_str(&text).unwrap();
    assert!(schema["params"]["properties"]["segmentation_fn"].is_object());
    let line = &schema["explanation"]["properties"];
    for key in ["schema", "file", "meta", "data"] {
        assert!(line[key].is_object(), "{key}: {text}");
    }
}

/// The job that the book shows.
#[test]
fn the_job_of_the_book_runs() {
    let folder = Folder::new();
    let job = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/book/src/digits-anchors.toml");
    let text = folder.succeed(&["explain", job, "--output", "-"]);
    assert_eq!(text.lines().count(), FILES.len());
}
