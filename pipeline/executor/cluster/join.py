"""Connection to a running cluster, with TLS by Dask's own configuration, or without TLS."""

import asyncio
import json
import time
from pathlib import Path

from distributed import Client
from distributed.comm.core import FatalCommClosedError, connect
from distributed.security import Security

from pipeline.errors import OusError, first_line
from pipeline.executor.cluster.settings import JOIN_SECONDS, configure
from pipeline.plain_file import read_given

_MOST_BYTES = 1 << 20
"""Most bytes of a scheduler file, which has an address and a line for each worker."""

_WRITING_SECONDS, _POLL_SECONDS = 5.0, 0.05
_REMEDY = (
    "name ca-file, client.cert and client.key under distributed.comm.tls, in a YAML file that DASK_CONFIG "
    "names (docs/cluster.md)"
)


def join(scheduler: str) -> Client:
    """Connect to a scheduler, by its address or by the file that it has written.

    Raises OusError if none answers, or certificates are missing, unreadable, or of another authority than
    the scheduler's.
    """
    configure()
    address = scheduler if "://" in scheduler else _address_in(Path(scheduler))
    security = _security_for(address)
    try:
        asyncio.run(_reach(address, security))
        return Client(address, security=security, timeout=JOIN_SECONDS, set_as_default=False)
    except FatalCommClosedError as error:  # of the handshake
        msg = (
            f"The scheduler at {address} has other certificates than Dask's configuration here; give both "
            "the same ones, by DASK_CONFIG (docs/cluster.md)."
        )
        raise OusError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"No Dask scheduler answers at '{address}' ({first_line(error)}). Is it running?"
        if not _is_encrypted(address):
            msg += " The address of one with certificates begins with tls://."
        raise OusError(msg) from error


async def _reach(address: str, security: Security) -> None:
    """Connect once, so that no Client is made that fails.

    A Client that failed hangs the process when it is collected as garbage while the next one starts: both
    take a lock of the class that is not reentrant.
    """
    connection = await connect(address, timeout=JOIN_SECONDS, **security.get_connection_args("client"))
    connection.abort()


def plain_warning(address: str) -> str:
    """Return a warning in one line for a scheduler without TLS, "" for one with TLS."""
    if _is_encrypted(address):
        return ""
    return (
        f"{address} is without TLS: everybody who can connect to it, or to a worker, can run code there and "
        "here; see docs/cluster.md"
    )


def _is_encrypted(address: str) -> bool:
    return address.startswith(("tls://", "wss://"))


def _address_in(file: Path) -> str:
    """Return the address in a scheduler file, and wait for a file that is being written."""
    until = time.monotonic() + _WRITING_SECONDS
    while True:
        try:
            return str(json.loads(read_given(file, _MOST_BYTES))["address"])
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            if time.monotonic() > until:
                msg = f"'{file}' has no address; give the file of `dask scheduler --scheduler-file`."
                raise OusError(msg) from error
        time.sleep(_POLL_SECONDS)


def _security_for(address: str) -> Security:
    """Return the certificates of Dask's configuration. Raises OusError if they do not fit the address."""
    try:
        security = Security()
        has_certificates = security.get_connection_args("client")["ssl_context"] is not None
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        msg = f"The certificates of Dask's configuration cannot be used ({first_line(error)}); {_REMEDY}."
        raise OusError(msg) from error
    if _is_encrypted(address) and not has_certificates:
        msg = f"{address} needs certificates, and Dask's configuration has none; {_REMEDY}."
        raise OusError(msg)
    if security.require_encryption and not _is_encrypted(address):
        msg = (
            f"The scheduler at {address} is without TLS, and Dask's configuration requires it "
            "(distributed.comm.require-encryption); start it with certificates (docs/cluster.md)."
        )
        raise OusError(msg)
    return security
