/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of an export: transfer -> XVA reader -> disks of the session, with
 * its back-pressure. On the data loop.
 */
#include <string.h>

#include "base/parse.h"
#include "gateway/backup_pipe_inside.h"
#include "xenapi/xenapi_transfer.h"

/* --- the stream ---------------------------------------------------------- */

void backup_feed_deliver_streamed(struct mail *mail)
{
    struct backup_pipe *p = BACKUP_PIPE_OWNER(mail, on_streamed);

    if (p->stream.detail == XENAPI_TRANSFER_UNHEARD)
        p->exported = false;
    p->opts.streamed(p->opts.ctx, &p->stream);
}

/* Transfer and reader are through. */
static void stream_end(struct backup_pipe *p)
{
    struct err err = {0};

    if (p->state != PIPE_STREAMING) {
        backup_pipe_end_if_idle(p);
        return;
    }
    /* The reader has the pool's own words, where the stream carried some. */
    if (xva_read_finish(p->reader, &err) != ERR_OK &&
        (p->stream.code == ERR_OK || err.code == ERR_REMOTE))
        p->stream = err;
    p->state = PIPE_STREAMED;
    loop_send(p->opts.engine->control, &p->on_streamed);
}

/* The reader refused something: the stream is void. */
static void stream_fail(struct backup_pipe *p, const struct err *err)
{
    err_keep(&p->stream, err);
    p->held = false;
    p->rest_len = 0;
    if (p->transfer)
        xenapi_transfer_cancel(p->transfer);
}

/* Feed what was kept. */
static void feed_rest(struct backup_pipe *p)
{
    struct err err = {0};
    size_t used = 0;

    if (xva_read_feed(p->reader, p->rest + p->rest_at, p->rest_len, &used,
                      &err) != ERR_OK) {
        stream_fail(p, &err);
        return;
    }
    if (p->stream.code != ERR_OK) {
        stream_fail(p, &p->stream);
        return;
    }
    p->rest_at += used;
    p->rest_len -= used;
    p->held = p->rest_len > 0 || xva_read_is_blocked(p->reader);
}

static bool on_body(void *ctx, const uint8_t *data, size_t len)
{
    struct backup_pipe *p = ctx;
    struct err err = {0};
    size_t used = 0;

    if (p->held)
        return false;
    if (p->stream.code != ERR_OK || p->state != PIPE_STREAMING)
        return true; /* it was cancelled: what still comes is dropped */
    p->received += len;
    if (xva_read_feed(p->reader, data, len, &used, &err) != ERR_OK) {
        stream_fail(p, &err);
        return true;
    }
    if (p->stream.code != ERR_OK) {
        stream_fail(p, &p->stream);
        return true;
    }
    if (used < len) {
        memcpy(p->rest, data + used, len - used);
        p->rest_at = 0;
        p->rest_len = len - used;
    }
    p->held = used < len || xva_read_is_blocked(p->reader);
    return true;
}

static void on_transferred(void *ctx, const struct err *err, uint64_t bytes)
{
    struct backup_pipe *p = ctx;

    p->transfer = NULL;
    p->ended = true;
    if (err->code != ERR_OK)
        err_keep(&p->stream, err);
    if (!p->held || p->state != PIPE_STREAMING)
        stream_end(p);
}

void backup_feed_drained(void *ctx)
{
    struct backup_pipe *p = ctx;

    if (!p->held || p->state != PIPE_STREAMING)
        return;
    feed_rest(p);
    if (p->held)
        return;
    if (p->ended)
        stream_end(p);
    else if (p->transfer)
        xenapi_transfer_resume(p->transfer);
}

/* --- what the reader finds ----------------------------------------------- */

static bool is_exported(const struct ova *ova, const char *uuid)
{
    for (size_t i = 0; i < ova_disk_count(ova); i++)
        if (strcmp(ova_disk(ova, i)->vdi_uuid, uuid) == 0)
            return true;
    return false;
}

/* Whoever removes a disk of the snapshot takes it out of the export, which is
 * whole then as far as the pool and the archive can tell. */
