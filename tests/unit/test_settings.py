from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.config.negatives import refuse_negative_values
from pytest_kvlatency.config.nodespecs import NODES_HELP
from pytest_kvlatency.config.parsers import NodeSet, Toleration
from pytest_kvlatency.config.problems import MarkerError, SettingsError
from pytest_kvlatency.config.resolve import resolve
from pytest_kvlatency.config.sources import Layer
from pytest_kvlatency.config.timeouts import check_timeout, timeout_for
from pytest_kvlatency.model import AUTO, Check, NadRef, NodePair, PingParameters

if TYPE_CHECKING:
    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.config.sources import SourceKind

DETAIL: dict[str, str] = {
    "ini": "pytest.ini",
    "ConfigMap": "ConfigMap default/x",
    "marker": "kvlatency marker of test_x.py::test_y",
    "hook": "hook pytest_kvlatency_settings",
}


def layer(kind: SourceKind, **values: object) -> Layer:
    return Layer(kind=kind, values=values, detail=DETAIL.get(kind, ""))


def cli(**values: object) -> Settings:
    return resolve([layer("command line", **values)])


def messages(*layers: Layer) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        resolve(layers)
    return list(caught.value.messages)


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = resolve([])
    assert settings.nad == ()
    assert settings.nodes == (AUTO,)
    assert settings.limits.max_latency_ns is None
    assert settings.max_loss_percent == 0.0
    assert settings.ping == PingParameters()
    assert settings.binding == "auto"
    assert settings.guest == "alpine"
    assert settings.keep == "never"
    assert settings.timeout_ns is None
    assert settings.parallel is None
    assert settings.lab is None
    assert settings.changed() == []
    assert settings.describe("max_latency") == "--kv-max-latency (default)"


def test_every_value_reaches_its_field() -> None:
    settings = cli(
        nad=["default/blue", "red"],
        nodes=["w1:w2", "auto"],
        max_latency="10ms",
        max_loss="2.5",
        subnet="fd00::/64",
        toleration=["dedicated=tests:NoSchedule", "key"],
        json="out.json",
        dont_fragment=True,
        packet_size="1472",
        warmup="0",
        parallel="1",
        lab="sim",
    )
    assert settings.nad == (NadRef(namespace="default", name="blue"), NadRef(namespace="", name="red"))
    assert settings.nodes == (NodePair(source="w1", target="w2"), AUTO)
    assert settings.max_latency_ns == 10_000_000
    assert settings.max_loss_percent == 2.5
    assert settings.subnet == ipaddress.IPv6Network("fd00::/64")
    assert settings.tolerations == (
        Toleration(key="dedicated", value="tests", effect="NoSchedule"),
        Toleration(key="key"),
    )
    assert settings.json == Path("out.json")
    assert settings.dont_fragment is True
    assert (settings.packet_size, settings.warmup, settings.parallel, settings.lab) == (1472, 0, 1, "sim")
    assert settings.guest_spec.subnet == "fd00::/64"


@pytest.mark.parametrize(
    "selector",
    ["zone=b", "zone==b", "zone != b", "zone=", "node-role.kubernetes.io/worker=", "zone=b,ready,!gpu", "zone in (a, b),x=1",
     "zone in (a,b)", "zone notin (a)",
     "zone notin (a),x=1", "memory>8,x=1"],
)  # fmt: skip
def test_a_label_selector_is_taken_as_it_is(selector: str) -> None:
    assert cli(node_set=selector).node_set == NodeSet(selector=selector)


ORDER: list[SourceKind] = ["marker", "command line", "ConfigMap", "ini", "hook"]


@pytest.mark.parametrize("number", range(len(ORDER)))
def test_the_strongest_source_wins_whatever_the_order_of_the_layers(number: int) -> None:
    given = [layer(kind, max_latency=f"{1 + place}ms") for place, kind in enumerate(ORDER)][number:]
    for layers in (given, given[::-1]):
        settings = resolve(layers)
        assert settings.max_latency_ns == (1 + number) * 1_000_000
        assert settings.sources["max_latency"].kind == ORDER[number]


