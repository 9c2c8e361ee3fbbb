"""Files of what was found out about one device."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from horus.errors import ConfigError
from horus.hal import Config, option
from horus.hardware import calibration


@dataclass(frozen=True, kw_only=True)
class Bias(Config):
    gyro: tuple[float, ...] = option((0.0, 0.0, 0.0), unit="rad/s", low=-1, high=1)
    scale: float = option(1.0, low=0.5, high=2)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORUS_CALIBRATION_DIR", str(tmp_path))


def test_without_a_file_there_are_the_defaults() -> None:
    path = calibration.path_of("mpu6050", "A1", mock=False)
    assert calibration.load(Bias, path) == Bias()


def test_what_was_saved_is_loaded() -> None:
    path = calibration.path_of("mpu6050", "A1", mock=False)
    found = Bias(gyro=(0.01, 0.01, -0.02), scale=1.01)
    calibration.save(found, path)
    assert calibration.load(Bias, path) == found


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    path = calibration.path_of("mpu6050", "A1", mock=False)
    calibration.save(Bias(), path)
    calibration.save(Bias(scale=1.5), path)
    assert [p.name for p in tmp_path.iterdir()] == ["mpu6050-A1.yaml"]


def test_a_simulated_device_has_a_file_of_its_own() -> None:
    real = calibration.path_of("mpu6050", "A1", mock=False)
    mock = calibration.path_of("mpu6050", "A1", mock=True)
    assert real != mock


def test_an_identity_with_odd_characters_makes_a_plain_file_name() -> None:
    path = calibration.path_of("ublox", "../../etc/pass wd", mock=False)
    assert path.name == "ublox-.._.._etc_pass_wd.yaml"
    assert path.parent == calibration.folder()


def test_all_faults_of_a_file_are_told_with_their_lines() -> None:
    path = calibration.path_of("mpu6050", "A1", mock=False)
    path.write_text("gyro: [0.1, 7.0, 0]\nscale: big\nskale: 1\n")
    with pytest.raises(ConfigError) as caught:
        calibration.load(Bias, path)
    assert [line.split("yaml", 1)[1] for line in caught.value.faults] == [
        ":1: gyro: item 2 must be from -1 to 1 rad/s, not 7.0",
        ":2: scale: must be a number, not 'big'",
        ":3: skale: unknown option (did you mean scale?)",
    ]


def test_a_file_that_is_no_mapping_is_refused() -> None:
    path = calibration.path_of("mpu6050", "A1", mock=False)
    path.write_text("- 1\n- 2\n")
    with pytest.raises(ConfigError, match="is not a mapping"):
        calibration.load(Bias, path)


def test_a_failed_save_leaves_the_old_file(monkeypatch: pytest.MonkeyPatch) -> None:
    path = calibration.path_of("mpu6050", "A1", mock=False)
    calibration.save(Bias(scale=1.5), path)

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(calibration.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        calibration.save(Bias(scale=1.7), path)
    assert calibration.load(Bias, path) == Bias(scale=1.5)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
