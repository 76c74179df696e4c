"""What one task may take: time, and memory of its worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import UpscaleError

_STATUS = Path("/proc/self/status")
_GROUP, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_SHARE = 0.75


class TooLongError(UpscaleError):
    """A task takes longer than it may."""


@dataclass(frozen=True)
class Bounds:
    """What one task may take."""

    seconds: float = 1800.0
    memory: int = 0
    """Bytes that a worker may take for a task beyond what it has; 0: three quarters of the
    machine's (or the container's) memory, shared by all workers."""

    def memory_of(self, workers: int) -> int:
        """Return the bytes for each of so many workers, 0 where nobody knows the machine's."""
        return self.memory or int(_SHARE * _machine_memory() / max(workers, 1))


@contextmanager
def limited_memory(most: int) -> Iterator[None]:
    """Let this process take at most `most` bytes more inside; 0 is no limit. Linux only.

    What wants more gets a `MemoryError`, or torch's error of its allocator, and the process lives.
    Memory that is mapped from files or devices does not count (setrlimit(2), RLIMIT_DATA).
    """
    if not most or not _STATUS.exists():
        yield
        return
    import resource

    taken = _data_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = taken + most
    within = [limit for limit in (wanted, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(within), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    """Return what this process has taken already of what RLIMIT_DATA counts."""
    (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith("VmData:")]
    return int(line.split()[1]) << 10


def _machine_memory() -> int:
    """Return the bytes of memory that there are for this process, 0 where nobody knows."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return 0
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *_group_limits()])


def _group_limits() -> list[int]:
    """Return the memory limits of this process's control group and of those above it (version 2).

    https://docs.kernel.org/admin-guide/cgroup-v2.html
    """
    lines = _GROUP.read_text().splitlines() if _GROUP.exists() else []
    group = next((line[3:].strip("/") for line in lines if line.startswith("0::")), "")
    folder = _GROUPS / group
    files = [above / "memory.max" for above in (folder, *folder.parents)]
    texts = [file.read_text().strip() for file in files if file.is_file()]
    return [int(text) for text in texts if text.isdigit()]
