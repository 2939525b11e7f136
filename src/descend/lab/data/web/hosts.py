"""What is owed to a host: its turn, a pause it asked for, its robots.txt; and whether it is one of this network."""

import asyncio
import ipaddress
import socket
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from time import monotonic

SLOWEST = 30.0  # seconds between requests that a robots.txt may ask for


class Clock:
    """The time, and waiting for it."""

    def now(self) -> float:
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Hosts:
    """Turns, pauses and silence by origin (`https://host:port`), and what kind of address a name has."""

    def __init__(self, rate: float, clock: Clock, patience: int) -> None:
        """`patience`: so many failures in a row to get any answer, and a host is asked no more."""
        self.clock, self._patience = clock, patience
        self._between: dict[str, float] = defaultdict(lambda: 1 / rate)
        self._next: dict[str, float] = {}
        self._silent: Counter[str] = Counter()
        self._kinds: dict[str, str] = {}

    async def turn(self, origin: str) -> None:
        """Wait until the origin may be asked again."""
        while True:
            now = self.clock.now()
            at = self._next.get(origin, now)
            if at <= now:
                self._next[origin] = now + self._between[origin]
                return
            # Whoever wakes first goes; the others see a later time and wait for that.
            await self.clock.sleep(at - now)

    def pause(self, origin: str, seconds: float) -> None:
        """Nobody asks the origin for so long."""
        self._next[origin] = max(self._next.get(origin, 0.0), self.clock.now() + seconds)

    def slower(self, origin: str, seconds: float) -> None:
        """At least so long between two requests, as its robots.txt asks; at most `SLOWEST`."""
        self._between[origin] = max(self._between[origin], min(seconds, SLOWEST))

    def heard(self, origin: str, answered: bool) -> None:
        self._silent[origin] = 0 if answered else self._silent[origin] + 1

    def given_up(self, origin: str) -> bool:
        return self._silent[origin] >= self._patience

    async def kind(self, host: str) -> str:
        """`public`, `private` (this machine, its network, anything not routed), `link-local`, or `unknown`."""
        if host not in self._kinds:
            try:
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
                self._kinds[host] = kind_of([str(entry[4][0]) for entry in found])
            except (OSError, UnicodeError):
                self._kinds[host] = "unknown"
        return self._kinds[host]


def kind_of(addresses: list[str]) -> str:
    """The least trustworthy kind among some addresses."""
    found = set()
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        found.add("link-local" if address.is_link_local else "public" if address.is_global else "private")
    return next((kind for kind in ("link-local", "private", "public") if kind in found), "unknown")


class Robots:
    """What each origin's robots.txt allows (RFC 9309), asked for once."""

    def __init__(self, agent: str, read: Callable[[str], Awaitable[str | None]], hosts: Hosts) -> None:
        """`read` gives the text at an address; "" where there is none, None where that cannot be known."""
        self._agent, self._read, self._hosts = agent, read, hosts
        self._asked: dict[str, asyncio.Future] = {}

    async def allows(self, origin: str, url: str) -> bool | None:
        """None: the file cannot be had, so nothing may be taken for allowed (RFC 9309, 2.3.1.4)."""
        if origin not in self._asked:
            self._asked[origin] = asyncio.ensure_future(self._rules(origin))
        rules = await asyncio.shield(self._asked[origin])
        return None if rules is None else rules.can_fetch(url, self._agent)

    async def _rules(self, origin: str):
        from protego import Protego

        text = await self._read(f"{origin}/robots.txt")
        if text is None:
            return None
        rules = Protego.parse(text)
        if delay := rules.crawl_delay(self._agent):
            self._hosts.slower(origin, delay)
        return rules
