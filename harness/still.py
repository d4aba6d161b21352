"""No collection of garbage from this module's import until `over`, while large libraries are imported.

Imported modules are no garbage, and looking for some among them takes up to a quarter of the time that torch,
transformers and peft need.
"""

import gc

gc.disable()


def over() -> None:
    """Collect again from now on, but never look at what is there already: it stays.

    Processes that are forked from here need not look at it either, nor copy it by doing so.
    """
    gc.enable()
    gc.freeze()