def test_among_layers_of_one_kind_the_first_wins() -> None:
    assert resolve([layer("hook", warmup=3), layer("hook", warmup=4)]).warmup == 3


def test_a_list_replaces_the_list_below_it() -> None:
    settings = resolve([layer("command line", nad=["a/one"]), layer("ini", nad=["b/two", "b/three"])])
    assert [str(one) for one in settings.nad] == ["a/one"]


def test_none_removes_an_inherited_limit() -> None:
    settings = resolve(
        [
            layer("command line", max_latency="none", max_loss="none", timeout="none", toleration=["none"]),
            layer("ini", max_latency="10ms", max_loss="5", timeout="10m", toleration=["a"]),
        ]
    )
    assert settings.max_latency_ns is None
    assert settings.max_loss_percent is None
    assert settings.timeout_ns is None
    assert settings.tolerations == ()
    assert settings.changed() == [
        ("--kv-max-latency", "none", "command line"),
        ("--kv-max-loss", "none", "command line"),
        ("--kv-timeout", "none", "command line"),
        ("--kv-toleration", "none", "command line"),
    ]


def test_a_python_none_is_as_if_it_were_not_given() -> None:
    assert (
        resolve([layer("marker", max_latency=None), layer("ini", max_latency="9ms")]).max_latency_ns
        == 9_000_000
    )


def test_each_value_keeps_its_source() -> None:
    settings = resolve(
        [
            layer("command line", max_latency="1m30s"),
            layer("ini", nad=["a/b", "a/c"]),
            layer("ConfigMap", max_loss="1"),
            layer("hook", warmup=2),
        ]
    )
    assert settings.changed() == [
        ("kv_nad", "a/b, a/c", "pytest.ini"),
        ("--kv-max-latency", "1m30s", "command line"),
        ("spec.param.maxLossPercent", "1", "ConfigMap default/x"),
        ("warmup", "2", "hook pytest_kvlatency_settings"),
    ]
    assert settings.describe("nad") == "kv_nad (pytest.ini)"
    assert settings.describe("max_latency") == "--kv-max-latency (command line)"
    assert settings.describe("max_loss") == "spec.param.maxLossPercent (ConfigMap default/x)"


DURATION = "expected a duration such as 10ms, 1.5s, 5m or 1m30s, or none for no limit"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("10xs", "is not a duration. Did you mean 10ms?"),
        ("10", "has no unit. Did you mean 10ms?"),
        ("-5ms", "is negative. Did you mean 5ms?"),
        ("", f"is not a duration: {DURATION}"),
    ],
)
def test_a_bad_duration_names_option_value_and_source(value: str, why: str) -> None:
    text = f"--kv-max-latency: {value!r} {why}"
    assert messages(layer("command line", max_latency=value)) == [f"{text} (from the command line)"]
    assert messages(layer("ini", max_latency=value)) == [f"{text} (from kv_max_latency in pytest.ini)"]


def test_a_bad_value_of_a_marker_quotes_the_signature() -> None:
    with pytest.raises(MarkerError) as caught:
        resolve([layer("marker", nad=3, max_latency="10xs")])
    assert caught.value.involves_marker
    lines = str(caught.value).splitlines()
    place = "(from the kvlatency marker of test_x.py::test_y)"
    assert lines[0] == (
        f"nad: 3 is not a string: expected NAME or NAMESPACE/NAME, or a list of these {place}"
    )
    assert lines[1] == f"max_latency: '10xs' is not a duration. Did you mean 10ms? {place}"
    assert lines[2].startswith("The marker is kvlatency(*, nad=…, nodes=…, ")
    assert "kvlatency(*" not in caught.value.reason


