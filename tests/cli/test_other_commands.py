"""``fedglmm keys``, ``fedglmm study`` and ``fedglmm site preview``."""

import json
from pathlib import Path

import pytest

from fedglmm_flower.envelope.encryption import HYBRID
from fedglmm_flower.site import Policy, read_site_config, release
from fedglmm_flower.study import read_study, write_study
from tests.clinics import clinics
from tests.command import BINOMIAL, GAUSSIAN, fedglmm, small_table
from tests.site.conftest import ask


def test_keys_are_made_once_and_shown_alike(tmp_path):
    """The fingerprint of the private and of the public file is the same."""
    made = fedglmm("keys", "new", "St. Mary/West", "--out", tmp_path)
    private, public = sorted(tmp_path.iterdir())
    shown = {fedglmm("keys", "show", path).out for path in (private, public)}

    assert made.status == 0
    assert (private.suffix, public.suffix) == (".key", ".pub")
    assert private.stat().st_mode & 0o077 == 0
    assert len(shown) == 1
    assert made.out.splitlines()[-1].split(maxsplit=1)[1] in shown.pop()

    before = private.read_bytes(), public.read_bytes()
    again = fedglmm("keys", "new", "St. Mary/West", "--out", tmp_path)

    assert (again.status, again.line[0]) == (2, "key-invalid")
    assert (private.read_bytes(), public.read_bytes()) == before


def test_a_hybrid_key_says_so_and_stays_hybrid(tmp_path):
    """Shown from either file; no rotation makes it plain again."""
    made = fedglmm("keys", "new", "north", "--out", tmp_path, "--hybrid")
    rotated = fedglmm("keys", "rotate", tmp_path / "north.key")
    told = {fedglmm("keys", "show", path).out for path in tmp_path.glob("north.???")}

    assert made.status == rotated.status == 0
    assert [line.split()[1] for line in told.pop().splitlines()[:2]] == [
        "north",
        HYBRID,
    ]
    assert told == set()
    for ended in (made, rotated):
        assert HYBRID in ended.out


@pytest.mark.parametrize("name", ["", "x" * 300, "a\nb"])
def test_a_key_needs_a_name(name, tmp_path):
    """A name that cannot be shown on one line is refused, and no file is made."""
    ended = fedglmm("keys", "new", name, "--out", tmp_path)

    assert (ended.status, ended.line[0]) == (2, "key-invalid")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["missing", "folder", "foreign", "truncated", "open"])
def test_a_key_file_that_is_not_usable_is_refused(fault, tmp_path):
    """One line, whatever is wrong with the file, and nothing of its content."""
    fedglmm("keys", "new", "north", "--out", tmp_path)
    path = tmp_path / "north.key"
    content = path.read_bytes()
    if fault == "missing":
        path.unlink()
    elif fault == "folder":
        path.unlink()
        path.mkdir()
    elif fault == "foreign":
        path.write_bytes(b"x,y\n1,2\n")
    elif fault == "truncated":
        path.write_bytes(content[:100])
    else:
        path.chmod(0o644)
    ended = fedglmm("keys", "show", path)

    assert (ended.status, ended.line[0]) == (2, "key-invalid")
    assert ended.out == ""


@pytest.mark.parametrize("room", ["keys", "study", "site"])
def test_a_room_without_a_command_shows_its_help(room):
    """No arguments: the help, and not an error that hides it."""
    ended = fedglmm(room)

    assert "Commands" in ended.out + ended.err


@pytest.fixture
def data(tmp_path):
    """The table as a file."""
    path = tmp_path / "data.csv"
    small_table().to_csv(path, index=False)
    return path


@pytest.fixture
def study_file(tmp_path, data):
    """A drafted study."""
    path = tmp_path / "study.toml"
    assert fedglmm("study", "init", data, *BINOMIAL, "--out", path).status == 0
    return path


