from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError
from tests.tiny_grid import QUICK, quick_spec
from trainer.ablate import spec as spec_module
from trainer.ablate.spec import TABLES, parsed, read_spec, table, table_stem
from trainer.presets import paper, preset, smoke
from trainer.report.rows import setting_changes

SEVEN = {"happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear"}


OF_THE_PAPER = (3, 4, 5, 6)


def test_every_file_of_a_table_is_a_choice():
    stems = {path.name.removesuffix(".toml") for path in (files("trainer.ablate") / "specs").iterdir()}
    assert {table_stem(name) for name in TABLES} == stems
    assert set(map(str, OF_THE_PAPER)) < set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_every_row_of_a_table_of_this_program_is_a_config(name):
    spec = table(name)
    assert list(spec.configs(None, [])) == [row.name for row in spec.rows]


@pytest.mark.parametrize("number", OF_THE_PAPER)
def test_the_tables_of_the_paper_are_shipped_and_every_row_is_a_config(number):
    spec = table(number)
    configs = spec.configs(None, [])
    assert spec.preset == "paper"
    assert len(configs) == len(spec.rows) == {3: 9, 4: 4, 5: 4, 6: 3}[number]
    assert len({str(config) for config in configs.values()}) == len(configs)
    assert all(row.paper is not None for row in spec.rows)
    assert set(spec.class_names) == (set() if number == 3 else SEVEN)
    assert spec.dataset == ("ferv39k" if number == 4 else "dfew")


def test_the_chosen_setting_of_the_paper_is_a_row_of_every_table():
    for number, row in ((3, 5), (4, 3), (5, 3), (6, 2)):
        spec = table(number)
        assert spec.configs(None, [])[spec.rows[row].name] == paper()


def test_the_table_of_the_long_tail_has_a_row_for_each_setting():
    path = Path(spec_module.__file__).parent / "specs" / "longtail.toml"
    spec = read_spec(path)
    configs = spec.configs(None, [])
    changes = {name: setting_changes(preset("default"), config) for name, config in configs.items()}
    assert changes == {
        "plain": (),
        "weights, inverse": ("losses.class_weights=inverse",),
        "weights, effective number": ("losses.class_weights=effective",),
        "balanced sampling": ("data.sampling=balanced",),
        "square-root sampling": ("data.sampling=square_root",),
        "logit adjustment": ("losses.logit_adjustment=1.0",),
        "label smoothing": ("losses.label_smoothing=0.1",),
        "selection by UAR": ("schedule.select=uar",),
        "logit adjustment, selection by UAR": ("losses.logit_adjustment=1.0", "schedule.select=uar"),
    }
    assert "nine seeds (--seeds 9)" in spec.note
    assert all(row.paper is None for row in spec.rows)


def test_every_war_of_table_3_is_a_number_of_clips_of_2340():
    wars = np.array([row.paper.war for row in table(3).rows])
    clips = wars / 100 * 2340
    np.testing.assert_allclose(clips, clips.round(), atol=0.02)


@pytest.mark.parametrize("number", [4, 5, 6])
def test_the_uar_of_a_row_is_the_mean_of_its_recalls_within_the_slips_of_the_paper(number):
    """A wrong digit in a shipped table would show here; the paper's own numbers differ by up to 0.36."""
    for row in table(number).rows:
        mean = sum(row.paper.recalls.values()) / len(row.paper.recalls)
        assert mean == pytest.approx(row.paper.uar, abs=0.37), row.name


def test_settings_come_in_order_preset_common_given_row():
    spec = quick_spec()
    configs = spec.configs(None, ["schedule.max_steps=7", "optim.lr=0.1"])
    assert configs["L_ce"].schedule.max_steps == 7
    assert configs["L_ce"].optim.lr == 0.1
    assert configs["L_ce"].losses.terms == "contrast"
    assert configs["L_global + TFE"].losses.terms == "all"
    assert configs["L_ce"].optim.batch_size == smoke().optim.batch_size
    assert spec.configs("paper", [])["L_ce"].optim.batch_size == 16


def test_a_given_setting_that_a_row_sets_itself_is_refused():
    with pytest.raises(ConfigError, match=r"^--set losses.terms: row 'L_ce' sets it itself; leave it out"):
        quick_spec().configs(None, ["losses.terms=all"])


