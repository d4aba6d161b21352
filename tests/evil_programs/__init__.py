"""Programs that try to get out of the sandbox or to mark themselves passed."""
