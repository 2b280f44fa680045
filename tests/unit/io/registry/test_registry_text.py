"""datasets.yaml and params.yaml edited as text: what changes, and that nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sclandmarks.errors import ParamsError
from sclandmarks.io.registry.text import names_in, with_datasets, with_entry

REPOSITORY = Path(__file__).parents[4]
DATASETS = (REPOSITORY / "datasets.yaml").read_text()
PARAMS = (REPOSITORY / "params.yaml").read_text()
ENTRY = "mine:\n  title: Mine\n  reader:\n    format: h5ad\n"
TEXT = """# first

one:   # about one
  title: >-
    folded
    # no comment
  x: 1

# about two
two: {x: 2}
# last
"""


def test_an_entry_is_added_at_the_end_and_all_else_is_kept() -> None:
    after = with_entry(DATASETS, "mine", ENTRY)
    assert after == f"{DATASETS}\n{ENTRY}"
    assert yaml.safe_load(after) == yaml.safe_load(DATASETS) | yaml.safe_load(ENTRY)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "one: {x: 1}", "one:\n  x: 1\n\n"])
def test_files_without_entries_or_without_a_last_line_end(text: str) -> None:
    after = with_entry(text, "mine", ENTRY)
    assert after.startswith(text)
    assert after.endswith(ENTRY)
    assert yaml.safe_load(after) == (yaml.safe_load(text) or {}) | yaml.safe_load(ENTRY)


def test_line_ends_of_windows_are_kept() -> None:
    after = with_entry("one: 1\r\n", "mine", ENTRY)
    assert after.count("\r\n") == after.count("\n") == 6
    assert yaml.safe_load(after)["mine"]["title"] == "Mine"


def test_a_name_that_is_there_is_refused_unless_it_is_replaced() -> None:
    with pytest.raises(ParamsError, match="--replace"):
        with_entry(TEXT, "one", ENTRY)
    after = with_entry(TEXT, "one", "one:\n  y: 3\n", replace=True)
    assert after == TEXT[: TEXT.index("one:")] + "one:\n  y: 3\n" + TEXT[TEXT.index("\n# about two") :]
    assert with_entry(TEXT, "two", "two: {y: 1}\n", replace=True) == TEXT.replace("two: {x: 2}", "two: {y: 1}")


def test_replacing_what_is_not_there_adds_it() -> None:
    assert with_entry(TEXT, "mine", ENTRY, replace=True) == with_entry(TEXT, "mine", ENTRY)


@pytest.mark.parametrize("text", ["{one: {x: 1}}\n", "- one\n", "one: [\n", "just words\n"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ParamsError, match="by hand"):
        with_entry(text, "mine", ENTRY)


@given(st.lists(st.sampled_from(["a", "b", "c", "n-1", "0x1"]), unique=True), st.sampled_from(["a", "c", "z"]))
def test_replacing_changes_one_entry_alone(names: list[str], name: str) -> None:
    text = "".join(f"# about {one}\n'{one}':\n  x: [1,\n   2]\n\n" for one in names)
    after = yaml.safe_load(with_entry(text, name, f"{name}:\n  y: 1\n", replace=True))
    assert after == (yaml.safe_load(text) or {}) | {name: {"y": 1}}


def test_names_are_listed() -> None:
    assert names_in(TEXT) == ["one", "two"]
    assert names_in("# none\n") == []


def test_the_choice_of_params_changes_alone_and_its_comment_keeps_its_column() -> None:
    after = with_datasets(PARAMS, ["mine", "yours"])
    values = yaml.safe_load(PARAMS)
    values["data"]["datasets"] = ["mine", "yours"]
    assert yaml.safe_load(after) == values
    before, new = (text.splitlines() for text in (PARAMS, after))
    changed = [i for i, pair in enumerate(zip(before, new, strict=True)) if pair[0] != pair[1]]
    assert len(changed) == 1
    (line,) = (new[i] for i in changed)
    assert line.partition("#")[2] == before[changed[0]].partition("#")[2]
    assert with_datasets(after, values["data"]["datasets"]) == after


FORMS = {
    "flow": "data: {datasets: [a, b], x: 1}\nsplit: {}\n",
    "lines": "data:\n  datasets:\n    - a\n    - b   # why\n  x: 1\nsplit: {}\n",
    "no indent": "data:\n  datasets:\n  - a\n  x: 1\nsplit: {}\n",
    "long": "data:\n  datasets: [a,   # one\n    b]\n  x: 1\nsplit: {}\n",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("names", [["mine"], ["123", "null"]])
def test_every_form_of_a_list_is_replaced(form: str, names: list[str]) -> None:
    after = yaml.safe_load(with_datasets(FORMS[form], names))
    assert after == {"data": {"datasets": names, "x": 1}, "split": {}}


@pytest.mark.parametrize("text", ["data: 1\n", "split: {}\n", "data: {datasets: a}\n", ""])
def test_params_without_the_list_are_refused(text: str) -> None:
    with pytest.raises(ParamsError, match=r"data\.datasets"):
        with_datasets(text, ["mine"])
