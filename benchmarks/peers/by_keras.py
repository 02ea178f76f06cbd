"""Keras as the lesson calls it, `fit` and `predict` on arrays, on the backend that KERAS_BACKEND names."""

import keras

from cifar.workload import model
from cifar.workload.clock import StepClock


class Peer:
    """See `__main__.py`."""

    def __init__(self, weights, images, labels, *, rate, epsilon):
        self._images, self._labels, self._clock = images, labels, StepClock()
        self._network = model.build()
        for layer in self._network.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = rate
        self._network.set_weights(weights)
        self._network.compile(
            optimizer=keras.optimizers.Adam(learning_rate=0.001, epsilon=epsilon),
            loss="categorical_crossentropy",
            metrics=["accuracy"],
        )

    def train(self, first, last):
        images, labels = _joined(self._images[first:last]), _joined(self._labels[first:last])
        options = {"batch_size": self._images.shape[1], "callbacks": [self._clock], "shuffle": False, "verbose": 0}
        return self._network.fit(images, labels, **options).history["loss"][0]

    def step_seconds(self):
        """Of the last `train`, the seconds from its first step to its last: the rest comes once an epoch."""
        return self._clock.seconds[-1]

    def forward(self):
        return self._network.predict(_joined(self._images), batch_size=self._images.shape[1], verbose=0)

    def weights(self):
        return self._network.get_weights()


def _joined(batches):
    """Batches (k, n, …) as one array (k * n, …), a view."""
    return batches.reshape(-1, *batches.shape[2:])