def test_a_bad_option_does_not_involve_the_marker() -> None:
    with pytest.raises(SettingsError) as caught:
        resolve([layer("marker", max_latency="10ms"), layer("ini", max_latency="x")])
    assert not caught.value.involves_marker
    assert not isinstance(caught.value, MarkerError)


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = messages(
        layer("command line", nad=["a/b/c", ""], interval="0"), layer("ini", max_loss="101", keep="sometimes")
    )
    assert len(found) == 5
    assert sum("command line" in one for one in found) == 3


def test_a_slip_in_a_weaker_source_shows_even_when_overridden() -> None:
    assert len(messages(layer("command line", warmup="1"), layer("ini", warmup="many"))) == 1


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("nad", ["a/b/c", "", "/", "a/", "/b", "A/b", "a/b_c", "a b", "x." + "y" * 260]),
        ("nodes", ["w1", "w1:", ":w2", "", ":", "w1:w2:w3", "W1:w2", "star:"]),
        ("node_set", ["", "a,,b", "A", "=", "=b", "zone=b,", "a b=c", "zone=b c", "zone=b,zone in (", "zone in (", "zone in ()", "(a)", "a,(b)", "/a=b", "!=b"]),
        ("max_avg", ["fast", "1"]),
        ("max_p99", ["99"]),
        ("max_loss", ["-1", "101", "", "some"]),
        ("sample_duration", ["0", "0s", "5", ""]),
        ("interval", ["0", "999us", "1"]),
        ("packet_size", ["15", "65508", "-1", "", "1e3", "1_000", "56B"]),
        ("warmup", ["-1", "1.5", ""]),
        ("timeout", ["0", "5", "-5m"]),
        ("parallel", ["0", "-1", "many", ""]),
        ("namespace", ["", "A", "a.b", "a" * 64]),
        ("configmap", ["", "name", "a/b/c", "/b", "a/"]),
        ("context", ["", " "]),
        ("kubeconfig", [""]),
        ("json", [""]),
        ("subnet", ["10.0.0.0", "10.0.0.1/24", "10.0.0.0/31", "10.0.0.0/33", "fd00::/127", "fe80::/64", "224.0.0.0/24",
                    "127.0.0.0/8", "0.0.0.0/8", "::/64", "ff02::/64", "", "x/24", "fd00::1/64"]),
        ("binding", ["", "a b"]),
        ("guest", ["", "-"]),
        ("image", ["", "a b", "Foo Bar", "quay.io/Foo/bar", "Foo", "name:", "quay.io/name:", "name:-tag",
                   "name:" + "t" * 129, "name@sha256:123", "name@sha256:" + "A" * 64, "name@sha256:" + "0" * 63, "name@",
                   "name@md5:" + "0" * 32, "name@" + "0" * 64, "https://quay.io/name", "quay.io/", "/name", "a//b", "a/",
                   "-a", "a-", "a._b", "a___b", "quay.io:port/name", "-quay.io/name", "quay.io/" + "a" * 256]),
        ("image_pull_secret", ["", "A"]),
        ("toleration", ["", "=v", "k:", "k:Never", ":NoSchedule", "a b", "k=b c"]),
        ("keep", ["", "sometimes"]),
        ("shard", ["", "4/4", "1", "a/b", "-1/2"]),
        ("max_regression", ["", "-1", "x"]),
        ("lab", [""]),
    ],
)  # fmt: skip
def test_bad_values_are_refused_and_say_what_is_expected_or_meant(option: str, values: list[str]) -> None:
    flag = "--kv-" + option.replace("_", "-")
    for value in values:
        raw = [value] if option in ("nad", "nodes", "toleration") else value
        (text,) = messages(layer("command line", **{option: raw}))
        assert re.match(rf"{flag}: (invalid [a-z ]+ )?{re.escape(repr(value))}[ :.]", text)
        assert ": expected " in text or "Did you mean " in text or "Expected " in text or "(expected " in text
        assert text.endswith(" (from the command line)")


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (
            "w1",
            "names only one node: expected SRC:DST (or auto, mesh, ring, star:HUB, migrations, drain:NODE)",
        ),
        ("star", "names no hub: expected star:HUB, such as star:worker1"),
        ("star:", "names no hub: expected star:HUB, such as star:worker1"),
        ("", "is empty: expected auto, SRC:DST, SRC:DST>NEW, mesh, ring, star:HUB, migrations or drain:NODE"),
        (
            "w1:w2:w3",
            "is not a node pair: expected SRC:DST (or auto, mesh, ring, star:HUB, migrations, drain:NODE)",
        ),
        (
            "w_1:w2",
            "is not a node pair: 'w_1' is not the name of a node (expected lower-case letters, digits, '-' and '.')",
        ),
    ],
)
def test_wrong_nodes_say_how_to_choose_them(value: str, wrong: str) -> None:
    (text,) = messages(layer("command line", nodes=[value]))
    assert text == f"--kv-nodes: {value!r} {wrong} (from the command line)"


