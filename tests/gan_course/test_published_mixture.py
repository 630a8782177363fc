"""The recording of the published mixture at its smallest scale: what is kept, and how."""

import shutil

import numpy as np
import pytest
import torch

from gan_course import features, published_mixture
from gan_course.random import Role, Streams
from gan_course.runtime import seeds


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setenv("GAN_COURSE_SCALE", "smoke")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with two finished seeds."""
    folder = tmp_path_factory.mktemp("mixture")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_COURSE_SCALE", "smoke")
        published_mixture.record(folder, workers=1, progress=False)
    return folder


@pytest.fixture
def folder(kept, tmp_path):
    """A copy of it that a test may spoil."""
    return shutil.copytree(kept, tmp_path / "mixture")


@pytest.fixture
def asset(tmp_path, monkeypatch):
    """Where the small file goes, in the place of the package's own."""
    file = tmp_path / "mixture.npz"
    monkeypatch.setattr(published_mixture, "_assets", lambda: file)
    return file


def times(folder):
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*.npz")}


def test_a_seed_is_the_published_fit_of_that_seed():
    found = published_mixture.experiment(seeds=[7], **published_mixture.PUBLISHED)
    source = Streams([7], role=Role.INIT)
    generator, critic = (
        features.published_generator(source, 12),
        features.published_critic(source, 9),
    )
    run = features.fit(
        features.GeneratorFeatures(generator.weights[0], generator.biases[0]),
        features.CriticFeatures(critic.weights[0], critic.biases[0]),
        features.published_mixture(), seed=7, batch=20, epochs=3, steps=40,
        theta=features.initial_weights(12, source)[0],
    )  # fmt: skip
    assert found["start"][0] == pytest.approx(run.objective[0], rel=1e-6)
    assert found["first"][0] == pytest.approx(run.objective[1], rel=1e-6)
    assert found["epoch_means"][0] == pytest.approx(run.epoch_means(), rel=1e-6)
    assert found["unbiased_means"][0] == pytest.approx(run.epoch_means(run.unbiased), rel=1e-5)
    assert found["curve"].shape == found["unbiased"].shape == (1, 6)
    assert found["curve"][0].reshape(3, 2).mean(1) == pytest.approx(run.epoch_means(), rel=1e-6)
    points = run.sample(10_000, seed=7)
    assert torch.equal(torch.from_numpy(found["samples"][0]), points[:500])
    offsets = torch.cdist(points.double(), features.published_mixture().centers)
    assert found["quality"][0] == pytest.approx(float((offsets.amin(1) <= 0.3).double().mean()))
    assert found["shares"][0, 2] == pytest.approx(float((offsets.argmin(1) == 2).double().mean()))
    assert found["shares"].sum() == pytest.approx(1)
    assert 0 <= found["modes"][0] <= 8


def test_a_seed_is_the_same_alone_and_among_others():
    both = published_mixture.experiment(seeds=[3, 4], **published_mixture.PUBLISHED)
    alone = published_mixture.experiment(seeds=[4], **published_mixture.PUBLISHED)
    for name, values in alone.items():
        assert np.array_equal(both[name][1:], values), name
        assert not np.array_equal(both[name][:1], values) or name in ("modes", "quality"), name


def test_recording_keeps_a_file_a_seed_and_goes_on_where_it_stopped(folder):
    before = times(folder)
    assert len(before) == 2
    published_mixture.record(folder, workers=1, progress=False)
    assert times(folder) == before
    lost = sorted(before)[0]
    lost.unlink()
    published_mixture.record(folder, workers=1, progress=False)
    after = times(folder)
    assert after.keys() == before.keys()
    assert [file for file in after if after[file] != before[file]] == [lost]


def test_what_is_collected_is_read_back(folder, asset):
    wanted = seeds(2)
    assert published_mixture.collect(folder) == wanted
    assert published_mixture.recorded("seeds").tolist() == wanted
    truth = published_mixture.experiment(seeds=wanted, **published_mixture.PUBLISHED)
    for name, values in truth.items():
        assert published_mixture.recorded(name) == pytest.approx(values, rel=1e-6), name
    assert published_mixture.recorded("curve").dtype == np.float64
    with pytest.raises(LookupError, match="no speed; allowed are curve, epoch_means"):
        published_mixture.recorded("speed")


def test_finished_seeds_are_collected_while_others_are_missing(folder, asset):
    sorted(folder.rglob("*.npz"))[0].unlink()
    assert published_mixture.collect(folder, asset) == seeds(2)[1:]
    assert published_mixture.recorded("quality").shape == (1,)


def test_points_are_kept_of_two_seeds_only(tmp_path, asset):
    published_mixture.record(tmp_path / "three", [1, 2, 3], workers=1, progress=False)
    assert published_mixture.collect(tmp_path / "three") == [1, 2, 3]
    assert published_mixture.recorded("samples").shape == (2, 500, 2)
    assert published_mixture.recorded("curve").shape == (3, 6)


def test_without_a_recording_there_is_an_error(tmp_path, asset):
    with pytest.raises(LookupError, match="there is no recording"):
        published_mixture.recorded("curve")
    with pytest.raises(ValueError, match="one that holds results"):
        published_mixture.collect(tmp_path / "nothing")


def test_curves_are_thinned_by_means():
    history = np.arange(11.0)
    assert published_mixture.thinned(history, 4).tolist() == [1.5, 5.5]
    with pytest.raises(ValueError, match="every is 12; allowed are 1 to the length 11"):
        published_mixture.thinned(history, 12)


def test_command_line(folder, asset, capsys):
    published_mixture.main(["record", "collect", "--folder", str(folder), "--workers", "1"])
    first, second = seeds(2)
    assert f"collected the seeds {first} {second}" in capsys.readouterr().out
    assert published_mixture.recorded("curve").shape == (2, 6)
    with pytest.raises(SystemExit):
        published_mixture.main(["erase"])


def test_the_published_setting():
    assert published_mixture.PUBLISHED["epochs"] * published_mixture.PUBLISHED["steps"] == 4000
    assert published_mixture.SEEDS == 16
