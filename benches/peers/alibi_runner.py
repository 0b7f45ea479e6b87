"""Explainers of alibi at their defaults, by the method of the case."""

import re

import numpy as np
import task
from alibi.explainers import (
    CEM,
    AnchorImage,
    AnchorTabular,
    AnchorText,
    Counterfactual,
    CounterfactualProto,
    IntegratedGradients,
    KernelShap,
)
from network import Network


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
            **claims(explanation),
        }

    return lambda instances, run: [explain_one(instance) for instance in instances]


def anchor_text(case: task.Case) -> task.Explain:
    import spacy

    settings = case.explainer
    explainer = AnchorText(case.model, sampling_strategy="unknown", nlp=spacy.blank("en"), seed=case.runs[0]["seed"])

    def explain_one(index: np.ndarray) -> dict:
        explanation = explainer.explain(settings["texts"][int(index[0])], threshold=settings["threshold"])
        return {"starts": [int(start) for start in explanation.raw["positions"]], **claims(explanation)}

    return lambda instances, run: [explain_one(index) for index in instances]


def anchor_image(case: task.Case) -> task.Explain:
    settings = case.explainer
    explainer = AnchorImage(
        case.model, image_shape=tuple(settings["image_shape"]), segmentation_fn="slic", seed=case.runs[0]["seed"]
    )

    def explain_one(row: np.ndarray) -> dict:
        image = row.reshape(settings["image_shape"]).astype(np.float32)
        explanation = explainer.explain(image, threshold=settings["threshold"])
        kept = np.isin(explanation.segments, explanation.raw["feature"])
        return {"mask": kept.tolist(), "segments": explanation.segments.tolist(), **claims(explanation)}

    return lambda instances, run: [explain_one(row) for row in instances]


def claims(explanation) -> dict:
    # Without predicates alibi gives arrays of one number.
    return {
        "precision": float(np.ravel(explanation.precision)[0]),
        "coverage": float(np.ravel(explanation.coverage)[0]),
        "success": bool(explanation.raw["success"]),
    }


def integrated_gradients(case: task.Case) -> task.Explain:
    settings = case.explainer
    network = case.model.network
    explainer = IntegratedGradients(
        network.tensorflow(), n_steps=settings["n_steps"], internal_batch_size=settings["internal_batch_size"]
    )

    def explain(instances: np.ndarray, run: dict) -> list:
        images = instances.reshape(-1, *network.shape).astype(np.float32)
        explanation = explainer.explain(images, target=settings["target"])
        attributions = explanation.attributions[0].reshape(len(images), -1)
        return [{"attributions": values.tolist()} for values in attributions]

    return explain


def gradient_counterfactual(case: task.Case) -> task.Explain:
    import tensorflow

    # These explainers build graphs and run them in sessions.
    tensorflow.compat.v1.disable_v2_behavior()
    settings = case.explainer
    search = settings["search"]
    shape = (1, *case.model.network.shape)
    least, most = (np.array(bounds, dtype=np.float32) for bounds in settings["feature_range"])
    # A bound for each column is for rows alone.
    bounds = (least.min(), most.max()) if len(shape) > 2 else (least[None], most[None])
    model = case.model.network.tensorflow() if settings["access"] == "white-box" else case.model
    if search["name"] == "cem":
        mode = search["mode"]
        explainer = CEM(model, mode, shape, feature_range=bounds, no_info_val=search["no_info_val"])
        found, cut_short = (lambda explanation: getattr(explanation, mode)), "c_steps"
    elif search["name"] == "cfproto":
        encoder = search["encoder"] and Network(search["encoder"], case.folder).tensorflow()
        explainer = CounterfactualProto(
            model,
            shape,
            feature_range=bounds,
            theta=search["theta"],
            enc_model=encoder,
            use_kdtree=encoder is None,
        )
        explainer.fit(case.data.reshape(-1, *shape[1:]).astype(np.float32))
        found, cut_short = (lambda explanation: explanation.cf and explanation.cf["X"]), "c_steps"
    else:
        explainer = Counterfactual(model, shape, feature_range=bounds)
        found, cut_short = (lambda explanation: explanation.cf and explanation.cf["X"]), "early_stop"

    def explain_one(instance: np.ndarray) -> dict:
        row = found(explainer.explain(instance.reshape(shape).astype(np.float32)))
        return {"found": None if row is None else np.ravel(row).tolist()}

    def explain(instances: np.ndarray, run: dict) -> list:
        return [explain_one(instance) for instance in instances]

    def warm_up(instances: np.ndarray, run: dict) -> None:
        n_steps = getattr(explainer, cut_short)
        setattr(explainer, cut_short, 1)
        explain(instances, run)
        setattr(explainer, cut_short, n_steps)

    explain.warm_up = warm_up
    return explain


METHODS = {
    "anchor-image": anchor_image,
    "anchor-tabular": anchor_tabular,
    "anchor-text": anchor_text,
    "gradient-counterfactual": gradient_counterfactual,
    "integrated-gradients": integrated_gradients,
    "kernel-shap": kernel_shap,
}


def prepare(case: task.Case, method: str) -> task.Explain:
    if method != "default":
        raise ValueError(f"alibi has no method {method}")
    return METHODS[case.explainer["name"]](case)


if __name__ == "__main__":
    task.main("alibi", prepare)
