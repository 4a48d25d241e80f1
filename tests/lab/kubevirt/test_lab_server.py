"""The lab as one server: which guests it takes, what it tells, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os

import pytest
from labtools import TIMEOUT

from pytest_kvlatency.lab.guests.qemu import setup
from pytest_kvlatency.lab.labserver import LabSetupError, run
from pytest_kvlatency.lab.spec.file import parse_spec


def up(spec, directory):
    """Run a lab until it is ready, and return what it said then."""
    told = []

    async def story():
        stop = asyncio.Event()

        def ready(info):
            told.append(info)
            stop.set()

        await run(parse_spec(spec), directory, ready, stop)

    asyncio.run(asyncio.wait_for(story(), TIMEOUT))
    return told[0]


def test_simulated_guests_on_request(tmp_path):
    info = up("sim", tmp_path)
    assert (info.guests, info.reason_not_qemu) == ("sim", "")
    written = json.loads((tmp_path / "lab.json").read_text())
    assert written["kubeconfig"] == str(tmp_path / "kubeconfig")
    assert written["server"].startswith("https://127.0.0.1:")
    assert written["pid"] == os.getpid()


def test_without_qemu_the_default_is_simulated_and_says_what_was_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "usable", lambda: "qemu-system-x86_64 is missing: run the set-up")
    info = up("auto", tmp_path)
    assert info.guests == "sim"
    assert info.reason_not_qemu == "qemu-system-x86_64 is missing: run the set-up"


def test_without_qemu_a_capture_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "usable", lambda: "qemu-system-x86_64 is missing: run the set-up")
    lab = tmp_path / "lab.yaml"
    lab.write_text("networks: {a/b: {capture: b.pcap}}", encoding="utf-8")
    with pytest.raises(LabSetupError, match="a capture needs real guests, which are not available: qemu-"):
        up(str(lab), tmp_path)
    assert not (tmp_path / "b.pcap").exists()


def test_without_qemu_real_guests_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "usable", lambda: "qemu-system-x86_64 is missing: run the set-up")
    with pytest.raises(LabSetupError, match="guests: qemu is not available: qemu-system-x86_64 is missing"):
        up("qemu", tmp_path)


def test_nothing_of_a_lab_runs_on(tmp_path):
    async def story():
        stop = asyncio.Event()
        work = run(parse_spec("sim"), tmp_path, lambda _: stop.set(), stop)
        await asyncio.wait_for(work, TIMEOUT)
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(story()) == []
