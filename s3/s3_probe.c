/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step after the other, in the order of enum step; what a step finds out
 * decides only whether some are left out. Whatever happens, REMOVE ends it.
 */
#include "s3/s3_probe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "loop/timer.h"
#include "s3/s3_client_inner.h"
#include "s3/s3_get.h"
#include "s3/s3_list.h"
#include "s3/s3_upload.h"

#define WRITTEN_MAX 8
#define LOCK_MS 5000
#define LOCK_SLACK_MS 2000 /* dates have whole seconds, and clocks differ */

enum step {
    STEP_PUT_NEW,   /* if it is absent, which it is */
    STEP_PUT_PLAIN, /* where the server does not know that condition */
    STEP_LIST,      /* it must be there */
    STEP_PUT_AGAIN, /* if it is absent, which it is not */
    STEP_READ,      /* whose bytes are they? */
    STEP_UPLOAD,    /* create, one part, complete */
    STEP_LOOK,      /* of the right size? */
    STEP_VERSIONING,
    STEP_LOCK_PUT,
    STEP_LOCK_PUT_READ, /* is the retention there? */
    STEP_LOCK_UPLOAD,
    STEP_LOCK_UPLOAD_READ,
    STEP_LOCK_CALL,
    STEP_LOCK_CALL_READ,
    STEP_REMOVE_UNLOCKED,
    STEP_WAIT, /* for the retention to end */
    STEP_REMOVE_LOCKED,
    STEP_END
};

struct written {
    char letter; /* the key's last part */
    bool locked;
    char version[128];
};

struct s3_probe {
    struct s3_client *client;
    struct s3_probe_opts o;
    struct s3_probe_found found;
    struct err err; /* the first failure that matters */
    enum step step;
    bool cancelled, conditional, refused, listed;
    struct s3_upload *upload;
    struct err upload_err; /* why it is aborted */
    struct written written[WRITTEN_MAX];
    size_t count, removing;
    uint64_t server_ms, server_at_mono; /* its clock, and when it said so */
    uint64_t until_ms;                  /* retention asked for */
    uint64_t lock_ends_mono;
    struct timer timer;
    struct slice body;
    char text[16]; /* what STEP_READ read */
    size_t text_len;
    char dir[S3_XML_KEY_MAX];
    char key[S3_XML_KEY_MAX + 1];
};

static const char first_text[] = "first";
static const char second_text[] = "second";

static void go(struct s3_probe *p);

static uint64_t mono_ms(const struct s3_probe *p)
{
    return clock_mono_ms(loop_clock(p->client->loop));
}

static const char *key_of(struct s3_probe *p, char letter)
{
    snprintf(p->key, sizeof(p->key), "%s%c", p->dir, letter);
    return p->key;
}

static void note_written(struct s3_probe *p, char letter, const char *version,
                         bool locked)
{
    struct written *w = &p->written[p->count];

    if (p->count == WRITTEN_MAX)
        return;
    w->letter = letter;
    w->locked = locked;
    snprintf(w->version, sizeof(w->version), "%s", version);
    p->count++;
}

/* On to the next step; a failure that matters leads to the end. */
static void next(struct s3_probe *p, enum step step)
{
    p->step = step;
    if ((p->cancelled || p->err.code != ERR_OK) &&
        step < STEP_REMOVE_UNLOCKED) {
        if (p->err.code == ERR_OK)
            err_set(&p->err, ERR_CANCELLED, 0, "%s: probe: cancelled",
                    s3_client_name(p->client));
        p->step = STEP_REMOVE_UNLOCKED;
        p->removing = 0;
    }
    go(p);
}

static void keep_failure(struct s3_probe *p, const struct err *err)
{
    if (p->err.code != ERR_OK || err->code == ERR_OK)
        return;
    p->err = *err;
    err_context(&p->err, "probe");
}

static bool same_version(const struct s3_object_info *info)
{
    return info->version[0] && strcmp(info->version, "null") != 0;
}

/* ---- writing ---- */

static void on_put(void *ctx, const struct err *err,
                   const struct s3_object_info *info)
{
    struct s3_probe *p = ctx;
    enum step step = p->step;

    if (err->code == ERR_OK) {
        p->server_ms = info->date_ms;
        p->server_at_mono = mono_ms(p);
        if (step == STEP_LOCK_PUT)
            note_written(p, 'c', info->version, true);
        else if (step != STEP_PUT_AGAIN || same_version(info))
            note_written(p, 'a', info->version, false);
    }
    switch (step) {
    case STEP_PUT_NEW:
        p->conditional = err->code == ERR_OK;
        /* 501 at Swift; others may say 400. A refusal that also meets a plain
         * PUT shows there. */
        next(p, p->conditional ? STEP_LIST : STEP_PUT_PLAIN);
        break;
    case STEP_PUT_PLAIN:
        keep_failure(p, err);
        next(p, STEP_LIST);
        break;
    case STEP_PUT_AGAIN:
        p->refused = err->code == ERR_CONFLICT;
        next(p, STEP_READ);
        break;
    default:
        next(p, err->code == ERR_OK ? STEP_LOCK_PUT_READ : STEP_LOCK_UPLOAD);
        break;
    }
}

