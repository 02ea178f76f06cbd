"""The lesson: its network is trained on each device, and one page tells how that went."""
