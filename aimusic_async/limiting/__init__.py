"""The rate limit: who may send a request, and when."""
