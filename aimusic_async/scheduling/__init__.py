"""What each token is spent on, how long tasks take, and what may be sent again. Pure."""
