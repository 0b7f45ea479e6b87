"""KernelExplainer of shap: `default`, or `all-features` with l1_reg=False."""

import numpy as np
import shap

import task


class Coded:
    """Groups of columns as one column of codes each, because KernelExplainer knows no groups."""

    def __init__(self, case: task.Case) -> None:
        rows = np.concatenate([case.background, case.instances])
        self.groups, self.values = case.groups, []
        for columns in case.groups:
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
    if case.groups is None:
        predict, background, encode = case.model, case.background, lambda rows: rows
    else:
        coded = Coded(case)
        background, encode = coded.encode(case.background), coded.encode

        def predict(codes: np.ndarray) -> np.ndarray:
            return case.model(coded.decode(codes))

    def explain(instances: np.ndarray, settings: dict):
        np.random.seed(settings["seed"])
        nsamples = settings["nsamples"] or "auto"
        values = explainer.shap_values(encode(instances), nsamples=nsamples, silent=True, **keywords)
        expected = np.broadcast_to(explainer.expected_value, (len(instances), np.size(explainer.expected_value)))
        return task.by_output(values, len(instances)), expected

    explainer = shap.KernelExplainer(predict, background, link=case.link)
    return explain


if __name__ == "__main__":
    task.main("shap", prepare)
