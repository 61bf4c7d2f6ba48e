"""Words of a believable software project, shared by the demo's story and by the laboratory's bulk text.

Plain data. No entry contains a double quote, a backslash or a control character, so that bulk writers may place
any of them inside a JSON string without escaping.
"""

from __future__ import annotations

from typing import Final


def _items(text: str) -> tuple[str, ...]:
    return tuple(" ".join(item.split()) for item in text.split("|"))


ADJECTIVES: Final = _items(
    """stale|nightly|partial|duplicate|pending|flaky|idempotent|cached|orphaned|encrypted|retried|signed|legacy|
    regional|batched|throttled|upstream|downstream|primary|secondary|expired|malformed|oversized|concurrent|
    deferred|archived|tenant-scoped|read-only|append-only|rate-limited|misconfigured|unverified|reconciled|
    shadow|canary|rolled-back|internal|public|versioned|nullable|recursive|bounded|lazy|eager|immutable|
    replicated|sharded|hot|cold|dirty|unacknowledged|out-of-order|truncated|zero-amount|cross-border|
    multi-currency|disputed|captured|authorised|voided|settled|provisional|manual|automatic|long-running|
    short-lived|undocumented|deprecated|experimental"""
)

NOUNS: Final = _items(
    """ledger entry|refund queue|settlement worker|webhook handler|idempotency key|payment intent|charge attempt|
    card token|fraud score|risk rule|currency table|exchange rate|merchant account|payout batch|bank file|
    reconciliation report|audit log|invoice line|tax rule|dispute case|chargeback notice|retry policy|
    circuit breaker|rate limiter|feature flag|migration script|schema change|index rebuild|connection pool|
    read replica|cache entry|session store|access token|signing key|secret rotation|health probe|load test|
    integration suite|contract test|fixture loader|mock gateway|API client|request validator|response encoder|
    error mapper|event stream|dead letter|message broker|consumer group|outbox table|saga step|
    compensating action|state machine|timeout handler|backoff schedule|trace span|metric exporter|alert rule|
    dashboard panel|log sampler|deployment manifest|container image|build step|release branch|pull request|
    code owner|lint rule|type stub|dependency pin|configuration loader|command parser|batch importer|
    CSV exporter|PDF renderer|e-mail template|locale file|date parser|rounding mode|decimal context|hash chain|
    merkle proof|backup job|restore drill|capacity plan|customer record|address check|sanctions list|
    onboarding flow|consent form|subscription plan|usage meter|coupon engine|price list|shipping quote|
    order line|cart service|search index|ranking model|image resizer|upload session|download link|
    permission check|role mapping|tenant router|partition key|vacuum job|lock timeout|write-ahead log|
    snapshot reader|thread pool|event loop|file watcher|process supervisor|socket listener"""
)

VERBS: Final = _items(
    """blocks|rejects|duplicates|retries|drops|reorders|acknowledges|validates|replaces|wraps|bypasses|exposes|
    leaks|locks|releases|truncates|rewrites|re-reads|logs|masks|rounds|converts|splits|merges|signs|verifies|
    schedules|cancels|resumes|polls|flushes|evicts|hydrates|serialises|partitions|replays|compacts|rebuilds|
    migrates|deprecates|documents|measures|profiles|isolates|guards|limits|delays|batches|forwards|stores|
    returns|raises|ignores|caches|invalidates|normalises|escapes|audits|counts|samples|reports"""
)

CLAUSES: Final = _items(
    """under concurrent load|when the broker restarts|during the nightly run|after the second attempt|
    before commit|if the merchant is suspended|in the staging cluster|with two replicas down|
    for amounts above the limit|because the clock skews|once the lease expires|without holding the lock|
    as the contract test expects|on the retry path|at the end of the month|behind the feature flag|
    while the migration runs|for every tenant except the first|unless the header is present|
    in line with the review comment|since the last deployment|against the recorded fixture|through the outbox|
    in a separate transaction|for the reconciliation window|until the backlog is empty|with a bounded queue|
    per the runbook|across midnight in the local zone|with the old schema|on cold start|
    when the response is empty"""
)

STEMS: Final = _items(
    """intent|capture|refund|settle|payout|ledger|journal|balance|webhook|router|schema|models|client|server|retry|
    backoff|queue|outbox|consumer|producer|token|crypto|keys|auth|session|limits|rules|score|fixtures|factory|
    conftest|config|settings|logging|metrics|tracing|errors|codes|money|currency|rates|calendar|locale|export|
    import|report|reconcile|dispute|customer|merchant|account|invoice|tax|coupon|plan|usage|order|cart|search"""
)

PARTS: Final = _items(
    """worker|handler|queue|table|policy|key|job|test|service|adapter|builder|cache|report|rule|header|footer|
    column|trigger|constraint|branch|commit|probe|gauge|histogram|window|threshold|budget|quota|slot|cursor|
    page|offset|checksum|envelope|payload|schema|fixture|stub|factory|registry|dispatcher|listener|fallback|
    guard|sentinel|marker|draft|backlog"""
)

MODALS: Final = (
    "",
    "",
    "",
    "no longer ",
    "still ",
    "silently ",
    "now correctly ",
    "sometimes ",
    "always ",
    "never ",
    "eventually ",
    "only ",
    "already ",
    "again ",
    "probably ",
    "explicitly ",
    "twice ",
    "on purpose ",
)

DIRECTORIES: Final = (
    "src/payments",
    "src/ledger",
    "src/gateway",
    "src/risk",
    "src/api",
    "src/workers",
    "src/storage",
    "src/billing",
    "src/notify",
    "tests/unit",
    "tests/integration",
    "tests/contract",
    "migrations",
    "deploy",
    "docs",
    "tools",
)

SUFFIXES: Final = (".py", ".py", ".py", ".sql", ".yaml", ".md", ".toml", ".ts")

AGENT_TYPES: Final = (
    "architect",
    "developer",
    "tester",
    "reviewer",
    "analyst",
    "security-auditor",
    "devops",
    "documenter",
    "researcher",
    "optimizer",
    "debugger",
    "coordinator",
)

MESSAGE_TYPES: Final = (
    "info",
    "request",
    "response",
    "broadcast",
    "coordination",
    "error",
    "discovery",
    "dependency",
)  # exactly MAOS's own enum: a type outside it makes MAOS lose its queue on restart

TOOLS: Final = ("Read", "Edit", "Bash", "Grep", "Glob", "Write", "MultiEdit", "TodoWrite")

REQUESTS: Final = (
    "Build the payment intents service with idempotent capture and refunds",
    "Add multi-currency settlement to the ledger and reconcile it nightly",
    "Replace the synchronous webhook sender by an outbox with retries",
    "Harden the card vault: key rotation, audit trail and rate limits",
    "Split the billing monolith: extract invoices and tax into a service",
    "Introduce fraud scoring before authorisation with a manual review queue",
    "Migrate the merchant accounts to the sharded store without downtime",
    "Make the reconciliation report exact to the cent for disputed charges",
)