@pytest.mark.parametrize(
    ("option", "value", "nearest"),
    [
        (
            "nodes",
            "worker1,worker2",
            "worker1:worker2? (or auto, mesh, ring, star:HUB, migrations, drain:NODE)",
        ),
        ("nodes", "w1 -> w2", "w1:w2? (or auto, mesh, ring, star:HUB, migrations, drain:NODE)"),
        ("nodes", "W1:W2", "w1:w2? (or auto, mesh, ring, star:HUB, migrations, drain:NODE)"),
        ("nodes", "star,w1", "star:w1? (or auto, mesh, ring, star:HUB, migrations, drain:NODE)"),
        ("nodes", "Mesh", "mesh?"),
        ("nodes", "rign", "ring?"),
        ("nad", "default:blue", "default/blue?"),
        ("nad", "default/Blue_Network", "default/blue-network?"),
        ("node_set", "W1; W2", "w1,w2?"),
        ("node_set", "w1:w2", "w1,w2?"),
        ("namespace", "My_Namespace", "my-namespace?"),
        ("configmap", "ns:name", "ns/name?"),
        ("configmap", "ENV", "env?"),
        ("image_pull_secret", "Pull", "pull?"),
        ("max_latency", "10", "10ms?"),
        ("max_latency", "1,5ms", "1.5ms?"),
        ("max_latency", "1,000ms", "1000ms?"),
        ("max_latency", "10 MS", "10ms?"),
        ("max_latency", "10msec", "10ms?"),
        ("interval", "200", "200ms?"),
        ("sample_duration", "5", "5s?"),
        ("sample_duration", "1:30", "1m30s?"),
        ("timeout", "5", "5m?"),
        ("timeout", "300", "300s?"),
        ("timeout", "5 minutes", "5m?"),
        ("timeout", "1h30", "1h30m?"),
        ("max_loss", "0,5", "0.5?"),
        ("max_loss", "10 percent", "10?"),
        ("packet_size", "1,400", "1400?"),
        ("packet_size", "1400 bytes", "1400?"),
        ("subnet", "10.0.0.0", "10.0.0.0/24?"),
        ("subnet", "10.0.0.1/24", "10.0.0.0/24?"),
        ("subnet", "fd00::1/64", "fd00::/64?"),
        ("image", "quay.io/Mine/guest:V1", "quay.io/mine/guest:V1?"),
        ("image", "docker://quay.io/mine", "quay.io/mine?"),
        ("keep", "fail", "failed?"),
        ("keep", "Always", "always?"),
        ("toleration", "k=v:noschedule", "k=v:NoSchedule?"),
        ("shard", "4/4", "3/4?"),
        ("shard", "1 of 4", "1/4?"),
        ("dont_fragment", "yes", "true?"),
    ],
)
def test_a_likely_slip_is_answered_with_the_value_that_is_meant(
    option: str, value: str, nearest: str
) -> None:
    raw = [value] if option in ("nad", "nodes", "toleration") else value
    (text,) = messages(layer("command line", **{option: raw}))
    assert re.search(
        rf"{re.escape(repr(value))}.*\. Did you mean {re.escape(nearest)} \(from the command", text
    )
    assert ": expected " not in text
    meant = nearest.partition("?")[0]
    assert resolve([layer("command line", **{option: [meant] if isinstance(raw, list) else meant})])


