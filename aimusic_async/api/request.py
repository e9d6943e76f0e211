"""`Request[R]`: one operation of the service as a value that knows its endpoint, limits, cost and result type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin
from urllib.parse import quote

import attrs

from ..hiding import hide_arguments
from .limits import FieldSpec, check, field_specs

R = TypeVar("R", covariant=True)


class Answer(Enum):
    """How an operation gives its result."""

    NOW = "now"
    """In the answer itself."""
    REPEAT = "repeat"
    """In the answer itself, once it is ready: the same request is sent again until then, and charged once."""
    TASK = "task"
    """The answer is a task id; the result comes by polling."""


@attrs.frozen(kw_only=True)
class Endpoint:
    """Where an operation lives and how it behaves."""

    path: str
    """Below `/api/v1`; its first part is the platform, whose task endpoint is polled."""
    method: str = "POST"
    answer: Answer = Answer.TASK
    may_be_task: bool = False
    """Whether an argument can turn a direct answer into a task."""
    fixed: Mapping[str, object] = attrs.field(factory=dict)
    """Fields that every such request carries (`task_type`), unless a field of the class says otherwise."""
    clips: int = 1
    """How many clips a finished task has at least; a list that is shorter still grows."""
    reply_within: float = 60.0
    """Seconds after which the answer of one HTTP request counts as lost."""
    typical: float = 0.0
    """Seconds that such a task usually takes: the first guess, until some have been seen."""

    @property
    def platform(self) -> str:
        """`sonic`, `producer`, `nuro` or `riffusion`."""
        return self.path.split("/")[1]

    def task_path(self, task_id: str) -> str:
        """Return the path for polling a task."""
        return f"/{self.platform}/task/{quote(task_id, safe='')}"


@attrs.frozen(kw_only=True)
class Request(Generic[R]):
    """Base of all operations. Instances are checked when made: a wrong argument raises `InvalidRequest` at once.

    A subclass is an attrs class (`@attrs.frozen(kw_only=True)`) that names `endpoint` and `cost`, and its fields with
    their limits in `Annotated`; `Request[Song]` names the result. Nothing else is needed for a new operation.
    """

    operation: ClassVar[str] = "request"
    """The operation's name, such as `sonic.create_music`: the module's and the class's."""
    endpoint: ClassVar[Endpoint]
    cost: ClassVar[int]
    """Credits, taken when the service accepts the request."""

    def __init_subclass__(cls) -> None:
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        cls.operation = f"{cls.__module__.rpartition('.')[2]}.{words}"

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        if any(field.name == "webhook_secret" for field in attrs.fields(cls)):
            setattr(cls, "__init__", hide_arguments(cls.__init__))  # noqa: B010 - nothing for those who read types

    def __attrs_post_init__(self) -> None:
        check(self.operation, self.fields(), self)
        self.check_together()

    def check_together(self) -> None:
        """Check rules about several fields; subclasses raise `InvalidRequest` here."""

    @property
    def answer(self) -> Answer:
        """How this request gives its result; a few operations let an argument decide."""
        return self.endpoint.answer

    @classmethod
    def fields(cls) -> tuple[FieldSpec, ...]:
        """Return the fields with their types, limits and documentation."""
        specs: tuple[FieldSpec, ...] = _fields(cls)  # type: ignore[arg-type]  # mypy takes the class for unhashable
        return specs

    @classmethod
    def result_type(cls) -> type[R]:
        """Return the class of the result."""
        result: type[R] = _result_type(cls)  # type: ignore[arg-type]  # as above
        return result

    @classmethod
    def page(cls) -> str:
        """Return the page of the service's documentation that describes it, as its docstring names it."""
        return (cls.__doc__ or "").partition("Page: ")[2].partition("\n")[0].partition(".")[0].partition(";")[0]

    def derived(self) -> Mapping[str, object]:
        """Return fields that follow from others and were omitted by the caller."""
        return {}


@cache
def _fields(cls: type) -> tuple[FieldSpec, ...]:
    return field_specs(cls)


@cache
def _result_type(cls: type) -> Any:
    for base in cls.__mro__:
        for parent in getattr(base, "__orig_bases__", ()):
            origin = get_origin(parent)
            if isinstance(origin, type) and issubclass(origin, Request):
                (result,) = get_args(parent)
                if not isinstance(result, TypeVar):
                    return result
    raise TypeError(f"{cls.__name__} must say its result: class {cls.__name__}(Request[…])")
