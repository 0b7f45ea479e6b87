"""Whether counterfactuals keep their new class where their owner runs the model.

decision_margin.py COMMAND COMMIT > docs/bench/decision-margin.json

COMMAND is the `xai` of this workspace, COMMIT what it was built from. Needs scikit-learn, skl2onnx and onnxruntime.
Each answer is asked again of scikit-learn and of onnxruntime: as it is, in single precision, and with nine digits.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime
import sklearn
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

N_ROWS = 40
FORMS = ("as it is", "single precision", "nine digits")
TABLES = {"iris": (load_iris, 4), "wine": (load_wine, 6), "breast cancer": (load_breast_cancer, 8)}
MODELS = {
    "logistic regression": LogisticRegression(max_iter=5000),
    "scaled logistic regression": make_pipeline(StandardScaler(), LogisticRegression()),
    "network": make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=800, random_state=0)),
    "forest of 30 trees": RandomForestClassifier(30, random_state=0),
    "forest of 31 trees": RandomForestClassifier(31, random_state=0, max_depth=4),
    "extra trees": ExtraTreesClassifier(20, random_state=0),
    "tree": DecisionTreeClassifier(random_state=0, max_depth=4),
    "boosting": GradientBoostingClassifier(n_estimators=30, random_state=0),
    "naive Bayes": GaussianNB(),
    "discriminant analysis": LinearDiscriminantAnalysis(),
}
GRID = 'default_numerical_step_size = 0.25\nanswers = "closest"\nmax_counterfactual_length = 2\n'
METHODS = {"cem": "crossing = true\n", "cfproto": "", "counterfactual": "", "grid-counterfactual": GRID}


def write(path, rows):
    names = ",".join(f"f{column}" for column in range(rows.shape[1]))
    np.savetxt(path, rows, delimiter=",", header=names, comments="", fmt="%.17g")


def answers(data):
    """The changed rows of an explanation."""
    one = data.get("result") or data.get("cf")
    return [one["row"]] if one else (data.get("counterfactuals") or [])[:1]


def main():
    command, commit = os.path.abspath(sys.argv[1]), sys.argv[2]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for table, (load, n_columns) in TABLES.items():
            x, y = load(return_X_y=True)
            x = x[:, :n_columns]
            rows = x[np.random.RandomState(0).choice(len(x), N_ROWS, replace=False)]
            write("train.csv", x)
            write("input.csv", rows)
            for kind, model in MODELS.items():
                model.fit(x, y)
                onnx = to_onnx(model, x[:1].astype(np.float32), options={"zipmap": False})
                with open("model.onnx", "wb") as file:
                    file.write(onnx.SerializeToString())
                session = onnxruntime.InferenceSession("model.onnx")
                name = session.get_inputs()[0].name
                labels = lambda batch: session.run(None, {name: batch.astype(np.float32)})[0]
                for method, params in METHODS.items():
                    if not method.startswith("grid"):
                        params += f"feature_range = [{x.min(0).tolist()}, {x.max(0).tolist()}]\n"
                    with open("job.toml", "w") as file:
                        file.write(f'method = "{method}"\nbudget.queries = 40000\n[model]\npath = "model.onnx"\n')
                        file.write(f'[data]\ntrain = "train.csv"\ninput = "input.csv"\n[params]\n{params}')
                    run = [command, "explain", "job.toml", "--output", "out.jsonl"]
                    subprocess.run(run, check=True, stderr=subprocess.DEVNULL)
                    n_found, n_kept = 0, np.zeros(len(FORMS), int)
                    for line in open("out.jsonl"):
                        document = json.loads(line)
                        before = rows[document["row"]][None]
                        for answer in answers(document["data"]):
                            exact = np.array([answer])
                            nine = np.array([[float(f"{value:.9g}") for value in answer]])
                            single = exact.astype(np.float32).astype(float)
                            shown = np.concatenate([exact, single, nine])
                            kept = model.predict(shown) == model.predict(before)
                            n_kept += kept | (labels(shown) == labels(before))
                            n_found += 1
                    kept = dict(zip(FORMS, n_kept.tolist()))
                    results.append({"table": table, "model": kind, "method": method, "n_found": n_found, "n_kept": kept})
    versions = {"scikit-learn": sklearn.__version__, "onnxruntime": onnxruntime.__version__}
    total = {
        "n_found": sum(result["n_found"] for result in results),
        "n_kept": {form: sum(result["n_kept"][form] for result in results) for form in FORMS},
    }
    record = {"commit": commit, "versions": versions, "n_rows": N_ROWS, **total, "results": results}
    print(json.dumps(record, indent=1))


main()
