"""The crew of a Dask cluster: its own on this machine, or one that stands.

``crew``      hands out blocks, and notices what becomes of them
``connect``   a cluster started here or joined
``plugins``   what runs on its workers and its scheduler
``answers``   what a cluster says, and what its silence means

The only package that imports dask. Dask hands out blocks and notices deaths; everything large stays
inside a worker.
"""

from pipeline.runner.cluster.crew import ClusterCrew

__all__ = ["ClusterCrew"]