def test_a_subnet_without_room_says_how_long_a_prefix_may_be() -> None:
    (text,) = messages(layer("command line", subnet="10.0.0.0/31"))
    assert "expected a prefix length of at most /30" in text


def test_a_packet_size_that_is_none_says_what_is_expected() -> None:
    assert messages(layer("command line", packet_size="x")) == [
        "--kv-packet-size: invalid packet size 'x': expected an integer from 16 to 65507 (from the command line)"
    ]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"nad": []}, "nad: [] is empty: expected NAME or NAMESPACE/NAME, or a list of these "),
        ({"nad": ["a/b", 3]}, "nad: 3 is not a string: expected NAME or NAMESPACE/NAME, "),
        (
            {"nodes": {"a:b"}},
            f"nodes: {{'a:b'}} is not a string: expected {NODES_HELP}, or a list of these ",
        ),
        ({"warmup": True}, "warmup: True is not a number or string: expected N "),
        ({"max_latency": 10}, "max_latency: 10 has no unit. Did you mean 10ms? "),
        ({"max_latency": True}, "max_latency: True is not a string: expected DUR "),
        ({"dont_fragment": 1}, "dont_fragment: 1 is neither True nor False"),
        ({"image": 3}, "image: 3 is not a string: expected REF "),
        ({"node_set": ["a", 3]}, "node_set: ['a', 3] is not a string: expected NAMES, or a list of these "),
        ({"node_set": []}, "node_set: [] is not a set of nodes: expected names such as worker1,worker2, or "),
        ({"packet_size": 1.5}, "packet_size: invalid packet size 1.5: expected an integer from 16 to 65507 "),
        ({"max_loss": -1}, "max_loss: -1 is not a percentage from 0 to 100: expected a number such as "),
        ({"max_loss": float("nan")}, "max_loss: nan is not a percentage from 0 to 100: expected "),
    ],
)
def test_a_marker_argument_of_a_wrong_type_is_refused(given: dict[str, object], text: str) -> None:
    (found,) = messages(layer("marker", **given))
    assert found.startswith(text)


@pytest.mark.parametrize("given", [["w1", "w2"], ("w1", "w2"), "w1,w2"])
def test_a_markers_node_set_may_be_a_list_as_its_nodes_may(given: object) -> None:
    assert resolve([layer("marker", node_set=given)]).node_set == NodeSet(names=("w1", "w2"))


def test_a_marker_takes_python_values() -> None:
    settings = resolve(
        [
            layer(
                "marker",
                nad=("a/b", "a/c"),
                nodes="w1:w2",
                max_loss=0.5,
                packet_size=100,
                warmup=0,
                dont_fragment=False,
                max_latency=0,
            ),
            layer("command line", dont_fragment=True),
        ]
    )
    assert len(settings.nad) == 2
    assert settings.nodes == (NodePair(source="w1", target="w2"),)
    assert (settings.max_loss_percent, settings.packet_size, settings.warmup) == (0.5, 100, 0)
    assert settings.dont_fragment is False
    assert settings.max_latency_ns == 0


def test_an_unknown_name_from_a_hook_is_refused() -> None:
    assert messages(layer("hook", max_latncy="10ms")) == [
        "'max_latncy' is not an option. Did you mean max_latency? (from the hook pytest_kvlatency_settings)"
    ]
    (text,) = messages(layer("hook", colour="red"))
    assert text.startswith("'colour' is not an option: expected nad, nodes, ")
    assert text.endswith(" or lab (from the hook pytest_kvlatency_settings)")


