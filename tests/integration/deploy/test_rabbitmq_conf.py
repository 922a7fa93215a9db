"""RabbitMQ's own reader of settings understands every line of deploy/docker/rabbitmq.conf."""

import subprocess
from pathlib import Path

from deploy.local.rabbitmq import server_program
from tests.integration.deploy.dockerfile import REPOSITORY

CONF = REPOSITORY / "deploy" / "docker" / "rabbitmq.conf"
_READ = """\
[Schema, Conf] = init:get_plain_arguments(),
case cuttlefish_generator:map(cuttlefish_schema:files([Schema]), cuttlefish_conf:file(Conf)) of
    {error, _, Problems} -> io:format("~p~n", [Problems]), halt(1);
    Settings -> io:format("~0p~n", [Settings]), halt(0)
end.
"""


def read(conf: Path) -> subprocess.CompletedProcess[str]:
    server = server_program()
    assert server, "needs RabbitMQ on this machine: its reader of settings comes with it"
    plugins = Path(server).resolve().parents[1] / "plugins"
    (schema,) = plugins.glob("rabbit-*/priv/schema/rabbit.schema")
    code = [str(folder) for folder in plugins.glob("*/ebin")]
    return subprocess.run(
        ["erl", "-noshell", "-pa", *code, "-eval", _READ, "-extra", str(schema), str(conf)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_every_setting_is_understood() -> None:
    done = read(CONF)
    assert done.returncode == 0, done.stdout
    for setting in ("{consumer_timeout,1800000}", "{wal_max_size_bytes,67108864}", '{disk_free_limit,"2GB"}'):
        assert setting in done.stdout


def test_a_setting_that_does_not_exist_would_be_noticed(tmp_path: Path) -> None:
    conf = tmp_path / "rabbitmq.conf"
    conf.write_text(CONF.read_text(encoding="utf-8") + "consumer_timeuot = 1\n", encoding="utf-8")
    assert "consumer_timeuot" in read(conf).stdout
