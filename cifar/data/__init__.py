"""The data: CIFAR-10, published or made up, as one HDF5 file that is complete or absent."""
