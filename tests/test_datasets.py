import pytest

from pipeline.datasets import READERS, read_dataset
from pipeline.errors import ConfigError, DatasetError
from pipeline.types import ReadOptions

MANIFEST = "path,label,split\na.mp4,joy,train\n"


@pytest.mark.parametrize("name", ["manifest", "synthetic"])
def test_a_manifest_is_read_under_the_name_asked_for(tmp_path, name):
    (tmp_path / "manifest.csv").write_text(MANIFEST)
    index = read_dataset(name, tmp_path)
    assert index.name == name
    assert [clip.clip_id for clip in index.clips] == ["a.mp4"]


def test_a_folder_is_read(tmp_path):
    (tmp_path / "joy.mp4").touch()
    index = read_dataset("folder", tmp_path)
    assert (index.name, index.class_names) == ("folder", ("joy",))


@pytest.mark.parametrize("name", READERS)
def test_a_missing_root_is_named(tmp_path, name):
    message = rf"^No dataset at '.*gone'; give --root PATH, or set \$OUS_DATA to .* holds '{name}'"
    with pytest.raises(DatasetError, match=message):
        read_dataset(name, tmp_path / "gone")


@pytest.mark.parametrize("name", ["manifest", "folder", "synthetic"])
@pytest.mark.parametrize(
    ("flag", "options"),
    [
        ("--lists", ReadOptions(lists=("a.csv",))),
        ("--label-order", ReadOptions(label_order="dfew")),
        ("--all-clips", ReadOptions(all_clips=True)),
        ("--source", ReadOptions(source="frames")),
    ],
)
def test_an_option_that_means_nothing_is_refused(tmp_path, name, flag, options):
    message = f"^{flag} does not apply to --dataset {name}; allowed: no such option. Leave it out.$"
    with pytest.raises(ConfigError, match=message):
        read_dataset(name, tmp_path, options)


def test_an_unknown_set_lists_those_there_are(tmp_path):
    with pytest.raises(
        ConfigError, match="^--dataset is 'cifar'; allowed: dfew, .*, manifest, folder, synthetic.$"
    ):
        read_dataset("cifar", tmp_path)
