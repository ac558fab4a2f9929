"""crowd-kit's Dawid-Skene with its defaults from a CSV to a CSV, by way of pandas, as its documentation has it.

python benchmarks/crowd_kit_command.py VOTES OUT
"""

import sys
import warnings

import pandas as pd
from crowdkit.aggregation import DawidSkene

if __name__ == "__main__":
    votes, out = sys.argv[1:]
    frame = pd.read_csv(votes).rename(columns={"annotator": "worker"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        DawidSkene().fit_predict_proba(frame).to_csv(out)
