"""Cloud-init data as the lab's guests, real and simulated, read it."""

import pytest

from pytest_kvlatency.lab.guests.cloudinit import read_network_data, read_user_data


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("{", "network data is not valid YAML: "),
        ("version: 3\n", "network data has version 3: expected 1 or 2"),
        ("version: 1\nconfig: [3]", "'int' object has no attribute 'get'"),
        ("version: 2\nethernets: [eth0]", "'list' object has no attribute 'items'"),
    ],
)
def test_network_data_that_cannot_be_read_is_refused_as_a_whole(text, failure):
    data = read_network_data(text)
    assert data.interfaces == ()
    assert data.failure.startswith(failure)
    assert "\n" not in data.failure


def test_network_data_that_is_no_mapping_is_ignored():
    data = read_network_data("just text")
    assert (data.interfaces, data.failure) == ((), None)
    assert data.ignored == ("network data is not a mapping: it is a str",)


def test_an_interface_is_found_by_its_mac_in_any_case():
    data = read_network_data(
        "version: 2\nethernets: {x: {match: {macaddress: '02:AB:00:00:00:01'}, addresses: [fd00::1/64], mtu: 9000}}"
    )
    (config,) = data.interfaces
    assert (config.mac, config.mtu, config.addresses) == ("02:ab:00:00:00:01", 9000, ("fd00::1/64",))


def test_an_interface_is_found_by_the_name_that_it_is_matched_by_or_else_by_its_key():
    data = read_network_data("version: 2\nethernets: {x: {match: {name: eth1}}, eth0: {}}")
    assert [(config.mac, config.name) for config in data.interfaces] == [(None, "eth1"), (None, "eth0")]


def test_of_version_1_only_physical_interfaces_are_taken():
    data = read_network_data(
        "version: 1\nconfig: [{type: bond}, {type: physical, name: a, subnets: "
        "[{type: static, address: 192.0.2.5, netmask: 255.255.255.0, gateway: 192.0.2.1}, {type: dhcp4}]}]"
    )
    (config,) = data.interfaces
    assert config.addresses == ("192.0.2.5/255.255.255.0",)
    assert (config.dhcp4, config.dhcp6, config.routes) == (True, False, (("default", "192.0.2.1"),))
    assert data.ignored == ("the guests of the lab do not support network data of type 'bond'",)


def test_user_data_is_a_cloud_config_a_script_or_ignored():
    assert read_user_data("#cloud-config\npassword: secret\n").password == "secret"
    assert read_user_data("#!/bin/sh\ntrue\n").script == "#!/bin/sh\ntrue\n"
    other = read_user_data("password: secret\n")
    assert (other.password, other.ignored) == ("", ("user data is not #cloud-config or a script",))
    assert read_user_data("#cloud-config\n") == read_user_data("") == read_user_data("\n")


@pytest.mark.parametrize(
    "text", ["{", "[]", "bootcmd: echo\nwrite_files: [3]\nchpasswd: {list: 'root:a', users: [3]}"]
)
def test_malformed_user_data_is_survived(text):
    data = read_user_data(f"#cloud-config\n{text}\n")
    assert (data.boot_commands, data.files) == ((), ())


def test_passwords_of_all_forms_are_taken():
    forms = ("{list: ['a:1', b]}", "{list: 'a:1'}", "{users: [{name: a, password: 1}]}")
    for form in forms:
        assert read_user_data(f"#cloud-config\nchpasswd: {form}\n").passwords == ("a:1",)
