import pytest
from distributed.scheduler import KilledWorker

from pipeline.errors import OusError
from pipeline.executor.cluster.translate import ResultTimeoutError, WorkerDiedError, result_of


class Ended:
    """A future whose task has ended: with an error, or with a result that its worker sends or not."""

    def __init__(self, error=None, *, status="finished", is_late=False):
        self.error, self.status, self.is_late = error, status, is_late

    def exception(self, timeout=None):
        return self.error

    def result(self, timeout=None):
        if self.is_late:
            raise TimeoutError
        if self.error is not None:
            raise self.error
        return "result"


def caused_by_a_timeout():
    error = OusError("of the task")
    error.__cause__ = TimeoutError()
    return error


@pytest.mark.parametrize("timeout", [None, 1.0])
def test_what_a_task_raises_is_raised_whatever_caused_it(timeout):
    with pytest.raises(OusError, match="of the task"):
        result_of(Ended(caused_by_a_timeout(), status="error"), timeout)
    with pytest.raises(PermissionError):
        result_of(Ended(PermissionError(), status="error"), timeout)
    assert result_of(Ended(), timeout) == "result"


def test_only_with_a_timeout_can_a_result_be_late_or_its_worker_dead():
    with pytest.raises(ResultTimeoutError):
        result_of(Ended(is_late=True), 1.0)
    with pytest.raises(OusError, match="connection to the Dask scheduler is lost"):
        result_of(Ended(is_late=True))
    with pytest.raises(WorkerDiedError):
        result_of(Ended(status="lost"), 1.0)
    died = KilledWorker("task", None, 1)
    with pytest.raises(WorkerDiedError):
        result_of(Ended(died, status="error"), 1.0)
    with pytest.raises(OusError, match="Workers die while they load the models"):
        result_of(Ended(died, status="error"))
