"""Constants of the simulation, each with its source."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scaling import measures
from benchmarks.scaling.requests import counted_requests
from pipeline.store.location import REQUESTS

RESULTS = Path(__file__).parents[1] / "results"
_S3 = "Amazon S3 User Guide, Best practices design patterns: optimizing Amazon S3 performance"
_VALIDATION = {"num_blocks": 60, "device_seconds": 0.2, "write_seconds": 0.3}

ASSUMED: dict[str, tuple[float, str]] = {
    "clips_per_second": (
        80,
        "assumption: 32 images of ViT-L/14 per clip, of 0.162 TFLOP each, are 42% of the 989 TFLOP/s (fp16) "
        "of an H100's data sheet; no GPU has been measured",
    ),
    "cores_per_worker": (16, "assumption: CPU cores for the decoders of one GPU"),
    "disk_latency_seconds": (1e-3, "assumption: one operation on a shared disk"),
    "disk_bytes_per_second": (2e9, "assumption: a shared disk, all workers together"),
    "worker_bytes_per_second": (1.25e9, "assumption: a network of 10 Gbit/s for each worker"),
    "node_workers": (8, "assumption: GPUs of a node"),
    "replace_seconds": (120, "assumption: until a node that vanished is replaced, without the start"),
}
DOCUMENTED: dict[str, tuple[float, str]] = {
    "store_latency_seconds": (0.1, f"documented: roughly 100 to 200 ms for a small object; {_S3}"),
    "store_writes_per_second": (3500, f"documented: at least, for each partitioned prefix; {_S3}"),
    "store_reads_per_second": (5500, f"documented: at least, for each partitioned prefix; {_S3}"),
    "notice_seconds": (30, "Dask's setting distributed.comm.timeouts.tcp: a machine that does not answer"),
    "concurrent_reads": (REQUESTS, "the program's value of zarr's async.concurrency, for a bucket"),
}


@dataclass(frozen=True)
class Constants:
    """Constants by name.

    Attributes:
        values: Numbers, in seconds, bytes, or counts.
        sources: Where each is from.
        requests: Result of `counted_requests`.
        validation: A run of two real workers whose blocks only sleep: its settings and its seconds.
    """

    values: dict[str, float]
    sources: dict[str, str]
    requests: dict[str, Any]
    validation: dict[str, float]

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def of_requests(self, phase: str, kind: str, part: str = "fixed") -> float:
        """Return a count of requests; 0 for one that is not there."""
        return float(self.requests[phase].get(part, {}).get(kind, 0))

    @classmethod
    def of(cls, measured: dict[str, Any]) -> "Constants":
        """Return measured constants (`measure`) with those that are documented or assumed."""
        bench = json.loads((RESULTS / "bench-cpu.json").read_text(encoding="utf-8"))
        found = {**ASSUMED, **DOCUMENTED}
        of_bench = f"benchmarks/results/bench-cpu.json, commit {bench['commit']}"
        found["block_seconds"] = (
            bench["parts"]["dask"]["ms_per_block"] / 1e3,
            f"{of_bench}, part dask: empty blocks; scheduler, client and two workers on two cores",
        )
        found["decoded_per_core"] = (
            bench["parts"]["decode"]["clips_per_second_core"], f"{of_bench}, part decode: clips of 360p"
        )  # fmt: skip
        where = f"measured on {measured['cpu']}, {measured['cores']} cores, {measured['date'][:10]}"
        found |= {name: (value, f"{where}: {_MEASURED[name]}") for name, value in measured["values"].items()}
        return cls(
            values={name: value for name, (value, _) in found.items()},
            sources={name: source for name, (_, source) in found.items()},
            requests=measured["requests"],
            validation=measured["validation"],
        )


_MEASURED = {
    "plan_clip_seconds": "reading the list, leaks, creating the cache, planning; CPU time per clip",
    "chunk_seconds": "reading one small chunk by zarr, as from a bucket, but from a local disk; CPU time",
    "disk_chunk_seconds": "reading one small chunk from a local disk without zarr; CPU time",
    "loop_worker_seconds": "a wake-up of the client, for each worker",
    "event_seconds": "a progress report through scheduler and client, with the workers on the same cores",
    "start_seconds": "start of Dask and two worker processes on the same cores, without models",
    "load_seconds": "loading ViT-L/14 with random weights on the CPU",
}


def measure(about: dict[str, Any], num_clips: int) -> dict[str, Any]:
    """Measure the constants of this machine.

    Args:
        about: Machine, date and commit.
        num_clips: Clips of the list for planning.
    """
    planning = measures.planning_seconds(num_clips)
    return {
        "date": about["date"],
        "commit": about["commit"],
        "cpu": about["machine"]["cpu"],
        "cores": about["machine"]["cores"],
        "load_average": about["machine"]["load_average"],
        "planning": {"clips": num_clips, "seconds_per_clip": planning},
        "values": {
            "plan_clip_seconds": sum(planning.values()),
            **dict(zip(("chunk_seconds", "disk_chunk_seconds"), measures.chunk_seconds(), strict=True)),
            "loop_worker_seconds": measures.loop_seconds_per_worker(),
            "event_seconds": measures.event_seconds(),
            "start_seconds": measures.cluster_start_seconds(),
            "load_seconds": measures.load_seconds(),
        },
        "validation": {**_VALIDATION, "seconds": measures.two_workers_seconds(**_VALIDATION)},
        "requests": counted_requests(),
    }
