"""Plugin on the scheduler of a running cluster."""

from distributed import Scheduler, SchedulerPlugin


class CleanupPlugin(SchedulerPlugin):
    """Scheduler plugin that removes a plugin from the workers when its client disconnects.

    Args:
        plugin: Name of the plugin on the workers.
        client: Id of the client that registered it.
    """

    def __init__(self, plugin: str, client: str) -> None:
        self.name = f"{plugin}-cleanup"
        self._plugin = plugin
        self._client = client

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Remove the plugin. Dask calls this when a client leaves, or its connection breaks."""
        if client != self._client:
            return
        scheduler.loop.add_callback(scheduler.remove_plugin, name=self.name)
        if self._plugin in scheduler.worker_plugins:
            scheduler.loop.add_callback(scheduler.unregister_worker_plugin, comm=None, name=self._plugin)
