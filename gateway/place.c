/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/place.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "store/store_dir.h"
#include "store/store_s3.h"

#define DISK_THREADS 2
#define DISK_QUEUE 256
#define LANE_WAIT_MS 1000

struct place {
    atomic_uint refs;
    char text[1200];
    char *root;        /* a folder; NULL: S3 */
    struct lane *lane; /* of the folder's file calls, for all loops */
    char bucket[256], prefix[801];
    char *endpoint, *region; /* NULL: not given */
    struct http_trust *trust;
    struct s3_credentials credentials;
    uint64_t request_ms, retry_ms;
    bool known;
    const struct seal_suite *suite;
    struct store_traits traits;
    atomic_int_least64_t skew_ms;
};

static const struct {
    const char *word;
    size_t at;
} trait_words[] = {
    {"if-absent", offsetof(struct store_traits, if_absent)},
    {"lists-at-once", offsetof(struct store_traits, lists_at_once)},
    {"lock-on-put", offsetof(struct store_traits, lock_on_put)},
    {"lock-on-create", offsetof(struct store_traits, lock_on_create)},
    {"lock-by-call", offsetof(struct store_traits, lock_by_call)},
    {"versioned", offsetof(struct store_traits, versioned)},
};

void place_traits_print(const struct store_traits *t,
                        char out[PLACE_TRAITS_TEXT])
{
    size_t len = 0;

    snprintf(out, PLACE_TRAITS_TEXT, "none");
    for (size_t i = 0; i < BYTES_COUNT(trait_words); i++)
        if (*((const bool *)t + trait_words[i].at))
            len += (size_t)snprintf(out + len, PLACE_TRAITS_TEXT - len, "%s%s",
                                    len ? " " : "", trait_words[i].word);
}

/* Words of a later release say nothing here. */
static void traits_parse(const char *text, struct store_traits *out)
{
    for (size_t len; *text; text += len + strspn(text + len, " ")) {
        len = strcspn(text, " ");
        for (size_t i = 0; i < BYTES_COUNT(trait_words); i++)
            if (strlen(trait_words[i].word) == len &&
                memcmp(trait_words[i].word, text, len) == 0)
                *((bool *)out + trait_words[i].at) = true;
    }
}

