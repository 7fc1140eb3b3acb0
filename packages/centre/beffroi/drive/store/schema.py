"""The tables of one collectivité's metadata, for both databases, and how an older form is brought forward.

Source: docs/internals/drive.md, "Metadata". Numbers (node identifiers, etags, changes) all come from one counter, so
        that none is ever used twice, also after a restore (``meta``: number).
"""

from __future__ import annotations

import hashlib
from typing import LiteralString

FORMAT = 1
HOME, COMMON, TRASH, GONE, SHARED = "home:", "common", "trash", "gone", "shared:"
"""Names of roots, rows of ``node`` with parent 0: a person's own folder, the collectivité's, what was deleted, what was
deleted for good and is being destroyed, a bounded number of nodes a change; and the folder in which a person sees what
is shared with them, which has no rows below it (``views``)."""

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
    "CREATE TABLE IF NOT EXISTS judged (one {key} PRIMARY KEY, number BIGINT NOT NULL, windows {bytes} NOT NULL)",
    """CREATE TABLE IF NOT EXISTS alarm (
        device_id TEXT PRIMARY KEY, person_id TEXT NOT NULL, since_s BIGINT NOT NULL, at_s BIGINT NOT NULL,
        files BIGINT NOT NULL, reasons TEXT NOT NULL, told_s BIGINT NOT NULL, state TEXT NOT NULL,
        settled_by TEXT NOT NULL, settled_s BIGINT NOT NULL, steps {bytes} NOT NULL, done BIGINT NOT NULL,
        missed BIGINT NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS alarm_since (device_id TEXT PRIMARY KEY, number BIGINT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS weight (
        node {key} PRIMARY KEY, entries BIGINT NOT NULL, version_bytes BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS beside (
        owner TEXT NOT NULL, what TEXT NOT NULL, size_bytes BIGINT NOT NULL, PRIMARY KEY (owner, what))""",
    """CREATE TABLE IF NOT EXISTS seal (
        id TEXT PRIMARY KEY, node BIGINT NOT NULL, state TEXT NOT NULL, name TEXT NOT NULL, begun_s BIGINT NOT NULL,
        until_s BIGINT NOT NULL, rule TEXT NOT NULL, person_id TEXT NOT NULL, audit_position BIGINT NOT NULL,
        audit_hash TEXT NOT NULL, files BIGINT NOT NULL, size_bytes BIGINT NOT NULL, done_files BIGINT NOT NULL,
        done_bytes BIGINT NOT NULL, reached BIGINT NOT NULL, stamp TEXT NOT NULL, tried_s BIGINT NOT NULL,
        told_s BIGINT NOT NULL, ended_s BIGINT NOT NULL, ended_by TEXT NOT NULL)""",
    "CREATE UNIQUE INDEX IF NOT EXISTS seal_standing ON seal (node) WHERE state IN ('sealing', 'sealed')",
    """CREATE TABLE IF NOT EXISTS seal_text (
        seal TEXT NOT NULL, name TEXT NOT NULL, content {bytes} NOT NULL, PRIMARY KEY (seal, name))""",
    """CREATE TABLE IF NOT EXISTS seal_check (
        id TEXT PRIMARY KEY, seal TEXT NOT NULL, person_id TEXT NOT NULL, asked_s BIGINT NOT NULL,
        done_bytes BIGINT NOT NULL, done_s BIGINT NOT NULL, report {bytes} NOT NULL, told_s BIGINT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS seal_check_seal ON seal_check (seal, asked_s)",
    """CREATE TABLE IF NOT EXISTS elimination (
        seal TEXT PRIMARY KEY, approval_id TEXT NOT NULL, asked_by TEXT NOT NULL, granted_by TEXT NOT NULL,
        visa TEXT NOT NULL, visa_on TEXT NOT NULL, visa_by TEXT NOT NULL, at_s BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS word (
        root BIGINT NOT NULL, term BIGINT NOT NULL, node BIGINT NOT NULL, PRIMARY KEY (root, term, node))
        {clustered}""",
    """CREATE TABLE IF NOT EXISTS word_name (
        root BIGINT NOT NULL, word {bytes} NOT NULL, node BIGINT NOT NULL, PRIMARY KEY (root, word, node))
        {clustered}""",
    """CREATE TABLE IF NOT EXISTS word_file (
        node {key} PRIMARY KEY, root BIGINT NOT NULL, name TEXT NOT NULL, written BIGINT NOT NULL,
        content TEXT NOT NULL, terms {bytes} NOT NULL, text_id {bytes} NOT NULL, sealed {bytes} NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS word_file_written ON word_file (root, written)",
    "CREATE INDEX IF NOT EXISTS word_file_unread ON word_file (node) WHERE content = 'unread'",
    "CREATE TABLE IF NOT EXISTS word_due (node {key} PRIMARY KEY)",
    """CREATE TABLE IF NOT EXISTS mount (
        share_id TEXT NOT NULL, person_id TEXT NOT NULL, name TEXT NOT NULL, left_s BIGINT NOT NULL,
        PRIMARY KEY (share_id, person_id))""",
    "CREATE TABLE IF NOT EXISTS looked (person_id TEXT PRIMARY KEY, at_s BIGINT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS scanned (
        sha256 TEXT PRIMARY KEY, mark TEXT NOT NULL, at_s BIGINT NOT NULL, found TEXT NOT NULL,
        is_whole INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS scanning (
        one {key} PRIMARY KEY, number BIGINT NOT NULL, mark TEXT NOT NULL, walked TEXT NOT NULL,
        walk_s BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS finding (
        sha256 TEXT PRIMARY KEY, code TEXT NOT NULL, names TEXT NOT NULL, at_s BIGINT NOT NULL, told_s BIGINT NOT NULL,
        asked_s BIGINT NOT NULL, asked_by TEXT NOT NULL, released_s BIGINT NOT NULL, released_by TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS drop_box (
        share_id TEXT PRIMARY KEY, most_total_bytes BIGINT NOT NULL, most_files BIGINT NOT NULL,
        total_bytes BIGINT NOT NULL, files BIGINT NOT NULL, told_s BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS handing (
        id TEXT PRIMARY KEY, share_id TEXT NOT NULL, sender TEXT NOT NULL, message TEXT NOT NULL,
        first_s BIGINT NOT NULL, last_s BIGINT NOT NULL, files BIGINT NOT NULL, total_bytes BIGINT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS handing_share ON handing (share_id, last_s)",
    """CREATE TABLE IF NOT EXISTS handed (
        node {key} PRIMARY KEY, handing TEXT NOT NULL, sha256 TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS handed_sha256 ON handed (sha256)",
    """CREATE TABLE IF NOT EXISTS sent_file (
        share_id TEXT PRIMARY KEY, node BIGINT NOT NULL, person_id TEXT NOT NULL, message TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS sent_file_message ON sent_file (message)",
    """CREATE TABLE IF NOT EXISTS people_group (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, created_s BIGINT NOT NULL,
        created_by TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS group_member (
        group_id TEXT NOT NULL, person_id TEXT NOT NULL, since_s BIGINT NOT NULL, added_by TEXT NOT NULL,
        PRIMARY KEY (group_id, person_id))""",
    "CREATE INDEX IF NOT EXISTS group_member_person ON group_member (person_id)",
    """CREATE TABLE IF NOT EXISTS part_name (
        upload TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (upload, name))""",
    """CREATE TABLE IF NOT EXISTS tag (
        id {key} PRIMARY KEY, name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, is_visible INTEGER NOT NULL,
        is_assignable INTEGER NOT NULL, made_by TEXT NOT NULL, made_s BIGINT NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS tagged (node BIGINT NOT NULL, tag BIGINT NOT NULL, PRIMARY KEY (node, tag))",
    "CREATE INDEX IF NOT EXISTS tagged_tag ON tagged (tag)",
    "CREATE TABLE IF NOT EXISTS scan_due (sha256 TEXT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS carried (sha256 TEXT NOT NULL, packed TEXT NOT NULL, PRIMARY KEY (sha256, packed))",
    "CREATE INDEX IF NOT EXISTS carried_packed ON carried (packed)",
    "CREATE TABLE IF NOT EXISTS carried_due (sha256 TEXT PRIMARY KEY)",
    """CREATE TABLE IF NOT EXISTS found_inside (
        sha256 TEXT NOT NULL, packed TEXT NOT NULL, PRIMARY KEY (sha256, packed))""",
    "CREATE INDEX IF NOT EXISTS node_folder ON node (parent) WHERE is_folder = 1",
    """CREATE INDEX IF NOT EXISTS change_left ON change (parent, number)
        WHERE kind NOT IN ('created', 'changed', 'properties')""",
    """CREATE TABLE IF NOT EXISTS seal_reading (
        check_id TEXT PRIMARY KEY, reached BIGINT NOT NULL, damaged {bytes} NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS seal_alarm (
        seal TEXT PRIMARY KEY, since_s BIGINT NOT NULL, found TEXT NOT NULL, settled_s BIGINT NOT NULL,
        settled_by TEXT NOT NULL, settled_why TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS favourite_abroad (
        person_id TEXT NOT NULL, owner TEXT NOT NULL, node BIGINT NOT NULL, PRIMARY KEY (person_id, owner, node))""",
    """CREATE TABLE IF NOT EXISTS departed (
        person_id TEXT NOT NULL, kind TEXT NOT NULL, thing TEXT NOT NULL, left_s BIGINT NOT NULL,
        PRIMARY KEY (person_id, kind, thing))""",
    """CREATE TABLE IF NOT EXISTS node_kind (
        node {key} PRIMARY KEY, root BIGINT NOT NULL, kind TEXT NOT NULL, mtime_s BIGINT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS node_kind_order ON node_kind (root, kind, mtime_s, node)",
    """CREATE TABLE IF NOT EXISTS handover (
        id TEXT PRIMARY KEY, person_id TEXT NOT NULL, heir TEXT NOT NULL, folder BIGINT NOT NULL, state TEXT NOT NULL,
        why TEXT NOT NULL, begun_s BIGINT NOT NULL, begun_by TEXT NOT NULL, ended_s BIGINT NOT NULL,
        told_s BIGINT NOT NULL, files BIGINT NOT NULL, closed BIGINT NOT NULL, done_files BIGINT NOT NULL,
        done_bytes BIGINT NOT NULL, back_files BIGINT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS handover_person ON handover (person_id, begun_s)",
    """CREATE TABLE IF NOT EXISTS handover_folder (
        handover TEXT NOT NULL, was BIGINT NOT NULL, made BIGINT NOT NULL, reached TEXT NOT NULL,
        is_done INTEGER NOT NULL, PRIMARY KEY (handover, was))""",
    "CREATE INDEX IF NOT EXISTS handover_folder_was ON handover_folder (was)",
    "CREATE INDEX IF NOT EXISTS handover_folder_due ON handover_folder (handover, was) WHERE is_done = 0",
    """CREATE TABLE IF NOT EXISTS handover_file (
        handover TEXT NOT NULL, node BIGINT NOT NULL, was_in BIGINT NOT NULL, PRIMARY KEY (handover, node))""",
    """CREATE TABLE IF NOT EXISTS way_back (
        folder {key} PRIMARY KEY, at_s BIGINT NOT NULL, person_id TEXT NOT NULL, begun_s BIGINT NOT NULL,
        state TEXT NOT NULL, total BIGINT NOT NULL, done BIGINT NOT NULL, missed BIGINT NOT NULL, why TEXT NOT NULL,
        copies {bytes} NOT NULL, ended_s BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS way_portion (
        folder BIGINT NOT NULL, number BIGINT NOT NULL, steps {bytes} NOT NULL, PRIMARY KEY (folder, number))""",
    """CREATE TABLE IF NOT EXISTS version_erased (
        node BIGINT NOT NULL, etag BIGINT NOT NULL, at_s BIGINT NOT NULL, PRIMARY KEY (node, etag))""",
    """CREATE TABLE IF NOT EXISTS handover_collection (
        handover TEXT NOT NULL, was TEXT NOT NULL, made TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL,
        entries BIGINT NOT NULL, size_bytes BIGINT NOT NULL, back BIGINT NOT NULL, state TEXT NOT NULL,
        PRIMARY KEY (handover, was))""",
    "CREATE TABLE IF NOT EXISTS lock_by (token TEXT PRIMARY KEY, device_id TEXT NOT NULL, share_id TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS lock_by_device ON lock_by (device_id)",
)
"""``chunk``: ``sealed`` NULL lies in the objects, ``stored_bytes`` long there (0: not known, -1: damaged); ``loose_s``:
since when nothing refers to it (epoch seconds). ``doomed``: chunks whose object is being deleted; ``gone``: the number
at which no deletion of it was under way any more, 0 until then (``collect``).
``change``: ``parent`` to ``mtime_s`` as they were before it; of a new node, as they are. One row a change of a node, by
its etag, kept as long as versions are: point in time, restore of what a device did, push and indexing read it.
``judged``: one row: up to which change devices were judged, and what is remembered of them (``guard.scoring``).
``alarm``: of a device that wrote as ransomware does; ``state``, ``steps``: ``alarms``;
``alarm_since``: from which change on it is taken back.
``weight``: of a folder, what is below it beside the bytes of its files (``weights``); ``beside``: bytes that lie in no
folder: parts of uploads, calendars.
``seal``, ``seal_text``: sealed folders and the parts of their seals (``seals``); ``seal_check``: each verification;
``elimination``: what was destroyed with a visa of the archives (``seal_ends``). ``seal_reading``: how far a
verification came (``seal_checks``); ``seal_alarm``: a seal that was found damaged (``seal_alarms``).
``word``, ``word_name``, ``word_file``, ``word_due``: the index of words (``words.index``); ``term``: a number that only
the collectivité's key makes of a word; ``word``: of a name, UTF-8, compared by its bytes.
``mount``: what a receiver did with something that is shared with them (``mounts``). ``looked``: when a person last saw
the list of what is shared with them.
``scanned``, ``scanning``, ``finding``, ``found_inside``: ``findings``; ``scan_due``. ``carried``,
``carried_due``: files in files (``carried``). ``drop_box``, ``handing``, ``handed``: ``drops``.
``sent_file``: a file put here to go by link in a mail, and that mail: ``sent_files``.
``people_group``, ``group_member``: groups of people, with whom files are shared (``groups``).
``upload``: ``created_s``: when its last part came, or it began. ``part_name``: parts that clients call by no
number of a part (``part_names``).
``tag``, ``tagged``: ``tags``. ``favourite_abroad``: stars on what other collectivités share (``favourites``).
``departed``: what a departure took from a person (``departed``). ``node_kind``: part of the index (``words.kinds``).
``handover``, ``handover_folder``, ``handover_file``: files of somebody who left, where they went (``handovers``);
``handover_collection``: their calendars and address books (``passed``).
``way_back``, ``way_portion``: a folder that is put back as it was, and the steps that are left (``going_back``);
``copies``: of folders that were copied on the way. ``version_erased``: rows of ``version`` that a person deleted, and
when (``versions``). ``lock_by``: which device took a row of ``dav_lock``, and by which share of
another collectivité."""
MARK = hashlib.blake2b("\n".join(TABLES).encode(), digest_size=16).hexdigest()
"""In ``meta`` *tables* of metadata that have them all: they are opened without asking for each."""