def test_a_regression_needs_a_baseline_that_it_is_one_of() -> None:
    assert messages(layer("command line", max_regression="20%")) == [
        "--kv-max-regression 20% needs --kv-baseline FILE, the JSON document of an earlier run (from the command line)"
    ]
    assert cli(max_regression="20", baseline="old.json").max_regression_percent == 20
    # An ini file has defaults, also for runs without a baseline.
    assert resolve([layer("ini", max_regression="20")]).max_regression_percent == 20


def test_a_preflight_removes_nothing() -> None:
    (text,) = messages(layer("command line", sweep=True, preflight=True))
    assert text.startswith("--kv-sweep and --kv-preflight cannot be combined: a preflight changes nothing")


def test_two_reports_do_not_share_a_file() -> None:
    assert messages(layer("command line", json="out", prometheus="./x/../out", html="page")) == [
        (
            "--kv-json and --kv-prometheus name the same file, 'out'. Use a file for each "
            "(from the command line)"
        )
    ]
    assert str(cli(json="/dev/null", html="/dev/null").html) == "/dev/null"


def test_values_that_stand_for_the_default_are_accepted() -> None:
    assert cli(parallel="auto", max_regression="none").parallel is None
    assert cli(sweep=True).sweep


def test_E36_a_percentile_limit_with_too_few_samples_says_how_long_to_sample() -> None:
    assert messages(layer("command line", max_p99="5ms")) == [
        (
            "--kv-max-p99 5ms needs 100 samples, but --kv-sample-duration 5s at --kv-interval 100ms takes 50. "
            "Use --kv-sample-duration 10s or longer (from the command line)"
        )
    ]
    assert cli(max_p99="5ms", sample_duration="10s").max_p99_ns == 5_000_000


def test_E36_a_marker_that_takes_part_makes_it_the_markers_error() -> None:
    layers = [layer("marker", max_p99="5ms"), layer("ini", interval="1s")]
    with pytest.raises(MarkerError) as caught:
        resolve(layers)
    (text,) = caught.value.messages
    assert text.endswith(
        "takes 5. Use --kv-sample-duration 1m40s or longer "
        "(from the kvlatency marker of test_x.py::test_y and kv_interval in pytest.ini)"
    )


def test_contradictions_wait_for_the_sources_that_are_still_to_come() -> None:
    assert resolve([layer("command line", max_p99="5ms")], complete=False).max_p99_ns == 5_000_000
    unread = layer("command line", max_p99="5ms", configmap="default/x")
    assert resolve([unread]).max_p99_ns == 5_000_000
    assert resolve([unread, layer("ConfigMap", sample_duration="20s")]).ping.count == 200
    assert messages(unread, layer("ConfigMap", warmup="1"))
    assert messages(
        layer("command line", max_p99="5ms", sample_duration="5s", interval="1s", configmap="a/x")
    )


def test_parameters_that_are_wrong_together_are_named_by_their_keys() -> None:
    given: dict[str, object] = {
        "max_p99": "5ms",
        "max_gap": "9ms",
        "interval": "20ms",
        "sample_duration": "1s",
        "sweep": True,
        "preflight": True,
    }
    assert messages(layer("ConfigMap", **given)) == [
        (
            "spec.param.maxP99Milliseconds 5ms needs 100 samples, but spec.param.sampleDurationSeconds 1s at "
            "spec.param.interval 20ms takes 50. Use spec.param.sampleDurationSeconds 2s or longer "
            "(from ConfigMap default/x)"
        ),
        (
            "spec.param.maxGapMilliseconds 9ms is shorter than two intervals of ping (spec.param.interval 20ms), which "
            "one lost packet takes. Use a shorter interval, or a longer limit (from ConfigMap default/x)"
        ),
        (
            "spec.param.sweep and spec.param.preflight cannot be combined: a preflight changes nothing in the cluster "
            "(from ConfigMap default/x)"
        ),
    ]
    (text,) = messages(layer("ConfigMap", interval="2s", sample_duration="1s"))
    assert text.startswith("spec.param.interval 2s is longer than spec.param.sampleDurationSeconds 1s. ")


