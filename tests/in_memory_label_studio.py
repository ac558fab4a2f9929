"""A Label Studio in memory that answers requests as the real one does; what it holds is the JSON that it sends."""

import itertools
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import HTTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx

from common.label_studio.client import LabelStudioClient
from common.label_studio.session import Session

Json = dict[str, Any]
Answer = Callable[[httpx.Request], httpx.Response | None] | httpx.Response | BaseException

URL = "http://label-studio.test"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PROJECT = 7

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_NESTED = ("annotations", "predictions")
_UPLOADED = {".bmp", ".csv", ".gif", ".jpeg", ".jpg", ".json", ".png", ".svg", ".txt", ".webp"}
_ROUTES: list[tuple[str, re.Pattern[str], Callable[..., Any]]] = []
_DEFAULTS = {"title": "Made", "model_version": None, "sampling": "Sequential sampling",
             "show_collab_predictions": True, "skip_queue": "REQUEUE_FOR_OTHERS",
             "min_annotations_to_start_training": 0, "maximum_annotations": 1}  # fmt: skip
_EVENTS = ("TASKS_CREATED", "TASKS_DELETED", "ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED",
           "ANNOTATIONS_DELETED", "PROJECT_UPDATED", "START_TRAINING")  # fmt: skip


class _RefusalError(Exception):
    def __init__(self, status: int, body: object) -> None:
        super().__init__(status)
        self.answer = httpx.Response(status, json=body)


