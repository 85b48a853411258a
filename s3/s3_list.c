/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_list.h"

#include <stdlib.h>
#include <string.h>

#include "s3/s3_client_inner.h"

#define PAGE_MAX 1000
#define PARAMS_MAX 7
/* Pages in a row that bring no new key. Servers send some while they look
 * through what was deleted; a million such entries are enough. */
#define BARREN_MAX 1000

struct s3_list {
    struct s3_client *client;
    struct s3_request *request;
    struct s3_list_opts o;
    bool cancelled, in_page, looking;
    unsigned barren; /* pages since the last new key */
    struct s3_object_info info;
    char prefix[S3_XML_KEY_MAX];
    char start_after[S3_XML_KEY_MAX];
    char last[S3_XML_KEY_MAX]; /* the last key that was given out */
    char next_key[S3_XML_KEY_MAX];
    char next[S3_XML_ID_MAX]; /* token, or upload id marker */
    char page[12];
};

static enum err_code ask(struct s3_list *l, struct err *err);

static void finish(struct s3_list *l, const struct err *err)
{
    static const struct s3_object_info nothing;

    l->o.done(l->o.ctx, err, err->code == ERR_OK ? &l->info : &nothing);
    free(l);
}

/* Keys must rise; uploads of one key may be several. */
static bool in_order(struct s3_list *l, const char *key)
{
    int way = strcmp(key, l->last);
    bool ok = way > 0 || (way == 0 && l->o.on_upload);

    if (strlen(key) < sizeof(l->last))
        memcpy(l->last, key, strlen(key) + 1);
    return ok && strncmp(key, l->prefix, strlen(l->prefix)) == 0;
}

struct page {
    struct s3_list *list;
    bool disorder;
    char next_key[S3_XML_KEY_MAX];
    char next[S3_XML_ID_MAX];
};

static bool on_object(void *ctx, const struct s3_xml_object *o)
{
    struct page *p = ctx;

    p->disorder = !in_order(p->list, o->key);
    if (p->disorder || p->list->looking)
        return !p->disorder;
    return !p->list->cancelled && p->list->o.on_object(p->list->o.ctx, o) &&
           !p->list->cancelled;
}

static bool on_upload(void *ctx, const struct s3_xml_upload *u)
{
    struct page *p = ctx;

    p->disorder = !in_order(p->list, u->key);
    if (p->disorder || p->list->looking)
        return !p->disorder;
    return !p->list->cancelled && p->list->o.on_upload(p->list->o.ctx, u) &&
           !p->list->cancelled;
}

static enum err_code parse(struct s3_list *l, const uint8_t *body, size_t len,
                           struct page *p, struct err *err)
{
    enum err_code rc;

    p->list = l;
    if (l->o.on_object)
        rc = s3_xml_list(body, len, on_object, p, p->next, err);
    else
        rc = s3_xml_list_uploads(body, len, on_upload, p, p->next_key, p->next,
                                 err);
    if (p->disorder)
        rc = err_set(err, ERR_PROTOCOL, 0,
                     "the listing is not in order at \"%.200s\"", l->last);
    return rc;
}

/* A page as it came: is it one, and does it go on where we are? */
static enum err_code check_page(void *ctx, const struct http_response *r,
                                const uint8_t *body, size_t len,
                                struct err *err)
{
    struct s3_list *l = ctx;
    struct page p = {.list = l};
    char last[S3_XML_KEY_MAX];
    enum err_code rc;

    memcpy(last, l->last, sizeof(last));
    l->looking = true;
    rc = parse(l, body, len, &p, err);
    l->looking = false;
    memcpy(l->last, last, sizeof(last));
    if (rc == ERR_OK && (p.next[0] || p.next_key[0]) &&
        strcmp(p.next, l->next) == 0 && strcmp(p.next_key, l->next_key) == 0)
        rc = err_set(err, ERR_PROTOCOL, r->status,
                     "the listing goes in circles");
    if (rc != ERR_OK)
        err_context(err, "\"%s\"", l->prefix);
    return rc;
}

/* Give the page's entries out; *more: there is another. Tokens say nothing: a
 * server can make new ones for ever, and only keys that rise lead to an end. */
