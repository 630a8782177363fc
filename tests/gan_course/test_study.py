"""The factorial study at its smallest scale: what is counted, tuned and kept."""

import shutil

import numpy as np
import pytest
import torch

from gan_course import study
from gan_course.nets import mlp
from gan_course.sweep import load


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setenv("GAN_COURSE_SCALE", "smoke")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with the finished tuning and the finished study of one data set."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_COURSE_SCALE", "smoke")
        study.tune(folder, ["ring"], workers=1, progress=False)
        study.run(folder, ["ring"], workers=1, progress=False)
    return folder


@pytest.fixture
def folder(kept, tmp_path):
    """A copy of it that a test may spoil."""
    return shutil.copytree(kept, tmp_path / "study")


@pytest.mark.parametrize("name", study.DATA)
def test_every_data_set_is_played_and_scored(name):
    found = study.experiment(
        seeds=[1, 2], data=name, loss="Wasserstein", regularizer="consistency", strength=1.0
    )
    assert {"score", "start", "curve", "diverged", "pace"} <= set(found)
    assert found["score"].shape == (2,)
    assert found["curve"][:, -1] == pytest.approx(found["score"])
    assert found["curve"][:, 0] == pytest.approx(found["start"])
    assert (found["score"] != found["start"]).all()
    assert not found["diverged"].any()


@pytest.mark.parametrize("regularizer", study.REGULARIZERS)
@pytest.mark.parametrize("name", ["grid", "digits"])
def test_every_regularizer_acts(name, regularizer):
    """It changes what training does, compared with a game without it."""
    strengths = study.REGULARIZERS[regularizer].strengths
    strongest = min(strengths) if regularizer == "clipping" else max(strengths)
    with_it, without = (
        study.experiment(seeds=[1, 2], data=name, loss="minimax", regularizer=r, strength=s)
        for r, s in ((regularizer, strongest), ("none", 0.0))
    )
    same = np.array_equal(with_it["score"], without["score"])
    assert same == (regularizer == "none")


def test_the_strength_of_a_spectral_norm_scales_the_input():
    game = study._data("ring").game("minimax", "spectral norm", 7.0)
    assert isinstance(game.critic, mlp)
    assert game.critic.input_scale == 7.0
    assert study._data("ring").game("minimax", "R1", 7.0).critic.input_scale == 1.0


def test_a_diverged_seed_counts_as_its_untrained_generator(monkeypatch):
    chosen = study._data("ring")
    broken = dict(vars(chosen)) | {"optimizer": study.train.Adam(float("inf"))}
    monkeypatch.setattr(study, "_data", lambda name: study.DataSet(**broken))
    found = study.experiment(
        seeds=[1, 2], data="ring", loss="minimax", regularizer="none", strength=0.0
    )
    assert found["diverged"].tolist() == [1, 1]
    assert found["score"] == pytest.approx(found["start"])
    assert found["modes"].tolist() == [0, 0]


def test_reference_clouds_hold_every_mode_in_its_share():
    grid = study._data("grid").target
    cloud = study._reference(grid, grid)
    nearest = torch.cdist(cloud.double(), grid.centers.double()).argmin(1)
    assert torch.bincount(nearest).tolist() == [40] * 25


def test_colored_modes_are_read_from_real_pictures():
    target = study._data("colored digits").target
    points, modes = target.sample_labeled(400, torch.Generator().manual_seed(3))
    found = study._colored_modes(points[None])
    assert abs(found[0] - len(modes.unique())) <= 1


def test_tuning_takes_the_best_strength_and_goes_on_where_it_stopped(folder):
    results = load(folder / "tuning" / "ring")
    best = study.tuned(folder, "ring")
    assert len(best) == 3 * 6
    for (loss, regularizer), strength in best.items():
        chosen = results.select(loss=loss, regularizer=regularizer)
        means = {dict(s)["strength"]: a["score"].mean() for s, a in chosen}
        assert means[strength] == min(means.values())
    rows = study.settings(folder, "ring")
    assert len(rows) == 21
    assert [row["strength"] for row in rows if row["regularizer"] == "none"] == [0.0] * 3
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.npz")}
    study.tune(folder, ["ring"], workers=1, progress=False)
    assert before == {file: file.stat().st_mtime_ns for file in folder.rglob("*.npz")}
    next(iter((folder / "tuning").rglob("*.npz"))).unlink()
    with pytest.raises(LookupError, match="lacks"):
        study.tuned(folder, "ring")


