"""What may go wrong on purpose: with a request on its way, and with a task; by a script or by chance. Pure."""

from collections.abc import Iterable
from random import Random
from typing import Any, Literal, Protocol, runtime_checkable

from attrs import Attribute, field, frozen, validators

from aimusic_async.sandbox.prices import PRICES

Kind = Literal["refused", "error", "dropped", "half body", "cut JSON", "slow", "stalled"]

_seconds: Any = validators.and_(validators.instance_of((int, float)), validators.ge(0))
_share: Any = validators.and_(_seconds, validators.le(1))


@frozen(kw_only=True)
class Fault:
    """What goes wrong with one request: `Fault.dropped(taken=True)`, `Fault.error(502)`, and so on.

    `taken` says whether the request is carried out all the same: a POST then starts and charges what it asks for.
    Where that can be chosen, the default is that nothing is taken. Spans are the service's seconds: `Options.speed`
    makes them shorter.

    A request meets a fault once it was let in. What is refused before that (unknown key, too early, a body that is no
    JSON, a platform that is gone) is answered as ever. A request that meets a fault has used up its place in the rate
    limit, except with `refused`. Files are no API requests and meet none.
    """

    kind: Kind
    taken: bool = False
    status: int | None = None
    """Of `error`: the HTTP status."""
    seconds: float | None = field(default=None, validator=validators.optional(_seconds))
    """Of `refused`: what `Retry-After` says; of `slow` and `stalled`: how long it lasts."""
    reset: bool = False
    """Of `dropped`: whether the connection is reset, and not just closed."""

    @classmethod
    def refused(cls, *, retry_after: float | None = None) -> "Fault":
        """429 although the request did not come too soon; `retry_after` (seconds) goes into the header `Retry-After`.

        As every refused request it does not count: the next may come at once.
        """
        return cls(kind="refused", seconds=retry_after)

    @classmethod
    def error(cls, status: int = 502, *, taken: bool = False) -> "Fault":
        """A 5xx: 500 as the service itself says it, in JSON; all others with an HTML page, as gateways have them."""
        if not 500 <= status <= 599:
            raise ValueError(f"status should be from 500 to 599, not {status}")
        return cls(kind="error", status=status, taken=taken)

    @classmethod
    def dropped(cls, *, taken: bool = False, reset: bool = True) -> "Fault":
        """The connection ends without an answer: by a reset, or as an orderly end with `reset=False`.

        aiohttp's client by itself sends a GET again whose reused connection was dropped: a request of its own here.
        """
        return cls(kind="dropped", taken=taken, reset=reset)

    @classmethod
    def half_body(cls) -> "Fault":
        """The request is carried out; after half the bytes that `Content-Length` promises the connection ends."""
        return cls(kind="half body", taken=True)

    @classmethod
    def cut_json(cls) -> "Fault":
        """The request is carried out; the answer is whole for HTTP, but its JSON stops in the middle."""
        return cls(kind="cut JSON", taken=True)

    @classmethod
    def slow(cls, seconds: float = 10.0) -> "Fault":
        """The request is carried out; the body of the answer trickles in over so many seconds."""
        return cls(kind="slow", taken=True, seconds=seconds)

    @classmethod
    def stalled(cls, seconds: float = 3600.0, *, taken: bool = False) -> "Fault":
        """No answer comes until the caller gives up; after so many seconds the connection is reset."""
        return cls(kind="stalled", taken=taken, seconds=seconds, reset=True)

    def __str__(self) -> str:
        """As "429", "502", "502 taken", "dropped taken", "half body"."""
        name = {"refused": "429", "error": str(self.status)}.get(self.kind, self.kind)
        return f"{name} taken" if self.taken and self.kind in ("error", "dropped", "stalled") else name


@frozen(kw_only=True)
class Fate:
    """What becomes of a task that was accepted and charged. Requests that start no task know no fate.

    A task that hangs or vanishes sends no webhooks.
    """

    kind: Literal["fails", "hangs", "vanishes"]
    after: float | None = field(default=None, validator=validators.optional(_seconds))

    @classmethod
    def fails(cls) -> "Fate":
        """All of it fails at its end, and the price is given back."""
        return cls(kind="fails")

    @classmethod
    def hangs(cls) -> "Fate":
        """It never ends: it is shown as pending, then as running, for ever. No credits come back."""
        return cls(kind="hangs")

    @classmethod
    def vanishes(cls, *, after: float | None = None) -> "Fate":
        """Its id is unknown once so many seconds have passed (default: some time before its end). No credits come back.

        Until then it goes on as any other.
        """
        return cls(kind="vanishes", after=after)

    def __str__(self) -> str:
        """As "hangs"."""
        return self.kind


Met = tuple[Fault | None, Fate | None]
"""What a request meets, and what is to become of the task that it starts."""


@runtime_checkable
class Faults(Protocol):
    """Decides what goes wrong. Write your own where `Script` and `RandomFaults` do not suffice."""

    def meet(self, method: str, operation: str, ordinal: int) -> Met:
        """Say what the request meets.

        `method` is "GET" or "POST"; `operation` is named as in `Request.operation`; `ordinal` counts the sandbox's
        requests that could meet something: 0, 1, …
        """
        ...


Step = Fault | Fate | tuple[str, Fault | Fate | None] | tuple[str, Fault, Fate] | None

_FAMILIES = {name.partition(".")[0] for name in PRICES}
_PLACES = {"*", "GET", "POST", "account", "account.get_credits", "unknown", *PRICES, *_FAMILIES}
_PLACES |= {f"{family}.task" for family in _FAMILIES - {"lyrics"}}


