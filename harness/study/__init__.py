"""Studies: each runs the grid that tests one piece of the article's advice, and says what came of it.

A study is data (`design`), one module each; all run through the same cells as any run (`run`) and are drawn
from their results alone (`page`, `chart`).
"""

from harness.study import convergence, embeddings, learning_rate, quantisation, rank, small_data
from harness.study.design import Study

STUDIES: dict[str, Study] = {
    module.STUDY.name: module.STUDY
    for module in (rank, learning_rate, embeddings, small_data, quantisation, convergence)
}
"""By name, in the order in which they are shown: the article's four common mistakes first."""

__all__ = ["STUDIES", "Study"]
