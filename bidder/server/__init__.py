"""The door: the bid lane for bids, FastAPI for everything else."""
