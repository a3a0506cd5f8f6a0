"""Status of the files of a dataset, of which there may be millions."""

import os
from pathlib import Path


class FileStatus:
    """Reader of the status of files below a directory; links are followed.

    A directory that does not exist is looked up once, and not for each of its files.

    Args:
        root: Directory that paths start from.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prefix = os.path.join(root, "")  # noqa: PTH118 - of a million
        self._is_there: dict[str, bool] = {}

    def of(self, path: str) -> os.stat_result | None:
        """Return the status of a file; None if nothing is there.

        Args:
            path: Path relative to the root, with '/', or absolute.

        Raises:
            OSError: The file exists, perhaps, but its status cannot be read.
            ValueError: The path has a null character.
        """
        folder = path.rpartition("/")[0]
        if not self._is_there.get(folder, True):
            return None
        try:
            return os.stat(self._at(path))  # noqa: PTH116 - of a million
        except (FileNotFoundError, NotADirectoryError):
            if folder not in self._is_there:
                self._is_there[folder] = os.path.exists(self._at(folder))  # noqa: PTH110 - of a million
            return None

    def _at(self, path: str) -> str:
        return path if path.startswith("/") else f"{self._prefix}{path}"
