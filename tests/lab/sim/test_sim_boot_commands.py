"""What cloud-init runs while a simulated guest boots."""

from __future__ import annotations

import asyncio

from pytest_kvlatency.guest import duplicates
from pytest_kvlatency.guest.watchdog import boot_command
from pytest_kvlatency.kube.manifest import user_data
from pytest_kvlatency.lab.spec.labspec import FaultSpec


def go(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 120))


def test_E92_a_guest_that_nobody_logs_into_powers_itself_off(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1", user_data=user_data(boot_commands=[boot_command(1)]))
            assert (await console.guest.wait_exit()).how == "poweroff"

    go(scenario())


def test_boot_commands_run_before_the_login_prompt_and_at_each_boot(lab):
    commands = ["echo booted >>$HOME/boots", ["sh", "-c", "echo 'two words' >>$HOME/boots"]]

    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1", user_data=user_data({"bootcmd": commands}))
            await console.login()
            # What runs beside the boot may take longer.
            await console.run("until grep -q words boots; do :; done 2>/dev/null")
            assert await console.run("cat boots") == ("booted\ntwo words\n", 0)
            console.type("reboot\r")
            await console.login()
            await console.run("until [ $(grep -c words boots) = 2 ]; do :; done")
            assert await console.run("grep -c booted boots") == ("2\n", 0)

    go(scenario())


def test_a_guest_without_cloud_init_runs_no_boot_command(lab):
    async def scenario():
        async with lab() as it:
            data = user_data({"bootcmd": ["echo booted >$HOME/boots"]})
            faults = (FaultSpec(fault="no-cloud-init"),)
            console = await it.guest(node="worker1", user_data=data, faults=faults)
            await console.login()
            assert (await console.run("cat boots 2>&1"))[1] == 1

    go(scenario())


def test_E20_an_address_is_looked_for_while_the_guest_boots(lab):
    address = "198.18.0.7"

    async def known(*faults):
        """What the guest has found out when it can be logged into."""
        check = duplicates.boot_command("02:00:00:00:00:01", address)
        async with lab() as it:
            console = await it.guest(
                node="worker1",
                address=f"{address}/24",
                user_data=user_data(boot_commands=[check]),
                faults=faults,
            )
            await console.login()
            file = "$TMPDIR/.kv-address"
            await console.run(f"while ! grep -qE 'silent|unknown' {file}; do :; done 2>/dev/null")
            return (await console.run(f"cat {file}"))[0].split()[::2]

    assert go(known()) == [address, "silent"]
    assert go(known("address-taken")) == [address, "unknown"]
