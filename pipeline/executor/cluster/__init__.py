"""Tasks on the workers of a Dask cluster: one of this process's own on this machine, or one that stands.

``settings``        Dask's settings
``own_cluster``     a cluster started on this machine, with TLS
``join``            connecting to one that stands, with TLS by Dask's configuration
``connect``         a connection to either
``worker_plugin``   what runs on its workers
``cleanup_plugin``  what runs on the scheduler of one that stands
``translate``       errors of the cluster and of the way to it, as errors for people
``dispatch``        which worker has which task, and what a worker's death means for them
``executor``        all of it as an `Executor`

The only package that imports dask. Dask starts workers, notices deaths and carries small tasks and results;
everything large stays inside a worker.
"""

from pipeline.executor.cluster.executor import ClusterExecutor

__all__ = ["ClusterExecutor"]
