"""A batch's plan and times in words, and the plan as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from ..batch import Plan
    from ..manifest import Manifest


def plan_lines(manifest: Manifest, plan: Plan, *, speed: float) -> list[str]:
    """Return a plan in lines for people."""
    from ..batch import Standing  # noqa: PLC0415 - help is shown without it
    from .show import safe  # noqa: PLC0415 - as above

    standings = ", ".join(f"{count} {standing}" for standing in Standing if (count := plan.count(standing)))
    lines = [f"{safe(manifest.file)}: {counted(len(manifest), 'row')}: {standings}"]
    if not plan.jobs and not plan.count(Standing.RUNNING):
        return lines
    width = max((len(share.operation) for share in plan.shares), default=0)
    for share in plan.shares:
        price = f"{share.jobs:>6} × {share.credits // share.jobs} = {share.credits} credits"
        lines += [f"  {share.operation:<{width}}  {price}"]
    if plan.balance is not None:
        lines.append(f"{plan.credits} credits together; the account has {plan.balance.total}")
    if plan.missing:
        lines.append(f"{plan.missing} credits are missing: rows that cannot be paid are held back for the next run")
    hooked = f"{counted(plan.with_webhook.requests, 'request')} in {lasting(plan.with_webhook.seconds, speed)}"
    lines.append(
        f"about {counted(plan.polled.requests, 'request')} in {lasting(plan.polled.seconds, speed)} "
        f"at one request every 3 seconds; with a webhook {hooked}"
    )
    return lines


def plain_plan(plan: Plan) -> dict[str, Any]:
    """Return a plan for `--json`."""
    from ..batch import Standing  # noqa: PLC0415 - help is shown without it

    return {
        "rows": {standing.name.lower(): plan.count(standing) for standing in Standing},
        "operations": [attrs.asdict(share) for share in plan.shares],
        "jobs": plan.jobs,
        "credits": plan.credits,
        "balance": None if plan.balance is None else plan.balance.total,
        "missing": plan.missing,
        "polled": attrs.asdict(plan.polled),
        "with_webhook": attrs.asdict(plan.with_webhook),
    }


def lasting(seconds: float, speed: float = 1.0) -> str:
    """Return the service's seconds in words, with the real time when it differs."""
    words = _in_words(seconds)
    return words if speed == 1 else f"{words} of the service ({_in_words(seconds / speed)} here)"


def _in_words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def counted(count: int, what: str) -> str:
    """Return `3 rows`, `1 row`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
