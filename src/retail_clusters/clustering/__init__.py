"""Weighted k-means and how it is measured: arrays in, arrays and records out, NumPy and SciPy alone.

A row stands for as many lines as its weight; a metric is that of the lines.
"""
