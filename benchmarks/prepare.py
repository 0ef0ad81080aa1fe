"""Reading, keeping and digesting the lines, against one bare pass that parses every column of the same CSV."""

from benchmarks.common import DATA, print_table, session, take_turns
from retail_clusters import schema
from retail_clusters.data import prepare
from retail_clusters.input_settings import Input


def main() -> None:
    """Let the two take turns in one session."""
    with session() as spark:
        source = prepare.source(DATA, Input())

        def bare() -> None:
            reader = spark.read.option("header", True).option("escape", '"').schema(schema.INVOICE_LINE)
            reader.csv(DATA).write.format("noop").mode("overwrite").save()

        def make() -> None:
            prepare.make(spark, source, run_id="benchmark")

        for _ in range(15):  # until the JVM has compiled what both run
            bare()
            make()
        print_table(
            f"{len(source.found.files)} files",
            take_turns(
                {"a bare pass (noop sink)": bare, "this project: parse, check, keep, digest": make},
                times=9,
            ),
            base="a bare pass (noop sink)",
        )
        print("\nAim: at most 1.5 times the bare pass.")


if __name__ == "__main__":
    main()