def test_an_interval_longer_than_the_sample_is_refused() -> None:
    assert messages(layer("command line", interval="10s")) == [
        (
            "--kv-interval 10s is longer than --kv-sample-duration 5s. Use a shorter interval, or a longer sample "
            "(from the command line)"
        )
    ]


@pytest.mark.parametrize(("timeout", "short"), [("3s", "shorter"), ("5s", "not longer")])
def test_a_timeout_that_ends_before_the_sample_is_refused(timeout: str, short: str) -> None:
    assert messages(layer("command line", timeout=timeout, sample_duration="5s")) == [
        (
            f"--kv-timeout {timeout} is {short} than one sample (5s, --kv-sample-duration). Use a longer timeout, or "
            "none for the default (from the command line)"
        )
    ]


def test_a_wrong_value_causes_no_second_complaint() -> None:
    assert len(messages(layer("command line", sample_duration="x", timeout="3s", max_p99="1ms"))) == 1


@pytest.mark.parametrize("other", ["kubeconfig", "context"])
@pytest.mark.parametrize("complete", [True, False])
def test_the_lab_and_a_cluster_exclude_each_other(other: str, complete: bool) -> None:
    with pytest.raises(SettingsError, match=f"^--kv-lab and --kv-{other} cannot be combined: the lab is the"):
        resolve([layer("command line", lab="sim", **{other: "prod"})], complete=complete)
    assert (
        resolve([layer("command line", lab="none", **{other: "prod"}), layer("ini", lab="sim")]).lab is None
    )


def _checks(*seconds: int) -> list[Check]:
    return [
        Check(
            nad=NadRef(namespace="a", name=f"n{number}"),
            pair=AUTO,
            ping=PingParameters(sample_duration_ns=one * 1_000_000_000),
        )
        for number, one in enumerate(seconds)
    ]


def test_the_default_timeout_grows_with_the_plan() -> None:
    assert timeout_for(resolve([]), [], rounds=0) == 300_000_000_000
    assert timeout_for(resolve([]), _checks(5, 5, 10), rounds=3) == (300 + 3 * 2 + 20) * 1_000_000_000
    assert timeout_for(resolve([]), _checks(5, 5, 10, 10), rounds=2) == (300 + 2 * 2 + 20) * 1_000_000_000
    assert timeout_for(cli(timeout="1m"), _checks(5, 5), rounds=2) == 60_000_000_000


def _moves(*pairs: str) -> list[Check]:
    nad = NadRef(namespace="a", name="b")
    return [Check(nad=nad, pair=one) for one in cli(nodes=list(pairs)).nodes if isinstance(one, NodePair)]


def test_a_migration_has_time_of_its_own_whatever_the_sample() -> None:
    checks = [*_moves("w1:w2>w3", "w4:w5>?"), *_checks(5)]
    assert timeout_for(resolve([]), checks, rounds=3) == (300 + 3 * 2 + 60 + 60 + 5) * 1_000_000_000


def test_an_explicit_timeout_must_hold_a_migration() -> None:
    check_timeout(cli(timeout="7s"), _moves("w1:w2>w3"), rounds=1)
    with pytest.raises(SettingsError) as caught:
        check_timeout(cli(timeout="6s"), _moves("w1:w2>w3"), rounds=1)
    assert str(caught.value) == (
        "--kv-timeout 6s is not longer than one sample with a migration (at least 6s). Use a longer timeout, or none "
        "for the default (from the command line)"
    )


