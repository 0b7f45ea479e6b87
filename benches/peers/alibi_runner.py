"""KernelShap of alibi at its defaults."""

import numpy as np
from alibi.explainers import KernelShap

import task


def prepare(case: task.Case, method: str) -> task.Explain:
    if method != "default":
        raise ValueError(f"alibi has no method {method}")
    explainer = KernelShap(case.model, link=case.link, seed=case.runs[0]["seed"])
    names = None if case.groups is None else [f"group {index}" for index in range(len(case.groups))]
    explainer.fit(case.background, group_names=names, groups=case.groups)

    def explain(instances: np.ndarray, settings: dict):
        keywords = {} if settings["nsamples"] is None else {"nsamples": settings["nsamples"]}
        explanation = explainer.explain(instances, silent=True, **keywords)
        expected = np.reshape(explanation.expected_value, -1)
        return np.stack(explanation.shap_values, axis=1), np.broadcast_to(expected, (len(instances), expected.size))

    return explain


if __name__ == "__main__":
    task.main("alibi", prepare)
