"""What `make bench` measures: side by side, medians of several runs, ratios."""
