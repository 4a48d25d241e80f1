"""The fixtures and the extension points, against a lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Checkup

BLUE = ("--kv-nad", "default/blue-network")


def test_the_fixtures_give_what_they_promise(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import dataclasses
        import pytest
        from pytest_kvlatency.errors import CommandError, GuestError, NoValue

        @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2", max_avg="1s")
        def test_all(kv_settings, kv_check, kv_cluster, kv_pair, kv_latency):
            assert str(kv_check.nad) == "default/blue-network"
            assert str(kv_check.pair) == "worker1:worker2"
            assert kv_check.limits.max_avg_ns == 10**9
            assert kv_check.ping.count == 5
            with pytest.raises(dataclasses.FrozenInstanceError):
                kv_settings.namespace = "other"
            assert kv_cluster.namespace == "default"
            assert kv_cluster.server.startswith("https://")
            assert kv_cluster.versions == {"kubernetes": "v1.32.4", "kubevirt": "v1.6.2"}

            assert kv_pair.nad == "default/blue-network"
            assert (kv_pair.source.node, kv_pair.target.node) == ("worker1", "worker2")
            assert kv_pair.source.vmi_name != kv_pair.target.vmi_name
            said = kv_pair.source.run("ip -o addr", timeout="10s")
            assert said.exit_status == 0
            assert kv_pair.source.address in said.output
            assert kv_pair.target.run("exit 4", timeout=10).exit_status == 4
            with pytest.raises(CommandError) as caught:
                kv_pair.source.run("echo no; exit 4", check=True)
            assert (caught.value.command, caught.value.exit_status) == ("echo no; exit 4", 4)
            assert caught.value.output.strip() == "no"
            assert kv_pair.source.console.isalive()

            assert kv_latency.min_ns <= kv_latency.p50_ns <= kv_latency.max_ns
            assert kv_latency.avg_ms == kv_latency.avg_ns / 1e6
            assert (kv_latency.transmitted, kv_latency.received, kv_latency.duplicates) == (5, 5, 0)
            assert len(kv_latency.samples_ns) == 5
            assert kv_latency.loss_percent == 0
            assert (kv_latency.source_node, kv_latency.target_node) == ("worker1", "worker2")
            assert kv_latency.get("p90_ns") is None
            with pytest.raises(NoValue, match="p99 needs 100 samples, got 5: --kv-sample-duration 10s"):
                kv_latency.p99_ns
        """
    )
    checkup.quick().assert_outcomes(passed=1)


def test_kv_ping_measures_again_without_limits_and_is_reported_apart(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest
        from pytest_kvlatency.errors import ConfigError

        @pytest.mark.kvlatency(nad="default/blue-network", max_p99="1ms", max_latency="10ms", sample_duration="10s")
        def test_again(kv_ping):
            assert kv_ping(packet_size=1000, sample_duration="300ms").transmitted == 3
            with pytest.raises(ConfigError, match="^kv_ping has no argument 'colour': expected dont_fragment, .* or warmup$"):
                kv_ping(colour=3)
            with pytest.raises(ConfigError, match="has no argument 'size'.*; interval: '3' has no unit"):
                kv_ping(size=1400, interval="3")
            with pytest.raises(ConfigError, match="interval: '3' has no unit[.] Did you mean 3ms[?] .*from the call of kv_ping") as caught:
                kv_ping(interval="3")
            assert "kvlatency(" not in str(caught.value)
        """
    )
    checkup.quick().assert_outcomes(passed=1)
    (entry,) = checkup.document["measurements"]
    assert entry["transmitted"] == 100
    (extra,) = entry["extra"]
    assert (extra["transmitted"], extra["ping"]["packetSizeBytes"], extra["limits"]) == (3, 1000, None)
    assert extra["failureKind"] is None


def test_a_wrong_call_of_kv_ping_says_what_was_meant_without_a_traceback_through_the_plugin(
    checkup: Checkup,
) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.kvlatency(nad="default/blue-network")

        def test_size(kv_ping):
            kv_ping(size=1400)

        def test_unnamed(kv_ping):
            kv_ping(1400)
        """
    )
    result = checkup.quick()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            ">*kv_ping(size=1400)",
            "E*ConfigError: kv_ping has no argument 'size'. Did you mean packet_size?",
            "*.py:6: ConfigError",
            ">*kv_ping(1400)",
            "E*ConfigError: kv_ping takes keyword arguments only, such as kv_ping(packet_size=1400)",
            "*.py:9: ConfigError",
        ]
    )
    result.stdout.no_fnmatch_line("*items.py*")


def test_kv_pair_without_the_marker_uses_the_options(checkup: Checkup) -> None:
    checkup.pytester.makepyfile("def test_pair(kv_pair): assert kv_pair.source.run('true').exit_status == 0")
    checkup.quick(*BLUE).assert_outcomes(passed=1)
    assert checkup.outcomes == [("passed", None)]


def test_a_check_that_nobody_knew_of_when_tests_were_collected_is_a_clear_error(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(test_it="def test_late(request): request.getfixturevalue('kv_latency')")
    result = checkup.run(*BLUE, "test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*ConfigError: *::test_late requests a check with request.getfixturevalue*. Request the fixture as an*"
        ]
    )
    # Without any network there is nothing to check.
    checkup.run().assert_outcomes(skipped=1)


