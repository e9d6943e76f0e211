"""Many requests at once: jobs, groups, and the schedule that decides what each token is spent on."""
