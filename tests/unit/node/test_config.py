"""A configuration becomes one valid value, or an error that names the file, the key and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from fingerpost.cli._node_config import config_text
from fingerpost.errors import ConfigError, KeyFileError
from fingerpost.ids import PublicKey
from fingerpost.node import config
from fingerpost.node.config import Member, NodeConfig, load_config, parse_config
from fingerpost.node.roster import OpenAdmission
from fingerpost.node.succession import RevocationReason, sign_revocation

KEY, OTHER = "11" * 32, "22" * 32
MINIMAL = f'template = "t.toml"\n[network]\nid = "n"\nmembers = ["{KEY}"]\n'
FOLDER = Path("folder")


def read(text: str) -> NodeConfig:
    return parse_config(text.encode(), source="node.toml", folder=FOLDER)


def test_an_open_network_has_bounds_of_its_own_and_names_those_without_any() -> None:
    text = MINIMAL + "open = { quota_packets = 3, quarantine_days = 0 }\n"
    opened = read(text).network()
    assert opened.members == OpenAdmission(quota_packets=3, quarantine_days=0, named=frozenset({bytes.fromhex(KEY)}))
    assert opened.admits(PublicKey(bytes(32)))
    assert not read(MINIMAL + "open = false\n").network().admits(PublicKey(bytes(32)))
    table = read(MINIMAL + "[network.open]\nquarantine_days = 2\n").network().members
    assert table == OpenAdmission(quarantine_days=2, named=frozenset({bytes.fromhex(KEY)}))


def error_of(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return caught.value


def test_what_is_left_out_has_a_default() -> None:
    assert read(MINIMAL) == NodeConfig(
        source="node.toml",
        home=None,
        template=FOLDER / "t.toml",
        network_id="n",
        listen="127.0.0.1:0",
        members=(Member(public_key=PublicKey(bytes.fromhex(KEY))),),
        follow=True,
        carrier_name="zeromq",
        carrier_settings={},
        directory_name="opendht",
        directory_settings={},
        control_listen=("127.0.0.1", 0),
        metrics=True,
        log_level="info",
    )


def test_everything_that_is_said_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    value = read(
        f"""
