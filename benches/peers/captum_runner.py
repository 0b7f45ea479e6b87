"""Integrated gradients of captum."""

import numpy as np
import task
import torch
from captum.attr import IntegratedGradients


def prepare(case: task.Case, method: str) -> task.Explain:
    if (case.explainer["name"], method) != ("integrated-gradients", "default"):
        raise ValueError(f"captum does not run {case.explainer['name']} with the method {method}")
    settings = case.explainer
    network = case.model.network
    explainer = IntegratedGradients(network.torch())

    def explain(instances: np.ndarray, run: dict) -> list:
        images = torch.from_numpy(instances.reshape(-1, *network.shape).astype(np.float32))
        attributions = explainer.attribute(
            images,
            target=settings["target"],
            n_steps=settings["n_steps"],
            internal_batch_size=settings["internal_batch_size"],
        )
        return [{"attributions": values.reshape(-1).tolist()} for values in attributions.detach().numpy()]

    return explain


if __name__ == "__main__":
    task.main("captum", prepare)