static enum err_code read_page(struct s3_list *l, const struct s3_answer *a,
                               bool *more, struct err *err)
{
    struct page p = {.list = l};
    char last[S3_XML_KEY_MAX];
    enum err_code rc;

    memcpy(last, l->last, sizeof(last));
    l->in_page = true;
    rc = parse(l, a->body, a->len, &p, err);
    l->in_page = false;
    *more = p.next[0] || p.next_key[0];
    memcpy(l->next, p.next, sizeof(p.next));
    memcpy(l->next_key, p.next_key, sizeof(p.next_key));
    l->barren = strcmp(last, l->last) == 0 ? l->barren + 1 : 0;
    if (rc == ERR_OK && *more && l->barren > BARREN_MAX)
        rc = err_set(err, ERR_PROTOCOL, a->status,
                     "%s: list \"%s\": %u pages in a row without a new name, "
                     "and still no end",
                     s3_client_name(l->client), l->prefix, l->barren);
    return rc;
}

static void on_page(void *ctx, const struct err *err, const struct s3_answer *a)
{
    struct s3_list *l = ctx;
    struct err e = *err;
    bool more = false;

    l->request = NULL;
    if (e.code == ERR_OK) {
        s3_object_read_info(a->head, &l->info);
        if (read_page(l, a, &more, &e) == ERR_OK && more &&
            ask(l, &e) == ERR_OK)
            return;
    }
    finish(l, &e);
}

static enum err_code ask(struct s3_list *l, struct err *err)
{
    struct s3_sign_param q[PARAMS_MAX];
    struct s3_request_opts r = {.method = "GET",
                                .what = "list",
                                .query = q,
                                .keep_max = S3_XML_PAGE_MAX,
                                .verdict_in_body = true,
                                .listing = true,
                                .retry_ms = l->o.retry_ms,
                                .check = check_page,
                                .done = on_page,
                                .ctx = l};
    size_t n = 0;

    q[n++] = (struct s3_sign_param){"encoding-type", "url"};
    q[n++] = (struct s3_sign_param){"prefix", l->prefix};
    if (l->o.on_object) {
        q[n++] = (struct s3_sign_param){"list-type", "2"};
        q[n++] = (struct s3_sign_param){"max-keys", l->page};
        if (l->next[0])
            q[n++] = (struct s3_sign_param){"continuation-token", l->next};
        else if (l->start_after[0])
            q[n++] = (struct s3_sign_param){"start-after", l->start_after};
    } else {
        q[n++] = (struct s3_sign_param){"uploads", NULL};
        q[n++] = (struct s3_sign_param){"max-uploads", l->page};
        if (l->next_key[0])
            q[n++] = (struct s3_sign_param){"key-marker", l->next_key};
        if (l->next[0])
            q[n++] = (struct s3_sign_param){"upload-id-marker", l->next};
    }
    r.params = n;
    return s3_request_start(l->client, &r, &l->request, err);
}

enum err_code s3_list_start(struct s3_client *c,
                            const struct s3_list_opts *opts,
                            struct s3_list **out, struct err *err)
{
    const char *after = opts->start_after ? opts->start_after : "";
    struct s3_list *l;
    enum err_code rc;

    if (strlen(opts->prefix) >= S3_XML_KEY_MAX ||
        strlen(after) >= S3_XML_KEY_MAX || opts->page > PAGE_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "%s: list: too long",
                       s3_client_name(c));
    l = calloc(1, sizeof(*l));
    if (!l)
        return err_set(err, ERR_NOMEM, 0, "%s: list", s3_client_name(c));
    l->client = c;
    l->o = *opts;
    snprintf(l->prefix, sizeof(l->prefix), "%s", opts->prefix);
    snprintf(l->start_after, sizeof(l->start_after), "%s", after);
    snprintf(l->last, sizeof(l->last), "%s", after);
    snprintf(l->page, sizeof(l->page), "%u",
             opts->page ? opts->page : PAGE_MAX);
    rc = ask(l, err);
    if (rc != ERR_OK) {
        free(l);
        return rc;
    }
    *out = l;
    return ERR_OK;
}

void s3_list_cancel(struct s3_list *l)
{
    l->cancelled = true;
    if (l->request && !l->in_page)
        s3_request_cancel(l->request);
}
