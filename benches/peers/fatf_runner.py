"""The explainer of FAT Forensics at its defaults but for what the case says."""

import warnings

import numpy as np
from fatf.transparency.predictions.counterfactuals import CounterfactualExplainer

import task


def grid_counterfactual(case: task.Case) -> task.Explain:
    settings = case.explainer
    columns = range(case.data.shape[1])
    # It warns of instances outside the ranges, which are part of the task.
    warnings.simplefilter("ignore")
    explainer = CounterfactualExplainer(
        predictive_function=lambda rows: np.argmax(case.model(rows), axis=1),
        dataset=case.data,
        categorical_indices=settings["categorical"] or None,
        numerical_indices=[column for column in columns if column not in settings["categorical"]],
        counterfactual_feature_indices=settings["changing"],
        max_counterfactual_length=settings["length"],
        default_numerical_step_size=settings["step"],
    )

    def explain_one(instance: np.ndarray) -> dict:
        counterfactuals, distances, _ = explainer.explain_instance(instance)
        return {"counterfactuals": counterfactuals.tolist(), "distances": distances.tolist()}

    return lambda instances, run: [explain_one(instance) for instance in instances]


METHODS = {"grid-counterfactual": grid_counterfactual}


def prepare(case: task.Case, method: str) -> task.Explain:
    if method != "default":
        raise ValueError(f"FAT Forensics has no method {method}")
    return METHODS[case.explainer["name"]](case)


if __name__ == "__main__":
    task.main("fat-forensics", prepare)
