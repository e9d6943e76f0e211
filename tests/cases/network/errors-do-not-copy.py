"""Errors must survive pickle and copy with the same text and fields: task queues and process pools carry them on.

They once could not: their `__init__` took other arguments than `args` held.
"""

import copy
import pickle
import sys
from types import SimpleNamespace

from aimusic_async import DownloadFailed, errors

job = SimpleNamespace(key="track-07", task_id="t-1", credits=10)
made = [
    errors.InvalidRequest("prompt", "is too long", "x" * 99, operation="sonic.create_music"),
    errors.ApiError("no", status=418, type="t", body={"a": 1}),
    errors.RateLimited("slow", retry_after=3.0, status=429),
    errors.SubmissionUnknown(job, "lost"),
    errors.JobFailed(job, "bad words", refunded=True),
    errors.JobTimeout(job),
    errors.KeyConflict(job, "a", "b"),
    errors.BudgetExceeded(job),
    errors.NotSent("no"),
    DownloadFailed("gone", clip_id="c-1", host="cdn", expired=True),
]
ways = {"pickle": lambda error: pickle.loads(pickle.dumps(error)), "copy": copy.copy, "deepcopy": copy.deepcopy}
faults = []
for error in made:
    for name, way in ways.items():
        twin = way(error)
        if (type(twin), str(twin)) != (type(error), str(error)) or vars(twin).keys() != vars(error).keys():
            faults.append(f"{name} of {type(error).__name__}: {twin!r}")
print(*faults, sep="\n")
print("FAULT" if faults else "OK")
sys.exit(bool(faults))
