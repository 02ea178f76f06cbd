"""Plain PyTorch: channels last and the fused Adam, which are faster here; compiled where that is asked for."""

import numpy as np
import torch
from torch import nn


class Peer:
    """See `__main__.py`; `compiled` is for `torch.compile`."""

    def __init__(self, weights, images, labels, *, rate, epsilon, compiled=False):
        network = _network(rate)
        with torch.no_grad():
            for parameter, weight in zip(network.parameters(), weights, strict=True):
                parameter.copy_(_from_keras(torch.from_numpy(weight)))
        self._plain = network.to(memory_format=torch.channels_last)
        self._network = torch.compile(self._plain, dynamic=False) if compiled else self._plain
        self._optimizer = torch.optim.Adam(self._plain.parameters(), lr=0.001, eps=epsilon, fused=True)
        # An array of Keras's with its axes renamed is one of PyTorch's with channels last.
        self._images = list(torch.from_numpy(images).permute(0, 1, 4, 2, 3))
        self._labels = list(torch.from_numpy(labels))

    def train(self, first, last):
        self._network.train()
        batches = zip(self._images[first:last], self._labels[first:last], strict=True)
        return torch.stack([self._step(*batch) for batch in batches]).mean().item()

    def _step(self, images, labels):
        self._optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self._network(images), labels)
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def forward(self):
        self._network.eval()
        with torch.inference_mode():
            return np.concatenate([self._network(images).softmax(dim=1).numpy() for images in self._images])

    def weights(self):
        return [_to_keras(parameter.detach()).numpy() for parameter in self._plain.parameters()]


def _network(rate):
    """The lesson's network, to logits: cross_entropy has the softmax in it."""
    layers, channels = [], 3
    for filters in (32, 64, 128, 256):
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = filters
    layers += [nn.Flatten()]
    values = 4 * channels
    for units in (256, 512):
        layers += [nn.Linear(values, units), nn.ReLU(), nn.Dropout(rate)]
        values = units
    return nn.Sequential(*layers, nn.Linear(values, 10))


def _from_keras(weight):
    """A weight of Keras's in PyTorch's layout; the first dense layer (1024, 256) takes channels first."""
    if weight.ndim == 4:
        return weight.permute(3, 2, 0, 1)
    if weight.shape == (1024, 256):
        weight = weight.reshape(2, 2, 256, 256).permute(2, 0, 1, 3).reshape(1024, 256)
    return weight.T if weight.ndim == 2 else weight


def _to_keras(weight):
    """The other way round."""
    if weight.ndim == 4:
        return weight.permute(2, 3, 1, 0)
    if weight.shape == (256, 1024):
        weight = weight.reshape(256, 256, 2, 2).permute(0, 2, 3, 1).reshape(256, 1024)
    return weight.T if weight.ndim == 2 else weight
