"""Devices as TensorFlow, JAX and PyTorch have them: the only place that is to import one of these.

One file a backend, `tensorflow.py` with all verbs that are in use: `claim` and `check_placement`, what a claimed
`Device` does (`scope`, `wait`, its peak memory), `executed` and `software`. `jax.py` and `torch.py` say why a GPU is
missing. Nothing else here imports a framework, so that a node can be looked at without one.
"""
