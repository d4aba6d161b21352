"""Grouped attention: what eager attention computes, without its copies, and only where that is known."""

from typing import Any

import pytest
import torch
from transformers import DynamicCache

from harness.anatomy import blocks
from harness.decoding import ROOM, grouped_attention, with_room
from harness.model import ModelSource
from tests.test_train import adapted

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


@torch.inference_mode()
def passes(model: Any) -> list[torch.Tensor]:
    """Logits of a left-padded batch, and of one more token behind its cache."""
    ids, mask = torch.arange(24).view(2, 12), torch.ones(2, 12, dtype=torch.long)
    mask[0, :5] = 0
    first = model(input_ids=ids, attention_mask=mask, use_cache=True)
    mask = torch.cat([mask, mask[:, -1:]], dim=1)
    second = model(input_ids=ids[:, :1], attention_mask=mask, past_key_values=first.past_key_values)
    return [first.logits[:, 5:], second.logits]


@pytest.mark.parametrize("method", ["full", "lora-r16"])
def test_logits_are_those_of_eager_attention(toy: ModelSource, method: str) -> None:
    model = adapted(toy, method).eval()
    core = getattr(model, "get_base_model", lambda: model)()
    heads = {block.self_attn.num_key_value_groups for block in blocks(core)}
    assert heads != {1}, "the toy model has no heads that share keys"
    eager = passes(core)
    with grouped_attention(core) as grouped:
        assert grouped
        torch.testing.assert_close(passes(core), eager, rtol=1e-5, atol=1e-5)
    assert core.config._attn_implementation == "eager"


def eager_attention_forward(module: torch.nn.Module, softcap: float, **options: Any) -> None:
    """Of a model that computes something else."""


def test_what_is_not_known_is_left_alone(toy: ModelSource) -> None:
    model = adapted(toy, "full")
    model.set_attn_implementation("sdpa")
    with grouped_attention(model) as grouped:
        assert not grouped
        assert model.config._attn_implementation == "sdpa"
    model.set_attn_implementation("eager")

    class Other(type(model)):  # type: ignore[misc]
        """Its module has the function above."""

    model.__class__ = Other
    with grouped_attention(model) as grouped:
        assert not grouped


def test_a_cache_with_room_holds_what_one_without_it_holds() -> None:
    generator = torch.Generator().manual_seed(1)
    plain, roomy = DynamicCache(), DynamicCache()

    def grow(width: int, rows: int) -> None:
        for layer in range(2):
            states = torch.randn(2, rows, 3, width, 4, generator=generator)
            expected = plain.update(*states, layer)
            found = roomy.update(*states, layer)
            assert all(map(torch.equal, found, expected))

    grow(5, 1)
    for cache in (plain, roomy):
        cache.batch_repeat_interleave(4)
    with_room(roomy)
    for _ in range(ROOM + 3):
        grow(1, 4)
    assert roomy.layers[0].keys.data_ptr() == roomy.layers[0]._whole[0].data_ptr()
    for cache in (plain, roomy):
        cache.batch_select_indices(torch.tensor([0, 3]))
    grow(1, 2)
    grow(2 * ROOM, 2)
    assert roomy.get_seq_length() == plain.get_seq_length() == 5 + ROOM + 3 + 1 + 2 * ROOM


def test_a_cache_with_room_copies_nothing_to_grow() -> None:
    cache = DynamicCache()
    states = torch.ones(2, 1, 3, 5, 4)
    cache.update(*states, 0)
    with_room(cache)
    cache.update(*states, 0)
    place = cache.layers[0].keys.data_ptr()
    for _ in range(ROOM):
        cache.update(*states[:, :, :, :1], 0)
        assert cache.layers[0].keys.data_ptr() == place
    cache.update(*states, 0)
    assert cache.layers[0].keys.data_ptr() != place
