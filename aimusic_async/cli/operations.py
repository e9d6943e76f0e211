"""`aimusic operations`: every operation, its price and its result, from the request classes themselves."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from ..api.operations import operations
from ..api.request import Answer, Request

_HEADS = ("Request", "Endpoint", "Answer", "Credits", "Result", "Page")
_ANSWERS = {Answer.NOW: "at once", Answer.REPEAT: "when ready", Answer.TASK: "task"}


def rows() -> list[tuple[str, ...]]:
    """Return one row an operation, in the order of the service's documentation."""
    return [_row(name, cls) for name, cls in operations().items()]


def _row(name: str, cls: type[Request[object]]) -> tuple[str, ...]:
    endpoint = cls.endpoint
    task_type = "".join(f" ({value})" for value in endpoint.fixed.values())
    return (
        f"{name.partition('.')[0]}.{cls.__name__}",
        f"{endpoint.method} {endpoint.path}{task_type}",
        _ANSWERS[endpoint.answer] + (" or task" if endpoint.may_be_task else ""),
        str(cls.cost),
        cls.result_type().__name__,
        cls.page(),
    )


def markdown() -> str:
    """Return the table for the README."""
    lines = [_HEADS, tuple("---:" if head == "Credits" else "---" for head in _HEADS)]
    for request, endpoint, answer, price, result, page in rows():
        lines.append((f"`{request}`", f"`{endpoint}`", answer, price, f"`{result}`", page))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def show(console: Console) -> None:
    """Print a table on a terminal, Markdown elsewhere."""
    if not console.is_terminal:
        console.print(markdown(), soft_wrap=True, highlight=False, markup=False)
        return
    table = Table(*_HEADS, box=None, pad_edge=False)
    for row in rows():
        table.add_row(*row)
    console.print(table)
