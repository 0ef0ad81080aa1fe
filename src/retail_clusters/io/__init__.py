"""The edges: the Spark session, files, MLflow, charts. They do not import one another."""
