"""Built-in tasks: one a file, or a folder where it needs more. Only the contract is imported from `harness`."""
