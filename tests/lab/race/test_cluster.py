"""A race on a real Ray cluster, started here: the same record as in processes, but for times."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.race.killed import numbers
from descend.lab.race.cli import race
from descend.lab.tasks.source import Source
from descend.lab.trials.runners.runner import RuleFailed, RunDone
from descend.lab.trials.runners.start import runner_for
from descend.lab.trials.trial import Trial

HERE = importlib.util.find_spec("ray") is not None
SMALL = ("--rules", "adam,lion", "--steps", "12", "--seeds", "8", "--quick", "-q")


@pytest.mark.skipif(HERE, reason="Ray is installed")
def test_without_ray_it_is_said_how_to_get_it():
    done = CliRunner().invoke(race, ["--on", "ray"])
    assert done.exit_code == 2
    assert "racing on a cluster needs Ray: pip install 'descend[cluster]'" in " ".join(done.output.split())


def test_an_address_that_is_none_is_refused():
    for words, says in (
        (["--on", "slurm"], "'slurm': it is `ray`, or ray://HOST:PORT"),
        (["--on", "ray://"], "'ray://': it is `ray`, or ray://HOST:PORT"),
        (["claims", "--on", "ray"], "--on is for races"),
    ):
        done = CliRunner().invoke(race, words)
        assert done.exit_code == 2
        assert says in " ".join(done.output.split())


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(not HERE, reason="Ray is not installed")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.usefixtures("cluster")
class TestOnACluster:
    def test_the_record_is_that_of_processes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("DESCEND_DATA", str(tmp_path / "data"))
        for where in ((), ("--on", "ray")):
            done = CliRunner().invoke(race, [*SMALL, *where, "-o", str(tmp_path / "-".join(where))])
            assert done.exit_code == 0, done.output
        assert numbers(tmp_path / "--on-ray") == numbers(tmp_path)

    def test_one_rule_that_fails_does_not_end_the_race(self):
        trials = [Trial("no_such_rule", 1e-3, k, 10) for k in range(3)] + [Trial("adamw", 1e-3, 0, 10)]
        with runner_for(Source("digits"), None, "ray") as runner:
            events = list(runner.run(trials))
        (failed,) = (event for event in events if isinstance(event, RuleFailed))
        assert failed.reason.startswith("UnknownRule: no rule 'no_such_rule'")
        assert [event.run.trial for event in events if isinstance(event, RunDone)] == trials[-1:]

    def test_what_is_left_when_it_is_stopped_is_cancelled(self):
        import ray

        trials = [Trial("adamw", 1e-3, 0, 10), *(Trial("adamw", 1e-3, k, 50_000) for k in range(1, 6))]
        with runner_for(Source("digits"), 2, "ray") as runner:
            events = runner.run(trials)
            assert any(isinstance(event, RunDone) for event in events)
            events.close()
            ready, _ = ray.wait([ray.remote(lambda: 7).remote()], timeout=20)
        assert ready, "the processors are free again"
