"""Approximators of shapiq for Shapley values, by the name of their class and at their defaults."""

import numpy as np
from shapiq import approximator

import task

# What a class must be told to estimate Shapley values.
KEYWORDS = {
    "RegressionMSR": {"index": "SV"},
    "ProxySHAP": {"index": "SV", "max_order": 1},
}


def prepare(case: task.Case, method: str) -> task.Explain:
    groups = case.explainer["groups"] or [[column] for column in range(case.data.shape[1])]
    member = np.zeros((len(groups), case.data.shape[1]), dtype=bool)
    for player, columns in enumerate(groups):
        member[player, columns] = True

    def explain_one(instance: np.ndarray, settings: dict):
        def game(coalitions: np.ndarray) -> np.ndarray:
            # Some approximators ask for one coalition without the axis of coalitions.
            present = np.atleast_2d(np.asarray(coalitions, dtype=bool)) @ member
            rows = np.where(present[:, None, :], instance, case.data)
            outputs = case.model(rows.reshape(-1, instance.size))
            return outputs.reshape(len(present), len(case.data)).mean(axis=1)

        kind = getattr(approximator, method)
        estimator = kind(n=len(groups), random_state=settings["seed"], **KEYWORDS.get(method, {}))
        # shapiq counts the empty and the full coalition.
        found = estimator.approximate(settings["nsamples"] + 2, game)
        return found.get_n_order_values(1), found.baseline_value

    def explain(instances: np.ndarray, settings: dict):
        found = [explain_one(instance, settings) for instance in instances]
        values = np.array([[values] for values, _ in found])
        return task.shapley_answers(values, np.array([[expected] for _, expected in found]))

    return explain


if __name__ == "__main__":
    task.main("shapiq", prepare)
