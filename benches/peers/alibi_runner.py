"""Explainers of alibi at their defaults, by the method of the case."""

import numpy as np
from alibi.explainers import KernelShap

import task


def kernel_shap(case: task.Case) -> task.Explain:
    settings = case.explainer
    explainer = KernelShap(case.model, link=settings["link"], seed=case.runs[0]["seed"])
    groups = settings["groups"]
    names = None if groups is None else [f"group {index}" for index in range(len(groups))]
    explainer.fit(case.data, group_names=names, groups=groups)

    def explain(instances: np.ndarray, run: dict) -> list:
        keywords = {} if run["nsamples"] is None else {"nsamples": run["nsamples"]}
        explanation = explainer.explain(instances, silent=True, **keywords)
        values = np.stack(explanation.shap_values, axis=1)
        return task.shapley_answers(values, np.reshape(explanation.expected_value, -1))

    return explain


METHODS = {"kernel-shap": kernel_shap}


def prepare(case: task.Case, method: str) -> task.Explain:
    if method != "default":
        raise ValueError(f"alibi has no method {method}")
    return METHODS[case.explainer["name"]](case)


if __name__ == "__main__":
    task.main("alibi", prepare)
