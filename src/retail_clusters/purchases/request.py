"""What `purchases` is asked to do, checked before Spark starts: imports nothing that takes seconds."""

from dataclasses import dataclass, field
from typing import Final, Literal

from retail_clusters.data import csv_files
from retail_clusters.errors import InputError
from retail_clusters.infra import storage
from retail_clusters.input_settings import Input
from retail_clusters.settings import Purchases

Mode = Literal["batch", "stream"]

#: Where each mode writes unless told: never to the folder of the other, nor to the scorer's.
OUTPUTS: Final = {"batch": "output/purchases/batch", "stream": "output/purchases/live"}


@dataclass(frozen=True)
class PurchasesRequest:
    """Spend per customer and day: of which lines, how, and where it goes.

    `mode="batch"` sums up files at rest; `mode="stream"` drains them through the table
    `customer_purchases`, and compares that with the batch.
    """

    data: str
    mode: Mode = "batch"
    top: int = 10
    output: str | None = None
    settings: Purchases = field(default_factory=Purchases)
    how: Input = field(default_factory=Input)

    @property
    def place(self) -> str:
        """Return the folder of the result."""
        return self.output or OUTPUTS[self.mode]


def check(request: PurchasesRequest) -> None:
    """Refuse what cannot be done.

    Raises:
        InputError: `top` is below 1, or the data cannot be read.
    """
    if request.top < 1:
        raise InputError(f"top must be at least 1, but got {request.top}: say how many rows to show")
    storage.check(request.place)
    csv_files.check_data(request.data, request.how)
