/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On the data loop:
 *
 *   STARTING -> READY -> STREAMING -> STREAMED -> COMMITTING -> (done)
 *       \---------\----------\-----------\------------\-----> ENDING -> (done)
 *
 * The end has four steps, so that no mail can meet freed memory: the data loop
 * says "done", the control loop answers "bye" behind whatever it sent before,
 * the data loop says "gone", and only then the struct is given up.
 */
#include "gateway/backup_pipe.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"
#include "image/xva_read.h"
#include "loop/timer.h"
#include "xenapi/xenapi_transfer.h"

#define PROGRESS_MS 500
#define PIECE_MAX ((size_t)16 << 10) /* what the HTTP client hands over */

enum pipe_state {
    PIPE_STARTING,
    PIPE_READY,
    PIPE_STREAMING,
    PIPE_STREAMED,
    PIPE_COMMITTING,
    PIPE_ENDING,
};

struct backup_pipe {
    struct backup_pipe_opts opts; /* texts and disks are copies */
    char *texts[3];
    struct backup_pipe_disk *disks;
    struct xenapi_ticket *ticket;
    struct err why; /* of a cancel; control loop's until the mail is read */
    bool exported, committed, cancelled, over; /* control loop: what was sent */

    struct mail to_start, to_export, to_commit, to_cancel, to_bye;
    struct mail on_ready, on_streamed, on_progress, on_done, on_gone;
    atomic_bool progress_busy;
    struct backup_pipe_figures shown; /* in on_progress, then on_done */

    /* The data loop's from here on. */
    enum pipe_state state;
    struct store *store;
    struct session *session;
    struct xva_read *reader;
    struct xenapi_transfer *transfer;
    struct timer timer;
    struct buf ova;
    unsigned disk; /* the session's number of the disk that comes now */
    uint8_t rest[PIECE_MAX];
    size_t rest_at, rest_len;
    bool held;         /* the session is full; rest waits */
    bool ended;        /* the transfer is over, well or not */
    uint64_t received;
    struct err stream; /* the first failure of transfer, reader or disks */
    struct err err;    /* of the pipe */
    struct session_result result;
};

struct pipe_note {
    struct mail mail;
    struct backup_pipe *pipe;
    bool open;
    const char *kind;
    char *id; /* behind name, in one allocation */
    char name[];
};

#define OWNER(mail, member)                                                    \
    ((struct backup_pipe *)(void *)((char *)(mail)-offsetof(                   \
        struct backup_pipe, member)))

static void send_data(struct backup_pipe *p, struct mail *mail)
{
    loop_send(p->opts.data->loop, mail);
}

static void send_control(struct backup_pipe *p, struct mail *mail)
{
    loop_send(p->opts.engine->control, mail);
}

/* --- the end ------------------------------------------------------------- */

static void pipe_free(struct backup_pipe *p)
{
    for (size_t i = 0; i < BYTES_COUNT(p->texts); i++)
        free(p->texts[i]);
    free(p->disks);
    xenapi_ticket_drop(p->ticket);
    vault_unref(p->opts.vault);
    place_unref(p->opts.place);
    free(p);
}

static void deliver_gone(struct mail *mail)
{
    struct backup_pipe *p = OWNER(mail, on_gone);

    p->opts.done(p->opts.ctx, &p->err, &p->result, &p->shown);
    pipe_free(p);
}

static void deliver_bye(struct mail *mail)
{
    struct backup_pipe *p = OWNER(mail, to_bye);

    send_control(p, &p->on_gone);
}

static void deliver_done(struct mail *mail)
{
    struct backup_pipe *p = OWNER(mail, on_done);

    p->over = true;
    send_data(p, &p->to_bye);
}

static void take_figures(struct backup_pipe *p)
{
    p->shown.session =
        p->session ? *session_figures(p->session) : p->result.figures;
    p->shown.received = p->received;
    if (!p->store)
        return;
    p->shown.store_requests = p->store->requests;
    p->shown.store_lists = p->store->list_requests;
    p->shown.store_sent = p->store->sent_bytes;
    p->shown.store_received = p->store->received_bytes;
}

/* The only way out: when neither session nor transfer is left. */
static void pipe_end_if_idle(struct backup_pipe *p)
{
    if (p->session || p->transfer)
        return;
    timer_stop(&p->timer);
    /* A progress mail may still be read over there: the figures in it are
     * final from here on, and on_done comes behind it. */
    if (atomic_load(&p->progress_busy)) {
        timer_start(p->opts.data->loop, &p->timer, 1, p->timer.fire);
        return;
    }
    take_figures(p);
    if (p->store)
        store_free(p->store);
    p->store = NULL;
    xva_read_free(p->reader);
    p->reader = NULL;
    buf_fini(&p->ova);
    send_control(p, &p->on_done);
}

