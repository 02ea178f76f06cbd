"""Machines, records and images of any kind: what they say becomes a fact, a finding or a sentence."""

from __future__ import annotations

import json
import shlex

from hypothesis import given
from hypothesis import strategies as st

from cifar import cli
from cifar.backend import missing
from cifar.measure import campaign, doctor
from cifar.node import allotment, computer, container, driver, gpus, image, packages
from cifar.record.unmeasurable import as_json

KERNEL = {
    "proc/self/cgroup": "5:memory:/job\n4:cpu,cpuacct:/job\n0::/job/task\n",
    "proc/self/mountinfo": "1 0 8:1 / / rw - xfs /dev/a rw\n2 1 8:2 / /home\\040x rw shared:1 - nfs4 x rw\n",
    "proc/loadavg": "0.52 1.58 0.59 3/467 12345\n",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC\nphysical id\t: 0\ncore id\t: 0\n\nprocessor\t: 1\n",
    "proc/meminfo": "MemTotal:       24683656 kB\nMemAvailable:   23000000 kB\n",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19\n",
    "sys/fs/cgroup/job/task/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/job/memory.max": "1073741824\n",
    "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "250000\n",
    "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "2147483648\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver": "intel_pstate\n",
    "sys/devices/system/cpu/cpu0/topology/core_cpus_list": "0-1\n",
    "sys/devices/system/cpu/intel_pstate/no_turbo": "0\n",
    "sys/devices/system/cpu/smt/active": "1\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "etc/os-release": 'PRETTY_NAME="Rocky Linux 9.4"\n',
    "home/.keras/keras.json": '{"backend": "tensorflow", "floatx": "float32"}',
}
"""A sound node's files."""

ODD = st.one_of(
    st.sampled_from(
        (b"", b"\n", b"max", b"0 0", b"-1", b"\0", b"\xff\xfe", b"9" * 5_000, b"nan inf -nan 1/", b":::", b" - ")
    ),
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@st.composite
def files_of_a_node(draw):
    """The kernel's files, up to three of them changed: other bytes, cut short, doubled, one word or byte; or gone."""
    contents = {name: text.encode() for name, text in KERNEL.items()}
    for name in draw(st.lists(st.sampled_from(sorted(contents)), min_size=1, max_size=3)):
        data = contents.get(name) or b"x"
        where = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(("odd", "cut", "twice", "word", "byte", "gone")))
        words = data.split(b" ")
        words[where % len(words)] = draw(ODD)
        changed = {
            "odd": draw(ODD),
            "cut": data[:where],
            "twice": data + data,
            "word": b" ".join(words),
            "byte": data[:where] + bytes([data[where] ^ (1 << draw(st.integers(0, 7)))]) + data[where + 1 :],
            "gone": None,
        }
        contents[name] = changed[kind]
    return {name: data for name, data in contents.items() if data is not None}


