from trainer.pages.document import Table
from trainer.pages.text import table_lines


def test_columns_are_aligned_and_a_name_of_megabytes_widens_none_beyond_reason():
    table = Table(title="Rows", columns=["row", "UAR"], rows=[["x" * 5_000_000, "61.2"], ["joy", "9"]])
    title, head, long, short = table_lines(table)
    assert title == "Rows"
    assert head == f"row{' ' * 197}   UAR"
    assert long == f"{'x' * 197}...  61.2"
    assert short == f"joy{' ' * 197}     9"
