"""What the routes take and answer, as models: they check requests, and the OpenAPI document is made of them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from common.contract import ReportName
from consensus.core.review.names import Queue, RulingName
from consensus.serving.service import MAX_PAGE
from consensus.store.decisions import BatchKind, ItemState

LARGEST = 2**63 - 1
Id = Annotated[int, Field(ge=1, le=LARGEST)]
TEXT = r"^[^\x00]*$"
"""PostgreSQL keeps no text with the character NUL."""
Name = Annotated[str, Field(min_length=1, max_length=1_000, pattern=TEXT)]
Reason = Annotated[str, Field(max_length=2_000, pattern=TEXT)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Asked(BaseModel):
    """A parameter or member that is misspelt is refused: without its filter, the answer would hold too much."""

    model_config = ConfigDict(extra="forbid")


class OfProject(BaseModel):
    """A project, by its id in Label Studio."""

    project: Id


class OfReport(OfProject):
    """One of the reports of a project."""

    report: ReportName


class OfTask(OfProject):
    """A task of a project."""

    task: Id


class OfQueue(OfProject):
    """A queue of review."""

    queue: Queue


class OfBatch(OfProject):
    """A batch, by its id."""

    batch: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


class Page(_Asked):
    """Which page of a list."""

    limit: int = Field(100, ge=1, le=MAX_PAGE, description="Rows of the page.")
    after: str | None = Field(None, max_length=4_000, description="`next` of the page before.")


class Counted(_Asked):
    """So many images."""

    count: int = Field(100, ge=1, le=MAX_PAGE)
    after: str | None = Field(None, max_length=4_000, description="`next` of the page before.")


class InReport(Page):
    """Which classifications of a report."""

    control: Name | None = None
    label: Name | None = None
    min_confidence: Share | None = None


class Classified(InReport):
    """Which classifications."""

    report: ReportName | None = None


class ImagesOf(Counted):
    """Which images: those of a label, of a control where several have it."""

    label: Name | None = None
    control: Name | None = None


class ImagesWith(ImagesOf):
    """Images of a label."""

    label: Name


class PromptFor(_Asked):
    """Images for an annotator."""

    annotator: Name
    label: Name | None = None
    control: Name | None = None
    count: int = Field(20, ge=1, le=MAX_PAGE)


class Submitted(Page):
    """Which votes."""

    control: Name | None = None
    label: Name | None = None
    annotator: Name | None = None
    task: Id | None = None


class Decided(Page):
    """Which decisions."""

    task: Id | None = None
    batch: str | None = Field(None, max_length=40, pattern=TEXT)


class _Listed(BaseModel):
    next: str | None = Field(description="`after` of the next page; null where this is the last one.")


class Label(BaseModel):
    """A label of a control, and how many of its classifications are in each report."""

    control: str
    label: str
    kind: str
    choice: str
    reports: dict[str, int]


class Labels(_Listed):
    """A page of labels."""

    items: list[Label]


class Classification(BaseModel):
    """One (task, control, label), as the last run found it."""

    task: int
    control: str
    label: str
    given: bool
    yes: int
    no: int
    unsure: int
    confidence: float
    upper: float | None
    posterior: float
    report: str | None
    model_share: float | None


class Classifications(_Listed):
    """A page of classifications."""

    items: list[Classification]


class Suspicion(BaseModel):
    """What makes an annotator suspicious."""

    kind: str
    p_value: float
    reason: str


class Annotator(BaseModel):
    """An annotator of a control in the last run."""

    control: str
    annotator: str
    votes: int
    trust: float
    trust_low: float | None
    trust_high: float | None
    gold_answered: int | None
    gold_right: int | None
    suspicions: list[Suspicion] | None


class Annotators(_Listed):
    """A page of annotators."""

    run: int
    items: list[Annotator]


class Vote(BaseModel):
    """An annotator's latest stand on one classification; the label is empty where a submission chose none."""

    task: int
    control: str
    annotator: str
    label: str
    vote: str
    annotation: int
    voted_at: str
    lead_time: float | None
    from_prediction: int | None
    accepted: bool | None


class Votes(_Listed):
    """A page of votes."""

    items: list[Vote]


