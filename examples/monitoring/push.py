"""Waits for the end of the checkup, which a sidecar learns by SIGTERM, and pushes its metrics to a Pushgateway."""

import os
import signal
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

TRIES = 5


def main() -> None:
    """Push the file that the command line names."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.sigwait({signal.SIGTERM})
    file = Path(sys.argv[1])
    if not file.exists():
        sys.exit("the checkup has ended without metrics: see its log")
    url = f"{os.environ['PUSHGATEWAY']}/metrics/job/kvlatency/checkup/{os.environ['CHECKUP']}"
    # PUT replaces all metrics of the last run: a pair that is no longer measured goes.
    headers = {"Content-Type": "text/plain; version=0.0.4"}
    request = Request(url, data=file.read_bytes(), method="PUT", headers=headers)  # noqa: S310 - the manifest's URL
    for number in range(TRIES):
        try:
            with urlopen(request, timeout=10):  # noqa: S310 - as above
                print(f"pushed the metrics to {url}")
                return
        except URLError as error:
            print(f"cannot push the metrics to {url}: {error}", file=sys.stderr)
            time.sleep(2**number if number < TRIES - 1 else 0)
    sys.exit(1)


main()