def test_a_fixture_may_be_overridden(checkup: Checkup) -> None:
    checkup.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture
        def kv_latency(kv_latency):
            assert kv_latency.received
            return "mine"
        """
    )
    checkup.pytester.makepyfile("def test_it(kv_latency): assert kv_latency == 'mine'")
    checkup.quick(*BLUE).assert_outcomes(passed=1)
    assert checkup.document["measurements"][0]["extra"] == []


def test_hooks_change_settings_and_manifests_and_judge(checkup: Checkup) -> None:
    checkup.pytester.makeconftest(
        """
        seen = []

        def pytest_kvlatency_settings(config):
            return {"max_latency": "10s"}

        def pytest_kvlatency_vmi_manifest(manifest, check):
            manifest["metadata"]["labels"]["colour"] = check.nad.name

        def pytest_kvlatency_measurement(measurement, item):
            seen.append(item.nodeid)
            return "too good to be true" if item.name.startswith("test_judged") else None

        def pytest_unconfigure():
            print("SEEN", len(seen))
        """
    )
    checkup.pytester.makepyfile(
        """
        import pytest
        from pytest_kvlatency.errors import RejectedMeasurementError

        pytestmark = pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")

        def test_changed(kv_check):
            assert kv_check.limits.max_latency_ns == 10**10

        def test_judged():
            pass

        @pytest.mark.xfail(raises=RejectedMeasurementError)
        def test_judged_expectedly():
            pass
        """
    )
    result = checkup.quick("--kv-artifacts", "kept")
    result.assert_outcomes(passed=1, failed=1, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "*kvlatency: max_latency = 10s (hook *",
            "run: too good to be true",
            "FAILED *- RejectedMeasurementError*",
        ]
    )
    assert checkup.outcomes == [("passed", None), ("failed", "assertion"), ("xfailed", "assertion")]
    manifests = list(checkup.pytester.path.glob("kept/*/vmi.json"))
    assert len(manifests) == 2
    assert all('"colour": "blue-network"' in one.read_text("utf-8") for one in manifests)


@pytest.mark.parametrize("hook", ["vmi_manifest(manifest, check)", "guest_profiles(config)"])
def test_a_hook_that_raises_is_a_clear_error(checkup: Checkup, hook: str) -> None:
    checkup.pytester.makeconftest(f"def pytest_kvlatency_{hook}:\n    raise KeyError('mine')\n")
    result = checkup.quick(*BLUE)
    result.assert_outcomes(errors=1)
    name = hook.partition("(")[0]
    result.stdout.fnmatch_lines(
        [
            f"config: the hook pytest_kvlatency_{name} raised KeyError: 'mine'",
            "raised in *conftest.py, line 2",
        ]
    )
    assert checkup.outcomes == [("error", "config")]


@pytest.mark.parametrize(
    ("hook", "body"),
    [
        ("guest_profiles(config)", "return [GuestProfile(name='mine', image='quay.io/Mine')]"),
        (
            "vmi_manifest(manifest, check)",
            "manifest['spec']['volumes'][0]['containerDisk']['image'] = 'quay.io/Mine'",
        ),
    ],
    ids=["profile", "manifest"],
)
def test_E51_an_image_of_a_hook_that_is_no_reference_is_refused_before_anything_is_created(
    checkup: Checkup, hook: str, body: str
) -> None:
    imported = "from pytest_kvlatency.guest.profiles import GuestProfile\n"
    checkup.pytester.makeconftest(f"{imported}def pytest_kvlatency_{hook}:\n    {body}\n")
    result = checkup.quick(*BLUE)
    result.assert_outcomes(errors=1)
    name = hook.partition("(")[0]
    result.stdout.fnmatch_lines(
        [
            (
                f"config: the hook pytest_kvlatency_{name} returned the image 'quay.io/Mine', which is not an image "
                "reference: the repository 'Mine' must be in lower case.*"
            )
        ]
    )
    assert checkup.outcomes == [("error", "config")]


def test_a_guest_profile_of_ones_own(checkup: Checkup) -> None:
    checkup.pytester.makeconftest(
        """
        import dataclasses
        from pytest_kvlatency.guest.profiles import ALPINE

        def pytest_kvlatency_guest_profiles(config):
            return [dataclasses.replace(ALPINE, name="mine", memory="256Mi")]
        """
    )
    checkup.quick(*BLUE, "--kv-guest", "mine").assert_outcomes(passed=1)
    result = checkup.quick(*BLUE, "--kv-guest", "yours")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            "ERROR: --kv-guest: 'yours' is not a guest profile: expected alpine, fedora or mine (*) (from the command line)"
        ]
    )


def test_an_unknown_guest_in_a_marker_is_a_collection_error(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network", guest="yours")
        def test_it(kv_latency): ...
        """
    )
    result = checkup.quick()
    assert result.ret == 2
    result.stdout.fnmatch_lines(
        ["guest: 'yours' is not a guest profile: expected alpine or fedora (the hook*"]
    )
    # What ends the run is the marker: nobody interrupted it.
    result.stdout.no_fnmatch_line("*was interrupted*")