/* The date asked for; kept for comparing. */
static uint64_t lock_until(struct s3_probe *p, uint64_t extra_ms)
{
    uint64_t now = mono_ms(p);
    uint64_t server = p->server_ms + (now - p->server_at_mono);

    p->until_ms = (server + LOCK_MS + extra_ms) / 1000 * 1000 + 1000;
    p->lock_ends_mono = now + (p->until_ms - server) + LOCK_SLACK_MS;
    return p->until_ms;
}

static enum err_code put(struct s3_probe *p, char letter, const char *text,
                         bool if_absent, bool lock, struct err *err)
{
    struct s3_object_put_opts o = {.key = key_of(p, letter),
                                   .body = &p->body,
                                   .slices = 1,
                                   .done = on_put,
                                   .ctx = p};
    struct s3_object_op *op;

    p->body = (struct slice){(const uint8_t *)text, strlen(text)};
    o.write.if_absent = if_absent;
    if (lock) {
        o.write.lock_mode = p->o.lock_mode;
        o.write.retain_until_ms = lock_until(p, 0);
    }
    return s3_object_put(p->client, &o, &op, err);
}

/* ---- listing and reading ---- */

static bool on_entry(void *ctx, const struct s3_xml_object *o)
{
    struct s3_probe *p = ctx;

    if (strcmp(o->key, key_of(p, 'a')) == 0 && o->bytes == 5)
        p->listed = true;
    return true;
}

static void on_listed(void *ctx, const struct err *err,
                      const struct s3_object_info *info)
{
    struct s3_probe *p = ctx;

    keep_failure(p, err);
    p->found.lists_at_once = p->listed;
    next(p, p->conditional ? STEP_PUT_AGAIN : STEP_READ);
}

static bool on_text(void *ctx, const uint8_t *data, size_t len)
{
    struct s3_probe *p = ctx;

    for (size_t i = 0; i < len && p->text_len < sizeof(p->text); i++)
        p->text[p->text_len++] = (char)data[i];
    return true;
}

static void on_read(void *ctx, const struct err *err,
                    const struct s3_object_info *info)
{
    struct s3_probe *p = ctx;
    bool is_first = p->text_len == 5 && memcmp(p->text, first_text, 5) == 0;
    bool is_second = p->text_len == 6 && memcmp(p->text, second_text, 6) == 0;

    keep_failure(p, err);
    if (err->code == ERR_OK && !is_first && !is_second)
        err_set(&p->err, ERR_INTEGRITY, 0,
                "%s: probe: other bytes came back than were written",
                s3_client_name(p->client));
    p->found.if_absent = p->refused && is_first;
    next(p, STEP_UPLOAD);
}

/* ---- uploads ---- */

/* A locked upload that fails means only that locks do not work so. */
static void upload_over(struct s3_probe *p, const struct err *err,
                        const char *version)
{
    bool lock = p->step == STEP_LOCK_UPLOAD;

    p->upload = NULL;
    if (err->code == ERR_OK)
        note_written(p, lock ? 'd' : 'b', version, lock);
    if (!lock) {
        keep_failure(p, err);
        next(p, STEP_LOOK);
    } else {
        next(p, err->code == ERR_OK ? STEP_LOCK_UPLOAD_READ
                                    : STEP_REMOVE_UNLOCKED);
    }
}

static void on_aborted(void *ctx, const struct err *err,
                       const struct s3_object_info *info)
{
    struct s3_probe *p = ctx;

    upload_over(p, &p->upload_err, "");
}

/* The upload is there and failed: abort it, then go on. */
static void upload_failed(struct s3_probe *p, const struct err *err)
{
    struct s3_upload_op *op;
    struct err ignored;

    p->upload_err = *err;
    if (s3_upload_abort(p->upload, on_aborted, p, &op, &ignored) != ERR_OK)
        upload_over(p, &p->upload_err, "");
}

static void on_completed(void *ctx, const struct err *err,
                         const struct s3_object_info *info)
{
    struct s3_probe *p = ctx;

    if (err->code != ERR_OK)
        upload_failed(p, err);
    else
        upload_over(p, err, info->version);
}

static void on_part(void *ctx, const struct err *err,
                    const struct s3_object_info *info)
{
    struct s3_probe *p = ctx;
    struct s3_upload_op *op;
    struct err e = *err;

    if (e.code != ERR_OK ||
        s3_upload_complete(p->upload, on_completed, p, &op, &e) != ERR_OK)
        upload_failed(p, &e);
}

