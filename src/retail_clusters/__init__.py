"""Cluster retail invoice lines with Spark ML KMeans, tracked and served through MLflow."""
