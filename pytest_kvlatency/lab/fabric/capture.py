"""Writes frames to a file that tcpdump and Wireshark read: pcap with nanoseconds (draft-ietf-opsawg-pcap)."""

from __future__ import annotations

import logging
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("pytest_kvlatency.lab")

_MAGIC_NANOSECONDS = 0xA1B23C4D
_LINKTYPE_ETHERNET = 1
_SNAP_LENGTH = 65_600


class Capture:
    """One file. Each frame is in it once ``add`` returns, so that the file can be read while the lab runs."""

    def __init__(self, path: Path) -> None:
        """Make the file, or empty it. Raises ``OSError``."""
        self._path = path
        self._file = path.open("wb", buffering=0)
        # Frames are as far apart as the monotonic clock says, whatever becomes of the machine's time of day.
        self._epoch_ns = time.time_ns() - time.monotonic_ns()
        self._file.write(
            struct.pack("<IHHiIII", _MAGIC_NANOSECONDS, 2, 4, 0, 0, _SNAP_LENGTH, _LINKTYPE_ETHERNET)
        )

    def add(self, frame: bytes) -> None:
        """Write a frame that arrives now. A file that cannot be written any more ends here, with a warning."""
        if self._file.closed:
            return
        seconds, nanoseconds = divmod(self._epoch_ns + time.monotonic_ns(), 1_000_000_000)
        head = struct.pack("<IIII", seconds, nanoseconds, len(frame), len(frame))
        try:
            self._file.write(head + frame)
        except OSError as error:
            log.warning("the capture %s ends here: %s", self._path, error)
            self._file.close()

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._file.close()
