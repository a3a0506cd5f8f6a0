"""Executor on a Dask cluster, which this process starts on this machine, or which runs already.

``settings``        Dask's settings
``own_cluster``     a cluster started on this machine, with TLS
``join``            connection to a running cluster, with TLS by Dask's configuration
``connect``         connection to either kind of cluster
``worker_plugin``   plugin that runs tasks on the workers
``cleanup_plugin``  plugin on the scheduler of a running cluster, which removes the other one
``translate``       errors of the cluster and its connection as errors for users
``dispatch``        assignment of tasks to workers, also after a worker's death
``executor``        the `Executor`

Only this package imports dask. Dask starts workers, notices deaths and transfers small tasks and results;
large objects stay inside a worker.
"""

from pipeline.executor.cluster.executor import ClusterExecutor

__all__ = ["ClusterExecutor"]
