"""A local S3 server, and buckets on it."""

import itertools
import logging
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from obstore.store import S3Store

_numbers = itertools.count()


class Bucket:
    """An empty bucket. `env` is what a process needs in its environment to reach it."""

    def __init__(self, name: str, endpoint: str) -> None:
        self.name = name
        self.env = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "anyone",
            "AWS_SECRET_ACCESS_KEY": "anything",
        }

    def url(self, prefix: str) -> str:
        """The address of a prefix."""
        return f"s3://{self.name}/{prefix}"

    def store(self) -> "S3Store":
        """The bucket for a test that looks behind the scenes, or damages something."""
        from obstore.store import S3Store

        return S3Store(self.name, client_options={"allow_http": True})

    def objects(self, prefix: str = "") -> list[str]:
        """The keys of all objects under a prefix."""
        return sorted(found["path"] for batch in self.store().list(prefix or None) for found in batch)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of a local S3 server. Other tests run without the server's package."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket on a local S3 server, which the environment names."""
    made = Bucket(f"bucket-{next(_numbers)}", s3_endpoint)
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    put = urllib.request.Request(f"{s3_endpoint}/{made.name}", method="PUT")
    with urllib.request.urlopen(put):
        return made
