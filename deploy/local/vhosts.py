"""Creates and removes virtual hosts in about ten milliseconds each, where rabbitmqctl takes a second.

An Erlang shell stays connected to the broker and calls it directly; rabbitmqctl starts a new one each time.
"""

import shutil
import subprocess
from types import TracebackType
from typing import Self

from deploy.local import processes
from deploy.local.errors import LocalStackError, ProgramsMissing
from deploy.local.ports import LOOPBACK
from deploy.local.rabbitmq import NODE, USER, RabbitMQ
from deploy.local.stack import Stack

_SHELL = r"""
Ask = fun(Module, Function, Arguments) -> rpc:call('@NODE@', Module, Function, Arguments, 60000) end,
Do = fun
    ("add", Name) ->
        case Ask(rabbit_vhost, add, [Name, <<"kessai">>]) of
            ok -> Ask(rabbit_auth_backend_internal, set_permissions,
                      [<<"@USER@">>, Name, <<".*">>, <<".*">>, <<".*">>, <<"kessai">>]);
            Refused -> Refused
        end;
    ("delete", Name) -> Ask(rabbit_vhost, delete, [Name, <<"kessai">>])
end,
Loop = fun(Again) ->
    case io:get_line("") of
        Line when is_list(Line) ->
            [Command, Name] = string:lexemes(string:trim(Line), " "),
            io:format("~0p~n", [Do(Command, list_to_binary(Name))]),
            Again(Again);
        _ -> halt(0)
    end
end,
Loop(Loop).
"""


class Vhosts:
    """`with Vhosts(stack) as vhosts: url = vhosts.add("one")`. Works across restarts of the broker."""

    def __init__(self, stack: Stack) -> None:
        self._broker: RabbitMQ = stack.rabbitmq()
        self._mark = stack.mark

    def __enter__(self) -> Self:
        erl = shutil.which("erl")
        if erl is None:
            raise ProgramsMissing(["Erlang (erl)"])
        self._shell = subprocess.Popen(  # noqa: S603 - a fixed program
            [
                *(erl, "-noshell", "-hidden"),
                *("-sname", f"vhosts-{id(self)}@localhost"),
                *("-kernel", "inet_dist_use_interface", "{" + LOOPBACK.replace(".", ",") + "}"),
                *("-kessai_stack", f"{self._mark}-vhosts"),
                *("-eval", _SHELL.replace("@NODE@", NODE).replace("@USER@", USER)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self._broker.home,
            env=processes.server_environment(
                self._broker.home, {"ERL_EPMD_PORT": str(self._broker.name_service_port), "ERL_EPMD_ADDRESS": LOOPBACK}
            ),
            start_new_session=True,
            user=self._broker.account.uid if self._broker.account else None,
            group=self._broker.account.gid if self._broker.account else None,
            extra_groups=[] if self._broker.account else None,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shell.communicate()

    def add(self, name: str) -> str:
        """Make a virtual host (letters, digits and dashes) and return the URL of it."""
        self._ask("add", name)
        return self._broker.url.removesuffix("%2F") + name

    def delete(self, name: str) -> None:
        """Remove it with all that it holds; its connections are closed."""
        self._ask("delete", name)

    def _ask(self, command: str, name: str) -> None:
        answer = b""
        if self._shell.stdin is not None and self._shell.stdout is not None and self._shell.poll() is None:
            self._shell.stdin.write(f"{command} {name}\n".encode())
            self._shell.stdin.flush()
            answer = self._shell.stdout.readline().strip()
        if answer != b"ok":
            raise LocalStackError(
                f"RabbitMQ did not {command} the virtual host {name}: {answer.decode() or 'the shell ended'}"
            )
