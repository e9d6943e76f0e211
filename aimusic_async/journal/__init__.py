"""What is written down about jobs: records, the steps that change them, and the journals that keep them."""
