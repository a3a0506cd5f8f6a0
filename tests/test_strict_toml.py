import time

import pytest

from pipeline.strict_toml import from_toml_text
from trainer.ablate.spec import parsed
from trainer.config_file import from_toml


def test_toml_is_read():
    assert from_toml_text('a.b = 1\n[c]\nd = "x.y"\n') == {"a": {"b": 1}, "c": {"d": "x.y"}}


@pytest.mark.parametrize("form", ["[a{}]", "a{} = 1", "x = 1\ny = {{ a{} = 1 }}"])
def test_keys_of_many_parts_end_at_once(form):
    text = form.format(".a" * 200_000)
    for read in (from_toml_text, from_toml, lambda text: parsed(text, "table.toml")):
        began = time.perf_counter()
        with pytest.raises(Exception, match="line . has 200000 dots; allowed: 256"):
            read(text)
        assert time.perf_counter() - began < 5