def test_a_row_is_a_folder():
    assert [row.folder for row in quick_spec().rows] == ["l-ce", "l-global-tfe"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title", "titel", r"^x.toml: unknown key 'titel'; there are: title, dataset, preset"),
        ('title = "Quick table"', "", "^x.toml: title is missing; a value of type str is needed"),
        ('title = "Quick table"', "title = 5", "title is 5; a value of type str is needed"),
        ('preset = "smoke"', 'preset = "best"', "'best'; allowed: default, paper, release, smoke"),
        ('name = "L_ce"', 'nam = "L_ce"', "unknown key 'nam'; there are: name, settings, paper, method"),
        ('name = "L_ce"', "name = 5", "rows 1: name is 5; a value of type str"),
        ('name = "L_ce"', 'name = "l global tfe"', "and 'L_global . TFE' would share the folder"),
        ('name = "L_ce"', 'name = "L_global + TFE"', "would share the folder 'l-global-tfe'; rename one"),
        ('name = "L_ce"', 'name = "../.."', r"name is '../..'; up to 60 characters are needed"),
        ("uar = 55.12", "uar = 5512", r"rows 1: paper.uar is 5512.0; allowed: 0 to 100"),
        ("uar = 55.12", "uar = nan", r"rows 1: paper.uar is nan; allowed: 0 to 100"),
        ("uar = 55.12, ", "", r"rows 1: paper.uar is missing; a value of type float"),
        ("uar = 55.12", "uaw = 55.12", r"rows 1: paper.unknown key 'uaw'; there are: uar, war, best_epoch"),
        ("best_epoch = 10", "best_epoch = 1.5", r"rows 1: paper.best_epoch is 1.5; a value of type int"),
        ("happiness = 93.01", 'happiness = "93"', r"paper.recalls.happiness is '93'; a value of type float"),
        ("[[rows]]", "[rows]", "is not readable TOML"),
        ('["losses.terms=contrast"]', "[1]", r"rows 1: settings is \[1\]; texts are needed"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_told_in_one_line(old, new, message):
    assert old in QUICK
    with pytest.raises(ConfigError, match=message) as caught:
        parsed(QUICK.replace(old, new, 1), "x.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("losses.nope=1", "^Row 'L_ce': Unknown setting 'losses.nope'; there are: losses.terms"),
        ("losses.terms=some", "^Row 'L_ce': losses.terms is 'some'; allowed: all, contrast"),
        ("losses.terms", "^Row 'L_ce': --set 'losses.terms' has no '='"),
    ],
)
def test_a_setting_that_is_none_is_told_with_its_row(setting, message):
    spec = parsed(QUICK.replace("losses.terms=contrast", setting), "x.toml")
    with pytest.raises(ConfigError, match=message):
        spec.configs(None, [])


def test_rows_that_are_no_tables_or_none_are_refused():
    with pytest.raises(ConfigError, match=r"has no \[\[rows\]\]; give one or more"):
        parsed('title = "x"', "x.toml")
    with pytest.raises(ConfigError, match=r"write \[\[rows\]\] above each row"):
        parsed('title = "x"\nrows = [1]', "x.toml")


def test_classes_that_the_cache_lacks_are_refused():
    spec = quick_spec()
    spec.require_classes(("sadness", "happiness", "rage"))
    with pytest.raises(
        ConfigError, match="'Quick table' names class 'sadness'; this cache has: happiness, rage"
    ):
        spec.require_classes(("happiness", "rage"))


def test_files_that_are_missing_too_large_or_no_text_are_refused(tmp_path):
    path = tmp_path / "t.toml"
    with pytest.raises(ConfigError, match="cannot be read: .*No such file"):
        read_spec(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"is not UTF-8 text \(byte 0\); save it as UTF-8"):
        read_spec(path)
    path.write_text("#" * (1 << 20) + "#")
    with pytest.raises(ConfigError, match="has 1048577 bytes; allowed: 1048576"):
        read_spec(path)
    path.write_text(QUICK)
    assert read_spec(path) == quick_spec()


def test_a_table_that_is_no_ablation_is_refused():
    with pytest.raises(ConfigError, match="--table is '2'; allowed: 3, 4, 5, 6, baselines"):
        table(2)
