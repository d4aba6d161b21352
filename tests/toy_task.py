"""A task of one file with no data package: name the parity of a number."""

from harness import Example, Splits, Task


class Parity(Task):
    """Even or odd."""

    name = "parity"
    version = 1
    family = "reasoning"
    metric = "accuracy"
    labels = ("even", "odd")
    description = "whether a number is even"
    source = "counted"
    license = "Apache-2.0"

    def load(self) -> Splits:
        rows = [
            Example(id=f"n{n}", group=str(n), data={"number": str(n), "answer": self.labels[n % 2]})
            for n in range(60)
        ]
        return Splits(train=tuple(rows[:30]), dev=tuple(rows[30:40]), test=tuple(rows[40:]))

    def prompt(self, example: Example) -> str:
        return f"Is {example.data['number']} even or odd?\nAnswer:"

    def target(self, example: Example) -> str:
        return example.data["answer"]

    def score(self, example: Example, output: str) -> float:
        return float(output == example.data["answer"])
