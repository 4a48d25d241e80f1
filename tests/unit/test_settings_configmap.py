from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.config.configmapparams import configmap_layer
from pytest_kvlatency.config.problems import SettingsError
from pytest_kvlatency.config.resolve import resolve
from pytest_kvlatency.config.sources import Layer
from pytest_kvlatency.model import AUTO, NodePair

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.config.settings import Settings

REQUIRED = {
    "spec.timeout": "10m",
    "spec.param.networkAttachmentDefinitionNamespace": "default",
    "spec.param.networkAttachmentDefinitionName": "blue-network",
}


def param(**values: str) -> dict[str, str]:
    return {**REQUIRED, **{f"spec.param.{name}": value for name, value in values.items()}}


def read(data: Mapping[str, str], *others: Layer) -> Settings:
    layer, warnings = configmap_layer(data, "default/x")
    assert warnings == []
    return resolve([layer, *others])


def problems(data: Mapping[str, str]) -> list[str]:
    layer, _ = configmap_layer(data, "default/x")
    with pytest.raises(SettingsError) as caught:
        resolve([layer])
    assert all(text.endswith("(from ConfigMap default/x)") for text in caught.value.messages)
    return [text.removesuffix(" (from ConfigMap default/x)") for text in caught.value.messages]


def test_the_contract_of_the_existing_checkup_is_read() -> None:
    settings = read(
        param(
            maxDesiredLatencyMilliseconds="10",
            sampleDurationSeconds="7",
            sourceNode="worker1",
            targetNode="worker2",
        )
    )
    assert [str(nad) for nad in settings.nad] == ["default/blue-network"]
    assert settings.nodes == (NodePair(source="worker1", target="worker2"),)
    assert settings.max_latency_ns == 10_000_000
    assert settings.sample_duration_ns == 7_000_000_000
    assert settings.timeout_ns == 600_000_000_000
    assert settings.describe("timeout") == "spec.timeout (ConfigMap default/x)"
    assert (
        settings.describe("max_latency") == "spec.param.maxDesiredLatencyMilliseconds (ConfigMap default/x)"
    )


def test_empty_optional_parameters_are_unset() -> None:
    settings = read(
        param(
            maxDesiredLatencyMilliseconds="",
            sampleDurationSeconds=" ",
            sourceNode="",
            targetNode="",
            nodes="",
        )
    )
    assert settings.nodes == (AUTO,)
    assert settings.max_latency_ns is None
    assert settings.sample_duration_ns == 5_000_000_000


def test_the_older_names_are_read_with_a_warning_each() -> None:
    data = {
        "spec.timeout": "10m",
        "spec.param.network_attachment_definition_namespace": "default",
        "spec.param.network_attachment_definition_name": "blue-network",
        "spec.param.max_desired_latency_milliseconds": "10",
        "spec.param.sample_duration_seconds": "7",
        "spec.param.source_node": "worker1",
        "spec.param.target_node": "worker2",
    }
    layer, warnings = configmap_layer(data, "default/x")
    settings = resolve([layer])
    assert [str(nad) for nad in settings.nad] == ["default/blue-network"]
    assert settings.nodes == (NodePair(source="worker1", target="worker2"),)
    assert (settings.max_latency_ns, settings.sample_duration_ns) == (10_000_000, 7_000_000_000)
    assert len(warnings) == 6
    assert warnings[0] == (
        "spec.param.max_desired_latency_milliseconds of ConfigMap default/x is deprecated. Use "
        "spec.param.maxDesiredLatencyMilliseconds instead"
    )
    assert settings.describe("max_latency").startswith("spec.param.max_desired_latency_milliseconds ")
    assert settings.describe("nodes").startswith("spec.param.source_node:target_node ")


def test_the_new_name_wins_unless_it_is_empty() -> None:
    old = "max_desired_latency_milliseconds"
    layer, warnings = configmap_layer(param(maxDesiredLatencyMilliseconds="20", **{old: "10"}), "default/x")
    assert resolve([layer]).max_latency_ns == 20_000_000
    deprecated = "spec.param.max_desired_latency_milliseconds of ConfigMap default/x is deprecated"
    present = "spec.param.maxDesiredLatencyMilliseconds"
    assert warnings == [f"{deprecated}, and its value '10' is ignored: {present} is set to '20'"]
    layer, warnings = configmap_layer(param(maxDesiredLatencyMilliseconds="10", **{old: "10"}), "default/x")
    assert resolve([layer]).max_latency_ns == 10_000_000
    assert warnings == [f"{deprecated} and ignored: {present} is set to the same value"]
    layer, _ = configmap_layer(param(maxDesiredLatencyMilliseconds="", **{old: "10"}), "default/x")
    assert resolve([layer]).max_latency_ns == 10_000_000


def test_an_empty_older_name_warns_of_nothing() -> None:
    assert read(param(source_node="", target_node="")).nodes == (AUTO,)


