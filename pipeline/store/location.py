"""Location of a cache: a local directory or file, or a prefix in a bucket of an object store."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Union

import zarr
from zarr.abc.store import Store

from pipeline.errors import CacheError, ConfigError, FileError, first_line, reason_of
from pipeline.store.sandboxed_store import BucketStore, ConfinedStore

if TYPE_CHECKING:
    from obstore.store import S3Store

LocationLike = Union[str, Path, "Location"]
"""Location of a cache, as arguments of functions."""

_ROOT_KEY = "zarr.json"
_S3 = "s3://"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_HDF5_SUFFIXES = (".h5", ".hdf5")
_RETRIES = 4
_RETRY_SECONDS = 10
_ZARR_REQUESTS, REQUESTS = 10, 100
"""Requests of a read at the same time: zarr's default, and in a bucket."""
_CONNECT_SECONDS, _REQUEST_SECONDS = "3s", "300s"


@dataclass(frozen=True)
class Location:
    """Location of a cache, made by `Location.of`. `str` returns it as the user wrote it."""

    text: str

    @classmethod
    def of(cls, where: LocationLike) -> "Location":
        """Return the location that a text or a path names. Raises ConfigError for another kind of address."""
        if isinstance(where, Location):
            return where
        text = str(where)
        if not _SCHEME.match(text):
            return cls(text)
        parts = text.removeprefix(_S3).rstrip("/").split("/")
        if not text.startswith(_S3) or len(parts) < 2 or not all(p.strip(".") for p in parts):  # noqa: PLR2004
            msg = f"'{text}' is not a location of a cache; give a local directory, or s3://BUCKET/PREFIX."
            raise ConfigError(msg)
        return cls(text)

    def __str__(self) -> str:
        return self.text

    @property
    def is_local(self) -> bool:
        """Whether this is a path on this machine."""
        return not self.text.startswith(_S3)

    @property
    def path(self) -> Path:
        """The local path. Raises CacheError for object storage."""
        if not self.is_local:
            msg = f"'{self}' is not on this machine; a local path is needed here."
            raise CacheError(msg)
        return Path(self.text)

    @property
    def name(self) -> str:
        """Last part: 'feats.zarr'."""
        return PurePosixPath(self.text).name

    @property
    def stem(self) -> str:
        """Last part without its suffix: 'feats'."""
        return PurePosixPath(self.text).stem

    @property
    def is_hdf5(self) -> bool:
        """Whether it names an exported HDF5 file instead of a Zarr group."""
        return PurePosixPath(self.text).suffix.lower() in _HDF5_SUFFIXES

    def resolved(self) -> str:
        """Return the location for processes with another current directory: local paths are absolute."""
        return str(self.path.resolve()) if self.is_local else self.text

    def beside(self, name: str) -> "Location":
        """Return a location in the same directory or under the same prefix. Links are followed."""
        if self.is_local:
            return Location(str(self.path.resolve().with_name(name)))
        return Location(f"{self.text.rstrip('/').rpartition('/')[0]}/{name}")

    def exists(self) -> bool:
        """Return whether something is there: locally any file or directory, in a bucket a complete cache.

        Raises CacheError if the bucket does not exist or does not answer.
        """
        if self.is_local:
            return self.path.exists()
        root = self.read_object(_ROOT_KEY)
        return root is not None and _has_attributes(root)

    def zarr_store(self, *, read_only: bool) -> Store:
        """Return the store with which zarr opens the group at this location."""
        if self.is_local:
            return ConfinedStore(self.path, read_only=read_only)
        _allow_many_requests()
        return BucketStore(self.object_store(), read_only=read_only)

    def object_store(self) -> "S3Store":
        """Return the bucket below this prefix, with the address and credentials of AWS_*.

        Raises CacheError if the package obstore is missing.
        """
        if find_spec("obstore") is None:
            msg = f"'{self}' needs the package 'obstore': pip install obstore."
            raise CacheError(msg)
        bucket, _, prefix = self.text.removeprefix(_S3).rstrip("/").partition("/")
        with self.translate_errors("cannot be opened"):
            return _connected(bucket, prefix, _settings())

    def read_object(self, key: str) -> bytes | None:
        """Return the object of a key under this prefix; None if there is none.

        Raises CacheError if no object store answers, or it has no such bucket.
        """
        with self.translate_errors("cannot be reached"):
            try:
                return bytes(self.object_store().get(key).bytes())
            except FileNotFoundError as error:
                if "NoSuchKey" in str(error):
                    return None
                raise

    @contextmanager
    def translate_errors(self, trouble: str, remedy: str = "") -> Iterator[None]:
        """Translate errors of a disk or an object store into a CacheError of one line.

        trouble: the operation that fails, as a predicate of the location. remedy: what to do, if the reason
        does not show it.
        """
        try:
            yield
        except self._refusals() as error:
            raise CacheError(self._message(trouble, error, remedy)) from error

    def _refusals(self) -> tuple[type[Exception], ...]:
        if self.is_local:
            return (OSError, FileError)
        from obstore.exceptions import BaseError

        return (OSError, FileError, BaseError)

    def _message(self, trouble: str, error: Exception, remedy: str = "") -> str:
        reason = self._reason(error)
        return " ".join(part for part in (f"'{self}' {trouble}: {reason}", remedy) if part)

    def _reason(self, error: Exception) -> str:
        if self.is_local or (isinstance(error, OSError) and error.strerror):
            return f"{reason_of(error).removesuffix('.')}."
        text, bucket = str(error), self.text.removeprefix(_S3).partition("/")[0]
        endpoint = _endpoint() or "of AWS"
        for sign, reason in (
            ("NoSuchBucket", f"there is no bucket '{bucket}' at the endpoint {endpoint}; create it first."),
            ("169.254.", "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."),
            ("InvalidAccessKeyId", "the access key is not known there; check AWS_ACCESS_KEY_ID."),
            ("SignatureDoesNotMatch", "the secret key is wrong; check AWS_SECRET_ACCESS_KEY."),
            ("403 Forbidden", "access denied; these credentials may not do this here."),
            ("401 Unauthorized", "access denied; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."),
            ("404 Not Found", f"the endpoint {endpoint} is not an object store; check AWS_ENDPOINT_URL."),
            ("HTTP error", f"the endpoint {endpoint} does not answer; check AWS_ENDPOINT_URL."),
        ):
            if sign in text:
                return reason
        return f"{first_line(error)}."


