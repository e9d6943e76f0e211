"""What the service understands, as values: requests, results, and the conversions between them and JSON. No I/O."""
