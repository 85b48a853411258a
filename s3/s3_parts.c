/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_parts.h"

#include <stdlib.h>
#include <string.h>

struct s3_parts {
    struct s3_client *client;
    struct s3_request *request;
    struct s3_parts_opts o;
    struct s3_object_info info;
    unsigned marker;
    char key[S3_XML_KEY_MAX];
    char id[S3_XML_ID_MAX];
};

static enum err_code ask(struct s3_parts *l, struct err *err);

static void on_page(void *ctx, const struct err *err, const struct s3_answer *a)
{
    static const struct s3_object_info nothing;
    struct s3_parts *l = ctx;
    unsigned before = l->marker;
    struct err e = *err;

    if (e.code == ERR_OK) {
        s3_object_read_info(a->head, &l->info);
        l->info.bytes = 0;
        if (s3_xml_list_parts(a->body, a->len, l->o.on_part, l->o.ctx,
                              &l->marker, &e) != ERR_OK)
            err_context(&e, "%s: parts of %s", s3_client_name(l->client),
                        l->key);
        else if (l->marker && l->marker <= before)
            err_set(&e, ERR_PROTOCOL, a->status,
                    "%s: parts of %s: the listing goes in circles",
                    s3_client_name(l->client), l->key);
        else if (l->marker && ask(l, &e) == ERR_OK)
            return;
    }
    l->o.done(l->o.ctx, &e, e.code == ERR_OK ? &l->info : &nothing);
    free(l);
}

static enum err_code ask(struct s3_parts *l, struct err *err)
{
    char marker[12];
    struct s3_sign_param query[2] = {{"uploadId", l->id},
                                     {"part-number-marker", marker}};
    struct s3_request_opts r = {.method = "GET",
                                .what = "list parts of",
                                .key = l->key,
                                .query = query,
                                .params = l->marker ? 2 : 1,
                                .keep_max = S3_XML_PAGE_MAX,
                                .verdict_in_body = true,
                                .done = on_page,
                                .ctx = l};

    snprintf(marker, sizeof(marker), "%u", l->marker);
    return s3_request_start(l->client, &r, &l->request, err);
}

enum err_code s3_parts_start(struct s3_client *c,
                             const struct s3_parts_opts *opts,
                             struct s3_parts **out, struct err *err)
{
    struct s3_parts *l;
    enum err_code rc;

    if (strlen(opts->key) >= S3_XML_KEY_MAX ||
        strlen(opts->id) >= S3_XML_ID_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "%s: parts: too long",
                       s3_client_name(c));
    l = calloc(1, sizeof(*l));
    if (!l)
        return err_set(err, ERR_NOMEM, 0, "%s: parts", s3_client_name(c));
    l->client = c;
    l->o = *opts;
    memcpy(l->key, opts->key, strlen(opts->key) + 1);
    memcpy(l->id, opts->id, strlen(opts->id) + 1);
    rc = ask(l, err);
    if (rc == ERR_OK)
        *out = l;
    else
        free(l);
    return rc;
}

void s3_parts_cancel(struct s3_parts *l)
{
    s3_request_cancel(l->request);
}