def test_effects_add_up_and_find_what_was_put_in():
    rng = np.random.default_rng(1)
    loss, regularizer = rng.normal(size=(3, 5)), rng.normal(size=(7, 5))
    loss, regularizer = loss - loss.mean(0), regularizer - regularizer.mean(0)
    table = np.exp(0.3 + loss[:, None] + 2 * regularizer)
    found = study.effects(table)
    assert found.mean == pytest.approx(0.3)
    assert found.loss == pytest.approx(loss)
    assert found.regularizer == pytest.approx(2 * regularizer)
    assert np.abs(found.interaction).max() < 1e-12
    shares = found.shares()
    assert sum(shares.values()) == pytest.approx(1)
    wanted = 7 * (loss**2).sum(0) / (7 * (loss**2).sum(0) + 3 * 4 * (regularizer**2).sum(0))
    assert shares["loss"] == pytest.approx(wanted)


def test_interaction_is_what_main_effects_leave():
    table = np.ones((3, 7, 2))
    table[0, 0] = np.e
    found = study.effects(table)
    rest = np.log(table) - found.mean - found.loss[:, None] - found.regularizer
    assert found.interaction == pytest.approx(rest)
    assert found.interaction[0, 0] == pytest.approx(1 - 1 / 3 - 1 / 7 + 1 / 21)
    for axis in (0, 1):
        assert np.abs(found.interaction.sum(axis)).max() < 1e-12


def test_an_unfinished_table_has_no_effects():
    table = np.ones((3, 7, 2))
    table[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match="1 entries"):
        study.effects(table)


def test_scores_of_an_unfinished_study_are_missing(folder):
    table = study.scores(folder, "ring")
    assert table.shape == (3, 7, 2)
    assert np.isfinite(table).all()
    study.effects(table)
    next(iter((folder / "study").rglob("*.npz"))).unlink()
    assert np.isnan(study.scores(folder, "ring")).sum() == 2


def test_collected_tables_are_those_of_the_finished_data_sets(folder, tmp_path, monkeypatch):
    file = tmp_path / "study.npz"
    monkeypatch.setattr(study, "_assets", lambda: file)
    assert study.collect(folder) == study.recorded_data() == ["ring"]
    for what in ("score", "modes", "quality", "diverged", "start"):
        wanted = study.scores(folder, "ring", what)
        assert study.recorded("ring", what) == pytest.approx(wanted, rel=1e-6)
    best = study.tuned(folder, "ring")
    strength, trials = study.recorded("ring", "strength"), study.recorded("ring", "tuning")
    for i, loss in enumerate(study.LOSSES):
        for j, (regularizer, candidates) in enumerate(study.REGULARIZERS.items()):
            if regularizer == "none":
                assert strength[i, j] == 0
                assert np.isnan(trials[i, j]).all()
            else:
                chosen = candidates.strengths[trials[i, j].mean(-1).argmin()]
                assert strength[i, j] == chosen == best[loss, regularizer]
    ends = [(c.strengths[0], c.strengths[-1]) for c in study.REGULARIZERS.values()]
    edges = [best[i, j] in ends[k] for i, j in best for k in [list(study.REGULARIZERS).index(j)]]
    assert len(edges) == 18
    assert study.at_the_edge("ring") == sum(edges)
    with pytest.raises(LookupError, match="no grid/score; allowed are ring/diverged"):
        study.recorded("grid")
    next(iter((folder / "study").rglob("*.npz"))).unlink()
    assert study.collect(folder) == []


def test_unknown_data_set_is_an_error():
    with pytest.raises(ValueError, match="'circle'; allowed are ring"):
        study.data_set("circle")
