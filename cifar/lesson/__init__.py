"""The second product: the lesson, from the runs of its network on each device to the page that tells of them."""
