"""What is measured: the dataset, its generators, the network and its training."""