static void on_created(void *ctx, const struct err *err, struct s3_upload *up)
{
    struct s3_probe *p = ctx;
    struct s3_upload_part_opts o = {
        .number = 1, .body = &p->body, .slices = 1, .done = on_part, .ctx = p};
    struct s3_upload_op *op;
    struct err e;

    p->upload = up;
    p->body = (struct slice){(const uint8_t *)first_text, 5};
    if (!up)
        upload_over(p, err, "");
    else if (s3_upload_part(up, &o, &op, &e) != ERR_OK)
        upload_failed(p, &e);
}

static enum err_code upload(struct s3_probe *p, char letter, bool lock,
                            struct err *err)
{
    struct s3_upload_opts o = {
        .key = key_of(p, letter), .created = on_created, .ctx = p};
    struct s3_upload_op *op;

    if (lock) {
        o.write.lock_mode = p->o.lock_mode;
        o.write.retain_until_ms = lock_until(p, 0);
    }
    return s3_upload_create(p->client, &o, &op, err);
}

static void on_looked(void *ctx, const struct err *err,
                      const struct s3_object_info *info)
{
    struct s3_probe *p = ctx;

    keep_failure(p, err);
    if (err->code == ERR_OK && info->bytes != 5)
        err_set(&p->err, ERR_INTEGRITY, 0,
                "%s: probe: an upload of 5 bytes became one of %ju",
                s3_client_name(p->client), (uintmax_t)info->bytes);
    next(p, STEP_VERSIONING);
}

/* ---- versions and locks ---- */

static void on_versioning(void *ctx, const struct err *err,
                          const struct s3_object_info *info)
{
    struct s3_probe *p = ctx;

    p->found.versioned =
        err->code == ERR_OK && strcmp(info->version, "Enabled") == 0;
    next(p, p->o.lock_mode ? STEP_LOCK_PUT : STEP_REMOVE_UNLOCKED);
}

static void on_retention(void *ctx, const struct err *err,
                         const struct s3_object_info *info)
{
    struct s3_probe *p = ctx;
    bool there = err->code == ERR_OK &&
                 strcmp(info->lock_mode, p->o.lock_mode) == 0 &&
                 info->retain_until_ms + LOCK_SLACK_MS / 2 >= p->until_ms;

    switch (p->step) {
    case STEP_LOCK_PUT_READ:
        p->found.lock_on_put = there;
        next(p, STEP_LOCK_UPLOAD);
        break;
    case STEP_LOCK_UPLOAD_READ:
        p->found.lock_on_create = there;
        next(p, STEP_LOCK_CALL);
        break;
    default:
        p->found.lock_by_call = there;
        next(p, STEP_REMOVE_UNLOCKED);
        break;
    }
}

static void on_retained(void *ctx, const struct err *err,
                        const struct s3_object_info *info)
{
    struct s3_probe *p = ctx;

    next(p, err->code == ERR_OK ? STEP_LOCK_CALL_READ : STEP_REMOVE_UNLOCKED);
}

/* The object with this letter, by its version if it has one. */
static struct s3_object_name name_of(struct s3_probe *p, char letter)
{
    struct s3_object_name name = {.key = key_of(p, letter)};

    for (size_t i = 0; i < p->count; i++)
        if (p->written[i].letter == letter && p->written[i].version[0])
            name.version = p->written[i].version;
    return name;
}

static enum err_code retention(struct s3_probe *p, char letter, struct err *err)
{
    struct s3_object_name name = name_of(p, letter);
    struct s3_object_op *op;

    return s3_object_retention(p->client, &name, on_retention, p, &op, err);
}

/* ---- removing ---- */

static void on_removed(void *ctx, const struct err *err,
                       const struct s3_object_info *info)
{
    struct s3_probe *p = ctx;
    const struct written *w = &p->written[p->removing];

    /* Credentials that cannot remove are nothing unusual. */
    if (err->code != ERR_OK)
        log_event(LOG_WARN, "s3_probe_left",
                  log_text("store", s3_client_name(p->client)),
                  log_text("key", key_of(p, w->letter)), log_err(err), LOG_END);
    p->removing++;
    go(p);
}

/* The next one of what was written; true: on its way. */
static bool remove_one(struct s3_probe *p, bool locked)
{
    struct s3_object_name name;
    struct s3_object_op *op;
    struct err err;

    while (p->removing < p->count && p->written[p->removing].locked != locked)
        p->removing++;
    if (p->removing == p->count)
        return false;
    name.key = key_of(p, p->written[p->removing].letter);
    name.version = p->written[p->removing].version;
    if (!name.version[0])
        name.version = NULL;
    return s3_object_remove(p->client, &name, on_removed, p, &op, &err) ==
           ERR_OK;
}

