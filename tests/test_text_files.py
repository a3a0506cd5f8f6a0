"""Lists as spreadsheets and other programs write them, read by the readers that use them."""

import codecs
from pathlib import Path

import pytest

from pipeline.datasets.manifest import read
from pipeline.datasets.polarities import read_polarities
from pipeline.datasets.text_files import dialect_of, encoding_of, records
from pipeline.errors import DatasetError
from pipeline.types import Polarity
from tests.manifests import HEADER, manifest

ROWS = (
    ("path", "label", "split", "fold"),
    ("\u00e4 1.mp4", "joy", "train", "1"),
    ("b.mp4", "fear", "test", "1"),
)


def table(delimiter: str, before: str = "", after: str = "") -> str:
    return before + "".join(delimiter.join(row) + after + "\r\n" for row in ROWS)


def read_clips(folder: Path, content: str | bytes) -> list[tuple[str, int]]:
    return [(clip.path, clip.label) for clip in read(manifest(folder, content)).clips]


EXPECTED = [("b.mp4", 0), ("\u00e4 1.mp4", 1)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("before", ["", "\r\n \r\n"])
def test_the_header_shows_the_delimiter(tmp_path, delimiter, before):
    assert read_clips(tmp_path, table(delimiter, before)) == EXPECTED


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", ":"])
@pytest.mark.parametrize("line", ["sep={}\r\n", '"sep={}"\n', "\ufeffSEP={}\r\n"])
def test_a_line_before_the_header_names_the_delimiter(tmp_path, delimiter, line):
    assert read_clips(tmp_path, table(delimiter, line.format(delimiter))) == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_byte_order_mark_shows_the_encoding(tmp_path, encoding, delimiter):
    assert read_clips(tmp_path, table(delimiter).encode(encoding)) == EXPECTED


def test_utf16_of_either_order_is_read(tmp_path):
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        assert read_clips(tmp_path, mark + table("\t").encode(encoding)) == EXPECTED


def test_json_lines_in_utf16_are_read(tmp_path):
    text = '{"path": "\u00e4.mp4", "Label": "joy", "split": "train"}\r\n'
    assert read(manifest(tmp_path, text.encode("utf-16"), "manifest.jsonl")).clips[0].path == "\u00e4.mp4"


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_empty_columns_at_the_end_and_empty_rows_are_left_out(tmp_path, delimiter):
    text = table(delimiter, after=delimiter * 3) + f"{delimiter * 6}\r\n \r\n\r\n"
    index = read(manifest(tmp_path, text))
    assert [clip.path for clip in index.clips] == ["b.mp4", "\u00e4 1.mp4"]
    assert not any("are not read" in note for note in index.notes)


def test_a_cell_beyond_the_header_is_refused(tmp_path):
    with pytest.raises(
        DatasetError, match=r"line 2: the row has more or fewer cells than the 3 of the header"
    ):
        read(manifest(tmp_path, f"{HEADER},,\na.mp4,joy,train,,x\n"))


def test_blanks_before_quotes_are_left_out(tmp_path):
    index = read(manifest(tmp_path, 'path, "label", split\n"a, 1.mp4", "joy", "train"\n'))
    assert (index.clips[0].path, index.class_names) == ("a, 1.mp4", ("joy",))


def test_a_file_of_tabs_may_be_named_so(tmp_path):
    manifest(tmp_path, table("\t"), "manifest.tsv")
    assert read(tmp_path).class_names == ("fear", "joy")


def test_old_line_ends_are_read(tmp_path):
    assert read_clips(tmp_path, table(",").replace("\r\n", "\r")) == EXPECTED


@pytest.mark.parametrize("before", ["", "sep=,\n", "\n\n"])
def test_messages_name_the_line_where_a_row_begins(tmp_path, before):
    text = (
        f'{before}path,label,split,remarks\na.mp4,joy,train,"one\ntwo\n\nthree"\n\nb.mp4,joy,often,"x\ny"\n'
    )
    line = 7 + before.count("\n")
    with pytest.raises(DatasetError, match=rf"manifest.csv, line {line}: split is 'often'"):
        read(manifest(tmp_path, text))


def test_a_quote_without_an_end_is_refused_with_its_line(tmp_path):
    with pytest.raises(
        DatasetError, match=r"manifest.csv, line 3: not a row of a CSV file: unexpected end of data"
    ):
        read(manifest(tmp_path, f'{HEADER}\na.mp4,joy,train\n"b.mp4,joy,train\nc.mp4,joy,train\n'))


@pytest.mark.parametrize(
    "header", ["Path;LABEL; Split ", "path;\ufefflabel;spl\u00adit", '"path";"Label";"SPLIT"']
)
def test_columns_are_known_in_any_case(tmp_path, header):
    assert read_clips(tmp_path, f"{header}\na.mp4;joy;train\n") == [("a.mp4", 0)]


@pytest.mark.parametrize("name", ["start seconds", "Start-Seconds", "START_SECONDS"])
def test_columns_are_known_with_blanks_and_hyphens(tmp_path, name):
    index = read(manifest(tmp_path, f"{HEADER},{name}\na.mp4,joy,train,2\n"))
    assert index.clips[0].start_seconds == 2


def test_a_column_in_another_case_beside_the_one_that_is_meant_is_not_read(tmp_path):
    index = read(manifest(tmp_path, f"{HEADER},Label\na.mp4,joy,train,fear\n"))
    assert index.class_names == ("joy",)
    assert index.notes[0] == "columns of the manifest that are not read: Label"
    with pytest.raises(DatasetError, match="column label occurs twice"):
        read(manifest(tmp_path, "path,Label,LABEL,split\na.mp4,joy,fear,train\n"))


def test_columns_that_other_projects_use_are_proposed(tmp_path):
    index = read(manifest(tmp_path, f"{HEADER},Start,remarks\na.mp4,joy,train,1,x\n"))
    assert index.notes[0] == ("columns of the manifest that are not read: Start (start_seconds?), remarks")


def test_numbers_have_decimal_commas_beside_semicolons_alone(tmp_path):
    (tmp_path / "b.csv").write_text("frame;x0;y0;x1;y1\n0;1,5;2;30,25;40\n")
    text = "path;label;split;start_seconds;end_seconds;boxes\na,1.mp4;joy;train;0,5;1.25;b.csv\n"
    (clip,) = read(manifest(tmp_path, text)).clips
    assert (clip.path, clip.start_seconds, clip.end_seconds) == ("a,1.mp4", 0.5, 1.25)
    assert clip.clip_id == "a,1.mp4#0.5-1.25", "as in the same list with points"
    assert clip.provided_boxes is not None
    assert clip.provided_boxes.box_xyxy.tolist() == [[1.5, 2, 30.25, 40]]
    with pytest.raises(DatasetError, match=r"start_seconds is '0,5'; allowed: a number"):
        read(manifest(tmp_path, f'{HEADER},start_seconds\na.mp4,joy,train,"0,5"\n'))
    with pytest.raises(DatasetError, match=r"start_seconds is '1\.000,5'; allowed: a number"):
        read(manifest(tmp_path, "path;label;split;start_seconds\na.mp4;joy;train;1.000,5\n"))


def test_a_map_of_polarities_is_read_alike(tmp_path):
    path = manifest(tmp_path, "sep=;\nClass;Polarity\nJoy;POSITIVE\n;\n".encode("utf-16"), "map.csv")
    assert read_polarities(path).polarity_of == {"Joy": Polarity.POSITIVE}


def test_the_parts_on_their_own(tmp_path):
    path = manifest(tmp_path, '\n"sep=;"\na;"b\nc"\n\nd;e\n')
    dialect = dialect_of(path, ("a", "b"))
    assert (encoding_of(path), dialect.delimiter, dialect.num_skipped) == ("utf-8", ";", 2)
    assert list(records(path, dialect)) == [(3, ["a", "b\nc"]), (6, ["d", "e"])]
    assert dialect_of(manifest(tmp_path, ""), ("a",)).delimiter == ","
