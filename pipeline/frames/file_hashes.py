"""Identity of a clip's files: their size and the hash of their content."""

import hashlib
import os
from pathlib import Path

from pipeline.errors import ClipError, FileError
from pipeline.fingerprint import sha256_file
from pipeline.pictures import PictureFolder
from pipeline.types import SourceFile


def source_of(source: Path | PictureFolder) -> SourceFile:
    """Return size and sha256 of a file; for a directory, the sum of sizes, and a hash of names and hashes.

    Raises ClipError (stage ``open``) for a file that cannot be read, or is too large for a hash.
    """
    if isinstance(source, Path):
        try:
            return SourceFile(num_bytes=source.stat().st_size, sha256=sha256_file(source))
        except FileError as error:
            raise ClipError("open", str(error).replace(str(source), source.name)) from error
    num_bytes, digest = 0, hashlib.sha256()
    for name in source.names:
        picture = source_of(source.path / name)
        num_bytes += picture.num_bytes
        digest.update(os.fsencode(name) + b"\0" + picture.sha256.encode() + b"\n")
    return SourceFile(num_bytes=num_bytes, sha256=digest.hexdigest())


def source_of_both(frames: SourceFile, crops: SourceFile) -> SourceFile:
    """Return the identity of a clip that consists of frames and of face crops of the dataset."""
    digest = hashlib.sha256(f"{frames.sha256}\n{crops.sha256}\n".encode())
    return SourceFile(num_bytes=frames.num_bytes + crops.num_bytes, sha256=digest.hexdigest())
