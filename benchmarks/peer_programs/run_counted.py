"""Run a command, wait for it and for every process that it leaves behind, and print their processor time.

    python run_counted.py COMMAND [ARGUMENT ...]

The last line of the output is one JSON document: code, the command's exit code, and cpu_seconds.
"""

import ctypes
import json
import os
import sys

_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Run the command. It has this process's standard streams, directory and environment."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this process cannot become the parent of orphans")
    command = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
    code, cpu_seconds = 0, 0.0
    while True:
        try:
            ended, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu_seconds += usage.ru_utime + usage.ru_stime
        if ended == command:
            code = os.waitstatus_to_exitcode(status)
    sys.stdout.write(json.dumps({"code": code, "cpu_seconds": cpu_seconds}) + "\n")


if __name__ == "__main__":
    main()
