"""A campaign's folder packed into one ZIP file: it reads as the folder does, and no archive leads out of itself."""

from __future__ import annotations

import json
import zipfile

import pytest

from cifar import cli
from cifar.record import archive, files, reading, sources

from .conftest import made


def pack(path, members):
    """Write a ZIP file of names and texts."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in members.items():
            file.writestr(name, text)
    return path


def runs(folder="", **changes):
    """Two records of the CPU, as members in a folder of an archive."""
    return {f"{folder}cpu-{run}.json": json.dumps(made("cpu", run, **changes)) for run in (1, 2)}


@pytest.mark.parametrize("folder", ["", "today/", "results/today/"])
def test_archive_reads_as_its_folder(tmp_path, folder):
    """The same records come out, whether the folder itself was packed or what is in it."""
    members = runs(folder)
    packed = reading.load(pack(tmp_path / "kept.zip", members | {f"{folder}cpu-1.log": "words"}))
    for name, text in members.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    unpacked = reading.load(tmp_path / folder)
    assert [record.results for record in packed] == [record.results for record in unpacked]
    assert [record.path for record in packed] == [tmp_path / "kept.zip" / name for name in members]


def test_two_campaigns_in_one_archive(tmp_path):
    """Each folder in the archive is a campaign of its own, and one of them can be named."""
    path = pack(tmp_path / "kept.zip", runs("a/", campaign="a") | runs("b/", campaign="b", day=2))
    assert {record.campaign for record in reading.load(path)} == {"a", "b"}
    assert {record.campaign for record in reading.load(path / "b")} == {"b"}
    assert [record.run for record in reading.load(path / "b" / "cpu-2.json")] == [2]


def test_report_goes_beside_the_archive(tmp_path, capsys):
    """`cifar report kept.zip` writes into the folder `kept`, and says which planned runs the archive lacks."""
    plan = {"devices": ["cpu"], "runs": 3, "effort": "quick", "dataset": "x.h5", "digest": "5f" * 32}
    path = pack(tmp_path / "kept.zip", runs() | {"campaign.json": json.dumps(plan)})
    assert cli.main(["report", str(path)]) == 0
    assert "left out: a whole run on cpu: 1 of 3 planned runs has no record in the archive" in capsys.readouterr().out
    assert (tmp_path / "kept" / "report.html").exists()
    assert cli.main(["compare", str(path), str(path)]) == 0


def test_what_a_mac_adds_is_passed_over(tmp_path):
    """Hidden files and the folder of a Mac's archives are no records."""
    path = pack(tmp_path / "kept.zip", runs() | {"._cpu-1.json": "x", "__MACOSX/._cpu-1.json": "x"})
    assert len(sources.find([path]).files) == 2


@pytest.mark.parametrize(
    "name", ["../cpu-1.json", "/etc/cpu-1.json", "a/../../cpu-1.json", "./cpu-1.json", "a//b.json"]
)
def test_name_that_leads_out(tmp_path, name):
    """A member whose name leads out of the archive, or is none of a folder, is refused with its name."""
    with pytest.raises(ValueError, match=r"kept.zip holds .*no name in a folder"):
        reading.load(pack(tmp_path / "kept.zip", {name: "{}"}))


def test_remedy_of_a_packed_record(tmp_path):
    """Nobody can go on with a campaign in an archive: the advice is to pack it anew."""
    with pytest.raises(ValueError, match="pack the campaign's folder anew"):
        reading.load(pack(tmp_path / "kept.zip", {"cpu-1.json": "{"}))


def test_bomb(tmp_path):
    """A member that unpacks to gigabytes is refused by its first bytes."""
    path = pack(tmp_path / "kept.zip", {"cpu-1.json": "[" + " " * (files.LARGEST + 10)})
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ValueError, match=r"cpu-1.json is larger than 16 MiB"):
        reading.load(path)


def test_too_many_members(tmp_path):
    """An archive of far more files than a campaign has is refused."""
    members = {f"{number}.txt": "" for number in range(archive.MOST_MEMBERS + 1)}
    with pytest.raises(ValueError, match="more than 2,000"):
        reading.load(pack(tmp_path / "kept.zip", members))


def test_two_files_of_one_name(tmp_path):
    """Of two members of one name it is not clear which is meant."""
    with zipfile.ZipFile(tmp_path / "kept.zip", "w") as file:
        file.writestr("cpu-1.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("cpu-1.json", "[]")
    with pytest.raises(ValueError, match="two files of one name"):
        reading.load(tmp_path / "kept.zip")


def test_damaged_archive(tmp_path):
    """An archive that was cut short, or of which a byte was changed, is refused with its name."""
    path = pack(tmp_path / "kept.zip", runs())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"kept.zip is no complete ZIP file"):
        reading.load(path)
    path.write_bytes(whole[:400] + bytes([whole[400] ^ 0xFF]) + whole[401:])
    with pytest.raises(ValueError, match=r"cpu-1.json .*cannot be unpacked|cpu-1.json cannot be unpacked"):
        reading.load(path)


def test_archive_without_records(tmp_path):
    """An archive of other things is named, with what to do."""
    with pytest.raises(ValueError, match="holds no records"):
        reading.load(pack(tmp_path / "kept.zip", {"notes.txt": "x"}))


def test_no_such_member(tmp_path):
    """A path into an archive that leads nowhere is as one on the disk."""
    path = pack(tmp_path / "kept.zip", runs())
    with pytest.raises(FileNotFoundError, match="there is no such file or folder"):
        reading.load(path / "gpu-1.json")


def test_folder_whose_name_ends_so(tmp_path):
    """A folder may be called `kept.zip`, too."""
    folder = tmp_path / "kept.zip"
    folder.mkdir()
    for name, text in runs().items():
        (folder / name).write_text(text)
    assert len(reading.load(folder)) == 2
