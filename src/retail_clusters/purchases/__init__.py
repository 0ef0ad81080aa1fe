"""Spend per customer and day, in batch and as a stream."""
