"""What the runners share: the case, its model with a count of its calls and their rows, and the report."""

import json
import os
import resource
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import Callable

import numpy as np
from network import Network


class Model:
    """A model in float64 that counts its calls, the rows it is asked for, and the seconds it takes."""

    def __init__(self, numbers: dict, folder: str) -> None:
        kinds = {
            "bag-of-words": bag_of_words,
            "dense": dense,
            "encoded-dense": encoded_dense,
            "trees": trees,
            "unanimity": unanimity,
        }
        if numbers["kind"] == "network":
            self.network = Network(numbers, folder)
            self._predict = tensors(self.network)
        else:
            self._predict = kinds[numbers["kind"]](numbers)
            if numbers["kind"] == "dense":
                self.network = Network.of_dense(numbers)
        self.reset()

    def reset(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.queries, self.calls, self.seconds = 0, 0, 0.0

    def __call__(self, rows) -> np.ndarray:
        start = self.clock()
        outputs = self._predict(rows)
        self.seconds += self.clock() - start
        self.queries += len(rows)
        self.calls += 1
        return outputs


def tensors(network: Network) -> Callable:
    """A network as a compiled function of TensorFlow, made when it is first asked; of a session, in graph mode."""
    compiled = []

    def predict(rows: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        if not compiled:
            model = network.tensorflow()
            if tf.executing_eagerly():
                signature = tf.TensorSpec((None, *network.shape), tf.float32)
                function = tf.function(model, input_signature=[signature])
                compiled.append(lambda rows: function(tf.constant(rows, tf.float32)).numpy())
            else:
                session = tf.compat.v1.keras.backend.get_session()
                compiled.append(session.make_callable(model.output, [model.input]))
        return compiled[0](rows)

    return predict


def bag_of_words(numbers: dict) -> Callable:
    """A logistic model over counts of words, as scikit-learn has them."""
    from sklearn.feature_extraction.text import CountVectorizer

    counts = CountVectorizer(vocabulary=numbers["words"])
    weights, bias = np.array(numbers["weights"]), numbers["bias"]

    def predict(texts: list[str]) -> np.ndarray:
        positive = 1.0 / (1.0 + np.exp(-(counts.transform(texts) @ weights + bias)))
        return np.stack([1.0 - positive, positive], axis=1)

    return predict


def dense(numbers: dict) -> Callable:
    weight, bias, after_first = layers(numbers)
    return lambda rows: after_first(np.asarray(rows, dtype=np.float64) @ weight + bias)


def encoded_dense(numbers: dict) -> Callable:
    """Numbers as they are and codes of categories: a code selects its row of the weights."""
    weight, bias, after_first = layers(numbers["network"])
    columns, means, deviations = (
        np.array([numeric[key] for numeric in numbers["numeric"]]) for key in ("column", "mean", "deviation")
    )
    codes = np.array([categorical["column"] for categorical in numbers["categorical"]])
    sizes = [categorical["n_categories"] for categorical in numbers["categorical"]]
    starts = len(columns) + np.cumsum([0, *sizes[:-1]])

    def predict(rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows, dtype=np.float64)
        values = (rows[:, columns] - means) / deviations @ weight[: len(columns)] + bias
        values += weight[rows[:, codes].astype(np.int64) + starts].sum(axis=1)
        return after_first(values)

    return predict


def layers(numbers: dict) -> tuple[np.ndarray, np.ndarray, Callable]:
    """The first layer of a network, and what makes its outputs of the sums there."""
    (first, first_bias), *rest = [(np.array(layer["weight"]), np.array(layer["bias"])) for layer in numbers["layers"]]
    activation = {"relu": lambda z: np.maximum(z, 0.0), "tanh": np.tanh}[numbers["activation"]]

    def after_first(values: np.ndarray) -> np.ndarray:
        for weight, bias in rest:
            values = activation(values) @ weight + bias
        if numbers["head"] == "softmax":
            values = np.exp(values - values.max(axis=1, keepdims=True))
            values /= values.sum(axis=1, keepdims=True)
        return values

    return first, first_bias, after_first


def trees(numbers: dict) -> Callable:
    keys = ("feature", "threshold", "left", "right", "value")
    arrays = [[np.array(tree[key]) for key in keys] for tree in numbers["trees"]]

    def predict(rows: np.ndarray) -> np.ndarray:
        outputs = np.full(len(rows), numbers["base"])
        index = np.arange(len(rows))
        for feature, threshold, left, right, value in arrays:
            node = np.zeros(len(rows), dtype=np.int64)
            while True:
                child = np.where(rows[index, feature[node]] <= threshold[node], left[node], right[node])
                # The root is nobody's child: 0 marks a leaf, which keeps its rows.
                inner = left[node] != 0
                if not inner.any():
                    break
                node = np.where(inner, child, node)
            outputs += value[node]
        return outputs[:, None]

    return predict


def unanimity(numbers: dict) -> Callable:
    members = [np.array(columns) for columns in numbers["members"]]

    def predict(rows: np.ndarray) -> np.ndarray:
        products = [rows[:, columns].prod(axis=1) for columns in members]
        return np.stack(products, axis=1) @ np.array(numbers["coefficients"])[:, None]

    return predict


@dataclass
class Case:
    """A case as our side wrote it; see `Case` in benches/src/peers/mod.rs for the fields."""

    folder: str
    processor_time: bool
    explainer: dict
    runs: list
    model: Model
    data: np.ndarray
    instances: np.ndarray

    @staticmethod
    def read(path: str, n_instances: int | None) -> "Case":
        with open(path) as file:
            content = json.load(file)
        folder = os.path.dirname(path)
        return Case(
            folder=folder,
            processor_time=content["task"]["processor_time"],
            explainer=content["explainer"],
            runs=content["explainer"]["runs"],
            model=Model(content["model"], folder),
            data=np.array(content["data"], dtype=np.float64),
            instances=np.array(content["instances"], dtype=np.float64)[:n_instances],
        )


# Explains all given instances with the settings of one run; returns one answer for each in the form of the method, that
# is, values which json can write. Its attribute `warm_up`, if there is one, is called outside the clock instead of it.
Explain = Callable[[np.ndarray, dict], list]


def main(peer: str, prepare: Callable[[Case, str], Explain]) -> None:
    """`RUNNER CASE.json METHOD [INSTANCES]`: explains the case and prints one line of JSON."""
    # Compiled parts of some libraries talk on standard output, which is for the report alone.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    path, method = sys.argv[1:3]
    case = Case.read(path, int(sys.argv[3]) if len(sys.argv) > 3 else None)
    idle_memory_bytes = peak_memory()
    explain = prepare(case, method)
    getattr(explain, "warm_up", explain)(case.instances[:1], case.runs[0])
    clock = time.process_time if case.processor_time else time.perf_counter
    runs = []
    for settings in case.runs:
        case.model.reset(clock)
        start = clock()
        answers = explain(case.instances, settings)
        seconds = clock() - start
        runs.append(
            {
                "seconds": seconds,
                "model_seconds": case.model.seconds,
                "queries": case.model.queries,
                "calls": case.model.calls,
                "instances": len(case.instances),
                "answers": answers,
            }
        )
    report = {
        "version": version(peer),
        "peak_memory_bytes": peak_memory(),
        "idle_memory_bytes": idle_memory_bytes,
        "runs": runs,
    }
    print(json.dumps(report), file=output, flush=True)


def peak_memory() -> int:
    """The largest resident set so far, in bytes; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def shapley_answers(values: np.ndarray, expected_values: np.ndarray) -> list:
    """From (instances, outputs, players) and (outputs,), or (instances, outputs) where the instances differ."""
    values = np.asarray(values, dtype=np.float64)
    expected_values = np.broadcast_to(np.asarray(expected_values, dtype=np.float64), values.shape[:2])
    pairs = zip(values.tolist(), expected_values.tolist())
    return [{"values": of_one, "expected_values": expected} for of_one, expected in pairs]


def by_output(values: np.ndarray, n_instances: int) -> np.ndarray:
    """From (instances, players) or (instances, players, outputs) to (instances, outputs, players)."""
    values = np.asarray(values).reshape(n_instances, np.shape(values)[1], -1)
    return values.transpose(0, 2, 1)
