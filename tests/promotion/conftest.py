from tests.shop import stocked, store

__all__ = ["stocked", "store"]
