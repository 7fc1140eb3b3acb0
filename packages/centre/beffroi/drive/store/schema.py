"""The tables of one collectivité's metadata, for both databases, and how an older form is brought forward.

Source: docs/internals/drive.md, "Metadata". Numbers (node identifiers, etags, changes) all come from one counter, so
        that none is ever used twice, also after a restore (``meta``: number).
"""

from __future__ import annotations

from typing import LiteralString

FORMAT = 1
HOME, COMMON, TRASH, GONE = "home:", "common", "trash", "gone"
"""Names of roots, rows of ``node`` with parent 0: a person's own folder, the collectivité's, what was deleted, and what
was deleted for good and is being destroyed, a bounded number of nodes a change."""

TABLES: tuple[LiteralString, ...] = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS node (
        id {key} PRIMARY KEY, parent BIGINT NOT NULL, name TEXT NOT NULL, is_folder INTEGER NOT NULL,
        size_bytes BIGINT NOT NULL, mtime_s BIGINT NOT NULL, etag BIGINT NOT NULL, created_s BIGINT NOT NULL,
        sha1 TEXT NOT NULL, sha256 TEXT NOT NULL, manifest {bytes} NOT NULL, properties TEXT NOT NULL,
        folded TEXT NOT NULL, UNIQUE (parent, folded))""",
    "CREATE INDEX IF NOT EXISTS node_sha256 ON node (sha256) WHERE sha256 <> ''",
    """CREATE TABLE IF NOT EXISTS chunk (
        id {bytes} PRIMARY KEY, refs BIGINT NOT NULL, length INTEGER NOT NULL, stored_bytes INTEGER NOT NULL,
        sealed {bytes}, loose_s BIGINT)""",
    "CREATE INDEX IF NOT EXISTS chunk_loose ON chunk (loose_s) WHERE loose_s IS NOT NULL",
    """CREATE TABLE IF NOT EXISTS doomed (
        id {bytes} PRIMARY KEY, since_s BIGINT NOT NULL, gone BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS version (
        node BIGINT NOT NULL, etag BIGINT NOT NULL, size_bytes BIGINT NOT NULL, mtime_s BIGINT NOT NULL,
        sha1 TEXT NOT NULL, sha256 TEXT NOT NULL, manifest {bytes} NOT NULL, replaced_s BIGINT NOT NULL,
        PRIMARY KEY (node, etag))""",
    "CREATE INDEX IF NOT EXISTS version_sha256 ON version (sha256)",
    """CREATE TABLE IF NOT EXISTS trash (
        node {key} PRIMARY KEY, parent BIGINT NOT NULL, name TEXT NOT NULL, root BIGINT NOT NULL,
        path TEXT NOT NULL, deleted_s BIGINT NOT NULL, person_id TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS trash_root ON trash (root, deleted_s)",
    """CREATE TABLE IF NOT EXISTS upload (
        id TEXT PRIMARY KEY, person_id TEXT NOT NULL, created_s BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS part (
        upload TEXT NOT NULL, number INTEGER NOT NULL, size_bytes BIGINT NOT NULL, manifest {bytes} NOT NULL,
        PRIMARY KEY (upload, number))""",
    """CREATE TABLE IF NOT EXISTS dav_lock (
        token TEXT PRIMARY KEY, node BIGINT NOT NULL, is_deep INTEGER NOT NULL, is_shared INTEGER NOT NULL,
        owner TEXT NOT NULL, person_id TEXT NOT NULL, expires_s BIGINT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS dav_lock_node ON dav_lock (node)",
    """CREATE TABLE IF NOT EXISTS change (
        number {key} PRIMARY KEY, at_s BIGINT NOT NULL, kind TEXT NOT NULL, node BIGINT NOT NULL,
        parent BIGINT NOT NULL, name TEXT NOT NULL, is_folder INTEGER NOT NULL, size_bytes BIGINT NOT NULL,
        mtime_s BIGINT NOT NULL, etag_before BIGINT NOT NULL, person_id TEXT NOT NULL, device_id TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS change_at ON change (at_s)",
    "CREATE INDEX IF NOT EXISTS change_device ON change (device_id, at_s)",
    "CREATE INDEX IF NOT EXISTS change_node ON change (node, number)",
    """CREATE TABLE IF NOT EXISTS share (
        id TEXT PRIMARY KEY, node BIGINT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL, rights TEXT NOT NULL,
        token_hash TEXT NOT NULL, password_hash TEXT NOT NULL, expires_s BIGINT NOT NULL,
        downloads_left BIGINT NOT NULL, most_bytes BIGINT NOT NULL, types TEXT NOT NULL, label TEXT NOT NULL,
        created_s BIGINT NOT NULL, created_by TEXT NOT NULL, ended_s BIGINT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS share_node ON share (node)",
    "CREATE INDEX IF NOT EXISTS share_target ON share (kind, target)",
    "CREATE UNIQUE INDEX IF NOT EXISTS share_token ON share (token_hash) WHERE token_hash <> ''",
    """CREATE TABLE IF NOT EXISTS received (
        share_id TEXT PRIMARY KEY, owner TEXT NOT NULL, label TEXT NOT NULL, state TEXT NOT NULL,
        offered_s BIGINT NOT NULL, answered_s BIGINT NOT NULL, answered_by TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS frozen (
        sha256 TEXT PRIMARY KEY, decision_id TEXT NOT NULL, since_s BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS favourite (
        person_id TEXT NOT NULL, node BIGINT NOT NULL, PRIMARY KEY (person_id, node))""",
    "CREATE TABLE IF NOT EXISTS quota (root {key} PRIMARY KEY, limit_bytes BIGINT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS structure (
        node {key} PRIMARY KEY, written BIGINT NOT NULL, seen {bytes} NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS judged (one {key} PRIMARY KEY, number BIGINT NOT NULL, windows {bytes} NOT NULL)",
    """CREATE TABLE IF NOT EXISTS alarm (
        device_id TEXT PRIMARY KEY, person_id TEXT NOT NULL, since_s BIGINT NOT NULL, at_s BIGINT NOT NULL,
        files BIGINT NOT NULL, reasons TEXT NOT NULL, told_s BIGINT NOT NULL, state TEXT NOT NULL,
        settled_by TEXT NOT NULL, settled_s BIGINT NOT NULL, steps {bytes} NOT NULL, done BIGINT NOT NULL,
        missed BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS sent_file (
        share_id TEXT PRIMARY KEY, node BIGINT NOT NULL, person_id TEXT NOT NULL, message TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS sent_file_message ON sent_file (message)",
)
"""``chunk``: ``sealed`` NULL lies in the objects, ``stored_bytes`` long there (0: not known); ``loose_s``: since when
nothing refers to it (epoch seconds). ``doomed``: chunks whose object is being deleted; ``gone``: the number at which it
was, 0 until then (``collect``).
``change``: ``parent`` to ``mtime_s`` as they were before it; of a new node, as they are. One row a change of a node, by
its etag, kept as long as versions are: point in time, restore of what a device did, push and indexing read it.
``structure``: what a look at the content of a file said, ``written``: number of the change that wrote that content.
``judged``: one row: up to which change devices were judged, and what is remembered of them (``guard.scoring``).
``alarm``: of a device that writes as ransomware does; ``state``, ``steps``: ``alarms``.
``sent_file``: a file put here to go by link in a mail, and that mail: ``sent_files``."""
