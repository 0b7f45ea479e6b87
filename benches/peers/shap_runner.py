"""KernelExplainer of shap: `default`, or `all-features` with l1_reg=False."""

import numpy as np
import shap

import task


class Coded:
    """Groups of columns as one column of codes each, because KernelExplainer knows no groups."""

    def __init__(self, case: task.Case) -> None:
        rows = np.concatenate([case.data, case.instances])
        self.groups, self.values = case.explainer["groups"], []
        for columns in self.groups:
            self.values.append(np.unique(rows[:, columns], axis=0))

    def encode(self, rows: np.ndarray) -> np.ndarray:
        codes = [
            (rows[:, None, columns] == values[None]).all(axis=2).argmax(axis=1)
            for columns, values in zip(self.groups, self.values)
        ]
        return np.stack(codes, axis=1).astype(np.float64)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        rows = np.zeros((len(codes), sum(len(columns) for columns in self.groups)))
        for group, (columns, values) in enumerate(zip(self.groups, self.values)):
            rows[:, columns] = values[codes[:, group].astype(np.int64)]
        return rows


def prepare(case: task.Case, method: str) -> task.Explain:
    keywords = {"default": {}, "all-features": {"l1_reg": False}}[method]
    if case.explainer["groups"] is None:
        predict, background, encode = case.model, case.data, lambda rows: rows
    else:
        coded = Coded(case)
        background, encode = coded.encode(case.data), coded.encode

        def predict(codes: np.ndarray) -> np.ndarray:
            return case.model(coded.decode(codes))

    def explain(instances: np.ndarray, settings: dict):
        np.random.seed(settings["seed"])
        nsamples = settings["nsamples"] or "auto"
        values = explainer.shap_values(encode(instances), nsamples=nsamples, silent=True, **keywords)
        return task.shapley_answers(task.by_output(values, len(instances)), explainer.expected_value)

    explainer = shap.KernelExplainer(predict, background, link=case.explainer["link"])
    return explain


if __name__ == "__main__":
    task.main("shap", prepare)
