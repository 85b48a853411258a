/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_stray.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "s3/s3_list.h"
#include "s3/s3_upload.h"

struct s3_stray {
    struct s3_client *client;
    s3_object_done_fn *done;
    void *ctx;
    char *key, *keep;
    char *ids[S3_STRAY_MAX];
    size_t count, next;
    unsigned looks;
    bool full; /* there were more: once more, then */
    struct err err;
};

static void free_stray(struct s3_stray *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->ids[i]);
    free(s->key);
    free(s->keep);
    free(s);
}

static void finish(struct s3_stray *s)
{
    static const struct s3_object_info nothing;

    s->done(s->ctx, &s->err, &nothing);
    free_stray(s);
}

static enum err_code look(struct s3_stray *s, struct err *err);
static void abort_next(struct s3_stray *s);

static void on_aborted(void *ctx, const struct err *err,
                       const struct s3_object_info *info)
{
    struct s3_stray *s = ctx;

    err_keep(&s->err, err);
    abort_next(s);
}

static void abort_next(struct s3_stray *s)
{
    struct s3_upload_op *op;

    if (s->next < s->count && s->err.code == ERR_OK) {
        const char *id = s->ids[s->next++];

        log_event(LOG_INFO, "s3_stray_upload",
                  log_text("store", s3_client_name(s->client)),
                  log_text("key", s->key), log_text("upload", id), LOG_END);
        if (s3_upload_abort_by_id(s->client, s->key, id, on_aborted, s, &op,
                                  &s->err) == ERR_OK)
            return;
    }
    if (s->full && s->err.code == ERR_OK && s->looks == S3_STRAY_LOOKS)
        err_set(&s->err, ERR_AGAIN, 0,
                "%s: uploads of %s: over %u are listed, %u times aborted",
                s3_client_name(s->client), s->key, S3_STRAY_MAX, s->looks);
    if (s->full && s->err.code == ERR_OK && look(s, &s->err) == ERR_OK)
        return;
    finish(s);
}

static void on_listed(void *ctx, const struct err *err,
                      const struct s3_object_info *info)
{
    struct s3_stray *s = ctx;

    /* Cancelled by ourselves: enough were found. */
    if (!s->full)
        err_keep(&s->err, err);
    abort_next(s);
}

static bool on_upload(void *ctx, const struct s3_xml_upload *u)
{
    struct s3_stray *s = ctx;

    if (strcmp(u->key, s->key) != 0 || (s->keep && strcmp(u->id, s->keep) == 0))
        return true;
    s->full = s->count == S3_STRAY_MAX;
    if (s->full)
        return false;
    s->ids[s->count] = strdup(u->id);
    if (!s->ids[s->count])
        err_set(&s->err, ERR_NOMEM, 0, "%s: uploads",
                s3_client_name(s->client));
    else
        s->count++;
    return s->err.code == ERR_OK;
}

static enum err_code look(struct s3_stray *s, struct err *err)
{
    struct s3_list_opts o = {.prefix = s->key,
                             .retry_ms = S3_UPLOAD_ABORT_MS,
                             .on_upload = on_upload,
                             .done = on_listed,
                             .ctx = s};
    struct s3_list *list;

    for (size_t i = 0; i < s->count; i++)
        free(s->ids[i]);
    s->count = s->next = 0;
    s->full = false;
    s->looks++;
    return s3_list_start(s->client, &o, &list, err);
}

enum err_code s3_stray_start(struct s3_client *c, const char *key,
                             const char *keep, s3_object_done_fn *done,
                             void *ctx, struct err *err)
{
    struct s3_stray *s = calloc(1, sizeof(*s));
    enum err_code rc;

    if (!s)
        return err_set(err, ERR_NOMEM, 0, "%s: uploads", s3_client_name(c));
    s->client = c;
    s->done = done;
    s->ctx = ctx;
    s->key = strdup(key);
    s->keep = keep ? strdup(keep) : NULL;
    if (!s->key || (keep && !s->keep))
        rc = err_set(err, ERR_NOMEM, 0, "%s: uploads", s3_client_name(c));
    else
        rc = look(s, err);
    if (rc != ERR_OK)
        free_stray(s);
    return rc;
}
