"""Goes on with a tuning until it is killed: ``killed_tuning.py DATA_DIR PROJECT``."""

import sys
from pathlib import Path

from ml_backend.finetune.learner import Learner
from ml_backend.finetune.tuning_folder import TuningFolder
from ml_backend.settings import Settings

if __name__ == "__main__":
    data_dir = Path(sys.argv[1])
    settings = Settings.model_validate({"data_dir": data_dir, "weights": "random", "training_torch_threads": 1})
    folder = TuningFolder.of_project(data_dir, int(sys.argv[2]))
    plan = folder.plan()
    assert plan is not None
    Learner(settings, folder, plan).learn()
