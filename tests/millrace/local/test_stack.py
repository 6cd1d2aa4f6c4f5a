"""Which parts run on one machine, where they listen, and that the jobs know the options they are given."""

import subprocess
import sys
from pathlib import Path

import pytest

from millrace.errors import ConfigurationError
from millrace.local.stack import Addresses, choose_addresses, local_parts

ADDRESSES = Addresses(kafka="127.0.0.1:1", collector="127.0.0.1:2", api="127.0.0.1:3")


def parts(root: Path) -> dict[str, object]:
    made = local_parts(root, "shop", definitions=Path("conf/tenants/default"), batch_every="5m", addresses=ADDRESSES)
    return {part.name: part for part in made}


def test_the_broker_is_the_first_part_and_all_others_wait_for_it(tmp_path: Path) -> None:
    made = parts(tmp_path)
    others = dict.fromkeys(("collector", "driver", "segments", "health", "api"), ("broker",))
    assert {name: part.needs for name, part in made.items()} == {"broker": (), **others}


def test_port_0_becomes_free_ports_that_differ_and_given_ports_stay() -> None:
    chosen = choose_addresses(collector="127.0.0.1:0", api="127.0.0.1:8081")
    assert chosen.api == "127.0.0.1:8081"
    assert len({chosen.kafka, chosen.collector, chosen.api}) == 3
    assert not chosen.collector.endswith(":0") and not chosen.kafka.endswith(":0")


@pytest.mark.parametrize("address", ["8080", "localhost", "localhost:http", "localhost:70000", ":"])
def test_an_address_without_host_or_port_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="write host:port"):
        choose_addresses(collector=address, api="127.0.0.1:0")


def test_the_driver_is_ready_when_the_file_names_its_own_process(tmp_path: Path) -> None:
    driver = parts(tmp_path)["driver"]
    file = tmp_path / "shop" / "checkpoints" / "driver.ready"
    with pytest.raises(FileNotFoundError):
        driver.ready(42)
    file.parent.mkdir(parents=True)
    file.write_text('{"pid": 41}')
    assert not driver.ready(42)
    file.write_text('{"pid": 42}')
    assert driver.ready(42)


@pytest.mark.parametrize("name", ["broker", "collector", "driver", "segments", "health", "api"])
def test_a_job_knows_the_options_it_is_started_with(name: str, tmp_path: Path) -> None:
    command = parts(tmp_path)[name].argv
    shown = subprocess.run([*command[:3], "--help"], capture_output=True, text=True, check=True).stdout
    assert command[0] == sys.executable
    assert [option for option in command[3:] if option.startswith("--") and option not in shown] == []