home = "~/h"
template = "/t.toml"
[network]
id = "n"
listen = "[::]:7000"
members = ["{KEY}", {{ public_key = "{OTHER}", organisation = "St. Mary" }}]
follow = false
[carrier]
name = "nats"
servers = ["nats://127.0.0.1:4222"]
[directory]
name = "static"
[[directory.peers]]
public_key = "{OTHER}"
[control]
listen = "[::1]:9000"
metrics = false
[log]
level = "debug"
"""
    )
    assert (value.home, value.template, value.listen) == (Path("/somewhere/h"), Path("/t.toml"), "[::]:7000")
    assert (value.control_listen, value.metrics, value.log_level) == (("::1", 9000), False, "debug")
    assert not value.follow
    network = value.network()
    assert network.organisation(PublicKey(bytes.fromhex(OTHER))) == "St. Mary"
    assert (network.carrier_name, network.carrier_settings) == ("nats", {"servers": ["nats://127.0.0.1:4222"]})
    assert (network.directory_name, network.directory_settings) == ("static", {"peers": [{"public_key": OTHER}]})
    assert network.members == frozenset({bytes.fromhex(KEY), bytes.fromhex(OTHER)})
    assert value.organisation_of(PublicKey(bytes.fromhex(OTHER))) == "St. Mary"
    assert value.organisation_of(PublicKey(bytes.fromhex(KEY))) == ""


def test_an_open_network_admits_everybody_and_an_empty_list_nobody() -> None:
    anyone = PublicKey(bytes(32))
    opened = read('template = "t"\n[network]\nid = "n"\nopen = true\n').network()
    assert opened.admits(anyone)
    assert opened.members == OpenAdmission(), "within bounds"
    assert not read('template = "t"\n[network]\nid = "n"\nmembers = []\n').network().admits(anyone)


@pytest.mark.parametrize(
    ("text", "code", "field", "words", "hint"),
    [
        ("", "config-missing", "template", "template is missing", "node init"),
        ('template = "t"', "config-missing", "network.id", "network.id is missing", "share"),
        ('template = "t"\n[network]\nid = "n"', "config-missing", "network.members", "is missing", "open = true"),
        ("template = 1", "config-value", "template", "is 1", "text"),
        ('template = ""', "config-value", "template", "is ''", "1 to"),
        ('template = "a\\u0000b"', "config-value", "template", "is 'a\\x00b'", "printable"),
        ('home = ""\ntemplate = "t"\n[network]\nid = "n"\nopen = true', "config-value", "home", "is ''", "text"),
        ("network = 1", "config-value", "network", "is 1", "[network]"),
        ('templat = "t"', "config-key", "templat", "templat is no key", "did you mean template?"),
        (MINIMAL + "lsten = 1", "config-key", "network.lsten", "network.lsten", "did you mean listen?"),
        (MINIMAL + "[log]\nformat = 1", "config-key", "log.format", "log.format", "it may have level"),
        (MINIMAL + "open = { quota = 3 }", "config-value", "network.open", "quota = 3", "quota_packets"),
        (MINIMAL + "open = { quota_packets = 0 }", "config-value", "network.open", "0 packets", "at least 1"),
        (MINIMAL + "open = { quarantine_days = true }", "config-value", "network.open", "days = True", "whole"),
        (MINIMAL + 'open = "yes"', "config-value", "network.open", "is 'yes'", "without quotes"),
        (MINIMAL + 'listen = "7000"', "config-value", "network.listen", "is '7000'", "host and a port"),
        (MINIMAL + 'listen = "host:70000"', "config-value", "network.listen", "is 'host:70000'", "host and a port"),
        (MINIMAL + f'listen = "host:{"9" * 5000}"', "config-value", "network.listen", "…", "of 1 to"),
        (MINIMAL + '[control]\nlisten = "0.0.0.0:1"', "config-value", "control.listen", "not on the loop", "127.0.0.1"),
        (MINIMAL + '[control]\nlisten = "example.org:1"', "config-value", "control.listen", "loopback", "127.0.0.1"),
        (MINIMAL + "[control]\nmetrics = 1", "config-value", "control.metrics", "is 1", "true or false"),
        (MINIMAL + '[log]\nlevel = "loud"', "config-value", "log.level", "is 'loud'", "debug, info"),
        (MINIMAL + '[carrier]\nname = ""', "config-value", "carrier.name", "is ''", "text"),
        (MINIMAL.replace('"n"', f'"{"n" * 65}"'), "config-value", "network.id", "nnn", "64 characters"),
        (MINIMAL.replace(f'["{KEY}"]', '"x"'), "config-value", "network.members", "is no list", "public keys"),
        (MINIMAL.replace(KEY, "11" * 31), "config-value", "network.members", "number 1", "64 hex digits"),
        (MINIMAL.replace(KEY, "zz" * 32), "config-value", "network.members", "number 1", "64 hex digits"),
        (MINIMAL.replace(f'"{KEY}"', f'"{KEY}", "{KEY}"'), "config-value", "network.members", "number 2", "once"),
        (MINIMAL.replace(f'"{KEY}"', "7"), "config-value", "network.members", "number 1 is 7", "PUBLIC KEY"),
        (MINIMAL.replace(f'"{KEY}"', '{ organisation = "x" }'), "config-value", "network.members", "number 1", "KEY"),
        (
            MINIMAL.replace(f'"{KEY}"', f'{{ public_key = "{KEY}", organisation = 1 }}'),
            "config-value", "network.members", "the organisation 1", "characters",
        ),
        ("x = ", "config-syntax", None, "is not TOML", "quotes"),
        ("x = 1\nx = 2\ny = 3", "config-syntax", None, "line 2", "quotes"),
        ("[" * 100_000, "config-syntax", None, "is not TOML", "quotes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_key_and_help(
    text: str, code: str, field: str | None, words: str, hint: str
) -> None:
    error = error_of(text)
    assert (error.code, error.field, error.exit_status) == (code, field, 11)
    assert error.message.startswith("node.toml: ")
    assert words in error.message
    assert hint in error.hint
    assert len(error.message) < 500


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ConfigError, match="not UTF-8") as caught:
        parse_config(b"\xff", source="node.toml", folder=FOLDER)
    assert caught.value.code == "config-syntax"


def test_a_file_that_is_missing_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="No such file") as caught:
        load_config(tmp_path / "node.toml")
    assert caught.value.code == "config-unreadable"
    with pytest.raises(ConfigError, match="directory"):
        load_config(tmp_path)
    (tmp_path / "node.toml").write_text(MINIMAL)
    assert load_config(tmp_path / "node.toml").template == tmp_path / "t.toml"
    monkeypatch.setattr(config, "CONFIG_SIZE_BYTES_MAX", len(MINIMAL) - 1)
    with pytest.raises(ConfigError, match="more than"):
        load_config(tmp_path / "node.toml")


def test_the_configuration_to_start_from_can_be_read_whatever_the_names_are() -> None:
    text = config_text(home=Path('/a "b" \\c'), template=Path("ü 東京.toml"), network='x"y', public_key=KEY)
    value = read(text)
    assert (value.home, value.template, value.network_id) == (Path('/a "b" \\c'), FOLDER / "ü 東京.toml", 'x"y')
    assert value.members == (Member(public_key=PublicKey(bytes.fromhex(KEY)), organisation="this node"),)


def test_records_are_read_from_their_files_and_a_bad_one_is_named(tmp_path: Path) -> None:
    record = sign_revocation(bytes(32), day=20_000, reason=RevocationReason.COMPROMISED)
    (tmp_path / "gone.record").write_bytes(record.encoded)
    text = 'template = "t"\n[network]\nid = "n"\nopen = true\nrecords = ["gone.record"]\n'
    network = parse_config(text.encode(), source="node.toml", folder=tmp_path).network()
    assert not network.admits(PublicKey(record.public_key))
    (tmp_path / "gone.record").write_bytes(b"no record")
    with pytest.raises(KeyFileError, match="record 1"):
        parse_config(text.encode(), source="node.toml", folder=tmp_path).network()
    (tmp_path / "gone.record").unlink()
    with pytest.raises(ConfigError, match=r"gone\.record") as caught:
        parse_config(text.encode(), source="node.toml", folder=tmp_path).network()
    assert caught.value.code == "config-unreadable"
    wrong = text.replace('["gone.record"]', '"gone.record"')
    with pytest.raises(ConfigError, match=r"is 'gone\.record'"):
        parse_config(wrong.encode(), source="node.toml", folder=tmp_path)
