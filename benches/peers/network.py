"""Networks over tensors, built in the framework of a peer from the layers of a case and the weights beside it."""

import json
import os

import numpy as np


class Network:
    """The layers of a network and its weights by name; rows hold height, width and channels of an image, or numbers."""

    def __init__(self, numbers: dict, folder: str) -> None:
        self.shape = tuple(numbers["shape"])
        self.layers = numbers["layers"]
        self.weights = read_safetensors(os.path.join(folder, numbers["weights"]))

    @staticmethod
    def of_dense(numbers: dict) -> "Network":
        """A model of kind `dense`, in float32."""
        network = Network.__new__(Network)
        network.shape = (len(numbers["layers"][0]["weight"]),)
        network.layers, network.weights = [], {}
        for index, layer in enumerate(numbers["layers"]):
            if index > 0:
                network.layers.append({"kind": numbers["activation"]})
            name = f"dense{index}"
            network.layers.append({"kind": "dense", "name": name})
            network.weights[name + ".weight"] = np.array(layer["weight"], dtype=np.float32).T
            network.weights[name + ".bias"] = np.array(layer["bias"], dtype=np.float32)
        if numbers["head"] == "softmax":
            network.layers.append({"kind": "softmax"})
        return network

    def tensorflow(self):
        """A `tf.keras` model from a batch of images or rows to outputs; convolutions run on channels-last tensors."""
        import tensorflow as tf

        image = tf.keras.Input(self.shape)
        return tf.keras.Model(image, self._tensorflow(tf, self.layers, image))

    def _tensorflow(self, tf, layers: list, values):
        for layer in layers:
            kind = layer["kind"]
            if kind == "convolution":
                kernel = self.weights[layer["name"] + ".weight"].transpose(2, 3, 1, 0)
                bias = self.weights[layer["name"] + ".bias"]
                values = pad(tf, values, layer["padding"])
                height, width, _, channels = kernel.shape
                convolution = tf.keras.layers.Conv2D(channels, (height, width), strides=layer["stride"])
                values = convolution(values)
                convolution.set_weights([kernel, bias])
            elif kind == "max-pool":
                values = pad(tf, values, layer["padding"], float("-inf"))
                values = tf.keras.layers.MaxPool2D(layer["size"], layer["stride"])(values)
            elif kind == "global-average-pool":
                values = tf.keras.layers.GlobalAveragePooling2D()(values)
            elif kind == "relu":
                values = tf.keras.layers.ReLU()(values)
            elif kind == "flatten":
                values = tf.keras.layers.Flatten()(values)
            elif kind == "dense":
                weight = self.weights[layer["name"] + ".weight"]
                dense = tf.keras.layers.Dense(weight.shape[0])
                values = dense(values)
                dense.set_weights([weight.T, self.weights[layer["name"] + ".bias"]])
            elif kind == "softmax":
                values = tf.keras.layers.Softmax()(values)
            elif kind == "residual":
                body = self._tensorflow(tf, layer["body"], values)
                values = tf.keras.layers.Add()([body, self._tensorflow(tf, layer["shortcut"], values)])
            else:
                raise ValueError(f"no layer of kind {kind}")
        return values

    def torch(self):
        """A `torch.nn.Module` from a batch of images or rows, channels last, to outputs; weights need no gradient."""
        import torch

        network = self

        class Module(torch.nn.Module):
            def forward(self, values):
                if len(network.shape) == 3:
                    values = values.permute(0, 3, 1, 2)
                return network._torch(torch, tensors, network.layers, values)

        tensors = {name: torch.from_numpy(weight.copy()) for name, weight in self.weights.items()}
        return Module()

    def _torch(self, torch, tensors: dict, layers: list, values):
        functional = torch.nn.functional
        for layer in layers:
            kind = layer["kind"]
            if kind in ("convolution", "dense"):
                weight, bias = (tensors[f"{layer['name']}.{part}"] for part in ("weight", "bias"))
            if kind == "convolution":
                values = functional.conv2d(values, weight, bias, layer["stride"], layer["padding"])
            elif kind == "max-pool":
                values = functional.max_pool2d(values, layer["size"], layer["stride"], layer["padding"])
            elif kind == "global-average-pool":
                values = values.mean(dim=(2, 3))
            elif kind == "relu":
                values = functional.relu(values)
            elif kind == "flatten":
                # Height, width, channels, as the layers of TensorFlow have it.
                values = values.permute(0, 2, 3, 1).flatten(1)
            elif kind == "dense":
                values = functional.linear(values, weight, bias)
            elif kind == "softmax":
                values = functional.softmax(values, dim=1)
            elif kind == "residual":
                body = self._torch(torch, tensors, layer["body"], values)
                values = body + self._torch(torch, tensors, layer["shortcut"], values)
            else:
                raise ValueError(f"no layer of kind {kind}")
        return values


def pad(tf, values, padding: int, filling: float = 0.0):
    """The same number of rows and columns on all four sides."""
    if padding == 0:
        return values
    sides = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    return tf.keras.layers.Lambda(lambda values: tf.pad(values, sides, constant_values=filling))(values)


def read_safetensors(path: str) -> dict[str, np.ndarray]:
    """The tensors of a file of float32: a length, a header in JSON, and the numbers."""
    with open(path, "rb") as file:
        content = file.read()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    body = content[8 + length :]
    tensors = {}
    for name, about in header.items():
        if name == "__metadata__":
            continue
        if about["dtype"] != "F32":
            raise ValueError(f"{name} is of {about['dtype']}, not F32")
        begin, end = about["data_offsets"]
        tensors[name] = np.frombuffer(body[begin:end], dtype="<f4").reshape(about["shape"])
    return tensors
