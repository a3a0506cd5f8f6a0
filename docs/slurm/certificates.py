"""Make the certificate of a Dask cluster, and the configuration that uses it, in a new directory.

    python docs/slurm/certificates.py ~/dask-tls
    export DASK_CONFIG=~/dask-tls/dask.yaml       # for scheduler, workers and `cli.py extract` alike

Scheduler, workers and clients show each other the same certificate, which serves as its own authority.
Only its owner can read the directory, because every reader of the key can run code on the cluster. The
certificate is valid for a year; make another for another cluster.
"""

import json
import os
import sys
from pathlib import Path

from distributed.security import Security

_NO_PAGES = "def dask_setup(server): server.http_server.stop(); server.services.pop('dashboard', None)"
"""Closes the port for HTTP, which Dask opens even with --no-dashboard, and announces no dashboard."""


def main(directory: Path) -> None:
    """Write cluster.pem, key.pem and dask.yaml into `directory`, which must not exist yet."""
    directory.mkdir(mode=0o700)
    made = Security.temporary()
    certificate, key = (directory.resolve() / name for name in ("cluster.pem", "key.pem"))
    _write(certificate, made.tls_scheduler_cert)
    _write(key, made.tls_scheduler_key)
    pair = {"cert": str(certificate), "key": str(key)}
    tls = {"ca-file": str(certificate), "scheduler": pair, "worker": pair, "client": pair}
    settings = {
        "comm": {"require-encryption": True, "tls": tls},
        "scheduler": {"preload": [_NO_PAGES]},
        "worker": {"preload": [_NO_PAGES]},
    }
    _write(directory / "dask.yaml", json.dumps({"distributed": settings}, indent=2) + "\n")  # JSON is YAML


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
