"""From annotations to a version that answers: trainings, versions on disk, and their takeover."""
