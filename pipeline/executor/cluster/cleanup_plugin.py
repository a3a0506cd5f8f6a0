"""What runs on the scheduler of a cluster that stands."""

from distributed import Scheduler, SchedulerPlugin


class CleanupPlugin(SchedulerPlugin):
    """Removes a plugin from the workers of a cluster that stands, when its client vanishes.

    plugin: its name on the workers. client: the id of the client that put it there.
    """

    def __init__(self, plugin: str, client: str) -> None:
        self.name = f"{plugin}-cleanup"
        self._plugin = plugin
        self._client = client

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Called on the scheduler when a client leaves, and when its connection breaks."""
        if client != self._client:
            return
        scheduler.loop.add_callback(scheduler.remove_plugin, name=self.name)
        if self._plugin in scheduler.worker_plugins:
            scheduler.loop.add_callback(scheduler.unregister_worker_plugin, comm=None, name=self._plugin)