class Run(BaseModel):
    """A run of consensus; it has no end where it was cut off, or is still at work."""

    id: int
    started_at: datetime
    finished_at: datetime | None
    model_version: str
    policy: str
    thresholds: dict[str, Any]
    tasks: int
    votes: int
    problems: int
    measures: dict[str, Any] | None = Field(
        description="How the project stood: reports, agreement, annotations by day, open tasks; null of old runs."
    )


class Runs(_Listed):
    """A page of runs, the latest first."""

    items: list[Run]


class Overview(BaseModel):
    """A project as the last run found it."""

    project: int
    label_studio: str | None
    run: Run
    reports: dict[str, int]
    queues: dict[str, int]


class Prompt(Classification):
    """An open classification, and what an answer is worth."""

    gain: float = Field(description="In bits.")


class PromptsFound(BaseModel):
    """What to put to an annotator, the most informative first."""

    known: bool = Field(description="Whether the annotator has a vote in the last run.")
    items: list[Prompt]


class Waiting(BaseModel):
    """What waits in a queue of review."""

    queue: str
    task: int
    control: str
    priority: float
    detail: dict[str, Any]
    entered_at: datetime
    assigned_to: str | None
    assigned_at: datetime | None


class WaitingPage(_Listed):
    """A page of a queue, in the order in which it is to be looked at."""

    items: list[Waiting]


class Queues(BaseModel):
    """How much waits in each queue."""

    queues: dict[str, int]


class Decision(BaseModel):
    """Who or what decided a label, when and from what."""

    id: int
    task: int
    control: str
    label: str
    verdict: str
    decided_by: str
    source: str
    at: datetime
    batch: str | None
    annotation: int | None
    model_version: str | None
    score: float | None
    evidence: Any
    reason: str | None
    undoes: int | None


class Decisions(_Listed):
    """A page of decisions, the earliest first."""

    items: list[Decision]


class Batch(BaseModel):
    """A batch of writes into Label Studio, and how many of its items are in which state."""

    id: str
    kind: BatchKind
    key: str
    made_by: str
    made_at: datetime
    finished_at: datetime | None
    undone_by: str | None
    filter: dict[str, Any]
    params: dict[str, Any]
    items: dict[ItemState, int]


class Batches(_Listed):
    """A page of batches, the latest first."""

    items: list[Batch]


class BatchItem(BaseModel):
    """What a batch writes on one task."""

    task: int
    control: str
    labels: list[str]
    state: ItemState
    annotation: int | None
    before: Any
    evidence: Any
    note: str | None


class BatchItems(_Listed):
    """A page of a batch's items."""

    items: list[BatchItem]


class StoryEvent(BaseModel):
    """Something that happened to a task."""

    at: datetime
    kind: Literal["vote", "run", "decision", "queue"]
    control: str
    words: str
    row: dict[str, Any] = Field(description="What is stored of it.")


class Audit(BaseModel):
    """The whole story of a task, the oldest first."""

    task: int
    events: list[StoryEvent]


class _Sent(BaseModel):
    """What else Label Studio sends is not read."""

    model_config = ConfigDict(extra="ignore")


class SentProject(_Sent):
    """The project that something happened in."""

    id: Id


class SentTask(_Sent):
    """A task that came."""

    id: Id


class Event(_Sent):
    """Something that happened in Label Studio."""

    action: str
    project: SentProject | None = None
    tasks: list[SentTask] = []


class Noted(BaseModel):
    """Whether the event leads to something."""

    status: Literal["noted", "ignored"]


class OfJob(OfProject):
    """Work in the background, by its id."""

    job: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


Address = Annotated[
    str, Field(min_length=1, max_length=254, pattern=TEXT, description="E-mail address of the account that asks.")
]


class Asking(_Asked):
    """Who asks."""

    made_by: Address


class Undoing(Asking):
    """Whether to take back, or to count."""

    dry_run: bool = False


Tasks = Annotated[list[Id], Field(max_length=100_000)]


class Accepting(Asking):
    """Which labels to accept: at least tasks, a score or a precision says so."""

    source: Literal["suggestions", "proposals"]
    tasks: Annotated[Tasks, Field(min_length=1)] | None = Field(
        None, description="These alone. An empty list is refused: it might come from an empty selection."
    )
    label: Name | None = None
    control: Name | None = None
    above: Share | None = Field(None, description="A greater score than this or, of proposals, posterior.")
    target_precision: Annotated[float, Field(gt=0, lt=1)] | None = None
    version: Name | None = Field(None, description="Of the model; that which annotators see by default.")
    limit: Annotated[int, Field(ge=1)] | None = Field(None, description="So many, the surest.")
    audit_share: Share = Field(0.05, description="Share of them that one more person judges blind.")
    dry_run: bool = False