def test_a_limit_on_the_gap_must_be_longer_than_what_one_lost_packet_takes() -> None:
    assert cli(max_gap="200ms").max_gap_ns == 200_000_000
    assert cli(max_gap="20ms", interval="10ms").limits.max_gap_ns == 20_000_000
    with pytest.raises(SettingsError) as caught:
        cli(max_gap="199ms")
    assert str(caught.value) == (
        "--kv-max-gap 199ms is shorter than two intervals of ping (--kv-interval 100ms), which one lost packet takes. "
        "Use a shorter interval, or a longer limit (from the command line)"
    )


def test_a_limit_on_the_gap_of_migrations_is_held_to_their_own_interval() -> None:
    assert cli(max_gap="20ms", nodes=["migrations"]).max_gap_ns == 20_000_000
    assert cli(max_gap="10ms", interval="5ms", nodes=["w1:w2>w3"]).max_gap_ns == 10_000_000
    with pytest.raises(SettingsError) as caught:
        cli(max_gap="19ms", nodes=["w1:w2>w3", "drain:w1"])
    assert str(caught.value) == (
        "--kv-max-gap 19ms is shorter than two intervals of ping (10ms in a migration), which one lost packet takes. "
        "Use a shorter interval, or a longer limit (from the command line)"
    )
    with pytest.raises(SettingsError, match="--kv-interval 5ms"):
        cli(max_gap="9ms", interval="5ms", nodes=["w1:w2>w3"])


def test_a_sample_that_is_as_long_as_its_migration_is_held_to_no_duration() -> None:
    for nodes in ("w1:w2>w3", "migrations", "drain:w1"):
        assert cli(nodes=[nodes], max_p99="1ms", sample_duration="1s").max_p99_ns == 1_000_000
    with pytest.raises(SettingsError, match="needs 100 samples"):
        cli(nodes=["w1:w2>w3", "w1:w2"], max_p99="1ms", sample_duration="1s")


def test_an_explicit_timeout_must_hold_the_plan() -> None:
    settings = cli(timeout="20s")
    check_timeout(settings, _checks(5, 5, 5), rounds=3)
    check_timeout(settings, _checks(5, 5, 5, 5), rounds=2)
    check_timeout(settings, [], rounds=0)
    check_timeout(resolve([]), _checks(*[600] * 9), rounds=9)
    with pytest.raises(SettingsError) as caught:
        check_timeout(settings, _checks(5, 5, 5, 5), rounds=4)
    assert str(caught.value) == (
        "--kv-timeout 20s is not longer than 4 rounds of samples (20s in all). Use a longer timeout, or none for the "
        "default (from the command line)"
    )
    with pytest.raises(SettingsError):
        check_timeout(settings, _checks(5, 60), rounds=1)


def test_a_negative_value_that_looks_like_an_option_is_refused_by_what_it_is() -> None:
    with pytest.raises(SettingsError) as caught:
        refuse_negative_values(["-q", "--kv-max-latency", "-5ms", "--kv-warmup", "-1", "x.py"])
    assert caught.value.messages == (
        "--kv-max-latency: '-5ms' is negative. Did you mean 5ms? (from the command line)",
        "--kv-warmup: invalid number of replies '-1': expected an integer of at least 0 (from the command line)",
    )
    refuse_negative_values(["--kv-lab", "-q", "--kv-nad", "-x", "--", "--kv-warmup", "-1"])
    with pytest.raises(SettingsError, match=r"looks like an option\. Write --kv-json=-1"):
        refuse_negative_values(["--kv-json", "-1"])


def test_beside_a_negative_value_everything_else_that_is_wrong_on_the_command_line_is_reported() -> None:
    with pytest.raises(SettingsError) as caught:
        refuse_negative_values(
            ["--kv-nodes", "w1", "--kv-max-latency", "-5ms", "--kv-packet-size=x", "--kv-nad", "a/b", "x.py"]
        )
    assert [text.partition(":")[0] for text in caught.value.messages] == [
        "--kv-nodes",
        "--kv-max-latency",
        "--kv-packet-size",
    ]
    refuse_negative_values(["--kv-nodes", "w1", "--kv-packet-size=x", "--kv-max-latency=-5ms"])