def test_a_drafted_study_is_what_check_and_show_read(study_file):
    """The digest that parties compare is the same in every command."""
    digest = read_study(study_file).digest
    checked = json.loads(fedglmm("study", "check", study_file, "--json").out)
    shown = fedglmm("study", "show", study_file).out

    assert checked["digest"] == digest
    assert digest in shown
    assert digest in fedglmm("study", "check", study_file).out
    asked = [(row["set"], row["order"]) for row in checked["orders"]]
    assert asked == list(read_study(study_file).offers)
    assert all(
        row["rows"] >= max(Policy.min_rows, 3 * row["statistics"])
        for row in checked["orders"]
    )
    for word in ("g: categorical, u < v < w", "4: a, b, c, d", "binomial (logit)"):
        assert word in shown


def test_a_draft_never_overwrites_a_study(study_file, data):
    """An agreed study is not lost to a second draft."""
    before = study_file.read_bytes()
    ended = fedglmm("study", "init", data, *GAUSSIAN, "--out", study_file)

    assert (ended.status, ended.line[0]) == (2, "usage")
    assert study_file.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--formula", "y ~ zz + (1 | hospital)", "--family", "gaussian"), "data-inv"),
        (("--formula", "y ~ ~", "--family", "gaussian"), "formula-invalid"),
        ((*GAUSSIAN, "--levels", "g=u,u"), "study-invalid"),
        ((*GAUSSIAN, "--order", "9"), "usage"),
        (("--family", "gaussian"), "usage"),
    ],
)
def test_a_draft_of_a_bad_question_leaves_no_file(options, code, tmp_path, data):
    """A study that could not be asked is not written."""
    out = tmp_path / "new.toml"
    ended = fedglmm("study", "init", data, *options, "--out", out)

    assert ended.status == 2
    assert ended.line[0].startswith(code)
    assert not out.exists()


def test_a_draft_needs_a_folder_that_exists(tmp_path, data):
    """The message names the path that was given, not a scratch file."""
    out = tmp_path / "nowhere" / "study.toml"
    ended = fedglmm("study", "init", data, *GAUSSIAN, "--out", out)

    code, detail = ended.line

    assert code == "usage"
    assert detail.startswith(f"{out}: its folder does not exist; ")


def test_a_study_file_that_is_not_there_is_told(tmp_path):
    """Missing, a folder, or no text."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "nowhere.toml", tmp_path, tmp_path / "binary"):
        for command in ("check", "show"):
            ended = fedglmm("study", command, path)

            assert (ended.status, ended.line[0]) == (2, "study-invalid")


def site_file(folder: Path, *, site="a", rows=60, extra="") -> Path:
    """A site.toml and its table."""
    table = small_table().query("hospital == 'a'").drop(columns="hospital")
    table.head(rows).to_csv(folder / "site.csv", index=False)
    path = folder / "site.toml"
    path.write_text(
        f'format = 1\nsite = "{site}"\n{extra}\n[data]\npath = "site.csv"\n'
        '[keys]\nidentity = "site.key"\ncoordinator = "coordinator.pub"\n'
        "[disclosure]\nmin_cell = 3\n"
    )
    return path


def test_a_preview_shows_exactly_what_is_released(study_file, tmp_path):
    """The officer's numbers are those that would be sealed, one for one."""
    study = read_study(study_file)
    path = site_file(tmp_path, extra=f'approved = ["{study.digest}"]')
    here = read_site_config(path)
    (cluster,) = release(study, here.source, here.policy, site="a").clusters
    seen = json.loads(
        fedglmm("site", "preview", path, "--study", study_file, "--json").out
    )

    assert [row["value"] for row in seen["statistics"]] == list(cluster.values)
    assert (seen["n_rows"], seen["n_missing"]) == (60, 0)
    assert seen["approved"] is True
    assert (seen["release_set"], seen["order"]) in study.offers
    assert all(rule["passed"] for rule in seen["rules"])

    text = fedglmm("site", "preview", path, "--study", study_file)

    assert text.status == 0
    assert f"{len(cluster.values)} numbers" in text.out
    assert "approved here: yes" in text.out
    for row in seen["statistics"]:
        assert f"  {row['what']}\n" in text.out


