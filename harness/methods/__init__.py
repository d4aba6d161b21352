"""Built-in methods, one family a file. A rank is a class attribute."""
