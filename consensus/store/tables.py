"""The tables of the store."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    func,
    literal,
    literal_column,
)

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

RUN = Table(
    "run",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("project", BigInteger, nullable=False, index=True),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),  # once Label Studio holds the reports
    Column("model_version", String, nullable=False),  # whose predictions annotators saw when it started
    Column("policy", String, nullable=False),
    Column("thresholds", JSON, nullable=False),
    Column("tasks", Integer, nullable=False),
    Column("votes", Integer, nullable=False),
    Column("problems", Integer, nullable=False),
    Column("measures", JSON(none_as_null=True)),  # see consensus.projects.measures; NULL of older runs
)

CLASSIFICATION = Table(
    "classification",
    METADATA,
    Column("project", BigInteger, primary_key=True),
    Column("control", String, primary_key=True),
    Column("task", BigInteger, primary_key=True),
    Column("label", String, primary_key=True),
    Column("given", Boolean, nullable=False),
    Column("yes", Integer, nullable=False),
    Column("no", Integer, nullable=False),
    Column("unsure", Integer, nullable=False),
    Column("confidence", Float, nullable=False),  # the lower bound
    Column("upper", Float),  # NULL where a version of consensus stored it that kept none
    Column("posterior", Float, nullable=False),
    Column("report", String, nullable=False),
    Column(
        "model_share", Float
    ),  # of a model's suggestions in what weighs for or against it; NULL: none has a say
    Column("since", Integer),  # the run that gave it these votes and this report
)
_OF = CLASSIFICATION.c
Index(
    "ix_classification_page",
    _OF.project, _OF.report, _OF.confidence.desc(), _OF.task, _OF.control, _OF.label,
)  # fmt: skip
Index(
    "ix_classification_label_page",
    _OF.project, _OF.report, _OF.control, _OF.label, _OF.confidence.desc(), _OF.task,
)  # fmt: skip
DOUBT = func.abs(_OF.posterior - literal_column("0.5"))
"""The nearer to one half a posterior, the less is known."""
_REST = (_OF.task, _OF.control, _OF.label, _OF.confidence)  # the last, so that a filter needs not look at the rows
Index("ix_classification_posterior", _OF.project, _OF.report, _OF.posterior, *_REST)
Index("ix_classification_task", _OF.project, _OF.report, *_REST)
_CONTROVERSIAL = _OF.report == literal("Controversial", literal_execute=True)
Index(
    "ix_classification_controversial",
    _OF.project, DOUBT, *_REST,
    sqlite_where=_CONTROVERSIAL, postgresql_where=_CONTROVERSIAL,
)  # fmt: skip

VOTE = Table(
    "vote",
    METADATA,
    Column("project", BigInteger, primary_key=True),
    Column("control", String, primary_key=True),
    Column("task", BigInteger, primary_key=True),
    Column("annotator", String, primary_key=True),
    Column("label", String, primary_key=True),  # "" where a submission chose none
    Column("vote", String, nullable=False),
    Column("annotation", BigInteger, nullable=False),
    Column("voted_at", String, nullable=False),
    Column("lead_time", Float),
    Column("from_prediction", BigInteger),
    Column("accepted", Boolean),  # whether it says what that prediction said; NULL where nobody can tell
    Column("since", Integer),  # the run that saw it first as it is
)
Index("ix_vote_annotator", VOTE.c.project, VOTE.c.control, VOTE.c.annotator, VOTE.c.task)


def _history_of(table: Table) -> Table:
    """Versions that rows of a table had before, each with the run that replaced it or missed the row."""
    history = Table(
        f"{table.name}_history",
        METADATA,
        *(
            Column(column.name, column.type, primary_key=column.primary_key, nullable=column.nullable)
            for column in table.c
        ),
        Column("until", Integer, primary_key=True),
    )
    Index(f"ix_{history.name}_until", history.c.project, history.c.until)
    return history


CLASSIFICATION_HISTORY, VOTE_HISTORY = _history_of(CLASSIFICATION), _history_of(VOTE)

REPORT_COUNT = Table(
    "report_count",
    METADATA,
    Column("project", BigInteger, primary_key=True),
    Column("control", String, primary_key=True),
    Column("label", String, primary_key=True),
    Column("report", String, primary_key=True),
    Column("classifications", Integer, nullable=False),
)

DIGEST = Table(
    "digest",
    METADATA,
    Column("project", BigInteger, primary_key=True),
    Column("rows_of", String, primary_key=True),  # the table
    Column("control", String, primary_key=True),
    Column("chunk", BigInteger, primary_key=True),  # of successive task ids; see consensus.store.digests
    Column("digest", LargeBinary, nullable=False),  # empty: the next run reads the rows whatever it has found
    Column("scores", LargeBinary, nullable=False),
)

PROJECT = Table(
    "project",
    METADATA,
    Column("project", BigInteger, primary_key=True),
    Column("url", String),  # the Label Studio that its runs read
    Column("created_at", String),  # when that Label Studio made the project: another one has another moment
    Column("token", String),  # of whoever holds the project, or held it last
)

ANNOTATOR = Table(
    "annotator",
    METADATA,
    Column("run", Integer, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("control", String, primary_key=True),
    Column("annotator", String, primary_key=True),
    Column("votes", Integer, nullable=False),
    Column("trust", Float, nullable=False),
    Column("trust_low", Float),
    Column("trust_high", Float),
    Column("suspicions", JSON(none_as_null=True)),  # list of kind, p_value, reason; NULL where nobody has looked
    Column("gold_answered", Integer),  # on tasks of which it is known what is right; NULL where nobody has looked
    Column("gold_right", Integer),
)

CONTROL = Table(
    "control",
    METADATA,
    Column("project", BigInteger, primary_key=True),
    Column("control", String, primary_key=True),
    Column("kind", String),  # NULL where a version of consensus stored it that kept none
    Column("choice", String, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("learned", LargeBinary),  # see consensus.files.start_files
)

LEDGER = Table(
    "ledger",
    METADATA,
    Column("project", BigInteger, primary_key=True),
    Column("control", String, primary_key=True),
    Column("task", BigInteger, primary_key=True),
    Column("annotator", String, primary_key=True),
    Column("kind", String, primary_key=True),  # "answer" or "unsure"
    Column("since", DateTime(timezone=True), primary_key=True),  # start of the run that saw it first
    Column("until", DateTime(timezone=True)),  # start of the run that missed it; NULL while it stands
    Column("annotation", BigInteger, nullable=False),
)
Index("ix_ledger_since", LEDGER.c.project, LEDGER.c.since)

BATCH = Table(
    "batch",
    METADATA,
    Column("id", String, primary_key=True),
    Column("project", BigInteger, nullable=False),
    Column("kind", String, nullable=False),  # see consensus.store.decisions
    Column("key", String, nullable=False),  # asked for twice with one key, it is one batch
    Column("made_by", String, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),  # once all its items are written or left
    Column("undone_by", String),  # the batch that took it back
    Column("filter", JSON, nullable=False),  # what the items were chosen by
    Column("params", JSON, nullable=False),  # model version, thresholds, what was expected
)
Index("ix_batch_key", BATCH.c.project, BATCH.c.key, unique=True)
Index("ix_batch_page", BATCH.c.project, BATCH.c.made_at, BATCH.c.id)

BATCH_ITEM = Table(
    "batch_item",
    METADATA,
    Column("batch", String, ForeignKey("batch.id", ondelete="CASCADE"), primary_key=True),
    Column("task", BigInteger, primary_key=True),
    Column("control", String, primary_key=True),
    Column("labels", JSON, nullable=False),
    Column("state", String, nullable=False),
    Column("annotation", BigInteger),  # what was written
    Column("before", JSON(none_as_null=True)),  # what an undo restores
    Column("evidence", JSON(none_as_null=True)),
    Column("note", String),  # why it was left, or kept at an undo
)

DECISION = Table(
    "decision",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("project", BigInteger, nullable=False),
    Column("task", BigInteger, nullable=False),
    Column("control", String, nullable=False),
    Column("label", String, nullable=False),  # "" where none is decided
    Column("verdict", String, nullable=False),
    Column("decided_by", String, nullable=False),  # an account's address
    Column("source", String, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("batch", String),
    Column("annotation", BigInteger),
    Column("model_version", String),
    Column("score", Float),
    Column("evidence", JSON(none_as_null=True)),
    Column("reason", String),
    Column("undoes", Integer),  # the decision that it takes back
)
Index("ix_decision_page", DECISION.c.project, DECISION.c.id)
Index("ix_decision_task", DECISION.c.project, DECISION.c.task)
Index("ix_decision_batch", DECISION.c.batch)

REVIEW_ITEM = Table(
    "review_item",
    METADATA,
    Column("project", BigInteger, primary_key=True),
    Column("queue", String, primary_key=True),
    Column("task", BigInteger, primary_key=True),
    Column("control", String, primary_key=True),
    Column("priority", Float, nullable=False),  # the lowest comes first
    Column("detail", JSON, nullable=False),
    Column("entered_at", DateTime(timezone=True), nullable=False),
    Column("assigned_to", String),
    Column("assigned_at", DateTime(timezone=True)),
    Column("closed_at", DateTime(timezone=True)),
    Column("closed_because", String),
)
Index(
    "ix_review_item_open",
    REVIEW_ITEM.c.project,
    REVIEW_ITEM.c.queue,
    REVIEW_ITEM.c.closed_at,
    REVIEW_ITEM.c.priority,
)

SIGN_OUT = Table(
    "sign_out",
    METADATA,
    Column("account", String, primary_key=True),  # its address, in lower case
    Column("at", Float, nullable=False),  # seconds since 1970: its sessions of the console from before are over
)
