"""Side-by-side comparisons of speed with what people use today. Not part of the installed package."""
