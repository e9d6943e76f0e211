"""Many requests from one manifest: planned, sent, saved, and resumed by the next run.

manifest = read_manifest("songs.jsonl")
async with MusicSession(journal="out/.aimusic/jobs.db") as music:
    batch = Batch(music, manifest, "out")
    print((await batch.plan()).credits)
    for ended in await batch.run():
        print(ended.row.key, ended.files or ended.error)
"""

from ..manifest import Fault as Fault
from ..manifest import Manifest as Manifest
from ..manifest import ManifestError as ManifestError
from ..manifest import Row as Row
from ..manifest import read_manifest as read_manifest
from .ended import Ended as Ended
from .ended import SourceFailed as SourceFailed
from .plan import Forecast as Forecast
from .plan import Plan as Plan
from .plan import Share as Share
from .plan import Standing as Standing
from .running import Batch as Batch
