"""`data check` on labels of a user's own clips."""

from pathlib import Path

import pytest

from pipeline.doctor import CheckOptions, check


def findings(root, *names):
    """Kinds found in a directory of clips with these names, each of its own content."""
    for name in names:
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    report = check("folder", Path(root), CheckOptions(), lambda what, total: lambda: None)
    return {finding.kind: finding for finding in report.findings}, report


def test_classes_of_one_clip_are_a_warning_with_the_remedy(tmp_path):
    found, report = findings(tmp_path, *(f"{name}/1.mp4" for name in ("anna", "bert", "carla", "dan")))
    assert found.keys() == {"classes-of-one"}
    assert report.is_wrong
    assert found["classes-of-one"].what.startswith(
        "4 of 4 classes have one clip (anna, bert, carla and 1 more)"
    )
    assert "in the column label of a manifest" in found["classes-of-one"].remedy


def test_a_directory_that_gives_no_label_at_all_is_a_warning_with_the_remedy(tmp_path):
    found, report = findings(tmp_path / "none", "a.mp4", "b.mp4")
    assert report.is_wrong
    assert found.keys() == {"no-labels"}, "one finding, not also unlabelled"
    assert found["no-labels"].cases == ("'a.mp4'", "'b.mp4'")
    assert "columns path,label,split" in found["no-labels"].remedy
    found, report = findings(tmp_path / "some", "happy/a.mp4", "unlabelled/b.mp4")
    assert found.keys() == {"unlabelled"}


def test_classes_and_folds_without_training_clips_are_warnings(tmp_path):
    found, report = findings(
        tmp_path / "class", "train/happy/1.mp4", "train/sad/2.mp4", "test/happy/3.mp4", "test/sadd/4.mp4"
    )
    assert report.is_wrong
    assert found.keys() == {"class-untrained"}
    assert found["class-untrained"].cases == ("'sadd' in fold 1 (1 test clip)",)
    assert any("'sadd' is near 'sad'" in fact for fact in report.facts)
    found, report = findings(tmp_path / "fold", "test/happy/1.mp4", "test/sad/2.mp4")
    assert found.keys() == {"fold-untrained"}
    assert found["fold-untrained"].cases == ("fold 1 (2 other clips)",)


def test_sound_labels_are_not_found(tmp_path):
    assert findings(tmp_path, "happy/a.mp4", "fear/b.mp4")[0] == {}


@pytest.mark.parametrize(
    ("names", "form"),
    [
        (["happy/a.mp4", "fear/b.mp4"], "2 of 2 there, as videos"),
        (["happy/a/1.jpg", "fear/b/1.jpg"], "2 of 2 there, as directories of frames"),
    ],
)
def test_the_report_shows_in_which_form_the_clips_are(tmp_path, names, form):
    _, report = findings(tmp_path, *names)
    assert any(form in fact for fact in report.facts)
