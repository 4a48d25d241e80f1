"""The console subresource, through the control plane."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import pytest
from aiohttp import WSMsgType
from labtools import TIMEOUT, lab, phase

from pytest_kvlatency.lab.kubevirt.api import VMIS

PATH = "/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/{}/console"


def play(work):
    asyncio.run(asyncio.wait_for(work, TIMEOUT))


async def echoed(socket, data):
    """Type, and return what comes back, whatever the frames."""
    await socket.send_bytes(data)
    got = b""
    while len(got) < len(data):
        message = await socket.receive()
        assert message.type is WSMsgType.BINARY, message
        got += message.data
    return got


async def eof(socket):
    """Read to the end, which must come without a close frame; return what came before."""
    got = b""
    while (message := await socket.receive()).type is WSMsgType.BINARY:
        got += message.data
    assert message.type is WSMsgType.CLOSED
    assert socket.close_code == 1006
    return got


def test_bytes_both_ways_under_the_subprotocol(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            await running.running("a")
            async with running.console("a") as socket:
                assert socket.protocol == "plain.kubevirt.io"
                assert await echoed(socket, b"\xff\xfe\x00") == b"\xff\xfe\x00"

    play(story())


def test_text_frames_of_the_client_are_dropped(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            await running.running("a")
            async with running.console("a") as socket:
                await socket.send_str("lost")
                assert await echoed(socket, b"kept") == b"kept"
                assert running.hypervisor.guests["a"].typed == b"kept"

    play(story())


def test_there_is_no_scrollback(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            await running.running("a")
            running.hypervisor.guests["a"].say(b"before")
            async with running.console("a") as socket:
                assert await echoed(socket, b"after") == b"after"

    play(story())


def test_E08_a_newcomer_evicts_without_a_close_frame(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            await running.running("a")
            async with running.console("a") as first:
                await echoed(first, b"1")
                async with running.console("a") as second:
                    assert await eof(first) == b""
                    assert await echoed(second, b"2") == b"2"

    play(story())


def test_E08_a_client_that_left_does_not_hurt_the_next(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            await running.running("a")
            for _ in range(5):
                async with running.console("a") as socket:
                    assert await echoed(socket, b"x") == b"x"

    play(story())


def test_E14_the_refusals(tmp_path):
    async def story():
        async with lab(tmp_path, "nodes: [worker1, {name: worker2, unschedulable: true}]") as running:
            code, body = await running.get(PATH.format("nobody"))
            assert (code, body["kind"], body["reason"]) == (404, "Status", "NotFound")
            await running.create("waiting", nodeSelector={"kubernetes.io/hostname": "worker2"})
            code, body = await running.get(PATH.format("waiting"))
            assert (code, body["message"]) == (400, "VMI is not running")
            await running.running("mute", devices={"autoattachSerialConsole": False})
            code, body = await running.get(PATH.format("mute"))
            assert (code, body["message"]) == (400, "No serial consoles are present.")
            for how, final in (("crash", "Failed"), ("poweroff", "Succeeded")):
                await running.running(how)
                running.hypervisor.guests[how].end(how)
                await running.until(how, lambda vmi, final=final: vmi and phase(vmi) == final)
            code, body = await running.get(PATH.format("crash"))
            assert code == 409
            assert "VMI is in failed status" in body["message"]
            code, body = await running.get(PATH.format("poweroff"))
            assert (code, body["message"]) == (400, "VMI is not running")

    play(story())


def test_only_the_control_plane_is_served(tmp_path):
    async def story():
        async with (
            lab(tmp_path) as running,
            aiohttp.ClientSession() as session,
            session.get(running.half.console_url + PATH.format("a")) as answer,
        ):
            assert answer.status == 403

    play(story())


def test_E54_without_the_permission_the_console_is_forbidden(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            await running.running("a")
            tls = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
            headers = {
                "Authorization": f"Bearer {running.plane.token_for('nobody', ['system:authenticated'])}"
            }
            url = running.plane.server + PATH.format("a")
            async with aiohttp.ClientSession(headers=headers) as session, session.get(url, ssl=tls) as answer:
                assert answer.status == 403

    play(story())


def test_E55_power_off_is_eof_after_the_last_words(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            await running.running("a")
            async with running.console("a") as socket:
                await echoed(socket, b"x")
                running.hypervisor.guests["a"].say(b"Power down")
                running.hypervisor.guests["a"].end("poweroff")
                assert await eof(socket) == b"Power down"

    play(story())


def test_E55_deletion_is_eof(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            await running.running("a")
            async with running.console("a") as socket:
                await echoed(socket, b"x")
                await running.api.delete(VMIS, "default", "a")
                await eof(socket)

    play(story())


@pytest.mark.parametrize("fault", ["console-drop", "console-evict"])
def test_E10_a_connection_that_drops_and_the_next_that_holds(tmp_path, fault):
    text = f"faults: [{{fault: {fault}, after: 50ms, times: 1}}]"

    async def story():
        async with lab(tmp_path, text) as running:
            await running.running("a")
            async with running.console("a") as socket:
                await eof(socket)
            async with running.console("a") as socket:
                await asyncio.sleep(0.1)
                assert await echoed(socket, b"x") == b"x"

    play(story())


def test_E14_the_upgrade_is_refused_for_a_while(tmp_path):
    text = "faults: [{fault: console-error, code: 503, times: 1}]"

    async def story():
        async with lab(tmp_path, text) as running:
            await running.running("a")
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                async with running.console("a"):
                    pass
            assert caught.value.status == 503
            async with running.console("a") as socket:
                assert await echoed(socket, b"x") == b"x"

    play(story())


def test_E14_the_handler_upgrades_and_ends_at_once(tmp_path):
    async def story():
        async with lab(tmp_path, "faults: [{fault: console-late-eof, times: 1}]") as running:
            await running.running("a")
            async with running.console("a") as socket:
                assert await eof(socket) == b""

    play(story())


def test_E09_an_idle_connection_is_dropped(tmp_path):
    async def story():
        async with lab(tmp_path, "faults: [{fault: console-idle, after: 1s}]") as running:
            await running.running("a")
            async with running.console("a") as socket:
                await echoed(socket, b"x")
                await eof(socket)

    play(story())


def test_E13_each_byte_in_a_frame_of_its_own(tmp_path):
    async def story():
        async with lab(tmp_path, "faults: [{fault: console-shred}]") as running:
            await running.running("a")
            async with running.console("a") as socket:
                await socket.send_bytes("é".encode())
                assert [(await socket.receive()).data for _ in range(2)] == [b"\xc3", b"\xa9"]

    play(story())


def test_virtctl_finds_version_and_discovery(tmp_path):
    async def story():
        async with lab(tmp_path) as running:
            code, body = await running.get("/apis/subresources.kubevirt.io/v1/version")
            assert code == 200
            assert body["gitVersion"].startswith("v1.")
            code, body = await running.get("/apis/subresources.kubevirt.io/v1")
            assert code == 200
            assert "virtualmachineinstances/console" in [item["name"] for item in body["resources"]]
            code, _ = await running.get("/apis/subresources.kubevirt.io")
            assert code == 200

    play(story())
