"""Names of layouts and choices, apart from what they mean: a command line needs no more to show its help."""

from typing import Literal

Layout = Literal["folders", "csv", "jsonl", "parquet", "coco", "imagefolder"]
Only = Literal["confirmed", "decided", "person", "machine", "votes", "given", "changed", "doubtful"]
Link = Literal["hard", "symbolic"]