static void on_ova(void *ctx, const struct ova *ova, const uint8_t *text,
                   size_t len)
{
    struct backup_pipe *p = ctx;
    struct err err = {0};

    if (!buf_add(&p->ova, text, len))
        err_set(&err, ERR_NOMEM, 0, "ova.xml of %zu bytes", len);
    for (size_t i = 0; i < p->opts.disk_count && err.code == ERR_OK; i++)
        if (!is_exported(ova, p->disks[i].exported_uuid))
            err_set(&err, ERR_PROTOCOL, 0,
                    "the export lacks a disk that the snapshot had: %s ('%s')",
                    p->disks[i].exported_uuid, p->disks[i].name);
    err_keep(&p->stream, &err);
}

static const struct backup_pipe_disk *
known_disk(const struct backup_pipe *p, const char *uuid)
{
    for (size_t i = 0; i < p->opts.disk_count; i++)
        if (strcmp(p->disks[i].exported_uuid, uuid) == 0)
            return &p->disks[i];
    return NULL;
}

static void on_disk_begin(void *ctx, uint32_t number)
{
    struct backup_pipe *p = ctx;
    const struct ova_disk *d = ova_disk(xva_read_ova(p->reader), number);
    const struct backup_pipe_disk *known = known_disk(p, d->vdi_uuid);
    struct session_disk disk = {.bytes = d->virtual_size};
    struct err err = {0};

    if (!known) {
        err_set(&err, ERR_PROTOCOL, 0,
                "the export has a disk that the snapshot has not: %s",
                d->vdi_uuid);
        err_keep(&p->stream, &err);
        return;
    }
    disk.position = known->position;
    disk.name = known->name;
    if (!parse_uuid(known->live_uuid, &disk.vdi))
        err_set(&err, ERR_PROTOCOL, 0, "disk %u: '%s' is no uuid",
                known->position, known->live_uuid);
    else
        session_add_disk(p->session, &disk, &p->disk, &err);
    if (err.code != ERR_OK)
        err_keep(&p->stream, &err);
}

static size_t on_data(void *ctx, uint32_t number, uint64_t offset,
                      const uint8_t *bytes, size_t len)
{
    struct backup_pipe *p = ctx;

    if (p->stream.code != ERR_OK || !p->session)
        return len; /* nothing of it will be used */
    if (len > SESSION_WRITE_MAX)
        len = SESSION_WRITE_MAX;
    return session_write(p->session, p->disk, offset, bytes, len) ? len : 0;
}

static bool on_hole(void *ctx, uint32_t number, uint64_t offset, uint64_t len)
{
    struct backup_pipe *p = ctx;

    if (p->stream.code != ERR_OK || !p->session)
        return true;
    return session_zero(p->session, p->disk, offset, len);
}

static void on_disk_end(void *ctx, uint32_t number, uint64_t total)
{
}

static void on_end(void *ctx)
{
}

static const struct xva_read_events reader_events = {
    .ova = on_ova,
    .disk_begin = on_disk_begin,
    .data = on_data,
    .hole = on_hole,
    .disk_end = on_disk_end,
    .end = on_end,
};

bool backup_feed_is_unheard(const struct backup_pipe *p)
{
    return p->state == PIPE_STREAMED && p->received == 0 &&
           p->stream.detail == XENAPI_TRANSFER_UNHEARD;
}

void backup_feed_start(struct backup_pipe *p)
{
    const struct xva_read_opts reading = {
        .suite = p->opts.engine->suite,
        .events = &reader_events,
        .ctx = p,
    };
    const struct xenapi_transfer_opts sending = {
        .loop = p->opts.data->loop,
        .client = p->opts.data->client,
        .ticket = p->ticket,
        .on_body = on_body,
        .done = on_transferred,
        .ctx = p,
    };
    struct err err = {0};

    p->state = PIPE_STREAMING;
    xva_read_free(p->reader); /* that got nothing, if there is one */
    p->reader = NULL;
    p->ended = false;
    err_clear(&p->stream);
    if (xva_read_new(&reading, &p->reader, &err) != ERR_OK ||
        xenapi_transfer_start(&sending, &p->transfer, &err) != ERR_OK)
        backup_pipe_fail(p, &err);
}
