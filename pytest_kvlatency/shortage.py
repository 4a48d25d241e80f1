"""What this machine gives the process no more of: open files and threads. Said as a cause, with the way out."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds for which a connection that finds no descriptor waits for others to close theirs.
PATIENCE_SECONDS: Final = 5.0
_ENOUGH_FILES: Final = 4096
#: Descriptors for what is neither a console nor a request: pytest's own, the reports', the tests'.
_OTHER_FILES: Final = 40
_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
_FEWER_AT_ONCE: Final = "or measure fewer pairs at once (--kv-parallel 4)"


def shortage(error: BaseException) -> ConfigError | None:
    """The cause, where ``error`` comes of a limit on open files or on threads; None for any other."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.errno in _FILES:
            return _too_many_files(found.errno)
        if isinstance(found, RuntimeError) and "can't start new thread" in str(found):
            return _too_many_threads()
        found = found.__cause__ or found.__context__
    return None


@contextmanager
def told() -> Iterator[None]:
    """Raise the cause of what comes of a limit inside; what is put into words already stays as it is."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        lacking = shortage(error)
        if lacking is None:
            raise
        raise lacking from None


def at_once(most: int) -> int:
    """How many connections of one kind may be open at once: ``most``, or fewer where the limit on files is low."""
    limit = _files_limit()
    if limit is None:
        return most
    # Consoles are one kind, the requests of guests on their way another, those of measurements the third.
    return max(2, min(most, (limit - _OTHER_FILES) // 3))


def _files_limit() -> int | None:
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit


def _too_many_files(code: int) -> ConfigError:
    limit = _files_limit()
    if code == errno.ENFILE or limit is None:
        return ConfigError(
            "too many open files on this machine (the limit of the whole system is reached)",
            hint=f"Close other programs, {_FEWER_AT_ONCE}.",
            stage="setup",
        )
    return ConfigError(
        f"too many open files: the limit of this process is {limit} (ulimit -n)",
        hint=f"Raise the limit (ulimit -n {_ENOUGH_FILES}), {_FEWER_AT_ONCE}.",
        stage="setup",
    )


def _too_many_threads() -> ConfigError:
    return ConfigError(
        "this process cannot start more threads: a limit on processes or on memory is reached",
        hint=f"Raise the limit (ulimit -u, or the pod's limits on memory and pids), {_FEWER_AT_ONCE}.",
        stage="setup",
    )
