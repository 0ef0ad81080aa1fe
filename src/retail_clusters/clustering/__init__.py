"""Weighted k-means and what is measured of it: NumPy alone."""
