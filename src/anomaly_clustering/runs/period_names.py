"""Periods of time that `trends` counts by, and when shifts begin by default; light, so that --help needs no NumPy."""

from datetime import time

PERIODS_OF_TIME = ("hour", "day", "week", "month", "shift")
SHIFTS = (time(6), time(14), time(22))