def test_every_option_that_makes_sense_per_run_has_a_key() -> None:
    settings = read(
        param(
            networkAttachmentDefinitions="default/red-network,other/green",
            nodes="w1:w2, w2:w3\nauto, w1:w2>w3, w1:w2>?, drain:w1",
            maxAvgMilliseconds="1.5",
            maxP99Milliseconds="4",
            maxLossPercent="2",
            maxGapMilliseconds="1500",
            sampleDurationSeconds="60",
            interval="200ms",
            packetSize="1000",
            dontFragment="true",
            warmup="3",
            parallel="1",
            subnet="192.0.2.0/24",
            binding="macvtap",
            guest="fedora",
            image="example/image:1",
            imagePullSecret="pull",
            tolerations="dedicated=tests:NoSchedule\nother",
            keep="failed",
        )
    )
    assert [str(nad) for nad in settings.nad] == [
        "default/blue-network",
        "default/red-network",
        "other/green",
    ]
    assert [str(pair) for pair in settings.nodes] == [
        "w1:w2",
        "w2:w3",
        "auto",
        "w1:w2>w3",
        "w1:w2>?",
        "drain:w1",
    ]
    assert (settings.max_avg_ns, settings.max_p99_ns, settings.max_loss_percent) == (
        1_500_000,
        4_000_000,
        2.0,
    )
    assert settings.max_gap_ns == 1_500_000_000
    assert settings.ping.count == 300
    assert (settings.packet_size, settings.dont_fragment, settings.warmup, settings.parallel) == (
        1000,
        True,
        3,
        1,
    )
    assert str(settings.subnet) == "192.0.2.0/24"
    assert (settings.binding, settings.guest, settings.image) == ("macvtap", "fedora", "example/image:1")
    assert settings.image_pull_secret == "pull"
    assert [str(one) for one in settings.tolerations] == ["dedicated=tests:NoSchedule", "other"]
    assert settings.keep == "failed"


def test_a_list_of_networks_alone_is_enough() -> None:
    data = {"spec.timeout": "5m", "spec.param.networkAttachmentDefinitions": "a/b,c/d"}
    assert [str(nad) for nad in read(data).nad] == ["a/b", "c/d"]


@pytest.mark.parametrize("present", ["", "c/d"])
def test_lists_may_be_spelled_like_their_options(present: str) -> None:
    tolerations = "b" if present else ""
    data = {
        "spec.timeout": "5m",
        "spec.param.nad": "a/b",
        "spec.param.networkAttachmentDefinitions": present,
        "spec.param.toleration": "a=b:NoSchedule",
        "spec.param.tolerations": tolerations,
    }
    settings = read(data)
    assert [str(one) for one in settings.nad] == ["a/b", *filter(None, [present])]
    assert [str(one) for one in settings.tolerations] == ["a=b:NoSchedule", *filter(None, [tolerations])]


def test_a_wrong_item_of_a_list_is_told_by_the_key_that_holds_it() -> None:
    (text,) = problems({"spec.timeout": "5m", "spec.param.nad": "a/b/c"})
    assert text.startswith(
        "spec.param.nad: 'a/b/c' is not the name of a NetworkAttachmentDefinition: expected "
    )


def test_E57_a_configmap_without_data_names_everything_that_is_required() -> None:
    assert problems({}) == [
        "spec.timeout is missing: expected a duration such as 5m",
        (
            "spec.param.networkAttachmentDefinitionNamespace is missing: expected the namespace of a "
            "NetworkAttachmentDefinition"
        ),
        "spec.param.networkAttachmentDefinitionName is missing: expected the name of a NetworkAttachmentDefinition",
    ]


@pytest.mark.parametrize(("there", "missing"), [("sourceNode", "targetNode"), ("targetNode", "sourceNode")])
def test_both_nodes_or_neither(there: str, missing: str) -> None:
    assert problems(param(**{there: "worker1"})) == [
        f"spec.param.{there}: 'worker1' is set without {missing}: set both sourceNode and targetNode, or neither"
    ]


NEITHER_LETTERS = "is not the name of a node: expected lower-case letters, digits, '-' and '.'"
FOR_A_MIGRATION = "is not the name of a node. For a migration, set nodes to SRC:DST>NEW instead"


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("targetNode", "worker2>worker3", FOR_A_MIGRATION),
        ("targetNode", "worker2>?", FOR_A_MIGRATION),
        ("sourceNode", "worker1>worker3", FOR_A_MIGRATION),
        ("target_node", "worker2>worker3", FOR_A_MIGRATION),
        ("targetNode", "?", NEITHER_LETTERS),
        ("sourceNode", "worker1:worker2", NEITHER_LETTERS),
        ("targetNode", "Worker2", "is not the name of a node. Did you mean worker2?"),
        ("sourceNode", "star", "cannot be used here: star:HUB is not a pair of nodes"),
        ("sourceNode", "drain", "cannot be used here: drain:NODE is not a pair of nodes"),
    ],
)
def test_sourceNode_and_targetNode_are_names_of_nodes_and_nothing_else(
    key: str, value: str, text: str
) -> None:
    given = {"sourceNode": "worker1", key: value}
    if not key.startswith("target"):
        given["targetNode"] = "worker2"
    assert problems(param(**given)) == [f"spec.param.{key}: {value!r} {text}"]


