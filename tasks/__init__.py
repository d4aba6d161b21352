"""Built-in tasks: one a file, or a folder where it needs more. They import only the contract."""