class OnTasks(Asking):
    """Tasks with which something is to be done."""

    tasks: Annotated[Tasks, Field(min_length=1)]
    reason: Reason = ""
    dry_run: bool = False


class Ruling(_Asked):
    """What a reviewer says of a control of a task."""

    task: Id
    control: Name
    name: RulingName
    labels: list[Name] = Field([], max_length=1_000, description="For `correct`: the right ones.")
    reason: Reason = ""


class Deciding(Asking):
    """What a reviewer decides; `made_by` is the reviewer."""

    rulings: list[Ruling] = Field(min_length=1, max_length=100)
    override: bool = Field(default=False, description="Decide again what somebody has decided.")


class Written(BaseModel):
    """What became of a batch."""

    batch: str
    counts: dict[ItemState, int]
    left: list[dict[str, Any]]


class RefusedRuling(BaseModel):
    """A ruling that was not followed, and why."""

    task: int
    control: str
    why: str


class DecidedLabels(BaseModel):
    """What became of rulings."""

    batches: list[Written]
    refused: list[RefusedRuling]


class ReviewItem(BaseModel):
    """An item of a queue as a reviewer sees it; of a blind one what others say is empty."""

    queue: str
    task: int
    control: str
    priority: float
    assigned_to: str | None
    blind: bool
    labels: list[str]
    given: list[str]
    proposed: list[str]
    candidates: list[dict[str, Any]]
    votes: list[dict[str, Any]]
    suggestion: dict[str, Any] | None
    image: str
    annotators: list[str]
    address: str


class ReviewItems(_Listed):
    """A page of a queue, in the order in which it is to be looked at."""

    items: list[ReviewItem]


class SuggestionsOf(Page):
    """Which suggestions."""

    version: Name | None = Field(None, description="Of the model; that which annotators see by default.")
    label: Name | None = None
    control: Name | None = None
    min_score: Share = 0.0
    annotated: bool = Field(default=False, description="Also those for tasks that somebody has annotated.")


class Suggestion(BaseModel):
    """What a model suggests for a task on a control."""

    task: int
    control: str
    labels: list[str]
    score: float
    version: str
    annotated: bool
    decided: bool = Field(description="Whether the machine account has accepted it.")


class Suggestions(_Listed):
    """A page of suggestions, the surest first."""

    items: list[Suggestion]


class Expected(BaseModel):
    """What share is wrong, by those that were judged."""

    n: int
    share: float
    lower: float
    upper: float


class OfferedLabel(BaseModel):
    """What would be accepted of one label."""

    control: str
    labels: list[str]
    suggestions: int
    accepted: int
    above: float | None
    expected: Expected | None
    reason: str = Field(description="Why nothing can be promised; empty where it can be.")


class Job(BaseModel):
    """Work in the background."""

    id: str
    project: int
    kind: str
    made_by: str
    asked_at: datetime
    state: Literal["waiting", "running", "done", "failed"]
    started_at: datetime | None
    finished_at: datetime | None
    step: str = Field(description="What of it is at work; empty where that is not known.")
    done: int
    total: int = Field(description="Of so many.")
    result: dict[str, Any] | None
    error: str | None


class Jobs(BaseModel):
    """The latest jobs of a project, the latest first."""

    items: list[Job]


class Offered(BaseModel):
    """What is, or would be, accepted, and what to expect of it."""

    count: int | None = Field(description="Null where it is not counted before it is done.")
    detail: str
    expected: Expected | None
    labels: list[OfferedLabel]
    sample: list[dict[str, Any]]
    job: Job | None = Field(description="Null where it was only counted, or there is nothing to do.")


class Performing(BaseModel):
    """What is being done, and how to see how far it is."""

    count: int = Field(description="Of how many tasks or items.")
    detail: str
    batch: str | None = None
    job: Job | None = Field(None, description="Null where it was only counted.")


class Health(BaseModel):
    """Whether the service is up and, for those who may know, what it can reach."""

    model_config = ConfigDict(extra="allow")

    status: Literal["UP"]