def test_a_preview_shows_every_cluster_and_what_stays(tmp_path):
    """Numbers of those that leave, the failing rule of those that do not."""
    table = clinics()
    cell = table.groupby(["hospital", "clinic"]).cumcount()
    table = table[(table.clinic < "c") | (cell < 30)]
    table.to_csv(tmp_path / "all.csv", index=False)
    asked = ("--formula", "y ~ x + (1 | hospital/clinic)", "--family", "gaussian")
    study = tmp_path / "clinics.toml"
    fedglmm("study", "init", tmp_path / "all.csv", *asked, "--out", study)
    path = site_file(tmp_path, site="h1")
    path.write_text(path.read_text() + 'small_clusters = "leave_out"\n')
    table[table.hospital == "h1"].to_csv(tmp_path / "site.csv", index=False)
    here = read_site_config(path)
    sent = release(read_study(study), here.source, here.policy, site="h1")

    text = fedglmm("site", "preview", path, "--study", study)
    plain = fedglmm("site", "preview", path, "--study", study, "--json")
    seen = json.loads(plain.out)

    assert (text.status, plain.status) == (0, 0)
    assert "clusters clinic: one summary" in fedglmm("study", "show", study).out
    for part, entry in zip(seen["clusters"], sent.clusters, strict=False):
        assert part["cluster"] == list(entry.cluster)
        assert [row["value"] for row in part["statistics"]] == list(entry.values)
    kept = [part for part in seen["clusters"] if not part["statistics"]]
    assert [part["cluster"] for part in kept] == [["c"], ["d"]]
    assert seen["small_clusters"]["n_rows"] == 60
    assert "cluster c: 30 rows, does not leave by its name" in text.out
    assert "2 clusters are left out, 60 rows" in text.out
    assert "FAIL  minimum rows: 30 rows" in text.out


def test_a_preview_of_a_refusal_shows_the_rules_and_no_sum(study_file, tmp_path):
    """What fails is content, on standard output; the refusal is the one error line."""
    path = site_file(tmp_path, rows=20)
    text = fedglmm("site", "preview", path, "--study", study_file)
    plain = fedglmm("site", "preview", path, "--study", study_file, "--json")
    seen = json.loads(plain.out)

    for ended in (text, plain):
        assert (ended.status, ended.line[0]) == (3, "disclosure-refused")
    assert "FAIL  minimum rows: 20 rows, at least 50 required" in text.out
    assert "sum of" not in text.out.replace("of its sum", "")
    assert seen["order"] is None
    assert seen["statistics"] == []
    assert not all(rule["passed"] for rule in seen["rules"])


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("no study", "study-invalid"),
        ("no site file", "policy-invalid"),
        ("unknown key", "policy-invalid"),
        ("no table", "data-invalid"),
        ("other site", "study-mismatch"),
    ],
)
def test_a_preview_that_cannot_be_made_is_one_line(fault, code, study_file, tmp_path):
    """Every file that is missing or wrong is named."""
    extra = "minimum = 3" if fault == "unknown key" else ""
    site = "elsewhere" if fault == "other site" else "a"
    path = site_file(tmp_path, site=site, extra=extra)
    if fault == "no study":
        study_file.unlink()
    elif fault == "no site file":
        path.unlink()
    elif fault == "no table":
        (tmp_path / "site.csv").unlink()
    ended = fedglmm("site", "preview", path, "--study", study_file)

    assert (ended.status, ended.line[0]) == (2, code)
    assert ended.out == ""


def test_a_study_is_shown_with_all_that_is_asked_beside_its_formula(tmp_path):
    """What an officer would otherwise approve unseen."""
    asked = ask(
        "died ~ age + (1 | hospital)",
        "binomial",
        weights="weight",
        rounds=40,
        held_out=0.3,
    )
    write_study(asked, tmp_path / "study.toml")
    shown = fedglmm("study", "show", tmp_path / "study.toml").out

    assert "weights  weight" in shown
    assert "rounds   up to 40 likelihoods of 10 numbers each" in shown
    assert "held out 30% of the rows" in shown
