"""Everything that this project raises on purpose, each with the exit code that a user sees.

A message is one line: the law, what was found, the way out.
"""

from typing import ClassVar


class RetailClustersError(Exception):
    """Any failure that the project foresees; the command line prints it in one line."""

    exit_code: ClassVar[int] = 1


class InputError(RetailClustersError, ValueError):
    """Arguments, settings or data that the project refuses before it computes."""

    exit_code: ClassVar[int] = 2


class NoUsableClusteringError(RetailClustersError, RuntimeError):
    """A sweep whose every candidate breaks a guardrail."""


class StorageError(RetailClustersError, OSError):
    """A store that fails at what it is asked to do, though the location is a fitting one."""


class TransferError(RetailClustersError, OSError):
    """A download that did not arrive whole."""


class StoreError(RetailClustersError, OSError):
    """MLflow's tracking store does not answer, or refuses."""


class RegistryError(RetailClustersError, LookupError):
    """The model registry does not hold, or does not give, what was asked for."""


class NotRegisteredError(RegistryError):
    """A version or an alias that the registry does not hold."""

    exit_code: ClassVar[int] = 2


class PromotionRefusedError(RetailClustersError, RuntimeError):
    """A gate stands between a model version and the alias `champion`."""

    exit_code: ClassVar[int] = 3


class DifferenceFoundError(RetailClustersError, AssertionError):
    """Two computations that must agree to the last bit do not."""

    exit_code: ClassVar[int] = 4


class StoppedError(RetailClustersError, InterruptedError):
    """The user ended a job, which can go on from where it is."""

    exit_code: ClassVar[int] = 130