/* Something went wrong, or was cancelled: stop what runs. */
static void pipe_fail(struct backup_pipe *p, const struct err *why)
{
    err_keep(&p->err, why);
    if (p->state == PIPE_ENDING)
        return;
    p->state = PIPE_ENDING;
    if (p->transfer)
        xenapi_transfer_cancel(p->transfer);
    if (p->session)
        session_cancel(p->session);
    pipe_end_if_idle(p);
}

static void on_tick(struct timer *timer)
{
    struct backup_pipe *p = OWNER(timer, timer);

    if (!p->session && !p->transfer) {
        pipe_end_if_idle(p);
        return;
    }
    if (p->opts.progress && !atomic_load(&p->progress_busy)) {
        take_figures(p);
        atomic_store(&p->progress_busy, true);
        send_control(p, &p->on_progress);
    }
    timer_start(p->opts.data->loop, timer, PROGRESS_MS, on_tick);
}

static void deliver_progress(struct mail *mail)
{
    struct backup_pipe *p = OWNER(mail, on_progress);

    p->opts.progress(p->opts.ctx, &p->shown);
    atomic_store(&p->progress_busy, false);
}

/* --- the stream ---------------------------------------------------------- */

static void deliver_streamed(struct mail *mail)
{
    struct backup_pipe *p = OWNER(mail, on_streamed);

    p->opts.streamed(p->opts.ctx, &p->stream);
}

