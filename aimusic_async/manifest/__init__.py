"""Many requests in one file: reads JSONL, CSV, YAML or TOML into rows, or a list of all its faults. Pure."""

from .faults import Fault as Fault
from .faults import ManifestError as ManifestError
from .loading import Manifest as Manifest
from .loading import parse_manifest as parse_manifest
from .loading import read_manifest as read_manifest
from .references import Reference as Reference
from .rows import Row as Row