@frozen
class _Step:
    place: str
    fault: Fault | None = None
    fate: Fate | None = None

    @classmethod
    def of(cls, step: Step) -> "_Step":
        place, *happens = step if isinstance(step, tuple) else ("*", step)
        if place not in _PLACES:
            raise ValueError(f"{place!r} is no operation, family or method: say for instance {sorted(_PLACES)[:8]}")
        faults = [one for one in happens if isinstance(one, Fault)]
        fates = [one for one in happens if isinstance(one, Fate)]
        if len(faults) > 1 or len(fates) > 1 or len(happens) - len(faults) - len(fates) != happens.count(None):
            raise TypeError(f"a step is None, a Fault, a Fate, or a tuple of a name and these; not {step!r}")
        if fates and faults and not faults[0].taken:
            raise ValueError(f"{faults[0]}: where nothing is taken there is no task to have a fate")
        return cls(place, faults[0] if faults else None, fates[0] if fates else None)

    def fits(self, method: str, operation: str) -> bool:
        if self.fate is not None and method != "POST":
            return False
        return self.place in ("*", method, operation, operation.partition(".")[0])


class Script:
    """What happens to which request, step by step.

    ```python
    Script(
        ("sonic.create_music", Fault.dropped(taken=True)),     # the first song: taken, the answer is lost
        ("sonic.create_music", None),                          # the second: nothing
        ("sonic.create_music", Fault.error(502, taken=True), Fate.fails()),
        ("sonic.task", Fault.error(503)),                      # the first poll of a task
        ("POST", Fault.refused(retry_after=5)),
        Fate.hangs(),                                          # whatever POST comes then
    )
    ```

    Each request takes the first step that is left and fits it, and uses it up. So the steps of one operation come in
    order, and those of different operations do not wait for each other. A step fits an operation ("sonic.create_music",
    "sonic.task", "account.get_credits"), a family ("sonic"), a method, or ("*", or without any name) every request; one
    with a fate fits only POSTs. When no step fits, nothing happens.

    A script belongs to one sandbox, as it is used up. Raises `ValueError` or `TypeError` for a step that makes no
    sense.
    """

    def __init__(self, *steps: Step) -> None:
        self._left = [_Step.of(step) for step in steps]

    @property
    def left(self) -> int:
        """How many steps were not used yet; 0 when everything has happened."""
        return len(self._left)

    def meet(self, method: str, operation: str, ordinal: int) -> Met:  # noqa: ARG002  # a script only counts its steps
        """Use up the first step that fits."""
        for index, step in enumerate(self._left):
            if step.fits(method, operation):
                del self._left[index]
                return step.fault, step.fate
        return None, None


EVERYTHING: tuple[Fault | Fate, ...] = (
    Fault.refused(),
    Fault.refused(retry_after=5),
    Fault.error(500),
    Fault.error(502),
    Fault.error(503),
    Fault.error(500, taken=True),
    Fault.error(502, taken=True),
    Fault.error(504, taken=True),
    Fault.dropped(),
    Fault.dropped(reset=False),
    Fault.dropped(taken=True),
    Fault.dropped(taken=True, reset=False),
    Fault.half_body(),
    Fault.cut_json(),
    Fault.slow(),
    Fault.stalled(100),
    Fault.stalled(100, taken=True),
    Fate.fails(),
    Fate.hangs(),
    Fate.vanishes(),
)
"""What `RandomFaults` chooses from by default."""


def _some(_: object, attribute: "Attribute[Any]", value: Iterable[Any]) -> None:
    if not value or not all(isinstance(one, Fault | Fate) for one in value):
        raise TypeError(f"{attribute.name} should have faults and fates in it, not {value!r}")


@frozen
class RandomFaults:
    """A share of the requests, and a share of the tasks, meets something by chance: `RandomFaults(0.2, seed=7)`.

    The same seed and the same requests in the same order meet the same. Raises `ValueError` or `TypeError` for a value
    that makes no sense.
    """

    share: float = field(default=0.1, validator=_share)
    """Share of requests that meet a fault."""
    seed: int = field(default=0, kw_only=True, validator=validators.instance_of(int))
    among: tuple[Fault | Fate, ...] = field(default=EVERYTHING, converter=tuple, kw_only=True, validator=_some)
    """What is chosen from, each as likely: the faults in here for requests, the fates for tasks."""
    task_share: float | None = field(default=None, kw_only=True, validator=validators.optional(_share))
    """Share of the requests that start a task whose task has a fate; default: `share`."""
    _faults: tuple[Fault, ...] = field(init=False, repr=False, eq=False)
    _fates: tuple[Fate, ...] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        # Sorted here and not with every request. attrs' own way past `frozen`:
        object.__setattr__(self, "_faults", tuple(one for one in self.among if isinstance(one, Fault)))
        object.__setattr__(self, "_fates", tuple(one for one in self.among if isinstance(one, Fate)))

    def meet(self, method: str, operation: str, ordinal: int) -> Met:  # noqa: ARG002  # all operations alike
        """Draw; each request has random numbers of its own."""
        chance = Random(f"{self.seed}/{ordinal}/fault")
        hit, which, task_hit, which_fate = (chance.random() for _ in range(4))
        task_share = self.share if self.task_share is None else self.task_share
        fault = self._faults[int(which * len(self._faults))] if self._faults and hit < self.share else None
        fated = bool(self._fates) and method == "POST" and task_hit < task_share
        return fault, self._fates[int(which_fate * len(self._fates))] if fated else None
