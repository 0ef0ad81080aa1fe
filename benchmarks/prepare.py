"""Reducing and digesting the lines, against one bare pass that parses every column of the same CSV."""

from benchmarks.common import DATA, print_table, session, take_turns
from retail_clusters import schema
from retail_clusters.data import csv_files, invoices, reduce
from retail_clusters.settings import Split


def main() -> None:
    """Let the two passes take turns in one session."""
    with session() as spark:
        found, layouts = csv_files.check_data(DATA)

        def bare() -> None:
            reader = spark.read.option("header", True).option("escape", '"').schema(schema.INVOICE_LINE)
            reader.csv(DATA).write.format("noop").mode("overwrite").save()

        def prepare() -> None:
            parsed, _ = invoices.read(spark, layouts)
            reduced = reduce.reduce_lines(parsed, split=Split()).cache()
            reduce.summarize(reduced)
            reduced.unpersist(blocking=True)

        for _ in range(15):  # until the JVM has compiled what both run
            bare()
            prepare()
        print_table(
            f"{len(found.files)} files",
            take_turns(
                {"a bare pass (noop sink)": bare, "this project: parse, check, reduce, digest": prepare},
                times=9,
            ),
            base="a bare pass (noop sink)",
        )
        print("\nAim: at most 1.5 times the bare pass.")


if __name__ == "__main__":
    main()
