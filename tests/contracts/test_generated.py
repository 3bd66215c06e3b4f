"""What others read (schemas, AsyncAPI, the topic table) is generated, and a stale file is noticed."""

import json
from pathlib import Path
from typing import Any

import pytest

from troth_contracts.generate import ROOT, files, main
from troth_contracts.topics import TOPICS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A contracts folder that was generated just now."""
    assert main(["--root", str(tmp_path)]) == 0
    return tmp_path


def check(folder: Path) -> int:
    return main(["--check", "--root", str(folder)])


def test_the_files_of_this_repository_are_fresh() -> None:
    assert check(ROOT) == 0


def test_what_was_generated_just_now_is_fresh(folder: Path) -> None:
    assert check(folder) == 0


def test_every_stale_file_is_named_with_the_command_that_mends_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, _ in files():
        (folder / path).write_text("{}\n")
    assert check(folder) == 1
    said = capsys.readouterr().err
    for path, _ in files():
        assert f"contracts/{path}: run python -m troth_contracts.generate" in said


def test_one_stale_file_is_enough(folder: Path) -> None:
    (folder / "asyncapi.json").write_text("{}\n")
    assert check(folder) == 1


def test_a_missing_file_is_stale(folder: Path) -> None:
    (folder / "TOPICS.md").unlink()
    assert check(folder) == 1


def test_a_schema_whose_type_is_gone_is_stale_and_removed_by_generating(folder: Path) -> None:
    orphan = folder / "schemas" / "troth.crm.forgotten.v1.json"
    orphan.write_text("{}\n")
    assert check(folder) == 1
    main(["--root", str(folder)])
    assert not orphan.exists()


def test_checking_writes_nothing(folder: Path) -> None:
    (folder / "TOPICS.md").write_text("edited by hand\n")
    check(folder)
    assert (folder / "TOPICS.md").read_text() == "edited by hand\n"


def test_the_topic_table_has_one_row_per_topic() -> None:
    rows = [line for line in (ROOT / "TOPICS.md").read_text().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [topic.name for topic in TOPICS]


class TestAsyncApi:
    @pytest.fixture
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((ROOT / "asyncapi.json").read_text())
        return found

    def test_every_topic_is_a_channel_with_an_operation(self, document: dict[str, Any]) -> None:
        assert document["asyncapi"].startswith("3.")
        assert set(document["channels"]) == {topic.name for topic in TOPICS}
        read = {operation["channel"]["$ref"] for operation in document["operations"].values()}
        assert read == {f"#/channels/{topic.name}" for topic in TOPICS}

    def test_every_reference_leads_to_a_file(self, document: dict[str, Any]) -> None:
        for channel in document["channels"].values():
            (message,) = channel["messages"].values()
            if "$ref" in message["payload"]:
                assert (ROOT / message["payload"]["$ref"]).is_file()

    def test_a_dead_letter_promises_a_reason_and_not_json(self, document: dict[str, Any]) -> None:
        (message,) = document["channels"]["crm-sync.dead-letters"]["messages"].values()
        assert "reason" in message["headers"]["required"]
        assert message["headers"]["properties"]["content-type"]["const"] == "application/octet-stream"
