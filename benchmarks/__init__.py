"""Measurements of speed, memory and false alarms that take too long for tests; each module is a command of its own."""
