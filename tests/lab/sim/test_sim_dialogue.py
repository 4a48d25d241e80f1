"""The console of a simulated guest: boot, login, shell, log-out, and the faults of all these."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from pytest_kvlatency.lab.guests.base import HypervisorError
from pytest_kvlatency.lab.spec.labspec import FaultSpec

SHELLS = [name for name in ("dash", "bash") if shutil.which(name)]
#: With their outputs and exit statuses.
COMMANDS = [
    ("echo 'a # b' \"$ \" | tr a-z A-Z", "A # B $ \n", 0),
    ("false", "", 1),
    ("sh -c 'exit 7'", "", 7),
    ("no-such-program 2>/dev/null", "", 127),
    ("echo one > f; echo two >> f; wc -l < f | tr -d ' '; cat f", "2\none\ntwo\n", 0),
    ("for i in 1 2 3; do echo $i; done | sort -r | head -2", "3\n2\n", 0),
    ("x=$(printf '%s-' a b); echo \"[$x]\"", "[a-b-]\n", 0),
    (
        "ping -c 1 127.0.0.1 2>&1 | sed -n '/transmitted/p'",
        "1 packets transmitted, 1 packets received, 0% packet loss\n",
        0,
    ),
    ("cat /sys/class/net/eth0/address /etc/hostname", "02:00:00:00:00:01\nvm-1\n", 0),
    ("sudo -n id -u; whoami; uname -s", "0\nroot\nLinux\n", 0),
    ("cat nowhere 2>/dev/null", "", 1),
    ("timeout 0.05 ping 127.0.0.1 >/dev/null", "", 124),
    ("sleep 0.01 && echo slept", "slept\n", 0),
]


def go(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 120))


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("shell", SHELLS)
def test_boot_login_shell_and_logout(lab, shell):
    async def scenario():
        async with lab(shell=shell) as it:
            console = await it.guest(node="worker1", hostname="vmi-x")
            assert "Linux version" in await console.expect("vmi-x login: ")
            console.text = "login: "
            assert "Welcome to Alpine" in await console.login(prompt="vmi-x:~# \x1b[6n")
            assert await console.run("echo hello") == ("hello\n", 0)
            console.type("exit\r")
            await console.expect("vmi-x login: ")
            console.type("root\rhostname\r")
            await console.expect("hostname\r\n.*vmi-x\r\n")
            console.type("\x04")
            await console.expect("vmi-x login: ")

    go(scenario())


@pytest.mark.parametrize("shell", SHELLS)
def test_shell(lab, shell):
    async def scenario():
        async with lab(shell=shell) as it:
            console = await it.guest(node="worker1")
            await console.login()
            for command, output, status in COMMANDS:
                assert await console.run(command) == (output, status), command

    go(scenario())


def test_a_wide_terminal_and_long_lines(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1")
            await console.login()
            assert (await console.run("stty cols 500 rows 500; stty size"))[0] == "500 500\n"
            long = "x" * 2000
            assert await console.run(f"echo {long}") == (long + "\n", 0)

    go(scenario())


def test_writing_outside_the_guest_is_refused(lab, tmp_path):
    async def scenario():
        async with lab() as it:
            if not (it.hypervisor._host.programs / "rm").exists():
                pytest.skip("the kernel has no Landlock")
            console = await it.guest(node="worker1")
            await console.login()
            # What looks like /tmp may be the guest's own; /var/tmp is the host's.
            with tempfile.TemporaryDirectory(dir="/var/tmp") as elsewhere:
                victim = Path(elsewhere) / "victim"
                victim.write_text("safe")
                for command in (
                    f"echo gone > {victim}",
                    f"rm {victim}",
                    f"mv {victim} x",
                    f"touch {elsewhere}/new",
                ):
                    _, status = await console.run(f"{command} 2>/dev/null")
                    assert status != 0, command
                assert victim.read_text() == "safe"
                assert os.listdir(elsewhere) == ["victim"]  # noqa: PTH208
            _, status = await console.run(
                f"kill {os.getpid()} 2>/dev/null; sh -c 'kill {os.getpid()}' 2>/dev/null"
            )
            assert status != 0

    go(scenario())


def test_fedora_asks_for_a_password(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1", image="quay.io/containerdisks/fedora:38", hostname="f")
            await console.expect("f login: ")
            console.type("fedora\r")
            await console.expect("Password: ")
            console.type("wrong\r")
            await console.expect("Login incorrect.*f login: ")
            console.type("fedora\r")
            await console.expect("Password: ")
            console.type("fedora\r")
            assert "wrong" not in await console.expect(r"\[fedora@f ~\]\$ ")
            output, status = await console.run("ping -c 1 127.0.0.1; whoami")
            assert "1 packets transmitted, 1 received, 0% packet loss, time 0ms" in output
            assert (output.splitlines()[-1], status) == ("fedora", 0)

    go(scenario())


def test_E01_torn_prompt_heals_at_enter(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1", hostname="vm", faults=["torn-prompt"])
            torn = await console.expect(r"finished\. Datasource .*\r\n$")
            assert "vm login: " not in torn
            assert "cloud-init[" in torn
            console.type("\r")
            await console.expect("vm login: $")

    go(scenario())


def test_E02_last_failed_login_stands_above_the_prompts(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1", hostname="vm", faults=["last-failed-login"])
            assert "Last failed login: " in await console.expect("vm login: $")
            console.type("root\r")
            assert "Last failed login: " in await console.expect("# ")

    go(scenario())


def test_E03_without_cloud_init_the_host_is_localhost(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1", address="198.18.0.1/24", faults=["no-cloud-init"])
            await console.expect("localhost login: $")
            console.type("root\r")
            await console.expect("localhost:~# \x1b\\[6n")
            assert "198.18" not in (await console.run("ip -o addr"))[0]

    go(scenario())


@pytest.mark.parametrize(("command", "shown"), [("cat", "hello\r\nhello\r\n"), ("ping 127.0.0.1", "seq=2 ")])
def test_E04_in_the_middle_of_an_earlier_command(lab, command, shown):
    async def scenario():
        async with lab() as it:
            fault = FaultSpec(fault="already-logged-in", parameters={"command": command})
            console = await it.guest(node="worker1", faults=[fault])
            await console.expect(f"# .*{command}\r\n")
            console.type("hello\r")
            await console.expect(shown)
            console.type("\x03")
            await console.expect("# \x1b\\[6n")
            assert await console.run("echo back") == ("back\n", 0)

    go(scenario())


def test_network_data_alone_is_applied_at_once(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1", address="198.18.0.1/24", user_data="")
            await console.login()
            assert "198.18.0.1/24" in (await console.run("ip -o addr"))[0]

    go(scenario())


def test_E05_without_user_data_the_address_comes_after_two_minutes(lab):
    async def scenario():
        # Two minutes must not pass before the first look.
        async with lab(scale=20.0) as it:
            wait = FaultSpec(fault="datasource-wait")
            console = await it.guest(node="worker1", address="198.18.0.1/24", user_data="", faults=[wait])
            await console.login()
            assert "198.18" not in (await console.run("ip -o addr"))[0]
            await console.run("until ip -o addr | grep -q 198.18.0.1/24; do sleep 0.2; done")
            assert float((await console.run("cat /proc/uptime"))[0].split()[0]) > 120

    go(scenario())


def test_E12_kernel_messages_between_and_inside_lines(lab):
    async def scenario():
        async with lab() as it:
            fault = FaultSpec(fault="kernel-noise", parameters={"every": 3})
            console = await it.guest(node="worker1", faults=[fault])
            await console.login()
            console.type("ping -c 30 -i 0.1 127.0.0.1; echo =do''ne=\r")
            lines = (await console.expect("=done=")).replace("\r\n", "\n").splitlines()
            whole = [line for line in lines if line.startswith("64 bytes") and line.endswith(" ms")]
            assert 15 <= len(whole) < 30
            assert any("bytes from" in line and line.index("[ ") > 0 for line in lines if "[ " in line)
            assert any(line.startswith("[ ") for line in lines)

    go(scenario())


def test_E15_a_silent_guest_and_a_refused_login(lab):
    async def scenario():
        async with lab() as it:
            silent = await it.guest(node="worker1", address="198.18.0.1/24", faults=["silent"])
            refusing = await it.guest(node="worker1", faults=["login-refused"])
            await refusing.expect("login: $")
            refusing.type("root\r")
            await refusing.expect("Password: ")
            refusing.type("\r")
            await refusing.expect("Login incorrect.*login: $")
            silent.type("root\r")
            assert silent.text == ""
            assert silent.guest.serial_log == b""
            assert await silent.guest.addresses() == {}

    go(scenario())


def test_slow_boot(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="w", faults=[FaultSpec(fault="slow-boot", after_seconds=30.0)])
            assert await console.guest.addresses() == {}
            await console.login()
            assert float((await console.run("cat /proc/uptime"))[0].split()[0]) > 30

    go(scenario())


def test_without_a_sink_output_goes_to_the_log_only(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1")
            await console.expect("login: $")
            console.guest.detach(console._take)
            console.guest.write(b"root\r")
            late = []
            await until(lambda: b"# " in console.guest.serial_log)
            console.guest.attach(late.append)
            console.guest.detach(console._take)
            console.guest.write(b"\r")
            await until(lambda: late)
            assert b"Welcome" not in b"".join(late)

    go(scenario())


@pytest.mark.parametrize(
    "command",
    [
        "poweroff",
        "poweroff -f",
        "halt",
        "(sleep 0.05; poweroff -f) &",
        "nohup setsid sh -c 'sleep 0.05; poweroff -f' >/dev/null 2>&1 &",
    ],
)
def test_poweroff(lab, command):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1")
            await console.login()
            console.type(command + "\r")
            assert (await console.guest.wait_exit()).how == "poweroff"
            assert await console.guest.addresses() == {}
            await console.guest.kill()
            assert (await console.guest.wait_exit()).how == "poweroff"

    go(scenario())


def test_reboot_comes_up_again(lab):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1", address="198.18.0.1/24")
            await console.login()
            boot_id, status = await console.run("cat /proc/sys/kernel/random/boot_id")
            assert status == 0
            console.type("reboot\r")
            await console.expect("Linux version")
            await console.login()
            assert "198.18.0.1" in (await console.run("ip -o addr"))[0]
            assert (await console.run("cat /proc/sys/kernel/random/boot_id"))[0] != boot_id

    go(scenario())


def test_acpi_reaches_only_a_guest_with_acpid(lab):
    async def scenario():
        async with lab() as it:
            alpine = await it.guest(node="worker1")
            fedora = await it.guest(node="worker1", image="fedora")
            for console in (alpine, fedora):
                await console.expect("login: $")
                await console.guest.shutdown()
            assert (await fedora.guest.wait_exit()).how == "poweroff"
            assert await alpine.guest.addresses() != {}

    go(scenario())


def _environment(process):
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


def _processes_of(directory):
    processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [process.name for process in processes if str(directory).encode() in _environment(process)]


@pytest.mark.parametrize("how", ["kill", "close"])
def test_E60_nothing_is_left_behind(lab, how, tmp_path):
    async def scenario():
        async with lab() as it:
            console = await it.guest(node="worker1")
            await console.login()
            await console.run(
                "nohup setsid sh -c 'sleep 0.9; sleep 900; sleep 9' >/dev/null 2>&1 & sleep 500 & true"
            )
            console.type("ping 127.0.0.1\r")
            await console.expect("seq=1 ")
            assert _processes_of(tmp_path)
            if how == "kill":
                await console.guest.kill()
                assert (await console.guest.wait_exit()).how == "stopped"
            else:
                await it.hypervisor.close()
            assert _processes_of(tmp_path) == []
            assert not list(tmp_path.glob("*/sim/guest-*"))

    go(scenario())


@pytest.mark.skipif(shutil.which("busybox") is None, reason="no BusyBox here")
def test_a_busybox_that_prefers_its_own_applets_is_refused(lab):
    """Its poweroff would be the host's."""

    async def scenario():
        async with lab(shell="busybox"):
            pass

    if (
        subprocess.run(
            [shutil.which("busybox"), "sh", "-c", "basename /a/b"],
            env={"PATH": "/nonexistent"},
            capture_output=True,
            check=False,
        ).returncode
        == 0
    ):
        with pytest.raises(HypervisorError, match="prefers its own applets"):
            go(scenario())
    else:
        go(scenario())
