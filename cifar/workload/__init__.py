"""What is measured: the generators of batches, the network and its training."""
