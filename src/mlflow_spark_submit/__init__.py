"""An MLflow project backend that submits entry points to the user's own Spark cluster.

`mlflow run . --backend spark-submit --backend-config cluster.json`
"""
