"""What the numbers say, drawn: a module for each figure, `style` for what they share.

A user's settings reach none of them, for `drawing` is imported before anything of matplotlib's.
"""

from cifar.report import drawing as drawing