def _route(method: str, path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        _ROUTES.append((method, re.compile(path if path.startswith("/") else f"/api/{path}/?"), handler))
        return handler

    return register


def region(control: str, *choices: str, **more: object) -> Json:
    """Choices on a control of an image."""
    value = {"choices": list(choices)}
    return {"from_name": control, "to_name": "image", "type": "choices", "value": value, **more}


def choices(control: str, *labels: str, **attributes: str) -> str:
    """The tag of a control of an image."""
    given = "".join(f' {name}="{value}"' for name, value in attributes.items())
    offered = "".join(f'<Choice value="{label}"/>' for label in labels)
    return f'<Choices name="{control}" toName="image"{given}>{offered}</Choices>'


def config(*controls: str) -> str:
    """A label config of an image and of tags."""
    return f'<View><Image name="image" value="$image"/>{"".join(controls)}</View>'


class InMemoryStudio(httpx.BaseTransport):
    """A transport of httpx with projects, tasks, predictions, tabs, connections and webhooks, by id.

    Attributes
    ----------
    requests : list of httpx.Request
        All that were answered.
    faults : dict of str to Answer
        By method and a pattern of the path, such as ``"POST import/predictions"``: answered first, or raised. A
        function may look at the request, change what is held, and give None to let it be answered as usual.
    now : datetime
        Its clock.
    closed : bool
        Whether somebody has ended a connection to it.
    """

    def __init__(self, label_config: str = "<View/>", **fields: object) -> None:
        self.projects: dict[int, Json] = {}
        self.tasks: dict[int, Json] = {}
        self.accounts = {1: "admin@example.com"}
        self.passwords: dict[str, str] = {}
        self.views: list[Json] = []
        self.connections: dict[int, Json] = {}
        self.webhooks: dict[int, Json] = {}
        self.storages: dict[str, list[Json]] = {}
        self.uploads: dict[int, Json] = {}
        self.document_root: Path | None = None
        self.requests: list[httpx.Request] = []
        self.faults: dict[str, Answer] = {}
        self.now = NOW
        self._ids = itertools.count(1)
        self.closed = False
        self.add_project(label_config, **fields)

    def client(self) -> LabelStudioClient:
        """The client of both programs, connected to it."""
        return LabelStudioClient(Session(URL, "token", transport=self))

    @property
    def project(self) -> Json:
        """Its first project."""
        return self.projects[PROJECT]

    @property
    def predictions(self) -> list[Json]:
        """All predictions, in the order in which they were stored."""
        rows = [row for task in self.tasks.values() for row in task["predictions"]]
        return sorted(rows, key=lambda row: row["id"])

    @property
    def writes(self) -> list[str]:
        """Methods and paths of the requests that change something."""
        return [f"{request.method} {request.url.path}" for request in self.requests if request.method != "GET"]

    def bodies(self, method: str, path: str) -> list[Any]:
        """What requests carried, by method and the end of their path."""
        return [
            json.loads(request.content)
            for request in self.requests
            if request.method == method and request.url.path.rstrip("/").endswith(path)
        ]

    def versions(self) -> Counter[str]:
        """How many predictions each version has."""
        return Counter(row["model_version"] for row in self.predictions)

    def add_project(self, label_config: str, project_id: int = PROJECT, **fields: object) -> Json:
        """Make a project."""
        made = {"id": project_id, "label_config": label_config, "created_at": self._time(), **_DEFAULTS, **fields}
        self.projects[project_id] = made
        return made

    def add_task(
        self,
        data: Mapping[str, object],
        annotations: Iterable[Json] = (),
        predictions: Iterable[Json] = (),
        *,
        task_id: int | None = None,
        **fields: object,
    ) -> Json:
        """Make a task with annotations and predictions of which some keys may be left out."""
        number = next(self._ids) if task_id is None else task_id
        task = {"id": number, "project": PROJECT, "data": dict(data), "annotations": [], "predictions": [],
                "overlap": 1, "is_labeled": False, "created_at": self._time(), **fields}  # fmt: skip
        self.tasks[number] = task
        for row in annotations:
            self.annotate(number, **row)
        for row in predictions:
            self.predict(number, **row)
        self.touch(number)
        return task

    def annotate(self, task_id: int, result: Sequence[Json] = (), **fields: object) -> Json:
        """Submit an annotation."""
        made = {"id": next(self._ids), "task": task_id, "completed_by": 1, "result": list(result),
                "was_cancelled": False, "ground_truth": False, "created_at": self._time(),
                "updated_at": self._time(), "lead_time": None, "parent_prediction": None, "updated_by": None,
                **fields}  # fmt: skip
        self.tasks[task_id]["annotations"].append(made)
        self.touch(task_id)
        return made

    def predict(self, task_id: int, model_version: str, result: Sequence[Json] = (), **fields: object) -> Json:
        """Store a prediction; this alone changes no task's time, as in a bulk import."""
        made = {"id": next(self._ids), "task": task_id, "model_version": model_version, "result": list(result),
                "score": None, "cluster": None, "created_at": self._time(), **fields}  # fmt: skip
        self.tasks[task_id]["predictions"].append(made)
        return made

    def touch(self, task_id: int) -> None:
        """Let a task have changed now."""
        self.tasks[task_id]["updated_at"] = self._time()

    def connect(self, url: str, title: str, **fields: object) -> Json:
        """Connect an ML backend."""
        made = {"id": next(self._ids), "project": PROJECT, "url": url, "title": title, "state": "CO",
                "error_message": None, "model_version": None, "auth_method": "NONE", "basic_auth_user": None,
                "auto_update": True, **fields}  # fmt: skip
        self.connections[made["id"]] = made
        return made

    def _time(self) -> str:
        return self.now.strftime(_TIME)

    def close(self) -> None:
        """End a connection."""
        self.closed = True

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        request.read()
        self.requests.append(request)
        for key, answer in [*self.faults.items()]:  # a fault may change them
            method, pattern = key.split(" ", 1)
            if method == request.method and re.search(pattern, request.url.path):
                if isinstance(answer, BaseException):
                    raise answer
                given = answer if isinstance(answer, httpx.Response) else answer(request)
                if given is not None:
                    return given
        invited = request.url.path == "/user/signup/" and request.url.params.get("token") == "invited"
        if invited or request.url.path == "/user/login/":
            return self._page_of_accounts(request)
        for method, path, handler in _ROUTES:
            if method == request.method and (match := path.fullmatch(request.url.path)):
                return self._handled(handler, request, [int(part) for part in match.groups() if part.isdecimal()])
        return httpx.Response(404, json={"detail": "Not found."})

    def _handled(self, handler: Callable[..., Any], request: httpx.Request, ids: list[int]) -> httpx.Response:
        try:
            found = handler(self, request, *ids)
        except KeyError:
            return httpx.Response(404, json={"detail": "Not found."})
        except _RefusalError as error:
            return error.answer
        if found is None:
            return httpx.Response(204)
        if isinstance(found, httpx.Response):
            return found
        status = 201 if request.method == "POST" else 200
        return httpx.Response(status, json=found, headers={"date": format_datetime(self.now, usegmt=True)})

    # Accounts and projects

    @_route("GET", "version")
    def _version(self, _: httpx.Request) -> Json:
        return {"release": "1.23.2"}

    @_route("GET", "current-user/whoami")
    def _whoami(self, request: httpx.Request) -> Json:
        return {"id": _caller(request), "email": self.accounts[_caller(request)]}

    @_route("GET", "invite")
    def _invite(self, _: httpx.Request) -> Json:
        return {"token": "invited", "invite_url": "/user/signup/?token=invited"}

    def _page_of_accounts(self, request: httpx.Request) -> httpx.Response:
        """Sign up by the invite link, or log in: a cookie then says who it is."""
        headers = [("set-cookie", "csrftoken=token; Path=/")]
        if request.method == "POST":
            form = dict(parse_qsl(request.content.decode()))
            email = form["email"]
            if request.url.path == "/user/signup/" and email not in self.accounts.values():
                self.accounts[max(self.accounts) + 1] = email
                self.passwords[email] = form["password"]
            if self.passwords.get(email) == form["password"]:
                number = next(number for number, known in self.accounts.items() if known == email)
                headers.append(("set-cookie", f"sessionid={number}; Path=/"))
        return httpx.Response(200, text="<html/>", headers=headers)

    @_route("GET", "users")
    def _users(self, _: httpx.Request) -> list[Json]:
        return [{"id": number, "email": email} for number, email in self.accounts.items()]

    @_route("GET", "projects")
    def _projects(self, request: httpx.Request) -> Json:
        rows = [self._shown(project_id) for project_id in self.projects]
        return {"count": len(rows), "results": _page(rows, request)}

    @_route("POST", "projects")
    def _create_project(self, request: httpx.Request) -> Json:
        return self.add_project(project_id=next(self._ids) + PROJECT, **_body(request))

    @_route("GET", r"projects/(\d+)")
    def _shown_project(self, _: httpx.Request, project_id: int) -> Json:
        return self._shown(project_id)

    @_route("PATCH", r"projects/(\d+)")
    def _change_project(self, request: httpx.Request, project_id: int) -> Json:
        changed, project = _body(request), self.projects[project_id]
        version = changed.get("model_version")
        titles = {row["title"] for row in self._connected(project_id)}
        if version and version not in {project["model_version"], *titles, *self._counted(project_id)}:
            sentence = "Model version doesn't exist either as live model or as static predictions."
            raise _RefusalError(400, {"validation_errors": {"model_version": [sentence]}})
        if changed.get("show_collab_predictions") is False:
            changed["model_version"] = ""
        project.update(changed)
        return self._shown(project_id)

    def _shown(self, project_id: int) -> Json:
        tasks = self._tasks_of(project_id)
        annotations = [row for task in tasks for row in task["annotations"]]
        skipped = sum(row["was_cancelled"] for row in annotations)
        counts = {
            "task_number": len(tasks),
            "total_annotations_number": len(annotations) - skipped,
            "skipped_annotations_number": skipped,
            "ground_truth_number": sum(row["ground_truth"] for row in annotations),
        }
        return counts | self.projects[project_id]

    def _tasks_of(self, project_id: int) -> list[Json]:
        return [task for task in self.tasks.values() if task["project"] == project_id]

    # Tasks and annotations

    @_route("GET", "tasks")
    def _list_tasks(self, request: httpx.Request) -> Json:
        params, query = request.url.params, json.loads(request.url.params.get("query", "{}"))
        rows = self._tasks_of(int(params["project"]))
        if selected := query.get("selectedItems"):
            rows = [task for task in rows if task["id"] in selected["included"] or selected["all"]]
        for item in query.get("filters", {}).get("items", ()):
            rows = [task for task in rows if _matches(task, item)]
        for column in reversed(query.get("ordering", ["tasks:id"])):
            key = column.removeprefix("-").removeprefix("tasks:")
            rows.sort(key=lambda task: task[key], reverse=column.startswith("-"))
        hidden = set(_NESTED) if params.get("fields") == "task_only" else set()
        keys = set(params["include"].split(",")) - hidden if "include" in params else None
        listed = [_included(task | _counts_of(task), keys) for task in _page(rows, request)]
        counts = {
            f"total_{name}": sum(len(task[name]) for task in rows) for name in ("annotations", "predictions")
        }
        return {"tasks": listed, "total": len(rows), **counts}

    @_route("POST", r"projects/(\d+)/import")
    def _import_tasks(self, request: httpx.Request, project_id: int) -> Json:
        project = self.projects[project_id]
        if request.headers["content-type"].startswith("multipart/"):
            return self._upload(request, project_id)
        tasks = [{**row} if "data" in row else {"data": row} for row in _body(request)]
        keys = _object_keys(project["label_config"])
        wanting = [key for task in tasks for key in keys if key not in task["data"]]
        if wanting:
            sentence = f'"{wanting[0]}" key is expected in task data'
            raise _RefusalError(400, {"validation_errors": {"non_field_errors": [sentence]}})
        ids = []
        for task in tasks:
            annotations = [{"ground_truth": True, **annotation} for annotation in task.pop("annotations", ())]
            made = self.add_task(
                annotations=annotations, project=project_id, **{"overlap": project["maximum_annotations"], **task}
            )
            self._close(made)
            ids.append(made["id"])
        shown = {"task_ids": ids} if request.url.params.get("return_task_ids") == "true" else {}
        return {"task_count": len(ids), "file_upload_ids": [], **shown}

    def _upload(self, request: httpx.Request, project_id: int) -> Json:
        """Keep files; as Label Studio does, one of each field name, and refuse what it refuses."""
        files = dict(_files(request))
        if len(files) > 100:
            raise _RefusalError(
                400, {"detail": "The number of files exceeded settings.DATA_UPLOAD_MAX_NUMBER_FILES."}
            )
        for name, _ in files.values():
            if Path(name).suffix.lower() not in _UPLOADED:
                raise _RefusalError(
                    400,
                    {
                        "validation_errors": {
                            "non_field_errors": [f"{Path(name).suffix} extension is not supported"]
                        }
                    },
                )
        ids = []
        for name, content in files.values():
            number = next(self._ids)
            path = f"upload/{project_id}/{number:08x}-{name}"
            self.uploads[number] = {"id": number, "file": path, "project": project_id, "content": content}
            ids.append(number)
        if request.url.params.get("commit_to_project") != "false":
            for number in ids:
                self.add_task({"image": f"/data/{self.uploads[number]['file']}"}, project=project_id)
        return {"task_count": len(ids), "file_upload_ids": ids}

    @_route("GET", r"projects/(\d+)/file-uploads")
    def _list_uploads(self, request: httpx.Request, project_id: int) -> list[Json]:
        params = request.url.params
        ids = set(self.uploads) if params.get("all") == "true" else set(json.loads(params.get("ids", "[]")))
        rows = (row for row in self.uploads.values() if row["project"] == project_id and row["id"] in ids)
        return [{"id": row["id"], "file": row["file"]} for row in rows]

    @_route("POST", r"tasks/(\d+)/annotations")
    def _annotate(self, request: httpx.Request, task_id: int) -> Json:
        made = self.annotate(task_id, **{"updated_by": 1, **_body(request)})
        self._star_alone(made)
        self._close(self.tasks[task_id])
        return made

    @_route("GET", r"tasks/(\d+)/annotations")
    def _list_annotations(self, _: httpx.Request, task_id: int) -> list[Json]:
        return list(self.tasks[task_id]["annotations"])

    @_route("PATCH", r"annotations/(\d+)")
    def _change_annotation(self, request: httpx.Request, annotation_id: int) -> Json:
        row = self._annotation(annotation_id)
        row.update({"updated_at": self._time(), "updated_by": 1, **_body(request)})
        self._star_alone(row)
        self._close(self.tasks[row["task"]])
        self.touch(row["task"])
        return row

    @_route("DELETE", r"annotations/(\d+)")
    def _delete_annotation(self, _: httpx.Request, annotation_id: int) -> None:
        row = self._annotation(annotation_id)
        self.tasks[row["task"]]["annotations"].remove(row)
        self._close(self.tasks[row["task"]])
        self.touch(row["task"])

    def _annotation(self, annotation_id: int) -> Json:
        return {row["id"]: row for task in self.tasks.values() for row in task["annotations"]}[annotation_id]

    def _star_alone(self, starred: Json) -> None:
        """Let a task have one ground truth; the others' change is not dated."""
        for row in self.tasks[starred["task"]]["annotations"]:
            if starred["ground_truth"] and row is not starred:
                row["ground_truth"] = False

    @staticmethod
    def _close(task: Json) -> None:
        """Let a task be labelled with as many annotations that are no skips as its overlap asks for."""
        task["is_labeled"] = sum(not row["was_cancelled"] for row in task["annotations"]) >= task["overlap"]

    @_route("PATCH", r"tasks/(\d+)")
    def _change_task(self, request: httpx.Request, task_id: int) -> Json:
        self.tasks[task_id].update(_body(request))
        self.touch(task_id)
        return self.tasks[task_id]

    @_route("POST", "dm/actions")
    def _act(self, request: httpx.Request) -> Json:
        body, params = _body(request), request.url.params
        selected = body["selectedItems"]["included"]
        tasks = [task for task in self._tasks_of(int(params["project"])) if not selected or task["id"] in selected]
        if params["id"] == "delete_tasks_annotations":
            for task in tasks:
                rows = task["annotations"]
                task["annotations"] = [row for row in rows if row["completed_by"] != body["annotator"]]
                self._close(task)
        elif params["id"] == "predictions_to_annotations":
            parents = {row["parent_prediction"] for task in tasks for row in task["annotations"]}
            for task in tasks:
                for row in task["predictions"]:
                    if row["model_version"] == body["model_version"] and row["id"] not in parents:
                        fields = {"completed_by": _caller(request), "parent_prediction": row["id"]}
                        self.annotate(task["id"], row["result"], **fields)
                self._close(task)
        else:
            raise _RefusalError(400, {"detail": "no such action"})
        return {"detail": "done"}

    # Predictions

    @_route("GET", "predictions")
    def _list_predictions(self, request: httpx.Request) -> list[Json]:
        params = request.url.params
        if "task" in params:
            return [row for row in self.predictions if row["task"] == int(params["task"])]
        return [row for row in self.predictions if self.tasks[row["task"]]["project"] == int(params["project"])]

    @_route("POST", "predictions")
    def _create_prediction(self, request: httpx.Request) -> Json:
        row = _body(request)
        made = self.predict(row.pop("task"), **row)
        self.touch(made["task"])
        return made

    @_route("PATCH", r"predictions/(\d+)")
    def _change_prediction(self, request: httpx.Request, prediction_id: int) -> Json:
        row = self._prediction(prediction_id)
        row.update(_body(request))
        self.touch(row["task"])
        return row

    @_route("DELETE", r"predictions/(\d+)")
    def _delete_prediction(self, _: httpx.Request, prediction_id: int) -> None:
        row = self._prediction(prediction_id)
        self.tasks[row["task"]]["predictions"].remove(row)
        self.touch(row["task"])

    def _prediction(self, prediction_id: int) -> Json:
        return {row["id"]: row for row in self.predictions}[prediction_id]

    @_route("POST", r"projects/(\d+)/import/predictions")
    def _import_predictions(self, request: httpx.Request, project_id: int) -> Json:
        rows, there = _body(request), {task["id"] for task in self._tasks_of(project_id)}
        for row in rows:
            if row["task"] not in there:
                sentence = 'contains invalid "task" field: corresponding task ID couldn\'t be retrieved'
                raise _RefusalError(400, {"detail": f"{row} {sentence}"})
        fitting = [row for row in rows if _fits(row["result"], self.projects[project_id]["label_config"])]
        for row in fitting:
            self.predict(row["task"], row["model_version"], row["result"], score=row["score"])
        return {"created": len(fitting)}

    def _counted(self, project_id: int) -> Counter[str]:
        return Counter(row["model_version"] for task in self._tasks_of(project_id) for row in task["predictions"])

    @_route("GET", r"projects/(\d+)/model-versions")
    def _list_versions(self, request: httpx.Request, project_id: int) -> Json:
        counts = self._counted(project_id)
        if request.url.params.get("extended") != "true":
            shown = self.projects[project_id]["model_version"]
            return counts | ({shown: counts[shown]} if shown else {})
        latest = {row["model_version"]: row["created_at"] for row in self.predictions}
        rows = [{"model_version": name, "count": count, "latest": latest[name]} for name, count in counts.items()]
        return {"static": rows, "live": None}

    @_route("DELETE", r"projects/(\d+)/model-versions")
    def _delete_version(self, request: httpx.Request, project_id: int) -> Json:
        version, project = _body(request)["model_version"], self.projects[project_id]
        titles = {row["title"] for row in self._connected(project_id)}
        if project["model_version"] in {version, *titles}:
            project["model_version"] = None
        count = self._counted(project_id)[version]
        for task in self._tasks_of(project_id):
            task["predictions"] = [row for row in task["predictions"] if row["model_version"] != version]
        return {"deleted_predictions": count}

    # Tabs, connections, webhooks and storages

    @_route("GET", "dm/views")
    def _list_views(self, request: httpx.Request) -> list[Json]:
        return [view for view in self.views if str(view["project"]) == request.url.params["project"]]

    @_route("POST", "dm/views")
    def _add_view(self, request: httpx.Request) -> Json:
        self.views.append({"id": next(self._ids), **_body(request)})
        return self.views[-1]

    @_route("PATCH", r"dm/views/(\d+)")
    def _change_view(self, request: httpx.Request, view_id: int) -> Json:
        view = {view["id"]: view for view in self.views}[view_id]
        view.update(_body(request))
        return view

    def _connected(self, project_id: int) -> list[Json]:
        return [row for row in self.connections.values() if row["project"] == project_id]

    @_route("GET", "ml")
    def _list_connections(self, request: httpx.Request) -> list[Json]:
        return self._connected(int(request.url.params["project"]))

    @_route("POST", "ml")
    def _add_connection(self, request: httpx.Request) -> Json:
        made = self.connect(**_body(request))
        project = self.projects[made["project"]]
        if project["show_collab_predictions"] and not project["model_version"]:
            project["model_version"] = made["title"]
        return made

    @_route("PATCH", r"ml/(\d+)")
    def _change_connection(self, request: httpx.Request, connection_id: int) -> Json:
        row, changed = self.connections[connection_id], _body(request)
        if not {"url", "project"} <= changed.keys():
            raise _RefusalError(500, {"detail": "'url'"})
        project = self.projects[row["project"]]
        if project["model_version"] == row["title"]:
            project["model_version"] = changed.get("title", row["title"])
        row.update(changed)
        return row

    @_route("DELETE", r"ml/(\d+)")
    def _delete_connection(self, _: httpx.Request, connection_id: int) -> None:
        row = self.connections.pop(connection_id)
        project = self.projects[row["project"]]
        if project["model_version"] == row["title"]:
            project["model_version"] = ""

    @_route("GET", "webhooks")
    def _list_webhooks(self, _: httpx.Request) -> list[Json]:
        return list(self.webhooks.values())

    @_route("GET", "webhooks/info")
    def _events(self, _: httpx.Request) -> Json:
        return {name: {"name": name} for name in _EVENTS}

    @_route("POST", "webhooks")
    def _add_webhook(self, request: httpx.Request) -> Json:
        made = {"id": next(self._ids), **_body(request)}
        self.webhooks[made["id"]] = made
        return made

    @_route("PATCH", r"webhooks/(\d+)")
    def _change_webhook(self, request: httpx.Request, webhook_id: int) -> Json:
        self.webhooks[webhook_id].update({"actions": []} | _body(request))
        return self.webhooks[webhook_id]

    @_route("DELETE", r"webhooks/(\d+)")
    def _delete_webhook(self, _: httpx.Request, webhook_id: int) -> None:
        del self.webhooks[webhook_id]

    @_route("GET", "storages/(s3|gcs|azure|localfiles)")
    def _list_storages(self, request: httpx.Request) -> list[Json]:
        rows = self.storages.get(request.url.path.split("/")[3], [])
        project = request.url.params["project"]
        return [row for row in rows if str(row.get("project", project)) == project]

    @_route("POST", "storages/(s3|gcs|azure|localfiles)")
    def _add_storage(self, request: httpx.Request) -> Json:
        """Make a storage that it can reach: of clouds, any but those whose bucket begins with `no-`."""
        kind, body = request.url.path.split("/")[3], _body(request)
        place, root = Path(body.get("path") or "/"), self.document_root
        if kind == "localfiles" and (root is None or root not in place.parents or not place.is_dir()):
            raise _RefusalError(400, {"detail": f'Absolute local path "{place}" cannot be served'})
        if str(body.get("bucket")).startswith("no-"):
            raise _RefusalError(400, {"detail": f"Cannot find bucket {body['bucket']} in S3"})
        made = {"id": next(self._ids), **body}
        self.storages.setdefault(kind, []).append(made)
        return made

    @_route("GET", "/data/local-files/")
    def _local_file(self, request: httpx.Request) -> httpx.Response:
        path = (self.document_root or Path("/none")) / request.url.params["d"]
        places = [Path(row["path"]) for row in self.storages.get("localfiles", ())]
        if not path.is_file() or not any(place in path.parents for place in places):
            return httpx.Response(404)
        return httpx.Response(200, content=path.read_bytes())


def _files(request: httpx.Request) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Field name, file name and content of each file of a multipart request."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    for part in message_from_bytes(head + request.content, policy=HTTP).iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        yield name, (str(part.get_filename()), content if isinstance(content, bytes) else b"")


def _object_keys(label_config: str) -> list[str]:
    return [tag.get("value", "")[1:] for tag in ET.fromstring(label_config).iter("Image")]


def _caller(request: httpx.Request) -> int:
    """Id of the account of a session, or of the key's."""
    session = re.search(r"sessionid=(\d+)", request.headers.get("cookie", ""))
    return int(session[1]) if session and "authorization" not in request.headers else 1


def _body(request: httpx.Request) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(request.content)


def _page(rows: list[Json], request: httpx.Request) -> list[Json]:
    page, size = (int(request.url.params.get(name, usual)) for name, usual in (("page", 1), ("page_size", 100)))
    if page > 1 and (page - 1) * size >= len(rows):
        raise _RefusalError(404, {"detail": "Invalid page."})
    return rows[(page - 1) * size : page * size]


def _included(task: Json, keys: set[str] | None) -> Json:
    if keys is None:
        return task
    nested = {name: [{key: row[key] for key in row.keys() & keys} for row in task[name]] for name in _NESTED}
    return {key: value for key, value in (task | nested).items() if key in keys}


def _counts_of(task: Json) -> Json:
    skipped = sum(row["was_cancelled"] for row in task["annotations"])
    return {"total_annotations": len(task["annotations"]) - skipped, "cancelled_annotations": skipped}


def _matches(task: Json, item: Json) -> bool:
    column, value = item["filter"].removeprefix("filter:tasks:"), item["value"]
    match column, item["operator"]:
        case "updated_at", "greater":
            try:
                return bool(datetime.strptime(task["updated_at"], _TIME) > datetime.strptime(value, _TIME))  # noqa: DTZ007
            except ValueError:
                raise _RefusalError(500, {"detail": "Invalid isoformat string"}) from None
        case "predictions_model_versions", "contains":
            versions = ",".join(row["model_version"] for row in task["predictions"])
            return any(name in versions for name in (value if isinstance(value, list) else [value]))
        case "id", "greater":
            return bool(task["id"] > value)
        case "total_annotations", ("greater" | "equal") as operator:
            number = sum(not row["was_cancelled"] for row in task["annotations"])
            return bool(number > value if operator == "greater" else number == value)
        case "completed_at", "empty":
            return bool(task["is_labeled"]) != value
        case (("updated_at" | "predictions_model_versions" | "total_annotations" | "completed_at"), _):
            return False
    raise _RefusalError(500, {"detail": f"Cannot resolve keyword {column!r}"})


def _fits(result: Iterable[Json], label_config: str) -> bool:
    """Whether all choices are in the label config."""
    controls = {
        tag.get("name"): {choice.get("alias") or choice.get("value") for choice in tag.iter("Choice")}
        for tag in ET.fromstring(label_config).iter("Choices")
    }
    return all(set(row["value"]["choices"]) <= controls.get(row["from_name"], set()) for row in result)
