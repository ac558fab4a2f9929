"""Checks of a project's images: a few are fetched as the backend does it."""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from common.doctor import Finding, fine, problem, warning
from ml_backend.diagnosis.state import ImageTry, ProjectState
from ml_backend.label_studio.backend_address import host_of, without_password

_CLOUD = ("s3", "gs", "azure-blob")
_BY_LABEL_STUDIO = ("missing", "http_403", "http_424", "http_500")  # an upload that was deleted is a 500
_FORMATS = "AVIF, BMP, GIF, JPEG, PNG, TIFF and WEBP"
_LONGEST = 100  # characters of an address


def images(state: ProjectState) -> Iterator[Finding]:
    """Look whether images can be fetched and read, and say for each reason what helps."""
    groups: dict[tuple[str, str], list[ImageTry]] = {}
    for image in state.images:
        groups.setdefault((image.reason, remedy(image) if image.reason else ""), []).append(image)
    for (reason, helps), group in sorted(groups.items()):
        first = group[0]
        if reason:
            yield problem(
                f"{len(group)} of {len(state.images)} images that were tried: {reason} (task {first.task_id}: "
                f"{_short(first.url)})",
                "their tasks get no suggestion",
                helps,
            )
        else:
            yield fine(f"{len(group)} of {len(state.images)} that were tried can be read")


def storages(state: ProjectState) -> Iterator[Finding]:
    """Look whether the storages that tasks come from work."""
    for storage in state.storages:
        if storage.status == "failed":
            yield warning(
                f"the last synchronisation of {storage.kind} storage {storage.title or storage.id} failed",
                "new files become no tasks, and what hinders it may hinder reading images too",
                "see Settings > Cloud Storage > Sync for Label Studio's reason",
            )


CHECKS: dict[str, Callable[[ProjectState], Iterator[Finding]]] = {"images": images, "storages": storages}


def remedy(failed: ImageTry) -> str:
    """Return what helps against a reason for which an image could not be read."""
    if failed.is_page:
        return (
            "what comes is a web page, perhaps a login: give addresses that need none, or upload the images to "
            "Label Studio, or connect their storage to it"
        )
    if failed.reason in _BY_LABEL_STUDIO and (advice := _of_label_studio(failed)):
        return advice
    if failed.reason.startswith("format_"):
        name = failed.reason.removeprefix("format_").replace("_", " ").upper()
        return f"the file is {name}, which is not decoded: convert it to one of {_FORMATS}"
    return _REMEDIES.get(failed.reason, _other)(failed)


def _of_label_studio(failed: ImageTry) -> str:
    """Return what helps where Label Studio itself cannot give a file."""
    scheme, path = urlsplit(failed.url).scheme, urlsplit(failed.url).path
    if scheme in _CLOUD:
        bucket = urlsplit(failed.url).netloc
        return (
            f"Label Studio has no source storage of this project for {scheme}://{bucket}, or its credentials do "
            "not open that file: add it under Settings > Cloud Storage > Add Source Storage, and sync it"
        )
    if "/data/local-files" in path and failed.reason == "http_403":
        return (
            "Label Studio serves no local files: start it with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, and add a local storage to the project"
        )
    if "/data/local-files" in path:
        return (
            "add a local storage with this folder to the project (Settings > Cloud Storage), or look for the file "
            "below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"
        )
    if "/data/upload/" in path:
        return "the uploaded file is gone from Label Studio's data folder: upload it again"
    return ""


def _not_allowed(failed: ImageTry) -> str:
    address = urlsplit(failed.url)
    if address.scheme in _CLOUD or not address.netloc:
        return (
            "Label Studio leads on to a storage at a private address: let the backend fetch from its host, as "
            "Label Studio names it, for example ML_BACKEND_IMAGE_HOSTS=minio:9000 (with commas for several)"
        )
    allowed = address.netloc.lower().removesuffix(":")
    return f"let the backend fetch from there: ML_BACKEND_IMAGE_HOSTS={allowed} (with commas for several)"