def _has_attributes(document: bytes) -> bool:
    """Return whether a group's document is complete, because its creator writes the attributes last."""
    try:
        return bool(json.loads(document)["attributes"])
    except (ValueError, TypeError, LookupError):
        return True


def _allow_many_requests() -> None:
    """Let zarr read more chunks of a bucket at a time, unless the user has set its `async.concurrency`."""
    is_set = "ZARR_ASYNC__CONCURRENCY" in os.environ
    if not is_set and zarr.config.get("async.concurrency") == _ZARR_REQUESTS:
        zarr.config.set({"async.concurrency": REQUESTS})


def _endpoint() -> str:
    """Return the address of the object store that the environment names; empty without one."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _settings() -> tuple[tuple[str, str], ...]:
    """Return the settings of the object store in the environment."""
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


@lru_cache(maxsize=16)
def _connected(bucket: str, prefix: str, settings: tuple[tuple[str, str], ...]) -> "S3Store":
    """Return a connection, cached as long as the environment does not change."""
    from obstore.store import S3Store

    del settings
    endpoint = _endpoint()
    if endpoint and not endpoint.startswith(("http://", "https://")):
        msg = f"AWS_ENDPOINT_URL is '{endpoint}'; it must begin with http:// or https://."
        raise ConfigError(msg)
    return S3Store(
        bucket,
        prefix=prefix,
        client_options={
            "connect_timeout": _CONNECT_SECONDS,
            "timeout": _REQUEST_SECONDS,
            "allow_http": endpoint.startswith("http://"),
        },
        retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
    )