def test_both_wrong_names_of_nodes_are_reported_together() -> None:
    assert len(problems(param(sourceNode="worker_1", targetNode="worker_2"))) == 2


def test_a_target_node_may_be_called_like_a_shape() -> None:
    assert read(param(sourceNode="a", targetNode="star")).nodes == (NodePair(source="a", target="star"),)


def test_nodes_stand_in_one_place_only() -> None:
    (text,) = problems(param(sourceNode="a", targetNode="b", nodes="c:d"))
    assert text == "spec.param.nodes cannot be combined with sourceNode and targetNode"


@pytest.mark.parametrize(
    "key", ["maxDesiredLatencyMilliseconds", "maxAvgMilliseconds", "maxP99Milliseconds", "maxGapMilliseconds"]
)
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("0", "'0' is not greater than 0. Leave the parameter out for no limit"),
        ("0.0", "'0.0' is not greater than 0. Leave the parameter out for no limit"),
        ("-1", "'-1' is negative. Did you mean 1?"),
        ("1e3", "'1e3' is not a number of milliseconds without a unit. Did you mean 1000?"),
        ("10ms", "'10ms' is not a number of milliseconds without a unit. Did you mean 10?"),
        ("1.5s", "'1.5s' is not a number of milliseconds without a unit. Did you mean 1500?"),
        ("ten", "'ten' is not a number of milliseconds: expected one such as 10"),
        ("0x10", "'0x10' is not a number of milliseconds: expected one such as 10"),
        ("1e99999999", "'1e99999999' is not a number of milliseconds: expected one such as 10"),
        ("nan", "'nan' is not a number of milliseconds: expected one such as 10"),
        ("9" * 40, f"'{'9' * 40}' is longer than 292 years: expected a number of milliseconds such as 10"),
    ],
)
def test_E40_a_limit_is_a_clear_error_or_what_it_says(key: str, value: str, why: str) -> None:
    (text,) = problems(param(**{key: value}))
    assert text == f"spec.param.{key}: {why}"


def test_E40_a_fraction_of_a_millisecond_is_what_it_says() -> None:
    assert read(param(maxDesiredLatencyMilliseconds="10.5")).max_latency_ns == 10_500_000
    assert (
        read(param(maxDesiredLatencyMilliseconds="9223372036854")).max_latency_ns == 9_223_372_036_854_000_000
    )
    assert read(param(maxDesiredLatencyMilliseconds="")).max_latency_ns is None


def test_E40_none_removes_the_limit_of_an_ini_file() -> None:
    ini = Layer(kind="ini", values={"max_latency": "1ms"}, detail="pytest.ini")
    assert read(param(maxDesiredLatencyMilliseconds="none"), ini).max_latency_ns is None


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("5s", "is not a whole number of seconds without a unit. Did you mean 5?"),
        ("2m", "is not a whole number of seconds without a unit. Did you mean 120?"),
        ("0.5", "is not a whole number of seconds: expected one such as 10"),
        ("0", "is not greater than 0: expected a whole number of seconds such as 10"),
        ("-5", "is negative. Did you mean 5?"),
        ("five", "is not a whole number of seconds: expected one such as 10"),
    ],
)
def test_the_sample_duration_is_whole_seconds(value: str, why: str) -> None:
    assert problems(param(sampleDurationSeconds=value)) == [
        f"spec.param.sampleDurationSeconds: {value!r} {why}"
    ]


@pytest.mark.parametrize("value", ["5", "x", "-5m", "0"])
def test_the_timeout_is_a_duration(value: str) -> None:
    (text,) = problems({**REQUIRED, "spec.timeout": value})
    assert text.startswith(f"spec.timeout: {value!r} ")


def test_an_unknown_parameter_names_what_it_may_have_been() -> None:
    found = problems(param(maxLatencyMilliseconds="1", foo=""))
    assert any(
        text.startswith("spec.param.foo is not a parameter: expected networkAttachmentDefinitionNamespace, ")
        for text in found
    )
    assert any(
        text.startswith(
            "spec.param.maxLatencyMilliseconds is not a parameter. Did you mean maxDesiredLatencyMill"
        )
        for text in found
    )


def test_keys_outside_of_the_parameters_are_left_alone() -> None:
    assert read({**REQUIRED, "status.succeeded": "true", "spec.image": "x", "note": "y"}).nodes == (AUTO,)


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = problems({"spec.param.sourceNode": "a", "spec.param.maxLossPercent": "x", "spec.param.y": "z"})
    assert len(found) == 6


def test_the_command_line_wins_over_the_configmap() -> None:
    layer, _ = configmap_layer(param(maxDesiredLatencyMilliseconds="10"), "default/x")
    given = Layer(kind="command line", values={"max_latency": "1ms", "nad": ["a/b"]})
    settings = resolve([layer, given])
    assert settings.max_latency_ns == 1_000_000
    assert [str(nad) for nad in settings.nad] == ["a/b"]
