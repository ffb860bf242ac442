"""The tables of jobs, in the SQL that SQLite and PostgreSQL share. Times are seconds since the epoch, JSON is text."""

from __future__ import annotations

MIGRATIONS = (
    """
    CREATE TABLE IF NOT EXISTS kinema_jobs (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,
        name TEXT NOT NULL,
        key TEXT UNIQUE,
        digest TEXT NOT NULL,
        state TEXT NOT NULL,
        paused INTEGER NOT NULL DEFAULT 0,
        priority INTEGER NOT NULL DEFAULT 0,
        place DOUBLE PRECISION NOT NULL,
        created_at DOUBLE PRECISION NOT NULL,
        started_at DOUBLE PRECISION,
        ended_at DOUBLE PRECISION,
        due_at DOUBLE PRECISION NOT NULL DEFAULT 0,
        expires_at DOUBLE PRECISION,
        attempts INTEGER NOT NULL DEFAULT 0,
        stuck INTEGER NOT NULL DEFAULT 0,
        failures TEXT NOT NULL DEFAULT '[]',
        reason TEXT NOT NULL DEFAULT '',
        progress TEXT,
        result TEXT,
        kept TEXT,
        worker TEXT,
        claim TEXT,
        last_event INTEGER NOT NULL DEFAULT 0);
    CREATE INDEX IF NOT EXISTS kinema_jobs_queue ON kinema_jobs (state, priority, place);
    CREATE INDEX IF NOT EXISTS kinema_jobs_place ON kinema_jobs (place);
    CREATE INDEX IF NOT EXISTS kinema_jobs_ended ON kinema_jobs (ended_at);
    CREATE TABLE IF NOT EXISTS kinema_job_events (
        job TEXT NOT NULL, number INTEGER NOT NULL, at DOUBLE PRECISION NOT NULL, kind TEXT NOT NULL,
        data TEXT NOT NULL, PRIMARY KEY (job, number));
    CREATE TABLE IF NOT EXISTS kinema_media (
        sha TEXT PRIMARY KEY, bytes BIGINT NOT NULL, media_type TEXT NOT NULL, used_at DOUBLE PRECISION NOT NULL);
    CREATE TABLE IF NOT EXISTS kinema_job_media (
        job TEXT NOT NULL, sha TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (job, role, sha));
    CREATE INDEX IF NOT EXISTS kinema_job_media_sha ON kinema_job_media (sha);
    CREATE TABLE IF NOT EXISTS kinema_job_workers (
        id TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, facts TEXT NOT NULL,
        started_at DOUBLE PRECISION NOT NULL, seen_at DOUBLE PRECISION NOT NULL);
    """,
    """
    CREATE TABLE IF NOT EXISTS kinema_prompts (
        id TEXT PRIMARY KEY, job TEXT NOT NULL UNIQUE, client TEXT NOT NULL, number BIGINT NOT NULL,
        workflow TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS kinema_prompts_number ON kinema_prompts (number);
    CREATE INDEX IF NOT EXISTS kinema_jobs_kind ON kinema_jobs (kind, state, id, started_at, ended_at);
    CREATE TABLE IF NOT EXISTS kinema_result_names (
        folder TEXT NOT NULL, name TEXT NOT NULL, prefix TEXT NOT NULL, counter BIGINT NOT NULL, sha TEXT, job TEXT,
        at DOUBLE PRECISION NOT NULL, PRIMARY KEY (folder, name));
    CREATE INDEX IF NOT EXISTS kinema_result_names_prefix ON kinema_result_names (folder, prefix, counter);
    CREATE INDEX IF NOT EXISTS kinema_result_names_sha ON kinema_result_names (sha);
    CREATE INDEX IF NOT EXISTS kinema_result_names_job ON kinema_result_names (job);
    CREATE TABLE IF NOT EXISTS kinema_paused_kinds (kind TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS kinema_files (
        folder TEXT NOT NULL, name TEXT NOT NULL, sha TEXT NOT NULL, bytes BIGINT NOT NULL,
        created_at DOUBLE PRECISION NOT NULL, changed_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (folder, name));
    CREATE TABLE IF NOT EXISTS kinema_settings (id TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS kinema_assets (
        id TEXT PRIMARY KEY, sha TEXT NOT NULL, blake3 TEXT NOT NULL, bytes BIGINT NOT NULL, media_type TEXT NOT NULL,
        name TEXT NOT NULL, created_at DOUBLE PRECISION NOT NULL, used_at DOUBLE PRECISION NOT NULL);
    CREATE INDEX IF NOT EXISTS kinema_assets_blake3 ON kinema_assets (blake3, used_at);
    CREATE INDEX IF NOT EXISTS kinema_assets_used ON kinema_assets (used_at);
    CREATE TABLE IF NOT EXISTS kinema_job_labels (
        job TEXT NOT NULL, label TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (job, label));
    CREATE INDEX IF NOT EXISTS kinema_job_labels_value ON kinema_job_labels (label, value, job);
    """,
)
"""place: the order of the queue within a priority. key: the idempotency key; digest: SHA-256 of kind and body. due_at:
a later attempt starts no earlier. stuck: attempts since the last kept state. kept: files of the kept state, by name.
claim: the token of the running attempt; a worker whose token differs has lost the job. used_at: when media was last
stored or found again. role: input, result, preview or kept; "named" for a row that keeps the media of a name in
kinema_files, whose job is "file:FOLDER/NAME".

kinema_prompts: a workflow's id for ComfyUI's clients, their own id, its number in ComfyUI's queue, and the id of the
saved page. kinema_result_names: results by folder (output, temp) and name, as "video/ComfyUI_00001_.mp4" of the prefix
"video/ComfyUI"; a name is never given twice, so its row outlives its job; sha is null until the file is written.
kinema_paused_kinds: kinds of jobs of which none starts. kinema_jobs_kind: lists of one kind are counted and sorted
without reading rows, which hold bodies. kinema_files: media under the names of users, by folder.
kinema_settings: of ComfyUI's interface; value: JSON. kinema_assets: uploads of Comfy API v2; their rows in
kinema_job_media have the role "asset", and "asset:ID" in the place of a job. kinema_job_labels: what its clients call
their jobs."""

PARTS_TABLE = (
    "CREATE TABLE IF NOT EXISTS kinema_media_parts (sha TEXT NOT NULL, number INTEGER NOT NULL, data bytea NOT NULL, "
    "PRIMARY KEY (sha, number))"
)
"""Media in PostgreSQL, in parts of a bounded size."""
