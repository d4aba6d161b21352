"""Reports: results in, Markdown and figures out. Works on results alone and never imports torch."""

from harness.report.page import readme_block, render, update_readme

__all__ = ["readme_block", "render", "update_readme"]
