"""How fast does a server answer, and with which latency? A load generator that uses little CPU itself.

A process of its own (`python -m deploy.bench.load`, plan on stdin, result on stdout). One epoll loop over keep-alive
sockets writes whole prebuilt requests: some 10 µs of CPU a request, where an asyncio client spends 30 to 100.
"""

import itertools
import math
import select
import socket
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from deploy.bench import traffic
from shared.sdrp.signature import SigningSecret

PREBUILT_AT_MOST = 250_000
"""Requests signed before the clock starts (1.3 kB each); a longer run signs each one as it goes."""
GRACE_SECONDS = 30.0
"""How long answers may lag behind the last request before they count as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    port: int
    path: str
    secret: str = field(repr=False)
    first: int
    """Number of the first event."""
    seconds: float | None = None
    count: int | None = None
    """Stop after this many measured seconds or requests, whichever comes first."""
    rate: float | None = None
    """Requests a second, sent on schedule whatever the server does (open loop); None: as fast as answers come."""
    pool: int | None = None
    """Distinct requests to send round and round; None: every request is another event."""
    warm_up: float = 0.0
    """Seconds at the start that count for nothing."""
    connections: int = 64
    host: str = "127.0.0.1"
    schedule: str | None = None
    """File for the wall-clock second at which each event was due, as native doubles in order of event number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    sent: int
    """Requests written, warm-up included."""
    statuses: dict[str, int]
    """Answers by status, warm-up included; `broken` counts connections lost with a request on them."""
    seconds: float
    """Measured time, without the warm-up."""
    accepted: int
    """204 answers within the measured time."""
    p50_ms: float
    p99_ms: float
    max_ms: float
    """From the moment a request was due to the last byte of its 204."""
    cpu_share: float
    """Of one core, spent by this process."""

    @property
    def rps(self) -> float:
        return self.accepted / self.seconds

    @property
    def refused(self) -> dict[str, int]:
        return {status: n for status, n in self.statuses.items() if status != "204"}


@dataclass(slots=True)
class Connection:
    host: str
    port: int
    due: float = 0.0
    answer: bytes = b""
    sock: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.sock = socket.create_connection((self.host, self.port), timeout=5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(None)

    def read_status(self) -> str | None:
        """What there is to read: the status once the answer is whole, None while it is not, `broken` when lost."""
        try:
            chunk = self.sock.recv(16384)
        except OSError:
            chunk = b""
        if not chunk:
            return "broken"
        self.answer += chunk
        if not _is_whole(self.answer):
            return None
        status = self.answer[9:12].decode("ascii", "replace")
        self.answer = b""
        return status


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    if head.startswith(b"HTTP/1.1 204"):
        return True
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    return len(body) >= int(length.partition(b":")[2])


class Run:
    """One plan carried out."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.statuses: Counter[str] = Counter()
        self.latencies = array("d")
        self.dues = array("d")
        self.requests = _requests(plan)
        self.poll = select.epoll()
        self.busy: dict[int, Connection] = {}
        self.idle: deque[Connection] = deque()
        """Used round-robin: the server closes a connection that stays silent."""

    def carry_out(self) -> Result:
        self.idle.extend(self._watch(Connection(self.plan.host, self.plan.port)) for _ in range(self.plan.connections))
        cpu, wall_minus_clock = time.process_time(), time.time() - time.perf_counter()
        start = time.perf_counter()
        measured_from = start + self.plan.warm_up
        finish = measured_from + (math.inf if self.plan.seconds is None else self.plan.seconds)
        while self._send_what_is_due(start, finish) or self.busy:
            self._read_answers(measured_from, timeout=self._patience(start))
            if time.perf_counter() > finish + GRACE_SECONDS:
                self.statuses["lost"] += len(self.busy)
                break
        seconds = min(time.perf_counter(), finish) - measured_from
        self._write_schedule(wall_minus_clock)
        return self._result(seconds, cpu=(time.process_time() - cpu) / (time.perf_counter() - start))

    def _send_what_is_due(self, start: float, finish: float) -> bool:
        """False when the plan has nothing more to send."""
        rate, count = self.plan.rate, self.plan.count or sys.maxsize
        now = time.perf_counter()
        while (sent := len(self.dues)) < count and now < finish:
            due = now if rate is None else start + sent / rate
            if due > now or not self.idle:
                return True
            connection = self.idle.popleft()
            connection.due = due
            self.dues.append(due)
            self.busy[connection.sock.fileno()] = connection
            connection.sock.sendall(next(self.requests))
        return False

    def _read_answers(self, measured_from: float, *, timeout: float) -> None:
        for descriptor, _ in self.poll.poll(timeout):
            connection = self.busy.get(descriptor)
            status = connection.read_status() if connection else None
            if connection is None or status is None:
                continue
            del self.busy[descriptor]
            self.statuses[status] += 1
            if status == "broken":
                connection = self._reopened(connection)
            elif status == "204" and connection.due >= measured_from:
                self.latencies.append(time.perf_counter() - connection.due)
            self.idle.append(connection)

    def _patience(self, start: float) -> float:
        """Seconds until the next request is due, when a connection is free to carry it; else until an answer."""
        if self.plan.rate is None or not self.idle:
            return 1.0
        return max(0.0, min(1.0, start + len(self.dues) / self.plan.rate - time.perf_counter()))

    def _watch(self, connection: Connection) -> Connection:
        self.poll.register(connection.sock.fileno(), select.EPOLLIN)
        return connection

    def _reopened(self, connection: Connection) -> Connection:
        self.poll.unregister(connection.sock.fileno())
        connection.sock.close()
        connection.answer = b""
        connection.open()
        return self._watch(connection)

    def _write_schedule(self, wall_minus_clock: float) -> None:
        if self.plan.schedule is not None:
            due = array("d", (due + wall_minus_clock for due in self.dues))
            Path(self.plan.schedule).write_bytes(due.tobytes())

    def _result(self, seconds: float, *, cpu: float) -> Result:
        ordered = sorted(self.latencies)
        return Result(
            sent=len(self.dues),
            statuses=dict(self.statuses),
            seconds=seconds,
            accepted=len(ordered),
            p50_ms=percentile(ordered, 0.50) * 1000,
            p99_ms=percentile(ordered, 0.99) * 1000,
            max_ms=(ordered[-1] if ordered else 0.0) * 1000,
            cpu_share=cpu,
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank; 0 when there is nothing to rank."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0.0


def _requests(plan: Plan) -> Iterator[bytes]:
    fresh = traffic.requests(
        plan.first, secret=SigningSecret.from_text(plan.secret), host=f"{plan.host}:{plan.port}", path=plan.path
    )
    if plan.pool is not None:
        return itertools.cycle(list(itertools.islice(fresh, plan.pool)))
    # An open loop knows how many it will send; signing them beforehand keeps the schedule exact.
    by_time = math.ceil((plan.rate or 0) * (plan.warm_up + (plan.seconds or 0)))
    wanted = min(by_time or sys.maxsize, plan.count or sys.maxsize)
    ahead = list(itertools.islice(fresh, wanted if wanted <= PREBUILT_AT_MOST else 0))
    return itertools.chain(ahead, fresh)


def main() -> None:
    plan = Plan(**orjson.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(orjson.dumps(asdict(Run(plan).carry_out())))


if __name__ == "__main__":
    main()
