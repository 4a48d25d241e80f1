"""What a simulated guest's terminal does as a real one's: getty's settings, and BusyBox's line editor."""

from __future__ import annotations

import asyncio

import pytest


def go(coroutine):
    asyncio.run(coroutine)


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_without_echo_busybox_takes_the_end_of_a_job_for_the_end_of_its_input(lab, shell):
    async def scenario():
        async with lab(shell=shell) as it:
            console = await it.guest(node="worker1", hostname="vmi-x")
            await console.login()
            console.type("stty -echo; sleep 0.3 &\r")
            await console.expect("vmi-x login: ")

    go(scenario())


def test_with_echo_busybox_outlives_its_jobs(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1")
            await console.login()
            await console.run("sleep 0.1 & true")
            await asyncio.sleep(0.3)
            assert (await console.run("echo alive"))[0].startswith("alive\n")

    go(scenario())


def test_bash_outlives_its_jobs_without_echo_too(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1", image="fedora")
            await console.expect("login: $")
            console.type("fedora\r")
            await console.expect("Password: ")
            console.type("fedora\r")
            await console.expect(r"\$ ")
            console.type("stty -echo; sleep 0.1 & echo star''ted\r")
            await console.expect("started\r\n")
            await asyncio.sleep(0.3)
            console.type("echo ali''ve\r")
            await console.expect("alive\r\n")

    go(scenario())


def test_getty_turns_carriage_returns_into_line_feeds_only_where_it_met_one(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1")
            await console.expect("login: $")
            console.type("root\n")
            await console.expect("# \x1b\\[6n")
            assert "-icrnl" in (await console.run("stty -a"))[0].split()
            console.type("exit\r")
            await console.login()
            assert "icrnl" in (await console.run("stty -a"))[0].split()

    go(scenario())


def test_enter_works_at_a_prompt_that_edits_and_is_dead_at_one_that_does_not(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1")
            await console.login()
            await console.run("stty -icrnl")
            assert await console.run("echo alive") == ("alive\n", 0)
            console.type("stty -echo; echo dea''d\r")
            await console.expect("dead\r\n")
            console.type("echo fir''st\recho seco''nd\n")
            await console.expect("second\r\n|not found")
            assert "first\r\n" not in console.text

    go(scenario())
