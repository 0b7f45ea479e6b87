"""Trains the models of the comparison and writes them to models/*.json.

Run once with the interpreter of target/peers/shap; the written files are committed, because another release of
scikit-learn may train another model from the same seeds.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

# Columns and background rows; few rows keep the exact values affordable.
SIZES = {12: 5, 16: 2, 30: 2}
INSTANCES = 4


def target(x: np.ndarray) -> np.ndarray:
    """Twelve columns that matter alone, in pairs and in threes; each further column acts on the one before it."""
    y = 2.0 * x[:, 0] * x[:, 1]
    y += 3.0 * (x[:, 2] > 0) * x[:, 3]
    y += 2.0 * np.sin(2.0 * x[:, 4])
    y += x[:, 5] * x[:, 6] * x[:, 7]
    y += np.abs(x[:, 8]) - 1.5 * np.maximum(x[:, 9], x[:, 10]) + 0.5 * x[:, 11] ** 2
    for column in range(12, x.shape[1]):
        y += 0.5 * x[:, column] * x[:, column - 1]
    return y


def trees(x: np.ndarray, y: np.ndarray) -> dict:
    model = GradientBoostingRegressor(n_estimators=100, max_depth=4, subsample=0.7, random_state=0).fit(x, y)

    def tree(estimator):
        t = estimator.tree_
        leaf = t.children_left < 0
        return {
            "feature": np.where(leaf, 0, t.feature).tolist(),
            "threshold": rounded(np.where(leaf, 0.0, t.threshold)),
            # The root is nobody's child, so 0 marks a leaf.
            "left": np.where(leaf, 0, t.children_left).tolist(),
            "right": np.where(leaf, 0, t.children_right).tolist(),
            "value": rounded(np.where(leaf, model.learning_rate * t.value[:, 0, 0], 0.0)),
        }

    return {
        "kind": "trees",
        "base": float(np.mean(y)),
        "trees": [tree(estimator) for estimator in model.estimators_[:, 0]],
    }


def network(x: np.ndarray, y: np.ndarray) -> dict:
    model = MLPRegressor(
        hidden_layer_sizes=(32, 16), activation="tanh", alpha=1e-3, max_iter=400, random_state=0
    ).fit(x, y)
    layers = zip(model.coefs_, model.intercepts_)
    return {
        "kind": "dense",
        "layers": [{"weight": rounded(weight), "bias": rounded(bias)} for weight, bias in layers],
        "activation": "tanh",
        "head": "identity",
    }


def iris() -> dict:
    """A network on the four measurements of irises in centimetres, and the table itself."""
    x, y = load_iris(return_X_y=True)
    model = MLPClassifier(hidden_layer_sizes=(16,), alpha=1e-2, max_iter=3000, random_state=0).fit(x, y)
    layers = zip(model.coefs_, model.intercepts_)
    network = {
        "layers": [{"weight": rounded(weight), "bias": rounded(bias)} for weight, bias in layers],
        "activation": "relu",
        "head": "softmax",
    }
    return {"model": network, "data": x.tolist()}


def rounded(array: np.ndarray) -> list:
    """Seven digits: the rounded model is the model that everybody explains."""
    return np.vectorize(lambda number: float(f"{number:.7g}"))(array).tolist()


def main() -> None:
    folder = Path(__file__).parent / "models"
    folder.mkdir(exist_ok=True)
    for n_columns, n_background in SIZES.items():
        rng = np.random.default_rng(n_columns)
        x = rng.standard_normal((4000, n_columns))
        y = target(x) + 0.1 * rng.standard_normal(len(x))
        rows = rng.standard_normal((n_background + INSTANCES, n_columns))
        for name, train in [("trees", trees), ("network", network)]:
            content = {
                "model": train(x, y),
                "background": rounded(rows[:n_background]),
                "instances": rounded(rows[n_background:]),
            }
            text = json.dumps(content, separators=(",", ":"))
            (folder / f"{name}-{n_columns}.json").write_text(text + "\n")
    (folder / "iris.json").write_text(json.dumps(iris(), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