static void on_waited(struct timer *t)
{
    struct s3_probe *p =
        (struct s3_probe *)((char *)t - offsetof(struct s3_probe, timer));

    p->removing = 0;
    next(p, STEP_REMOVE_LOCKED);
}

static void wait_for_locks(struct s3_probe *p)
{
    uint64_t now = mono_ms(p);

    timer_start(p->client->loop, &p->timer,
                p->lock_ends_mono > now ? p->lock_ends_mono - now : 0,
                on_waited);
}

static void finish(struct s3_probe *p)
{
    p->o.done(p->o.ctx, &p->err, &p->found);
    free(p);
}

/* ---- the steps ---- */

static enum err_code begin(struct s3_probe *p, struct err *err)
{
    struct s3_list_opts list = {
        .prefix = p->dir, .on_object = on_entry, .done = on_listed, .ctx = p};
    struct s3_get_opts get = {.on_data = on_text, .done = on_read, .ctx = p};
    struct s3_object_name name;
    struct s3_object_op *op;
    struct s3_list *l;
    struct s3_get *g;

    switch (p->step) {
    case STEP_PUT_NEW:
        return put(p, 'a', first_text, true, false, err);
    case STEP_PUT_PLAIN:
        return put(p, 'a', first_text, false, false, err);
    case STEP_LIST:
        return s3_list_start(p->client, &list, &l, err);
    case STEP_PUT_AGAIN:
        return put(p, 'a', second_text, true, false, err);
    case STEP_READ:
        get.key = key_of(p, 'a');
        return s3_get_start(p->client, &get, &g, err);
    case STEP_UPLOAD:
        return upload(p, 'b', false, err);
    case STEP_LOOK:
        name = name_of(p, 'b');
        return s3_object_head(p->client, &name, on_looked, p, &op, err);
    case STEP_VERSIONING:
        return s3_object_versioning(p->client, on_versioning, p, &op, err);
    case STEP_LOCK_PUT:
        return put(p, 'c', first_text, false, true, err);
    case STEP_LOCK_PUT_READ:
        return retention(p, 'c', err);
    case STEP_LOCK_UPLOAD:
        return upload(p, 'd', true, err);
    case STEP_LOCK_UPLOAD_READ:
    case STEP_LOCK_CALL_READ:
        return retention(p, 'd', err);
    default: /* STEP_LOCK_CALL: longer than before, so that it shows */
        name = name_of(p, 'd');
        return s3_object_retain(p->client, &name, p->o.lock_mode,
                                lock_until(p, 2 * LOCK_SLACK_MS), on_retained,
                                p, &op, err);
    }
}

static void go(struct s3_probe *p)
{
    bool locked = false;
    struct err err;

    if (p->step < STEP_REMOVE_UNLOCKED) {
        if (begin(p, &err) != ERR_OK) {
            keep_failure(p, &err);
            next(p, STEP_REMOVE_UNLOCKED);
        }
        return;
    }
    for (size_t i = 0; i < p->count; i++)
        locked = locked || p->written[i].locked;
    if (p->step == STEP_REMOVE_UNLOCKED) {
        if (remove_one(p, false))
            return;
        p->step = locked ? STEP_WAIT : STEP_END;
    }
    if (p->step == STEP_WAIT)
        wait_for_locks(p);
    else if (p->step == STEP_END || !remove_one(p, true))
        finish(p);
}

static void on_begin(struct timer *t)
{
    go((struct s3_probe *)((char *)t - offsetof(struct s3_probe, timer)));
}

enum err_code s3_probe_start(struct s3_client *c,
                             const struct s3_probe_opts *opts,
                             struct s3_probe **out, struct err *err)
{
    struct s3_probe *p;
    uint8_t raw[8];
    char hex[17];

    if (strlen(opts->prefix) + sizeof(hex) + 4 >= S3_XML_KEY_MAX)
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: probe: the prefix is too long", s3_client_name(c));
    p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(err, ERR_NOMEM, 0, "%s: probe", s3_client_name(c));
    while (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
        ;
    bytes_hex(raw, sizeof(raw), hex);
    p->client = c;
    p->o = *opts;
    p->o.prefix = NULL; /* it stands in dir */
    snprintf(p->dir, sizeof(p->dir), "%s%s/", opts->prefix, hex);
    p->server_ms = clock_wall_ms(loop_clock(c->loop));
    p->server_at_mono = mono_ms(p);
    timer_start(c->loop, &p->timer, 0, on_begin);
    *out = p;
    return ERR_OK;
}

void s3_probe_cancel(struct s3_probe *p)
{
    p->cancelled = true;
}
