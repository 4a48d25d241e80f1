"""Workers' calls: answered, raised again, and heard to end."""

from __future__ import annotations

import socket
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Listener

import pytest

from pytest_kvlatency.checkup.xdist.wire import Exchange, WorkerLink
from pytest_kvlatency.errors import (
    ConfigError,
    GapExceeded,
    InterruptedRunError,
    KvLatencyError,
    PermissionDeniedError,
)
from pytest_kvlatency.model import NadRef

pytestmark = pytest.mark.smoke

KEY = b"k" * 32


class Controller:
    def __init__(self, directory):
        self.gone = threading.Event()
        self.left = []
        self.exchange = Exchange(directory, KEY, answer=self._answer, hung_up=self._hung_up)

    def _answer(self, worker, message):
        if message == "permission":
            raise PermissionDeniedError("no", hint="ask", transcript="t", stage="run")
        if message == "usage":
            raise pytest.UsageError("wrong option")
        if message == "gap":
            raise GapExceeded("too long", hint="look")
        if message == "bug":
            raise ZeroDivisionError("oh")
        return worker, message

    def _hung_up(self, worker):
        self.left.append(worker)
        self.gone.set()


@pytest.fixture
def controller(tmp_path):
    controller = Controller(tmp_path)
    yield controller
    controller.exchange.close()


@pytest.fixture
def link(controller):
    link = WorkerLink(controller.exchange.address, KEY)
    link.call("gw0")
    yield link
    link.close()


def test_a_call_is_answered(link):
    nad = NadRef(namespace="a", name="b")
    assert link.call(nad) == ("gw0", nad)


def test_errors_keep_their_type_and_words(link):
    with pytest.raises(PermissionDeniedError) as caught:
        link.call("permission")
    error = caught.value
    assert (error.reason, error.hint, error.transcript, error.stage) == ("no", "ask", "t", "run")
    with pytest.raises(ConfigError, match="wrong option"):
        link.call("usage")
    with pytest.raises(KvLatencyError, match="ZeroDivisionError: oh"):
        link.call("bug")
    assert link.call("x")


def test_an_error_that_takes_other_arguments_keeps_its_words(link):
    with pytest.raises(ConfigError, match="too long") as caught:
        link.call("gap")
    assert caught.value.hint == "look"


def test_the_end_of_a_worker_is_heard(controller, link):
    link.close()
    assert controller.gone.wait(60)
    assert controller.left == ["gw0"]


def test_whoever_does_not_know_the_key_is_not_heard(controller, link):
    with pytest.raises(AuthenticationError):
        WorkerLink(controller.exchange.address, b"other")
    assert link.call("x")


def test_without_a_controller_the_run_is_interrupted(tmp_path):
    path = str(tmp_path / "gone")
    with Listener(path, "AF_UNIX", authkey=KEY) as listener:
        leaving = threading.Thread(target=lambda: listener.accept().close(), daemon=True)
        leaving.start()
        link = WorkerLink(path, KEY)
        leaving.join(60)
    for _ in range(2):
        with pytest.raises(InterruptedRunError, match="controller"):
            link.call("x")
    link.close()


def test_closing_waits_for_nobody_even_when_nobody_accepts_any_more(controller, link):
    # One that connects and says nothing keeps the thread that accepts.
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(controller.exchange.address)
        closing = threading.Thread(target=controller.exchange.close, daemon=True)
        closing.start()
        closing.join(60)
        assert not closing.is_alive()


@pytest.fixture
def no_threads(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    return lambda: monkeypatch.setattr(threading.Thread, "start", start)


def test_a_worker_for_which_no_thread_can_be_had_is_told_and_does_not_wait(controller, no_threads):
    no_threads()
    link = WorkerLink(controller.exchange.address, KEY)
    with pytest.raises(ConfigError, match="cannot start more threads"):
        link.call("gw0")
    link.close()


def test_without_a_thread_no_exchange_is_open(tmp_path, no_threads):
    no_threads()
    with pytest.raises(ConfigError, match="cannot start more threads"):
        Controller(tmp_path)
    assert list(tmp_path.iterdir()) == []
