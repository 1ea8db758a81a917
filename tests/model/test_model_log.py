"""The event log is read exactly, or refused with its line and what would be right."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from model import log

HEAD = {
    "format": "bidder-rows/1",
    "features": ["campaign", "floor"],
    "features_version": "0123456789ab",
    "categorical": ["campaign"],
}
COLUMNS = "auction_id,impression_id,campaign_id,campaign,floor"


def text(*rows: str, head: object = HEAD, columns: str = COLUMNS + ",label") -> str:
    return "".join(f"{line}\n" for line in (f"# {json.dumps(head)}", columns, *rows))


def test_a_plain_log_is_read_as_it_stands(tmp_path: Path) -> None:
    """Ids stay text, features become float32 exactly, labels are 0 and 1."""
    path = tmp_path / "rows.csv"
    path.write_text(text("a,1,c7,16777215,0.25,1", "b,2,c8,0,-1.5e3,0"))
    read = log.read(path)
    assert (read.auction_ids, read.impression_ids, read.campaign_ids) == (["a", "b"], ["1", "2"], ["c7", "c8"])
    assert read.rows.dtype == np.float32
    assert read.rows.tolist() == [[16777215.0, 0.25], [0.0, -1500.0]]
    assert read.labels is not None
    assert read.labels.tolist() == [1.0, 0.0]


def test_gzip_is_recognised_by_its_bytes(tmp_path: Path) -> None:
    """A compressed log reads the same under any name."""
    path = tmp_path / "rows"
    path.write_bytes(gzip.compress(text("a,1,c,5,1,0").encode()))
    assert log.read(path).rows.tolist() == [[5.0, 1.0]]


def test_an_unlabelled_log_has_no_labels(tmp_path: Path) -> None:
    """The label column is optional and its absence is told."""
    path = tmp_path / "rows.csv"
    path.write_text(text("a,1,c,5,1", columns=COLUMNS))
    assert log.read(path).labels is None


def test_an_id_with_a_comma_comes_quoted(tmp_path: Path) -> None:
    """Exchanges choose ids freely; CSV quoting is honoured in them."""
    path = tmp_path / "rows.csv"
    path.write_text(text('"a,""1""",1,c,5,1,0'))
    assert log.read(path).auction_ids == ['a,"1"']


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    """A channel is a folder; its files are read in the order of their names, hidden ones left out."""
    (tmp_path / "2.csv").write_text(text("b,1,c,6,1,0"))
    (tmp_path / "1.csv.gz").write_bytes(gzip.compress(text("a,1,c,5,1,1").encode()))
    (tmp_path / ".part").write_text("half a file")
    assert log.read(tmp_path).auction_ids == ["a", "b"]


def test_files_of_a_folder_share_one_header(tmp_path: Path) -> None:
    """Rows of two feature versions are never mixed."""
    (tmp_path / "1.csv").write_text(text("a,1,c,5,1,0"))
    (tmp_path / "2.csv").write_text(text("a,1,c,5,1,0", head={**HEAD, "features_version": "ba9876543210"}))
    with pytest.raises(log.LogError, match=r"2\.csv: its header differs"):
        log.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", ":1: expected '#' and JSON"),
        (text("a,1,c,5,1,0", head={**HEAD, "format": "other/9"}), ":1: expected '#' and JSON"),
        (text("a,1,c,5,1,0", head=[1, 2]), ":1: expected '#' and JSON"),
        (text("a,1,c,5,1,0", head={**HEAD, "features": ["floor", "floor"]}), "each named once"),
        (text("a,1,c,5,1,0", head={**HEAD, "categorical": ["site"]}), "'site', which is not among the features"),
        (text("a,1,c,5,1,0", head={**HEAD, "features_version": "a b\r\n"}), "features_version must be"),
        (text("a,1,c,5,1,0", columns="auction_id,campaign,floor"), ":2: the columns must be"),
        (text(), "the log has no rows"),
        (text("a,1,c,5,1,0", "b,1,c,5,1"), ":4: 5 fields, expected 6"),
        (text("a,1,c,5,1,0", "", "b,1,c,5,1,0"), ":4: 1 fields, expected 6"),
        (text("a,1,c,5,1,0", "b,1,c,5,high,0"), ":4: floor is 'high', expected a finite number"),
        (text("a,1,c,5,nan,0"), ":3: floor is 'nan', expected a finite number"),
        (text("a,1,c,5,1e39,0"), ":3: floor is '1e39', expected a finite number"),
        (text("a,1,c,5.5,1,0"), ":3: campaign is 5.5, expected a whole number in 0..16777215"),
        (text("a,1,c,16777216,1,0"), "campaign is 16777216"),
        (text("a,1,c,5,1,2"), ":3: label is 2.0, expected 0 or 1"),
    ],
)
def test_a_broken_log_is_refused_with_its_line(tmp_path: Path, content: str, complaint: str) -> None:
    """Nothing doubtful is read: the error names the file, the line and what was expected."""
    path = tmp_path / "rows.csv"
    path.write_text(content)
    with pytest.raises(log.LogError) as caught:
        log.read(path)
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_truncated_gzip_is_refused(tmp_path: Path) -> None:
    """A file cut off in mid-write is an error, not a shorter log."""
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(text(*["a,1,c,5,1,0"] * 500).encode())[:-20])
    with pytest.raises(log.LogError, match="broken gzip"):
        log.read(path)


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    """A wrong path reads as a wrong path."""
    with pytest.raises(log.LogError, match=r"nowhere\.csv: No such file"):
        log.read(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("name", ["labelled.csv", "labelled.csv.gz"])
def test_labels_are_appended_without_touching_the_rows(tmp_path: Path, name: str) -> None:
    """The labelled log is the unlabelled one plus a column, byte for byte, plain or compressed."""
    source, target = tmp_path / "rows.csv", tmp_path / name
    source.write_text(text('"a,1",1,c,5,0.10', "b,1,c,6,1e-2", columns=COLUMNS))
    log.append_labels(source, target, np.array([1, 0], np.float32))
    raw = target.read_bytes()
    written = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()
    assert written == text('"a,1",1,c,5,0.10,1', "b,1,c,6,1e-2,0")
