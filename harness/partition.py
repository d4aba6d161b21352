"""Train, dev and test of a user's records: by the record's own word, or by the hash of its group.

A group is the record's own "group", or else its prompt up to case and white space. Where every record has a
"split", that is the split. Otherwise the SHA-256 of the group decides, alone: a tenth of the groups is test,
a tenth dev. So appending records never moves one from training to testing or back, and shuffling the file
changes nothing. The price: the shares are only nearly a tenth, and of a large file the dev and test records
beyond `MAX_SPLIT` (those with the largest hashes) are not used at all. Below some 150 records, where a tenth
is too few, the train groups with the smallest and the largest hashes fill test and dev up to `MIN_SPLIT`;
they go back to train once the file has grown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from harness.errors import UsageError
from harness.records import SPLITS, Faults, Record, Records
from harness.scoring import collapsed
from harness.task import Example, Splits, digest

MIN_SPLIT = 10
MAX_SPLIT = 500


def partition(data: Records, make: Callable[[Record, str], Example]) -> tuple[Splits, int]:
    """The splits, and how many records of dev and test are more than these hold.

    `make` turns a record and the name of its group into an example.

    Raises:
        UsageError: A split gets too few records, or a group or a prompt stands in two.
    """
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for record in data.records:
        own = None if record.group is None else f"group {record.group}"
        groups[own or f"prompt {_normalised(record)}"].append(record)
    given = data.records[0].split is not None
    sides = {} if given else _sides(data.path, {group: len(members) for group, members in groups.items()})
    faults, owners = Faults(data.path), dict[str, tuple[str, int]]()
    pools: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for group, members in groups.items():
        for record in members:
            split = record.split or sides[group]
            for key, what in ((group, "group"), (f"prompt {_normalised(record)}", "prompt")):
                other, line = owners.setdefault(key, (split, record.line))
                if other != split:
                    remedy = "move one of them" if given else "give both the same group"
                    faults.add(
                        record.line,
                        f"is in {split}, but the {what} of line {line} in {other} is the same; {remedy}",
                    )
                    break
            pools[split].append(make(record, group))
    faults.check()
    for split, pool in pools.items():
        if not pool:
            raise UsageError(
                f"{data.path}: no record has the split {split!r}; train, dev and test each need some"
            )
        pool.sort(key=lambda example: digest(example.id))
    kept = {split: pool if given or split == "train" else pool[:MAX_SPLIT] for split, pool in pools.items()}
    unused = sum(len(pools[split]) - len(pool) for split, pool in kept.items())
    return Splits(**{split: tuple(pool) for split, pool in kept.items()}), unused


def _sides(path: str, sizes: Mapping[str, int]) -> dict[str, str]:
    """The split of each group, by its own hash; train lends what small files lack in dev and test."""
    order = sorted(sizes, key=lambda group: digest(f"side {group}"))
    tenths = {0: "test", 1: "dev"}
    sides = {group: tenths.get(int(digest(f"side {group}"), 16) % 10, "train") for group in order}
    count: Counter[str] = Counter()
    for group, split in sides.items():
        count[split] += sizes[group]
    largest = max(MIN_SPLIT, count.total() // 5)
    for split, lenders in (("test", order), ("dev", order[::-1])):
        for group in lenders:
            if count[split] < MIN_SPLIT and sides[group] == "train" and sizes[group] <= largest:
                sides[group] = split
                count.update({split: sizes[group], "train": -sizes[group]})
    for split in SPLITS:
        if count[split] < MIN_SPLIT:
            raise UsageError(
                f"{path}: {count.total()} records in {len(sizes)} groups of at most {max(sizes.values())} "
                f"leave {count[split]} for {split} instead of {MIN_SPLIT}; make the groups smaller, or give "
                "all records a 'split'"
            )
    return sides


def _normalised(record: Record) -> str:
    return digest(collapsed(record.prompt).casefold())[:16]
