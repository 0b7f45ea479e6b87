"""Explainers of alibi at their defaults, by the method of the case."""

import re

import numpy as np
from alibi.explainers import AnchorTabular, KernelShap

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


def anchor_tabular(case: task.Case) -> task.Explain:
    settings = case.explainer
    names = settings["feature_names"]
    categories = {column["column"]: column["categories"] for column in settings["categorical"]}
    explainer = AnchorTabular(case.model, names, categorical_names=categories, seed=case.runs[0]["seed"])
    explainer.fit(case.data)

    def predicate(column: int, text: str, instance: np.ndarray) -> dict:
        if column in categories:
            return {"column": column, "code": float(instance[column])}
        # `2.00 < NAME <= 3.00` with either bound absent, or `NAME > 2.00`.
        before, after = text.split(names[column], 1)
        lower = re.match(r"(.*) < $", before) or re.match(r" > (.*)$", after)
        upper = re.match(r" <= (.*)$", after)
        bounds = {"lower": lower and float(lower[1]), "upper": upper and float(upper[1])}
        if bounds == {"lower": None, "upper": None}:
            raise ValueError(f"no predicate on {names[column]}: {text}")
        return {"column": column, **bounds}

    def explain_one(instance: np.ndarray) -> dict:
        explanation = explainer.explain(instance, threshold=settings["threshold"])
        raw = explanation.raw
        pairs = zip(raw["feature"], raw["names"], strict=True)
        return {
            "predicates": [predicate(int(column), text, instance) for column, text in pairs],
            # Without predicates alibi gives arrays of one number.
            "precision": float(np.ravel(explanation.precision)[0]),
            "coverage": float(np.ravel(explanation.coverage)[0]),
            "success": bool(raw["success"]),
        }

    return lambda instances, run: [explain_one(instance) for instance in instances]


METHODS = {"anchor-tabular": anchor_tabular, "kernel-shap": kernel_shap}


def prepare(case: task.Case, method: str) -> task.Explain:
    if method != "default":
        raise ValueError(f"alibi has no method {method}")
    return METHODS[case.explainer["name"]](case)


if __name__ == "__main__":
    task.main("alibi", prepare)
