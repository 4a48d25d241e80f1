"""The ConfigMap contract as data (``tests/contract/*.yaml``), and what holds a checkup to it.

``cases`` reads the data, ``stage`` plays a case in a cluster, ``judging`` compares. How a checkup is started is the
caller's: a ``Runner`` is given environment, arguments and token, and gives back something that can be stopped and
waited for. So the same cases go through a process and through the image.
"""

from kvcontract.cases import Case, Step, documents, load
from kvcontract.judging import differences
from kvcontract.running import Ended, Launch, ProcessRun, Run, Runner
from kvcontract.stage import Observed, Stage

__all__ = [
    "Case",
    "Ended",
    "Launch",
    "Observed",
    "ProcessRun",
    "Run",
    "Runner",
    "Stage",
    "Step",
    "differences",
    "documents",
    "load",
]
