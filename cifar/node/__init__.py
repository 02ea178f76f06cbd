"""This computer: what it is, how much of it may be used, and what it tells; each fact or why it cannot be had."""
