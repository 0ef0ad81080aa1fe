"""What `purchases` is asked to do, checked before Spark starts."""

from dataclasses import dataclass, field
from typing import Final, Literal

from retail_clusters.data import csv_files
from retail_clusters.errors import InputError
from retail_clusters.infra import locations, storage
from retail_clusters.settings import Columns, Purchases

Mode = Literal["batch", "stream"]
Sink = Literal["memory", "parquet"]
Prove = Literal["new", "all"]

#: Where each way of summing up writes unless told: never to the folder of another, nor to the scorer's.
OUTPUTS: Final = {
    ("batch", "memory"): "output/purchases/batch",
    ("stream", "memory"): "output/purchases/live",
    ("stream", "parquet"): "output/purchases/stream",
}


@dataclass(frozen=True)
class PurchasesRequest:
    """Spend per customer and day: of which lines, how, and where it goes.

    `mode="batch"` sums up files at rest. `mode="stream"` with `sink="memory"` drains them through the
    table `customer_purchases`; with `sink="parquet"` it writes each day once that is closed, restartable
    from `checkpoint`, until nothing is left (`once`) or for ever. `prove` says which lines that stream
    compares with a batch when it ends: those that are new since the last proof, or all.
    """

    data: str
    mode: Mode = "batch"
    top: int = 10
    output: str | None = None
    sink: Sink = "memory"
    checkpoint: str | None = None
    once: bool = True
    sql: str | None = None
    prove: Prove = "new"
    settings: Purchases = field(default_factory=Purchases)
    columns: Columns = field(default_factory=Columns)

    @property
    def appends(self) -> bool:
        """Tell whether this is the stream that can be restarted."""
        return self.mode == "stream" and self.sink == "parquet"

    @property
    def place(self) -> str:
        """Return the folder of the result."""
        return self.output or OUTPUTS[self.mode, self.sink]


def check(request: PurchasesRequest) -> None:
    """Refuse what cannot be done.

    The appending stream quarantines a file with another header; the others, which are done when they end,
    refuse it here.

    Raises:
        InputError: an argument is wrong, or arguments do not go together.
    """
    if request.top < 1:
        raise InputError(f"top must be at least 1, but got {request.top}: say how many rows to show")
    if request.sink == "parquet" and not request.appends:
        raise InputError(
            "sink=parquet goes with mode=stream, but got mode=batch, which always writes Parquet"
        )
    if request.appends:
        _check_append(request)
    else:
        _check_finite(request)
    storage.check(request.place)
    storage.check(request.data)
    if request.once or not storage.is_folder(request.data):
        files = csv_files.find_files(request.data)
        if not request.appends:
            csv_files.check_headers(files, request.columns)


def _check_append(request: PurchasesRequest) -> None:
    if request.sql is not None:
        raise InputError(
            "sql asks the table customer_purchases, but sink=parquet keeps no table: "
            "use mode=batch, or mode=stream with sink=memory, or query the Parquet that is written"
        )
    if request.prove == "all" and not request.once:
        raise InputError("prove=all goes with once=true: a stream that runs for ever has no end to prove at")
    storage.check(request.checkpoint or request.place)


def _check_finite(request: PurchasesRequest) -> None:
    if request.checkpoint:
        raise InputError("checkpoint goes with sink=parquet: only that stream can be restarted; leave it out")
    if not request.once:
        raise InputError("once=false goes with sink=parquet: only that stream can run for ever; leave it out")
    if request.mode == "stream" and (links := csv_files.looping_links(request.data)):
        raise InputError(
            f"data must hold each file once, but {locations.for_display(links[0])} is a link to a folder that it "
            "stands in, which a stream follows again and again: remove it, or use mode=batch"
        )
    if request.prove == "all":
        raise InputError("prove=all goes with sink=parquet: the others always prove all; leave it out")
