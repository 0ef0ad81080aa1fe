"""Which K and seed: candidates, studies, sweeps, and the versions that come of them."""
