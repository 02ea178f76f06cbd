"""The clock of `fit`: what it counts."""

from __future__ import annotations

import time

from cifar.workload import model, training
from cifar.workload.clock import StepClock
from cifar.workload.generator import DataGenerator


def test_steps_of_each_epoch_are_counted(small):
    """The clock has the seconds of each epoch's steps, without what comes at its end."""
    clock, generator = StepClock(), DataGenerator(small, batch_size=100)
    generator.on_epoch_end = lambda: time.sleep(0.5)
    network = training.prepare(model.build())
    begin = time.perf_counter()
    network.fit(generator, epochs=2, steps_per_epoch=3, callbacks=[clock], verbose=0)
    seconds = time.perf_counter() - begin
    assert len(clock.seconds) == 2
    assert min(clock.seconds) > 0
    assert sum(clock.seconds) < seconds - 2 * 0.5
