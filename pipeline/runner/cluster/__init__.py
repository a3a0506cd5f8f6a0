"""The crew of a Dask cluster: its own on this machine, or one that stands.

``settings``   Dask's settings
``own``        a cluster started on this machine, with TLS
``join``       the way to one that stands, with TLS by Dask's configuration
``connect``    a connection to either
``plugins``    what runs on its workers
``caretaker``  what runs on the scheduler of one that stands
``answers``    what a cluster answers, and what its silence means
``crew``       blocks of clips on its workers
``tasks``      any tasks on its workers

The only package that imports dask. Dask hands out blocks and notices deaths; everything large stays
inside a worker.
"""

from pipeline.runner.cluster.crew import ClusterCrew

__all__ = ["ClusterCrew"]