def _host_gone(failed: ImageTry) -> str:
    return f"see whether {host_of(failed.url) or 'the host'} can be reached from the backend's machine"


def _other(failed: ImageTry) -> str:
    return f"see {_short(failed.url)} in a browser on the backend's machine"


_REMEDIES: dict[str, Callable[[ImageTry], str]] = {
    "host_not_allowed": _not_allowed,
    "private_address": _not_allowed,
    "missing": lambda _: "the file is not there any more: put it back, or delete the task",
    "http_401": lambda _: (
        "the host wants a login: upload the images to Label Studio, or connect their storage to it"
    ),
    "http_403": lambda _: "the host refuses: upload the images to Label Studio, or connect their storage to it",
    "timeout": _host_gone,
    "unreachable": _host_gone,
    "unknown_host": _host_gone,
    "tls_failed": lambda failed: f"the certificate of {host_of(failed.url)} is not valid: renew it, or use http",
    "unsupported_url": lambda _: "addresses must be paths of Label Studio, http(s), s3://, gs:// or azure-blob://",
    "no_url": lambda _: "give each task an address under that key",
    "not_configured": lambda _: "set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY for the backend",
    "password_in_url": lambda _: "addresses with a name and a password are refused: use a storage of Label Studio",
    "signature_expired": lambda _: (
        "the signature in the address has expired: connect the storage to the project (Settings > Cloud Storage), "
        "so that Label Studio signs anew each time, or import addresses without a signature"
    ),
    "http_429": lambda failed: (
        f"{host_of(failed.url)} is asked too often: wait, set ML_BACKEND_FETCH_THREADS lower, or upload the "
        "images to Label Studio"
    ),
    "http_503": lambda failed: f"{host_of(failed.url)} is overloaded or down: wait and try again",
    "data_url": lambda _: (
        "the task holds the image itself in place of an address: upload the file to Label Studio and put the "
        "address there"
    ),
    "empty": lambda _: "the file has no bytes: upload it again",
    "svg": lambda _: "drawings (SVG) have no pixels: convert them to PNG",
    "xml_error": lambda _: (
        "what comes is the storage's error in XML: open the address to see which, and give the backend an address "
        "that may be read, or connect the storage to the project"
    ),
    "json": lambda _: "what comes is JSON, perhaps of an API: give the address of the image itself",
    "git_lfs_pointer": lambda _: "the file is a pointer of Git LFS: run git lfs pull, and upload the images again",
    "not_an_image": lambda _: f"the file is none of {_FORMATS}: convert it",
    "unsupported_pixels": lambda _: (
        "its pixels (such as five channels, or floating point in colour) cannot be shown: convert it to RGB or "
        "grey of 8 or 16 bits"
    ),
    "damaged": lambda _: "the file is damaged or cut off: upload it again",
    "truncated": lambda _: "the file is cut off: upload it again",
    "too_slow": lambda _: (
        "it takes longer to decode than ML_BACKEND_DECODE_TIMEOUT_S: save it anew, or make it smaller"
    ),
    "too_much_memory": lambda _: "it takes more memory to decode than any image should: save it anew",
    "decoder_crashed": lambda _: "it makes the decoder crash: save it anew, and do not trust where it is from",
    "too_many_bytes": lambda _: "raise ML_BACKEND_MAX_IMAGE_BYTES, or make the image smaller",
    "too_many_pixels": lambda _: "raise ML_BACKEND_MAX_IMAGE_PIXELS, or make the image smaller",
    "path_not_allowed": lambda _: "the path leads out of ML_BACKEND_LOCAL_FILES_DIR: put the file below it",
    "unreadable": lambda _: "let the backend's account read the files below ML_BACKEND_LOCAL_FILES_DIR",
}


def _short(url: str) -> str:
    """Return an address as it may be shown: without a password, a signature, or the image itself."""
    if url.lstrip()[:5].lower() == "data:":
        return "data:…"
    shown = without_password(url).partition("?")[0] if "local-files" not in url else url
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"