struct place *place_ref(struct place *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void place_unref(struct place *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    if (p->lane)
        lane_free(p->lane, LANE_WAIT_MS);
    if (p->trust)
        http_trust_drop(p->trust);
    s3_credentials_wipe(&p->credentials);
    free(p->root);
    free(p->endpoint);
    free(p->region);
    free(p);
}

static enum err_code make_folder(struct place *p, const char *path,
                                 struct err *err)
{
    if (*path != '/')
        return err_set(err, ERR_ARGUMENT, 0,
                       "file://%s: the path must be absolute (file:///...)",
                       path);
    p->root = strdup(path);
    if (!p->root)
        return err_set(err, ERR_NOMEM, 0, "place");
    snprintf(p->text, sizeof(p->text), "file://%s", path);
    return lane_new("disk", DISK_THREADS, DISK_QUEUE, &p->lane, err);
}

static char *copy_given(const char *text, bool *failed)
{
    char *copy = text && *text ? strdup(text) : NULL;

    *failed |= text && *text && !copy;
    return copy;
}

static enum err_code make_s3(struct place *p, const struct place_opts *o,
                             struct err *err)
{
    const char *cred = o->credentials ? o->credentials : "";
    bool failed = false;

    if (!store_s3_parse_url(o->url, p->bucket, p->prefix))
        return err_set(err, ERR_ARGUMENT, 0,
                       "'%s' is not of the form s3://bucket/prefix, with 3 "
                       "or more characters for the bucket",
                       o->url);
    if (!*cred)
        return err_set(err, ERR_ARGUMENT, 0, "%s needs --credentials-file",
                       o->url);
    if (s3_credentials_parse(cred, strlen(cred), NULL, &p->credentials, err) !=
        ERR_OK)
        return err->code;
    p->endpoint = copy_given(o->endpoint, &failed);
    p->region = copy_given(o->region, &failed);
    if (failed)
        return err_set(err, ERR_NOMEM, 0, "place");
    snprintf(p->text, sizeof(p->text), "%s at %s", o->url,
             p->endpoint ? p->endpoint : "AWS");
    if (p->endpoint && strncmp(p->endpoint, "http://", 7) == 0)
        return ERR_OK;
    if (o->ca_pem && *o->ca_pem)
        return http_trust_ca(o->ca_pem, &p->trust, err);
    return http_trust_system(&p->trust, err);
}

enum err_code place_new(const struct place_opts *o, struct place **out,
                        struct err *err)
{
    struct place *p = calloc(1, sizeof(*p));

    if (!p)
        return err_set(err, ERR_NOMEM, 0, "place");
    atomic_init(&p->refs, 1);
    atomic_init(&p->skew_ms, 0);
    p->request_ms = o->request_ms;
    p->retry_ms = o->retry_ms;
    p->known = o->known;
    p->suite = o->suite;
    if (o->traits)
        traits_parse(o->traits, &p->traits);
    err_clear(err);
    if (strncmp(o->url, "file://", 7) == 0)
        make_folder(p, o->url + 7, err);
    else if (strncmp(o->url, "s3://", 5) == 0)
        make_s3(p, o, err);
    else
        err_set(err, ERR_ARGUMENT, 0,
                "'%s': a vault's URL begins with file:/// or s3://", o->url);
    if (err->code != ERR_OK) {
        place_unref(p);
        return err->code;
    }
    *out = p;
    return ERR_OK;
}

/* It is opened by the store's first operation, on the lane: a hung mount must
 * not hold up the loop. */
static enum err_code folder_store(struct place *p, struct loop *loop,
                                  struct store **out, struct err *err)
{
    if (store_dir_new(loop, p->root, p->lane, out, err) != ERR_OK)
        return err_context(err, "%s", p->text);
    if (p->known)
        store_dir_expect(*out, "keys");
    return ERR_OK;
}

enum err_code place_store(struct place *p, struct loop *loop,
                          struct http_client *client, struct store **out,
                          struct err *err)
{
    struct store_s3_opts o = {
        .client =
            {
                .suite = p->suite,
                .endpoint = p->endpoint,
                .region = p->region,
                .bucket = p->bucket,
                .credentials = &p->credentials,
                .trust = p->trust,
                .timeout_ms = p->request_ms,
                .retry_ms = p->retry_ms,
                .known = p->known,
            },
        .prefix = p->prefix,
        .traits = &p->traits,
    };

    if (p->root)
        return folder_store(p, loop, out, err);
    return store_s3_new(loop, client, &o, out, err);
}

void place_store_free(struct place *p, struct store *s)
{
    if (place_is_s3(p) && s->requests)
        atomic_store(&p->skew_ms, store_s3_skew_ms(s));
    store_free(s);
}

int64_t place_skew_ms(const struct place *p)
{
    return atomic_load(&p->skew_ms);
}

bool place_is_s3(const struct place *p)
{
    return !p->root;
}

const char *place_text(const struct place *p)
{
    return p->text;
}

/* A prefix covers what equals it or goes on with '/'; a trailing '*' covers
 * whatever follows. */
static bool covers(const char *prefix, size_t len, const char *url)
{
    if (len && prefix[len - 1] == '*')
        return strncmp(prefix, url, len - 1) == 0;
    if (strncmp(prefix, url, len) != 0)
        return false;
    return url[len] == 0 || url[len] == '/' || (len && prefix[len - 1] == '/');
}

/* "file:///srv/x/../../etc" is not under file:///srv/x. */
static bool has_dots(const char *url)
{
    for (const char *at = strchr(url, '/'); at; at = strchr(at + 1, '/')) {
        size_t len = strcspn(at + 1, "/");

        if ((len == 1 || len == 2) && strncmp(at + 1, "..", len) == 0)
            return true;
    }
    return false;
}

bool place_allowed(const char *allowed, const char *url, const char *endpoint)
{
    if (!*allowed)
        return true;
    if (has_dots(url))
        return false;
    while (*allowed) {
        size_t len = strcspn(allowed, " ");
        const char *at = memchr(allowed, '@', len);
        size_t url_len = at ? (size_t)(at - allowed) : len;

        if (url_len && covers(allowed, url_len, url) &&
            (!at || covers(at + 1, len - url_len - 1, endpoint)))
            return true;
        allowed += len + strspn(allowed + len, " ");
    }
    return false;
}
