"""One request at a time, safely: the rate limiter and the HTTP connection."""
