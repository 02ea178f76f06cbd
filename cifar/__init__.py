"""A benchmark suite: how does this GPU compare with this CPU on deep learning, and why."""
