"""Stops the collection of garbage; what imports this first starts it again once all else is imported.

Imported modules are no garbage, and looking for some among them takes up to a quarter of the time that torch,
transformers and peft need.
"""

import gc

gc.disable()
