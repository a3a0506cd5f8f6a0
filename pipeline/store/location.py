"""Where a cache lies: a local folder or file, or a prefix in a bucket of an object store."""

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

from zarr.abc.store import Store

from pipeline.errors import CacheError, ConfigError, FileError, first_line, reason_of
from pipeline.store.sandboxed_store import BucketStore, ConfinedStore

if TYPE_CHECKING:
    from obstore.store import S3Store

Where = Union[str, Path, "Place"]
"""A place as functions take it."""

_ROOT_KEY = "zarr.json"
_S3 = "s3://"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_HDF5_SUFFIXES = (".h5", ".hdf5")
_RETRIES = 4
_RETRY_SECONDS = 10
_CONNECT_SECONDS, _REQUEST_SECONDS = "3s", "300s"


@dataclass(frozen=True)
class Place:
    """A place for a cache; `str` gives it back as the user wrote it. Made by `Place.of`."""

    text: str

    @classmethod
    def of(cls, where: Where) -> "Place":
        """The place that a text or a path names. Raises ConfigError for an address of another kind."""
        if isinstance(where, Place):
            return where
        text = str(where)
        if not _SCHEME.match(text):
            return cls(text)
        parts = text.removeprefix(_S3).rstrip("/").split("/")
        if not text.startswith(_S3) or len(parts) < 2 or not all(p.strip(".") for p in parts):  # noqa: PLR2004
            msg = f"'{text}' is no place for a cache; give a local folder, or s3://BUCKET/PREFIX."
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
        """The local path. Raises CacheError where there is none."""
        if not self.is_local:
            msg = f"'{self}' is not on this machine; a local path is needed here."
            raise CacheError(msg)
        return Path(self.text)

    @property
    def name(self) -> str:
        """The last part: 'feats.zarr'."""
        return PurePosixPath(self.text).name

    @property
    def stem(self) -> str:
        """The last part without its suffix: 'feats'."""
        return PurePosixPath(self.text).stem

    @property
    def is_hdf5(self) -> bool:
        """Whether it names an exported HDF5 file rather than a Zarr group."""
        return PurePosixPath(self.text).suffix.lower() in _HDF5_SUFFIXES

    def resolved(self) -> str:
        """The same place for whoever starts elsewhere: a local path made absolute."""
        return str(self.path.resolve()) if self.is_local else self.text

    def beside(self, name: str) -> "Place":
        """A neighbour of this place, in the same folder or under the same prefix; links are followed."""
        if self.is_local:
            return Place(str(self.path.resolve().with_name(name)))
        return Place(f"{self.text.rstrip('/').rpartition('/')[0]}/{name}")

    def exists(self) -> bool:
        """Whether something is there: locally any file or folder, in a bucket a complete cache.

        Raises CacheError when the bucket is not there or does not answer.
        """
        if self.is_local:
            return self.path.exists()
        root = self.read_object(_ROOT_KEY)
        return root is not None and _has_attributes(root)

    def zarr_store(self, *, read_only: bool) -> Store:
        """What zarr needs to open the group that lies here."""
        if self.is_local:
            return ConfinedStore(self.path, read_only=read_only)
        return BucketStore(self.object_store(), read_only=read_only)

    def object_store(self) -> "S3Store":
        """The bucket, seen from this prefix; its keys, address and credentials are those of AWS_*.

        Raises CacheError when the package for it is missing.
        """
        if find_spec("obstore") is None:
            msg = f"'{self}' needs the package 'obstore': pip install obstore."
            raise CacheError(msg)
        bucket, _, prefix = self.text.removeprefix(_S3).rstrip("/").partition("/")
        with self.refusals_told("cannot be opened"):
            return _connected(bucket, prefix, _settings())

    def read_object(self, key: str) -> bytes | None:
        """The object of that key under this prefix, None where there is none.

        Raises CacheError where no object store answers, or one without this bucket.
        """
        with self.refusals_told("cannot be reached"):
            try:
                return bytes(self.object_store().get(key).bytes())
            except FileNotFoundError as error:
                if "NoSuchKey" in str(error):
                    return None
                raise

    @contextmanager
    def refusals_told(self, trouble: str, remedy: str = "") -> Iterator[None]:
        """Turn what a disk or an object store refuses into a CacheError of one line.

        trouble: what does not work then. remedy: what to do, where that is not plain from the reason.
        """
        try:
            yield
        except self._refusals() as error:
            raise CacheError(self._told(trouble, error, remedy)) from error

    def _refusals(self) -> tuple[type[Exception], ...]:
        if self.is_local:
            return (OSError, FileError)
        from obstore.exceptions import BaseError

        return (OSError, FileError, BaseError)

    def _told(self, trouble: str, error: Exception, remedy: str = "") -> str:
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
            ("404 Not Found", f"the endpoint {endpoint} is no object store; check AWS_ENDPOINT_URL."),
            ("HTTP error", f"the endpoint {endpoint} does not answer; check AWS_ENDPOINT_URL."),
        ):
            if sign in text:
                return reason
        return f"{first_line(error)}."


def _has_attributes(document: bytes) -> bool:
    """Whether a group's document is complete: its creator writes the attributes last."""
    try:
        return bool(json.loads(document)["attributes"])
    except (ValueError, TypeError, LookupError):
        return True


def _endpoint() -> str:
    """The address of the object store where the environment names one, else ''."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _settings() -> tuple[tuple[str, str], ...]:
    """What the environment says about the object store."""
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


@lru_cache(maxsize=16)
def _connected(bucket: str, prefix: str, settings: tuple[tuple[str, str], ...]) -> "S3Store":
    """A connection, kept for the next request as long as the environment is the same."""
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
