"""`aimusic operations`: every operation, its price and its result, from the request classes themselves."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..api.limits import FieldSpec
from ..api.operations import operations
from ..api.pricing import cost_of
from ..api.request import Answer, Request

_HEADS = ("Request", "Endpoint", "Answer", "Credits", "Result", "Page")
_ANSWERS = {Answer.NOW: "at once", Answer.REPEAT: "when ready", Answer.TASK: "task"}


def rows(prices: Mapping[str, int] | None = None) -> list[tuple[str, ...]]:
    """Return one row per operation, in the order of the service's documentation; see `Settings.prices`."""
    return [_row(name, cls, cost_of(cls, prices or {})) for name, cls in operations().items()]


def _row(name: str, cls: type[Request[object]], credits_: int) -> tuple[str, ...]:
    endpoint = cls.endpoint
    task_type = "".join(f" ({endpoint.fixed[name]})" for name in ("task_type", "type") if name in endpoint.fixed)
    return (
        f"{name.partition('.')[0]}.{cls.__name__}",
        f"{endpoint.method} {endpoint.path}{task_type}",
        _ANSWERS[endpoint.answer] + (" or task" if endpoint.may_be_task else ""),
        str(credits_),
        cls.result_type().__name__,
        cls.page(),
    )


def plain_rows(prices: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the same as data."""
    return [
        {
            "operation": name,
            "class": f"{name.partition('.')[0]}.{cls.__name__}",
            "method": cls.endpoint.method,
            "path": f"/api/v1{cls.endpoint.path}",
            "answer": _ANSWERS[cls.endpoint.answer],
            "credits": cost_of(cls, prices),
            "result": cls.result_type().__name__,
            "page": cls.page(),
        }
        for name, cls in operations().items()
    ]


def plain_fields(cls: type[Request[object]]) -> list[dict[str, Any]]:
    """Return the fields of an operation as data."""
    return [
        {
            "field": spec.name,
            "type": list(spec.kind) if isinstance(spec.kind, tuple) else spec.kind.__name__,
            "required": spec.required,
            "limits": _limits(spec),
            "doc": spec.doc,
        }
        for spec in cls.fields()
    ]


def _limits(spec: FieldSpec) -> list[str]:
    return [str(limit).replace("()", "") for limit in (*spec.limits, *spec.entry_limits)]


def markdown(prices: Mapping[str, int] | None = None) -> str:
    """Return the table for the README."""
    lines = [_HEADS, tuple("---:" if head == "Credits" else "---" for head in _HEADS)]
    for request, endpoint, answer, price, result, page in rows(prices):
        lines.append((f"`{request}`", f"`{endpoint}`", answer, price, f"`{result}`", page))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def show(console: Console, prices: Mapping[str, int] | None = None) -> None:
    """Print a table on a terminal, Markdown elsewhere."""
    if not console.is_terminal:
        console.print(markdown(prices), soft_wrap=True, highlight=False, markup=False)
        return
    shown = [0, 1, 2, 3, 4, 5] if console.width >= 150 else [0, 2, 3, 4]  # what fits without being cut
    table = Table(*(_HEADS[column] for column in shown), box=None, pad_edge=False)
    for row in rows(prices):
        table.add_row(*(row[column] for column in shown))
    table.columns[0].no_wrap = True
    console.print(table)


def show_fields(name: str, console: Console) -> bool:
    """Print the fields of one operation; False when there is none of that name."""
    cls = operations().get(name)
    if cls is None:
        return False
    console.print(f"[bold]{name}[/]  {inspect.getdoc(cls)}\n", highlight=False, soft_wrap=True)
    table = Table("Field", "Type", "Limits", box=None, pad_edge=False)
    for spec in cls.fields():
        kind = " | ".join(map(repr, spec.kind)) if isinstance(spec.kind, tuple) else spec.kind.__name__
        words = "; ".join(filter(None, (spec.doc, ", ".join(_limits(spec)))))
        table.add_row(f"{spec.name}{' *' if spec.required else ''}", escape(kind), escape(words))
    console.print(table)
    console.print("\n* is required", highlight=False)
    return True
