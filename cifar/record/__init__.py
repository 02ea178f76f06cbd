"""The contract: files that are passed on from one command to the next, and what may stand in them."""