/* Transfer and reader are through. */
static void stream_end(struct backup_pipe *p)
{
    struct err err = {0};

    if (p->state != PIPE_STREAMING) {
        pipe_end_if_idle(p);
        return;
    }
    /* The reader has the pool's own words, where the stream carried some. */
    if (xva_read_finish(p->reader, &err) != ERR_OK &&
        (p->stream.code == ERR_OK || err.code == ERR_REMOTE))
        p->stream = err;
    p->state = PIPE_STREAMED;
    send_control(p, &p->on_streamed);
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

static void on_drained(void *ctx)
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

static void on_ova(void *ctx, const struct ova *ova, const uint8_t *text,
                   size_t len)
{
    struct backup_pipe *p = ctx;

    if (!buf_add(&p->ova, text, len))
        err_set(&p->stream, ERR_NOMEM, 0, "ova.xml of %zu bytes", len);
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

/* --- the session --------------------------------------------------------- */

static void deliver_ready(struct mail *mail)
{
    struct backup_pipe *p = OWNER(mail, on_ready);

    p->opts.ready(p->opts.ctx);
}

static void on_session_ready(void *ctx)
{
    struct backup_pipe *p = ctx;

    if (p->state != PIPE_STARTING)
        return;
    p->state = PIPE_READY;
    send_control(p, &p->on_ready);
}

static void on_session_done(void *ctx, const struct err *err,
                            const struct session_result *result)
{
    struct backup_pipe *p = ctx;

    p->result = *result;
    p->session = NULL;
    if (err->code == ERR_OK) {
        /* Committed: a cancel that came meanwhile was too late. */
        err_clear(&p->err);
        p->state = PIPE_ENDING;
        if (p->transfer)
            xenapi_transfer_cancel(p->transfer);
        pipe_end_if_idle(p);
    } else if (p->state == PIPE_ENDING) {
        err_keep(&p->err, err);
        pipe_end_if_idle(p);
    } else {
        pipe_fail(p, err);
    }
}

static void deliver_note(struct mail *mail)
{
    struct pipe_note *n = (struct pipe_note *)mail;
    struct backup_pipe *p = n->pipe;

    p->opts.journal(p->opts.ctx, n->open, n->kind, n->name, n->id);
    free(n);
}

static void note(struct backup_pipe *p, bool open, const char *kind,
                 const char *name, const char *id)
{
    size_t name_size = strlen(name) + 1;
    size_t id_size = strlen(id) + 1;
    struct pipe_note *n = malloc(sizeof(*n) + name_size + id_size);

    if (!n)
        return; /* without a row a collector finds it by its age */
    n->mail.deliver = deliver_note;
    n->pipe = p;
    n->open = open;
    n->kind = kind;
    memcpy(n->name, name, name_size);
    n->id = n->name + name_size;
    memcpy(n->id, id, id_size);
    send_control(p, &n->mail);
}

static void on_upload_opened(void *ctx, const char *name, const char *id)
{
    note(ctx, true, "upload", name, id);
}

static void on_upload_closed(void *ctx, const char *name, const char *id)
{
    note(ctx, false, "upload", name, id);
}

static void on_point_opened(void *ctx, const char *name)
{
    note(ctx, true, "point", name, "");
}

static void on_point_closed(void *ctx, const char *name)
{
    note(ctx, false, "point", name, "");
}

static enum err_code session_begin(struct backup_pipe *p, struct err *err)
{
    const struct engine *e = p->opts.engine;
    const struct session_opts o = {
        .loop = p->opts.data->loop,
        .vault = p->opts.vault,
        .store = p->store,
        .index = p->opts.index,
        .tools = e->tools,
        .chunk_room = p->opts.data->chunks,
        .part_room = p->opts.data->parts,
        .budget = e->budget,
        .tenant = p->opts.tenant,
        .ceiling_bytes = SESSION_CEILING_BYTES,
        .clock = loop_clock(e->control),
        .events =
            {
                .ready = on_session_ready,
                .drained = on_drained,
                .upload_opened = on_upload_opened,
                .upload_closed = on_upload_closed,
                .point_opened = on_point_opened,
                .point_closed = on_point_closed,
                .done = on_session_done,
            },
        .ctx = p,
        .series = p->texts[0],
        .vm = p->opts.vm,
        .name = p->texts[1],
        .pool = p->texts[2],
        .source_mode = "xva",
        .consistency = "crash",
        .gateway = e->gateway,
        .witness = p->opts.witness,
        .recovery = p->opts.recovery,
        .recovery_count = p->opts.recovery_count,
    };

    return session_start(&o, &p->session, err);
}

/* --- what the control loop says ------------------------------------------ */

static void deliver_start(struct mail *mail)
{
    struct backup_pipe *p = OWNER(mail, to_start);
    struct err err = {0};

    p->timer.fire = on_tick;
    if (place_store(p->opts.place, p->opts.data->loop, p->opts.data->client,
                    &p->store, &err) != ERR_OK ||
        session_begin(p, &err) != ERR_OK) {
        pipe_fail(p, &err);
        return;
    }
    timer_start(p->opts.data->loop, &p->timer, PROGRESS_MS, on_tick);
}

static void deliver_export(struct mail *mail)
{
    struct backup_pipe *p = OWNER(mail, to_export);
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

    if (p->state != PIPE_READY)
        return;
    p->state = PIPE_STREAMING;
    if (xva_read_new(&reading, &p->reader, &err) != ERR_OK ||
        xenapi_transfer_start(&sending, &p->transfer, &err) != ERR_OK)
        pipe_fail(p, &err);
}

static void deliver_commit(struct mail *mail)
{
    struct backup_pipe *p = OWNER(mail, to_commit);

    if (p->state != PIPE_STREAMED || !p->session)
        return;
    p->state = PIPE_COMMITTING;
    session_finish(p->session, p->ova.data, p->ova.len);
}

static void deliver_cancel(struct mail *mail)
{
    struct backup_pipe *p = OWNER(mail, to_cancel);

    if (p->state == PIPE_ENDING)
        return;
    if (p->state == PIPE_COMMITTING && p->session) {
        /* The session decides: it may be committed already. */
        session_cancel(p->session);
        return;
    }
    pipe_fail(p, &p->why);
}

enum err_code backup_pipe_start(const struct backup_pipe_opts *opts,
                                struct backup_pipe **out, struct err *err)
{
    struct backup_pipe *p = calloc(1, sizeof(*p));
    const char *texts[] = {opts->series, opts->name, opts->pool};

    if (!p)
        return err_set(err, ERR_NOMEM, 0, "backup pipe");
    p->opts = *opts;
    vault_ref(opts->vault);
    place_ref(opts->place);
    p->disks = calloc(opts->disk_count ? opts->disk_count : 1,
                      sizeof(*p->disks));
    for (size_t i = 0; i < BYTES_COUNT(texts); i++)
        p->texts[i] = strdup(texts[i]);
    if (!p->disks || !p->texts[0] || !p->texts[1] || !p->texts[2]) {
        pipe_free(p);
        return err_set(err, ERR_NOMEM, 0, "backup pipe");
    }
    if (opts->disk_count)
        memcpy(p->disks, opts->disks, opts->disk_count * sizeof(*p->disks));
    buf_init(&p->ova, OVA_BYTES_MAX);
    p->to_start.deliver = deliver_start;
    p->to_export.deliver = deliver_export;
    p->to_commit.deliver = deliver_commit;
    p->to_cancel.deliver = deliver_cancel;
    p->to_bye.deliver = deliver_bye;
    p->on_ready.deliver = deliver_ready;
    p->on_streamed.deliver = deliver_streamed;
    p->on_progress.deliver = deliver_progress;
    p->on_done.deliver = deliver_done;
    p->on_gone.deliver = deliver_gone;
    send_data(p, &p->to_start);
    *out = p;
    return ERR_OK;
}

void backup_pipe_export(struct backup_pipe *p, struct xenapi_ticket *ticket)
{
    if (p->exported || p->over)
        return;
    p->exported = true;
    p->ticket = xenapi_ticket_hold(ticket);
    send_data(p, &p->to_export);
}

void backup_pipe_commit(struct backup_pipe *p)
{
    if (p->committed || p->over)
        return;
    p->committed = true;
    send_data(p, &p->to_commit);
}

void backup_pipe_cancel(struct backup_pipe *p, const struct err *why)
{
    if (p->cancelled || p->over)
        return;
    p->cancelled = true;
    if (why && why->code != ERR_OK)
        p->why = *why;
    else
        err_set(&p->why, ERR_CANCELLED, 0, "cancelled");
    send_data(p, &p->to_cancel);
}
