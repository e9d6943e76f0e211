"""An account's two pots of credits: what is taken from them, and what comes back when a task fails."""

import heapq

from aimusic_async.sandbox import texts
from aimusic_async.sandbox.options import Options


class Account:
    """Two pots, one of which is spent first. A refund is booked at once and counts from its due time on."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._subscription = options.credits
        self._extra = options.extra_credits
        self._refunds: list[tuple[float, int, int]] = []

    def pots(self, now: float) -> tuple[int, int]:
        """Subscription and extra credits at `now`; `now` never goes backwards."""
        while self._refunds and self._refunds[0][0] <= now:
            _, subscription, extra = heapq.heappop(self._refunds)
            self._subscription += subscription
            self._extra += extra
        return self._subscription, self._extra

    def charge(self, credits: int, now: float, refund_at: float | None = None) -> None:  # noqa: A002  # the money
        """Take `credits` at `now`, to be given back to the same pots at `refund_at`.

        Raises a `Refusal` and takes nothing when there is no subscription, or the pots together hold too little.
        """
        if not credits:
            return
        if not self._options.subscription:
            raise texts.forbidden(texts.NO_SUBSCRIPTION)
        subscription, extra = self.pots(now)
        if credits > subscription + extra:
            if self._options.credits_short_status == 402:
                raise texts.Refusal(402, "insufficient_credits", texts.CREDITS_SHORT)
            raise texts.forbidden(texts.CREDITS_SHORT)
        extra_first = self._options.first_pot == "extra"
        from_extra = min(credits, extra) if extra_first else credits - min(credits, subscription)
        self._extra -= from_extra
        self._subscription -= credits - from_extra
        if refund_at is not None:
            heapq.heappush(self._refunds, (refund_at, credits - from_extra, from_extra))
