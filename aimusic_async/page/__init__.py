"""One page to listen to the songs: `write_page` puts an `index.html` beside the audio; it needs no network.

Needs the extra `page` (`pip install 'aimusic-async[page]'`).
"""

from .history import Batch as Batch
from .history import History as History
from .history import JobLine as JobLine
from .history import Spent as Spent
from .model import Stem as Stem
from .model import Track as Track
from .model import tracks_of as tracks_of
from .page import write_page as write_page