VALUES = st.one_of(
    st.sampled_from(
        ("", "0", "4", "4,2", "-1", "NoDevFiles", "9" * 5_000, "/nowhere", ".", "x\ny", "\udce9", "a:b", "::")
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
)
VARIABLES = st.dictionaries(
    st.sampled_from(
        (
            *("SLURM_CPUS_PER_TASK", "SLURM_JOB_ID", "NCPUS", "PBS_JOBID", "PBS_NODEFILE", "OMP_NUM_THREADS"),
            *("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "APPTAINER_CONTAINER", "CIFAR_IMAGE", "CIFAR_IMAGE_DIGEST"),
            *("container", "HOME", "USER", "KERAS_HOME", "XLA_FLAGS", "TF_CPP_VMODULE"),
        )
    ),
    VALUES,
    max_size=4,
)


def test_any_node(tally, tmp_path_factory):
    """Whatever the kernel's files and the variables say, facts can be stored and findings shown."""

    @given(files_of_a_node(), VARIABLES)
    def one(contents, environ):
        root = tmp_path_factory.mktemp("node")
        for name, data in contents.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        tally["nodes"] += 1
        environ = {"HOME": str(root / "home")} | environ
        facts = {"node": computer.describe(root), "load": computer.load_now(root)}
        facts |= {"container": container.container(root, environ), "batch": allotment.batch(environ)}
        facts |= {"variables": packages.variables(environ), "nvidia": gpus.nvidia("cpu", None, environ, root)}
        written = as_json(facts)
        json.dumps(written, ensure_ascii=False, allow_nan=False).encode()
        assert allotment.least(allotment.limits(root, environ)) >= 1
        assert missing.explain(missing.GpuFacts(**vars(driver.seen(root, environ)))).remedy
        found = list(doctor.glance(doctor.Node({"results": root, "data": root / "data"}, root=root, environ=environ)))
        for finding in found:
            assert finding.status in doctor.SEVERITY
            assert "\n" not in finding.line
            finding.line.encode()

    one()


RECORD = {
    "machine_info": {
        "cifar": {
            "environment": {
                "node": {"cpu_model": "AMD EPYC"},
                "gpus": [{"name": "NVIDIA H100"}],
                "source": {
                    "commit": "ab12" * 10,
                    "dirty": True,
                    "workload": "1" * 64,
                    "installed": "2" * 64,
                    "lock": {"file": "requirements-cuda-2.19.txt", "sha256": "3" * 64, "differs": ["numpy", "keras"]},
                },
                "container": {"kind": "none", "image": "cifar-bench:0.1.0", "digest": f"sha256:{'4' * 64}"},
                "dataset": {"digest": "5" * 64, "source": "made up, seed 7", "synthetic": True},
            }
        }
    }
}
PROGRAMS = {"git", "pip", "nox", "ln", "cifar", "apptainer"}
ATTACK = st.sampled_from(
    (
        "; touch made #",
        "\ntouch made\n#",
        "$(touch made)",
        "`touch made`",
        "' ; touch made ; '",
        "& touch made",
        "\r\x0b\x85\u2028",
    )
)


def printed(folder, capsys):
    """Exit code, script and complaint of `cifar replay`."""
    code = cli.main(["replay", str(folder)])
    said = capsys.readouterr()
    return code, said.out, said.err


def check(executed, tally, code, out, err):
    """A sentence and no script, or a script in which nothing is a command but our own."""
    if code == 2:
        tally["replay, refused"] += 1
        assert (out, err.count("\n")) == ("", 1)
        return
    tally["replay, printed"] += 1
    assert code == 0
    for line in out.splitlines():
        assert line.isprintable()
        assert line.startswith("# ") or shlex.split(line)[0] in PROGRAMS
    assert executed(out) == []


def begun(folder):
    """A campaign without a record."""
    plan = campaign.Plan(("cpu",), 3, "quick", "x.h5", "5" * 64, "a or b")
    campaign.start(folder, plan)
    return folder


def test_changed_record(mutations, tally, tmp_path_factory, capsys, executed):
    """A record that was changed in one place is refused in a sentence, or gives a script of ours."""
    folder = begun(tmp_path_factory.mktemp("fuzz") / "a")

    @given(mutations(RECORD), st.sampled_from(("none", "apptainer", "docker")))
    def one(data, kind):
        (folder / "cpu-1.json").write_bytes(data.replace(b'"none"', f'"{kind}"'.encode()))
        check(executed, tally, *printed(folder, capsys))

    one()


def test_hostile_record(tally, tmp_path_factory, capsys, executed):
    """A command in any text of a record is executed nowhere."""
    folder = begun(tmp_path_factory.mktemp("fuzz") / "a")
    text = json.dumps(RECORD)
    texts = sorted({value for value in _texts(RECORD) if text.count(json.dumps(value)) == 1})

    @given(st.sampled_from(texts), ATTACK, st.booleans(), st.sampled_from(("none", "apptainer", "docker")))
    def one(value, attack, instead, kind):
        new = attack if instead else value + attack
        data = text.replace(json.dumps(value), json.dumps(new)).replace('"none"', f'"{kind}"')
        (folder / "cpu-1.json").write_text(data)
        check(executed, tally, *printed(folder, capsys))

    one()


def _texts(content):
    """Every text among nested values."""
    if isinstance(content, str):
        yield content
    items = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    for value in items:
        yield from _texts(value)


def test_changed_image(tally, tmp_path_factory):
    """Bytes that begin as an image does have a digest, or a sentence."""
    path = tmp_path_factory.mktemp("fuzz") / "a.sif"

    odd = st.sampled_from((0, 1, -1, -(2**63), 2**62, 2**63 - 1)) | st.integers(-10, 800)

    @given(st.just(1) | odd, st.just(128) | odd, st.just(713) | odd, st.just(6) | odd, st.binary(max_size=40))
    def one(count, table, start, size, rest):
        head = image._HEADER.pack(b"", image._MAGIC, b"01", b"02", b"", 0, 0, 0, count, table, 0, 0, 0)  # noqa: SLF001
        entry = image._DESCRIPTOR.pack(0x4004, True, 1, 1, 0, start, size, 0, 0, 0, 0, 0, b"", 1, 2, b"")  # noqa: SLF001
        path.write_bytes(head + entry + rest)
        image.sif_digest.cache_clear()
        try:
            digest = image.sif_digest(path)
        except ValueError as error:
            said = str(error)
        else:
            said = f"{path}: {digest}"
        tally["images"] += 1
        assert said.startswith(str(path))

    one()
