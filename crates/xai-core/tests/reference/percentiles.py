"""Percentiles of numpy for `percentiles.json`: python percentiles.py > percentiles.json, with numpy 2.4.6."""

import json

import numpy as np

random = np.random.default_rng(20240607)
QUARTILES = [25, 50, 75]
DECILES = list(range(10, 100, 10))
FINE = [0, 0.1, 1, 5, 12.5, 33.3, 49.9, 66.7, 87.5, 99.9, 100]

columns = {
    "one value": [3.5],
    "two values": [-1.0, 1e-3],
    "constant": [0.1] * 7,
    "ties": [1, 1, 1, 2, 2, 3, 3, 3, 3, 7],
    "descending": [9.5, 7.25, 0.1, -3.3, -8.0],
    "large and small": [1e300, -1e300, 1e-300, 5e-324, 0.3, 1e16],
    "hundred": list(range(100)),
    "normal 101": random.normal(size=101).tolist(),
    "normal 64": random.normal(40, 12, size=64).tolist(),
    "log-normal 57": random.lognormal(0, 3, size=57).tolist(),
    "rounded 80": random.normal(0, 1, size=80).round(1).tolist(),
    "counts 90": random.poisson(2, size=90).tolist(),
}

cases = [
    {
        "name": name,
        "values": [float(value) for value in values],
        "percentiles": [float(p) for p in percentiles],
        "expected": np.percentile(np.array(values, dtype=float), percentiles).tolist(),
    }
    for name, values in columns.items()
    for percentiles in (QUARTILES, DECILES, FINE)
]
lines = ",\n".join(json.dumps(case) for case in cases)
print(f'{{"source": "numpy {np.__version__}", "cases": [\n{lines}\n]}}')
